-- What inspect says that maps take, against the kernel's own figure.
local helper = require "helper"
local lp = require "luaprobe"
local map_memory = require "luaprobe.map_memory"

if not helper.is_root() or not helper.has_program "clang" then
  describe("the memory of maps", function() pending "needs root and clang" end)
  return
end

local MAPS = { -- type, key, value, entries
  { "ARRAY", 4, 8, 1 }, { "ARRAY", 4, 49, 1000 }, { "PERCPU_ARRAY", 4, 8, 100 }, { "HASH", 4, 8, 1000 },
  { "HASH", 64, 256, 500 }, { "HASH", 4, 8, 1025 }, { "HASH", 4, 8, 1 }, { "PERCPU_HASH", 4, 8, 1000 },
  { "LRU_HASH", 4, 8, 1000 }, { "LRU_PERCPU_HASH", 8, 8, 1000 }, { "QUEUE", 0, 8, 1000 }, { "STACK", 0, 64, 100 },
  { "BLOOM_FILTER", 0, 8, 1000 }, { "BLOOM_FILTER", 0, 8, 100000 }, { "RINGBUF", 0, 0, 4096 },
  { "RINGBUF", 0, 0, 1048576 }, { "PERF_EVENT_ARRAY", 4, 4, 2 }, { "STACK_TRACE", 4, 1016, 1000 },
  { "PROG_ARRAY", 4, 4, 10 }, { "CGROUP_ARRAY", 4, 4, 1 },
}

local function declaration(i, row)
  local type, key, value, entries = unpack(row)
  local sizes = key > 0 and ("__uint(key_size, %d);"):format(key) or ""
  if value > 0 then sizes = sizes .. (" __uint(value_size, %d);"):format(value) end
  return ('struct { __uint(type, BPF_MAP_TYPE_%s); %s __uint(max_entries, %d); } m%d SEC(".maps");'):format(type, sizes,
    entries, i)
end

-- Before Linux 6.4 the kernel counted in other ways.
local function in_kernel(descriptor)
  return tonumber(helper.read("/proc/self/fdinfo/" .. descriptor):match "memlock:%s*(%d+)")
end

describe("the memory of maps", function()
  helper.check_leaks(before_each, after_each)

  local function load()
    local lines = { '#include "luaprobe.bpf.h"', "struct event { int x; };", "LP_EVENTS(events, struct event);",
      "int variable; int initialized[5000] = { 1 };",
      'SEC("raw_tracepoint/sched_switch") int f(void *ctx) { variable++; return initialized[0]; }',
      'char LICENSE[] SEC("license") = "GPL";' }
    for i, row in ipairs(MAPS) do lines[#lines + 1] = declaration(i, row) end
    return lp.open(lp.compile(table.concat(lines, "\n")))
  end

  setup(function() load():close() end) -- the cache of compiled programs stays open

  it("is what the kernel takes, within a quarter", function()
    if helper.kernel_version() < 6004 then return pending "before Linux 6.4 the kernel counts in other ways" end
    local object = load()
    local before = {}
    for i, map in ipairs(object.maps) do before[i] = map_memory.of(map) end
    object:load()
    local checked = 0
    for i, map in ipairs(object.maps) do
      local descriptor = map:info().fd
      local real = descriptor >= 0 and in_kernel(descriptor)
      if real then
        assert.is_true(math.abs(before[i] - real) <= real / 4, ("%s %s: %d, really %d"):format(map.name, map.kind,
          before[i], real))
        checked = checked + 1
      end
    end
    object:close()
    assert.is_true(checked >= #MAPS + 3, checked)
  end)

  it("is shown alike by inspect and by describe", function()
    local object = load()
    local text = object.maps.m4:describe()
    object:close()
    helper.contains(text, "1000 entries, about 79.5 KiB")
  end)
end)
