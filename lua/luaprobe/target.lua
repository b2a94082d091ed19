--- Targets: what to probe, as the runtime parses it from text, section names and tables.
-- @module luaprobe.target
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local target_type = ffi.typeof "struct lp_target"

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

--- A target as text, or a section name.
-- @treturn cdata struct lp_target, or nil and the error, not raised
function M.parse(text)
  local target = target_type()
  text = text:gsub("%z", "\1") -- C would take the text before it for all; this is refused
  if C.lp_target_parse(text, target) == 0 then return target end
  return nil, err.last()
end

-- A section that says no target: what libbpf can attach by the section's name alone, if anything does.
local function of_section(section)
  local target = target_type()
  target.kind = C.LP_SECTION
  ffi.copy(target.word, "section")
  ffi.copy(target.text, section:sub(1, ffi.sizeof(target.text) - 1))
  return target
end

-- Words that need a target behind them, so a section with nothing else says none.
local KIND_WORDS = {}
for word in ("kprobe kretprobe ksyscall kretsyscall uprobe uretprobe usdt tracepoint tp raw_tracepoint raw_tp tp_btf"
  .. " fentry fexit perf_event"):gmatch "%S+" do
  KIND_WORDS[word] = true
end

--- What a program's section says of its target.
-- @treturn cdata struct lp_target, or nil when it says none
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
-- @tparam cdata target
-- @tparam table fields by name: strings and numbers
function M.with(target, fields)
  local copy = target_type(target)
  for name, value in pairs(fields) do
    if type(value) ~= "string" then
      copy[name] = value
    elseif #value < ffi.sizeof(copy[name]) then
      ffi.copy(copy[name], value)
    else
      err.misuse("%s is too long: %s", name, value)
    end
  end
  return copy
end

function M.text(target)
  return ffi.string(target.text)
end

function M.word(target)
  return ffi.string(target.word)
end

return M
