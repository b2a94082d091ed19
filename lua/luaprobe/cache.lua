--- The cache of compiled objects: `$XDG_CACHE_HOME/luaprobe`, or `~/.cache/luaprobe`; this user's alone.
-- @module luaprobe.cache
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local LIMIT = 16 * 1024 * 1024 -- bytes of a cached file

-- A place that cannot be had (a read-only file system, no home) only means that nothing is kept. One that was tampered
-- with is refused.
local HARMLESS = { EROFS = true, EACCES = true, ENOENT = true, ENOSPC = true, EDQUOT = true, ENOTDIR = true }

-- A home that does not exist is not made.
local function home()
  local directory = os.getenv "HOME"
  if not directory or directory:sub(1, 1) ~= "/" then
    local buffer = ffi.new "char[4096]"
    directory = C.lp_user_home(buffer, 4096) and ffi.string(buffer)
  end
  return directory and C.lp_machine_can_run(directory) and directory or nil
end

--- Where the cache is; nil for a user without a home.
function M.path()
  local root = os.getenv "XDG_CACHE_HOME"
  if root and root:sub(1, 1) == "/" then return root .. "/luaprobe" end -- the standard ignores relative ones
  local directory = home()
  return directory and directory .. "/.cache/luaprobe"
end

local opened -- its descriptor, false when there is no cache

local function open()
  if opened ~= nil then return opened end
  local path = M.path()
  local directory = path and C.lp_directory_open_private(path)
  if directory and directory < 0 then
    local failure = err.last()
    if not HARMLESS[failure.code] then err.raise(failure) end
    directory = nil
  end
  opened = directory or false
  return opened
end

--- Whether anything can be kept.
function M.is_there()
  return open() ~= false
end

--- A cached file.
-- @treturn string|nil its bytes
-- @raise error of stage "cache" when the directory is not this user's alone
function M.read(name)
  local directory = open()
  local bytes = ffi.new "struct lp_bytes"
  if not directory or C.lp_directory_read(directory, name, LIMIT, bytes) < 0 then return nil end
  local text = ffi.string(bytes.data, bytes.size)
  C.lp_bytes_free(bytes)
  return text
end

--- Keeps a file, whole or not at all. That it could not be kept is no failure.
function M.write(name, text)
  local directory = open()
  if directory then C.lp_directory_write(directory, name, text, #text, true) end
end

return M
