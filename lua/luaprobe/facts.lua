--- What an object does and needs, read from its bytes: nothing of it reaches the kernel.
-- @module luaprobe.facts
local bit = require "bit"
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local features = require "luaprobe.features"
local hash = require "luaprobe.hash"
local map_memory = require "luaprobe.map_memory"
local object = require "luaprobe.object"

local M = {}

local function maps_of(opened)
  local list, total = {}, 0
  for i, map in ipairs(opened.maps) do
    local row = features.MAPS[map.type]
    local type = row and row[1] or tostring(map.type)
    local memory, per_cpu, cpus = map_memory.of(map)
    list[i] = { name = map.name, type = type, key_size = map.key_size, value_size = map.value_size,
      max_entries = map.max_entries, memory = memory, per_cpu = per_cpu, cpus = cpus, since = row and row[2] }
    total = total + (memory or 0)
  end
  return list, total
end

-- "kprobe.multi" of "kprobe.multi/vfs_*".
local function section_word(section)
  return section:match "^%??([%w_.]+)" or section
end

local function programs_of(opened)
  local list = {}
  for i, program in ipairs(opened.programs) do
    list[i] = { name = program.name, section = program.section, kind = program.kind, target = program.target,
      since = features.PROGRAMS[section_word(program.section)] }
  end
  return list
end

local function helpers_of(code, by_name)
  for id = 1, C.LP_HELPERS - 1 do
    local word = code.helpers[math.floor(id / 64)]
    if bit.band(bit.rshift(word, id % 64), 1ULL) ~= 0 then
      local name = C.lp_helper_name(id)
      name = name ~= nil and ffi.string(name) or ("helper_%d"):format(id)
      by_name[name] = by_name[name] or { name = "bpf_" .. name, since = features.helper(id),
        changes = features.CHANGES[name] or false, sections = {} }
      table.insert(by_name[name].sections, ffi.string(code.section))
    end
  end
end

local function sorted(by_name)
  local list = {}
  for _, value in pairs(by_name) do list[#list + 1] = value end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function code_of(inspect)
  local code, helpers, flags, instructions, i = ffi.new "struct lp_code", {}, 0, 0, 0
  while C.lp_inspect_code(inspect, i, code) do
    helpers_of(code, helpers)
    flags = bit.bor(flags, code.features)
    instructions = instructions + code.instructions
    i = i + 1
  end
  return sorted(helpers), flags, instructions
end

-- BPF_CORE_* of <linux/bpf.h>
local CORE_FIELD_LAST, CORE_ENUM_FIRST, CORE_ENUM_LAST = 5, 10, 11

-- "0:1:2" as a path of members, from a type on.
local function field_path(types, id, access)
  local path, first = {}, true
  for index in access:gmatch "%d+" do
    local type = types:get(id)
    index = tonumber(index)
    if first then
      first = false
    elseif type.members then
      local member = type.members[index + 1]
      if not member then break end
      if member.name ~= "" then path[#path + 1] = (#path > 0 and "." or "") .. member.name end
      id = member.type_id
    elseif type.kind == "array" then
      path[#path + 1] = ("[%d]"):format(index)
      id = type.of
    else
      break
    end
  end
  return table.concat(path)
end

local function enumerator(type, access)
  local value = tonumber(access:match "%d+")
  local names = {}
  for name in pairs(type.values or {}) do names[#names + 1] = name end
  table.sort(names, function(a, b) return type.values[a] < type.values[b] end)
  return names[value + 1]
end

-- How C names a type: what a relocation asks for can be a typedef of something without a name.
local function name_of(types, id)
  local type = types:get(id)
  if type.name == "" then return types:declaration(id) end
  return type.kind .. " " .. type.name
end

local function note_core(types, core, by_name)
  local type = types:get(core.type)
  local name = name_of(types, core.type):gsub("___.*$", "")
  local entry = by_name[name] or { name = name, fields = {}, seen = {} }
  by_name[name] = entry
  local access, field = ffi.string(core.access), nil
  if core.kind <= CORE_FIELD_LAST then
    field = field_path(types, core.type, access)
  elseif core.kind >= CORE_ENUM_FIRST and core.kind <= CORE_ENUM_LAST then
    field = enumerator(type, access)
  end
  if field and field ~= "" and not entry.seen[field] then
    entry.seen[field] = true
    entry.fields[#entry.fields + 1] = field
  end
end

local function core_of(opened, inspect)
  local core, by_name, i = ffi.new "struct lp_core", {}, 0
  local btf = opened.types.btf
  while btf and C.lp_inspect_core(inspect, btf, i, core) do
    note_core(opened.types, core, by_name)
    i = i + 1
  end
  local list = sorted(by_name)
  for _, entry in ipairs(list) do
    table.sort(entry.fields)
    entry.seen = nil
  end
  return list
end

-- Symbols of the kernel that are asked for, and by name those that it may lack (__weak).
local function externs_of(inspect)
  local list, optional, weak = {}, {}, ffi.new "bool[1]"
  while true do
    local name = C.lp_inspect_extern(inspect, #list, weak)
    if name == nil then return list, optional end
    list[#list + 1] = ffi.string(name)
    optional[list[#list]] = weak[0]
  end
end

local FUNCTION = 12 -- BTF_KIND_FUNC of <linux/btf.h>

-- Functions of the kernel that are no helpers, among its symbols that are asked for.
local function kfuncs_of(opened, externs, optional)
  local list, btf = {}, opened.types.btf
  for _, name in ipairs(btf and externs or {}) do
    if C.lp_btf_find(btf, FUNCTION, name) ~= 0 then
      local since, changes = features.kfunc(name)
      list[#list + 1] = { name = name, since = since, changes = changes, optional = optional[name] }
    end
  end
  return list
end

-- What of the kernel's history it needs: `{name, since}`, the newest first.
local function features_of(facts, flags)
  local found = {}
  local function note(name, since)
    if since then found[name] = { name = name, since = since } end
  end
  for _, program in ipairs(facts.programs) do note(section_word(program.section), program.since) end
  for _, map in ipairs(facts.maps) do
    note(map.type, map.since)
    if map.name:find("%.rodata") or map.name:find("%.data") or map.name:find("%.bss") then note("globals", "5.2") end
  end
  for _, helper in ipairs(facts.helpers) do note(helper.name, helper.since) end
  for _, kfunc in ipairs(facts.kfuncs) do
    if not kfunc.optional then note(kfunc.name, kfunc.since) end
  end
  for _, row in ipairs(features.CODE) do
    if bit.band(flags, C[row[1]]) ~= 0 then note(row[2], row[3]) end
  end
  if #facts.kernel_types > 0 then note("core", "5.2") end
  local list = sorted(found)
  table.sort(list, function(a, b)
    local one, other = features.number(a.since), features.number(b.since)
    if one ~= other then return one > other end
    return a.name < b.name
  end)
  return list
end

--- Reads an object.
-- @tparam string name for messages
-- @tparam string bytes
-- @treturn table `name`, `size`, `sha256`, `instructions`;
--   `programs`: `{name, section, kind, target}`;
--   `maps`: `{name, type, key_size, value_size, max_entries, memory, per_cpu, cpus}`, the last two of an event stream;
--   `memory`: bytes, of all full maps, about;
--   `helpers`: `{name, since, changes, sections}`;
--   `externs`: symbols of the kernel; `kfuncs`: those that are functions, `{name, since, changes,
--   optional}`, the last when a kernel may lack it;
--   `kernel_types`: `{name, fields}`;
--   `features`: `{name, since}`; `kernel`: the version that they imply
-- @raise error of stage "open"
function M.of(name, bytes)
  local opened = object.open { name = name, bytes = bytes }
  local inspect = err.check(C.lp_inspect_open(name, bytes, #bytes))
  local facts = { name = name, size = #bytes, sha256 = hash.sha256(bytes), programs = programs_of(opened) }
  local flags, optional
  facts.maps, facts.memory = maps_of(opened)
  facts.helpers, flags, facts.instructions = code_of(inspect)
  facts.kernel_types = core_of(opened, inspect)
  facts.externs, optional = externs_of(inspect)
  facts.kfuncs = kfuncs_of(opened, facts.externs, optional)
  facts.features = features_of(facts, flags)
  facts.kernel = facts.features[1] and facts.features[1].since or "3.19"
  C.lp_inspect_close(inspect)
  opened:close()
  return facts
end

return M
