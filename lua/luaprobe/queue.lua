--- Queues and stacks, and bloom filters: maps of values without keys.
-- @module luaprobe.queue
local C = require "luaprobe.cdef"
local entries = require "luaprobe.entries"
local takes = require "luaprobe.takes"

local ENOENT = -2
local ANY = 0 -- BPF_ANY

local Queue = {}

--- Adds a value.
-- @raise error of stage "map" when it is full
function Queue:push(new)
  local a = entries.access_of(self)
  if C.lp_map_update(a.fd, nil, entries.value_of(self, a, new), ANY) ~= 0 then entries.failed(self) end
end

local function read(self, call)
  local a = entries.access_of(self)
  local code = call(a.fd, nil, a.value_memory)
  if code == 0 then return a.value.copy(a.value_memory) end
  return code ~= ENOENT and entries.failed(self) or nil
end

--- Removes the next value and returns it; nil when there is none.
function Queue:pop()
  return read(self, C.lp_map_take)
end

--- The next value, which stays; nil when there is none.
function Queue:peek()
  return read(self, C.lp_map_lookup)
end

-- As many as fit are taken at most, since a program could add them for ever.
local function next_of(state)
  if state.left == 0 then return nil end
  state.left = state.left - 1
  return state.queue:pop()
end

--- Iterates over the values and removes them: `for value in map:drain() do … end`.
function Queue:drain()
  takes.map_method(self, "drain")
  return next_of, { queue = self, left = self.max_entries }
end

--- Removes all values.
function Queue:clear()
  takes.map_method(self, "clear")
  for _ in self:drain() do end -- luacheck: ignore 542
end

local Bloom = { push = Queue.push }

--- Whether a value may have been added; false is certain.
function Bloom:has(wanted)
  local a = entries.access_of(self)
  local code = C.lp_map_lookup(a.fd, nil, entries.value_of(self, a, wanted))
  return code == 0 or code ~= ENOENT and entries.failed(self)
end

return { queue = Queue, bloom = Bloom }
