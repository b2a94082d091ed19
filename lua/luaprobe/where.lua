--- Conditions, evaluated in the kernel: `dfd == -100 and comm == 'ca*' and how->flags ~= 0`.
--
--     EXPRESSION (== ~= < <= > >=) (NUMBER | 'TEXT' | 'BEGINNING*' | ENUMERATOR | true | false | NULL) { and … }
--
-- @module luaprobe.where
local ffi = require "ffi"
local err = require "luaprobe.error"
local expression = require "luaprobe.expression"
local nearest = require "luaprobe.nearest"

local M = {}

local MOST = 6
local TEXT_SIZE = 64 -- LP_MATCH_SIZE
local OPERATIONS = { ["=="] = 1, ["~="] = 2, ["!="] = 2, ["<"] = 3, ["<="] = 4, [">"] = 5, [">="] = 6 }
local WORDS = { ["true"] = 1, ["false"] = 0, NULL = 0 }

-- Where the text in quotes that begins at a place ends; raises when it does not.
local function end_of_quote(text, at)
  local last = text:find(text:sub(at, at), at + 1, true)
  if not last then expression.wrong(text, "a quote is not closed") end
  return last
end

-- The comparisons between the `and`s that are not in quotes.
local function split(text)
  local parts, from, at = {}, 1, 1
  while at <= #text do
    local char = text:sub(at, at)
    if char == "'" or char == '"' then
      at = end_of_quote(text, at) + 1
    elseif text:find("^%f[%w_]and%f[^%w_]", at) and (at == 1 or not text:sub(at - 1, at - 1):find "[%w_]") then
      parts[#parts + 1], from, at = text:sub(from, at - 1), at + 3, at + 3
    else
      at = at + 1
    end
  end
  parts[#parts + 1] = text:sub(from)
  return parts
end

-- EXPRESSION, OPERATION and VALUE of a comparison.
local function parse(text)
  local left, operation, right = text:gsub("%->", "\1"):match "^([^=~!<>'\"]+)([=~!<>]=?)%s*(.-)%s*$"
  if not left or not OPERATIONS[operation] or right == "" then
    expression.wrong(text:match "^%s*(.-)%s*$", "this is no comparison",
      "write EXPRESSION == VALUE, joined by `and`; the others are ~= < <= > >=, and texts stand in 'quotes'")
  end
  return expression.parse((left:gsub("\1", "->"))), operation, (right:gsub("\1", "->"))
end

local function quoted(right)
  local quote, text = right:match "^(['\"])(.*)%1$"
  return quote and text
end

-- An integer literal as uint64_t, and whether it is negative; nil for anything else.
local function integer(text)
  local sign, digits = text:match "^(%-?)(%d+)$"
  if not digits then sign, digits = text:match "^(%-?)(0[xX]%x+)$" end
  if not digits or #digits > 20 then return nil end
  local literal = loadstring("return " .. digits .. "ULL")
  if not literal then return nil end -- it has more than 64 bits
  local number = literal()
  if sign == "-" then number = -number end
  return number, sign == "-" and number ~= 0
end

local function enumerator(compiled, name)
  local type = compiled.type
  if type.kind ~= "enum" then return nil end
  local value = type.values[name]
  if value then return ffi.cast("uint64_t", ffi.cast("int64_t", value)) end
  local names = {}
  for each in pairs(type.values) do names[#names + 1] = each end
  expression.wrong(compiled.text, ("enum %s has no '%s'"):format(type.name, name), nearest.hint(name, names, "it has"))
end

local function number_condition(compiled, operation, right)
  if compiled.bytes then expression.wrong(compiled.text, "addresses of 16 bytes cannot be compared") end
  if compiled.is_text then
    expression.wrong(compiled.text, ("it is a text, and cannot be compared with %s"):format(right),
      ("write '%s', in quotes"):format(right))
  end
  local number, negative = integer(right)
  if not number and right:find "^[%a_][%w_]*$" then
    number = WORDS[right] and 0ULL + WORDS[right] or enumerator(compiled, right)
  end
  if not number then
    expression.wrong(compiled.text, ("'%s' is no value to compare with"):format(right),
      "write a number, or 'text' in quotes")
  end
  local signed = compiled.fetch.is_signed == 1
  if not signed and (negative or number == 0 and operation == "<") then
    expression.wrong(compiled.text, ("%s is never negative"):format(compiled.type.name ~= "" and compiled.type.name
      or "it"), ("take it with a sign: %s:d, or %s:d32 when it is an int"):format(compiled.text, compiled.text))
  end
  return { left = compiled.fetch, operation = OPERATIONS[operation], right = number, is_signed = signed and 1 or 0 }
end

local function text_condition(compiled, operation, text)
  if not compiled.is_text then
    expression.wrong(compiled.text, ("it is a number, and cannot be compared with '%s'"):format(text),
      "texts are arrays of characters, or pointers with :str or :ustr")
  elseif OPERATIONS[operation] > 2 then
    expression.wrong(compiled.text, ("texts are compared by == and ~=, not by %s"):format(operation))
  end
  local beginning = text:match "^(.*)%*$"
  local wanted = beginning or text
  if #wanted >= TEXT_SIZE then
    expression.wrong(compiled.text, ("a text to compare with has up to %d bytes, not %d"):format(TEXT_SIZE - 1,
      #wanted))
  end
  local room = compiled.type.kind == "array" and compiled.type.count or 0
  if room > 0 and #wanted >= room then
    expression.wrong(compiled.text, ("it has up to %d bytes, and so is never '%s'"):format(room - 1, text),
      "a process's name is cut to 15 bytes")
  end
  return { left = compiled.fetch, operation = OPERATIONS[operation], length = #wanted, prefix = beginning and 1 or 0,
    text = wanted }
end

--- Compiles conditions.
-- @tparam[opt] string text
-- @tparam function compile gives what luaprobe.fetch makes of an expression that luaprobe.expression parsed
-- @tparam[opt] table formats formats by expression, where the condition names none
-- @treturn {table,…} what the template's `conditions` are set to
-- @raise error of stage "expression"
function M.compile(text, compile, formats)
  if text == nil then return {} end
  if type(text) ~= "string" then err.misuse("where is a string, not a %s", type(text)) end
  if not text:find "%S" then err.misuse "where is empty: leave it out, or write a comparison" end
  local list = {}
  for _, part in ipairs(split(text)) do
    local left, operation, right = parse(part)
    local wanted = quoted(right)
    if wanted then
      left.format = left.format or (formats or {})[left.text] or "str"
    elseif left.format ~= "d" and left.format ~= "d32" then
      left.format = nil -- numbers are compared as they are
    end
    local compiled = compile(left)
    list[#list + 1] = wanted and text_condition(compiled, operation, wanted)
      or number_condition(compiled, operation, right)
  end
  if #list > MOST then
    err.raise { code = "E2BIG", stage = "expression",
      message = ("where: %d comparisons, and %d are evaluated"):format(#list, MOST) }
  end
  return list
end

return M
