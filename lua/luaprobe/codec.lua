--- Keys and values of maps, between Lua and the kernel's bytes, one codec for each type.
--
-- | type | read as | written from |
-- | --- | --- | --- |
-- | integers, bool, enum, float, pointer | number (64-bit cdata beyond 2^53), boolean | the same, enumerator's name |
-- | `char[N]` | string up to its NUL | string, or such an array of a struct |
-- | struct, union, array | FFI struct or array: a view while a walk lasts, a copy otherwise | table, or such a struct |
-- | none known, 1, 2, 4 or 8 bytes | unsigned integer | number |
-- | none known, other sizes | string of exactly these bytes | the same |
-- @module luaprobe.codec
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local value = require "luaprobe.value"

local M = {}

local byte_pointer = ffi.typeof "uint8_t *"
local char_pointer = ffi.typeof "const char *"
local integer = value.integer

local function misfit(what, reason)
  err.raise { code = "EINVAL", stage = "map", message = ("%s%s"):format(what, reason) }
end

-- ---- types from BTF ------------------------------------------------------------------------------------------------

-- Writes whatever value.lua takes; the rest of the memory is zeros, as the kernel compares keys byte by byte.
local function filler(types, id, size)
  return function(address, new, what)
    ffi.fill(address, size)
    local ok, reason = value.fill(types, address, id, new, what)
    if not ok then misfit("", reason) end
  end
end

-- Most keys and values are integers, so they go a short way.
local function integer_codec(types, type)
  local pointer, fill = types:pointer(type.id), filler(types, type.id, type.size)
  local least, most = value.range(type)
  least, most = math.max(least, -value.EXACT), math.min(most, value.EXACT) -- beyond it cdata says what is meant
  local function read(address) return integer(ffi.cast(pointer, address)[0]) end
  local function encode(address, new, what)
    if _G.type(new) == "number" and new >= least and new <= most and new % 1 == 0 then
      ffi.cast(pointer, address)[0] = new
    else
      fill(address, new, what)
    end
  end
  return { view = read, copy = read, encode = encode }
end

local function scalar_codec(types, type)
  local function read(address) return value.read(types, address, type.id) end
  return { view = read, copy = read, encode = filler(types, type.id, type.size) }
end

local function string_codec(types, type)
  local size = type.size
  local function read(address)
    local text = ffi.cast(char_pointer, address)
    return ffi.string(text, C.lp_text_length(text, size))
  end
  return { view = read, copy = read, encode = filler(types, type.id, size) }
end

-- Structs and unions are handed out as pointers, arrays as references: both are indexed alike.
local function aggregate_codec(types, type)
  local pointer, ctype, size = types:pointer(type.id), types:ctype(type.id), type.size
  local view = function(address) return ffi.cast(pointer, address) end
  if type.kind == "array" then view = function(address) return ffi.cast(pointer, address)[0] end end
  local function copy(address)
    local kept = ffi.new(ctype)
    ffi.copy(kept, address, size)
    return kept
  end
  return { view = view, copy = copy, encode = filler(types, type.id, size) }
end

--- The codec of a BTF type.
-- @treturn table `view(address)` reads what is valid as long as the memory, `copy(address)` what can be kept,
--   `encode(address, value, what)` writes or raises an error of stage "map" that names `what` and the field; `size`,
--   `name`
function M.of_type(types, id)
  local type = types:get(id)
  local codec
  if value.is_char_array(types, type) and type.count > 0 then
    codec = string_codec(types, type)
  elseif type.members or type.kind == "array" then
    codec = aggregate_codec(types, type)
  elseif type.kind == "int" and not type.bool and type.size <= 8 then
    codec = integer_codec(types, type)
  else
    codec = scalar_codec(types, type)
  end
  codec.size, codec.type, codec.name = type.size, type, types:declaration(id)
  return codec
end

-- ---- FFI types that a user gave ------------------------------------------------------------------------------------

local check_kept

local function check_member(stored, given, name, what)
  local path = ("%s.%s"):format(what, tostring(name))
  local ok, kept = pcall(function() return stored[type(name) == "number" and name - 1 or name] end)
  if not ok or kept == nil then misfit(path, ": there is no such member") end
  check_kept(kept, given, path)
end

-- FFI cuts numbers and strings that do not fit; what was written must be what was meant.
function check_kept(stored, given, what)
  local kind = type(given)
  if kind == "table" then
    for name, each in pairs(given) do check_member(stored, each, name, what) end
  elseif kind == "string" then
    local size = ffi.sizeof(stored)
    if #given > size or ffi.string(stored, #given) ~= given then misfit(what, ": does not fit") end
  elseif kind == "boolean" then
    if type(stored) ~= "boolean" then misfit(what, ": is a boolean, not a number") end
  elseif kind == "number" or tonumber(given) then
    local number = tonumber(stored)
    if not number or value.key(stored) ~= value.key(given) then
      misfit(what, (": %s does not fit"):format(value.digits(given)))
    end
  end
end

local function number_codec(name)
  local pointer = ffi.typeof(name .. " *")
  local function read(address)
    return integer(ffi.cast(pointer, address)[0])
  end
  local function encode(address, new, what)
    local taken, made = pcall(ffi.new, name .. "[1]", { new })
    if not taken then misfit(what, (": is a %s, not a number"):format(type(new))) end
    check_kept(made[0], new, what)
    ffi.cast(pointer, address)[0] = made[0]
  end
  return { view = read, copy = read, encode = encode }
end

local function struct_codec(ctype, size)
  local function copy(address)
    local kept = ffi.new(ctype)
    ffi.copy(kept, address, size)
    return kept
  end
  local function encode(address, new, what)
    local taken, made = pcall(ffi.new, ctype, new)
    if not taken then misfit(what, ": " .. made) end
    check_kept(made, new, what)
    ffi.copy(address, made, size)
  end
  return { view = copy, copy = copy, encode = encode }
end

--- The codec of an FFI type: for maps whose object does not tell theirs. Structs are always copies.
-- @param ctype an FFI type, or C text like "uint32_t"
function M.of_ctype(ctype)
  local ok, found = pcall(ffi.typeof, ctype)
  if not ok then err.misuse("%s is not a C type: %s", tostring(ctype), found) end
  -- Pointers to it are spelled out: test runners remember what ffi.typeof gave for a text with a $ in it.
  local name, size = tostring(found):match "^ctype<(.*)>$", ffi.sizeof(found)
  local codec = tonumber(ffi.new(found)) ~= nil and number_codec(name) or struct_codec(found, size)
  codec.size, codec.name = size, name
  return codec
end

-- ---- nothing known -------------------------------------------------------------------------------------------------

local UNSIGNED = { [1] = "uint8_t", [2] = "uint16_t", [4] = "uint32_t", [8] = "uint64_t" }

local function bytes_codec(size)
  local function read(address) return ffi.string(address, size) end
  local function encode(address, new, what)
    if type(new) ~= "string" or #new ~= size then
      misfit(what, (" is not a string of %d bytes, and the object does not tell its type: set the map's key_type or "
        .. "value_type"):format(size))
    end
    ffi.copy(address, new, size)
  end
  return { view = read, copy = read, encode = encode, size = size, name = size .. " bytes" }
end

--- The codec of so many bytes of which nothing else is known.
function M.of_size(size)
  return UNSIGNED[size] and M.of_ctype(UNSIGNED[size]) or bytes_codec(size)
end

-- ---- special keys --------------------------------------------------------------------------------------------------

local bits = ffi.new "uint32_t[1]"
local prefix_text = ffi.new "char[80]"

--- The codec of an LPM trie's key, `struct bpf_lpm_trie_key`: "10.0.0.0/8", "2001:db8::/32".
-- @tparam number size of the key: 8 for IPv4, 20 for IPv6
function M.prefix(size)
  local function read(address)
    address = ffi.cast(byte_pointer, address)
    C.lp_prefix_format(address + 4, size - 4, ffi.cast("uint32_t *", address)[0], prefix_text, ffi.sizeof(prefix_text))
    return ffi.string(prefix_text)
  end
  local function encode(address, new, what)
    if type(new) ~= "string" then misfit(what, (" is a %s, not a string like 10.0.0.0/8"):format(type(new))) end
    if #new > 64 or new:find "%z" then misfit(what, " is too long, or holds a NUL character") end
    address = ffi.cast(byte_pointer, address)
    if C.lp_prefix_parse(new, address + 4, size - 4, bits) ~= 0 then
      local failure = err.last()
      failure.message = ("%s: %s"):format(what, failure.message)
      err.raise(failure)
    end
    ffi.cast("uint32_t *", address)[0] = bits[0]
  end
  return { view = read, copy = read, encode = encode, size = size, name = size == 8 and "IPv4/N" or "IPv6/N" }
end

return M
