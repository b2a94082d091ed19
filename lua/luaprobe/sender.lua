--- User ring buffers: samples for programs to read (Linux 6.1).
-- @module luaprobe.sender
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"
local types = require "luaprobe.types"
local value = require "luaprobe.value"

local ENOSPC = -28

local Sender = {}

local function open(self)
  self.object:check_open()
  local handle = err.check(C.lp_sender_open(self:descriptor()))
  rawset(self, "sender", ffi.gc(handle, C.lp_sender_close))
  return self.sender
end

-- A string as it is, or what a type of the object makes of a value.
local function bytes_of(self, sample, name)
  if type(sample) == "string" then return sample, #sample end
  local type = types.is(name) and name or name and self.types:find(name)
  if not type then
    err.misuse('map %s: send takes a string, or a value and its type: send(v, "struct NAME")', self.name)
  end
  local memory = ffi.new("uint8_t[?]", type.size)
  local ok, reason = value.fill(type.types, memory, type.id, sample, "sample")
  if not ok then err.raise { code = "EINVAL", stage = "map", message = ("map %s: %s"):format(self.name, reason) } end
  return memory, type.size
end

--- Sends a sample.
-- @tparam string|table|cdata sample bytes, or a value of a type of the object
-- @tparam[opt] string name of that type: "struct command"
-- @treturn boolean false when the buffer has no room
-- @raise error of stage "map"
function Sender:send(sample, name)
  takes.map_method(self, "send")
  local data, size = bytes_of(self, sample, name)
  local code = C.lp_sender_send(self.sender or open(self), data, size)
  if code ~= 0 and code ~= ENOSPC then err.raise(err.last()) end
  return code == 0
end

return Sender
