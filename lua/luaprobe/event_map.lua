--- Maps that hold events: perf event arrays and ring buffers, behind one interface.
--
-- What bpf/include/luaprobe.bpf.h's LP_EVENTS declares is made the one or the other before the object is loaded; maps
-- of other people's programs stay what they are.
-- @module luaprobe.event_map
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local events = require "luaprobe.events"
local globals = require "luaprobe.globals"
local map_kinds = require "luaprobe.map_kinds"
local reader = require "luaprobe.reader"
local takes = require "luaprobe.takes"

local M = {}

-- BPF_MAP_TYPE_* of <linux/bpf.h>
local PERF_EVENT_ARRAY, RING_BUFFER = 4, 27
local KINDS = { ring = true, perf = true }

local default_kind -- of streams that LP_EVENTS declared

--- Makes all event streams of one kind, as far as they leave the choice (--buffer).
-- @tparam string kind "ring" or "perf"
function M.set_default_kind(kind)
  default_kind = kind
end

-- ---- types -----------------------------------------------------------------------------------------------------

-- The type of what is in the stream, from the pointer that LP_EVENTS left in the object's BTF, and its id as it is
-- written there: a typedef's.
local function declared_event_type(map)
  local types = map.types
  local section = types:find "datasec .luaprobe"
  for _, member in ipairs(section and section.members or {}) do
    local pointer = member.name == "lp_event_of_" .. map.name and types:get(member.type_id)
    if pointer and pointer.kind == "ptr" then return types:get(pointer.of), pointer.of end
  end
end

-- Raises that a declared stream is not one of structs: there would be no members to tell an event by.
local function not_of_structs(map, type, id)
  if type.kind == "fwd" then
    err.raise { code = "EINVAL", stage = "events",
      message = ("map %s: LP_EVENTS of %s, which is declared but not defined"):format(map.name,
        map.types:declaration(id)),
      hint = ("write its definition, %s { … };, before it"):format(map.types:declaration(id)) }
  end
  local declared, as_member = map.types:declaration(id), map.types:declaration(id, "value")
  err.raise { code = "EINVAL", stage = "events",
    message = ("map %s: LP_EVENTS of %s: events are structs or unions"):format(map.name, declared),
    hint = ("write struct %s_event { %s; }; LP_EVENTS(%s, struct %s_event);"):format(map.name, as_member, map.name,
      map.name) }
end

-- A ring buffer's value type, as some declare it: __type(value, struct event).
local function value_type(map)
  local id = map.source == "object" and map.value_type_id or map:info().value_type
  local type = id ~= 0 and map.types:get(id)
  return type and type.members and type or nil
end

-- How to say what the events are: perf event arrays, pinned ones for example, bring no types with them.
local function how_to_say(map)
  return map.types.empty and 'pass type = ffi.typeof "struct { … }"' or 'pass type = "struct NAME"'
end

local function named_event_type(map, name)
  if map.types.empty then err.misuse("map %s has no types, and no '%s': %s", map.name, name, how_to_say(map)) end
  local type = map.types:find(name)
  if not type then err.misuse("%s: the object has no type '%s'", map.object.name, name) end
  if not type.members then err.misuse("map %s: events are structs, and %s is none", map.name, name) end
  return type
end

-- FFI can point at numbers and arrays too, but nothing shows or copies what is behind such a pointer.
local function ffi_event_type(map, ctype)
  local text = tostring(ctype):match "^ctype<(.*)>$"
  if not text or not (text:find "^struct " or text:find "^union ") or text:find "[*&[]" then
    err.misuse("map %s: events are structs: type = ffi.typeof \"struct { … }\", not %s", map.name, tostring(ctype))
  end
  return require("luaprobe.record").ffi_layout(ctype)
end

-- The layout of the events: of the type that was named, or that the object tells; otherwise a misuse that says how.
local function layout_of(map, wanted)
  local record = require "luaprobe.record"
  if type(wanted) == "cdata" then return ffi_event_type(map, wanted) end
  if wanted ~= nil and type(wanted) ~= "string" then
    err.misuse('map %s: type is "struct NAME" or an FFI type, not a %s', map.name, type(wanted))
  end
  local declared, declared_id = declared_event_type(map)
  local type = wanted and named_event_type(map, wanted) or declared or value_type(map)
  if type == declared and declared and not type.members then not_of_structs(map, declared, declared_id) end
  if not type then
    err.misuse("map %s of %s does not say what its events are: %s", map.name, map.object.name, how_to_say(map))
  end
  return record.layout(map.types, type)
end

-- ---- buffers ---------------------------------------------------------------------------------------------------

--- Whether a map holds events.
function M.has_events(map)
  return map.type == PERF_EVENT_ARRAY or map.type == RING_BUFFER
end

local function check_has_events(map)
  if not M.has_events(map) then err.misuse("map %s of %s has no events", map.name, map.object.name) end
end

--- Whether it is a stream that LP_EVENTS declared.
function M.is_declared(map)
  return M.has_events(map) and declared_event_type(map) ~= nil
end

--- Opens the buffers before anything is attached, so that no event between attach and the loop is lost. A ring buffer
-- of other people's is there since load.
function M.open_early(map)
  local is_ours = map.type == PERF_EVENT_ARRAY and map:info().pin == nil -- otherwise perhaps another process reads it
  if is_ours or M.is_declared(map) then M.stream(map) end
end

local function check_size(map, what, value)
  if type(value) ~= "number" or value < 1 or value >= 2 ^ 31 or value ~= math.floor(value) then
    err.misuse("map %s: %s is a whole number above 0 and below 2^31, not %s", map.name, what, tostring(value))
  end
end

-- The bytes of each CPU's buffer that options ask for: `pages`, or `bytes`, which are rounded up. nil: any.
local function wanted_bytes(map, opts)
  local page = tonumber(C.lp_page_size())
  if opts.pages then
    check_size(map, "pages", opts.pages)
    return opts.pages * page
  end
  if not opts.bytes then return nil end
  check_size(map, "bytes", opts.bytes)
  local bytes = page
  while bytes < opts.bytes do bytes = bytes * 2 end
  return bytes
end

local function check_buffer(map, _, kind)
  if not KINDS[kind] then err.misuse("map %s: buffer is \"ring\" or \"perf\", not %s", map.name, tostring(kind)) end
  if not M.is_declared(map) then
    err.misuse("map %s is a %s: only LP_EVENTS leaves the kind of buffer open", map.name, map.kind)
  end
end

local function check_overwrite(map, _, value)
  takes.switch(("map %s: overwrite"):format(map.name), value)
  if value and map.type == RING_BUFFER and not M.is_declared(map) then
    err.misuse("map %s is a %s, and only LP_EVENTS can be made another: only perf buffers can overwrite", map.name,
      map.kind)
  end
end

-- What says of what kind, and how large, the buffers will be; nil gives each its default.
local SETTINGS = { pages = check_size, bytes = check_size, buffer = check_buffer, overwrite = check_overwrite }

-- Since when a setting has no effect any more, or nil: load makes a ring buffer, and the choice of the kind final; perf
-- buffers are there once something is attached, or read.
local function settled_since(map, name)
  if map.open_stream then return "its buffers are open" end
  if map.object.loaded and (map.type == RING_BUFFER or name == "buffer") then return "it is in the kernel already" end
end

--- Whether a property of a map is a setting of its event buffers.
function M.is_setting(name)
  return SETTINGS[name] ~= nil
end

--- Changes a setting of the buffers: `pages`, `bytes`, `buffer`, `overwrite`.
-- @raise a misuse when the map has no events, the value means nothing, or it comes too late to have an effect
function M.set(map, name, value)
  if not M.has_events(map) then err.misuse("map %s is a %s: it has no events, and no %s", map.name, map.kind, name) end
  map.object:check_open()
  if value ~= nil then SETTINGS[name](map, name, value) end
  local reason = settled_since(map, name)
  if reason then
    err.misuse("map %s: %s, so %s has no effect any more: set obj.maps.%s.%s before load", map.name, reason, name,
      map.name, name)
  end
  map.given[name] = value
end

local function kind_of(map)
  local kind = map.buffer or map.overwrite and "perf" or default_kind or (C.lp_source_has_ring() and "ring" or "perf")
  if kind == "ring" and map.overwrite then
    err.misuse("map %s: only perf buffers can overwrite, set buffer = \"perf\"", map.name)
  end
  return kind
end

local watermark = ffi.new "uint64_t[1]"

--- Before load: makes a declared stream what this kernel has and the script wants.
function M.configure(map)
  if not M.is_declared(map) then
    if map.type == RING_BUFFER then M.configure_ring(map) end
    return
  end
  local kind = kind_of(map)
  local bytes = wanted_bytes(map, map) or 0
  err.check(C.lp_object_events(map.object.handle, map.index, kind == "ring", bytes, watermark))
  local const = map.object.const
  const["lp_perf_of_" .. map.name] = kind == "perf" and 1 or 0
  const["lp_watermark_of_" .. map.name] = watermark[0]
  map.type = kind == "ring" and RING_BUFFER or PERF_EVENT_ARRAY
  map.kind_of = map_kinds.of(map.type)
  map.kind = map.kind_of.name
end

--- The same for a ring buffer of other people's: its size as asked, or as it is, and no value type.
function M.configure_ring(map)
  local bytes = wanted_bytes(map, map)
  if bytes then
    err.check(C.lp_object_events(map.object.handle, map.index, true, bytes, watermark))
  else
    err.check(C.lp_object_untyped_ring(map.object.handle, map.index))
  end
end

-- The variables of a declared stream: what wakes us, and what could not be sent.
local function add_variables(map, opts)
  local armed = globals.address(map.object, "lp_armed_of_" .. map.name)
  local refused, count = globals.address(map.object, "lp_lost_of_" .. map.name)
  if armed then opts.armed = ffi.cast("uint32_t *", armed) end
  if refused then opts.refused, opts.refused_count = ffi.cast("const uint64_t *", refused), count end
end

-- An open source, or its error with the map's name.
local function opened(map, source)
  if source ~= nil then return source end
  local failure = err.last()
  failure.message = ("%s: map %s: %s"):format(map.object.name, map.name, failure.message)
  err.raise(failure)
end

local function open_source(map, bytes)
  local descriptor = map:descriptor()
  local opts = ffi.new "struct lp_source_options"
  opts.bytes, opts.overwrite, opts.poison = bytes or 0, map.overwrite or false, events.is_debugging()
  if map.source == "object" then add_variables(map, opts) end
  if map.type == RING_BUFFER then return opened(map, C.lp_source_open_ring(descriptor, opts)), "ring" end
  return opened(map, C.lp_source_open_perf(descriptor, opts)), "perf"
end

-- The size of each CPU's share in an open source.
local function share(source, kind, bytes)
  if kind == "perf" then return bytes or tonumber(C.lp_source_default_bytes()) end
  return tonumber(C.lp_source_capacity(source)) / C.lp_cpu_count()
end

--- The open stream of the map's events.
-- @tparam table map
-- @tparam[opt] table opts `pages` or `bytes`
function M.stream(map, opts)
  opts = opts or {}
  check_has_events(map)
  local bytes = wanted_bytes(map, opts) or wanted_bytes(map, map)
  if not map.open_stream then
    local source, kind = open_source(map, bytes)
    map.open_stream = events.new(source, map.name, kind, share(source, kind, bytes), {
      overwrites = map.overwrite, has_watermark = kind == "perf" or M.is_declared(map),
      is_unread = not M.is_declared(map),
    })
    map.object.streams[map.open_stream] = true
  end
  local have = map.open_stream.bytes
  if bytes and bytes > have then
    err.misuse("map %s: its buffers are there since %s, with %d bytes per CPU: set obj.maps.%s.bytes = %d before it",
      map.name, map.type == RING_BUFFER and "load" or "attach", have, map.name, bytes)
  end
  return map.open_stream
end

-- ---- reading ---------------------------------------------------------------------------------------------------

local function options_of(more)
  local known = { type = true, max_delay = takes.delay, order = true, time = true, pages = true, bytes = true }
  for name, check in pairs(more) do known[name] = check end
  return known
end

-- What the calls that read events can be told.
local OPTIONS = {
  ["map:each"] = options_of { timeout = takes.delay },
  ["map:poll"] = options_of {},
  ["lp.on"] = options_of { on_error = true }, -- which the loop checks
  ["map:snapshot"] = { type = true, time = true, pages = true, bytes = true },
}

local function check_options(map, opts, call)
  opts = takes.options(call, opts, OPTIONS[call])
  map.object:check_open()
  if opts.order ~= nil and opts.order ~= "time" then
    err.misuse('map %s: order can be "time", not %s', map.name, tostring(opts.order))
  end
  if opts.time ~= nil and type(opts.time) ~= "string" then
    err.misuse("map %s: time is the name of a member, not %s", map.name, tostring(opts.time))
  end
  if opts.time and OPTIONS[call].order and not opts.order then
    err.misuse('map %s: time = %q says what to order by: pass order = "time" as well', map.name, opts.time)
  end
  return opts
end

-- The layout, with the place of the time to order events by; nil where none is wanted, or there.
local function layout_for(map, opts, wants_time)
  local layout = layout_of(map, opts.type)
  layout.time = (opts.time or wants_time) and layout.time_of(opts.time) or nil
  if not layout.time and (opts.time or opts.order) then
    err.misuse("map %s: %s has no 64-bit member %s to order events by: pass time = \"MEMBER\"", map.name, layout.name,
      opts.time and "'" .. opts.time .. "'" or "called time or timestamp")
  end
  return layout
end

--- A reader of the map's events, for a loop with the given options.
-- @tparam string call which of the calls that read events it is, as users write it: "map:each"
-- @treturn luaprobe.reader
function M.reader(map, opts, call)
  opts = check_options(map, opts, call)
  local layout = layout_for(map, opts, opts.order)
  local stream = M.stream(map, opts)
  if map.overwrite then err.misuse("map %s overwrites: it has a snapshot(), no loop", map.name) end
  stream.is_unread = nil
  require("luaprobe.record").watch(stream)
  return reader.new(map, stream, layout, opts)
end

--- The last events, of a map that overwrites: see luaprobe.map's snapshot.
function M.snapshot(map, opts)
  opts = check_options(map, opts, "map:snapshot")
  check_has_events(map)
  local layout = layout_for(map, opts, true)
  if not map.overwrite then err.misuse("map %s: set obj.maps.%s.overwrite = true before load", map.name, map.name) end
  local stream = M.stream(map, opts)
  stream.is_unread = nil
  local raw = ffi.new "const struct lp_event *[1]"
  local count = err.check(C.lp_source_snapshot(stream.source, raw))
  return require("luaprobe.snapshot").list(layout, raw[0], count)
end

return M
