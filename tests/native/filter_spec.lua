-- The process filters that all tools have, tested once: bpf/include/filter.bpf.h and the options of lp.cli.
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local cgroup = require "luaprobe.cgroup"
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("filters", function() pending "needs root" end)
  return
end

local CALLS = 50
local SYS_BPF, SYS_GETTID = jit.arch == "x64" and 321 or 280, jit.arch == "x64" and 186 or 178
local comm = helper.read("/proc/self/comm"):gsub("\n", "")

-- How many of CALLS calls of this process an object with these options lets through.
local function seen(words)
  local args = lp.cli("tool", "Counts."):parse(words)
  local object = helper.open("filter", { const = { filter = args.filter } })
  object:attach()
  for _ = 1, CALLS do helper.getpgid(0) end
  local count = object.data.seen
  object:close()
  return count
end

-- The calls of helpers that are left in a loaded program: BPF_OBJ_GET_INFO_BY_FD, struct bpf_prog_info.
local function calls_left(object)
  local program = ffi.new "struct lp_program"
  assert(C.lp_object_program(object.handle, 0, program))
  local info, insns, attr = ffi.new "uint8_t[256]", ffi.new "uint8_t[65536]", ffi.new "uint64_t[16]"
  ffi.cast("uint32_t *", info)[5] = 65536 -- xlated_prog_len
  ffi.cast("uint64_t *", info)[4] = ffi.cast("uintptr_t", insns) -- xlated_prog_insns
  ffi.cast("uint32_t *", attr)[0], ffi.cast("uint32_t *", attr)[1] = program.fd, 128
  attr[1] = ffi.cast("uintptr_t", info)
  assert(ffi.C.syscall(SYS_BPF, ffi.cast("int", 15), attr, ffi.cast("int", 16)) == 0)
  local length, calls = ffi.cast("uint32_t *", info)[5], 0
  for at = 0, length - 8, 8 do
    if insns[at] == 0x85 and insns[at + 1] < 16 then calls = calls + 1 end -- BPF_JMP | BPF_CALL of a helper
  end
  return calls, length
end

describe("the process filter", function()
  helper.check_leaks(before_each, after_each)

  it("lets everything through when nothing is asked for", function()
    assert.is_true(seen {} >= CALLS)
  end)

  it("knows processes, threads, users and names", function()
    local tid = tostring(tonumber(ffi.C.syscall(SYS_GETTID)))
    assert.are.equal(CALLS, seen { "-p", tostring(helper.pid) })
    assert.are.equal(0, seen { "-p", "1" })
    assert.are.equal(CALLS, seen { "-t", tid })
    assert.are.equal(0, seen { "-t", "1" })
    assert.is_true(seen { "-u", "0" } >= CALLS)
    assert.is_true(seen { "--uid", "root" } >= CALLS)
    assert.are.equal(0, seen { "-u", "nobody" })
    assert.is_true(seen { "-c", comm } >= CALLS)
    assert.are.equal(0, seen { "-c", comm:sub(1, -2) })
    assert.are.equal(0, seen { "-c", (comm .. "x"):sub(-15) })
    assert.are.equal(CALLS, seen { "-p", tostring(helper.pid), "-t", tid, "-u", "root", "-c", comm })
    assert.are.equal(0, seen { "-p", tostring(helper.pid), "-t", tid, "-u", "root", "-c", "other" })
  end)

  it("is taken out by the verifier as far as it is not used", function()
    local function loaded(filter)
      local object = helper.open("filter", { const = { filter = filter } })
      object:load()
      local calls, length = calls_left(object)
      local map = object.maps.lp_filter_cgroup:info().fd
      object:close()
      return calls, length, map
    end
    local calls, length, map = loaded {}
    assert.are.same({ 0, -1 }, { calls, map })
    assert.are.equal(1, (loaded { pid = 5 }))
    assert.are.equal(1, (loaded { uid = 5 }))
    assert.are.equal(1, (loaded { comm = "x" }))
    local all, longer = loaded { pid = 5, tid = 5, uid = 5, comm = "x" }
    assert.is_true(all >= 3 and longer > length, longer)
  end)
end)

describe("--cgroup", function()
  local directory, remove, mount
  setup(function()
    directory, remove = helper.temporary_directory()
    mount = directory .. "/mnt"
    os.execute(("mkdir %s; mount -t cgroup2 none %s"):format(mount, mount))
    os.execute(("mkdir -p %s/luaprobe-test/inner %s/luaprobe-other"):format(mount, mount))
  end)
  teardown(function()
    cgroup.set(nil)
    os.execute(("echo %d >%s/cgroup.procs"):format(helper.pid, mount))
    os.execute((("cd MNT && rmdir luaprobe-test/inner luaprobe-test luaprobe-other; cd /; umount -l MNT"):gsub("MNT",
      mount)))
    remove()
  end)

  it("lets a group and those below it through, and no other", function()
    if not helper.exists(mount .. "/cgroup.procs") then return pending "cgroup2 cannot be mounted" end
    os.execute(("echo %d >%s/luaprobe-test/inner/cgroup.procs"):format(helper.pid, mount))
    assert.are.equal(CALLS, seen { "--cgroup", mount .. "/luaprobe-test/inner" })
    assert.are.equal(CALLS, seen { "--cgroup", mount .. "/luaprobe-test" })
    assert.are.equal(0, seen { "--cgroup", mount .. "/luaprobe-other" })
    assert.are.equal(CALLS, seen { "--cgroup", "luaprobe-test/inner" }) -- by its name below the mount point
    assert.are.equal(CALLS, seen { "--cgroup", "/luaprobe-test/inner" }) -- as /proc/PID/cgroup has it
    assert.are.equal(CALLS, seen { "--cgroup", "/" })
    assert.are.equal(0, seen { "--cgroup", mount .. "/luaprobe-test", "-p", "1" })
  end)

  it("and --uid take nothing that would let all through", function()
    for _, words in ipairs { { "--cgroup", "" }, { "-u", "4294967295" }, { "-u", "04294967295" } } do
      local ok, failure = pcall(function() return lp.cli("tool", "Counts."):parse(words) end)
      assert.is_false(ok)
      helper.contains(tostring(failure), words[1] == "-u" and "is no user" or "a control group has a name")
    end
    local ok, failure = pcall(lp.count, "tracepoint:syscalls:sys_enter_getpgid", { uid = 4294967295 })
    assert.is_false(ok)
    helper.contains(failure, "is no user")
  end)

  it("must be one", function()
    local function refused(path, reason)
      local ok, failure = pcall(function() return lp.cli("tool", "Counts."):parse { "--cgroup", path } end)
      assert.is_false(ok)
      assert.is_truthy(tostring(failure):find(reason, 1, true), tostring(failure))
    end
    refused("/nonexistent", "there is no control group")
    refused(directory, "no control group of version 2")
    refused("no/such/group", "there is no control group")
  end)
end)
