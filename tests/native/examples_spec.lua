-- Every example runs as its first lines say, and so does the README's script.
local helper = require "helper"

if not helper.is_root() then
  describe("examples", function() pending "needs root" end)
  return
end

-- Runs a script for as long as it takes to see known opens.
local function run(path, options)
  local opener = helper.start "sh -c 'while :; do cat /etc/hostname >/dev/null; sleep 0.01; done'"
  local out, err, status = helper.run(("timeout 30 %s %s -d 1 %s"):format(helper.luaprobe, path, options))
  opener.signal(9)
  opener.wait()
  assert.are.equal(0, status, err)
  return out
end

describe("the example", function()
  helper.check_leaks(before_each, after_each)

  it("busiest counts opens by process name", function()
    local out = run("examples/busiest.lua", "-c cat")
    local count = out:match "^   OPENS COMM\n *(%d+) cat\n$"
    assert.is_truthy(count, out)
    assert.is_true(tonumber(count) > 5)
  end)
end)

describe("the example execs", function()
  helper.check_leaks(before_each, after_each)

  it("shows programs that are started, also as JSON", function()
    -- Where there is no clang, as the build has packed it.
    local path = helper.has_program "clang" and "examples/execs.lua" or helper.fixtures .. "execs.lua"
    local out = run(path, "-c cat -T")
    assert.is_truthy(out:find "^TIME            PID     UID     COMM\n%d%d:%d%d:%d%d%.%d+ +%d+ +0 +cat\n", out)
    out = run(path, "-c cat --json")
    assert.is_truthy(out:find '^{"pid":%d+,"uid":0,"comm":"cat"}\n', out)
  end)
end)

describe("the README", function()
  helper.check_leaks(before_each, after_each)
  require("luaprobe.cdef").lp_stats_enable() -- which keeps a descriptor as long as the process lives

  it("sends and reads events as it says", function()
    local directory, remove = helper.temporary_directory()
    local readme = helper.read "README.md"
    local program, loops = readme:match "## Events.-```c\n(.-)```.-```lua\n(.-)```"
    helper.write(directory .. "/exits.bpf.c", program:gsub("#include \"luaprobe.bpf.h\"\n", function(line)
      return "#include <linux/types.h>\n" .. line
    end) .. '\nchar LICENSE[] SEC("license") = "Dual BSD/GPL";\n')
    local arch, object = jit.arch == "x64" and "x86" or "arm64", directory .. "/exits.bpf.o"
    local _, complaint, status = helper.run(("clang -target bpf -g -O2 -mcpu=v3 -D__TARGET_ARCH_%s -Wall -Werror "
      .. "-Ibpf/include -isystem /usr/include/$(gcc -print-multiarch) -c %s/exits.bpf.c -o %s"):format(
        arch, directory, object))
    if status ~= 0 then remove() end
    if status == 127 then return pending "clang is not installed" end
    assert.are.equal(0, status, complaint)
    -- The Lua has … where a reader puts something.
    helper.write(directory .. "/exits.lua", ([[
      local lp = require "luaprobe"
      local obj = lp.open "%s"
      obj:attach()
      io.stderr:write "attached\n"
      local names = {}
      %s
      for name in pairs(names) do print(name) end]]):format(object, (loops
        :gsub("timeout = 5", "timeout = 0.5"):gsub("do … end", "do names[lp.text(event.comm)] = true end", 1)
        :gsub("lp.after%(10", "lp.after(0.5"):gsub("do … end", "do break end"):gsub("…", ""))))
    local job = helper.start(helper.luaprobe .. " " .. directory .. "/exits.lua")
    assert.is_true(helper.eventually(30, function() return job.err():find "attached" end), job.err())
    helper.run "/bin/true"
    local out, err, code = job.wait()
    remove()
    assert.are.equal(0, code, err)
    assert.is_truthy(out:find "true\n", out .. err)
  end)

  it("shows busiest.lua as it is", function()
    assert.is_truthy(helper.read("README.md"):find(helper.read "examples/busiest.lua", 1, true))
  end)

  it("reads and writes maps as it says", function()
    local text = helper.read("README.md"):match '```lua\n(local object = lp.open%("tool".-)```'
    local directory, remove = helper.temporary_directory()
    helper.run("mount -t bpf bpf " .. directory)
    local lp, printed, shown = require "luaprobe", {}, {}
    local object
    local chunk = assert(loadstring((text:gsub("/sys/fs/bpf", directory))))
    setfenv(chunk, {
      lp = setmetatable({
        open = function(_, opts)
          object = helper.open("tool", opts)
          return object
        end,
        pretty = function(what) shown[#shown + 1] = what end,
      }, { __index = lp }),
      print = function(...) printed[#printed + 1] = { ... } end,
      key = { pid = 2, comm = "cat" }, value = { count = 4 },
    })
    local ok, reason = pcall(chunk)
    local pinned = helper.exists(directory .. "/calls")
    object:close()
    helper.run("umount " .. directory)
    remove()
    assert(ok, reason)
    assert.are.same({ object }, shown)
    assert.are.equal(0, printed[1][1])
    table.sort(printed, function(a, b) return tostring(a[1]) < tostring(b[1]) end)
    assert.are.same({ { 0 }, { 1, 3 }, { 2, 4 } }, { printed[1], { printed[2][1], tonumber(printed[2][2]) },
      { printed[3][1], tonumber(printed[3][2]) } })
    assert.are.equal("struct path", tostring(printed[4][1]):match "^struct path")
    assert.is_true(pinned)
  end)

  it("attaches as it says", function()
    if not helper.has_kprobes() then return pending "this kernel has no kprobes" end
    local text = helper.read("README.md"):match "```lua\n(local program = object.-)```"
    local object = helper.open "probes"
    for _, program in ipairs(object.programs) do program:set_autoload(program.name == "on_kprobe") end
    object:load()
    local printed
    local chunk = assert(loadstring((text:gsub("4711", tostring(helper.pid)))))
    setfenv(chunk, {
      object = { programs = { on_read = object.programs.on_kprobe } },
      print = function(...) printed = { ... } end,
    })
    chunk()
    assert.are.equal("legacy", printed[1])
    assert.are.equal(1, printed[2])
    assert.are.same({ "number", "number" }, { type(printed[3]), type(printed[4]) })
    object:close()
  end)
end)
