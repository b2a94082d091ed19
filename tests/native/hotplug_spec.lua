-- CPUs that come and go while events are read. Only in a guest: it is the machine's CPU 1 that goes.
local ffi = require "ffi"
local helper = require "helper"

local ONLINE = "/sys/devices/system/cpu/cpu1/online"

if not helper.is_root() or not helper.is_guest() or not helper.exists(ONLINE) then
  describe("CPUs that come and go", function() pending "needs a guest with a CPU that can go offline" end)
  return
end

pcall(ffi.cdef, "int sched_setaffinity(int pid, size_t size, const unsigned long *mask);")

local function on_cpu(cpu)
  assert(ffi.C.sched_setaffinity(0, 8, ffi.new("unsigned long[1]", 2 ^ cpu)) == 0, "cannot move to CPU " .. cpu)
end

local function calls(cpu, count)
  on_cpu(cpu)
  for _ = 1, count do helper.getpgid(0) end
  on_cpu(0)
end

local function set_online(yes)
  helper.write(ONLINE, yes and "1\n" or "0\n")
end

describe("CPUs that come and go", function()
  local object, map, seen
  local function start(kind)
    object = helper.open("sample", { const = { only_pid = helper.pid } })
    map = object.maps.events
    map.buffer = kind
    object:attach()
    seen = {}
  end
  local function poll(seconds)
    map:poll(seconds, function(event) seen[event.cpu] = (seen[event.cpu] or 0) + 1 end)
  end
  after_each(function()
    set_online(true)
    on_cpu(0)
    object:close()
  end)
  helper.check_leaks(before_each, after_each) -- after the hook that closes the object

  for _, kind in ipairs { "perf", "ring" } do
    it("lose no events of a " .. kind .. " buffer once the loop has heard of it", function()
      start(kind)
      calls(1, 5)
      set_online(false) -- what it had sent is still there
      poll(1)
      poll(0.5)
      assert.are.same({ [1] = 5 }, seen)
      calls(0, 3)
      set_online(true)
      poll(1)
      poll(0.5)
      calls(1, 7)
      poll(1)
      assert.are.same({ [0] = 3, [1] = 12 }, seen)
      assert.are.equal(0, map.lost)
    end)

    it("have what a " .. kind .. " buffer could not take meanwhile counted as lost", function()
      start(kind)
      set_online(false)
      set_online(true)
      calls(1, 4) -- nobody has opened a new buffer yet
      poll(1)
      poll(0.5)
      calls(1, 2)
      poll(1)
      assert.are.equal(6, (seen[1] or 0) + map.lost)
      assert.is_true(seen[1] >= 2)
    end)
  end

  it("may be offline when the buffers are opened", function()
    set_online(false)
    start "perf"
    calls(0, 2)
    poll(1)
    set_online(true)
    poll(0.5)
    calls(1, 2)
    poll(1)
    assert.are.same({ [0] = 2, [1] = 2 }, seen)
  end)
end)
