--- Files of tracefs and debugfs, wherever these are mounted.
-- @module luaprobe.tracefs
local ffi = require "ffi"
local C = require "luaprobe.cdef"

local M = {}

local function text_of(read, file, containing)
  local bytes = ffi.new "struct lp_bytes"
  local code = read(file, containing or "", bytes)
  if code ~= 0 then return nil, code end
  local text = ffi.string(bytes.data, bytes.size)
  C.lp_bytes_free(bytes)
  return text
end

--- A file of tracefs; nil and a negative errno where it cannot be read. That of EPERM is explained by err.last.
-- @tparam string file
-- @tparam[opt] string containing only the lines that contain this
function M.read(file, containing)
  return text_of(C.lp_tracefs_read, file, containing)
end

--- A file of debugfs, or nil where it cannot be read.
-- @tparam string file
-- @tparam[opt] string containing only the lines that contain this
function M.debugfs(file, containing)
  return text_of(C.lp_debugfs_read, file, containing)
end

return M
