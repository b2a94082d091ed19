--- What a script or an object is and would do, before anything of it runs: `luaprobe inspect`.
-- @module luaprobe.inspect
local asks = require "luaprobe.asks"
local clang = require "luaprobe.clang"
local err = require "luaprobe.error"
local facts = require "luaprobe.facts"
local find = require "luaprobe.find"
local hash = require "luaprobe.hash"
local json = require "luaprobe.json"
local needed = require "luaprobe.needed"
local packed = require "luaprobe.packed"

local M = {}

local function copy_manifest(about, entry)
  about.arch, about.packed, about.packed_size = entry.arch, true, entry.text_size
  about.source_sha256 = entry.source ~= "-" and entry.source or nil
  about.clang = entry.clang ~= "-" and entry.clang or nil
  about.flags = entry.flags ~= "-" and entry.flags or nil
  return about
end

local function note(report, format, ...)
  report.notes[#report.notes + 1] = format:format(...)
end

-- What is packed, and where it is not what would run.
local function from_pack(report, source, items)
  local sources, names = {}, {}
  for _, entry in ipairs(source.entries) do
    local about = facts.of(entry.name, source:bytes(entry))
    report.objects[#report.objects + 1] = copy_manifest(about, entry)
    sources[entry.source .. entry.flags], names[entry.name] = true, true
  end
  for _, item in ipairs(items) do
    if item.failure then
      note(report, "%s", item.failure.message)
    elseif item.flags and not sources[item.source .. item.flags] then
      note(report, "line %d: this C text is not what was packed: it was edited", item.line)
    elseif not item.flags and not item.is_path and not names[item.name] then
      note(report, "line %d: %s is not packed", item.line, item.name)
    end
  end
end

local function from_items(report, items)
  for _, item in ipairs(items) do
    local ok, about = pcall(function() return facts.of(item.name, (needed.bytes(item, clang.here))) end)
    if ok then
      about.arch, about.packed, about.source_sha256 = clang.here, false, item.source
      report.objects[#report.objects + 1] = about
    elseif err.is(about) then
      note(report, item.failure and "%s" or "line " .. item.line .. ": %s", about.message)
    else
      error(about, 0)
    end
  end
end

-- What is loaded by a path is no part of the script; it is shown all the same.
local function only_paths(items)
  local list = {}
  for _, item in ipairs(items) do
    if item.is_path then list[#list + 1] = item end
  end
  return list
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
  local items, notes = needed.of(name, path, script)
  local report = { file = name, kind = "script", size = #text, sha256 = hash.sha256(text), objects = {}, notes = notes,
    libraries = libraries, packed = source ~= nil }
  if source then from_pack(report, source, items) end
  from_items(report, source and only_paths(items) or items)
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
