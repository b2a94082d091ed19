--- User ring buffers: samples for programs to read (Linux 6.1).
-- @module luaprobe.sender
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local entries = require "luaprobe.entries"
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"
local types = require "luaprobe.types"
local value = require "luaprobe.value"

local E2BIG, ENOSPC = -7, -28

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

local HEADER = 8 -- bytes that the kernel has before each sample, and that it aligns them to

local function refuse(self, code, size)
  if code == E2BIG then
    err.raise { code = "E2BIG", stage = "map",
      message = ("map %s: a sample of %d bytes is larger than its buffer, which holds up to %d"):format(self.name, size,
        self.max_entries - HEADER),
      hint = ("set obj.maps.%s.max_entries before load: it is the buffer's bytes"):format(self.name) }
  end
  entries.failed(self)
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
  if code ~= 0 and code ~= ENOSPC then refuse(self, code, size) end
  return code == 0
end

return Sender
