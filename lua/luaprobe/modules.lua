--- The kernel's modules: which are loaded, and whether that is still so.
--
-- What is remembered of the kernel's symbols and types holds as long as no module comes or goes: a session at the
-- prompt lasts for hours, and an address of a module that came later would be taken for the last function before it.
-- @module luaprobe.modules
local C = require "luaprobe.cdef"
local files = require "luaprobe.files"

local M = {}

--- Where the kernel tells them; tests have a file of their own.
M.path = "/proc/modules"

local INTERVAL = 50e6 -- nanoseconds until they are looked at again: symbols are asked for with every event of a trace

local seen, looked, generation = nil, -INTERVAL, 0

-- Names and places: how many use a module changes all the time. "loop 45056 0 - Live 0xffffffffc02d2000"
local function loaded()
  local list = {}
  for name, place in (files.read(M.path) or ""):gmatch "(%S+) [^\n]-(%S*)[^\n%S]*\n" do
    list[#list + 1] = name .. " " .. place
  end
  return table.concat(list, "\n")
end

--- A number that is another one when modules were loaded or unloaded.
-- @treturn number
function M.generation()
  local now = tonumber(C.lp_time_monotonic())
  if now - looked < INTERVAL then return generation end
  local list = loaded()
  looked = now
  if list ~= seen then
    seen, generation = list, generation + 1
  end
  return generation
end

--- Whether a module is loaded, or built into the kernel and known by its name all the same.
function M.is_loaded(name)
  return files.exists("/sys/module/" .. name)
end

return M
