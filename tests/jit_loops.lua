--- What LuaJIT's compiler made of a function's loops.
local M = {}

-- The bytecode of a loop is patched when its trace is compiled (J…) or was given up (I…). The numbers are those of
-- this LuaJIT's own list.
local bytecode_names = require("jit.vmdef").bcnames
local function name_of(instruction)
  local number = instruction % 256
  return bytecode_names:sub(number * 6 + 1, number * 6 + 6):gsub(" ", "")
end

--- The loop instructions of a function: { JITERL = 1, … }
function M.of(fn)
  local found = {}
  for pc = 1, 1e6 do
    local instruction = require("jit.util").funcbc(fn, pc)
    if not instruction then return found end
    local name = name_of(instruction)
    if name:find "^[IJ]?ITERL$" or name:find "^[IJ]?FORL$" or name:find "^[IJ]?LOOP$" then
      found[name] = (found[name] or 0) + 1
    end
  end
end

--- Counts what the compiler did while `fn` ran.
function M.watch(fn)
  local counts = { stop = 0, abort = 0, flush = 0 }
  local function on_trace(what) counts[what] = (counts[what] or 0) + 1 end
  jit.attach(on_trace, "trace")
  local ok, reason = pcall(fn)
  jit.attach(on_trace)
  assert(ok, reason)
  return counts
end

local function all_compiled(fn)
  local found = M.of(fn)
  for name in pairs(found) do
    if not name:find "^J" then return false end
  end
  return next(found) ~= nil
end

--- Fails unless the function's loops are compiled once it has run. Recording may begin just where a batch ends, and is
-- then given up and begun again later; a loop that cannot be compiled never is.
-- @tparam function fn
-- @tparam[opt] function prepare called before each run
function M.assert_compiled(fn, prepare)
  for _ = 1, 4 do
    if prepare then prepare() end
    fn()
    if all_compiled(fn) then return end
  end
  require("luassert").are.same({ "JITERL, JFORL or JLOOP" }, M.of(fn))
end

return M
