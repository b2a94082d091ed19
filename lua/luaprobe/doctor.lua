--- The symbol doctor: why a function or a tracepoint of the kernel cannot be probed, and what can be done about it.
--
-- Only asked when attaching failed, so it may read what is slow to read.
-- @module luaprobe.doctor
local C = require "luaprobe.cdef"
local files = require "luaprobe.files"
local ksyms = require "luaprobe.ksyms"
local nearest = require "luaprobe.nearest"
local pattern = require "luaprobe.pattern"
local targets = require "luaprobe.target"
local traceable = require "luaprobe.traceable"
local tracefs = require "luaprobe.tracefs"
local tracepoints = require "luaprobe.tracepoints"

local M = {}

--- What the diagnoses look at, replaceable by tests.
M.machine = {
  exists = files.exists,
  read = files.read,
  release = function() return (files.read "/proc/sys/kernel/osrelease" or ""):match "%S+" or "" end,
  ksyms = ksyms,
  blacklist = traceable.blacklist,
  by_ftrace = traceable.by_ftrace,
  debugfs = tracefs.debugfs,
  tracepoints = tracepoints.find,
}

local function list(names, most)
  local shown = {}
  for i = 1, math.min(#names, most) do shown[i] = names[i] end
  return table.concat(shown, ", ") .. (#names > most and (" and %d more"):format(#names - most) or "")
end

-- Names that the compiler made of the function: name.isra.0, name.constprop.0, name.part.0 and mixtures of them.
local function variants(name)
  local found, seen = {}, {}
  for _, symbol in ipairs(M.machine.ksyms.find(name .. ".*")) do
    local suffix = symbol.name:sub(#name + 1)
    if not seen[symbol.name] and not suffix:find "%.cold" and
      (suffix:find "^%.isra" or suffix:find "^%.constprop" or suffix:find "^%.part") then
      seen[symbol.name] = true
      found[#found + 1] = symbol.name
    end
  end
  return found
end

-- The module that exports the function but is not loaded.
local function unloaded_module(name)
  local index = M.machine.read(("/lib/modules/%s/modules.symbols"):format(M.machine.release()))
  return index and index:match("\nalias symbol:" .. name:gsub("%p", "%%%0") .. " (%S+)")
end

local function is_loaded(module)
  return M.machine.exists("/sys/module/" .. module)
end

local function in_absent_module(module, name)
  local message = pattern.is_pattern(name) and ("the module %s is not loaded"):format(module)
    or ("%s is in the module %s, which is not loaded"):format(name, module)
  return message, "load it first: sudo modprobe " .. module
end

-- Each diagnosis takes the target's name and module, and the target, and returns message and hint, or nil when it does
-- not apply.

--- Whether a function is missing because its module is.
-- @tparam string name of the function, or a pattern
-- @tparam string module as the target has it, "" where it names none
-- @treturn string|nil message
-- @treturn string|nil hint
function M.absent_module(name, module)
  if module ~= "" then
    if not pattern.is_pattern(name) and #M.machine.ksyms.find(name) > 0 then
      return ("there is a function %s, but not in a module %s"):format(name, module),
        "leave the module out: kprobe:" .. name
    end
    if pattern.is_pattern(module) or is_loaded(module) then return nil end
    return in_absent_module(module, name)
  end
  local exporter = unloaded_module(name)
  if exporter and not is_loaded(exporter) then return in_absent_module(exporter, name) end
end

local function several_variants(name)
  local found = variants(name)
  if #found < 2 then return nil end
  return ("the compiler made several functions of %s: %s"):format(name, list(found, 8)),
    "choose one: kprobe:" .. found[1]
end

-- The system call that an older kernel's name is of: sys_openat, SyS_openat.
local function system_call(name)
  local call = name:match "^_*[sS]y[sS]_(.+)"
  local target = call and targets.parse("ksyscall:" .. call)
  return target and #M.machine.ksyms.find(target.name) > 0 and call
end

local function unknown_name(name, _, target)
  if #M.machine.ksyms.find(name) > 0 then return nil end
  local message = ("this kernel has no function %s that can be probed"):format(name)
  local call = system_call(name)
  if call then
    return message, ("did you mean %s:%s? System calls have wrappers here"):format(
      target.returns and "kretsyscall" or "ksyscall", call)
  end
  local near = M.machine.ksyms.nearest(name, 3)
  if #near == 0 then return message, "it may be inlined into its callers, or renamed; look in /proc/kallsyms" end
  return message, ("did you mean %s? It may also be inlined into its callers"):format(table.concat(near, " or "))
end

local function several_of_name(name, module)
  local found = M.machine.ksyms.find(name, module ~= "" and module or nil)
  if #found < 2 then return nil end
  local places = {}
  for i, symbol in ipairs(found) do
    places[i] = ("0x%s%s"):format(bit.tohex(symbol.address, 16), symbol.module ~= "" and " in " .. symbol.module or "")
  end
  return ("%d functions have the name %s: %s"):format(#found, name, list(places, 4)),
    found[1].address ~= 0 and ("choose one by its address: kprobe:0x%s"):format(bit.tohex(found[1].address, 16))
    or "their addresses are hidden: sudo sysctl kernel.kptr_restrict=1"
end

local function blacklisted(name)
  local forbidden = M.machine.blacklist()
  if not forbidden or not forbidden[name] then return nil end
  return ("%s is on the kernel's kprobe blacklist: probing it would make probes call themselves"):format(name),
    "probe a function that calls it; the list is /sys/kernel/debug/kprobes/blacklist"
end

local function notrace(name)
  local traced = M.machine.by_ftrace(name)
  if not traced or #traced > 0 then return nil end
  if #M.machine.ksyms.find(name) == 0 then return nil end
  return ("%s is notrace: the kernel was built so that it cannot be traced"):format(name),
    "probe a function that calls it; what can be traced is in /sys/kernel/tracing/available_filter_functions"
end

local function probes_off()
  local text = M.machine.debugfs "kprobes/enabled"
  if not text or text:sub(1, 1) ~= "0" then return nil end
  return "kprobes are switched off on this machine", "echo 1 | sudo tee /sys/kernel/debug/kprobes/enabled"
end

local function kernel_config()
  local text = M.machine.read("/boot/config-" .. M.machine.release())
  if not text then return nil end
  for _, option in ipairs { "CONFIG_KPROBES", "CONFIG_KPROBE_EVENTS" } do
    if not text:find("\n" .. option .. "=y", 1, true) then
      return ("this kernel was built without %s, so it has no kprobes"):format(option),
        "boot a kernel that has it; tracepoints work without"
    end
  end
end

-- By the errno of the refusal, in the order in which they are asked.
local DIAGNOSES = {
  ENODEV = { kernel_config },
  ENOENT = { several_of_name, M.absent_module, several_variants, unknown_name, notrace, probes_off },
  EINVAL = { blacklisted, notrace, several_of_name, M.absent_module, several_variants, unknown_name },
  EADDRNOTAVAIL = { several_of_name, blacklisted, M.absent_module, several_variants, unknown_name, notrace },
  EOPNOTSUPP = { blacklisted, notrace },
}

-- What kernels say to a name that they do not have; tracefs says EINVAL since Linux 6.6.
local MAY_BE_ABSENT = { ENOENT = true, EADDRNOTAVAIL = true, EINVAL = true }

local LONGEST = 65536 -- bytes: no function of the kernel's is longer

-- Whether no function is at an address; false where addresses are hidden from this user.
local function is_nowhere(address)
  local name, offset = M.machine.ksyms.at(address)
  return (not name or offset > LONGEST) and M.machine.ksyms.at(-1ULL) ~= nil
end

-- Linux 5.10 says of such an address what it says of functions that are notrace.
local function explain_address(target, reason)
  if reason.code ~= "EINVAL" or not is_nowhere(target.offset) then return reason end
  reason.code, reason.message = "ENOENT", target.text .. ": no function of this kernel is at this address"
  reason.hint = "addresses change at every boot; see /proc/kallsyms, or name the function"
  return reason
end

--- What a tracepoint that is not there may be called.
-- @tparam table target `category`, `name`
-- @tparam table reason the structured error, which gets the hint
-- @treturn table it
function M.explain_tracepoint(target, reason)
  local names, has_category = {}, false
  for i, each in ipairs(reason.code == "ENOENT" and M.machine.tracepoints("*", "*") or {}) do
    names[i] = each.category .. ":" .. each.name
    has_category = has_category or each.category == target.category
  end
  local near = nearest.find(target.category .. ":" .. target.name, names)
  if #near > 0 then
    reason.hint = ("did you mean tracepoint:%s?"):format(table.concat(near, " or "))
  elseif has_category then
    reason.hint = ("see what there is: sudo luaprobe list 'tracepoint:%s:*'"):format(target.category)
  end
  return reason
end

--- Explains why a kernel function, or a tracepoint, could not be probed.
-- @tparam table target a luaprobe.target
-- @tparam table reason the structured error of the attempt; its message and hint are made better
-- @treturn table the same error
-- @treturn string|nil the name to probe instead, when the compiler made exactly one other function of this one
function M.explain(target, reason)
  if target.kind == C.LP_TRACEPOINT then return M.explain_tracepoint(target, reason) end
  local name, module = target.name, target.category
  if name == "" then return explain_address(target, reason) end
  if MAY_BE_ABSENT[reason.code] and #M.machine.ksyms.find(name) == 0 then
    local found = variants(name)
    if #found == 1 then return reason, found[1] end
  end
  for _, diagnose in ipairs(DIAGNOSES[reason.code] or {}) do
    local ok, message, hint = pcall(diagnose, name, module, target)
    if ok and message then
      reason.message, reason.hint = target.text .. ": " .. message, hint
      return reason
    end
  end
  return reason
end

return M
