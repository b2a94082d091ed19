--- Completion at the prompt: what could follow the text before the cursor.
-- @module luaprobe.complete
local bit = require "bit"
local ffi = require "ffi"
local C = require "luaprobe.cdef"

local M = {}

local MOST = 200 -- candidates that are listed

local KINDS = { "kprobe:", "kretprobe:", "ksyscall:", "kretsyscall:", "uprobe:", "uretprobe:", "usdt:", "tracepoint:",
  "raw_tracepoint:", "tp_btf:", "fentry:", "fexit:", "profile:", "software:", "hardware:" }
local OF_KERNEL = { kprobe = true, kretprobe = true, fentry = true, fexit = true }
local OF_BINARY = { uprobe = true, uretprobe = true, usdt = true }
local OF_TRACEPOINT = { raw_tracepoint = true, tp_btf = true }
local FORMATS = { "str", "ustr", "x", "d", "d32", "sym", "ip" }

local function starting_with(prefix, names)
  local found = {}
  for _, name in ipairs(names) do
    if name:sub(1, #prefix) == prefix then found[#found + 1] = name end
  end
  return found
end

-- ---- inside of quotes: targets -------------------------------------------------------------------------------------

local tracepoint_names -- "sched:sched_switch", read once

local function tracepoints(prefix)
  if not tracepoint_names then
    tracepoint_names = {}
    for i, each in ipairs(require("luaprobe.tracepoints").find("*", "*") or {}) do
      tracepoint_names[i] = each.category .. ":" .. each.name
    end
  end
  return starting_with(prefix, tracepoint_names)
end

-- Those have no category in their target.
local function raw_tracepoints(prefix)
  tracepoints ""
  local names = {}
  for i, name in ipairs(tracepoint_names) do names[i] = name:match ":(.*)$" end
  return starting_with(prefix, names)
end

-- What is in a binary, behind its path.
local function in_binary(kind, text)
  local path, rest = text:match "^([^:]+):(.*)$"
  if not path then return text, {} end
  local pattern = ("%s:%s"):format(kind, path)
  local names = {}
  for i, each in ipairs(require("luaprobe.probes").list(kind == "usdt" and pattern or pattern .. ":" .. rest .. "*")) do
    names[i] = each.target:sub(#pattern + 2)
  end
  return rest, starting_with(rest, names)
end

-- What can follow "kprobe:vfs_re": the word that is completed, candidates for it, and where there are many what all of
-- them have in common and how many they are.
local function target(text)
  local kind, rest = text:match "^([%w_]+):(.*)$"
  if not kind then return text, starting_with(text, KINDS) end
  if OF_KERNEL[kind] then return rest, require("luaprobe.ksyms").starting_with(rest) end
  if kind == "tracepoint" then return rest, tracepoints(rest) end
  if OF_BINARY[kind] then return in_binary(kind, rest) end
  if OF_TRACEPOINT[kind] then return rest, raw_tracepoints(rest) end
  return rest, {}
end

-- ---- inside of quotes: field expressions ---------------------------------------------------------------------------

local function sorted_names(fields, prefix)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  return starting_with(prefix, names)
end

-- The plan of the target that stands in the same call.
local function plan_of(call)
  local text = call:match "[\"']([%w_]+:[^\"']+)[\"']"
  if not text then return nil end
  local joined = call:find "ret%s*=%s*true" ~= nil or text:find "^k?u?ret" ~= nil
  return require("luaprobe.plan").new("complete", text, {}, joined)
end

-- Members of what the expression before the last step is, through a pointer where there is one.
local function members(plan, before, prefix)
  local types, type = plan:type_of(require("luaprobe.expression").parse(before))
  if type and type.kind == "ptr" then type = types:get(type.of) end
  if not type or not type.members then return {} end
  return sorted_names(types:fields(type), prefix)
end

-- What lp.count and lp.latency group by besides fields.
local GROUPS = { "func", "stack" }

local function field(call, text)
  local plan = plan_of(call)
  if not plan then return "", {} end
  local current = text:match "([^,=~<%s]*)$"
  if text:find "%->[%w_]*$" then current = text:match "([^,=~%s<]*%->[%w_]*)$" or current end
  local before, prefix = current:match "^(.+)%->([%w_]*)$"
  local other_before, other_prefix = current:match "^(.+)%.([%w_]*)$"
  if other_before and (not before or #other_before > #before) then before, prefix = other_before, other_prefix end
  local format = current:match ":(%w*)$"
  if format then return format, starting_with(format, FORMATS) end
  if before then return prefix, members(plan, before, prefix) end
  local names = plan:names()
  if call:find "by%s*=%s*$" then
    for _, name in ipairs(GROUPS) do names[#names + 1] = name end
  end
  return current, starting_with(current, names)
end

-- ---- outside of quotes: Lua ----------------------------------------------------------------------------------------

local function add_keys(found, container)
  for key in pairs(container) do
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then found[key] = true end
  end
end

-- The members of a struct or union that only FFI knows, through pointers, and those of anonymous members.
local STRUCT, POINTER, TYPEDEF, ATTRIBUTE = 1, 2, 7, 8 -- CT_* of LuaJIT's lj_ctype.h
local function add_ffi_members(found, id)
  local info = ffi.typeinfo(id)
  local kind = info and bit.rshift(info.info, 28)
  if kind == POINTER or kind == TYPEDEF or kind == ATTRIBUTE then
    return add_ffi_members(found, bit.band(info.info, 0xffff))
  end
  local member = kind == STRUCT and info.sib
  while member do
    local its = ffi.typeinfo(member)
    if its.name then found[its.name] = true else add_ffi_members(found, member) end
    member = its.sib
  end
end

local function keys_of_cdata(found, value)
  local described = require("luaprobe.pretty").describe(value)
  if described and described.members then
    add_keys(found, described.types:fields(described))
  elseif ffi.typeinfo then
    add_ffi_members(found, tonumber(ffi.typeof(value)))
  end
end

-- Objects of luaprobe say by themselves what there is to see: `__names` of their metatable.
local function keys_of(value)
  local own = type(value) == "table" and getmetatable(value)
  if type(own) == "table" and own.__names then return own.__names(value) end
  local found = {}
  if type(value) == "cdata" then keys_of_cdata(found, value) end
  if type(value) == "table" then add_keys(found, value) end
  local meta = type(value) == "string" and { __index = string } or type(value) == "table" and getmetatable(value)
  while type(meta) == "table" do
    add_keys(found, type(meta.__index) == "table" and meta.__index or type(meta.__index) == "function" and meta or {})
    meta = type(meta.__index) == "table" and getmetatable(meta.__index)
  end
  local names = {}
  for name in pairs(found) do
    if name:sub(1, 2) ~= "__" then names[#names + 1] = name end
  end
  return names
end

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

-- A member without running anything of the user's: a function that stands in for missing members may do what it likes.
-- The library's own objects say what there is.
local function member_of(value, name)
  while type(value) == "table" do
    local meta = getmetatable(value)
    local own = rawget(value, name)
    if own ~= nil or type(meta) ~= "table" then return own end
    if meta.__names then break end
    value = meta.__index
  end
  if type(value) == "function" then return nil end
  return value[name]
end

local function value_at(path)
  local value = _G
  for name in path:gmatch "[^.:]+" do value = member_of(value, name) end
  return value
end

-- Those that can be called: `value:name()`.
local function methods_among(value, names)
  local methods = {}
  for _, name in ipairs(names) do
    local ok, member = pcall(function() return value[name] end)
    if ok and type(member) == "function" then methods[#methods + 1] = name end
  end
  return methods
end

local function lua_names(text)
  local path, operator, prefix = text:match "([%a_][%w_.]*)([.:])([%w_]*)$"
  if path then
    local ok, value = pcall(value_at, path)
    local names = ok and starting_with(prefix, keys_of(value)) or {}
    return prefix, operator == ":" and methods_among(value, names) or names
  end
  prefix = text:match "[%a_][%w_]*$"
  if not prefix then return "", {} end
  local names = starting_with(prefix, keys_of(_G))
  for _, keyword in ipairs(starting_with(prefix, KEYWORDS)) do names[#names + 1] = keyword end
  return prefix, names
end

-- Names of types, inside of `obj.types["struct ev`.
local function type_names(path, text)
  local ok, types = pcall(value_at, path)
  if not ok or type(types) ~= "table" or types.empty or not types.btf then return text, {} end
  local found, kind = {}, { struct = true, union = true, enum = true }
  for id = 1, C.lp_btf_count(types.btf) do
    local described, type = pcall(types.get, types, id)
    if described and kind[type.kind] and type.name ~= "" then
      local name = type.kind .. " " .. type.name
      if name:sub(1, #text) == text then found[#found + 1] = name end
    end
  end
  return text, found
end

-- ---- putting it together -------------------------------------------------------------------------------------------

-- The text behind the quote that is open at the end, and what stands before it; nil where none is.
local function open_string(text)
  local open, from
  for at = 1, #text do
    local char = text:sub(at, at)
    if open then
      if char == open then open = nil end
    elseif char == '"' or char == "'" then
      open, from = char, at
    end
  end
  if open then return text:sub(from + 1), text:sub(1, from - 1) end
end

local function candidates(text)
  local string, before = open_string(text)
  if not string then return lua_names(text) end
  local path = before:match "([%a_][%w_.]*)%[$"
  if path then return type_names(path, string) end
  local call = before:match "lp%.(%a+)%s*%(?.*$"
  local is_first = not before:find "[\"'][^\"']+[\"']%s*,"
  if call and not is_first then return field(before, string) end
  return target(string)
end

local function common_prefix(names)
  local first, last = names[1], names[#names] -- sorted: the outermost differ most
  local length = 0
  while length < #first and first:byte(length + 1) == last:byte(length + 1) do length = length + 1 end
  return first:sub(1, length)
end

local function sorted_unique(names)
  table.sort(names)
  local unique = {}
  for _, name in ipairs(names) do
    if name ~= unique[#unique] then unique[#unique + 1] = name end
  end
  return unique
end

--- Completes a line.
-- @tparam string text what stands before the cursor
-- @treturn string|nil what to insert: the rest of the only candidate, or what all have in common; "" for nothing
-- @treturn {string,…}|nil the candidates, sorted; nil when there are none
-- @treturn number|nil how many there are
function M.line(text)
  local word, names, common, count = candidates(text)
  names = sorted_unique(names)
  if #names == 0 then return nil, nil end
  return (common or common_prefix(names)):sub(#word + 1), names, math.max(#names, count or 0)
end

--- Candidates in columns.
-- @tparam {string,…} names
-- @tparam number width of the terminal
-- @tparam number all how many there are
-- @treturn string lines
function M.columns(names, width, all)
  local longest, count = 0, math.min(#names, MOST)
  for i = 1, count do longest = math.max(longest, #names[i]) end
  local per_line = math.max(1, math.floor(width / (longest + 2)))
  local lines = {}
  for i = 1, count, per_line do
    local parts = {}
    for j = i, math.min(i + per_line - 1, count) do parts[#parts + 1] = ("%-" .. longest .. "s"):format(names[j]) end
    lines[#lines + 1] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  if all > count then lines[#lines + 1] = ("… %d more"):format(all - count) end
  return table.concat(lines, "\n")
end

return M
