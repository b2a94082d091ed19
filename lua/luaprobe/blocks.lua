--- What a script compiles and loads, found in its text without running it.
--
-- Seen are calls with literal arguments through a name that `require "luaprobe"` was given to, or through a name for
-- the function itself: `lp.compile[[ … ]]`, `lp.compile([[ … ]], { name = "x" })`, `lp.load "name"`, `lp["open"]("n")`,
-- `lp.count "kprobe:vfs_read"`.
-- Where the library, or one of these functions, goes another way, that is told.
-- @module luaprobe.blocks
local attach_calls = require "luaprobe.attach_calls"
local lexer = require "luaprobe.lexer"
local literals = require "luaprobe.literals"

local M = {}

local ONE_LINERS = { trace = true, count = true, latency = true }
local CALLS = { compile = true, load = true, open = true, trace = true, count = true, latency = true }

-- `require "luaprobe"` or `require("luaprobe")` at `i`: the place behind it.
local function required(tokens, i)
  local token = tokens[i]
  if not token or token.kind ~= "name" or token.text ~= "require" then return nil end
  local opened = tokens[i + 1] and tokens[i + 1].text == "("
  local name = tokens[i + (opened and 2 or 1)]
  if not name or name.value ~= "luaprobe" then return nil end
  return i + (opened and 4 or 2)
end

-- A name that stands by itself at `i`, not the field of something.
local function is_free_name(tokens, i)
  local token, before = tokens[i], tokens[i - 1]
  return token and token.kind == "name" and not (before and (before.text == "." or before.text == ":"))
end

-- The library at `i`, by a name for it or as `require "luaprobe"`: the place behind it.
local function library_at(tokens, i, names)
  if not is_free_name(tokens, i) then return nil end
  return names.library[tokens[i].text] and i + 1 or required(tokens, i)
end

-- `.name` or `["name"]` at `i`: the name, and the place behind it.
local function field_at(tokens, i)
  local token, key = tokens[i], tokens[i + 1]
  if not token or not key then return nil end
  if token.text == "." then return key.text, i + 2 end
  if token.text == "[" and type(key.value) == "string" and tokens[i + 2] and tokens[i + 2].text == "]" then
    return key.value, i + 3
  end
end

-- The call's name when the library, or a name for the call, is what stands at `i`: `lp.compile`, `lp["compile"]`,
-- `require("luaprobe").compile`, `compile`.
local function call_at(tokens, i, names)
  local behind = library_at(tokens, i, names)
  local field, after = field_at(tokens, behind or #tokens + 1)
  if CALLS[field] then return field, after end
  if is_free_name(tokens, i) and names.call[tokens[i].text] then return names.call[tokens[i].text], i + 1 end
end

-- `{ a = ` or `, a = ` or `; a = ` within braces: the field of a table, which is not followed.
local function is_table_field(tokens, i)
  local before = tokens[i - 1] and tokens[i - 1].text
  return before == "{" or tokens[i].in_table and (before == ";" or before == ",")
end

-- `a, b, c =` at `i`: the names, and the place behind them.
local function assigned_names(tokens, i)
  local before = tokens[i - 1]
  if not is_free_name(tokens, i) or before and before.text == "," or is_table_field(tokens, i) then return nil end
  local list = { tokens[i].text }
  while tokens[i + 1] and tokens[i + 1].text == "," and tokens[i + 2] and tokens[i + 2].kind == "name" do
    i = i + 2
    list[#list + 1] = tokens[i].text
  end
  if tokens[i + 1] and tokens[i + 1].text == "=" then return list, i + 2 end
end

-- Notes what a name is given: the library, one of its calls, or the object that lp.compile makes. Returns the place
-- behind it when it is a plain name for one of the first two.
local function note_name(tokens, i, name, names)
  local call, after = call_at(tokens, i, names)
  if call and literals.is_call(tokens, after) then
    names.compiled[name] = call == "compile" or nil
  elseif call then
    names.call[name] = call
    return after
  else
    local behind = library_at(tokens, i, names)
    if not behind or field_at(tokens, behind) or literals.is_call(tokens, behind) then return nil end
    names.library[name] = true
    return behind
  end
end

-- Notes `local lp = require "luaprobe"`, `local q = lp`, `local compile, open = lp.compile, lp.open`. The names on both
-- sides are followed, and need not be warned of.
local function note_names(tokens, i, names)
  local list, at = assigned_names(tokens, i)
  for place = i, list and at - 2 or 0 do names.followed[place] = true end
  for _, name in ipairs(list or {}) do
    local behind = note_name(tokens, at, name, names)
    if not behind then return end
    names.followed[at] = true
    if not tokens[behind] or tokens[behind].text ~= "," then return end
    at = behind + 1
  end
end

-- Whether what lp.load is given at `i` is the object of an lp.compile, which is found by itself.
local function is_compiled(tokens, i, names)
  if tokens[i].text == "(" then i = i + 1 end
  return call_at(tokens, i, names) == "compile"
    or is_free_name(tokens, i) and names.compiled[tokens[i].text]
end

local function note_unfollowed(found, what, call, line)
  found.unfollowed[#found.unfollowed + 1] = { what = what:format(call), line = line }
end

local function note_one_liner(call, tokens, i, found)
  local values, known, all = literals.arguments(tokens, i)
  if type(values[1]) == "string" then
    found.one_liners[#found.one_liners + 1] = { call = call, target = values[1], fields = call == "trace" and values[2],
      options = values[call == "trace" and 3 or 2], line = tokens[i].line, partly = not all and known or nil }
  else
    note_unfollowed(found, "what lp.%s is given here", call, tokens[i].line)
  end
end

-- Where the lines of a string begin in the script, nil when they are not the script's: escapes make lines of their own.
local function line_of_string(token, text)
  if token.kind ~= "string" or token.value ~= text then return nil end
  return (token.text:sub(1, 1) == "[" or not token.text:find("\\", 1, true)) and token.line or nil
end

local function note_call(call, tokens, i, names, found)
  if ONE_LINERS[call] then return note_one_liner(call, tokens, i, found) end
  local first, second = literals.two_arguments(tokens, i)
  local first_token = tokens[i].text == "(" and tokens[i + 1] or tokens[i]
  local line = first_token and first_token.line or tokens[i].line
  if call == "compile" then
    local good = type(first) == "string" and second ~= false
    found.blocks[#found.blocks + 1] = { text = good and first or nil, options = good and second or {}, line = line,
      text_line = line_of_string(first_token, first) }
  elseif type(first) == "string" then
    found.objects[#found.objects + 1] = { name = first, line = line, loads = call == "load" }
  elseif not is_compiled(tokens, i, names) then
    note_unfollowed(found, "what lp.%s is given here", call, line)
  end
end

-- A use of the library that is no call and gives it no name: `pcall(lp.load, …)`, `f(lp)`, `lp[x]`. What it does with
-- it is not known.
local function note_use(tokens, i, names, found)
  local call = call_at(tokens, i, names)
  local behind = library_at(tokens, i, names)
  local next_token = tokens[behind or i + 1]
  if not call and (not behind or field_at(tokens, behind)) then return end
  if names.followed[i] or next_token and next_token.text == "=" then return end
  local what = call and ("what becomes of lp.%s here"):format(call) or "what becomes of the library luaprobe here"
  found.unfollowed[#found.unfollowed + 1] = { what = what, line = tokens[i].line }
end

local OPENS = { ["("] = true, ["["] = true, ["{"] = true }
local CLOSES = { [")"] = true, ["]"] = true, ["}"] = true }

-- Notes of each token whether the innermost bracket around it is a table's.
local function note_tables(tokens)
  local open = {}
  for _, token in ipairs(tokens) do
    if token.kind == "symbol" and CLOSES[token.text] then open[#open] = nil end
    token.in_table = open[#open] == "{"
    if token.kind == "symbol" and OPENS[token.text] then open[#open + 1] = token.text end
  end
end

-- What Lua takes for the end of a line, as a newline.
local function with_newlines(text)
  return (text:gsub("\r\n", "\n"):gsub("\n\r", "\n"):gsub("\r", "\n"))
end

--- Where a text stands as a string of a script, whatever is done with it.
-- @tparam string script
-- @tparam string text
-- @tparam number near of several the one next to this line is taken
-- @treturn number|nil the line of the text's first one; nil when it is put together, or written with escapes
function M.line_of_text(script, text, near)
  local best
  for _, token in ipairs(lexer.tokens(with_newlines(script))) do
    local line = line_of_string(token, text)
    if line and (not best or math.abs(line - near) < math.abs(best - near)) then best = line end
  end
  return best
end

--- What a script's text compiles and loads.
-- @tparam string text
-- @treturn table, each list in the order of the text
--   `blocks`: `{text, options, line, text_line}` of each lp.compile, `text` nil when its arguments are not literals,
--   `text_line` where its first line is one of the script's;
--   `objects`: `{name, line, loads}` of each lp.load (`loads`) and lp.open by a literal name or path;
--   `one_liners`: `{call, target, fields, options, line, partly}` of each lp.trace, lp.count and lp.latency of a
--   literal target, `partly` when an argument behind it is no literal;
--   `attach`: see luaprobe.attach_calls;
--   `unfollowed`: `{what, line}` where the text does not tell what is compiled or loaded
function M.scan(text)
  local tokens = lexer.tokens(with_newlines(text))
  note_tables(tokens)
  local names = { library = {}, call = {}, compiled = {}, followed = {} }
  local found = { blocks = {}, objects = {}, one_liners = {}, unfollowed = {},
    attach = attach_calls.scan(tokens) }
  for i = 1, #tokens do
    note_names(tokens, i, names)
    local call, behind = call_at(tokens, i, names)
    if call and literals.is_call(tokens, behind) then
      note_call(call, tokens, behind, names, found)
    else
      note_use(tokens, i, names, found)
    end
  end
  return found
end

return M
