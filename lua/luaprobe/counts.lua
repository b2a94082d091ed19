--- LP_COUNTS maps of bpf/include/maps.bpf.h: pairs of hash maps: programs write to one while the
-- other is read.
--
-- All calls of luaprobe.entries are for what was counted since the last drain.
-- @module luaprobe.counts
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local access = require "luaprobe.access"
local entries = require "luaprobe.entries"
local takes = require "luaprobe.takes"

local Counts = {}

local slot, content = ffi.new "uint32_t[1]", ffi.new "uint32_t[1]"

local function half(self, number)
  return self.object.maps[self.name .. "_" .. number]
end

local function id_of(map)
  local id = rawget(map, "known_id")
  if not id then
    id = access.describe(map:descriptor()).id
    rawset(map, "known_id", id)
  end
  return id
end

-- The half that programs write to: the one in the array's only slot. Where it is pinned others may have turned it.
local function active(self)
  self.object:check_open()
  if C.lp_map_lookup(self:descriptor(), slot, content) ~= 0 then entries.failed(self) end
  local is_second = content[0] == id_of(half(self, 1))
  return half(self, is_second and 1 or 0), half(self, is_second and 0 or 1)
end

for _, call in ipairs { "get", "set", "has", "delete", "items", "keys", "values", "top", "update_if" } do
  Counts[call] = function(self, ...)
    takes.map_method(self, call)
    local map = active(self)
    return map[call](map, ...)
  end
end

-- Gives programs the other half, and waits until none uses the first any more.
local function turn(self)
  local before, other = active(self)
  entries.methods.set(self, 0, other)
  return before
end

local function is_unfinished(walk)
  return walk and not (walk.handle == nil and walk.index >= walk.count)
end

--- Iterates over all entries and removes them. Not one addition is lost: what is under way when it begins is in it, and
-- what comes later is in the next one. It takes as long as the kernel needs for all running programs to end, some 10 to
-- 30 ms.
function Counts:drain()
  takes.map_method(self, "drain")
  local _, resting = active(self)
  if is_unfinished(rawget(resting, "draining")) then return resting:drain() end
  return turn(self):drain()
end

--- Removes all entries.
function Counts:clear()
  takes.map_method(self, "clear")
  for _ in self:drain() do end -- luacheck: ignore 542
end

return Counts
