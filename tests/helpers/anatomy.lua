--- Where the parts of a BPF object lie in its file, for specs that damage them. All places count from 1, as strings do.
local ffi = require "ffi"

local M = {}

local function number(ctype, bytes, at)
  local value = ffi.new(ctype .. "[1]")
  ffi.copy(value, bytes:sub(at, at + ffi.sizeof(value) - 1), ffi.sizeof(value))
  return tonumber(value[0])
end

local function u16(bytes, at) return number("uint16_t", bytes, at) end
local function u32(bytes, at) return number("uint32_t", bytes, at) end
local function u64(bytes, at) return number("uint64_t", bytes, at) end

--- Another number in its place.
function M.put(bytes, at, ctype, value)
  local text = ffi.string(ffi.new(ctype .. "[1]", value), ffi.sizeof(ctype))
  return bytes:sub(1, at - 1) .. text .. bytes:sub(at + #text)
end

local function text_at(bytes, at)
  return bytes:match("^[^%z]*", at)
end

--- The sections by name: `{entry, at, size}`: of its entry in the table, and of its contents.
function M.sections(bytes)
  local entries, count, names_index = u64(bytes, 0x29) + 1, u16(bytes, 0x3d), u16(bytes, 0x3f)
  local names = u64(bytes, entries + names_index * 64 + 0x18) + 1
  local found = {}
  for entry = entries, entries + (count - 1) * 64, 64 do
    found[text_at(bytes, names + u32(bytes, entry))] =
      { entry = entry, at = u64(bytes, entry + 0x18) + 1, size = u64(bytes, entry + 0x20) }
  end
  return found
end

--- Where the symbol of a name is.
function M.symbol(bytes, name)
  local sections = M.sections(bytes)
  local symbols, names = sections[".symtab"], sections[".strtab"]
  for at = symbols.at, symbols.at + symbols.size - 1, 24 do
    if text_at(bytes, names.at + u32(bytes, at)) == name then return at end
  end
end

local KINDS = { [1] = "int", [3] = "array", [4] = "struct", [12] = "func", [14] = "var", [15] = "datasec" }
local FIXED = { [1] = 4, [3] = 12, [14] = 4, [17] = 4 }
local EACH = { [4] = 12, [5] = 12, [6] = 8, [13] = 8, [15] = 12, [19] = 12 }

--- Where a type is and its number: the first of "KIND NAME".
function M.type(bytes, wanted)
  local section = M.sections(bytes)[".BTF"]
  local types, names = section.at + 24, section.at + 24 + u32(bytes, section.at + 16)
  local at, id = types, 0
  while at < types + u32(bytes, section.at + 12) do
    local info = u32(bytes, at + 4)
    local kind, count = math.floor(info / 2 ^ 24) % 32, info % 2 ^ 16
    id = id + 1
    if ("%s %s"):format(tostring(KINDS[kind]), text_at(bytes, names + u32(bytes, at))) == wanted then return at, id end
    at = at + 12 + (FIXED[kind] or 0) + count * (EACH[kind] or 0)
  end
end

return M
