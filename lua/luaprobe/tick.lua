--- How long to sleep between two looks at the buffers.
--
-- Nobody is woken per event, because the traced process would pay for that. While events come the buffers are looked
-- at every 20 ms, sooner when they were found filled to a quarter and more; while none come, less and less often, down
-- to ten times a second or what `max_delay` says. The kernel wakes a sleeper whose buffer reaches its watermark, so a
-- buffer does not overflow because of a tick that proves too long.
-- @module luaprobe.tick
local M = {}

M.FIRST = 1 -- milliseconds; a tool's first event shall be seen at once
M.BUSY = 20 -- while events come
M.UNWATCHED = 2 -- the same for buffers without a watermark: other people's ring buffers, which a burst fills in 10 ms
M.IDLE = 100 -- the default max_delay: ten wakeups a second when nothing happens

local MUCH, LITTLE = 250, 60 -- thousandths of a buffer: the watermark, and a quarter of it

--- The next tick.
-- @tparam number tick the last one, in milliseconds
-- @tparam number peak how full the fullest buffer was since, in thousandths; 0: nothing came
-- @tparam number longest what max_delay allows
-- @tparam number busy the longest while events come: BUSY or UNWATCHED
-- @treturn number milliseconds
function M.after(tick, peak, longest, busy)
  if peak > MUCH then
    tick = math.max(1, math.floor(math.min(tick, busy) / 2))
  elseif peak > LITTLE then
    tick = math.min(tick, busy)
  elseif peak > 0 then
    tick = math.min(tick * 2, busy)
  else
    tick = tick * 2
  end
  return math.min(tick, longest)
end

return M
