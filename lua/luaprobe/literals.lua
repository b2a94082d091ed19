--- Expressions of a script that are literals, read from its tokens: what it gives to a call, without running it.
-- @module luaprobe.literals
local M = {}

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

--- A literal: a string, also one of several put together by `..`, a number, true, false, or a table of such.
-- @tparam table tokens of luaprobe.lexer
-- @tparam number i where it begins
-- @treturn any nil when it is no literal
-- @treturn number|nil the place behind it
M.at = literal

--- Whether a call's arguments begin at `i`.
function M.is_call(tokens, i)
  local token = tokens[i]
  return token and (token.kind == "string" or token.text == "(" or token.text == "{")
end

--- The first two arguments of a call that begins at `i`.
-- @return the first, nil when it is no literal
-- @return the second, false when it is no literal
function M.two_arguments(tokens, i)
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

--- The arguments of a call that begins at `i`, up to the first that is no literal.
-- @treturn table their values by number; nil is one, too
-- @treturn number how many there are
-- @treturn boolean|nil whether these are all
function M.arguments(tokens, i)
  local list, known = {}, 0
  local opened = tokens[i].text == "("
  local at = opened and i + 1 or i
  while tokens[at] do
    local value, after = literal(tokens, at)
    if not after and tokens[at].text == "nil" then after = at + 1 end
    local behind = tokens[after or #tokens + 1]
    if not after or opened and not (behind and (behind.text == "," or behind.text == ")")) then return list, known end
    known = known + 1
    list[known] = value
    if not opened or behind.text == ")" then return list, known, true end
    at = after + 1
  end
  return list, known
end

return M
