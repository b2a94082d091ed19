--- Objects, programs and maps, as a person at a prompt wants to see them.
-- @module luaprobe.describe
local map_memory = require "luaprobe.map_memory"

local M = {}

local function sized(bytes)
  for _, unit in ipairs { "bytes", "KiB", "MiB" } do
    if bytes < 1024 or unit == "MiB" then return (unit == "bytes" and "%d %s" or "%.1f %s"):format(bytes, unit) end
    bytes = bytes / 1024
  end
end

local function type_name(map, id, size)
  if id ~= 0 and not map.types.empty then return map.types:declaration(id) end
  return size .. " bytes"
end

--- A map: its kind, its types, its size.
function M.map(map)
  if map.kind == "counts" then return M.map(map.object.maps[map.name .. "_0"]):gsub("_0: hash", ": counts", 1) end
  local info = map:info()
  local parts = { ("map %s: %s"):format(map.name, map.kind) }
  if map.datasec then
    parts[#parts + 1] = ("the variables in %s, %s"):format(map.datasec, sized(info.value_size))
  elseif map.kind_of.module == "events" or map.kind_of.module == "sender" then
    local _, each, cpus = map_memory.of(map)
    parts[#parts + 1] = each and ("%s for each of %d CPUs"):format(sized(each), cpus)
      or info.max_entries > 0 and sized(info.max_entries) or "a buffer for each CPU"
  else
    if info.key_size > 0 then parts[#parts + 1] = "from " .. type_name(map, info.key_type, info.key_size) end
    parts[#parts + 1] = "to " .. (map.kind_of.holds_maps and "maps" or type_name(map, info.value_type, info.value_size))
    local bytes = map_memory.of(map)
    parts[#parts + 1] = ("%d entries"):format(info.max_entries)
    if bytes then parts[#parts + 1] = "about " .. sized(bytes) end
  end
  if map.pin then parts[#parts + 1] = "pinned at " .. map.pin end
  return table.concat(parts, ", ")
end

--- A program: where it goes, how long it is, what the kernel counted.
function M.program(program)
  local info = program:info()
  local parts = { ("program %s: %s, %d instructions"):format(program.name, program.section, info.instructions) }
  if not program.autoload then parts[#parts + 1] = "left out" end
  if info.id > 0 then parts[#parts + 1] = "loaded as " .. info.id end
  if info.verified > 0 then parts[#parts + 1] = ("the verifier went through %d"):format(info.verified) end
  if info.jited_bytes > 0 then parts[#parts + 1] = sized(info.jited_bytes) .. " of machine code" end
  if info.runs > 0 then
    parts[#parts + 1] = ("ran %d times, %.0f ns each"):format(info.runs, info.time_ns / info.runs)
  end
  return table.concat(parts, ", ")
end

local function sort_of(datasec)
  return datasec:find "^%.rodata" and "constant" or datasec == ".kconfig" and "option" or "variable"
end

local function add_variables(lines, object, what)
  for _, map in ipairs(object.maps) do
    local section = map.datasec and sort_of(map.datasec) == what and object.types:find("datasec " .. map.datasec)
    for _, member in ipairs(section and section.members or {}) do
      lines[#lines + 1] = ("  %s %s"):format(what, object.types:declaration(member.type_id, member.name))
    end
  end
end

-- Whether it is one of the two hashes of an LP_COUNTS map, which is shown itself.
local function is_half(object, map)
  local whole = map.name:match "^(.*)_[01]$"
  return whole ~= nil and object.maps[whole] ~= nil and object.maps[whole].kind == "counts"
end

--- An object: its programs, its maps, its constants and variables.
function M.object(object)
  if not object.handle then return tostring(object) end
  local lines = { tostring(object) }
  for _, program in ipairs(object.programs) do lines[#lines + 1] = "  " .. M.program(program) end
  for _, map in ipairs(object.maps) do
    if not map.datasec and not is_half(object, map) then lines[#lines + 1] = "  " .. M.map(map) end
  end
  for _, sort in ipairs { "constant", "option", "variable" } do add_variables(lines, object, sort) end
  for _, probe in ipairs(object.probes) do lines[#lines + 1] = "  " .. tostring(probe) end
  return table.concat(lines, "\n")
end

return M
