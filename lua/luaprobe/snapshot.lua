--- The last events before now, out of buffers that overwrite.
-- @module luaprobe.snapshot
local ffi = require "ffi"
local reader = require "luaprobe.reader"
local record = require "luaprobe.record"

local M = {}

local uint64_pointer = ffi.typeof "const uint64_t *"

local function time_of(event, offset)
  return ffi.cast(uint64_pointer, ffi.cast("const char *", event) + offset)[0]
end

-- Events of all CPUs by their time; those of one CPU stay in the order in which they were sent.
local function sort(list, cpus, offset)
  local order, sorted, sorted_cpus = {}, {}, {}
  for i = 1, #list do order[i] = { i, time_of(list[i], offset) } end
  table.sort(order, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
  for i, entry in ipairs(order) do sorted[i], sorted_cpus[i] = list[entry[1]], cpus[entry[1]] end
  return sorted, sorted_cpus
end

--- Copies events out of a snapshot.
-- @tparam table layout what luaprobe.record says of their type, and `time`: the place of the time in it, if any
-- @param raw the `const struct lp_event *`
-- @tparam number count
-- @treturn {cdata,…} the events
-- @treturn {number,…} where each happened
function M.list(layout, raw, count)
  local list, cpus = {}, {}
  for i = 0, count - 1 do
    if raw[i].size < layout.size then reader.too_short("snapshot", raw[i].size, layout.name, layout.size) end
    list[i + 1] = record.copy_of(ffi.cast(layout.pointer, raw[i].data), raw[i].size)
    cpus[i + 1] = raw[i].cpu
  end
  if layout.time then return sort(list, cpus, layout.time) end
  return list, cpus
end

return M
