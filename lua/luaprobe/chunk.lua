--- What is typed at the prompt: whether it is complete, what it does, what it gives.
-- @module luaprobe.chunk
local err = require "luaprobe.error"

local M = {}

local NAME = "=prompt"

-- A local would be gone with its line, so at the prompt the first statement's `local` is left out.
local function without_local(text)
  local rest = text:match "^%s*local%s+(function%s.*)$"
  if rest then return rest end
  rest = text:match "^%s*local%s+([%a_][%w_%s,]*=[^=].*)$"
  return rest or text
end

--- Compiles a chunk, an expression or statements.
-- @tparam string text
-- @treturn function|nil
-- @treturn string|nil what is wrong with it
-- @treturn boolean|nil whether more lines could make it right
-- @treturn boolean|nil whether it is an expression, whose values are to be printed
function M.compile(text)
  text = text:gsub("^%s*=", "") -- as other prompts have it
  local fn = loadstring("return " .. text .. "\n", NAME)
  if fn then return fn, nil, false, true end
  local reason
  fn, reason = loadstring(without_local(text), NAME)
  if fn then return fn, nil, false, false end
  return nil, reason, reason:find "near '<eof>'$" ~= nil
end

-- At a prompt the place is before the user's eyes, unless the chunk has several lines.
local function without_place(text, lines)
  return lines > 1 and text or (text:gsub("^prompt:%d+: ", ""))
end

--- An error as the paragraph that is shown.
-- @param failure what was raised
-- @tparam string text the chunk
-- @treturn string
function M.explain(failure, text)
  local _, lines = text:gsub("\n+%s*%S", "")
  if err.is(failure) and failure.where and failure.where:find "^prompt:" and lines == 0 then failure.where = nil end
  if failure == nil then return "error: nil" end
  return "error: " .. without_place(tostring(failure), lines + 1)
end

local function pack(ok, ...)
  return { ok = ok, count = select("#", ...), ... }
end

--- Runs a chunk.
-- @tparam function fn
-- @tparam[opt] boolean traceback adds where the error came from
-- @treturn table `ok`, `count` and the values, or the error as the first
function M.run(fn, traceback)
  local trace
  local result = pack(xpcall(fn, function(failure)
    if traceback then trace = debug.traceback("", 2) end
    return failure
  end))
  debug.sethook() -- of an interrupt that came too late
  result.trace = trace
  return result
end

return M
