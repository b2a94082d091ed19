--- What is inside the binary besides the library: headers for BPF programs, and the sources of its own objects.
-- @module luaprobe.embedded
local ffi = require "ffi"
local C = require "luaprobe.cdef"

local M = {}

local function read(name)
  local bytes = ffi.new "struct lp_bytes"
  return C.lp_bytes_embedded(name, bytes) and ffi.string(bytes.data, bytes.size) or nil
end

local headers

--- The headers of bpf/include: texts by name.
function M.headers()
  if headers then return headers end
  headers = {}
  local i = 0
  while true do
    local name = C.lp_bytes_embedded_name(i)
    if name == nil then return headers end
    name = ffi.string(name)
    local header = name:match "^include/(.*)$"
    if header then headers[header] = read(name) end
    i = i + 1
  end
end

--- The C text of one of luaprobe's own objects.
-- @tparam string name "opensnoop"
-- @treturn string|nil
function M.source(name)
  return read("bpf/" .. name .. ".bpf.c")
end

return M
