--- LP_COUNTS maps of bpf/include/maps.bpf.h: pairs of hash maps: programs write to one while the
-- other is read.
--
-- All calls of luaprobe.entries are for what was counted since the last drain.
-- @module luaprobe.counts
local entries = require "luaprobe.entries"

local Counts = {}

-- The half that programs write to.
local function active(self)
  return self.object.maps[self.name .. (rawget(self, "turned") and "_1" or "_0")]
end

for _, call in ipairs { "get", "set", "has", "delete", "items", "keys", "values", "top", "update_if" } do
  Counts[call] = function(self, ...)
    local half = active(self)
    return half[call](half, ...)
  end
end

-- Gives programs the other half, and waits until none uses the first any more.
local function turn(self)
  local before = active(self)
  rawset(self, "turned", not rawget(self, "turned"))
  local ok, failure = pcall(entries.methods.set, self, 0, active(self))
  if ok then return before end
  rawset(self, "turned", not rawget(self, "turned"))
  error(failure, 0)
end

--- Iterates over all entries and removes them. Not one addition is lost: what is under way when it begins is in it, and
-- what comes later is in the next one. It takes as long as the kernel needs for all running programs to end, some 10 to
-- 30 ms.
function Counts:drain()
  local half = active(self)
  local unfinished = rawget(half, "draining")
  if not unfinished or unfinished.handle == nil and unfinished.index >= unfinished.count then half = turn(self) end
  return half:drain()
end

--- Removes all entries.
function Counts:clear()
  for _ in self:drain() do end -- luacheck: ignore 542
end

return Counts
