--- The kinds of BPF maps, by their number in enum bpf_map_type of <linux/bpf.h>.
--
-- `name`: as people call it; `module`: what its maps can do, one of luaprobe.entries' kinds.
-- @module luaprobe.map_kinds
local NAMES = {
  "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace", "cgroup_array",
  "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap", "cpumap", "xskmap",
  "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack", "sk_storage",
  "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter", "user_ringbuf",
  "cgrp_storage", "arena",
}

-- Whose entries are not addressed by a key of plain bytes.
local MODULES = {
  perf_event_array = "events", ringbuf = "events", user_ringbuf = "sender", queue = "queue", stack = "queue",
  bloom_filter = "bloom", sk_storage = "storage", inode_storage = "storage", task_storage = "storage",
  cgrp_storage = "storage", struct_ops = "opaque", arena = "opaque",
}

-- What of `entries` a kind has no use for: the kernel refuses it, or it means nothing.
local ARRAYS = {
  array = true, percpu_array = true, array_of_maps = true, prog_array = true, cgroup_array = true,
}

local M = {}

for number, name in ipairs(NAMES) do
  M[number] = {
    name = name,
    module = MODULES[name] or "entries",
    is_array = ARRAYS[name] or false,
    is_zeroed = name == "array" or name == "percpu_array", -- others hold descriptors, which are removed
    holds_maps = name:find "_of_maps$" ~= nil,
    is_prefix = name == "lpm_trie",
  }
end

-- A pair of hashes in an array of one map: LP_COUNTS of bpf/include/maps.bpf.h.
M.counts = setmetatable({ name = "counts", module = "counts" }, { __index = M[12] })

local UNKNOWN = { module = "entries" }

--- The kind of a number.
function M.of(number)
  return M[number] or setmetatable({ name = "type " .. number }, { __index = UNKNOWN })
end

return M
