--- What killed luaprobe processes left behind: events in tracefs, which mechanism legacy writes there.
-- @module luaprobe.leftovers
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local removed = 0

local function sweep()
  local count = C.lp_legacy_sweep()
  removed = removed + math.max(count, 0)
  return count
end

--- Removes the events whose owner is gone, by its pid and start time; nobody else's are touched.
-- @treturn number how many this process removed, those when it started included
-- @raise error of stage "attach" when tracefs cannot be opened
function M.sweep()
  err.check(sweep())
  return removed
end

--- The same when a run starts: without the right to, or without tracefs, there is nothing to say.
M.sweep_quietly = sweep

return M
