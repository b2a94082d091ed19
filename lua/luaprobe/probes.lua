--- What can be probed on this machine.
-- @module luaprobe.probes
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local kernel_types = require "luaprobe.kernel"
local ksyms = require "luaprobe.ksyms"
local traceable = require "luaprobe.traceable"
local tracefs = require "luaprobe.tracefs"
local tracepoint = require "luaprobe.tracepoints"

local M = {}

-- ---- arguments -----------------------------------------------------------------------------------------------------

local FUNC = 12 -- BTF_KIND_FUNC
local EPERM = 1
local signature_buffer = ffi.new "char[1024]"
local raw_type = ffi.new "struct lp_type"

-- Those of modules are looked for where they are: there are thousands of functions that no type tells of.
local function signature_in_module(name)
  local symbol = ksyms.find(name, "?*")[1]
  local func = symbol and kernel_types.find_in(symbol.module, "func " .. name)
  return func and func.types:declaration(func.types:get(func.of).id)
end

-- "ssize_t (struct file *file, …)" of a kernel function; nil where its BTF does not tell.
local function signature(name)
  local id = C.lp_btf_kernel() ~= nil and C.lp_btf_find(C.lp_btf_kernel(), FUNC, name) or 0
  if id == 0 then return signature_in_module(name) end
  if not C.lp_btf_type(C.lp_btf_kernel(), id, raw_type) then return nil end
  C.lp_btf_declaration(C.lp_btf_kernel(), raw_type.of, "", signature_buffer, ffi.sizeof(signature_buffer))
  return ffi.string(signature_buffer)
end

-- "int dfd, const char * filename" of a tracepoint, from its format file.
local function fields(category, name)
  local format = tracefs.read(("events/%s/%s/format"):format(category, name))
  if not format then return nil end
  local list = {}
  for field in format:gmatch "field:([^;]+);" do
    if not field:find "%f[%w_]common_" then list[#list + 1] = field end
  end
  return "(" .. table.concat(list, ", ") .. ")"
end

-- ---- the kinds -----------------------------------------------------------------------------------------------------

-- Kinds that are kprobes, which not every kernel has.
local NEEDS_KPROBES = { kprobe = true, kretprobe = true, ksyscall = true, kretsyscall = true }

local function check_kprobes(kind)
  if not NEEDS_KPROBES[kind] or C.lp_pmu_type "kprobe" >= 0 then return end
  err.raise { code = "ENODEV", stage = "attach", message = kind .. ": this kernel has no kprobes",
    hint = "it needs a kernel with CONFIG_KPROBE_EVENTS; see its tracepoints: luaprobe list 'tracepoint:*'" }
end

local function kernel(kind, pattern, add)
  check_kprobes(kind)
  local module
  if pattern:find ":" then module, pattern = pattern:match "^(.-):(.*)$" end
  for _, name in ipairs(traceable.find(pattern, module)) do
    add(kind .. ":" .. name, function() return signature(name) end)
  end
end

-- A pattern without a colon is for the names alone.
local function split_category(pattern)
  local category, name = pattern:match "^(.-):(.*)$"
  if not category then return "*", pattern end
  return category, name == "" and "*" or name
end

local function find_tracepoints(category, name)
  local found, code = tracepoint.find(category, name)
  if code == -EPERM then err.raise(err.last()) end
  return found or {}
end

local function tracepoints(pattern, add)
  local found = {}
  for i, each in ipairs(find_tracepoints(split_category(pattern))) do found[i] = each.category .. ":" .. each.name end
  table.sort(found)
  for _, line in ipairs(found) do
    add("tracepoint:" .. line, function() return fields(line:match "^([^:]+):(.+)$") end)
  end
end

-- raw_tracepoint and tp_btf have the tracepoints' names alone; system calls have none of their own there.
local function raw_tracepoints(kind, pattern, add)
  local names, seen = {}, {}
  for _, each in ipairs(find_tracepoints("*", pattern)) do
    if each.category ~= "syscalls" and each.category ~= "luaprobe" and not seen[each.name] then
      seen[each.name] = true
      names[#names + 1] = each.name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do add(kind .. ":" .. name) end
end

-- Not one of its own: what is put elsewhere by the compiler, another ABI's entry, the one of calls that there are not.
local function is_no_syscall(name)
  return name:find(".", 1, true) or name:find "^ia32_" or name == "ni_syscall"
end

-- System calls, as the functions that enter them are called.
local function syscalls(kind, pattern, add)
  check_kprobes(kind)
  local prefix = jit.arch == "arm64" and "__arm64_sys_" or "__x64_sys_"
  for _, symbol in ipairs(ksyms.find(prefix .. pattern)) do
    local name = symbol.name:sub(#prefix + 1)
    if not is_no_syscall(name) then
      add(kind .. ":" .. name, function() return fields("syscalls", "sys_enter_" .. name) end)
    end
  end
end

local path_buffer = ffi.new "char[4096]"
local position = ffi.new "uint64_t[1]"

local function open_binary(name)
  err.check(C.lp_library_find(name, 0, path_buffer, ffi.sizeof(path_buffer)))
  return ffi.gc(err.check(C.lp_binary_open(path_buffer)), C.lp_binary_close)
end

-- "PATH" or "PATH:PATTERN".
local function user_functions(kind, pattern, add)
  local path, wanted = pattern:match "^(.+):([^:/]*)$"
  path, wanted = path or pattern, wanted or "*"
  local binary, found = open_binary(path), ffi.new "struct lp_binary_function"
  position[0] = 0
  while C.lp_binary_function(binary, position, found) do
    if C.lp_glob_matches(wanted, found.name) then
      local offset = tonumber(found.offset)
      add(("%s:%s:%s"):format(kind, path, ffi.string(found.name)), function() return ("0x%x"):format(offset) end)
    end
  end
end

-- "PATH", "PATH:PROVIDER" or "PATH:PROVIDER:NAME".
local function usdt(pattern, add)
  local path, provider, name = pattern:match "^(.+):([^:/]+):([^:/]+)$"
  if not path then path, provider = pattern:match "^(.+):([^:/]+)$" end
  path, provider, name = path or pattern, provider or "*", name or "*"
  local binary, found = open_binary(path), ffi.new "struct lp_usdt"
  position[0] = 0
  while C.lp_binary_usdt(binary, position, found) do
    if C.lp_glob_matches(provider, found.provider) and C.lp_glob_matches(name, found.name) then
      local arguments = ffi.string(found.arguments)
      add(("usdt:%s:%s:%s"):format(path, ffi.string(found.provider), ffi.string(found.name)),
        function() return "(" .. arguments .. ")" end)
    end
  end
end

local COUNTERS = {
  software = "cpu-clock task-clock page-faults minor-faults major-faults context-switches cpu-migrations"
    .. " alignment-faults emulation-faults",
  hardware = "cpu-cycles instructions cache-references cache-misses branch-instructions branch-misses bus-cycles"
    .. " ref-cycles",
}

local function counters(kind, pattern, add)
  for name in COUNTERS[kind]:gmatch "%S+" do
    if C.lp_glob_matches(pattern, name) then add(("%s:%s"):format(kind, name)) end
  end
end

-- Rates and times are free to choose: these are what they look like.
local function profiles(kind, pattern, add)
  for _, example in ipairs { "hz:99", "s:1", "ms:10", "us:1000" } do
    if C.lp_glob_matches(pattern, example) then add(kind .. ":" .. example) end
  end
end

local KINDS = {
  kprobe = kernel, kretprobe = kernel, fentry = kernel, fexit = kernel,
  ksyscall = syscalls, kretsyscall = syscalls,
  uprobe = user_functions, uretprobe = user_functions,
  software = counters, hardware = counters,
  tracepoint = function(_, pattern, add) return tracepoints(pattern, add) end,
  tp = function(_, pattern, add) return tracepoints(pattern, add) end,
  raw_tracepoint = raw_tracepoints, tp_btf = raw_tracepoints, profile = profiles,
  usdt = function(_, pattern, add) return usdt(pattern, add) end,
}

local SHOWN = 200

-- At the prompt a list is shown with arguments, a line each.
local function listing(signatures)
  return { __tostring = function(found)
    local lines = {}
    for i = 1, math.min(#found, SHOWN) do
      local arguments = found[i].arguments or signatures[i] and signatures[i]()
      lines[i] = arguments and found[i].target .. "  " .. arguments or found[i].target
    end
    if #found > SHOWN then lines[#lines + 1] = ("… %d more"):format(#found - SHOWN) end
    return #lines > 0 and table.concat(lines, "\n") or "(nothing matches)"
  end }
end

--- The probes of this machine that match a pattern.
--
-- "vfs_*" means kernel functions and tracepoints of such names; "KIND:PATTERN" one kind: kprobe, kretprobe, ksyscall,
-- kretsyscall, fentry, fexit, tracepoint or tp ("sched:*"), raw_tracepoint, tp_btf, uprobe and uretprobe ("PATH" or
-- "PATH:PATTERN"), usdt ("PATH", "PATH:PROVIDER:NAME"), profile, software, hardware.
-- @tparam[opt] string pattern everything when missing
-- @tparam[opt] boolean verbose with the arguments of each, as far as the kernel's BTF or the binary tells
-- @treturn {{target=,arguments=},…} `target` as attach takes it; `arguments` a string or nil
-- @raise error of stage "attach" for a binary or a tracefs that cannot be read, and for kprobes where there are none
function M.list(pattern, verbose)
  if pattern ~= nil and type(pattern) ~= "string" then
    err.misuse('lp.probes takes a pattern like "kprobe:vfs_*", not a %s', type(pattern))
  end
  local signatures = {}
  local found = setmetatable({}, listing(signatures))
  local function add(target, arguments)
    signatures[#found + 1] = arguments
    found[#found + 1] = { target = target, arguments = verbose and arguments and arguments() or nil }
  end
  local kind, rest = (pattern or "*"):match "^([%w_]+):(.*)$"
  if kind and KINDS[kind] then
    KINDS[kind](kind, rest == "" and "*" or rest, add)
  elseif kind then
    tracepoints(pattern, add) -- sched:sched_*
  else
    if C.lp_pmu_type "kprobe" >= 0 then kernel("kprobe", pattern or "*", add) end
    tracepoints(pattern or "*", add)
  end
  return found
end

return M
