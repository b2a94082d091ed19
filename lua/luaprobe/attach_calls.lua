--- How a script attaches what it loads, as far as its text tells.
-- @module luaprobe.attach_calls
local literals = require "luaprobe.literals"

local M = {}

-- The literal behind `first =` within the call that begins at `i`; false when that is no literal, nil when there is
-- none.
local function ladder_in(tokens, i)
  local depth = 0
  repeat
    local token = tokens[i]
    if token.kind == "name" and token.text == "first" and tokens[i + 1] and tokens[i + 1].text == "=" then
      local value = literals.at(tokens, i + 2)
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
  if token.text ~= "attach" or not before or before.text ~= ":" or not literals.is_call(tokens, i + 1) then return end
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

--- Looks for the calls of `OBJECT:attach` and `PROGRAM:attach`.
-- @tparam table tokens of luaprobe.lexer
-- @treturn table `count`: how many calls there are; `ladders`: the ladders that are literals; `whole`: there is a call
--   without a ladder; `single`: the script deals with single programs, or what it gives to a call is not told
function M.scan(tokens)
  local attach = { count = 0, ladders = {}, whole = false, single = false }
  for i = 1, #tokens do note_attach(tokens, i, attach) end
  return attach
end

return M
