--- What a script compiles and loads, found in its text without running it.
--
-- Seen are calls with literal arguments through a name that `require "luaprobe"` was given to, or through a name for
-- the function itself: `lp.compile[[ … ]]`, `lp.compile([[ … ]], { name = "x" })`, `lp.load "name"`, `lp["open"]("n")`,
-- `lp.count "kprobe:vfs_read"`.
-- Where the library, or one of these functions, goes another way, that is told.
-- @module luaprobe.blocks
local lexer = require "luaprobe.lexer"

local M = {}

local ONE_LINERS = { trace = true, count = true, latency = true }
local CALLS = { compile = true, load = true, open = true, trace = true, count = true, latency = true }

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

local function is_call(tokens, i)
  local token = tokens[i]
  return token and (token.kind == "string" or token.text == "(" or token.text == "{")
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
  if call and is_call(tokens, after) then
    names.compiled[name] = call == "compile" or nil
  elseif call then
    names.call[name] = call
    return after
  else
    local behind = library_at(tokens, i, names)
    if not behind or field_at(tokens, behind) or is_call(tokens, behind) then return nil end
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

-- All arguments of a call as literals; `known` is how many there are up to the first that is none.
local function all_arguments(tokens, i)
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
  local values, known, all = all_arguments(tokens, i)
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
  local first, second = arguments(tokens, i)
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

-- The literal behind `first =` within the call that begins at `i`; false when that is no literal, nil when there is
-- none.
local function ladder_in(tokens, i)
  local depth = 0
  repeat
    local token = tokens[i]
    if token.kind == "name" and token.text == "first" and tokens[i + 1] and tokens[i + 1].text == "=" then
      local value = literal(tokens, i + 2)
      return type(value) == "table" and value or false
    elseif token.kind == "symbol" then
      depth = depth + (token.text:find "^[({]" and 1 or token.text:find "^[)}]" and -1 or 0)
    end
    i = i + 1
  until depth == 0 or not tokens[i]
end

-- How the script attaches what it loads: `OBJECT:attach(…)`, and whether it deals with single programs.
local function note_attach(tokens, i, attach)
  local token, before = tokens[i], tokens[i - 1]
  if token.kind ~= "name" then return end
  if token.text == "programs" or token.text == "autoload" then attach.single = true end
  if token.text ~= "attach" or not before or before.text ~= ":" or not is_call(tokens, i + 1) then return end
  attach.count = attach.count + 1
  local first = tokens[i + 1].text == "(" and tokens[i + 2] or tokens[i + 1]
  local is_told = first and first.kind == "symbol" and (first.text == ")" or first.text == "{")
  local ladder = is_told and ladder_in(tokens, i + 1)
  if ladder then
    attach.ladders[#attach.ladders + 1] = ladder
  elseif ladder == nil then
    attach.whole = true
  else
    attach.single = true
  end
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
--   `attach`: `{count, ladders, whole, single}`: how many calls of `:attach` there are, the ladders that are literals,
--   whether there is one without a ladder, whether single programs are dealt with;
--   `unfollowed`: `{what, line}` where the text does not tell what is compiled or loaded
function M.scan(text)
  local tokens = lexer.tokens(with_newlines(text))
  note_tables(tokens)
  local names = { library = {}, call = {}, compiled = {}, followed = {} }
  local found = { blocks = {}, objects = {}, one_liners = {}, unfollowed = {},
    attach = { count = 0, ladders = {}, whole = false, single = false } }
  for i = 1, #tokens do
    note_attach(tokens, i, found.attach)
    note_names(tokens, i, names)
    local call, behind = call_at(tokens, i, names)
    if call and is_call(tokens, behind) then
      note_call(call, tokens, behind, names, found)
    else
      note_use(tokens, i, names, found)
    end
  end
  return found
end

return M
