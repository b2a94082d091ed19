--- What a script or an object is and would do, before anything of it runs: `luaprobe inspect`.
-- @module luaprobe.inspect
local asks = require "luaprobe.asks"
local clang = require "luaprobe.clang"
local err = require "luaprobe.error"
local facts = require "luaprobe.facts"
local find = require "luaprobe.find"
local hash = require "luaprobe.hash"
local json = require "luaprobe.json"
local pack = require "luaprobe.pack"
local packed = require "luaprobe.packed"

local M = {}

local function copy_manifest(about, entry)
  about.arch, about.packed, about.packed_size = entry.arch, true, entry.text_size
  about.source_sha256 = entry.source ~= "-" and entry.source or nil
  about.clang = entry.clang ~= "-" and entry.clang or nil
  about.flags = entry.flags ~= "-" and entry.flags or nil
  return about
end

-- C texts of the script that no packed object was made from.
local function edited(items, entries)
  local sources, list = {}, {}
  for _, entry in ipairs(entries) do sources[entry.source .. entry.flags] = true end
  for _, item in ipairs(items) do
    if item.block.line and item.source and not sources[item.source .. item.flags] then
      list[#list + 1] = ("line %d: this C text is not what was packed: it was edited"):format(item.block.line)
    end
  end
  return list
end

local function from_pack(report, source)
  for _, entry in ipairs(source.entries) do
    report.objects[#report.objects + 1] = copy_manifest(facts.of(entry.name, source:bytes(entry)), entry)
  end
end

local function from_items(report, items)
  for _, item in ipairs(items) do
    local ok, bytes = pcall(pack.bytes, item, clang.here)
    if ok then
      local about = facts.of(item.name, bytes)
      about.arch, about.packed, about.source_sha256 = clang.here, false, item.source
      report.objects[#report.objects + 1] = about
    elseif err.is(bytes) then
      report.notes[#report.notes + 1] = ("%s: %s"):format(item.name, bytes.message)
    else
      error(bytes, 0)
    end
  end
end

local function needs(report)
  local newest = "3.19"
  for _, object in ipairs(report.objects) do
    if tonumber(object.kernel:match "^%d+") * 1000 + tonumber(object.kernel:match "%d+$")
      > tonumber(newest:match "^%d+") * 1000 + tonumber(newest:match "%d+$") then
      newest = object.kernel
    end
  end
  return #report.objects > 0 and newest or nil
end

local function architectures(objects)
  local list, seen = {}, {}
  for _, object in ipairs(objects) do
    if object.packed and not seen[object.arch] then
      seen[object.arch] = true
      list[#list + 1] = object.arch
    end
  end
  return list
end

local function inspect_script(text, name, path)
  local source = packed.open(name, text)
  local script = source and source.script or text
  local libraries, reason = asks.of(script, name)
  if not libraries then
    err.raise { code = "EINVAL", stage = "read", where = false, message = reason }
  end
  local report = { file = name, kind = "script", size = #text, sha256 = hash.sha256(text), objects = {}, notes = {},
    libraries = libraries, packed = source ~= nil }
  local items = pack.items(name, path, script)
  if source then
    from_pack(report, source)
    local blocks = {}
    for _, item in ipairs(items) do
      if item.flags then blocks[#blocks + 1] = item end
    end
    for _, note in ipairs(edited(blocks, source.entries)) do report.notes[#report.notes + 1] = note end
  else
    from_items(report, items)
  end
  report.architectures = architectures(report.objects)
  report.kernel = needs(report)
  return report
end

--- Inspects a script or an object; nothing of it is executed.
-- @tparam string what a path, the name of a built-in script, or "-" for a script on standard input
-- @treturn table `file`, `kind` ("script", "object"), `size`, `sha256`, `packed`, `architectures` (packed ones),
--   `objects` (see luaprobe.facts; `arch`, `packed`, `packed_size`, `source_sha256`, `clang`, `flags`), `libraries`
--   (see luaprobe.asks), `kernel` (the version implied), `notes`
-- @raise error of stage "read", "open" or "compile"
function M.of(what)
  local text, name, path = find.read_script(what, find.OBJECT_LIMIT)
  if text:sub(1, 4) ~= "\127ELF" then return inspect_script(text, name, path) end
  local about = facts.of(name, text)
  return { file = name, kind = "object", size = #text, sha256 = about.sha256, packed = false, architectures = {},
    objects = { about }, notes = {}, kernel = about.kernel }
end

--- Makes what is empty in a report an array: it has no empty objects.
function M.for_json(report)
  for _, value in pairs(report) do
    if type(value) == "table" then M.for_json(value) end
  end
  return next(report) == nil and setmetatable(report, json.list) or report
end

return M
