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
local one_liner = require "luaprobe.one_liner"
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

-- Whether a packed object is what an item asks for; on another machine, for another processor.
local function is_of(entry, item)
  if item.is_path or item.failure then return false end
  if item.flags then return entry.source == item.source and entry.flags == item.flags end
  return entry.name == item.name
end

local function find_entry(source, item, arch)
  for _, entry in ipairs(source.entries) do
    if is_of(entry, item) and (not arch or entry.arch == arch) then return entry end
  end
end

local function is_asked_for(entry, items)
  for _, item in ipairs(items) do
    if is_of(entry, item) then return true end
  end
  return false
end

local function from_pack(report, source, items)
  for _, entry in ipairs(source.entries) do
    local about = copy_manifest(facts.of(entry.name, source:bytes(entry)), entry)
    about.stale = not is_asked_for(entry, items)
    report.objects[#report.objects + 1] = about
  end
end

-- Those of which a run here would not take what is packed: a C text that was edited since is compiled again.
local function not_packed(report, source, items)
  local list = {}
  for _, item in ipairs(items) do
    local packed_for_others = find_entry(source, item)
    if item.failure or item.is_path then
      list[#list + 1] = item
    elseif not find_entry(source, item, clang.here) then
      if packed_for_others then
        note(report, "line %d: %s is packed for %s, not for this machine, which is %s", item.line, item.name,
          packed_for_others.arch, clang.here)
      elseif item.flags then
        note(report, "line %d: this C text is not what was packed: it was edited, and what is shown of it is compiled "
          .. "from the text as it is now", item.line)
      else
        note(report, "line %d: %s is not packed", item.line, item.name)
      end
      -- A run refuses a name that is packed for others only.
      if item.flags or not packed_for_others then list[#list + 1] = item end
    end
  end
  return list
end

local function from_items(report, items)
  for _, item in ipairs(items) do
    local ok, about, source = pcall(function()
      local bytes, _, source = needed.bytes(item, clang.here)
      return facts.of(item.name, bytes), source
    end)
    if ok then
      about.arch, about.packed, about.source_sha256 = clang.here, false, source
      about.compiled = not item.object_path and not item.bytes
      report.objects[#report.objects + 1] = about
    elseif err.is(about) then
      note(report, item.failure and "%s" or "line " .. item.line .. ": %s", about.message)
      report.incomplete = report.incomplete or about.stage == "compile" and not about.code:find "ENOENT"
    else
      error(about, 0)
    end
  end
end

local function needs(report)
  local newest = "3.19"
  for _, object in ipairs(report.objects) do
    if not object.stale and tonumber(object.kernel:match "^%d+") * 1000 + tonumber(object.kernel:match "%d+$")
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

local function one_liners(report, uses)
  for _, use in ipairs(uses) do
    local ok, about = pcall(one_liner.describe, use)
    if ok then
      report.one_liners[#report.one_liners + 1] = about
    elseif err.is(about) then
      note(report, "line %d: lp.%s: %s", use.line, use.call, about.message)
    else
      note(report, "line %d: %s", use.line, tostring(about))
    end
  end
end

local function inspect_script(text, name, path)
  local source = packed.open(name, text)
  local script = source and source.script or text
  local libraries, reason = asks.of(script, name)
  if not libraries then
    err.raise { code = "EINVAL", stage = "read", where = false, message = reason }
  end
  local items, notes, found = needed.of(name, path, script)
  local report = { file = name, kind = "script", size = #text, sha256 = hash.sha256(text), objects = {}, notes = notes,
    one_liners = {}, libraries = libraries, packed = source ~= nil }
  from_items(report, source and not_packed(report, source, items) or items)
  if source then from_pack(report, source, items) end
  one_liners(report, found.one_liners)
  report.architectures = architectures(report.objects)
  report.kernel = needs(report)
  return report
end

--- Inspects a script or an object; nothing of it is executed.
-- @tparam string what a path, the name of a built-in script, or "-" for a script on standard input
-- @treturn table `file`, `kind` ("script", "object"), `size`, `sha256`, `packed`, `architectures` (packed ones),
--   `objects` (see luaprobe.facts; `arch`, `packed`, `packed_size`, `source_sha256`, `clang`, `flags`; `compiled`: just
--   now, from the text; `stale`: packed, but no text of the script asks for it), `one_liners` (see
--   luaprobe.one_liner's describe), `libraries` (see luaprobe.asks), `kernel` (the version implied), `notes`,
--   `incomplete`: a C text does not compile
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
