--- The objects that `luaprobe pack` put into a script's own text.
-- @module luaprobe.packed
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local files = require "luaprobe.files"

local M = {}

local LIMIT = 16 * 1024 * 1024 -- bytes of a script
local FIELDS = { "name", "arch", "source", "flags", "sha256", "clang", "sections", "features" }
local HERE = ({ x64 = "x86_64", arm64 = "arm64" })[jit.arch]

local Pack = {}
Pack.__index = Pack

local function manifests(handle)
  local list, raw = {}, ffi.new "struct lp_packed"
  while C.lp_pack_object(handle, #list, raw) do
    local entry = { index = #list, size = raw.size, text_size = raw.text_size }
    for _, field in ipairs(FIELDS) do entry[field] = ffi.string(raw[field]) end
    list[#list + 1] = entry
  end
  return list
end

--- Whether a text looks as if something was packed in it: begun, ended or cut off.
function M.is_in(text)
  return text:find("luaprobe-pack", 1, true) ~= nil or text:sub(-24):find "\n%-%-%[=[^\n]*$" ~= nil
end

--- Reads what is packed in a script's text.
-- @tparam string name the script, for messages
-- @tparam string text
-- @treturn table|nil `entries`: the manifests, see struct lp_packed; `script`: the text before it was packed
-- @raise error of stage "read" when it is damaged, cut off or of a newer format
function M.open(name, text)
  if not M.is_in(text) then return nil end
  local at = C.lp_pack_find(name, text, #text)
  if at < 0 then err.raise(err.last()) end
  if at == #text then return nil end
  local handle = ffi.gc(err.check(C.lp_pack_open(name, text, #text)), C.lp_pack_close)
  return setmetatable({ name = name, handle = handle, entries = manifests(handle),
    script = text:sub(1, tonumber(C.lp_pack_script_size(handle))) }, Pack)
end

--- The bytes of an entry.
-- @raise error of stage "read" when they are not what the manifest says
function Pack:bytes(entry)
  local bytes = ffi.new "struct lp_bytes"
  err.check(C.lp_pack_extract(self.handle, entry.index, bytes))
  local text = ffi.string(bytes.data, bytes.size)
  C.lp_bytes_free(bytes)
  return text
end

local function other_architectures(self, matches)
  local names = {}
  for _, entry in ipairs(self.entries) do
    if matches(entry) then names[#names + 1] = entry.arch end
  end
  return table.concat(names, ", ")
end

-- The entry for this machine, as lp.open takes it; nil when there is none for any.
local function for_here(self, matches, what)
  for _, entry in ipairs(self.entries) do
    if entry.arch == HERE and matches(entry) then return { name = entry.name, bytes = self:bytes(entry) } end
  end
  local others = other_architectures(self, matches)
  if others == "" then return nil end
  return nil, { code = "ENOENT", stage = "read",
    message = ("%s: %s is packed for %s, but not for this machine, which is %s"):format(self.name, what, others, HERE),
    hint = ("pack it for both where clang is: luaprobe pack --arch %s,%s SCRIPT"):format((others:gsub(", ", ",")),
      HERE) }
end

--- The object of a name that lp.open or lp.load was given.
-- @treturn table|nil `name`, `bytes`
-- @raise error of stage "read" when it is packed for other architectures only
function Pack:object(name)
  name = name:gsub("%.bpf%.o$", "")
  local found, failure = for_here(self, function(entry) return entry.name == name end, name)
  if failure then err.raise(failure) end
  return found
end

--- The object of a C text.
-- @tparam string source its SHA-256
-- @tparam string flags as luaprobe.compile writes them
-- @treturn table|nil `name`, `bytes`; nil when it is not packed for this machine, which missing_message explains
function Pack:block(source, flags)
  local found, failure = for_here(self, function(entry)
    return entry.source == source and entry.flags == flags
  end, "which")
  self.other_machine = failure
  return found
end

--- Why block found nothing, as part of a sentence.
-- @tparam boolean seen whether the C text is one that pack sees in the script
function Pack:missing_message(seen)
  if self.other_machine then return self.other_machine.message:match ": (.*)$" end
  if seen then return "which was edited after the script was packed (no packed object has its SHA-256)" end
  return "which is not in the pack: pack sees literal texts that are given to lp.compile by name, and this is none, or "
    .. "it was made while the script ran"
end

-- The running script: `name`, `path`, `text`, `pack`, `directory`.
local main = {}
local others = {} -- the same of modules, by path

-- A script that loads two objects shall not have loaded one when the other turns out to be damaged.
local function check_all(pack)
  for _, entry in ipairs(pack.entries) do
    if entry.arch == HERE then pack:bytes(entry) end
  end
end

--- Tells which script runs, and checks what is packed in it for this machine.
-- @tparam string name for messages
-- @tparam string|nil path
-- @tparam string text
-- @raise error of stage "read"
function M.set_main(name, path, text)
  main = { name = name, text = text, pack = M.open(name, text), directory = path and (path:match "^(.*/)" or "./") }
  if main.pack then check_all(main.pack) end
end

--- The running script's packed objects, or nil.
function M.main()
  return main.pack
end

--- What is known of a chunk by its source (debug.getinfo): the running script, or a module with objects of its own.
-- @treturn table `text`, `pack`, `directory`, each nil when there is none
function M.of_source(source)
  local name = source:match "^@(.*)$"
  if not name or name == main.name then return main end
  if not name:find("/", 1, true) then return {} end -- code from the command line
  if not others[name] then
    local text = files.read_regular(name, LIMIT)
    others[name] = text and { text = text, pack = M.open(name, text), directory = name:match "^(.*/)" or "./" } or {}
  end
  return others[name]
end

return M
