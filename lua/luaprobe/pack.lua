--- Packing: the BPF objects that a script needs, put into its own text, and taken off again.
--
-- The trailer is a Lua comment, so the file stays Lua; its format is described in runtime/pack.c.
-- @module luaprobe.pack
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local blocks = require "luaprobe.blocks"
local clang = require "luaprobe.clang"
local compile = require "luaprobe.compile"
local embedded = require "luaprobe.embedded"
local err = require "luaprobe.error"
local facts = require "luaprobe.facts"
local files = require "luaprobe.files"
local find = require "luaprobe.find"
local hash = require "luaprobe.hash"
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
local function entry(item, arch, bytes, clang_version)
  local about = facts.of(item.name, bytes)
  local text = ffi.new "struct lp_bytes"
  err.check(C.lp_pack_encode(bytes, #bytes, text))
  local data = ffi.string(text.data, text.size)
  C.lp_bytes_free(text)
  return table.concat {
    "object ", item.name, "\narch ", arch, "\nsource ", item.source or "-", "\nflags ", item.flags or "-",
    "\nsha256 ", about.sha256, "\nsize ", #bytes, "\nclang ", clang_version and word(clang_version) or "-",
    "\nsections ", words(about.programs, function(program) return program.section end),
    "\nfeatures ", words(about.features, function(feature) return feature.since .. ":" .. feature.name end),
    "\ndata ", select(2, data:gsub("\n", "")), "\n", data,
  }
end

local NOTE = "-- BPF objects, put here by `luaprobe pack`; `luaprobe inspect` shows them, `luaprobe unpack` takes "
  .. "them off.\n"

-- The whole: the script, the entries, and the hash of them.
local function assemble(script, entries)
  local ended = script == "" or script:sub(-1) == "\n"
  local trailer = ("--[==[luaprobe-pack 1\n%sscript %s\n%s"):format(NOTE, ended and "as-is" or "newline-added",
    table.concat(entries))
  return ("%s%s%s]==]--luaprobe-pack-end %s\n"):format(script, ended and "" or "\n", trailer, hash.sha256(trailer))
end

-- The base name of a script, as a name for its blocks.
local function base_name(name)
  return (((name:match "([^/]+)$" or name):gsub("%.lua$", ""):gsub("[^%w_.-]", "_")))
end

-- What is to be packed for the blocks of C text.
local function items_of_blocks(found, name, directory)
  local items = {}
  for i, block in ipairs(found) do
    if not block.text then
      fail("%s:%d: what lp.compile is given here is not literal text and options, so it cannot be packed", name,
        block.line)
    end
    local options = compile.options(block.text, block.options)
    items[i] = {
      name = options.name or base_name(name) .. (#found > 1 and "-" .. i or ""),
      source = hash.sha256(block.text), flags = compile.flags_text(options),
      block = { text = block.text, options = options, line = block.line, file = name:match "[^/]+$",
        directory = directory },
    }
  end
  return items
end

local NO_OPTIONS = { cflags = {}, include = {} }

-- What is to be packed for an object that is loaded by its name: from its C text beside the script, on LUAPROBE_PATH or
-- inside the binary; or as it is.
local function item_of_object(found, name)
  local object = found.name:gsub("%.bpf%.o$", "")
  if object:find "[^%w_.-]" then fail("%s:%d: '%s' cannot be the name of a packed object", name, found.line, object) end
  local places = find.places(object)
  local source = places.source_path and files.read(places.source_path) or not places.path and embedded.source(object)
  local item = { name = object, object_path = places.path, bytes = places.bytes }
  if source then
    item.source = hash.sha256(source)
    item.block = { text = source, options = NO_OPTIONS, line = 1, file = object .. ".bpf.c",
      directory = places.source_path and places.source_path:match "^(.*/)" }
  elseif not places.path and not places.bytes then
    fail("%s:%d: there is neither %s.bpf.c nor %s.bpf.o beside the script, on LUAPROBE_PATH or inside luaprobe", name,
      found.line, object, object)
  end
  return item
end

local function items_of_objects(found, name)
  local items, seen = {}, {}
  for _, object in ipairs(found) do
    if object.name:find("/", 1, true) then
      io.stderr:write(("luaprobe: %s:%d: '%s' is a path: it is not packed\n"):format(name, object.line, object.name))
    elseif not seen[object.name] then
      seen[object.name] = true
      items[#items + 1] = item_of_object(object, name)
    end
  end
  return items
end

--- What a script needs, found in its text.
-- @tparam string name
-- @tparam string|nil path where it lies
-- @tparam string text
-- @treturn {table,…} `{name, source, flags, block}`
function M.items(name, path, text)
  find.set_script(path)
  local found = blocks.scan(text)
  local items = items_of_blocks(found.blocks, name, path and (path:match "^(.*/)" or "./"))
  for _, item in ipairs(items_of_objects(found.objects, name)) do items[#items + 1] = item end
  return items
end

-- Without its debugging sections.
local function stripped(path)
  local buffer = ffi.new "char[4096]"
  local directory = err.check(C.lp_directory_make_temporary(buffer, 4096))
  local copy = ffi.string(buffer) .. "/object.o"
  local result = C.lp_object_strip(path, copy)
  local bytes = result == 0 and files.read(copy)
  C.lp_directory_remove(buffer, directory)
  err.check(result)
  return bytes
end

--- The bytes of an item for an architecture, and the clang that made it.
-- @raise error of stage "compile" or "pack"
function M.bytes(item, arch)
  local compiler = item.block and clang.find()
  if compiler then return compile.block(compiler, item.block, arch), compiler.version:match "^%S+" end
  if arch == clang.here and item.object_path then return stripped(item.object_path) end
  if arch == clang.here and item.bytes then return ffi.string(item.bytes.data, item.bytes.size) end
  err.raise { code = "ENOENT", stage = "pack", where = false,
    message = ("%s cannot be packed for %s: %s"):format(item.name, arch,
      item.block and "there is no clang here to compile it" or "there is only an object of this machine, no C text"),
    hint = item.block and "apt install clang libbpf-dev linux-libc-dev" or "put its .bpf.c beside the script" }
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

--- Packs a script.
-- @tparam string name for messages
-- @tparam string|nil path where it lies, so that what is beside it is found
-- @tparam string text
-- @tparam {string,…} architectures keys of luaprobe.clang's ARCHITECTURES
-- @treturn string the text with the objects in it
-- @treturn {table,…} `{name, arch, size, text_size}` of each
-- @raise error of stage "pack", "compile" or "read"
function M.pack(name, path, text, architectures)
  local script = M.bare(name, text)
  local entries, report, names = {}, {}, {}
  for _, item in ipairs(M.items(name, path, script)) do
    if names[item.name] and names[item.name] ~= (item.source or "") .. (item.flags or "") then
      fail("%s: two different objects would be packed as '%s': name them (name = \"…\")", name, item.name)
    end
    for _, arch in ipairs(names[item.name] and {} or architectures) do
      local bytes, version = M.bytes(item, arch)
      entries[#entries + 1] = entry(item, arch, bytes, version)
      report[#report + 1] = { name = item.name, arch = arch, size = #bytes, text_size = #entries[#entries] }
    end
    names[item.name] = (item.source or "") .. (item.flags or "")
  end
  if #entries == 0 then
    fail("%s: there is nothing to pack: it has no lp.compile and loads no object by a literal name", name)
  end
  return assemble(script, entries), report
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
