--- Keys and values as a loop over a map shows them: where they are, to copy them.
--
-- Structs and arrays are views of the walk's own memory (luaprobe.codec), which the next batch overwrites and the
-- walk's end frees.
-- @module luaprobe.view
local ffi = require "ffi"
local layout = require "luaprobe.layout"

local M = {}

local byte_pointer = ffi.typeof "const uint8_t *"

local walks = setmetatable({}, { __mode = "k" }) -- those that are under way, or were left early

--- Makes a walk known.
-- @tparam table walk `handle` (nil when it is over), `keys`, `values`, `count`, `key_size`, `value_bytes`
function M.watch(walk)
  walks[walk] = true
end

local function lies_in(address, size, from, length)
  return from ~= nil and address >= from and address + size <= from + length
end

local function is_shown(address, size)
  for walk in pairs(walks) do
    if walk.handle == nil then
      walks[walk] = nil
    elseif lies_in(address, size, walk.keys, walk.count * walk.key_size)
      or lies_in(address, size, walk.values, walk.count * walk.value_bytes) then
      return true
    end
  end
  return false
end

-- The type of what a view shows, and whether the memory is another's: a pointer or a reference.
local function shown_type(cdata)
  local text = tostring(ffi.typeof(cdata)):match "^ctype<(.*)>$"
  local tag, mark = text:match "^(%a+ [%w_]+) ?([&*]?)$"
  if tag and layout.described[tag] then return ffi.typeof(tag), mark ~= "" end
  local element, counts = text:match "^(.-) ?%(&%)(%[[%d%]%[]+%])$"
  if element then return ffi.typeof(element .. counts), true end
end

--- Copies what a loop over a map gives now, a part of it, or a struct that is a copy already.
-- @tparam cdata cdata
-- @treturn cdata|nil of the same type, with memory of its own; nil when it is none of these, or its loop went on
function M.copy(cdata)
  local ctype, is_elsewhere = shown_type(cdata)
  if not ctype then return nil end
  local address, size = ffi.cast(byte_pointer, cdata), ffi.sizeof(ctype)
  if is_elsewhere and not is_shown(address, size) then return nil end
  local copy = ffi.new(ctype)
  ffi.copy(copy, address, size)
  return copy
end

return M
