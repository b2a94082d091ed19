-- What goes beyond one probe: wildcards, counts, cookies, one process, and what is left behind by whoever was killed.
local C = require "luaprobe.cdef"
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() then
  describe("mechanisms", function() pending "needs root" end)
  return
end

C.lp_stats_enable() -- which keeps a descriptor as long as the process lives

local version = helper.kernel_version()
local has_kprobes = helper.has_kprobes()
local has_links = version >= 5015
local callee = helper.absolute(helper.build .. "/tests/callee")
local UPROBE = "uprobe:" .. callee .. ":callee"

local function open(program, const)
  const = const or {}
  const.only_pid = const.only_pid or helper.pid
  local object = helper.open("probes", { const = const })
  for _, other in ipairs(object.programs) do other:set_autoload(other.name == program) end
  object:load()
  return object, object.programs[program]
end

local function openat(count)
  for _ = 1, count do
    ffi.C.syscall(jit.arch == "x64" and 257 or 56, ffi.cast("int", 12345), ffi.cast("const char *", "/nonexistent"),
      ffi.cast("int", 0), ffi.cast("int", 0))
  end
end

-- Events of ours in tracefs.
local function our_events()
  local _, count = helper.holdings().tracefs:gsub(":luaprobe/", "")
  return count
end

-- A process that calls callee; `go()` lets it call, and waits for its end.
local function start_callee(count)
  local directory, remove = helper.temporary_directory()
  os.execute("mkfifo " .. directory .. "/in")
  local job = helper.start(callee .. " <" .. directory .. "/in")
  local input = assert(io.open(directory .. "/in", "w"))
  assert(helper.eventually(30, function() -- it has its libraries
    return helper.read(("/proc/%d/maps"):format(job.pid)):find("libc", 1, true)
  end))
  return {
    pid = job.pid,
    go = function()
      input:write(count, "\n")
      input:close()
      job.wait()
      remove()
    end,
  }
end

describe("counts", function()
  helper.check_leaks(before_each, after_each)

  local CALLS = 100000

  for _, mechanism in ipairs { "link", "perf", "legacy", "multi" } do
    local works = mechanism == "perf" or mechanism == "legacy" or mechanism == "link" and has_links
      or mechanism == "multi" and version >= 6006
    it(("of a uprobe by %s are right after %d calls"):format(mechanism, CALLS), function()
      if not works then return pending("this kernel has no " .. mechanism) end
      local process = start_callee(CALLS)
      local object, program = open("on_uprobe", { only_pid = process.pid })
      local probe = program:attach { target = UPROBE, mechanism = mechanism, stats = true }
      assert.are.equal(0, probe.hits)
      process.go()
      assert.are.equal(CALLS, probe.hits)
      assert.are.equal(0, probe.missed or 0)
      probe:detach()
      assert.are.equal(CALLS, probe.hits) -- they stay
      object:close()
    end)
  end

  -- While callee is called all the time: what is counted at the probe is what the program counts itself.
  for _, mechanism in ipairs { "link", "perf", "legacy", "multi" } do
    it(("of a busy uprobe by %s begin at nothing and are those of the program"):format(mechanism), function()
      if not (mechanism == "perf" or mechanism == "legacy" or mechanism == "link" and has_links
        or mechanism == "multi" and version >= 6006) then
        return pending("this kernel has no " .. mechanism)
      end
      local job = helper.start(("setsid sh -c %s >/dev/null"):format(
        helper.quote("while :; do echo 1000000; done | exec " .. callee)))
      local pid
      assert(helper.eventually(10, function()
        pid = tonumber((helper.run("pidof callee")):match "%d+")
        return pid
      end))
      local object, program = open("on_uprobe", { only_pid = pid })
      local probe = program:attach { target = UPROBE, pid = pid, mechanism = mechanism, stats = true }
      assert.is_true(probe.hits <= tonumber(object.data.uprobe_seen.calls))
      helper.sleep(0.3)
      probe:detach()
      local calls = tonumber(object.data.uprobe_seen.calls)
      helper.kill(-job.pid, 9)
      job.wait()
      object:close()
      assert.is_true(calls > 100)
      -- By legacy tracefs counts, not quite at the moments at which the program comes and goes.
      local tolerated = mechanism == "legacy" and calls * 0.02 + 50 or 0
      assert.is_true(math.abs(probe.hits - calls) <= tolerated, probe.hits .. " of " .. calls)
    end)
  end

  it("of a list are counted once, and of a program at two probes not at all", function()
    for _, mechanism in ipairs { "perf", "legacy" } do
      local process = start_callee(100)
      local object, program = open("on_uprobe", { only_pid = process.pid })
      local probe = program:attach { uprobe = callee .. ":callee*", pid = process.pid, mechanism = mechanism,
        stats = true }
      process.go()
      assert.are.equal(101, probe.hits)
      if mechanism == "perf" then
        program:attach { target = UPROBE, mechanism = "perf" }
        assert.is_nil(probe.hits)
      end
      object:close()
    end
  end)
end)

describe("a process", function()
  helper.check_leaks(before_each, after_each)

  it("is the only one that a probe with pid runs for", function()
    local one, other = start_callee(10), start_callee(1000)
    local object, program = open("on_uprobe", { only_pid = one.pid })
    local probe = program:attach { target = UPROBE, pid = one.pid, mechanism = "legacy" }
    other.go()
    one.go()
    assert.are.equal(10, probe.hits) -- tracefs counts all hits that were not filtered
    object:close()
  end)

  it("is refused where the kernel would ignore it", function()
    local object, program = open "on_tracepoint"
    local ok, reason = pcall(program.attach, program, { target = "tracepoint:syscalls:sys_enter_openat", pid = 1 })
    object:close()
    assert.is_false(ok)
    assert.is_truthy(reason.message:find "pid is for uprobes")
  end)

  it("that is gone, or never was, is an error", function()
    local object, program = open "on_uprobe"
    for _, mechanism in ipairs { "auto", "perf", "legacy" } do
      local ok, reason = pcall(program.attach, program, { target = UPROBE, pid = 4194303, mechanism = mechanism })
      assert.is_false(ok)
      assert.are.equal("ESRCH", reason.code)
    end
    object:close()
  end)

  it("in a mount namespace of its own has its own binary probed", function()
    local directory, remove = helper.temporary_directory()
    local path = directory .. "/private/callee"
    os.execute(("mkdir %s/private && mkfifo %s/in"):format(directory, directory))
    -- The path is there for the process alone, so it can only be found as the process sees it.
    local job = helper.start(([[unshare -m sh -c '
      mount -t tmpfs none %s/private && cp %s %s && exec %s <%s/in']]):format(
      directory, callee, path, path, directory))
    local input = assert(io.open(directory .. "/in", "r+")) -- "w" would wait for ever if nobody came to read
    local seen_from_here = ("/proc/%d/root%s"):format(job.pid, path)
    assert.is_true(helper.eventually(10, function() return helper.exists(seen_from_here) end))
    assert.is_false(helper.exists(path))
    for _, mechanism in ipairs { "auto", "legacy" } do
      local object, program = open("on_uprobe", { only_pid = job.pid })
      program:attach { uprobe = path .. ":callee", pid = job.pid, mechanism = mechanism }
      local before = #job.out()
      input:write "5\n"
      input:flush()
      assert.is_true(helper.eventually(10, function() return #job.out() > before end))
      assert.are.equal(5, tonumber(object.data.uprobe_seen.calls))
      object:close()
    end
    job.signal(15)
    input:close()
    job.wait()
    remove()
  end)

  it("has its own libc found by name", function()
    local process = start_callee(1)
    local object, program = open("on_uprobe", { only_pid = process.pid })
    local probe = program:attach { uprobe = "libc:fflush", pid = process.pid }
    process.go()
    assert.is_true(tonumber(object.data.uprobe_seen.calls) >= 1)
    probe:detach()
    object:close()
  end)
end)

describe("an option that means nothing", function()
  helper.check_leaks(before_each, after_each)

  local function refusal(program_name, opts)
    local object, program = open(program_name)
    local reason = helper.refusal(program.attach, program, opts)
    object:close()
    return reason
  end

  it("for a program's target is refused", function()
    local tracepoint = "tracepoint:syscalls:sys_enter_openat"
    helper.contains(refusal("on_tracepoint", { target = tracepoint, maxactive = 7 }), tracepoint
      .. ": maxactive is for kretprobes", "leave maxactive out")
    helper.contains(refusal("on_uretprobe", { target = "uretprobe:" .. callee .. ":callee", maxactive = 7 }),
      "maxactive is for kretprobes")
    helper.contains(refusal("on_uprobe", { target = UPROBE, force = true }), "force is for uretprobes")
    helper.contains(refusal("on_kprobe", { kprobe = "do_sys_openat2", maxactive = 7 }), "maxactive is for kretprobes")
  end)

  it("for some of an object's programs is for those, and refused when it is for none", function()
    local object = helper.open("getpgid")
    object:attach { first = { { "kprobe", "kretprobe" }, "tracepoint" }, maxactive = 7 }
    object:close()
    object = helper.open("getpgid")
    helper.contains(helper.refusal(object.attach, object, { first = { "tracepoint" }, maxactive = 7 }),
      "maxactive is for kretprobes", "leave maxactive out")
    object:close()
  end)
end)

describe("a cookie", function()
  helper.check_leaks(before_each, after_each)

  local function cookie_of(target, program_name, mechanism)
    local process = start_callee(3)
    local object, program = open(program_name, { only_pid = process.pid, with_cookie = has_links })
    local ok, failure = pcall(program.attach, program, { target = target, cookie = 1000000007, mechanism = mechanism })
    process.go()
    local sum = tonumber(object.data.uprobe_seen.cookies)
    object:close()
    return ok and sum or failure
  end

  it("reaches the program where the kernel has cookies, and is refused where not", function()
    local result = cookie_of(UPROBE, "on_uprobe", "auto")
    if has_links then
      assert.are.equal(3 * 1000000007, result)
    else
      assert.are.equal("attach", result.stage)
      assert.is_truthy(tostring(result):find "5.15")
    end
  end)

  it("is refused by mechanisms that have none", function()
    local result = cookie_of(UPROBE, "on_uprobe", "perf")
    assert.are.equal("EOPNOTSUPP", result.code)
    assert.is_truthy(result.hint:find "link")
  end)
end)

describe("a wildcard", function()
  helper.check_leaks(before_each, after_each)

  it("of USDT probes for a program that has no support for them says what it lacks", function()
    local object = helper.open "entries"
    for _, other in ipairs(object.programs) do other:set_autoload(other.name == "d") end
    object:load()
    local program = object.programs.d
    local ok, reason = pcall(program.attach, program, "usdt:" .. callee .. ":luaprobe_*:call*")
    object:close()
    assert.is_false(ok)
    assert.is_truthy(reason.hint:find("usdt.bpf.h", 1, true), tostring(reason))
  end)

  it("of tracepoints stands for all that match", function()
    local object, program = open "on_tracepoint"
    local probe = program:attach "tracepoint:syscalls:sys_enter_open*"
    assert.is_true(probe.functions >= 3 and probe.functions < 10)
    openat(1)
    assert.are.equal(1, tonumber(object.data.tracepoint_seen.calls))
    object:close()
  end)

  it("of a binary's functions too", function()
    local process = start_callee(7)
    local object, program = open("on_uprobe", { only_pid = process.pid })
    local probe = program:attach("uprobe:" .. callee .. ":call*")
    assert.are.equal(2, probe.functions) -- callee and callee_too
    process.go()
    assert.are.equal(8, tonumber(object.data.uprobe_seen.calls))
    object:close()
  end)

  for _, mechanism in ipairs { "auto", "link", "perf", "legacy", "multi" } do
    it("or a list of a binary's functions counts each of them, by " .. mechanism, function()
      if mechanism == "link" and not has_links or mechanism == "multi" and version < 6006 then
        return pending("this kernel has no " .. mechanism)
      end
      local process = start_callee(7)
      local object, program = open("on_uprobe", { only_pid = process.pid })
      local probe = program:attach { uprobe = { callee .. ":callee", callee .. ":callee_too" }, pid = process.pid,
        mechanism = mechanism }
      assert.are.equal(2, probe.functions)
      local joined = version >= 6006 and "multi" or "legacy"
      assert.are.equal(mechanism == "auto" and joined or mechanism, probe.mechanism)
      process.go()
      assert.are.equal(8, tonumber(object.data.uprobe_seen.calls))
      object:close()
    end)
  end

  it("or a list of functions of several binaries counts each of them", function()
    local process = start_callee(7)
    local object, program = open("on_uprobe", { only_pid = process.pid })
    local probe = program:attach { uprobe = { callee .. ":callee", "libc:fflush" }, pid = process.pid }
    assert.are.equal(2, probe.functions)
    process.go()
    assert.is_true(tonumber(object.data.uprobe_seen.calls) >= 8)
    object:close()
  end)

  it("or a list with a function that is not there says which, and attaches nothing", function()
    if not has_kprobes then return pending "this kernel has no kprobes" end
    for _, mechanism in ipairs { "auto", "perf", "legacy" } do
      local object, program = open "on_kprobe"
      local ok, reason = pcall(program.attach, program,
        { kprobe = { "do_sys_openat2", "vfs_read", "no_such_function" }, mechanism = mechanism })
      assert.is_false(ok)
      assert.is_truthy(reason.message:find("no_such_function", 1, true), reason.message)
      assert.are.equal(0, our_events())
      object:close()
    end
  end)

  it("that matches nothing says so", function()
    local object, program = open "on_tracepoint"
    local ok, reason = pcall(program.attach, program, "tracepoint:syscalls:nothing_like_*")
    assert.is_false(ok)
    assert.is_truthy(reason.message:find "no tracepoint matches")
    object:close()
  end)

  for _, mechanism in ipairs { "auto", "multi", "legacy", "perf" } do
    it("of kernel functions counts each of them, by " .. mechanism, function()
      if not has_kprobes then return pending "this kernel has no kprobes" end
      if mechanism == "multi" and version < 6012 then return pending "this kernel has no kprobe.multi" end
      local object, program = open "on_kprobe"
      local probe = program:attach { kprobe = "do_sys_openat*", mechanism = mechanism }
      local expected = mechanism ~= "auto" and mechanism or "link"
      if mechanism == "auto" and not has_links then expected = "perf" end
      assert.are.equal(expected, probe.mechanism)
      assert.are.equal(1, probe.functions)
      probe:detach()
      probe = program:attach { kprobe = { "do_sys_openat2", "__*_sys_getpgid", "vfs_fs*" }, mechanism = mechanism,
        stats = true }
      assert.is_true(probe.functions > 3, probe.functions)
      if mechanism == "auto" then
        assert.are.equal(version >= 6012 and "multi" or "legacy", probe.mechanism)
      end
      local function check(opens, others, expected_calls)
        local before = tonumber(object.data.kprobe_seen.calls)
        openat(opens)
        for _ = 1, others do helper.getpgid(0) end
        assert.are.equal(expected_calls, tonumber(object.data.kprobe_seen.calls) - before)
      end
      check(50, 20, 70)
      assert.is_true(probe.hits >= 70) -- of all processes
      if probe.mechanism ~= "multi" then
        probe:disable()
        check(10, 10, 0)
        probe:enable()
        check(10, 10, 20)
      end
      probe:detach()
      check(10, 10, 0)
      object:close()
    end)
  end
end)

describe("a binary", function()
  helper.check_leaks(before_each, after_each)

  it("is not kept open: its file system can be unmounted once nothing probes it", function()
    local object, program = open "on_uprobe"
    for _, mechanism in ipairs { "auto", "perf", "legacy" } do
      program:attach({ target = UPROBE, mechanism = mechanism }):detach()
    end
    local pipe = io.popen(("ls -l /proc/%d/fd"):format(helper.pid))
    assert.is_nil(pipe:read "*a":find(callee, 1, true))
    pipe:close()
    object:close()
  end)

  local function count(path, target, program_name, opts)
    local directory, remove = helper.temporary_directory()
    os.execute("mkfifo " .. directory .. "/in")
    local job = helper.start(path .. " <" .. directory .. "/in")
    local input = assert(io.open(directory .. "/in", "w"))
    local object, program = open(program_name or "on_uprobe", { only_pid = job.pid })
    opts = opts or {}
    opts.target = target
    local ok, result = pcall(program.attach, program, opts)
    input:write "7\n"
    input:close()
    job.wait()
    remove()
    local seen = object.data[program_name == "on_uretprobe" and "uretprobe_seen" or "uprobe_seen"]
    local calls = tonumber(seen.calls)
    object:close()
    return ok and calls or result
  end

  it("at fixed addresses is probed at the right place", function()
    local path = helper.absolute(helper.build .. "/tests/callee_fixed")
    assert.are.equal(7, count(path, "uprobe:" .. path .. ":callee"))
  end)

  it("is probed at an offset in the file as well", function()
    local path = helper.absolute(helper.build .. "/tests/callee_fixed")
    local list = helper.luaprobe_run("list -v uprobe:" .. path .. ":callee")
    assert.are.equal(7, count(path, "uprobe:" .. path .. ":" .. list:match "callee (0x%x+)"))
  end)

  -- callee begins with a nop, one byte on x86 and four on arm64; what follows is longer.
  it("is probed where instructions begin and nowhere else", function()
    local second = jit.arch == "x64" and 1 or 4
    local inside = ("%s:callee+%d"):format(callee, second + 1)
    for _, mechanism in ipairs { "auto", "perf", "legacy" } do
      assert.are.equal(7, count(callee, ("%s+%d"):format(UPROBE, second), nil, { mechanism = mechanism }))
      -- callee runs to its end, so nothing is in its way.
      helper.contains(tostring(count(callee, "uprobe:" .. inside, nil, { mechanism = mechanism })), "uprobe:" .. inside,
        ("callee+%d (0x"):format(second + 1), "is not the start of an instruction",
        ("instructions begin at +%d and +%d"):format(second, jit.arch == "x64" and 4 or 8))
      assert.are.equal(0, our_events())
    end
    local start = helper.luaprobe_run("list -v " .. UPROBE):match "callee (0x%x+)"
    helper.contains(tostring(count(callee, ("uprobe:%s:0x%x"):format(callee, tonumber(start) + second + 1))),
      "is not the start of an instruction")
    assert.are.equal(7, count(callee, ("uprobe:%s:0x%x"):format(callee, tonumber(start) + second)))
  end)

  it("of Go takes no uretprobe, unless it is forced", function()
    local path = helper.absolute(helper.build .. "/tests/callee_go")
    local refusal = count(path, "uretprobe:" .. path .. ":callee", "on_uretprobe")
    assert.is_truthy(refusal.message:find "is a Go program")
    assert.is_truthy(refusal.hint:find "force = true")
    assert.are.equal(7, count(path, "uretprobe:" .. path .. ":callee", "on_uretprobe", { force = true }))
    assert.are.equal(7, count(path, "uprobe:" .. path .. ":callee"))
  end)

  it("has mangled names, which the name in the source leads to", function()
    local object, program = open "on_uprobe"
    local function hint(name) return helper.refusal(program.attach, program, "uprobe:" .. callee .. ":" .. name) end
    for _, name in ipairs { "ns::Foo::bar(int)", "ns::Foo::bar" } do
      helper.contains(hint(name), ("uprobe:%s:%s: "):format(callee, name), "has no function " .. name,
        ("write its mangled name: uprobe:%s:_ZN2ns3Foo3barEi"):format(callee))
    end
    for _, name in ipairs { "ns::Foo::baz(int)", "ns::F*", "other(int)" } do
      helper.contains(hint(name), ("luaprobe list 'uprobe:%s:*'"):format(callee))
    end
    object:close()
  end)

  it("that is not there is told with the target", function()
    local object, program = open "on_uprobe"
    helper.contains(helper.refusal(program.attach, program, "uprobe:/nonexistent:f"),
      "uprobe:/nonexistent:f: /nonexistent: No such file or directory", "name a program or library by its path")
    helper.contains(helper.refusal(program.attach, program, "uprobe:nonexistent:f"),
      "uprobe:nonexistent:f: there is no program or library 'nonexistent'")
    object:close()
  end)

  it("that is stripped is resolved by the debug file of its build-id", function()
    if helper.run "command -v objcopy readelf" == "" then return pending "objcopy is not installed" end
    local directory, remove = helper.temporary_directory()
    local path = directory .. "/stripped"
    local id = helper.run("readelf -n " .. callee):match "Build ID: (%x+)"
    local debug_directory = "/usr/lib/debug/.build-id/" .. id:sub(1, 2)
    helper.run(("objcopy --strip-all %s %s"):format(callee, path))
    assert.is_truthy(tostring(count(path, "uprobe:" .. path .. ":callee")):find "stripped")
    helper.run(("mkdir -p %s && objcopy --only-keep-debug %s %s/%s.debug"):format(debug_directory, callee,
      debug_directory, id:sub(3)))
    local calls = count(path, "uprobe:" .. path .. ":callee")
    helper.run(("rm %s/%s.debug; rmdir -p --ignore-fail-on-non-empty %s"):format(debug_directory, id:sub(3),
      debug_directory))
    remove()
    assert.are.equal(7, calls)
  end)
end)

describe("a probe", function()
  helper.check_leaks(before_each, after_each)

  it("that samples time runs as often as its target says", function()
    local expectations = { ["profile:hz:100"] = 50, ["profile:ms:5"] = 100, ["software:cpu-clock:10000000"] = 50 }
    for target, expected in pairs(expectations) do
      local object, program = open("on_perf_event", { faults_from = 0, faults_to = -1ULL })
      local probe = program:attach { target = target, pid = helper.pid }
      local stop = os.clock() + 0.5
      while os.clock() < stop do end
      probe:detach()
      local calls = tonumber(object.data.perf_event_seen.calls)
      assert.is_true(calls > expected * 0.5 and calls < expected * 1.5 + 5, target .. ": " .. calls)
      object:close()
    end
  end)

  it("by legacy is gone after any exit of the process's own", function()
    local script = ([[-e '
      local object = require "luaprobe".open("%sprobes.bpf.o")
      for _, program in ipairs(object.programs) do program:set_autoload(program.name == "on_uprobe") end
      object:load()
      object.programs.on_uprobe:attach { target = "%s", mechanism = "legacy" }
      %%s']]):format(helper.fixtures, UPROBE)
    for _, ending in ipairs { "os.exit(3)", "os.exit(3, true)", "error(1)", "os.exit(3, false)", "" } do
      helper.run("ASAN_OPTIONS=detect_leaks=0 " .. helper.luaprobe .. " " .. script:format(ending))
      assert.are.equal(0, our_events(), ending)
    end
  end)

  it("goes with its object when the script forgets that", function()
    do
      local _, program = open "on_uprobe"
      program:attach(UPROBE)
      program:attach { target = UPROBE, mechanism = "legacy" }
      assert.are.equal(1, our_events())
    end
    collectgarbage()
    collectgarbage()
    assert.are.equal(0, our_events())
  end)
end)

describe("what a killed process leaves", function()
  helper.check_leaks(before_each, after_each)

  local kprobe = "kprobe:do_sys_openat2"
  local script = ([[-e '
    local lp = require "luaprobe"
    local object = lp.open("%sprobes.bpf.o")
    for _, program in ipairs(object.programs) do program:set_autoload(program.name == "%s") end
    object:load()
    object.programs.%s:attach { target = "%s", mechanism = "legacy" }
    io.stderr:write "attached\n"
    io.stdin:read()
  ' </dev/zero]])
  script = script:format(helper.fixtures, has_kprobes and "on_kprobe" or "on_uprobe",
    has_kprobes and "on_kprobe" or "on_uprobe", has_kprobes and kprobe or UPROBE)

  local function leave_an_event()
    local job = helper.start(helper.luaprobe .. " " .. script)
    assert(helper.eventually(20, function() return job.err():find "attached" end), job.err())
    return job
  end

  it("is removed by the next that starts, and nobody else's", function()
    local living = leave_an_event()
    local killed = leave_an_event()
    assert.are.equal(2, our_events())
    killed.signal(9)
    killed.wait()
    assert.are.equal(2, our_events())
    helper.luaprobe_run "-e 'x = 1'"
    assert.are.equal(1, our_events())
    living.signal(9)
    living.wait()
    assert.are.same({ "removed 1 events\n", "", 0 }, { helper.luaprobe_run "gc" })
    assert.are.equal(0, our_events())
  end)

  it("is removed by whoever is ended by a signal that nobody catches", function()
    for _, signal in ipairs { 1, 13, 15 } do -- the shell lets the background ignore 2 and 3
      local job = leave_an_event()
      assert.are.equal(1, our_events())
      job.signal(signal)
      local _, _, status = job.wait()
      assert.are.equal(128 + signal, status)
      assert.are.equal(0, our_events())
    end
  end)

  it("is removed when its owner is a zombie", function()
    -- The parent does not wait for it: exec took the shell's place.
    local directory, remove = helper.temporary_directory()
    helper.write(directory .. "/script", "exec " .. helper.luaprobe .. " " .. script .. " 2>" .. directory .. "/err")
    helper.write(directory .. "/err", "")
    local parent = helper.start(("sh -c 'sh %s/script & echo $!; exec sleep 60'"):format(directory))
    assert(helper.eventually(20, function() return helper.read(directory .. "/err"):find "attached" end))
    local owner = parent.out():match "%d+"
    helper.kill(tonumber(owner), 9)
    assert(helper.eventually(10, function() return helper.read("/proc/" .. owner .. "/stat"):find "%) Z " end))
    assert.are.same({ "removed 1 events\n", "", 0 }, { helper.luaprobe_run "gc" })
    parent.signal(9)
    parent.wait()
    remove()
    assert.are.equal(0, our_events())
  end)

  it("is removed when its owner's pid namespace is gone, not before", function()
    local job = helper.start("unshare -pf --kill-child --mount-proc " .. helper.luaprobe .. " " .. script)
    assert(helper.eventually(20, function() return job.err():find "attached" end), job.err())
    assert.are.same({ "removed 0 events\n", "", 0 }, { helper.luaprobe_run "gc" })
    assert.are.equal(1, our_events())
    job.signal(9)
    job.wait()
    local total = 0 -- unshare is gone before its child is
    helper.eventually(10, function()
      total = total + tonumber(helper.luaprobe_run("gc"):match "%d+")
      return total == 1
    end)
    assert.are.equal(0, our_events())
  end)

  it("is removed whole, however much it is", function()
    local many = ([[-e '
      local object = require "luaprobe".open("%sprobes.bpf.o")
      for _, program in ipairs(object.programs) do program:set_autoload(program.name == "on_uprobe") end
      object:load()
      for _ = 1, 100 do object.programs.on_uprobe:attach { target = "%s", mechanism = "legacy" } end
      io.stderr:write "attached\n"
      io.stdin:read()
    ' </dev/zero]]):format(helper.fixtures, UPROBE)
    local job = helper.start(helper.luaprobe .. " " .. many)
    assert(helper.eventually(60, function() return job.err():find "attached" end), job.err())
    job.signal(9)
    job.wait()
    assert.are.same({ "removed 100 events\n", "", 0 }, { helper.luaprobe_run "gc" })
    assert.are.equal(0, our_events())
  end)

  -- Calls what is probed, all the time.
  local function start_load()
    local command = has_kprobes and "while :; do cat /etc/hostname; sleep 0.01; done"
      or "while :; do echo 1000; done | " .. callee
    return helper.start(("setsid sh -c %s >/dev/null"):format(helper.quote(command)))
  end

  local function seconds_to_attach()
    local start = tonumber(C.lp_time_monotonic())
    local job = leave_an_event()
    local seconds = (tonumber(C.lp_time_monotonic()) - start) / 1e9
    job.signal(9)
    job.wait()
    return seconds
  end

  -- An emulated machine takes a second for what takes this one 100 ms.
  local KILLS, AT_ONCE = tonumber(os.getenv "LUAPROBE_KILLS") or has_kprobes and 24 or 200, 8

  it(("is gone after %d kills at random moments under load, once somebody has started"):format(KILLS), function()
    math.randomseed(42)
    local load = start_load()
    local longest, attached = 1.5 * seconds_to_attach(), 0
    for _ = 1, KILLS / AT_ONCE do
      local jobs = {}
      for i = 1, AT_ONCE do jobs[i] = helper.start(helper.luaprobe .. " " .. script) end
      for _, job in ipairs(jobs) do
        helper.sleep(math.random() * longest / AT_ONCE)
        job.signal(9)
      end
      for _, job in ipairs(jobs) do
        if select(2, job.wait()):find "attached" then attached = attached + 1 end
      end
    end
    helper.kill(-load.pid, 15)
    load.wait()
    assert.is_true(attached > 0 and attached < KILLS, attached) -- so some were killed while they attached
    helper.luaprobe_run "-e 'x = 1'"
    assert.are.equal(0, our_events())
  end)
end)
