-- luaprobe list, luaprobe gc and lp.probes: what can be probed here, and cleaning up.
local helper = require "helper"

if not helper.is_root() then
  describe("list", function() pending "needs root" end)
  return
end

local callee = helper.absolute(helper.build .. "/tests/callee")

local function list(arguments)
  local out, err, status = helper.luaprobe_run("list " .. arguments)
  assert.are.same({ "", 0 }, { err, status })
  return out
end

describe("list", function()
  helper.check_leaks(before_each, after_each)

  it("knows tracepoints, by name, by category, and with their fields", function()
    assert.are.equal("tracepoint:syscalls:sys_enter_getpgid\n", list "tracepoint:syscalls:sys_enter_getpgid")
    assert.are.equal("tracepoint:syscalls:sys_enter_getpgid\ntracepoint:syscalls:sys_exit_getpgid\n",
      list "syscalls:sys_*_getpgid")
    local verbose = list "-v tracepoint:syscalls:sys_enter_getpgid"
    assert.is_truthy(verbose:find("sys_enter_getpgid (int __syscall_nr, pid_t pid)", 1, true), verbose)
  end)

  it("knows the functions of a binary, and its USDT probes", function()
    assert.are.equal(("uprobe:%s:callee\n"):format(callee), list("uprobe:" .. callee .. ":callee"))
    local both = list("uretprobe:" .. callee .. ":callee*")
    assert.are.equal(2, select(2, both:gsub("\n", "\n")))
    assert.are.equal(("usdt:%s:luaprobe_test:called\n"):format(callee), list("usdt:" .. callee))
    local verbose = list("-v usdt:" .. callee .. ":luaprobe_test:called")
    assert.is_truthy(verbose:find("called (", 1, true) and verbose:find("@", 1, true), verbose)
    assert.is_truthy(list "uprobe:libc:malloc":find "uprobe:libc:malloc\n")
  end)

  it("knows kernel functions, and their arguments from BTF", function()
    if not helper.has_kprobes() then return pending "this kernel has no kprobes" end
    assert.are.equal("kprobe:vfs_read\n", list "vfs_read")
    local verbose = list "-v kprobe:vfs_read"
    local signature = "ssize_t (struct file *file, char *buf, size_t count, loff_t *pos)"
    assert.is_truthy(verbose:find(signature, 1, true), verbose)
    local names = list "vfs_*"
    assert.is_truthy(names:find "kprobe:vfs_read\n" and names:find "kprobe:vfs_write\n")
    for line in names:gmatch "[^\n]+" do
      assert.is_truthy(line:find "^kprobe:vfs_" or line:find "^tracepoint:[^:]+:vfs_", line)
    end
    assert.is_truthy(list "ksyscall:openat*":find "ksyscall:openat2\n")
  end)

  it("knows what has no category, and what is free to choose", function()
    for _, kind in ipairs { "raw_tracepoint", "tp_btf" } do
      assert.are.equal(kind .. ":sched_process_exit\n", list(kind .. ":sched_process_exit"))
    end
    assert.are.equal("tracepoint:sched:sched_switch\n", list "tp:sched:sched_switch")
    assert.is_truthy(list "profile:*":find "profile:hz:99\n")
  end)

  it("knows system calls by their names, and no parts of them", function()
    if not helper.has_kprobes() then
      local out, err, status = helper.luaprobe_run "list 'ksyscall:*'"
      assert.are.same({ "", 1 }, { out, status })
      return assert.is_truthy(err:find("this kernel has no kprobes", 1, true), err)
    end
    local names = list "'ksyscall:*'"
    assert.is_truthy(names:find "ksyscall:getpid\n" and names:find "ksyscall:setitimer\n")
    assert.is_nil(names:find "%.cold" or names:find ":ia32_" or names:find ":ni_syscall")
  end)

  it("knows functions by each of their names", function()
    if not helper.has_kprobes() then return pending "this kernel has no kprobes" end
    for _, name in ipairs { "getpid", "getppid", "sync" } do
      local target = "kprobe:__x64_sys_" .. name .. "\n"
      assert.are.equal(target, list("'kprobe:__x64_sys_" .. name .. "*'"):match(target .. ".*$"):sub(1, #target))
    end
  end)

  it("says what it lacks to know", function()
    local directory, remove = helper.temporary_directory()
    os.execute(("chmod 755 %s && cp %s %s/"):format(directory, helper.luaprobe, directory))
    for _, pattern in ipairs { "sched_*", "tracepoint:*", "tp_btf:*" } do
      local out, err, status = helper.run(("setpriv --reuid 65534 --regid 65534 --clear-groups %s/luaprobe list '%s'")
        :format(directory, pattern))
      assert.are.same({ "", 1 }, { out, status })
      assert.is_truthy(err:find("CAP_BPF and CAP_PERFMON", 1, true), err)
    end
    remove()
  end)

  it("says when nothing matches, or the binary is missing", function()
    local out, err, status = helper.luaprobe_run "list nothing_like_this"
    assert.are.same({ "", "list: nothing on this machine matches\n", 1 }, { out, err, status })
    out, err, status = helper.luaprobe_run "list uprobe:/nowhere:x"
    assert.are.same({ "", 1 }, { out, status })
    assert.is_truthy(err:find("/nowhere", 1, true))
    assert.are.equal(2, select(3, helper.luaprobe_run "list --nonsense"))
  end)

  it("gives what attach takes", function()
    local lp = require "luaprobe"
    local found = lp.probes("tracepoint:syscalls:sys_enter_openat", true)
    assert.are.equal(1, #found)
    assert.is_truthy(found[1].arguments:find "filename")
    local object = helper.open "probes"
    for _, program in ipairs(object.programs) do program:set_autoload(program.name == "on_tracepoint") end
    object:load()
    assert.are.equal(found[1].target, object.programs.on_tracepoint:attach(found[1].target).target)
    object:close()
  end)

  it("stops quietly when its reader does", function()
    local out, err = helper.run(helper.luaprobe .. " list | head -n 1")
    assert.are.equal(1, select(2, out:gsub("\n", "")))
    assert.are.equal("", err)
  end)
end)

describe("gc", function()
  helper.check_leaks(before_each, after_each)

  it("says that there was nothing to remove", function()
    assert.are.same({ "removed 0 events\n", "", 0 }, { helper.luaprobe_run "gc" })
  end)
end)

describe("--attach", function()
  helper.check_leaks(before_each, after_each)

  it("names the mechanism for every tool", function()
    for _, mechanism in ipairs { "perf", "auto" } do
      local _, err, status = helper.luaprobe_run("opensnoop -d 0.2 --attach " .. mechanism)
      assert.are.equal(0, status, err)
    end
    if helper.has_kprobes() then
      local job = helper.start(helper.luaprobe .. " opensnoop --attach legacy")
      assert.is_true(helper.eventually(20, function() return job.out():find "PATH" end))
      local _, events = helper.holdings().tracefs:gsub(":luaprobe/", "")
      job.signal(2)
      job.wait()
      assert.are.equal(2, events) -- the kprobe and the kretprobe
    end
  end)

  it("must be a mechanism", function()
    local out, err, status = helper.luaprobe_run "opensnoop --attach nonsense"
    assert.are.same({ "", 2 }, { out, status })
    assert.is_truthy(err:find("must be one of 'auto', 'link', 'perf', 'legacy', 'multi'", 1, true), err)
  end)
end)
