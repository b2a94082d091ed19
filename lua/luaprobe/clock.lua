--- The time of an event, as people read it.
-- @module luaprobe.clock
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local value = require "luaprobe.value"

local M = {}

local offset -- from CLOCK_MONOTONIC to the time of day, in nanoseconds
local second, second_text = -1, "" -- os.date is slow and not compiled: asked once a second

--- The local time of day: "14:03:22.123456".
-- @param time nanoseconds as bpf_ktime_get_ns gives them, cdata or number
-- @treturn string
-- @raise a misuse for what is no number
function M.time_of_day(time)
  if type(time) ~= "number" and not value.is_integer(time) then
    err.misuse("lp.time_of_day takes a number of nanoseconds, not a %s", type(time))
  end
  offset = offset or tonumber(C.lp_time_offset())
  local now = tonumber(time) + offset
  local whole = math.floor(now / 1e9)
  if whole ~= second then
    second, second_text = whole, os.date("%H:%M:%S", whole)
  end
  return ("%s.%06d"):format(second_text, math.floor((now - whole * 1e9) / 1e3))
end

return M
