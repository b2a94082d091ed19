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

describe("the README", function()
  helper.check_leaks(before_each, after_each)
  require("luaprobe.cdef").lp_stats_enable() -- which keeps a descriptor as long as the process lives

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
