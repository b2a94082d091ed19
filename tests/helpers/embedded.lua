--- BPF objects inside other files: each program of Debian's libbpf-tools holds the object that it loads.
--
--   luaprobe tests/helpers/embedded.lua OUT    writes those of the installed programs to OUT/NAME.bpf.o
local ffi = require "ffi"
local helper = require "helper"

local M = {}

-- ELF's magic, 64 bits, least significant byte first, version 1; nine bytes later ET_REL and EM_BPF.
local MAGIC, BPF = "\127ELF\2\1\1", "\1\0\247\0"
local HEADER_SIZE, SECTION_SIZE, NOBITS = 64, 64, 8

-- The number at an offset, counted from 0.
local function number(ctype, bytes, offset)
  local value = ffi.new(ctype .. "[1]")
  ffi.copy(value, bytes:sub(offset + 1, offset + ffi.sizeof(value)), ffi.sizeof(value))
  return tonumber(value[0])
end

-- Where the object that begins at `start` ends: behind its table of sections and behind each section.
local function end_of(bytes, start)
  local sections = start + number("uint64_t", bytes, start + 0x28)
  local count = number("uint16_t", bytes, start + 0x3c)
  local last = sections + count * SECTION_SIZE
  if last > #bytes then return nil end
  for section = sections, last - 1, SECTION_SIZE do
    if number("uint32_t", bytes, section + 4) ~= NOBITS then
      local offset, size = number("uint64_t", bytes, section + 0x18), number("uint64_t", bytes, section + 0x20)
      last = math.max(last, start + offset + size)
    end
  end
  return last <= #bytes and last or nil
end

--- The first BPF object inside a file's bytes, or nil.
function M.object(bytes)
  local start = 0
  while true do
    local found = bytes:find(MAGIC, start + 1, true)
    if not found or found + HEADER_SIZE > #bytes then return nil end
    start = found
    local last = bytes:sub(start + 16, start + 19) == BPF and end_of(bytes, start - 1)
    if last then return bytes:sub(start, last) end
  end
end

-- Links among them, as btrfsdist is one to fsdist, hold nothing of their own.
local PROGRAMS = [[for file in $(dpkg -L libbpf-tools 2>/dev/null | grep bin/); do
  [ -L "$file" ] || [ ! -x "$file" ] || echo "$file"
done]]

local function lines(command)
  local found = {}
  for line in helper.run(command):gmatch "[^\n]+" do found[#found + 1] = line end
  return found
end

--- The paths of libbpf-tools' objects, which are put into a directory; where the package is not installed, of those
-- that were put there before.
function M.libbpf_tools(directory)
  os.execute(("mkdir -p '%s'"):format(directory))
  for _, program in ipairs(lines(PROGRAMS)) do
    local object = M.object(helper.read(program))
    if object then helper.write(("%s/%s.bpf.o"):format(directory, program:match "[^/]*$"), object) end
  end
  return lines(("ls '%s'/*.bpf.o 2>/dev/null"):format(directory))
end

if arg and arg[0]:find "embedded%.lua$" then M.libbpf_tools(arg[1]) end

return M
