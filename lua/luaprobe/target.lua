--- Targets: what to probe, as the runtime parses it from text, section names and tables.
-- @module luaprobe.target
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local raw = ffi.new "struct lp_target" -- what C parses into and takes, one at a time: it has four kilobytes
local STRINGS = { "word", "category", "path", "name", "text" }
local uint64 = ffi.typeof "uint64_t"

-- What a target has by name: the fields of struct lp_target. Most have few of them, and a list may have thousands of
-- targets, so these stand for the others.
local Target = { __index = {
  returns = false, wildcard = false, category = "", path = "", name = "", offset = uint64(0), period = uint64(0),
} }

-- enum bpf_prog_type of <linux/bpf.h>
local KPROBE, TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT, RAW_TRACEPOINT_WRITABLE, TRACING = 2, 5, 7, 17, 24, 26

-- Which types of program a kind of target takes.
local PROGRAM_TYPES = {
  [C.LP_KPROBE] = { KPROBE }, [C.LP_KRETPROBE] = { KPROBE },
  [C.LP_KSYSCALL] = { KPROBE }, [C.LP_KRETSYSCALL] = { KPROBE },
  [C.LP_UPROBE] = { KPROBE }, [C.LP_URETPROBE] = { KPROBE }, [C.LP_USDT] = { KPROBE },
  [C.LP_TRACEPOINT] = { TRACEPOINT },
  [C.LP_RAW_TRACEPOINT] = { RAW_TRACEPOINT, RAW_TRACEPOINT_WRITABLE },
  [C.LP_BTF_TRACEPOINT] = { TRACING }, [C.LP_FENTRY] = { TRACING }, [C.LP_FEXIT] = { TRACING },
  [C.LP_PROFILE] = { PERF_EVENT }, [C.LP_SOFTWARE] = { PERF_EVENT }, [C.LP_HARDWARE] = { PERF_EVENT },
}

-- Kinds whose place is settled when the program is loaded.
local SETTLED = { [C.LP_BTF_TRACEPOINT] = true, [C.LP_FENTRY] = true, [C.LP_FEXIT] = true }

local function with_nul(text)
  return { code = "EINVAL", stage = "attach",
    message = ("'%s' is no target: it has a NUL in it"):format(require("luaprobe.text").of(text)),
    hint = "no name of a function or of a file has one" }
end

--- A target as text, or a section name.
-- @treturn table a target; or nil and the error, not raised
function M.parse(text)
  if text:find("\0", 1, true) then return nil, with_nul(text) end -- C would take what is before it for all
  if C.lp_target_parse(text, raw) ~= 0 then return nil, err.last() end
  local target = setmetatable({ kind = raw.kind, word = ffi.string(raw.word), text = ffi.string(raw.text) }, Target)
  if raw.returns then target.returns = true end
  if raw.wildcard then target.wildcard = true end
  if raw.category[0] ~= 0 then target.category = ffi.string(raw.category) end
  if raw.path[0] ~= 0 then target.path = ffi.string(raw.path) end
  if raw.name[0] ~= 0 then target.name = ffi.string(raw.name) end
  if raw.offset > 0 then target.offset = raw.offset end
  if raw.period > 0 then target.period = raw.period end
  return target
end

--- The target as C takes it, which copies it.
-- @treturn cdata struct lp_target, good until the next one is asked for
function M.raw(target)
  for _, name in ipairs(STRINGS) do ffi.copy(raw[name], target[name]) end
  raw.kind, raw.returns, raw.wildcard = target.kind, target.returns, target.wildcard
  raw.offset, raw.period = target.offset, target.period
  return raw
end

-- A section that says no target: what libbpf can attach by the section's name alone, if anything does.
local function of_section(section)
  local text = section:sub(1, ffi.sizeof(raw.text) - 1)
  return setmetatable({ kind = C.LP_SECTION, word = "section", text = text }, Target)
end

-- Words that need a target behind them, so a section with nothing else says none.
local KIND_WORDS = {}
for word in ("kprobe kretprobe ksyscall kretsyscall uprobe uretprobe usdt tracepoint tp raw_tracepoint raw_tp tp_btf"
  .. " fentry fexit perf_event"):gmatch "%S+" do
  KIND_WORDS[word] = true
end

--- What a program's section says of its target.
-- @treturn table as of parse, or nil when it says none
function M.of_section(section)
  local target = M.parse(section)
  if target or KIND_WORDS[section:match "^[%w_]+"] then return target end
  return of_section(section)
end

--- Whether the target takes programs of a type; and what to call them.
function M.takes(target, program_type)
  local types = PROGRAM_TYPES[target.kind]
  if not types then return true end
  for _, type in ipairs(types) do
    if type == program_type then return true end
  end
  return false
end

--- Whether a program goes only where it was loaded for.
function M.is_settled(target)
  return SETTLED[target.kind] or target.kind == C.LP_SECTION
end

--- Whether it is user space that is probed.
function M.is_user(target)
  return target.kind == C.LP_UPROBE or target.kind == C.LP_URETPROBE or target.kind == C.LP_USDT
end

--- Whether it is a function of a binary, by uprobes.
function M.is_function_of_binary(target)
  return target.kind == C.LP_UPROBE or target.kind == C.LP_URETPROBE
end

--- Whether the kernel can restrict it to one process.
function M.takes_pid(target)
  return M.is_user(target) or target.kind >= C.LP_PROFILE
end

--- Whether it can be told how many calls to follow at once.
function M.takes_maxactive(target)
  return target.kind == C.LP_KRETPROBE or target.kind == C.LP_KRETSYSCALL
end

--- Whether it may have to be forced: into a Go program.
function M.takes_force(target)
  return target.kind == C.LP_URETPROBE
end

--- Whether there are several mechanisms to choose from: all kinds that are perf events.
function M.has_mechanisms(target)
  return target.kind ~= C.LP_USDT and target.kind ~= C.LP_SECTION
    and (target.kind <= C.LP_TRACEPOINT or target.kind >= C.LP_PROFILE)
end

--- Whether the kernel's functions are, by kprobes.
function M.is_kernel(target)
  return target.kind >= C.LP_KPROBE and target.kind <= C.LP_KRETSYSCALL
end

--- A copy with other contents.
-- @tparam table target
-- @tparam table fields by name: strings, numbers and booleans
function M.with(target, fields)
  local copy = setmetatable({}, Target)
  for name, value in pairs(target) do copy[name] = value end
  for name, value in pairs(fields) do
    if type(value) == "string" and #value >= ffi.sizeof(raw[name]) then
      err.misuse("%s is too long: %s", name, value)
    end
    copy[name] = type(value) == "number" and uint64(value) or value
  end
  return copy
end

return M
