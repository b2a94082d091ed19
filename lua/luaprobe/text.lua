--- Values from events as text for people.
-- @module luaprobe.text
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local cdata = require "luaprobe.cdata"
local value_of = require "luaprobe.value"

local M = {}

local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local char_pointer = ffi.typeof "const char *"
local UNBOUNDED = 65536 -- a record is never longer, and the buffers end in zeros (runtime/perf_source.c, ring_source.c)

-- Reused by every escape; grows to what was needed most.
local scratch_size = 4096
local scratch = ffi.new("char[?]", scratch_size)

local function escape(address, length)
  local needed = tonumber(C.lp_text_escaped_length(address, length))
  if needed == length then return ffi.string(address, length) end
  if needed > scratch_size then
    scratch, scratch_size = ffi.new("char[?]", needed), needed
  end
  C.lp_text_escape(address, length, scratch)
  return ffi.string(scratch, needed)
end

local function integer(value)
  local number = value_of.integer(value)
  if type(number) == "number" then return number end
  return (tostring(value):gsub("U?LL$", ""))
end

local of

local function elements(value)
  local parts = {}
  for i = 0, cdata.count(value) - 1 do parts[i + 1] = tostring(of(value[i])) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- FFI data that is no text.
local function other(value, kind)
  if kind == "pointer" then return cdata.address(value) end
  if kind == "array" then return elements(value) end
  if kind == "scalar" then return tonumber(value) end
  local shown = kind == "bool" and tostring(tonumber(value) ~= 0) or tostring(value)
  return escape(shown, #shown)
end

function of(value)
  local kind = type(value)
  if kind == "number" then return value end
  if kind == "string" then return escape(value, #value) end
  if value == nil then return "-" end -- a NULL pointer too
  if kind ~= "cdata" then return tostring(value) end
  if ffi.istype(uint64, value) or ffi.istype(int64, value) then return integer(value) end
  kind = cdata.kind(value)
  if kind ~= "text" and kind ~= "string" then return other(value, kind) end
  local size = kind == "text" and ffi.sizeof(value)
  local address = ffi.cast(char_pointer, value)
  return escape(address, tonumber(C.lp_text_length(address, size and size > 0 and size or UNBOUNDED)))
end

--- Text that is safe to print: control characters and backslashes escaped, so that no name breaks a line or drives
-- a terminal.
-- @param value a string; a number; a boolean; nil or a NULL pointer, which is "-"; out of an event: a `char` array,
--   which ends at its NUL, a 64-bit integer, a pointer, which is "0x10", an array of numbers, which is "[0,7]"
-- @treturn string|number
M.of = of

--- A string between quotes, those in it escaped as well: where other things stand on the line, it cannot pretend to be
-- one of them.
-- @tparam string value
-- @treturn string
function M.quoted(value)
  return '"' .. of(value):gsub('"', '\\"') .. '"'
end

--- Lines that are safe to print, as M.of makes them, each but the first one behind an indent: a compiler's diagnostics.
-- @tparam string value
-- @tparam[opt=""] string indent
-- @treturn string
function M.paragraph(value, indent)
  local lines = {}
  for line in (value:gsub("\n+$", "") .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = (line:gsub("[^\t]+", of)) -- what clang shows of a line may begin with a tab
  end
  return table.concat(lines, "\n" .. (indent or ""))
end

return M
