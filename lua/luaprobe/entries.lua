--- Maps of keys and values: hashes, arrays, tries, and their relatives.
--
-- Every call raises an error of stage "map" when the kernel refuses it or a key or value does not fit.
-- @module luaprobe.entries
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local access = require "luaprobe.access"
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"
local value = require "luaprobe.value"
local view = require "luaprobe.view"

local ENOENT, E2BIG, EEXIST, EINVAL = -2, -7, -17, -22
local ANY, NOEXIST, EXIST = 0, 1, 2 -- BPF_*

local Entries = {}

local function open(self)
  if not require("luaprobe.map").is(self) then
    err.misuse "a map's calls take a colon: MAP:get(KEY), not MAP.get(KEY)"
  end
  self.object:check_open()
  local found = access.open(self)
  rawset(self, "access", found)
  return found
end

-- What is known of the map's memory, made when first needed.
local function access_of(self)
  return type(self) == "table" and self.access or open(self)
end

local function failed(self)
  local failure = err.last()
  failure.message = ("map %s: %s"):format(self.name, failure.message)
  err.raise(failure)
end

local function key_of(self, a, key)
  if key == nil then err.misuse("map %s: the key is nil", self.name) end
  a.key.encode(a.key_memory, key, a.key_what)
  return a.key_memory
end

local function value_of(self, a, new)
  if new == nil then
    local can_delete = a.info.key_size > 0 and not self.kind_of.is_array
    err.misuse("map %s: the value is nil%s", self.name, can_delete and "; delete(key) removes an entry" or "")
  end
  a.value.encode(a.value_memory, new, a.value_what)
  return a.value_memory
end

--- The value of a key, as luaprobe.codec reads values; nil when there is none.
function Entries:get(key)
  local a = access_of(self)
  local code = C.lp_map_lookup(a.fd, key_of(self, a, key), a.value_memory)
  if code == 0 then return a.value.copy(a.value_memory) end
  return code ~= ENOENT and failed(self) or nil
end

--- Whether there is an entry of that key.
function Entries:has(key)
  local a = access_of(self)
  local code = C.lp_map_lookup(a.fd, key_of(self, a, key), a.value_memory)
  return code == 0 or code ~= ENOENT and failed(self)
end

local function update(self, key, new, flags)
  local a = access_of(self)
  return C.lp_map_update(a.fd, key_of(self, a, key), value_of(self, a, new), flags)
end

-- An array's refusal of a key is not about its room.
local function out_of_range(self, key)
  err.raise { code = "E2BIG", stage = "map", message = ("map %s: it has no element %s: they are 0 to %d"):format(
    self.name, tostring(key), self.max_entries - 1) }
end

local function not_updated(self, key, new, code)
  if self.kind_of.is_array and code == E2BIG then out_of_range(self, key) end
  if self.kind_of.holds_maps and code == EINVAL then require("luaprobe.nested").refuse(self, new) end
  failed(self)
end

--- Writes an entry, a new one or in place of what is there: what a table does not name becomes zeros. To change a part
-- of it, get it, set the members and give it back.
function Entries:set(key, new)
  local code = update(self, key, new, ANY)
  if code ~= 0 then not_updated(self, key, new, code) end
end

local CONDITIONS = { absent = NOEXIST, present = EXIST }

--- Writes an entry only if there is none of that key yet ("absent"), or only if there is one ("present").
-- @treturn boolean whether it was written
function Entries:update_if(condition, key, new)
  local flags = CONDITIONS[condition]
  if not flags then err.misuse('update_if takes "absent" or "present", not %s', tostring(condition)) end
  local code = update(self, key, new, flags)
  if code == 0 then return true end
  if code == ENOENT or code == EEXIST then return false end
  not_updated(self, key, new, code)
end

--- Removes an entry.
-- @treturn boolean whether there was one
function Entries:delete(key)
  local a = access_of(self)
  local code = C.lp_map_delete(a.fd, key_of(self, a, key))
  return code == 0 or code ~= ENOENT and failed(self)
end

-- ---- walking through all -------------------------------------------------------------------------------------------

local Walk = {}
Walk.__index = Walk

local function open_walk(self, take)
  local a = access_of(self)
  local handle = C.lp_walk_open(a.fd, a.info, take)
  if handle == nil then failed(self) end
  local walk = setmetatable({
    map = self, handle = ffi.gc(handle, C.lp_walk_close), batch = ffi.new "struct lp_batch",
    index = 0, count = 0, keys = nil, values = nil,
    key_size = a.info.key_size, value_bytes = a.value_bytes,
    key_view = a.key.view, value_view = a.value.view,
    map_access = a, -- keeps the map's memory while it walks
  }, Walk)
  view.watch(walk)
  return walk
end

local function refill(self)
  if self.handle == nil then return false end
  self.map.object:check_open()
  local count = C.lp_walk_next(self.handle, self.batch)
  if count < 0 then failed(self.map) end
  if count == 0 then
    C.lp_walk_close(ffi.gc(self.handle, nil))
    self.handle = nil
    return false
  end
  self.index, self.count, self.keys, self.values = 0, count, self.batch.keys, self.batch.values
  return true
end

-- The place of the next entry in the batch, or nil.
local function next_place(self)
  local index = self.index
  if index >= self.count then
    if not refill(self) then return nil end
    index = 0
  end
  self.index = index + 1
  return index
end

local function next_entry(self)
  local index = next_place(self)
  if not index then return nil end
  return self.key_view(self.keys + index * self.key_size), self.value_view(self.values + index * self.value_bytes)
end

local function next_key(self)
  return (next_entry(self))
end

local function next_value(self)
  local index = next_place(self)
  if not index then return nil end
  return self.value_view(self.values + index * self.value_bytes)
end

--- Iterates over all entries: `for key, value in map:items() do … end`.
--
-- Entries that are there all the time come exactly once, in no order; what is added or removed meanwhile may come or
-- not. Structs are views of the walk's memory, valid until the loop's body ends: lp.copy or lp.totable keeps them.
function Entries:items()
  return next_entry, open_walk(self, false)
end

--- The same of the keys alone.
function Entries:keys()
  return next_key, open_walk(self, false)
end

--- The same of the values alone.
function Entries:values()
  return next_value, open_walk(self, false)
end

--- Iterates over all entries and removes them, each at once with reading it: what a program adds to an entry is in this
-- drain or in a later one. A loop that is left early leaves what it had taken already to the next drain.
--
-- A program that adds to a value in place (lookup, then __sync_fetch_and_add) can hold the address of an entry at the
-- moment when it is removed; that one addition goes nowhere. Where counts must be exact to the last one, let it write
-- to an LP_COUNTS map of maps.bpf.h.
--
-- LPM tries and hashes of maps have no such call in the kernel: there an entry is read and then deleted, and what a
-- program writes to it between the two goes nowhere.
function Entries:drain()
  takes.map_method(self, "drain")
  local unfinished = rawget(self, "draining")
  if not unfinished or unfinished.handle == nil and unfinished.index >= unfinished.count then
    unfinished = open_walk(self, true)
    rawset(self, "draining", unfinished)
  end
  return next_entry, unfinished
end

local function zero_all(self)
  local a = access_of(self)
  ffi.fill(a.value_memory, a.value_bytes)
  local key = ffi.cast("uint32_t *", a.key_memory)
  for i = 0, a.info.max_entries - 1 do
    key[0] = i
    if C.lp_map_update(a.fd, a.key_memory, a.value_memory, ANY) ~= 0 then failed(self) end
  end
end

--- Removes all entries; sets those of an array to zeros.
function Entries:clear()
  takes.map_method(self, "clear")
  if self.kind_of.is_zeroed then return zero_all(self) end
  local a = access_of(self)
  local walk = open_walk(self, false)
  local batch = walk.batch
  while C.lp_walk_next(walk.handle, batch) > 0 do
    for i = 0, batch.count - 1 do
      local code = C.lp_map_delete(a.fd, batch.keys + i * a.info.key_size)
      if code ~= 0 and code ~= ENOENT then failed(self) end
    end
  end
end

-- ---- the largest ---------------------------------------------------------------------------------------------------

-- What entries are ordered by: the value itself, a field of it, or what a function makes of key and value.
local function measure(by)
  if type(by) == "function" then return by end
  return function(_, entry)
    if type(entry) == "table" then
      entry = entry:sum(by) -- of all CPUs
    elseif by ~= nil then
      local ok, field = pcall(function() return entry[by] end)
      entry = ok and field or nil
    end
    return entry ~= nil and tonumber(entry) or nil
  end
end

--- The entries with the largest values, the largest first.
-- @tparam[opt] number n how many (10)
-- @tparam[opt] string|function by a field of the value, or a function of key and value that returns a number, also a
--   64-bit one; per-CPU values count by their sums
-- @treturn {{key=,value=},…} copies
function Entries:top(n, by)
  takes.map_method(self, "top")
  n = n or 10
  if type(n) ~= "number" or n ~= n or n < 1 or n % 1 ~= 0 then
    err.misuse("map %s: top takes how many, a whole number from 1 on", self.name)
  end
  if by ~= nil and type(by) ~= "string" and type(by) ~= "function" then
    err.misuse("map %s: top needs a number to order by: a field's name, or a function, not a %s", self.name, type(by))
  end
  local rank, list = measure(by), {}
  local a = access_of(self)
  local walk = open_walk(self, false)
  for key, entry in next_entry, walk do
    local number = rank(key, entry)
    if value.is_integer(number) then number = tonumber(number) end -- what a struct's 64-bit member is
    if type(number) ~= "number" then err.misuse("map %s: top needs a number to order by: name a field", self.name) end
    if #list < n or number > list[#list].rank then
      local place = #list + 1
      while place > 1 and list[place - 1].rank < number do place = place - 1 end
      local index = walk.index - 1
      table.insert(list, place, { rank = number, key = a.key.copy(walk.keys + index * walk.key_size),
        value = a.value.copy(walk.values + index * walk.value_bytes) })
      list[n + 1] = nil
    end
  end
  for _, entry in ipairs(list) do entry.rank = nil end
  return list
end

local M = { methods = Entries, access_of = access_of, failed = failed, value_of = value_of }

--- Whether a kind's entries can be removed; an array's are always there.
function M.methods_of(kind)
  if not kind.is_array then return Entries end
  local methods = {}
  for name, method in pairs(Entries) do methods[name] = method end
  if not kind.holds_maps and kind.name ~= "prog_array" then methods.delete = nil end
  methods.drain = nil
  return methods
end

return M
