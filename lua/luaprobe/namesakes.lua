--- Functions of the kernel that share a name: static ones of several files or modules.
-- @module luaprobe.namesakes
local C = require "luaprobe.cdef"
local ksyms = require "luaprobe.ksyms"
local targets = require "luaprobe.target"
local traceable = require "luaprobe.traceable"

local M = {}

local function same_place(list, symbol)
  for _, other in ipairs(list) do
    if other.address == symbol.address and symbol.address ~= 0 then return other end
  end
end

-- The functions that patterns match, by name, each once; `is_wanted` are those of the modules that the patterns name.
local function matching(wanted)
  local by_name = {}
  for _, target in ipairs(wanted) do
    for _, symbol in ipairs(target.wildcard and ksyms.find(target.name) or {}) do
      local list = by_name[symbol.name] or {}
      by_name[symbol.name] = list
      local known = same_place(list, symbol)
      if not known then list[#list + 1], known = symbol, symbol end
      known.is_wanted = known.is_wanted or target.category == "" or C.lp_glob_matches(target.category, symbol.module)
    end
  end
  return by_name
end

local function at_address(target, address)
  return targets.with(target, { name = "", offset = address })
end

--- Puts addresses in place of those names of a wildcard that several functions have: newer kernels (6.6, and updates of
-- older ones) refuse such a name, and others take the first function of it.
-- @tparam {table,…} wanted the targets as the user wrote them
-- @tparam {table,…} list what they stand for
-- @treturn {table,…} what has a name of its own
-- @treturn {table,…} the addresses; some of them may be notrace
-- @treturn boolean whether names of several functions are left, since addresses are hidden from this user
function M.tell_apart(wanted, list)
  local by_name = matching(wanted)
  local named, addressed, are_hidden = {}, {}, false
  for _, target in ipairs(list) do
    local symbols = by_name[target.name] or {}
    if #symbols < 2 or symbols[1].address == 0 then
      named[#named + 1], are_hidden = target, are_hidden or #symbols > 1
    else
      for _, symbol in ipairs(symbols) do
        if symbol.is_wanted then addressed[#addressed + 1] = at_address(target, symbol.address) end
      end
    end
  end
  return named, addressed, are_hidden
end

-- The same functions by address; ftrace has a few more, of code that was freed.
local function by_address(list)
  local symbols, found = ksyms.named(list), {}
  for _, target in ipairs(list) do
    local symbol = (symbols[target.name] or {})[1]
    if symbol then found[#found + 1] = at_address(target, symbol.address) end
  end
  return found
end

--- What mechanism multi is given for a list: the names, or the addresses of all where some share a name, since it
-- takes the first function of a name. An address at which ftrace has nothing makes it refuse all of them.
-- @tparam {table,…} wanted the targets as the user wrote them
-- @tparam {table,…} list what they stand for: functions of the kernel
-- @treturn {table,…} nil and the error where the kernel does not tell what ftrace has, or it has none of them
function M.for_multi(wanted, list)
  local named, addressed, are_hidden = M.tell_apart(wanted, list)
  if #addressed == 0 and not are_hidden then return list end
  local is_traceable = not are_hidden and traceable.by_address()
  if not is_traceable then
    -- A kernel without multi shall say so itself.
    if require("luaprobe.machine").has_multi(wanted[1].text) == false then return list end
    return nil, { code = "EOPNOTSUPP", stage = "attach",
      message = wanted[1].text .. ": several functions share a name, of which mechanism multi takes the first only",
      hint = "by address it takes all of them, which Linux 6.5 tells unless addresses are hidden "
        .. "(sysctl kernel.kptr_restrict); use mechanism auto, link, perf or legacy" }
  end
  local found = by_address(named)
  for _, target in ipairs(addressed) do
    if is_traceable(target.offset) then found[#found + 1] = target end
  end
  if #found > 0 then return found end
  return nil, { code = "ENOENT", stage = "attach",
    message = wanted[1].text .. ": none of these functions can be traced" }
end

return M
