-- One-file scripts where there is no compiler: run with nothing but luaprobe and libc, from a file, from standard
-- input, by their own name. In the guests (tests/vm) there is neither clang nor a header.
local helper = require "helper"

if not helper.is_root() then
  describe("one-file scripts", function() pending "needs root" end)
  return
end

local SCRIPT = helper.absolute(helper.fixtures .. "execs.lua") -- examples/execs.lua, packed by the build

describe("a packed script", function()
  helper.check_leaks(before_each, after_each)
  local directory, remove
  setup(function()
    directory, remove = helper.temporary_directory()
    os.execute(("cd %s; mkdir -p root/tmp root/proc root/sys bin; ln -s %s bin/luaprobe"):format(directory,
      helper.absolute(helper.luaprobe)))
    -- The binary and the libraries that it is linked with, the dynamic loader among them.
    os.execute(("cp %s %s/root/luaprobe; cp %s %s/root/tool.lua; cp %s %s/tool.lua; chmod +x %s/tool.lua"):format(
      helper.luaprobe, directory, SCRIPT, directory, SCRIPT, directory, directory))
    for library in helper.run("LD_TRACE_LOADED_OBJECTS=1 " .. helper.luaprobe):gmatch "(/%S+) %(0x" do
      os.execute(("mkdir -p %s/root%s; cp -L %s %s/root%s"):format(directory, library:match "^.*/", library, directory,
        library))
    end
  end)
  teardown(function() remove() end)

  -- A command in that root directory, with the kernel's own file systems, for as long as it runs.
  local function within(command)
    return ("unshare -m sh -c 'cd %s/root; mount -t proc proc proc; mount -t sysfs sys sys; exec chroot . %s'"):format(
      directory, command)
  end

  -- Runs a command while programs are started; fails unless it shows them.
  local function shows_programs(command)
    local job = helper.start(command)
    assert.is_true(helper.eventually(30, function() return job.out():find "COMM" end), job.err())
    for _ = 1, 3 do os.execute "/bin/true" end
    helper.sleep(0.2)
    job.signal(2)
    local out, err, status = job.wait()
    assert.are.same({ "", 0 }, { err, status })
    local count = select(2, out:gsub("\n%d+ +0 +true", ""))
    assert.are.equal(3, count, out)
  end

  it("needs nothing but the binary and libc", function()
    if helper.luaprobe:find "sanitize" then return pending "the sanitized build is linked with the sanitizers" end
    local libraries = {}
    for name in helper.run("LD_TRACE_LOADED_OBJECTS=1 " .. helper.luaprobe):gmatch "/(lib[%w_+-]+)[^/%s]*%s+%(0x" do
      libraries[#libraries + 1] = name
    end
    table.sort(libraries)
    -- Debian 13's libelf.a cannot be linked (cmake/Dependencies.cmake): there libelf and what it needs come with it.
    for _, name in ipairs(libraries) do
      assert.is_truthy(("libc libm libdl libpthread libelf libz libzstd"):find(name, 1, true), name)
    end
  end)

  it("runs in a root directory that holds only these, from a file and from standard input", function()
    assert.is_false(helper.exists(directory .. "/root/bin"))
    shows_programs(within "/luaprobe /tool.lua -c true")
    shows_programs(within("/luaprobe - -c true <" .. SCRIPT))
  end)

  it("runs by its own name", function()
    shows_programs(("env PATH=%s/bin:$PATH %s/tool.lua -c true"):format(directory, directory))
  end)

  it("can be inspected and checked there, too", function()
    local out, err, status = helper.run(within "/luaprobe inspect /tool.lua")
    assert.are.same({ "", 0 }, { err, status })
    assert.is_truthy(out:find("tracepoint:sched:sched_process_exec", 1, true), out)
    out, err, status = helper.run(within "/luaprobe check /tool.lua")
    assert.are.same({ "", 0 }, { err, status })
    assert.is_truthy(out:find("yes  on_exec", 1, true), out)
    out, err, status = helper.run(within "/luaprobe check")
    assert.are.same({ "", 0 }, { err, status })
    assert.is_truthy(out:find "\nNO   clang +none\n +only writing scripts needs it", out)
  end)

  it("without its objects says what is missing", function()
    local _, err, status = helper.run(within "/luaprobe - <" .. helper.absolute "examples/execs.lua")
    assert.are.equal(1, status)
    assert.is_truthy(err:find("no clang here", 1, true) and err:find("luaprobe pack", 1, true), err)
  end)

  it("can be made of a built-in script without a compiler, and attaches what it carries", function()
    local path = directory .. "/opens.lua"
    local _, err, status = helper.run(("LUAPROBE_CLANG=/none %s pack opensnoop -o %s"):format(helper.luaprobe, path))
    assert.are.equal(0, status, err)
    local job = helper.start(helper.luaprobe .. " " .. path .. " -c cat")
    assert.is_true(helper.eventually(30, function() return job.out():find "PATH" end), job.err())
    os.execute "cat /etc/hostname >/dev/null"
    helper.sleep(0.2)
    job.signal(2)
    local out
    out, err, status = job.wait()
    assert.are.equal(0, status, err)
    assert.is_truthy(out:find("/etc/hostname\n", 1, true), out)
    if helper.has_kprobes() then assert.are.equal("", err) end
  end)
end)
