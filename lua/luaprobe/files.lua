--- Files that the library reads for itself.
-- @module luaprobe.files
local ffi = require "ffi"
local C = require "luaprobe.cdef"

local M = {}

--- The whole of a file.
-- @treturn string nil when it cannot be read
function M.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

--- The whole of a regular file of a bounded size: what a stranger's script names can be a device, a FIFO or anything.
-- @tparam string path
-- @tparam number limit bytes
-- @treturn string|nil nil when it cannot be read, with the error that tells why in luaprobe.error's last
function M.read_regular(path, limit)
  local bytes = ffi.new "struct lp_bytes"
  if C.lp_bytes_read(path, limit, bytes) < 0 then return nil end
  local text = ffi.string(bytes.data, bytes.size)
  C.lp_bytes_free(bytes)
  return text
end

--- Whether a file can be opened.
function M.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

return M
