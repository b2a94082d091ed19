--- About how many bytes the kernel takes for a full map.
--
-- The figures are those of the kernel's own accounting (`map_mem_usage`, kernel/bpf/*.c of Linux 6.18, which
-- /proc/PID/fdinfo shows as memlock); other versions differ by a few bytes an entry.
-- @module luaprobe.map_memory
local C = require "luaprobe.cdef"
local event_map = require "luaprobe.event_map"
local map_kinds = require "luaprobe.map_kinds"

local M = {}

local HEADER, HASH_HEADER = 312, 896 -- struct bpf_map with what its kind adds, struct bpf_htab
local POINTER, BUCKET, ELEMENT = 8, 16, 48 -- of a hash: struct bucket, struct htab_elem
local STACK, TRIE_NODE = 16, 40 -- struct stack_map_bucket, struct lpm_trie_node
local BLOOM_HASHES = 5 -- where the map does not say
local NO_PREALLOC, MMAPABLE = 1, 1024 -- BPF_F_*

local function round(size, unit)
  return math.ceil(size / unit) * unit
end

local function power_of_two(number)
  local power = 1
  while power < number do power = power * 2 end
  return power
end

local function page()
  return tonumber(C.lp_page_size())
end

local function pointers(_, entries)
  return HEADER + entries * POINTER
end

local function array(info, entries)
  local values = entries * round(info.value_size, 8)
  if bit.band(info.flags, MMAPABLE) == 0 then return HEADER + values end
  return page() + round(values, page())
end

local function per_cpu_array(info, entries)
  return HEADER + entries * (POINTER + round(info.value_size, 8) * C.lp_machine_cpus())
end

local function hash_of(value_size, spare)
  return function(info, entries)
    local element = ELEMENT + round(info.key_size, 8) + value_size(info)
    if spare and bit.band(info.flags, NO_PREALLOC) == 0 then entries = entries + C.lp_machine_cpus() end
    return HASH_HEADER + power_of_two(info.max_entries) * BUCKET + entries * element
  end
end

local function value(info) return round(info.value_size, 8) end
local function value_per_cpu(info) return POINTER + round(info.value_size, 8) * C.lp_machine_cpus() end
local function pointer() return POINTER end

local function queue(info, entries)
  return HEADER + (entries + 1) * info.value_size
end

-- Its data pages are mapped twice, behind the positions of both sides.
local function ring(info)
  return HEADER + POINTER * 2 + 3 * page() + info.max_entries + info.max_entries / page() * 2 * POINTER
end

local BY_KIND = {
  array = array, percpu_array = per_cpu_array, hash = hash_of(value, true), lru_hash = hash_of(value),
  percpu_hash = hash_of(value_per_cpu), lru_percpu_hash = hash_of(value_per_cpu), hash_of_maps = hash_of(pointer),
  sockhash = hash_of(pointer), devmap_hash = hash_of(pointer), queue = queue, stack = queue, ringbuf = ring,
  user_ringbuf = ring, prog_array = pointers, cgroup_array = pointers, array_of_maps = pointers, sockmap = pointers,
  devmap = pointers, cpumap = pointers, xskmap = pointers,
  perf_event_array = function(info) -- its buffers are the reader's
    return pointers(info, info.max_entries > 0 and info.max_entries or C.lp_machine_cpus())
  end,
  stack_trace = function(info, entries)
    return HEADER + power_of_two(entries) * POINTER + entries * (STACK + info.value_size)
  end,
  bloom_filter = function(_, entries)
    return HEADER + power_of_two(entries * BLOOM_HASHES * 7 / 5) / 8
  end,
  lpm_trie = function(info, entries)
    return HEADER + entries * (TRIE_NODE + round(info.key_size + info.value_size, 8))
  end,
}

-- An event stream that LP_EVENTS declared gets its size when it is loaded, by how many CPUs there are.
local function stream(map, info)
  if info.fd >= 0 or not event_map.is_declared(map) then return nil end
  local each, cpus = tonumber(C.lp_source_default_bytes()), C.lp_cpu_count()
  return power_of_two(each * cpus), each, cpus
end

--- About how many bytes a map takes when it is full, on this machine.
-- @param map a luaprobe.map of an open object, or one alone
-- @treturn number|nil nil where that depends on what the map is for
-- @treturn number|nil of an event stream that is not loaded yet, the bytes for each CPU
-- @treturn number|nil and the number of CPUs
function M.of(map)
  local info = map:info()
  local all, each, cpus = stream(map, info)
  if all then return all, each, cpus end
  local kind = map_kinds.of(tonumber(info.type)).name
  local of_kind = BY_KIND[kind]
  if not of_kind or info.max_entries == 0 and kind ~= "perf_event_array" then return nil end
  return of_kind(info, info.max_entries)
end

return M
