--- What is typed at the prompt: whether it is complete, what it does, what it gives.
-- @module luaprobe.chunk
local err = require "luaprobe.error"
local guard = require "luaprobe.guard"

local M = {}

local NAME = "=prompt"

-- A local would be gone with its line, so at the prompt the first statement's `local` is left out.
local function without_local(text)
  local rest = text:match "^%s*local%s+(function%s.*)$"
  if rest then return rest end
  rest = text:match "^%s*local%s+([%a_][%w_%s,]*=[^=].*)$"
  return rest or text
end

-- A string in quotes ends on its line, unless a backslash takes the line's end into it.
local function is_unfinished(reason, text)
  if reason:find ": unfinished string near" then return text:find "\\$" ~= nil end
  return reason:find "near '<eof>'$" ~= nil
end

--- Compiles a chunk, an expression or statements.
-- @tparam string text
-- @treturn function|nil
-- @treturn string what is wrong with it; of a function its source
-- @treturn boolean whether more lines could make it right
function M.compile(text)
  text = text:gsub("^%s*=", "") -- as other prompts have it
  local as_expression, as_statement = "return " .. text, without_local(text)
  local fn, wrong_expression = loadstring(as_expression .. "\n", NAME)
  if fn then return fn, as_expression, false end
  local wrong_statement
  fn, wrong_statement = loadstring(" " .. as_statement, NAME) -- a "#" in front would begin a comment
  if fn then return fn, as_statement, false end
  if is_unfinished(wrong_statement, text) then return nil, wrong_statement, true end
  if is_unfinished(wrong_expression, text) then return nil, wrong_expression, true end
  return nil, wrong_statement, false
end

-- At a prompt the place is before the user's eyes, unless the chunk has several lines.
local function without_place(text, lines)
  return lines > 1 and text or (text:gsub("^prompt:%d+: ", ""))
end

--- Makes Ctrl-C end a function, which only interpreted code can be: what iterates over events ends by itself, and shall
-- be compiled.
-- @tparam function fn
-- @tparam string text what it was compiled from
function M.make_interruptible(fn, text)
  if not text:find(":each%f[%W]") then jit.off(fn, true) end
end

--- An error as the paragraph that is shown.
-- @param failure what was raised
-- @tparam string text the chunk
-- @treturn string
function M.explain(failure, text)
  local _, lines = text:gsub("\n+%s*%S", "")
  if err.is(failure) and failure.where and failure.where:find "^prompt:" and lines == 0 then failure.where = nil end
  if failure == nil then return "error: nil" end
  return "error: " .. without_place(err.text_of(failure), lines + 1)
end

local function pack(ok, ...)
  return { ok = ok, count = select("#", ...), ... }
end

--- Calls a function that may be what was typed, or call it: its errors, and Ctrl-C, end it alone.
-- @tparam function fn
-- @param ... its arguments
-- @treturn table `ok`, `count` and the values, or the error as the first
function M.guard(fn, ...)
  return pack(guard(fn, ...))
end

--- Runs a chunk.
-- @tparam function fn
-- @tparam[opt] boolean traceback adds where the error came from, as `trace`
-- @treturn table as guard's
function M.run(fn, traceback)
  if not traceback then return M.guard(fn) end
  local trace, failed
  local result = M.guard(function()
    return select(2, xpcall(fn, function(failure)
      failed, trace = true, debug.traceback("", 2)
      return failure
    end))
  end)
  result.ok, result.trace = result.ok and not failed, trace
  return result
end

return M
