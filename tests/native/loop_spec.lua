-- Several sources and timers in one loop, how it ends, and what is told at the end of a run.
local helper = require "helper"

if not helper.is_root() then
  describe("the loop", function() pending "needs root" end)
  return
end

local lp = require "luaprobe"
local accounts = require "luaprobe.accounts"
local limits = require "luaprobe.limits"

local SIGINT = 2

local function calls(count)
  for _ = 1, count do helper.getpgid(0) end
end

local function seconds_of(fn)
  local start = limits.now()
  fn()
  return (limits.now() - start) / 1e9
end

describe("the loop", function()
  local object
  before_each(function()
    object = helper.open("sample", { const = { only_pid = helper.pid, burst = 2 } })
    object:attach()
  end)
  after_each(function()
    object:close()
    accounts.forget()
    lp.run { timeout = 0 } -- forgets handlers of closed objects
  end)
  helper.check_leaks(before_each, after_each)

  it("delivers events, calls timers and ends at lp.stop", function()
    local other = helper.open("burst", { const = { only_pid = helper.pid, burst = 3 } })
    other:attach()
    local seen, others, ticks, after = 0, 0, 0, 0
    lp.on(object.maps.events, function(event, size, cpu, late)
      assert(event.pid == helper.pid and size >= 96 and cpu == -1 and late == false)
      seen = seen + 1
    end)
    lp.on(other.maps.events, function() others = others + 1 end, { max_delay = 0.01 })
    local every = lp.every(0.05, function()
      ticks = ticks + 1
      calls(1)
    end)
    lp.after(0.2, function() after = after + 1 end)
    lp.after(0.52, lp.stop)
    local took = seconds_of(lp.run)
    every.stop()
    other:close()
    assert.is_true(took >= 0.5 and took < 5, took)
    assert.is_true(ticks >= 5 and ticks <= 11, ticks)
    assert.are.equal(1, after)
    assert.is_true(seen >= 2 * (ticks - 1) and seen <= 2 * ticks)
    assert.is_true(others >= 3 * (ticks - 1))
  end)

  it("ends when nothing is left to wait for, and after its timeout", function()
    assert.is_true(seconds_of(lp.run) < 1)
    local fired = 0
    lp.after(0.05, function() fired = fired + 1 end)
    lp.run()
    assert.are.equal(1, fired)
    lp.on(object.maps.events, function() end)
    local took = seconds_of(function() lp.run { timeout = 0.2 } end)
    assert.is_true(took >= 0.19 and took < 3, took)
  end)

  it("stops before the next event at lp.stop, and goes on with it", function()
    local numbers = {}
    lp.on(object.maps.events, function(event)
      numbers[#numbers + 1] = tonumber(event.number)
      if event.number == 2 then lp.stop() end
    end)
    calls(3)
    lp.run { timeout = 5 }
    assert.are.same({ 0, 1, 2 }, numbers)
    lp.run { timeout = 0.1 }
    assert.are.same({ 0, 1, 2, 3, 4, 5 }, numbers)
  end)

  it("stops at an error in a handler, whose line it names", function()
    lp.on(object.maps.events, function(event)
      if event.number == 1 then error "on purpose" end
    end)
    calls(2)
    local ok, reason = pcall(lp.run, { timeout = 5 })
    assert.is_false(ok)
    assert.is_truthy(reason:find "loop_spec.lua:%d+: on purpose$", reason)
    assert.are.equal(1, lp.stats().errors)
  end)

  it("names the handler's line also when the error is raised elsewhere, or has none", function()
    local subscription = lp.on(object.maps.events, function() tonumber(nil, {}) end)
    calls(1)
    local ok, reason = pcall(lp.run, { timeout = 5 })
    assert.is_false(ok)
    assert.is_truthy(tostring(reason):find "loop_spec.lua:%d+: bad argument", reason)
    subscription.stop()
    lp.on(object.maps.events, function() error("bare", 0) end)
    ok, reason = pcall(lp.run, { timeout = 5 })
    assert.is_false(ok)
    assert.is_truthy(tostring(reason):find "loop_spec.lua:%d+: bare$", reason)
  end)

  it("passes on what a handler raises that is no text, as it is", function()
    local mine = setmetatable({}, { __tostring = function() return "mine" end })
    for _, raised in ipairs { { code = 5 }, mine, 7, true } do
      local subscription = lp.on(object.maps.events, function() error(raised, 0) end)
      calls(1)
      local ok, reason = pcall(lp.run, { timeout = 5 })
      assert.is_false(ok)
      assert.are.equal(raised, reason)
      subscription.stop()
    end
    local timer = lp.after(0, function() error { code = 6 } end)
    assert.are.equal(6, select(2, pcall(lp.run, { timeout = 5 })).code)
    timer.stop()
    lp.on(object.maps.events, function() error(mine) end, { on_error = "count" })
    calls(1)
    lp.run { timeout = 0.1 }
    local errors = lp.stats().sources[1]
    assert.is_truthy(errors.first_error:find "loop_spec.lua:%d+: mine$", errors.first_error)
  end)

  it("delivers what is in the buffers when its time is over, and goes on in order", function()
    for _, order in ipairs { "none", "time" } do
      local seen, last, late = 0, 0, 0
      local subscription = lp.on(object.maps.events, function(event, _, _, is_late)
        seen = seen + 1
        if is_late or event.time < last then late = late + 1 end
        last = event.time
      end, { order = order == "time" and order or nil, max_delay = 5 })
      for i = 1, 2 do
        calls(1500)
        lp.run { timeout = 0 }
        assert.are.equal(i * 3000, seen)
      end
      if order == "time" then
        calls(1)
        lp.after(0, lp.stop)
        lp.run()
        assert.are.equal(6000, seen) -- they wait for others again
        assert.are.equal(0, late)
        lp.run { timeout = 0 }
      end
      subscription.stop()
    end
  end)

  it("calls thousands of timers, and goes on for its timeout when there is nothing else", function()
    local called = 0
    for _ = 1, 10000 do lp.after(0.01, function() called = called + 1 end) end
    lp.run() -- ends with the last of them
    assert.are.equal(10000, called)
    local second
    lp.after(0.01, function() second.stop() end)
    second = lp.after(0.01, function() called = called + 1 end)
    helper.sleep(0.02)
    lp.run()
    assert.are.equal(10000, called)
    assert.is_true(seconds_of(function() lp.run { timeout = 0.2 } end) >= 0.2)
  end)

  it("counts errors and goes on with on_error = \"count\"", function()
    local seen, ticks = 0, 0
    local subscription = lp.on(object.maps.events, function(event)
      seen = seen + 1
      if event.number % 2 == 1 then error("odd " .. tostring(event.number)) end
    end, { on_error = "count" })
    assert.is_truthy(tostring(subscription):find "^events of map events: the handler at [^ ]*loop_spec.lua:%d+$")
    local timer = lp.every(0.02, function()
      ticks = ticks + 1
      error "timer"
    end, { on_error = "count" })
    assert.is_truthy(tostring(timer):find "^every 0.02 s: the handler at [^ ]*loop_spec.lua:%d+$")
    calls(50)
    lp.run { timeout = 0.2 }
    timer.stop()
    assert.are.equal(100, seen)
    local stats = lp.stats()
    assert.are.equal(50, stats.sources[1].errors)
    assert.are.equal(50 + ticks, stats.errors)
    assert.is_truthy(stats.sources[1].first_error:find "loop_spec.lua:%d+: odd 1")
    local footer = table.concat(accounts.footer(), "\n")
    assert.is_truthy(footer:find "events: 50 errors in its handler, the first: [^ ]*loop_spec.lua:%d+: odd 1")
    assert.is_truthy(footer:find "timers: %d+ errors, the first: [^ ]*loop_spec.lua:%d+: timer")
  end)

  it("refuses what means nothing", function()
    local map = object.maps.events
    for _, call in ipairs {
      { lp.on, map }, { lp.on, "events", print }, { lp.on, map, print, { on_error = "x" } },
      { lp.on, object.maps.lp_slots_of_events, print }, { lp.every, 0, print }, { lp.every, "1", print },
      { lp.every, 1 }, { lp.after, -1, print }, { lp.run, { on_error = 1 } },
    } do
      assert.is_false(pcall(unpack(call)))
    end
    local subscription = lp.on(object.maps.events, print)
    assert.is_false(pcall(lp.on, object.maps.events, print))
    subscription.stop()
    lp.on(object.maps.events, print).stop()
  end)

  -- A run of its own: signals, the footer and the exit status are the process's.
  local function script(options, body)
    return ([[%s - %s <<'EOF'
      local lp, ffi = require "luaprobe", require "ffi"
      ffi.cdef "int getpid(void); int getpgid(int pid);"
      local cli = lp.cli("test", "A test."):flag("--json", "JSON.")
      local args = cli:parse()
      local object = lp.open("%ssample.bpf.o", { const = { only_pid = ffi.C.getpid(), burst = 64 } })
      object.maps.events.pages = 1
      object:attach()
      %s
EOF]]):format(helper.luaprobe, options, helper.fixtures, body)
  end
  local LOSE = "for _ = 1, 100 do ffi.C.getpgid(0) end\nfor _ in object.maps.events:each { timeout = 0.05 } do end"
  local LOSE_NOT = "ffi.C.getpgid(0)\nfor _ in object.maps.events:each { timeout = 0.05 } do end"

  it("ends at Ctrl-C, and the last lines run", function()
    for _, body in ipairs {
      "lp.on(object.maps.events, print) lp.every(0.05, function() print 'ready' io.stdout:flush() end) lp.run()",
      "print 'ready' while object.maps.events:poll(0.1, print) do end",
    } do
      local path = os.tmpname()
      helper.write(path, script("", body .. "\nprint 'last line'"):match "<<'EOF'\n(.*)\nEOF")
      local job = helper.start(helper.luaprobe .. " " .. path)
      assert.is_true(helper.eventually(30, function() return job.out():find "ready" or #job.out() == 0 end))
      helper.sleep(1)
      job.signal(SIGINT)
      local out, err, status = job.wait()
      os.remove(path)
      assert.are.equal(0, status, err)
      assert.is_truthy(out:find "last line\n$", out .. err)
    end
  end)

  it("tells what was lost on standard error, and everything with --stats", function()
    local _, err, status = helper.run(script("", LOSE))
    assert.are.equal(0, status)
    assert.is_truthy(err:find "^luaprobe: events: lost %d+ of 6400 events: the buffers were full", err)
    assert.are.equal(1, select(2, err:gsub("\n", "")))
    _, err = helper.run(script("", LOSE_NOT))
    assert.is_truthy(err:find "^luaprobe: events: lost" or err == "", err)
    _, err = helper.run(script("--stats", LOSE))
    assert.is_truthy(err:find "luaprobe: events %(ring%): %d+ events, %d+ bytes, lost %d+ %(%d+ on CPU %d", err)
    assert.is_truthy(err:find "in all: %d+ events, %d+ bytes, lost %d+, late 0, handler errors 0, missed 0\n$", err)
    local events, lost = err:match "in all: (%d+) events, %d+ bytes, lost (%d+)"
    assert.are.equal(6400, events + lost)
  end)

  it("exits with 3 by --strict when something was lost or missed", function()
    assert.are.equal(3, select(3, helper.run(script("--strict", LOSE))))
    assert.are.equal(3, select(3, helper.run(script("--strict", "lp.missed(2, 'missed 2 things')"))))
    assert.are.equal(0, select(3, helper.run(script("--strict", "lp.missed(0, 'nothing')"))))
    assert.are.equal(0, select(3, helper.run(script("", "lp.missed(2, 'missed 2 things')"))))
    assert.are.equal(1, select(3, helper.run(script("--strict", LOSE .. "\nerror 'failed'"))))
    local _, err = helper.run(script("", "lp.missed(2, 'missed 2 things')"))
    assert.are.equal("luaprobe: missed 2 things\n", err)
  end)

  it("ends a --json run with a record of its own", function()
    local out = helper.run(script("--json", LOSE))
    local record = out:match "([^\n]*)\n$"
    assert.is_truthy(record:find '^{"luaprobe":{"events":%d+,"bytes":%d+,"lost":%d+,"late":0,"errors":0,"missed":0,',
      out)
    assert.is_truthy(record:find('"sources":[{"name":"events","kind":"ring",', 1, true), record)
    local lost = record:match '"lost":(%d+)'
    local sum = 0
    for number in record:match('"lost_by_cpu":{([^}]*)}'):gmatch '"%d+":(%d+)' do sum = sum + number end
    assert.are.equal(tonumber(lost), sum)
  end)
end)
