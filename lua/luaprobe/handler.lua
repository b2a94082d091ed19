--- What a script gives a loop to call: checked beforehand, and guarded when it is called.
-- @module luaprobe.handler
local err = require "luaprobe.error"

local M = {}

--- Raises a misuse unless it is a function.
function M.check_function(what, fn)
  if type(fn) ~= "function" then err.misuse("%s takes a function, not a %s", what, type(fn)) end
end

--- Raises a misuse unless it says what an error does: "stop", "count" or nothing.
function M.check_on_error(value)
  if value ~= nil and value ~= "stop" and value ~= "count" then
    err.misuse('on_error is "stop" or "count", not %s', tostring(value))
  end
end

-- Where in a function something failed that is being raised now: FILE:LINE, or nil.
local function line_in(fn)
  for level = 3, 200 do
    local info = debug.getinfo(level, "fSl")
    if not info then return nil end
    if info.func == fn then return info.short_src .. ":" .. info.currentline end
  end
end

-- Makes a text, an error of the library or none at all tell the handler's line, unless it does. Whatever else a script
-- raises is its own affair: who catches it gets the very value.
local function explain(failure, line)
  if not line then return failure end
  if err.is(failure) then
    failure.where = failure.where or line
    return failure
  end
  if type(failure) ~= "string" and failure ~= nil then return failure end
  local text = tostring(failure)
  if text:find(line .. ":", 1, true) == 1 then return failure end
  if text:find "^[^\n]-:%d+: " then return ("%s (called from the handler at %s)"):format(text, line) end
  return ("%s: %s"):format(line, text)
end

-- The first error of those that are counted, for people: a line of text that says where.
local function first_line(failure, line)
  local text = err.text_of(failure):match "^[^\n]*"
  if type(failure) == "string" or err.is(failure) or not line then return text end
  return ("%s: %s"):format(line, text)
end

--- Calls what may fail; an error is passed on or, by on_error = "count", counted and gone over.
-- @tparam table account whose `errors` are counted
-- @tparam[opt] string on_error
-- @tparam function fn the handler, whose line an error that is a text names
-- @tparam function call what is called
-- @treturn boolean whether it went well
function M.guarded(account, on_error, fn, call, ...)
  local line
  local ok, failure = xpcall(call, function(reason)
    line = line_in(fn)
    return explain(reason, line)
  end, ...)
  if ok then return true end
  account.errors = account.errors + 1
  if on_error ~= "count" then error(failure, 0) end
  account.first_error = account.first_error or first_line(failure, line)
  return false
end

return M
