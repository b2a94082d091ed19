--- What a script compiles and loads, found in its text without running it.
--
-- Seen are calls with literal arguments through a name that `require "luaprobe"` was given to, or through a name for
-- the function itself: `lp.compile[[ … ]]`, `lp.compile([[ … ]], { name = "x" })`, `lp.load "name"`, `lp.open("name",
-- …)`.
-- @module luaprobe.blocks
local lexer = require "luaprobe.lexer"

local M = {}

local CALLS = { compile = true, load = true, open = true }

-- A reader of literal expressions. Each function returns the value and the place behind it, or nil when it is no
-- literal.
local literal

local function literal_table(tokens, i)
  local result, n = {}, 0
  while tokens[i] and tokens[i].text ~= "}" do
    local key, value
    if tokens[i].kind == "name" and tokens[i + 1] and tokens[i + 1].text == "=" then
      key, i = tokens[i].text, i + 2
    elseif tokens[i].text == "[" then
      key, i = literal(tokens, i + 1)
      if key == nil or not tokens[i + 1] or tokens[i].text ~= "]" or tokens[i + 1].text ~= "=" then return nil end
      i = i + 2
    end
    value, i = literal(tokens, i)
    if i == nil then return nil end
    if key == nil then
      n = n + 1
      key = n
    end
    result[key] = value
    if tokens[i] and (tokens[i].text == "," or tokens[i].text == ";") then i = i + 1 end
  end
  if tokens[i] then return result, i + 1 end
end

local CONSTANTS = { ["true"] = true, ["false"] = false }

local function literal_term(tokens, i)
  local token = tokens[i]
  if not token then return nil end
  if token.value ~= nil then return token.value, i + 1 end
  if token.kind == "name" and CONSTANTS[token.text] ~= nil then return CONSTANTS[token.text], i + 1 end
  if token.text == "{" then return literal_table(tokens, i + 1) end
end

function literal(tokens, i)
  local value
  value, i = literal_term(tokens, i)
  while i and tokens[i] and tokens[i].text == ".." do
    local more
    more, i = literal_term(tokens, i + 1)
    if type(value) ~= "string" or type(more) ~= "string" then return nil end
    value = value .. more
  end
  if i then return value, i end
end

-- `require "luaprobe"` or `require("luaprobe")` at `i`: the place behind it.
local function required(tokens, i)
  local token = tokens[i]
  if not token or token.kind ~= "name" or token.text ~= "require" then return nil end
  local opened = tokens[i + 1] and tokens[i + 1].text == "("
  local name = tokens[i + (opened and 2 or 1)]
  if not name or name.value ~= "luaprobe" then return nil end
  return i + (opened and 4 or 2)
end

-- The call's name when the library is what stands at `i`: `lp.compile`, `require("luaprobe").compile`, or a name for
-- it.
local function call_at(tokens, i, names)
  local token = tokens[i]
  if token.kind ~= "name" then return nil end
  local before = tokens[i - 1]
  if before and (before.text == "." or before.text == ":") then return nil end
  local behind = names.library[token.text] and i + 1 or required(tokens, i)
  if behind and tokens[behind] and tokens[behind].text == "." and tokens[behind + 1]
    and CALLS[tokens[behind + 1].text] then
    return tokens[behind + 1].text, behind + 2
  end
  if names.call[token.text] then return names.call[token.text], i + 1 end
end

-- Notes `local lp = require "luaprobe"` and `local compile = lp.compile`.
local function note_names(tokens, i, names)
  local token, equals = tokens[i], tokens[i + 1]
  if token.kind ~= "name" or not equals or equals.text ~= "=" or not tokens[i + 2] then return end
  local behind = required(tokens, i + 2)
  if behind and not (tokens[behind] and tokens[behind].text == ".") then names.library[token.text] = true end
  local call, after = call_at(tokens, i + 2, names)
  local argument = after and tokens[after]
  if call and not (argument and (argument.kind == "string" or argument.text == "(" or argument.text == "{")) then
    names.call[token.text] = call
  end
end

-- The arguments of a call as literals: `first, rest`; nil when the first is none, `false` as rest when the second is
-- none.
local function arguments(tokens, i)
  local token = tokens[i]
  if not token then return nil end
  if token.kind == "string" then return token.value end
  if token.text ~= "(" then return nil end
  local first, after = literal(tokens, i + 1)
  if after == nil or not tokens[after] then return nil end
  if tokens[after].text == ")" then return first end
  if tokens[after].text ~= "," then return nil end
  local second, behind = literal(tokens, after + 1)
  return first, behind and second or false
end

local function is_call(tokens, i)
  local token = tokens[i]
  return token and (token.kind == "string" or token.text == "(")
end

local function note_call(call, tokens, i, found)
  local first, second = arguments(tokens, i)
  local first_token = tokens[i].text == "(" and tokens[i + 1] or tokens[i]
  local line = first_token and first_token.line or tokens[i].line
  if call == "compile" then
    local good = type(first) == "string" and second ~= false
    found.blocks[#found.blocks + 1] = { text = good and first or nil, options = good and second or {}, line = line }
  elseif type(first) == "string" then
    found.objects[#found.objects + 1] = { name = first, line = line }
  end
end

--- What a script's text compiles and loads.
-- @tparam string text
-- @treturn table `blocks`: `{text, options, line}` of each lp.compile, `text` nil when its arguments are not literals;
--   `objects`: `{name, line}` of each lp.load and lp.open by a literal name or path; in the order of the text
function M.scan(text)
  local tokens = lexer.tokens((text:gsub("\r\n", "\n")))
  local names, found = { library = {}, call = {} }, { blocks = {}, objects = {} }
  for i = 1, #tokens do
    note_names(tokens, i, names)
    local call, behind = call_at(tokens, i, names)
    if call and is_call(tokens, behind) then note_call(call, tokens, behind, found) end
  end
  return found
end

return M
