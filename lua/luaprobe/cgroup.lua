--- The control group that a tool is restricted to (--cgroup).
--
-- The filter of bpf/include/filter.bpf.h asks the kernel whether the current task is in it, or in one below it. The
-- group is put into a map of the object for that, once it is loaded.
-- @module luaprobe.cgroup
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local group -- the open directory's descriptor, for as long as the process lives

--- Where control groups of version 2 are mounted, from the kernel's own list: "/sys/fs/cgroup", or below it.
function M.mounts()
  local list, file = {}, io.open "/proc/self/mounts"
  for line in file and file:lines() or function() end do
    local directory, kind = line:match "^%S+ (%S+) (%S+)"
    if kind == "cgroup2" then list[#list + 1] = directory end
  end
  if file then file:close() end
  return list
end

local function open(path)
  local result = C.lp_cgroup_open(path)
  if result >= 0 then return result end
  for _, mount in ipairs(M.mounts()) do
    local below = C.lp_cgroup_open(mount .. "/" .. path)
    if below >= 0 then return below end
  end
  return result
end

--- Opens a control group.
-- @tparam string path its directory, or its name below the mount point: "system.slice/nginx.service", also as
--   /proc/PID/cgroup has it, with a slash before it; "/" is the root of all
-- @treturn number|nil its descriptor, nil and the reason
function M.open(path)
  local result = open(path)
  if result >= 0 then return result end
  if result == -95 then -- ENOTSUP
    return nil, ("'%s' is no control group of version 2"):format(path)
  end
  return nil, ("there is no control group '%s': name its directory, or what follows %s/"):format(path,
    M.mounts()[1] or "the mount point of cgroup2")
end

--- Restricts every object that is loaded from now on to a group.
function M.set(descriptor)
  group = descriptor
end

--- Without a group the map of the filter is not made: the verifier removes what would use it, and the kernel may have
-- no control groups.
-- @param map the luaprobe.map of an object about to be loaded
function M.prepare(map)
  if not group then err.check(C.lp_object_without_map(map.object.handle, map.index)) end
end

--- Enters the group into the filter's map, once it is there.
-- @raise error of stage "load"
function M.enter(map)
  if not group then return end
  local first, value = ffi.new("uint32_t[1]", 0), ffi.new("int32_t[1]", group)
  err.check(C.lp_map_update(map:info().fd, first, value, 0))
end

return M
