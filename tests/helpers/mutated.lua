--- Reads all of objects whose types were damaged, for tests/unit/damaged_spec.lua: in a process of its own, since what
-- is looked for is a crash, and FFI keeps every type that it was told of.
--
--   luaprobe tests/helpers/mutated.lua SEED COUNT OBJECT…    prints how many were read, how many reads raised and how
--   many objects were refused; then each reason that is not one of luaprobe's errors, which there should be none of
local lp = require "luaprobe"

local unpack_header = function(bytes, at)
  local function word(offset)
    local a, b, c, d = bytes:byte(at + offset, at + offset + 3)
    return a + b * 0x100 + c * 0x10000 + d * 0x1000000
  end
  return { types = at + 24 + word(8), types_size = word(12), names = at + 24 + word(16), names_size = word(20) }
end

local function little_endian(number)
  return string.char(number % 256, math.floor(number / 0x100) % 256, math.floor(number / 0x10000) % 256,
    math.floor(number / 0x1000000) % 256)
end

local EDGES = { 0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0x01000000, 0x04000001, 0x05000002, 0x40000 }

local function put(bytes, at, text)
  return bytes:sub(1, at - 1) .. text .. bytes:sub(at + #text)
end

-- Another word of the types in its place, an edge, a small number; or a character of a name.
local function mutate(bytes, header)
  local function place() return header.types + 4 * math.random(0, header.types_size / 4 - 1) end
  local way, at = math.random(5), place()
  if way <= 2 then
    local from = place()
    return put(bytes, at, bytes:sub(from, from + 3))
  elseif way == 3 then
    return put(bytes, at, little_endian(EDGES[math.random(#EDGES)]))
  elseif way == 4 then
    return put(bytes, at, little_endian(math.random(0, 64)))
  end
  return put(bytes, header.names + math.random(0, header.names_size - 1), string.char(math.random(0, 255)))
end

local read, raised, refused, strange = 0, 0, 0, {}

-- A call that may raise, but only errors of luaprobe's own.
local function attempt(call, ...)
  local ok, result = pcall(call, ...)
  if ok then return result end
  raised = raised + 1
  if type(result) ~= "table" then strange[#strange + 1] = tostring(result) end
end

local function read_type(types, type)
  attempt(types.find, types, type.kind .. " " .. type.name)
  attempt(types.ctype, types, type.id)
  attempt(types.pointer, types, type.id)
  attempt(types.declaration, types, type.id, "name")
  attempt(tostring, type)
  if type.kind == "struct" or type.kind == "union" then attempt(types.fields, types, type) end
end

-- Ids go on without a gap: behind the last one there is an error too.
local function read_types(object)
  local missing = 0
  for id = 1, 2 ^ 16 do
    local ok, type = pcall(object.types.get, object.types, id)
    if ok then read_type(object.types, type) end
    missing = ok and 0 or missing + 1
    if missing > 8 then return end
  end
end

local function constant(object, name)
  return object.const[name], object.data[name]
end

local function read_variables(object)
  for _, map in ipairs(object.maps) do
    local section = map.datasec and object.types:find("datasec " .. map.datasec)
    for _, member in ipairs(section and section.members or {}) do attempt(constant, object, member.name) end
  end
end

local function try(bytes)
  local ok, object = pcall(lp.open, { bytes = bytes, name = "damaged" })
  if not ok then
    refused = refused + 1
    if type(object) ~= "table" then strange[#strange + 1] = tostring(object) end
    return
  end
  read = read + 1
  attempt(read_types, object)
  attempt(read_variables, object)
  object:close()
end

math.randomseed(tonumber(arg[1]))
for i = 1, tonumber(arg[2]) do
  local file = assert(io.open(arg[3 + i % (#arg - 2)], "rb"))
  local bytes = file:read "*a"
  file:close()
  local header = unpack_header(bytes, assert(bytes:find("\159\235\1\0\24\0\0\0", 1, true)))
  for _ = 1, math.random(2) do bytes = mutate(bytes, header) end
  try(bytes)
end
print(("%d read, %d errors, %d refused"):format(read, raised, refused))
for _, reason in ipairs(strange) do print(reason) end
