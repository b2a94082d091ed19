--- What this machine gives to luaprobe, with the mend for each lack.
-- @module luaprobe.machine
local bit = require "bit"
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local cache = require "luaprobe.cache"
local cgroup = require "luaprobe.cgroup"
local clang = require "luaprobe.clang"
local files = require "luaprobe.files"
local ksyms = require "luaprobe.ksyms"

local M = {}

local CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39 -- <linux/capability.h>
local RINGBUF, TRACING = 27, 26 -- BPF_MAP_TYPE_RINGBUF, BPF_PROG_TYPE_TRACING
local ENOUGH_MEMLOCK = 64 * 1024 * 1024 -- bytes

local function read(path)
  local text = files.read(path)
  return text and text:gsub("%s+$", "")
end

local function has_capability(number)
  return bit.band(bit.rshift(C.lp_machine_capabilities(), number), 1ULL) ~= 0
end

-- Each look returns whether it is there (nil: it cannot be told), what there is, and the mend.
local LOOKS = {}
local function look(name, fn)
  LOOKS[#LOOKS + 1] = { name = name, fn = fn }
end

look("kernel", function()
  local version = ffi.string(C.lp_version_kernel())
  return C.lp_kernel_at_least(5, 10), version, "luaprobe needs Linux 5.10 or newer"
end)

--- Whether this user may load and attach programs.
-- @treturn boolean
-- @treturn string with or without which capabilities
-- @treturn string the mend
function M.capabilities()
  local admin = has_capability(CAP_SYS_ADMIN)
  local lacks = {}
  if not (admin or has_capability(CAP_BPF)) then lacks[#lacks + 1] = "CAP_BPF" end
  if not (admin or has_capability(CAP_PERFMON)) then lacks[#lacks + 1] = "CAP_PERFMON" end
  if #lacks == 0 then return true, admin and "CAP_SYS_ADMIN" or "CAP_BPF and CAP_PERFMON" end
  return false, "without " .. table.concat(lacks, " and "), "run it as root: sudo luaprobe …"
end
look("capabilities", M.capabilities)

look("lockdown", function()
  local text = read "/sys/kernel/security/lockdown"
  if not text then return true, "none" end
  local mode = text:match "%[(%w+)%]" or text
  return mode ~= "confidentiality", mode,
    "confidentiality forbids reading the kernel's memory, also to root: boot without lockdown=confidentiality"
end)

look("BTF", function()
  local has_btf = files.exists "/sys/kernel/btf/vmlinux"
  return has_btf, has_btf and "/sys/kernel/btf/vmlinux" or "none",
    "programs that read the kernel's structs cannot be loaded: take a kernel with CONFIG_DEBUG_INFO_BTF"
end)

local function pmu(name, option)
  return function()
    local number = C.lp_pmu_type(name)
    return number >= 0, number >= 0 and "perf event type " .. number or "none",
      ("take a kernel with CONFIG_%s; tracepoints are there all the same"):format(option)
  end
end
look("kprobes", pmu("kprobe", "KPROBE_EVENTS"))
look("uprobes", pmu("uprobe", "UPROBE_EVENTS"))

look("tracefs", function()
  local text = require("luaprobe.tracefs").read("available_events", "sched:sched_switch")
  if not text then return false, "cannot be read", "run it as root, on a kernel with CONFIG_TRACING" end
  return true, read("/sys/kernel/tracing/available_events") and "mounted" or "not mounted, which is not needed"
end)

look("perf_event_paranoid", function()
  local level = tonumber(read "/proc/sys/kernel/perf_event_paranoid" or "")
  if not level then return false, "no perf events", "take a kernel with CONFIG_PERF_EVENTS" end
  local exempt = has_capability(CAP_SYS_ADMIN) or has_capability(CAP_PERFMON)
  return exempt or level < 0, ("%d%s"):format(level, exempt and ", which does not bind this user" or ""),
    "needs CAP_PERFMON, or: sudo sysctl -w kernel.perf_event_paranoid=-1"
end)

look("memlock", function()
  if C.lp_kernel_at_least(5, 11) then return true, "not limited by it since Linux 5.11" end
  local limit = tonumber(C.lp_machine_memlock())
  local text = limit > 2 ^ 60 and "unlimited" or ("%d kB"):format(limit / 1024)
  return limit >= ENOUGH_MEMLOCK or has_capability(CAP_SYS_ADMIN), text, "ulimit -l unlimited"
end)

look("BPF JIT", function()
  local value = read "/proc/sys/net/core/bpf_jit_enable"
  if not value then return nil, "unknown (/proc/sys/net/core/bpf_jit_enable cannot be read)" end
  return value ~= "0", value ~= "0" and "on" or "off", "sudo sysctl -w net.core.bpf_jit_enable=1"
end)

local function kind(call, number, since)
  return function()
    local result = call(number)
    local may_ask = has_capability(CAP_SYS_ADMIN) or has_capability(CAP_BPF)
    if result < 0 or result == 0 and not may_ask then return nil, "cannot be told without privileges" end
    return result == 1, result == 1 and "yes" or "none", ("it came with Linux %s"):format(since)
  end
end
look("ring buffer", kind(C.lp_machine_map_type, RINGBUF, "5.8"))
look("fentry", kind(C.lp_machine_program_type, TRACING, "5.5, and needs BTF and CONFIG_FUNCTION_TRACER"))

look("links", function()
  local there = C.lp_kernel_at_least(5, 15)
  return there, there and "yes" or "none", "probes are attached by perf events instead; links came with Linux 5.15"
end)

-- Whether the kernel has a function of that name; nil when that cannot be told.
local function has_function(name)
  local ok, found = pcall(ksyms.find, name)
  if not ok then return nil end
  return #found > 0
end

M.has_function = has_function

local KERNEL_MULTI, USER_MULTI = "register_fprobe_ips", "bpf_uprobe_multi_link_attach" -- functions of the kernel

--- Whether the kernel has the mechanism multi for a target; nil when that cannot be told.
-- @tparam string target "kprobe:vfs_*"
function M.has_multi(target)
  return has_function(target:find "^u" and USER_MULTI or KERNEL_MULTI)
end

local function multi(name, version, option)
  return function()
    local there = has_function(name)
    if there == nil then return nil, "unknown (/proc/kallsyms cannot be read)" end
    return there, there and "yes" or "none",
      ("wildcards attach one by one instead; it came with Linux %s and needs %s"):format(version, option)
  end
end
look("kprobe.multi", multi(KERNEL_MULTI, "5.18", "CONFIG_FPROBE"))
look("uprobe.multi", multi(USER_MULTI, "6.6", "CONFIG_UPROBES"))

look("cgroup v2", function()
  local mount = cgroup.mounts()[1]
  return mount ~= nil, mount or "not mounted", "--cgroup needs it: mount -t cgroup2 none DIRECTORY"
end)

look("clang", function()
  local compiler = clang.find()
  return compiler ~= nil, compiler and compiler.version or "none",
    "only writing scripts needs it: apt install clang libbpf-dev linux-libc-dev"
end)

look("libbpf's headers", function()
  local there = read "/usr/include/bpf/bpf_helpers.h" ~= nil
  return there, there and "/usr/include/bpf" or "none", "only writing scripts needs them: apt install libbpf-dev"
end)

look("cache", function()
  local path = cache.path()
  if not path then return false, "none", "compiled programs are not kept: set XDG_CACHE_HOME" end
  local ok, failure = pcall(cache.read, "none")
  if ok and not cache.is_there() then
    return false, path .. " cannot be used",
      "compiled programs are not kept: set XDG_CACHE_HOME to a directory of your own"
  end
  return ok, path, not ok and tostring(failure):gsub("%s*\n%s*", "; ") or nil
end)

look("LuaJIT", function()
  local on = jit.status()
  return on, ("%s, its compiler is %s"):format(jit.version, on and "on" or "off"),
    "LuaJIT cannot get executable memory here: a security module forbids it"
end)

-- Without these nothing can be traced.
local NEEDED = { kernel = true, capabilities = true, lockdown = true }

--- Looks at the machine.
-- @treturn {table,…} `{name, there, what, mend, needed}`: `there` is true, false, or nil when it cannot be told; `mend`
--   is nil where nothing is to be mended; `needed`: without it nothing can be traced
function M.look()
  local list = {}
  for i, each in ipairs(LOOKS) do
    local there, what, mend = each.fn()
    list[i] = { name = each.name, there = there, what = what, mend = there == false and mend or nil,
      needed = NEEDED[each.name] or false }
  end
  return list
end

return M
