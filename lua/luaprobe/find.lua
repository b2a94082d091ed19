--- Finding files: objects by name, and the script that is running.
--
-- A name is looked for among what is packed in the script, beside it, in the directories of LUAPROBE_PATH, and inside
-- the binary; never in the current directory, since these scripts run as root wherever the user happens to stand. Where
-- there is no such object but its C text NAME.bpf.c, beside the script or on LUAPROBE_PATH, clang compiles that.
-- @module luaprobe.find
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local files = require "luaprobe.files"

local M = {
  OBJECT_LIMIT = 64 * 1024 * 1024, -- bytes; no BPF object comes near
  SCRIPT_LIMIT = 16 * 1024 * 1024,
}


-- The directory of the running script, with its slash; nil for code from the command line or standard input.
local script_directory

-- What is packed in the running script, or nil.
local pack

--- Tells which script runs.
-- @tparam string|nil path its path
-- @tparam[opt] string name what messages call it
-- @tparam[opt] string text
-- @raise error of stage "read" when objects are packed in it that are damaged
function M.set_script(path, name, text)
  script_directory = path and (path:match "^(.*/)" or "./")
  pack = nil
  -- Most scripts have nothing to do with packing: they do not pay for it.
  if not text or not (text:find("luaprobe-pack", 1, true) or text:find("compile", 1, true)
    or text:find("--[=", -24, true)) then
    return
  end
  local packed = require "luaprobe.packed"
  packed.set_main(name, path, text)
  pack = packed.main()
end

local function read(path, limit)
  local bytes = ffi.new "struct lp_bytes"
  err.check(C.lp_bytes_read(path, limit, bytes))
  local text = ffi.string(bytes.data, bytes.size)
  C.lp_bytes_free(bytes)
  return text
end

local function embedded(name)
  local bytes = ffi.new "struct lp_bytes"
  return C.lp_bytes_embedded(name, bytes) and bytes or nil
end

-- The directories to search, relative ones left out: they would depend on where the user stands.
local function directories()
  local list = { script_directory }
  for directory in (os.getenv "LUAPROBE_PATH" or ""):gmatch "[^:]+" do
    if directory:sub(1, 1) == "/" then list[#list + 1] = directory .. "/" end
  end
  return list
end

local function object_on_disk(file)
  for _, directory in ipairs(directories()) do
    if files.exists(directory .. file) then return directory .. file end
  end
end

--- Finds a BPF object.
-- @tparam string what a path (it has a slash or ends in .o), or a name: "opensnoop" is the file opensnoop.bpf.o
-- @treturn string its name for messages
-- @return its bytes: a Lua string, or a `struct lp_bytes` when it is inside the binary
-- @raise error of stage "read"
function M.object(what)
  if what == "" or what:find "%c" then err.misuse("an object's name or path is text, not %q", what) end
  if what:find("/", 1, true) then return what, read(what, M.OBJECT_LIMIT) end
  local found = pack and pack:object(what)
  if found then return found.name .. ".bpf.o", found.bytes end
  local file = what:find "%.o$" and what or what .. ".bpf.o"
  local path = object_on_disk(file)
  if path then return path, read(path, M.OBJECT_LIMIT) end
  local bytes = embedded(file)
  if bytes then return file, bytes end
  local source = object_on_disk((file:gsub("%.o$", ".c")))
  if source then return file, require("luaprobe.compile").file(source) end
  err.raise { code = "ENOENT", stage = "read", message = ("there is no BPF object '%s'"):format(what),
    hint = ("a name is looked for as %s in the script, beside it, on LUAPROBE_PATH and inside luaprobe; "
      .. "give a path with a slash for a file elsewhere: ./%s"):format(file, file) }
end

-- A script that a shell gives as a pipe that it holds open: luaprobe <(generate). Opening any other FIFO would wait for
-- somebody who writes to it.
local function is_shells_pipe(path)
  return path:find "^/dev/fd/%d+$" or path:find "^/proc/self/fd/%d+$"
end

local function read_pipe(path, limit)
  local file = assert(io.open(path, "rb"))
  local text = file:read(limit + 1) or ""
  file:close()
  if #text <= limit then return text end
  err.raise { code = "EFBIG", stage = "read",
    message = ("%s: has more than the %d bytes that a script may have"):format(path, limit) }
end

local function read_file_or_pipe(path, limit)
  local ok, text = pcall(read, path, limit)
  if ok then return text end
  if is_shells_pipe(path) and err.is(text) and text.message:find("is a FIFO", 1, true) then
    return read_pipe(path, limit)
  end
  error(text, 0)
end

--- Finds a script.
-- @tparam string what the name of a built-in one ("opensnoop"), or a path
-- @tparam[opt] number limit how many bytes it may have
-- @treturn string its text
-- @treturn string what messages call it
-- @treturn string|nil its path, nil for a built-in one
-- @raise error of stage "read"
function M.script(what, limit)
  local builtin = not what:find("/", 1, true) and embedded("scripts/" .. what .. ".lua")
  if builtin then return ffi.string(builtin.data, builtin.size), what .. ".lua" end
  local ok, text = pcall(read_file_or_pipe, what, limit or M.SCRIPT_LIMIT)
  if ok then return text, what, what end
  if err.is(text) and text.code == "ENOENT" then
    text.where, text.message = nil, ("there is no script '%s'"):format(what)
    text.hint = "it is neither a file nor one of the built-in scripts: " .. table.concat(M.builtin_scripts(), ", ")
  end
  error(text, 0)
end

--- A script's text: as script finds it, or "-" for standard input.
-- @treturn string its text
-- @treturn string what messages call it
-- @treturn string|nil its path
-- @raise error of stage "read"
function M.read_script(what, limit)
  if type(what) ~= "string" then err.misuse("a script is given by its name or path, not by a %s", type(what)) end
  if what ~= "-" then return M.script(what, limit) end
  local text, reason = io.stdin:read(M.SCRIPT_LIMIT + 1)
  if text and #text > M.SCRIPT_LIMIT then
    err.raise { code = "EFBIG", stage = "read",
      message = ("standard input has more than the %d bytes that a script may have"):format(M.SCRIPT_LIMIT) }
  end
  if not text and not reason then text = "" end -- empty
  if not text then
    err.raise { code = "EBADF", stage = "read",
      message = "standard input cannot be read: " .. (reason or "it is closed") }
  end
  return text, "stdin"
end

--- What lp.load of a name would find, in the same order as M.object but for what is packed, and the C text that goes
-- with it.
-- @tparam string name "opensnoop"
-- @treturn table `path` of an object on disk, or else `bytes` of one inside the binary; `source_path`: the C text
--   beside that object on disk, or where there is neither the one that is compiled; each nil when there is none
function M.places(name)
  local path = object_on_disk(name .. ".bpf.o")
  local bytes = not path and embedded(name .. ".bpf.o") or nil
  local source
  if path then
    source = path:gsub("%.o$", ".c")
    if not files.exists(source) then source = nil end
  elseif not bytes then
    source = object_on_disk(name .. ".bpf.c")
  end
  return { path = path, bytes = bytes, source_path = source }
end

--- The names of the built-in scripts, sorted.
function M.builtin_scripts()
  local names, i = {}, 0
  while true do
    local name = C.lp_bytes_embedded_name(i)
    if name == nil then break end
    names[#names + 1] = ffi.string(name):match "^scripts/(.*)%.lua$"
    i = i + 1
  end
  table.sort(names)
  return names
end

return M
