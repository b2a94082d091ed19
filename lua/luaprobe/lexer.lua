--- Lua's tokens: for reading a script without running it.
-- @module luaprobe.lexer
local M = {}

-- The value of a string or number as it is written: a literal alone, so loading it runs nothing of the script's.
local function value_of(literal)
  local chunk = loadstring("return " .. literal)
  if chunk then return chunk() end
end

-- Where a quoted string that begins at `at` ends; nil when it does not.
local function quoted_end(text, at)
  local quote, i = text:sub(at, at), at + 1
  while true do
    i = text:find("[\\\n" .. quote .. "]", i)
    if not i then return nil end
    local c = text:sub(i, i)
    if c == quote then return i end
    if c == "\n" then return nil end
    i = i + 2 -- what is escaped, a line end too
  end
end

-- Where a long bracket that begins at `at` ends, and where what is in it begins; nil when it is none or does not end.
local function long_end(text, at)
  local level, body = text:match("^%[(=*)%[()", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", body, true)
  return stop, body
end

local function line_counter(text)
  local line, newline = 1, text:find("\n", 1, true)
  return function(at)
    while newline and newline < at do line, newline = line + 1, text:find("\n", newline + 1, true) end
    return line
  end
end

-- What begins at `at`: its kind and where it ends.
local function next_token(text, at)
  local c = text:sub(at, at)
  if text:find("^%-%-", at) then
    return "comment", long_end(text, at + 2) or (text:find("\n", at, true) or #text + 1) - 1
  end
  if c == '"' or c == "'" then return "string", quoted_end(text, at) or #text end
  local stop, body = long_end(text, at)
  if stop then return "string", stop, body end
  stop = select(2, text:find("^[%a_][%w_]*", at))
  if stop then return "name", stop end
  stop = select(2, text:find("^%.?%d[%w.]*", at))
  if stop then return "number", stop end
  stop = select(2, text:find("^%.%.+", at)) or select(2, text:find("^::", at)) -- a label is not the call of a method
  return "symbol", stop or at
end

--- All tokens of a script, comments left out.
-- @tparam string text
-- @treturn {table,…} `{kind, text, value, line}`: kind is "name", "string", "number" or "symbol"; `value` that of a
--   string or number; `line` where it begins, of a long string where what is in it begins
function M.tokens(text)
  local tokens, line_of = {}, line_counter(text)
  local at = text:sub(1, 1) == "#" and (text:find("\n", 1, true) or #text) + 1 or 1 -- #!/usr/bin/env luaprobe
  while true do
    at = text:find("%S", at)
    if not at then return tokens end
    local kind, stop, body = next_token(text, at)
    if kind ~= "comment" then
      local token = { kind = kind, text = text:sub(at, stop), line = line_of(at) }
      if body and text:find("^\r?\n", body) then token.line = token.line + 1 end -- Lua drops a first line end
      if kind == "string" or kind == "number" then token.value = value_of(token.text) end
      tokens[#tokens + 1] = token
    end
    at = stop + 1
  end
end

return M
