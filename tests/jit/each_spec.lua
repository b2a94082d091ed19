-- The loops and formatters that run once per event must be compiled: interpreted ones cost twenty times as much.
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() then
  describe("the JIT", function() pending "needs root" end)
  return
end

local lp = require "luaprobe"
local limits = require "luaprobe.limits"
local jit_loops = require "jit_loops"
local loops, watch = jit_loops.of, jit_loops.watch

local function burst_object()
  local object = helper.open("burst", { const = { only_pid = helper.pid, burst = 64 } })
  object.maps.events.pages = 256
  object:attach()
  return object
end

local function fill(count)
  for _ = 1, count / 64 do helper.getpgid(0) end
end

describe("the JIT compiles", function()
  local object
  before_each(function() object = burst_object() end)
  after_each(function() object:close() end)

  it("for event in map:each()", function()
    local sum, seen = 0, 0
    local function body()
      for event in object.maps.events:each() do
        sum = sum + event.length
        seen = seen + 1
      end
    end
    fill(6400)
    limits.set_duration(0.1)
    local counts = watch(body)
    assert.are.equal(6400, seen)
    assert.is_true(counts.stop >= 1)
    assert.are.same({ JITERL = 1 }, loops(body))
  end)

  it("a loop that reads text, counts by it, and runs again without a new trace", function()
    local by, seen = {}, 0
    local function body()
      for event, _, cpu in object.maps.events:each() do
        local key = lp.text(event.number)
        by[key] = (by[key] or 0) + cpu + 1
        seen = seen + 1
      end
    end
    fill(6400)
    limits.set_duration(0.1)
    body()
    body()
    assert.are.same({ JITERL = 1 }, loops(body))
    fill(3200)
    limits.set_duration(0.1)
    local counts = watch(body)
    assert.are.equal(9600, seen)
    assert.are.equal(0, counts.flush)
    assert.are.same({ JITERL = 1 }, loops(body))
  end)

  -- Runs a loop over events of one kind of buffer and checks that it is one compiled trace.
  local function check_loop(kind, make)
    object:close()
    object = helper.open("burst", { const = { only_pid = helper.pid, burst = 64 } })
    object.maps.events.buffer, object.maps.events.pages = kind, 256
    object:attach()
    fill(6400)
    local seen = { 0 }
    local body = make(object.maps.events, seen)
    local counts = watch(body)
    assert.are.equal(6400, seen[1])
    assert.are.equal(0, counts.flush)
    assert.are.same({ JITERL = 1 }, loops(body))
  end

  for _, kind in ipairs { "ring", "perf" } do
    it("the walk over a " .. kind .. " buffer", function()
      check_loop(kind, function(map, seen)
        return function()
          for event, size, cpu in map:each { timeout = 0.05 } do
            seen[1] = seen[1] + (size + cpu > event.length and 1 or 0)
          end
        end
      end)
    end)

    it("event.size and event.tail of a " .. kind .. " buffer", function()
      check_loop(kind, function(map, seen)
        local bytes = 0
        return function()
          for event in map:each { timeout = 0.05 } do
            bytes = bytes + event.size + #event.tail
            seen[1] = seen[1] + 1
          end
        end
      end)
    end)

    it("batches of a " .. kind .. " buffer, ordered by time", function()
      check_loop(kind, function(map, seen)
        return function()
          for event, _, _, late in map:each { timeout = 0.1, order = "time", time = "number", max_delay = 0.01 } do
            if not late then seen[1] = seen[1] + (event.length < 97 and 1 or 0) end
          end
        end
      end)
    end)
  end

  it("the loops of lp.on and map:poll", function()
    fill(6400)
    local sum, seen = 0, 0
    local function add(event, size)
      sum = sum + event.length + size
      seen = seen + 1
    end
    local map = object.maps.events
    local counts = watch(function() while (map:poll(0, add) or 0) > 0 do end end)
    assert.are.equal(6400, seen)
    assert.is_true(counts.stop >= 1)
    assert.are.same({ JLOOP = 1 }, loops(map.open_stream.poller))
    fill(6400)
    local subscription = lp.on(map, add)
    lp.run { timeout = 0.1 }
    subscription.stop()
    assert.are.equal(12800, seen)
    assert.are.same({ JLOOP = 1 }, loops(subscription.deliver))
  end)

  it("the rows of opensnoop", function()
    local sink = io.open("/dev/null", "w")
    local stdout = io.stdout
    io.stdout = sink -- luacheck: ignore
    local out = lp.columns { "PID:-7", "COMM:-16", "FD:>3", "ERR:>3", "PATH" }
    io.stdout = stdout -- luacheck: ignore
    local event = ffi.new "struct { uint32_t pid; char comm[16]; int32_t fd, err; uint64_t time; char path[32]; }"
    ffi.copy(event.comm, "cat")
    ffi.copy(event.path, "/etc/hostname")
    local function rows()
      for i = 1, 1000 do
        event.pid, event.fd, event.time = i, i % 7, i * 1000000ULL
        out:row(event.pid, event.comm, event.fd, event.err, event.path)
      end
    end
    local function times()
      local length = 0
      for i = 1, 1000 do
        event.time = 1000000000ULL + i * 1000ULL
        length = length + #lp.time_of_day(event.time)
      end
      return length
    end
    assert.is_true(watch(rows).stop >= 1)
    assert.are.same({ JFORL = 1 }, loops(rows))
    assert.is_true(watch(times).stop >= 1)
    assert.are.same({ JFORL = 1 }, loops(times))
    sink:close()
  end)
end)
