--- Storage of tasks, cgroups, inodes and sockets, one value at a time.
--
-- User space names the owner by a descriptor, which is opened for each call: a process by its pid, a file by its path,
-- a cgroup of version 2 by its directory or by its name below the mount point, a socket by the number of a descriptor
-- of this process.
-- @module luaprobe.storage
local C = require "luaprobe.cdef"
local ffi = require "ffi"
local cgroup = require "luaprobe.cgroup"
local entries = require "luaprobe.entries"
local err = require "luaprobe.error"

local ENOENT = -2
local key = ffi.new "int[1]"

local function is_number_from(least)
  return function(owner)
    return type(owner) == "number" and owner % 1 == 0 and owner >= least and owner < 2 ^ 31
  end
end

local KEYS = {
  sk_storage = { is = is_number_from(0), name = "the number of a socket's descriptor" },
  task_storage = { is = is_number_from(1), name = "a process's pid" },
  other = { is = function(owner) return err.is_path(owner) end, name = "a path" },
}

local function open_cgroup(self, path)
  local fd, reason = cgroup.open(path)
  if fd then return fd end
  err.raise { code = "EINVAL", stage = "map", message = ("map %s: %s"):format(self.name, reason) }
end

local function open_owner(self, owner)
  local wanted = KEYS[self.kind] or KEYS.other
  if not wanted.is(owner) then err.misuse("map %s: the key is %s", self.name, wanted.name) end
  if self.kind == "sk_storage" then return owner, false end
  if self.kind == "cgrp_storage" then return open_cgroup(self, owner), true end
  local is_task = self.kind == "task_storage"
  local fd = is_task and C.lp_fd_of_process(owner) or C.lp_fd_of_path(owner)
  if fd < 0 then entries.failed(self) end
  return fd, true
end

local function with_owner(self, owner, call)
  local fd, is_ours = open_owner(self, owner)
  key[0] = fd
  local code = call()
  if is_ours then C.lp_fd_close(fd) end
  if code == 0 then return true end
  return code ~= ENOENT and entries.failed(self)
end

local Storage = {}

--- The value that the owner has, nil when it has none.
-- @tparam number|string owner a pid, or a path
function Storage:get(owner)
  local a = entries.access_of(self)
  local found = with_owner(self, owner, function() return C.lp_map_lookup(a.fd, key, a.value_memory) end)
  return found and a.value.copy(a.value_memory) or nil
end

--- Whether the owner has a value.
function Storage:has(owner)
  return self:get(owner) ~= nil
end

--- Gives the owner a value.
function Storage:set(owner, new)
  local a = entries.access_of(self)
  local memory = entries.value_of(self, a, new)
  with_owner(self, owner, function() return C.lp_map_update(a.fd, key, memory, 0) end)
end

--- Takes the owner's value away.
-- @treturn boolean whether there was one
function Storage:delete(owner)
  local a = entries.access_of(self)
  return with_owner(self, owner, function() return C.lp_map_delete(a.fd, key) end)
end

return Storage
