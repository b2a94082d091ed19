--- SHA-256 of a Lua string.
-- @module luaprobe.hash
local ffi = require "ffi"
local C = require "luaprobe.cdef"

local M = {}

--- @treturn string 64 hexadecimal digits
function M.sha256(text)
  local out = ffi.new "char[65]"
  C.lp_sha256(text, #text, out)
  return ffi.string(out)
end

return M
