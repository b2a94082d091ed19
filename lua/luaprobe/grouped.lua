--- What lp.count and lp.latency have in common: a map's entries by key, which stay when the probe is detached.
--
-- Objects have `object`, `key` (luaprobe.key), and a method `read` that gives their items.
-- @module luaprobe.grouped
local entries = require "luaprobe.raw_entries"
local live = require "luaprobe.live"

local M = {}

local function by_count(a, b)
  if a.count ~= b.count then return a.count > b.count end
  return tostring(a.key) < tostring(b.key)
end

--- Reads a map. Different keys of the kernel's can be one for people: a function at several addresses.
-- @tparam table self
-- @tparam string map its name
-- @tparam function add adds what an entry has to an item: add(item, value, cpus, stride)
-- @treturn {{key=,count=},…} the most frequent first
function M.read(self, map, add)
  local items, known = {}, {}
  entries.each(self.object, map, function(key, value, cpus, stride)
    local shown = self.key.value(key, self.object)
    local identity = self.key.identity(shown)
    local item = known[identity]
    if not item then
      item = { key = shown, count = 0 }
      items[#items + 1], known[identity] = item, item
    end
    add(item, value, cpus, stride)
  end)
  table.sort(items, by_count)
  return items
end

--- The items now, or those that were there when it was detached.
function M.items(self)
  return self.object.handle and self:read() or self.final or {}
end

--- The sum of the items' counts.
function M.total(self)
  local total = 0
  for _, item in ipairs(self:items()) do total = total + item.count end
  return total
end

--- Detaches; what was read last stays.
function M.detach(self)
  if not self.object.handle then return end
  self.object:detach()
  self.final, self.final_lost = self:read(), self:lost()
  self.object:close()
  live.forget(self)
end

return M
