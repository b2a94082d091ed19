-- lp.count, lp.trace and lp.latency, on every kind of target that this kernel has.
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() then
  describe("one-liners", function() pending "needs root" end)
  return
end

local C = require "luaprobe.cdef"
local lp = require "luaprobe"

local CALLEE = "uprobe:" .. helper.build .. "/tests/callee:"
local SYS_OPENAT = jit.arch == "x64" and 257 or 56
local SYS_LSEEK = jit.arch == "x64" and 8 or 62
pcall(ffi.cdef, "int getppid(void);")
local has_cookies = C.lp_kernel_at_least(5, 15)

-- Calls callee(3, 40) so many times, callee_too(0, 0) and nested(5) once.
local function call(times)
  os.execute(("echo %d | %s/tests/callee >/dev/null"):format(times, helper.build))
end

local function openat(directory, path, times)
  for _ = 1, times do
    ffi.C.syscall(SYS_OPENAT, ffi.cast("int", directory), ffi.cast("const char *", path), ffi.cast("int", 0x8000),
      ffi.cast("int", 0))
  end
end

local function counts(count)
  local found = {}
  for _, item in ipairs(count:items()) do found[item.key] = item.count end
  return found
end

local function counted(target, opts, act)
  lp.ksym(0) -- these open files, once
  C.lp_map_cpus(5)
  local count = lp.count(target, opts)
  act()
  local found, total = counts(count), count:total()
  count:detach()
  assert.are.same(found, counts(count)) -- what was counted stays
  assert.are.equal(0, count:lost())
  return found, total
end

-- What a function prints.
local function printed(fn)
  local parts, live = {}, require "luaprobe.live"
  local write = live.write
  live.write = function(text) parts[#parts + 1] = text end
  local ok, failure = pcall(fn)
  live.write = write
  assert(ok, failure)
  return table.concat(parts)
end

describe("lp.count", function()
  helper.check_leaks(before_each, after_each)

  it("counts calls of user space by what is asked for", function()
    local function by(key, opts)
      opts = opts or {}
      opts.by = key
      return counted(CALLEE .. "callee", opts, function() call(7) end)
    end
    assert.are.same({ callee = 7 }, by "func")
    assert.are.same({ callee = 7 }, by "comm")
    assert.are.same({ [0] = 7 }, by "uid")
    assert.are.same({ [3] = 7 }, by "arg0")
    assert.are.same({ [40] = 7 }, by("arg1", { where = "arg0 == 3 and comm == 'cal*' and arg1 > 39" }))
    assert.are.same({}, by("arg1", { where = "arg0 ~= 3" }))
    assert.are.same({}, by("arg1", { where = "comm == 'calle'" }))
    assert.are.same({ all = 7 }, (by(nil)))
    local pids = by "pid"
    assert.is_true(next(pids) > 1 and next(pids, next(pids)) == nil)
    assert.are.same(7, select(2, by "tid"))
    assert.are.same(7, select(2, by "cpu"))
  end)

  it("counts returns", function()
    local target = CALLEE:gsub("uprobe", "uretprobe") .. "callee"
    assert.are.same({ [43] = 7 }, (counted(target, { by = "ret" }, function() call(7) end)))
    assert.are.same({ callee = 7 }, (counted(target, { by = "func" }, function() call(7) end)))
  end)

  it("tells the functions of a pattern apart", function()
    local function patterns()
      return counted(CALLEE .. "callee*", { by = "func" }, function() call(7) end)
    end
    if has_cookies then
      assert.are.same({ callee = 7, callee_too = 1 }, (patterns()))
    else
      assert.has_error(patterns)
    end
    assert.are.same({ callee = 8 }, (counted(CALLEE .. "callee*", { by = "comm" }, function() call(7) end)))
  end)

  it("takes what can be probed of a library, by place where several have a name", function()
    if not has_cookies then return pending "needs Linux 5.15" end
    for _, pattern in ipairs { "getp*", "mem*", "str*", "pthread_*" } do
      local count = lp.count("uprobe:libc:" .. pattern, { by = "func", pid = helper.pid })
      if pattern == "getp*" then
        for _ = 1, 10 do ffi.C.getppid() end
        assert.are.same({ getppid = 10 }, counts(count))
      end
      count:detach()
    end
  end)

  it("counts tracepoints by their fields", function()
    local opts = { by = "filename:ustr", pid = helper.pid, where = "dfd == -77" }
    local path = "/nonexistent/luaprobe"
    assert.are.same({ [path] = 5 }, (counted("tracepoint:syscalls:sys_enter_openat", opts, function()
      openat(-77, path, 5)
      openat(-78, path, 5)
    end)))
    assert.are.same({ [-2] = 5 }, (counted("tracepoint:syscalls:sys_exit_openat",
      { by = "ret", pid = helper.pid, where = "ret < 0" }, function() openat(-77, path, 5) end)))
    if has_cookies then
      local found = counted("tracepoint:syscalls:sys_*_openat", { by = "func", pid = helper.pid }, function()
        openat(-77, path, 5)
      end)
      -- Attaching one opens files while the other is attached already.
      assert.is_true(found.sys_enter_openat >= 5 and found.sys_exit_openat >= 5)
    end
  end)

  it("counts by stack, and prints", function()
    local count = lp.count("tracepoint:sched:sched_process_fork", { by = "stack", pid = helper.pid })
    for _ = 1, 5 do os.execute "true" end
    local items = count:items()
    assert.are.equal(5, items[1].count)
    assert.is_true(#items[1].key > 1)
    for _, frame in ipairs(items[1].key) do
      assert.is_truthy(frame:find "^[%a_][%w_.]*%+0x%x+$", frame)
    end
    assert.is_truthy(printed(function() count:top(1) end):find "^ +COUNT  STACK\n +5  %S+")
    assert.is_truthy(printed(function() count:watch(0.05, { times = 2 }) end):find "COUNT +PER_SEC  STACK\n +5 +%d+  ")
    assert.are.equal(1, #lp.session())
    assert.are.equal(5, lp.session()[1].hits)
    assert.are.equal(1, lp.detach_all())
    assert.are.equal("nothing is attached", tostring(lp.session()))
  end)

  it("refuses stacks where the kernel has none", function()
    local ok, failure = pcall(lp.trace, "uprobe:" .. helper.build .. "/tests/callee:callee", "arg0", { stack = true })
    assert.is_false(ok)
    assert.is_truthy(tostring(failure):find "callee: stacks are the kernel's, and it has none")
    local function by_stack()
      local count = lp.count("tracepoint:syscalls:sys_enter_openat", { by = "stack", pid = helper.pid })
      openat(-77, "/nonexistent", 3)
      local items = count:items()
      count:detach()
      return items[1].key
    end
    if helper.kernel_version() >= 6012 then
      assert.is_true(#by_stack() > 1)
    else
      ok, failure = pcall(by_stack)
      assert.is_false(ok)
      assert.is_truthy(tostring(failure):find("before Linux 6.12 the tracepoints of single system calls have no stack\n"
        .. "  hint: tracepoint:raw_syscalls:sys_enter has one", 1, true), tostring(failure))
    end
    local count = lp.count("tracepoint:raw_syscalls:sys_enter", { by = "stack", pid = helper.pid, where = "id == 1" })
    helper.write("/dev/null", "x")
    assert.is_truthy(#count:items()[1].key > 1)
    count:detach()
  end)

  it("tells slips in its own words", function()
    local function slip(wanted, fn, ...)
      local ok, failure = pcall(fn, ...)
      assert.is_false(ok, wanted)
      assert.are.equal("string", type(failure), wanted)
      assert.is_truthy(failure:find("oneliners_spec.lua", 1, true) and failure:find(wanted, 1, true), failure)
    end
    local target = "tracepoint:syscalls:sys_enter_getpgid"
    local objects = { lp.count(target), lp.trace(target), lp.latency(target) }
    for _, object in ipairs(objects) do
      for name, method in pairs(getmetatable(object)) do
        if type(method) == "function" and name:sub(1, 2) ~= "__" and name ~= "read" then
          for _, self in ipairs { 3, {}, "x" } do slip("is called with a colon: OBJECT:", method, self) end
          slip("is called with a colon: OBJECT:", method)
        end
      end
      for _, seconds in ipairs { "x", -1, 0, 0 / 0, 1e300, true, {} } do
        slip("watch takes a number of seconds, not ", object.watch, object, seconds)
      end
      object:detach()
    end
    local count, trace, latency = unpack(objects)
    for _, most in ipairs { "x", -1, 0, 1.5, 0 / 0, true, {} } do
      slip("top: how many keys is a whole number from 1 on, not ", count.top, count, most)
      slip("top: how many keys is a whole number from 1 on, not ", latency.top, latency, most)
      slip("watch: times is a whole number from 1 on, not ", count.watch, count, 1, { times = most })
      slip("lp.count: max_entries is a whole number from 1 on, not ", lp.count, target, { max_entries = most })
      slip("lp.trace: keep is a whole number from 1 on, not ", lp.trace, target, nil, { keep = most })
      slip("line takes an event of this trace", trace.line, trace, most)
      slip("lp.hist", lp.hist, { most })
    end
    slip("watch takes a table of options, not 2", count.watch, count, 1, 2, 3)
    slip("watch has no option 'time'; it has times, top", latency.watch, latency, 1, { time = 2 })
    slip("each takes a number of seconds, not \"x\"", trace.each, trace, "x")
    slip("lp.trace: stack is true or false, not \"yes\"", lp.trace, target, nil, { stack = "yes" })
    slip("lp.count: pid is a whole number from 0 on, not \"init\"", lp.count, target, { pid = "init" })
    slip("lp.hist takes a table of options, not 5", lp.hist, { { from = 1, to = 2, count = 3 } }, 5)
    for _, name in ipairs { "count", "trace", "latency" } do
      slip(("lp.%s takes a target like \"kprobe:vfs_read\", not a number"):format(name), lp[name], 1)
    end
  end)

  it("tells when there was no room for a key", function()
    local count = lp.count("tracepoint:syscalls:sys_enter_openat", { by = "dfd", pid = helper.pid, max_entries = 2 })
    for i = 100, 300 do openat(i, "/nonexistent", 1) end
    assert.are.equal(201, count:total() + count:lost())
    assert.is_true(count:lost() > 0)
    assert.is_truthy(printed(function() count:print() end):find "found no room for their key")
    count:detach()
  end)

  it("refuses what makes no sense, and leaves nothing", function()
    local function refusal(...)
      local ok, failure = pcall(...)
      assert.is_false(ok)
      return tostring(failure)
    end
    assert.is_truthy(refusal(lp.count, "uprobe:" .. helper.build .. "/tests/callee:nothing"):find "nothing")
    assert.is_truthy(refusal(lp.count, CALLEE .. "callee", { by = "x" }):find "has no register 'x'")
    assert.is_truthy(refusal(lp.count, CALLEE .. "callee", { buy = "x" }):find "lp.count has no option 'buy'")
    assert.is_truthy(refusal(lp.count, 5):find "takes a target")
    assert.is_truthy(refusal(lp.trace, CALLEE .. "callee", "arg0, arg0"):find "two fields are called so")
    assert.is_truthy(refusal(lp.trace, CALLEE .. "callee", ("arg0,"):rep(8) .. "arg0"):find "9 fields, and 8")
    assert.is_truthy(refusal(lp.latency, CALLEE .. "callee", { unit = "h" }):find "unit is ns, us, ms or s")
    helper.contains(refusal(lp.trace, "tracepoint:sched:sched_swich", "prev_pid"),
      "tracepoint:sched:sched_swich: this kernel has no such tracepoint", "did you mean tracepoint:sched:sched_switch")
    assert.is_truthy(refusal(lp.latency, "tracepoint:sched:sched_switch"):find "no entry and return")
  end)
end)

describe("lp.trace", function()
  helper.check_leaks(before_each, after_each)

  it("joins entry and return, also of calls within calls", function()
    local trace = lp.trace(CALLEE .. "nested", "arg0", { ret = true })
    call(1)
    local sums = {}
    for _, event in ipairs(trace:items()) do
      assert.is_true(event.duration > 0)
      sums[event.arg0] = event.ret
    end
    assert.are.same({ [0] = 0, 1, 3, 6, 10, 15 }, sums)
    assert.are.equal(6, trace:total())
    assert.are.equal(0, trace:lost())
    trace:detach()
    assert.are.equal(6, #trace:items())
  end)

  it("shows numbers with all their digits, hexadecimal ones as wide as they are", function()
    local trace = lp.trace("tracepoint:syscalls:sys_enter_openat",
      "dfd:x, signed = flags:d, whole = mode, filename:x, dfd2 = dfd:d", { pid = helper.pid })
    ffi.C.syscall(SYS_OPENAT, ffi.cast("int", -100), ffi.cast("const char *", 1e14 + 1), ffi.cast("int", -2),
      ffi.cast("int", 0))
    local text = printed(function() trace:print() end)
    trace:detach()
    assert.is_truthy(text:find("dfd=0xffffff9c signed=-2 whole=0 filename=0x5af3107a4001 dfd2=-100\n", 1, true), text)
  end)

  it("takes conditions with a sign on what has none", function()
    local count = lp.count("tracepoint:syscalls:sys_enter_lseek", { by = "offset:d", where = "offset:d < 0",
      pid = helper.pid })
    for i = -3, 3 do ffi.C.syscall(SYS_LSEEK, ffi.cast("int", -1), ffi.cast("long", i), ffi.cast("int", 0)) end
    assert.are.same({ [-1] = 1, [-2] = 1, [-3] = 1 }, counts(count))
    count:detach()
  end)

  it("has eight fields, and the result besides", function()
    local trace = lp.trace(CALLEE .. "callee", "arg0,arg1,arg2,arg3,arg4,arg5,uid,cpu", { ret = true })
    call(1)
    assert.are.equal(43, trace:items()[1].ret)
    trace:detach()
  end)

  it("keeps a tracepoint's own pid apart from who it is", function()
    local trace = lp.trace("tracepoint:sched:sched_process_exit", "pid, who = pid, uid", { comm = "true" })
    os.execute "true; /bin/true"
    local event = trace:items()[1]
    assert.are.equal(event.pid, event._pid)
    assert.are.equal(event._pid, event.who)
    assert.are.equal(0, event.uid)
    assert.is_nil(event._uid)
    trace:detach()
  end)

  it("refuses options where the fields stand", function()
    assert.is_truthy(helper.refusal(lp.trace, CALLEE .. "callee", { where = "arg0 == 3" }):find("before its options", 1,
      true))
  end)

  it("takes conditions on the result", function()
    local trace = lp.trace(CALLEE .. "nested", "arg0", { ret = true, where = "ret >= 6 and arg0 ~= 5" })
    call(1)
    local seen = {}
    for _, event in ipairs(trace:items()) do seen[#seen + 1] = event.arg0 end
    table.sort(seen)
    assert.are.same({ 3, 4 }, seen)
    trace:detach()
  end)

  it("reads the fields of tracepoints, texts among them", function()
    local trace = lp.trace("tracepoint:syscalls:sys_enter_openat", "dfd, path = filename:ustr, flags:x, mode",
      { pid = helper.pid, ret = true, where = "filename:ustr == '/nonexistent/*' and dfd == -77" })
    openat(-77, "/nonexistent/one", 1)
    openat(-77, "/existent/two", 1)
    openat(-77, "/nonexistent/" .. ("x"):rep(300), 1)
    local events = trace:items()
    assert.are.equal(2, #events)
    assert.are.same({ -77, "/nonexistent/one", 0x8000, -2 },
      { events[1].dfd, events[1].path, events[1].flags, events[1].ret })
    assert.are.equal(255, #events[2].path)
    local out = printed(function() trace:print() end)
    assert.is_truthy(out:find '^[%d:.]+ %d+ +%S+ +dfd=%-77 path="/nonexistent/one" flags=0x8000 mode=0 ret=%-2')
    assert.is_truthy(out:find 'xxx"… flags') -- it was cut, and that is said
    trace:detach()
  end)

  it("shows texts so that they cannot pretend to be something else", function()
    local trace = lp.trace("tracepoint:syscalls:sys_enter_openat", "filename:ustr, comm, dfd",
      { pid = helper.pid, where = "dfd == -77" })
    local name = 'a" dfd=3 \\"\n00:00:00.000000 1 init\27[2J\127\r\t'
    openat(-77, name, 1)
    local before = helper.read("/proc/self/comm"):match "[^\n]*"
    helper.write("/proc/self/comm", 'x" dfd=4\\\n\27')
    openat(-77, "b", 1)
    helper.write("/proc/self/comm", before)
    local events = trace:items()
    trace:detach()
    assert.are.equal(name, events[1].filename)
    assert.is_truthy(trace:line(events[1]):find(
      [[ filename="a\" dfd=3 \\\"\n00:00:00.000000 1 init\x1b[2J\x7f\r\t" comm="]], 1, true), trace:line(events[1]))
    local line = trace:line(events[2])
    assert.is_truthy(line:find([[ comm="x\" dfd=4\\\n\x1b" dfd=-77]], 1, true), line)
    assert.is_truthy(line:find([[ x" dfd=4\\\n\x1b filename="b"]], 1, true), line)
    assert.are.equal(1, select(2, line:gsub("[%c]", "")))
  end)

  it("reads texts of varying length, and arrays of characters", function()
    local comm = helper.read("/proc/self/comm"):match "[^\n]*"
    local trace = lp.trace("tracepoint:sched:sched_process_exec", "filename, old_pid")
    local rename = lp.trace("tracepoint:sched:sched_process_fork", "parent_comm", { pid = helper.pid })
    os.execute "true"
    local found
    for _, event in ipairs(trace:items()) do found = found or event.filename:find "^/.*sh$" end
    assert.is_truthy(found)
    assert.are.equal(comm, rename:items()[1].parent_comm)
    trace:detach()
    rename:detach()
  end)

  it("iterates, by time", function()
    local trace = lp.trace(CALLEE .. "callee", "arg0")
    call(50)
    local count, last = 0, 0
    for event in trace:each(0.2) do
      assert.is_true(event.time >= last)
      count, last = count + 1, event.time
    end
    assert.are.equal(50, count)
    trace:detach()
  end)
end)

describe("lp.latency", function()
  helper.check_leaks(before_each, after_each)

  it("measures each call, also within calls and of threads", function()
    local latency = lp.latency(CALLEE .. "nested", { by = "arg0", unit = "ns" })
    call(1)
    assert.are.equal(6, latency:total())
    local by = {}
    for _, item in ipairs(latency:items()) do by[item.key] = item end
    for depth = 1, 5 do assert.is_true(by[depth].total > by[depth - 1].total) end -- the outer one takes longer
    assert.is_truthy(printed(function() latency:print() end):find "5: 1 calls, [%d.]+ ns on average\n")
    assert.are.equal(2, select(2, printed(function() latency:top(2) end):gsub("1 calls", "")))
    latency:detach()

    local sleeps = lp.latency("tracepoint:syscalls:sys_enter_clock_nanosleep", { unit = "s", comm = "sleep" })
    os.execute "sleep 0.6"
    assert.is_true(sleeps:items()[1].average >= 0.6, "averages are of whole units only")
    sleeps:detach()

    local threads = lp.latency("tracepoint:syscalls:sys_enter_openat", { by = "comm", comm = "opener" })
    helper.run("echo | " .. helper.opener .. " /nonexistent 4 500")
    local total = 0
    for _, slot in ipairs(threads:items()[1].slots) do total = total + slot.count end
    -- Since 6.13 threads can be preempted in these tracepoints, and the kernel leaves out a program that runs already.
    local lost = threads:lost()
    assert.is_true(total + lost >= 2000, ("%d calls, %d lost"):format(total, lost)) -- it opens its libraries, too
    if helper.kernel_version() < 6013 then assert.is_true(total >= 2000, total) end
    assert.are.equal(threads:total(), total)
    threads:detach()
  end)
end)

describe("one-liners on tracepoints", function()
  helper.check_leaks(before_each, after_each)

  local function total(target, opts, act)
    local count = lp.count(target, opts)
    act()
    local sum = count:total()
    count:detach()
    return sum
  end

  it("compare what a system call points at as the text of user space that it is", function()
    local function opens()
      openat(-1, "/etc/ho/nonexistent", 7)
      openat(-1, "/nonexistent/x", 2)
    end
    for where, expected in pairs { ["=="] = 7, ["~="] = 2 } do
      for _, format in ipairs { "", ":str", ":ustr" } do
        assert.are.equal(expected, total("tracepoint:syscalls:sys_enter_openat",
          { tid = helper.pid, where = ("dfd:d32 == -1 and filename%s %s '/etc/ho*'"):format(format, where) }, opens))
      end
    end
  end)

  it("take the lower half of a register for an int with :d32", function()
    local function calls()
      for i = 0, 9 do helper.getpgid(-i) end
    end
    local target, me = "tracepoint:syscalls:sys_enter_getpgid", helper.pid
    assert.are.equal(1, total(target, { tid = me, where = "pid:d32 == -3" }, calls))
    assert.are.equal(5, total(target, { tid = me, where = "pid:d32 < -4" }, calls))
    local found = counted(target, { tid = me, by = "pid:d32" }, calls)
    for i = 0, 9 do assert.are.equal(1, found[-i], i) end
  end)

  it("of a pattern that differ in where they have a name are told by the task that runs", function()
    local count = lp.count("tracepoint:sched:sched_process_*", { by = "comm" })
    os.execute "true"
    assert.is_true((counts(count).sh or 0) + (counts(count)["true"] or 0) >= 1)
    count:detach()
  end)

  it("refuse what is no condition and no name of a process", function()
    local function refused(opts, what)
      helper.contains(helper.refusal(lp.count, "tracepoint:syscalls:sys_enter_getpgid", opts), what)
    end
    refused({ where = " " }, "where is empty")
    refused({ comm = 3 }, "lp.count: comm is a text of 1 to 15 characters")
    refused({ comm = ("x"):rep(16) }, "1 to 15")
  end)
end)

if not helper.has_kprobes() then return end

describe("on kernel functions", function()
  helper.check_leaks(before_each, after_each)
  C.lp_stats_enable() -- which keeps a descriptor as long as the process lives

  local function opens()
    openat(-77, "/nonexistent", 5)
  end

  it("kprobes and kretprobes are counted, by function where they are a pattern", function()
    local mine = { by = "func", pid = helper.pid }
    assert.are.equal(5, counted("kprobe:do_sys_openat2", mine, opens).do_sys_openat2)
    assert.are.equal(5, counted("kretprobe:do_sys_openat2", mine, opens).do_sys_openat2)
    assert.are.equal(5, counted("kprobe:do_sys_open*", mine, opens).do_sys_openat2)
    assert.are.equal(5, counted("kretprobe:do_sys_open*", mine, opens).do_sys_openat2)
    assert.are.same({ [-9] = 5 }, (counted("kretprobe:do_sys_openat2", { by = "ret", pid = helper.pid },
      function() openat(-77, "nonexistent", 5) end)))
    assert.are.equal(5, select(2, counted("ksyscall:openat", { pid = helper.pid }, opens)))
  end)

  it("entry and return are joined, with a stack", function()
    local trace = lp.trace("kprobe:do_sys_openat2", "dfd, filename:ustr, how->flags:x",
      { where = "dfd == -77", ret = true, stack = true, pid = helper.pid })
    opens()
    local event = trace:items()[1]
    assert.are.equal(5, #trace:items())
    assert.are.same({ -77, "/nonexistent", 0x8000, -2, "do_sys_openat2" },
      { event.dfd, event.filename, event.flags, event.ret, event.func })
    assert.is_truthy(event.stack[1]:find "^do_sys_openat2")
    trace:detach()
  end)

  it("variables of the kernel have their names", function()
    local trace = lp.trace("kprobe:vfs_read", "op = file->f_op:sym, at = file->f_op:x", { pid = helper.pid })
    helper.read "/proc/self/stat"
    local event = trace:items()[1]
    trace:detach()
    local address = bit.tohex(ffi.cast("uint64_t", event.at), 16)
    assert.is_truthy(helper.read("/proc/kallsyms"):find(("\n%s [dDrRbB] %s[\n\t]"):format(address, event.op)),
      ("%s %s"):format(address, event.op))
  end)

  it("latency by function of a pattern agrees with counting", function()
    local latency = lp.latency("kprobe:do_sys_open*", { by = "func", pid = helper.pid })
    opens()
    local item = latency:items()[1]
    assert.are.same({ "do_sys_openat2", 5 }, { item.key, item.count })
    latency:detach()
  end)

  it("a name that is at several places of a pattern is ambiguous", function()
    if #lp.probes "kprobe:do_sys_open*" < 2 then return pending "this kernel has only one such function" end
    -- int flags of the one, struct open_how *how of the other.
    local ok, failure = pcall(lp.trace, "kprobe:do_sys_open*", "arg2")
    assert.is_false(ok)
    assert.is_truthy(failure.message:find("arg2: ambiguous: 'arg2' is not at the same place, or of another type, in "
      .. "do_sys_open and do_sys_openat2", 1, true), failure.message)
    ok, failure = pcall(lp.trace, "kprobe:do_sys_open*", "how")
    assert.is_false(ok)
    assert.is_truthy(failure.message:find("do_sys_open has no argument 'how'", 1, true), failure.message)
  end)
end)
