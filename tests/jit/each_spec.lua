-- The loops and formatters that run once per event must be compiled: interpreted ones cost twenty times as much.
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() then
  describe("the JIT", function() pending "needs root" end)
  return
end

local lp = require "luaprobe"
local events = require "luaprobe.events"

-- The bytecode of a loop is patched when its trace is compiled (J…) or was given up (I…). The numbers are those of
-- this LuaJIT's own list.
local bytecode_names = require("jit.vmdef").bcnames
local function name_of(instruction)
  local number = instruction % 256
  return bytecode_names:sub(number * 6 + 1, number * 6 + 6):gsub(" ", "")
end

-- The loop instructions of a function: { JITERL = 1, … }
local function loops(fn)
  local found = {}
  for pc = 1, 1e6 do
    local instruction = require("jit.util").funcbc(fn, pc)
    if not instruction then return found end
    local name = name_of(instruction)
    if name:find "^[IJ]?ITERL$" or name:find "^[IJ]?FORL$" or name:find "^[IJ]?LOOP$" then
      found[name] = (found[name] or 0) + 1
    end
  end
end

-- Counts what the compiler did while `fn` ran.
local function watch(fn)
  local counts = { stop = 0, abort = 0, flush = 0 }
  local function on_trace(what) counts[what] = (counts[what] or 0) + 1 end
  jit.attach(on_trace, "trace")
  local ok, reason = pcall(fn)
  jit.attach(on_trace)
  assert(ok, reason)
  return counts
end

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
    events.set_duration(0.1)
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
    events.set_duration(0.1)
    body()
    body()
    assert.are.same({ JITERL = 1 }, loops(body))
    fill(3200)
    events.set_duration(0.1)
    local counts = watch(body)
    assert.are.equal(9600, seen)
    assert.are.equal(0, counts.flush)
    assert.are.same({ JITERL = 1 }, loops(body))
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
