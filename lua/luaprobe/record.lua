--- One event: how long it is, the array at its end, a copy to keep.
--
-- An event is a pointer into the buffer's own memory, which the kernel overwrites once the loop's body is over.
-- @module luaprobe.record
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local extensions = require("luaprobe.layout").extensions

local M = {}

local streams = {} -- those that deliver, to find the record of an event
local last         -- the one where it was found last
local layouts = {} -- by the number of FFI's pointer type
local copies = setmetatable({}, { __mode = "k" }) -- { memory, size } of copies that are pointers

local char_pointer, void_pointer = ffi.typeof "const char *", ffi.typeof "const void *"
local bytes_type = ffi.typeof "uint8_t[?]"

--- Makes a stream known.
function M.watch(stream)
  last = stream
  for i = #streams, 1, -1 do
    if streams[i] == stream then return end
    if not streams[i].source then table.remove(streams, i) end
  end
  streams[#streams + 1] = stream
end

-- The size of the event at an address if it is the one that a loop over this stream looks at: in a stretch or a batch.
local function size_in(stream, address)
  local stretch = stream.stretch
  if stretch ~= nil and stretch.event == address then return stretch.size end
  local index = stream.index - 1
  if index < 0 or index >= stream.count then return nil end
  local record = stream.batch[index]
  return record.data == address and record.size or nil
end

local function find_size(address)
  for _, stream in ipairs(streams) do
    local size = size_in(stream, address)
    if size then
      last = stream
      return size
    end
  end
end

local function known_size(event)
  local address = ffi.cast(void_pointer, event)
  local size = last and size_in(last, address) or find_size(address)
  if size then return size end
  local copy = copies[event]
  return copy and copy.size
end

--- The size of the record of an event that a loop looks at now, or of a copy of one; nil for everything else.
function M.size(event)
  return layouts[tonumber(ffi.typeof(event))] and known_size(event)
end

local function size_of(event)
  local size = known_size(event)
  if size then return size end
  if not layouts[tonumber(ffi.typeof(event))] then return ffi.sizeof(event) end -- a copy that is no pointer
  err.misuse "this event is over: keep lp.copy(event) of it instead"
end

-- The array at the event's end, which has no length of its own.
local function tail_of(event, layout)
  local offset = layout.tail_offset
  local text = ffi.cast(char_pointer, event) + offset
  local length = math.max(0, size_of(event) - offset)
  if layout.tail_is_text then length = tonumber(C.lp_text_length(text, length)) end
  return ffi.string(text, length)
end

-- `event.size` and `event.tail`, where the type has no members of these names.
local function index(layout)
  return function(event, key)
    if key == "size" then return size_of(event) end
    if key == "tail" and layout.tail_offset then return tail_of(event, layout) end
    error(("%s has no member '%s'"):format(layout.name, tostring(key)), 2)
  end
end

-- What the end of a type is like: an array without a length, of characters or not.
local function end_of(types, type)
  local member = type.members and type.members[#type.members]
  local array = member and types:get(member.type_id)
  if not array or array.kind ~= "array" or array.count ~= 0 then return nil end
  local element = types:get(array.of)
  return member.offset, element.char or false
end

local TIME_NAMES = { "time", "ts", "timestamp", "time_ns", "ts_ns", "timestamp_ns", "ktime", "ktime_ns", "nsec", "ns" }

-- The place of the time in a type: of the member of the given name, or of one that is called like a time.
local function time_in(types, type, name)
  local fields = type.members and types:fields(type) or {}
  for _, candidate in ipairs(name and { name } or TIME_NAMES) do
    local field = fields[candidate]
    if field and not field.bit_size and types:get(field.type_id).size == 8 then return field.offset end
  end
end

-- An event cannot be written to, nor can the memory it is in; a copy can.
local function add_layout(layout)
  -- An array at the end may begin in what sizeof counts as padding, and have nothing in it.
  layout.size = layout.tail_offset or ffi.sizeof(layout.ctype) or 0
  layouts[tonumber(layout.pointer)] = layout
  layouts[tonumber(layout.copy_pointer)] = layout
  return layout
end

--- What a stream has to know of a type.
-- @param types the luaprobe.types of the object
-- @tparam table type the description of the events' type
-- @treturn table `pointer`, `size` (up to a flexible array, whose length is the record's affair), `name`,
--   `time_of(member)`: the offset of the time, or nil
function M.layout(types, type)
  local pointer = types:view(type.id)
  local known = layouts[tonumber(pointer)]
  if known then return known end
  local layout = {
    ctype = types:ctype(type.id), pointer = pointer, copy_pointer = types:pointer(type.id),
    name = type.name ~= "" and type.kind .. " " .. type.name or type.kind,
    time_of = function(member) return time_in(types, type, member) end,
  }
  layout.tail_offset, layout.tail_is_text = end_of(types, type)
  for _, ctype in ipairs(type.members and { layout.ctype, pointer } or {}) do -- copies, and events themselves
    extensions[tostring(ctype):match "(%a+ [%w_]+) ?%*?>$"] = index(layout)
  end
  return add_layout(layout)
end

--- The same for a type of FFI's own. FFI makes its members constant, and not what is in those that are arrays or
-- structs: nothing but luaprobe.layout can declare such a type.
function M.ffi_layout(ctype)
  local has_size, size = pcall(ffi.sizeof, ctype)
  if not has_size or not size then
    err.misuse("%s has no size of its own: leave out the array at its end", tostring(ctype))
  end
  return add_layout {
    ctype = ctype, pointer = ffi.typeof("const $ *", ctype), copy_pointer = ffi.typeof("$ *", ctype),
    name = tostring(ctype),
    time_of = function(member) return member and ffi.offsetof(ctype, member) end,
  }
end

--- Copies an event of a known size; see copy.
function M.copy_of(event, size)
  local layout = layouts[tonumber(ffi.typeof(event))]
  if not layout.tail_offset then
    local copy = ffi.new(layout.ctype)
    ffi.copy(copy, event, math.min(size, layout.size))
    return copy
  end
  -- FFI has no type for a struct with an array of any length at its end; a pointer that keeps its memory is one.
  local memory = bytes_type(size + 1) -- a string without a NUL ends there
  ffi.copy(memory, event, size)
  local copy = ffi.cast(layout.copy_pointer, memory)
  copies[copy] = { memory = memory, size = size }
  return copy
end

-- What is no event that a loop looks at now: something of a map, or a misuse.
local function copy_of_view(view)
  local copy = require("luaprobe.view").copy(view)
  if copy ~= nil then return copy end
  if layouts[tonumber(ffi.typeof(view))] then size_of(view) end -- raises that the event is over
  err.misuse "lp.copy takes an event, or a struct or array of a map, that a loop gives now"
end

--- Copies an event, to keep it after its loop body: `kept[#kept + 1] = lp.copy(event)`. It keeps the structs and arrays
-- that a loop over a map gives as well, which are views of the loop's memory: `for key, value in map:items() do … end`.
-- @tparam cdata event what an event loop gives, or a key or value that is a struct or an array
-- @return a cdata with the same members, whose memory lasts as long as it does
function M.copy(event)
  if type(event) ~= "cdata" then err.misuse("lp.copy takes an event, not a %s", type(event)) end
  local size = M.size(event)
  return size and M.copy_of(event, size) or copy_of_view(event)
end

return M
