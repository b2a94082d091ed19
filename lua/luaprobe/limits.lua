--- What ends event loops from outside: Ctrl-C, SIGTERM, a reader of standard output that is gone, -d SECONDS.
-- @module luaprobe.limits
local C = require "luaprobe.cdef"

local M = {}

local SIGPIPE = 13

local duration -- nanoseconds that loops may last, or nil
local deadline -- when they end, once the first has begun

function M.now()
  return tonumber(C.lp_time_monotonic())
end

--- Limits the time that event loops last, counted from the first one's start.
-- @tparam number seconds
function M.set_duration(seconds)
  duration, deadline = seconds * 1e9, nil
end

--- A loop begins: from now on Ctrl-C is a request to end it.
function M.begin()
  if duration and not deadline then deadline = M.now() + duration end
  C.lp_stop_catch()
end

--- A loop is over: Ctrl-C has its default action again.
function M.finish()
  C.lp_stop_release()
end

--- Whether loops shall end now.
function M.reached()
  return C.lp_stop_pending() ~= 0 or deadline ~= nil and M.now() >= deadline
end

--- Whether what is in the buffers is not wanted any more: nobody reads the output.
function M.output_closed()
  return C.lp_stop_pending() == SIGPIPE
end

--- Whether a loop has to look at the clock.
function M.has_deadline()
  return deadline ~= nil
end

--- A number of milliseconds, or less when the end comes before.
-- @tparam number timeout milliseconds
-- @tparam[opt] number until_time nanoseconds: another end
function M.cut(timeout, until_time)
  local first = deadline and until_time and math.min(deadline, until_time) or deadline or until_time
  if not first then return timeout end
  return math.max(0, math.min(timeout, math.ceil((first - M.now()) / 1e6)))
end

return M
