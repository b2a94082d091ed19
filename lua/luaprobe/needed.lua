--- The BPF objects that a script needs, found in its text: for packing, inspecting and checking it.
-- @module luaprobe.needed
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local asks = require "luaprobe.asks"
local blocks = require "luaprobe.blocks"
local clang = require "luaprobe.clang"
local compile = require "luaprobe.compile"
local embedded = require "luaprobe.embedded"
local err = require "luaprobe.error"
local files = require "luaprobe.files"
local find = require "luaprobe.find"
local hash = require "luaprobe.hash"

local M = {}

local function refusal(format, ...)
  return { code = "EINVAL", stage = "pack", where = false, message = format:format(...) }
end

local LONGEST = 200 -- letters of a packed object's name, see runtime/pack.c

-- The base name of a script, as a name for its blocks: a run finds them by their hash.
local function base_name(name)
  local base = (name:match "([^/]+)$" or name):gsub("%.lua$", ""):gsub("[^%w_.-]", "_"):sub(1, LONGEST - 10)
  return base ~= "" and base or "script"
end

-- Reads a block's options; what is wrong with them is told at the script's line.
local function options_of(block, name)
  local ok, options = pcall(compile.options, block.text, block.options)
  if ok then return options end
  return nil, refusal("%s:%d: %s", name, block.line, (tostring(options):gsub("^.-(lp%.compile)", "%1")))
end

local function item_of_block(block, name, default, directory)
  if not block.text then
    return { name = default, line = block.line, failure = refusal("%s:%d: what lp.compile is given here is not literal "
      .. "text and options, so it cannot be packed", name, block.line) }
  end
  local options, failure = options_of(block, name)
  if not options then return { name = default, line = block.line, failure = failure } end
  return { name = options.name or default, line = block.line, source = hash.sha256(block.text),
    flags = compile.flags_text(options),
    block = { text = block.text, options = options, line = block.line, text_line = block.text_line,
      file = name:match "[^/]+$", directory = directory } }
end

-- An object that is loaded by its name: the one that a run finds. Its C text is for other processors, or where there is
-- no object.
local function item_of_name(found, name)
  local object = found.name:gsub("%.bpf%.o$", "")
  local item = { name = object, line = found.line }
  if object:find "[^%w_.-]" or object == "" or #object > LONGEST then
    item.failure = refusal("%s:%d: %q cannot be the name of a packed object", name, found.line, object)
    return item
  end
  local places = find.places(object)
  item.object_path, item.bytes = places.path, places.bytes
  local source = places.source_path and files.read_regular(places.source_path, compile.TEXT_LIMIT)
    or places.bytes and embedded.source(object)
  if source then
    item.source = hash.sha256(source)
    item.block = { text = source, options = compile.NO_OPTIONS, line = 1, text_line = 1, file = object .. ".bpf.c",
      directory = places.source_path and places.source_path:match "^(.*/)" }
  elseif not places.path and not places.bytes then
    item.failure = refusal("%s:%d: there is neither %s.bpf.o nor %s.bpf.c beside the script or on LUAPROBE_PATH, nor "
      .. "such an object inside luaprobe", name, found.line, object, object)
  end
  return item
end

local function item_of_object(found, name)
  if not found.name:find("/", 1, true) then return item_of_name(found, name) end
  return { name = found.name, line = found.line, is_path = true, object_path = found.name }
end

-- Ways to code, and to the library luaprobe, that the text does not show.
local HIDES = { require = true, load = true, loadstring = true, loadfile = true, dofile = true, getfenv = true,
  setfenv = true, module = true, _G = true, ["package.loaded"] = true,
  ["package.loaders"] = true, ["package.preload"] = true, ["package[?]"] = true }

local HARMLESS = { argparse = true, ["table.new"] = true, ["table.clear"] = true, ["string.buffer"] = true }
for name in ("string table math coroutine jit.util jit.opt luaprobe.help"):gmatch "%S+" do HARMLESS[name] = true end

-- A library that goes elsewhere as a whole is not followed. One whose functions are called by name is.
local function goes_elsewhere(library, libraries)
  if library.name ~= "debug" and library.name ~= "package" then return false end
  for _, other in ipairs(libraries) do
    if other.name:find("^" .. library.name .. "[.%[]") then return false end
  end
  return true
end

local function hides(name)
  local module = name:match "^require%((.*)%)$"
  if module then return not HARMLESS[module] end
  return HIDES[name] or name:find "^debug%.get" ~= nil and name ~= "debug.getinfo" or name == "debug[?]"
end

-- What the script's bytecode asks for that could compile or load what its text does not tell.
local function note_hidden(text, name, notes)
  local libraries = asks.of(text, name) or {}
  for _, library in ipairs(libraries) do
    if hides(library.name) or goes_elsewhere(library, libraries) then
      notes[#notes + 1] = ("line %s: what %s gives cannot be told from the text: what that compiles or loads is not "
        .. "seen, and not packed"):format(table.concat(library.lines, ", "), library.name)
    end
  end
end

--- What a script needs, as far as its text tells.
-- @tparam string name
-- @tparam string|nil path where it lies
-- @tparam string text
-- @treturn {table,…} `{name, line, source, flags, block, is_path, loads, failure}`: `block` is what can be compiled,
--   `is_path` an object that is loaded by its path and so is never packed, `loads` that lp.load loads it, `failure` why
--   there can be no object, not raised
-- @treturn {string,…} notes: what is loaded besides, of which the text tells no more
-- @treturn table what luaprobe.blocks' scan found
function M.of(name, path, text)
  find.set_script(path)
  local found, items, notes = blocks.scan(text), {}, {}
  local directory = path and (path:match "^(.*/)" or "./")
  for i, block in ipairs(found.blocks) do
    items[i] = item_of_block(block, name, base_name(name) .. (#found.blocks > 1 and "-" .. i or ""), directory)
  end
  local seen = {}
  for _, object in ipairs(found.objects) do
    local item = seen[object.name] or item_of_object(object, name)
    if not seen[object.name] then items[#items + 1] = item end
    seen[object.name] = item
    item.loads = item.loads or object.loads
    if object.name:find("/", 1, true) then
      notes[#notes + 1] = ("line %d: %s is loaded by its path: it is not packed"):format(object.line, object.name)
    end
  end
  for _, use in ipairs(found.unfollowed) do
    notes[#notes + 1] = ("line %d: %s cannot be told from the text: what that compiles or loads is not seen, and not "
      .. "packed"):format(use.line, use.what)
  end
  note_hidden(text, name, notes)
  return items, notes, found
end

-- An object without its debugging sections.
local function stripped(bytes)
  local buffer = ffi.new "char[4096]"
  local directory = err.check(C.lp_directory_make_temporary(buffer, 4096))
  local path = ffi.string(buffer)
  local result = C.lp_directory_write(directory, "object.o", bytes, #bytes, false)
  if result == 0 then result = C.lp_object_strip(path .. "/object.o", path .. "/stripped.o") end
  local text = result == 0 and files.read(path .. "/stripped.o")
  local failure = result < 0 and err.last()
  C.lp_directory_remove(buffer, directory)
  if failure then err.raise(failure) end
  return text
end

-- The object that a run here would find, as it lies there; nil when there is only C text.
local function ready_made(item)
  if item.object_path then return select(2, find.object(item.object_path)) end
  return item.bytes and ffi.string(item.bytes.data, item.bytes.size)
end

local function cannot_make(item, arch)
  local reason, hint = clang.missing()
  if not item.block then
    reason = "there is only an object of this machine's processor, and no C text"
    hint = ("put its %s.bpf.c beside the object, or give the C text to lp.compile in the script"):format(item.name)
  end
  err.raise { code = "ENOENT", stage = "pack", where = false,
    message = ("%s cannot be packed for %s: %s"):format(item.name, arch, reason), hint = hint }
end

--- The bytes of an item for an architecture: for this machine what a run would load, for another one made of the C
-- text that goes with it.
-- @treturn string
-- @treturn string|nil the clang that made it, where that is known
-- @treturn string|nil the SHA-256 of its C text, where that is known
-- @raise error of stage "compile", "read" or "pack"
function M.bytes(item, arch)
  if item.failure then err.raise(item.failure) end
  local object = arch == clang.here and ready_made(item)
  if object and item.is_path then return object end
  -- Of what is inside luaprobe the build made both. Whether an object is of the C text beside it is not known.
  if object then return stripped(object), nil, item.bytes and item.source or nil end
  local compiler = item.block and clang.find()
  if not compiler then cannot_make(item, arch) end
  return compile.block(compiler, item.block, arch), compiler.version:match "^%S+", item.source
end

return M
