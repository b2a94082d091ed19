-- Reading and writing a hash map, beside the same loops in C, in turn on the same map. Prints nanoseconds per entry,
-- the ratio of the best of each, and the size of the Lua heap.
--
--   build/luaprobe tests/bench/map_bench.lua
--
-- Exits 77 where the rights for it are missing, 1 when a bar is missed.
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local lp = require "luaprobe"

local ENTRIES = 1000000
local SMALL = 200000 -- for what takes a system call per entry
local RUNS = 5
local build = os.getenv "LUAPROBE_BUILD" or "build"

local ok, object = pcall(lp.load, (build:sub(1, 1) == "/" and "" or "./") .. build .. "/tests/fixtures/table.bpf.o")
if not ok then
  print("skipped: " .. tostring(object))
  os.exit(77)
end
local map = object.maps.entries
local id = require("luaprobe.access").describe(map:descriptor()).id

local function peer(what, count)
  local pipe = io.popen(("%s/tests/map_peer %d %s %d"):format(build, id, what, count))
  local nanoseconds, sum = pipe:read "*l":match "([%d.]+) (%d+)"
  pipe:close()
  return tonumber(nanoseconds), tonumber(sum)
end

local function now()
  return tonumber(C.lp_time_monotonic())
end

local ours = {}

function ours.items()
  local sum = 0
  for key, value in map:items() do sum = sum + tonumber(value.count) + key end
  return sum
end

function ours.get()
  local sum = 0
  for key = 0, SMALL - 1 do sum = sum + tonumber(map:get(key).count) end
  return sum
end

function ours.set()
  local value = ffi.new(object.types:ctype(object.types["struct value"].id))
  for key = 0, SMALL - 1 do
    value.count = key
    map:set(key, value)
  end
end

local function measure(what, count)
  local start = now()
  local sum = ours[what]()
  return (now() - start) / count, sum
end

-- Whatever else the machine does only adds to a time.
local function best(list)
  return math.min(unpack(list))
end

local missed = false

local function report(name, mine, theirs, bar, is_least)
  local ratio = mine / theirs
  print(("%-28s luaprobe %7.1f ns   C %7.1f ns   ratio %.2f (bar %s%.1f)"):format(name, mine, theirs, ratio,
    is_least and ">=" or "", bar))
  missed = missed or (is_least and ratio < bar or not is_least and ratio > bar)
end

local function compare(name, what, count, bar)
  local mine, theirs = {}, {}
  for i = 1, RUNS do
    local sum, their_sum
    mine[i], sum = measure(what, count)
    theirs[i], their_sum = peer(what, count)
    assert(sum == nil or sum == their_sum, ("%s: %s and %s are not the same sum"):format(name, sum, their_sum))
  end
  report(name, best(mine), best(theirs), bar)
  return best(mine)
end

peer("fill", ENTRIES)
collectgarbage()
local before = collectgarbage "count"
local items = compare("1,000,000 items()", "items", ENTRIES, 1.3)
local heap = (collectgarbage "count" - before) / 1024
local by_key = {}
for i = 1, 3 do by_key[i] = peer("keys", ENTRIES) end
report("key by key in C, to items()", best(by_key), items, 5, true)
print(("Lua heap grew by %.1f MB (bar 64)"):format(heap))
missed = missed or heap > 64
compare("get of a small entry", "get", SMALL, 1.2)
compare("set of a small entry", "set", SMALL, 1.2)

local READS = 2e7
local function read_counter()
  local data, sum = object.data, 0
  for _ = 1, READS do sum = sum + data.counter end
  return sum
end
local times
for _ = 1, 2 do
  times = {}
  for i = 1, RUNS do
    local start = os.clock() -- of this process alone
    read_counter()
    times[i] = (os.clock() - start) * 1e9 / READS
  end
  if best(times) <= 5 then break end
  jit.flush() -- after so many other loops LuaJIT has, by chance, begun its trace where it is long
end
print(("read of obj.data.counter      luaprobe %7.1f ns (bar 5.0)"):format(best(times)))
missed = missed or best(times) > 5
object:close()
os.exit(missed and 1 or 0)
