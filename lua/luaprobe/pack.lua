--- Packing: the BPF objects that a script needs, put into its own text, and taken off again.
--
-- The trailer is a Lua comment, so the file stays Lua; its format is described in runtime/pack.c.
-- @module luaprobe.pack
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local facts = require "luaprobe.facts"
local find = require "luaprobe.find"
local hash = require "luaprobe.hash"
local needed = require "luaprobe.needed"
local packed = require "luaprobe.packed"

local M = {}

local function fail(format, ...)
  err.raise { code = "EINVAL", stage = "pack", where = false, message = format:format(...) }
end

-- Words of a list in the manifest, and single values: text without spaces, nothing that could end the comment.
local function word(text)
  return (text:gsub("[^%w_./:=?*+@,()<>|-]", function(c) return ("%%%02x"):format(c:byte()) end))
end

local function words(list, field)
  local all = {}
  for i, item in ipairs(list) do all[i] = word(field(item)) end
  return #all > 0 and table.concat(all, " ") or "-"
end

-- One object of one architecture, as text.
local function entry(item, arch, bytes, clang_version, source)
  local about = facts.of(item.name, bytes)
  local text = ffi.new "struct lp_bytes"
  err.check(C.lp_pack_encode(bytes, #bytes, text))
  local data = ffi.string(text.data, text.size)
  C.lp_bytes_free(text)
  return table.concat {
    "object ", item.name, "\narch ", arch, "\nsource ", source or "-", "\nflags ", item.flags or "-",
    "\nsha256 ", about.sha256, "\nsize ", #bytes, "\nclang ", clang_version and word(clang_version) or "-",
    "\nsections ", words(about.programs, function(program) return program.section end),
    "\nfeatures ", words(about.features, function(feature) return feature.since .. ":" .. feature.name end),
    "\ndata ", select(2, data:gsub("\n", "")), "\n", data,
  }
end

-- The whole: the script, the entries, and the hash of them.
local function assemble(script, entries)
  local ended = script == "" or script:sub(-1) == "\n"
  local trailer = ("--[==[luaprobe-pack 1\n%s\nscript %s\n%s"):format(ffi.string(C.lp_pack_note()),
    ended and "as-is" or "newline-added", table.concat(entries))
  return ("%s%s%s]==]--luaprobe-pack-end %s\n"):format(script, ended and "" or "\n", trailer, hash.sha256(trailer))
end

--- The script's own text, without what is packed in it; it must be Lua.
-- @raise error of stage "pack" or "read"
function M.bare(name, text)
  if text:sub(1, 3) == "\27LJ" then fail("%s: is bytecode, not text", name) end
  local pack = packed.open(name, text)
  local script = pack and pack.script or text
  local chunk, reason = loadstring((script:gsub("^#[^\n]*", "")), "@" .. name)
  if not chunk then fail("%s", reason) end
  return script
end

local function check_room(name, count)
  if count <= C.LP_PACK_OBJECTS then return end
  fail("%s: it would have %d packed objects, of which a script may have %d: pack it for fewer architectures, or make "
    .. "one lp.compile of several", name, count, C.LP_PACK_OBJECTS)
end

-- What is to be packed, each object once.
local function distinct(name, items)
  local list, names = {}, {}
  for _, item in ipairs(items) do
    local identity = (item.source or "") .. (item.flags or "")
    if item.failure then err.raise(item.failure) end
    if names[item.name] and names[item.name] ~= identity then
      fail("%s:%d: two different objects would be packed as '%s': give this one another name (name = \"…\")", name,
        item.line, item.name)
    end
    if not names[item.name] and not item.is_path then list[#list + 1] = item end
    names[item.name] = identity
  end
  return list
end

-- What luaprobe would not take again is not written.
local function check_result(name, text, count)
  if #text > find.SCRIPT_LIMIT then
    fail("%s: packed it would have %d bytes, and a script may have %d", name, #text, find.SCRIPT_LIMIT)
  end
  local ok, result = pcall(packed.open, name, text)
  if not ok then fail("%s: it cannot be packed: what comes out would be refused: %s", name, tostring(result)) end
  if not result or #result.entries ~= count then fail("%s: it cannot be packed: its end is misread", name) end
end

--- Packs a script.
-- @tparam string name for messages
-- @tparam string|nil path where it lies, so that what is beside it is found
-- @tparam string text
-- @tparam {string,…} architectures keys of luaprobe.clang's ARCHITECTURES
-- @treturn string the text with the objects in it
-- @treturn table `{name, arch, size, text_size}` of each; `notes`: what was not packed, and why
-- @raise error of stage "pack", "compile" or "read"
function M.pack(name, path, text, architectures)
  local script = M.bare(name, text)
  local entries, report = {}, {}
  local items, notes = needed.of(name, path, script)
  report.notes = notes
  local list = distinct(name, items)
  check_room(name, #list * #architectures)
  for _, item in ipairs(list) do
    for _, arch in ipairs(architectures) do
      local bytes, version, source = needed.bytes(item, arch)
      entries[#entries + 1] = entry(item, arch, bytes, version, source)
      report[#report + 1] = { name = item.name, arch = arch, size = #bytes, text_size = #entries[#entries] }
    end
  end
  if #entries == 0 then
    fail("%s: there is nothing to pack: it has no lp.compile and loads no object by a literal name%s", name,
      notes[1] and "\n" .. table.concat(notes, "\n") or "")
  end
  local result = assemble(script, entries)
  check_result(name, result, #entries)
  return result, report
end

--- Takes off what was packed.
-- @treturn string the bytes that it was packed from
-- @raise error of stage "read" when nothing is packed in it, or it is damaged
function M.unpack(name, text)
  local pack = packed.open(name, text)
  if not pack then
    err.raise { code = "ENOENT", stage = "read", where = false, message = ("%s: nothing is packed in it"):format(name) }
  end
  return pack.script
end

return M
