-- What is closed, collected, read on or written to while somebody looks at events: nothing crashes, nothing comes
-- twice, and what was lost is not forgotten.
local helper = require "helper"

if not helper.is_root() then
  describe("lifetimes", function() pending "needs root" end)
  return
end

local lp = require "luaprobe"
local accounts = require "luaprobe.accounts"

for _, kind in ipairs { "ring", "perf" } do
  describe("in a loop over a " .. kind .. " buffer", function()
    local object
    before_each(function()
      accounts.forget()
      object = helper.open("sample", { const = { only_pid = helper.pid, burst = 1 } })
      object.maps.events.buffer = kind
      object:attach()
    end)
    after_each(function()
      object:close()
      accounts.forget()
    end)
    helper.check_leaks(before_each, after_each)

    local function send(count)
      for _ = 1, count do helper.getpgid(0) end
    end

    -- The numbers of events as a list, without a hole and without one that comes twice.
    local function assert_numbers(expected, numbers)
      assert.are.equal(expected, #numbers)
      for i, number in ipairs(numbers) do assert.are.equal(i - 1, number) end
    end

    for what, close in pairs {
      ["the object"] = function() object:close() end,
      ["the map's buffers"] = function() object.maps.events:close_stream() end,
    } do
      it("the body may close " .. what, function()
        send(100)
        local seen = 0
        for event in object.maps.events:each { timeout = 0.1 } do
          seen = seen + 1
          if seen == 10 then
            close()
            assert.is_truthy(event.pid == helper.pid or event.pid == 0) -- what it shows is nobody's any more
          end
        end
        assert.are.equal(10, seen)
      end)
    end

    it("only what somebody was given counts as delivered", function()
      local events = object.maps.events
      send(100)
      local seen, size = 0, nil
      local function take_five(_, bytes)
        seen, size = seen + 1, bytes
        if seen % 5 == 0 then lp.stop() end
      end
      local function check(count)
        assert.are.equal(count, seen)
        local stats = lp.stats()
        assert.are.same({ count, count * size }, { stats.events, stats.bytes })
      end
      local subscription = lp.on(events, take_five)
      lp.run()
      check(5)
      subscription.stop()
      assert.are.equal(5, events:poll(1, take_five))
      check(10)
      assert.is_false(pcall(events.poll, events, 1, function()
        seen = seen + 1
        if seen == 12 then error "twelve" end
      end))
      check(12)
      for _ in events:each { timeout = 0, order = "time" } do
        seen = seen + 1
        if seen == 20 then break end
      end
      check(20)
      for _ in events:each { timeout = 0 } do seen = seen + 1 end
      check(100)
    end)

    it("a function given to poll may close the object", function()
      send(100)
      local seen = 0
      assert.are.equal(10, object.maps.events:poll(1, function()
        seen = seen + 1
        if seen == 10 then object:close() end
      end))
      assert.are.equal(10, seen)
      assert.are.equal(10, lp.stats().events)
    end)

    it("buffers that were closed in the middle go on behind what was delivered", function()
      if kind == "perf" then return end -- new buffers, which have nothing in them
      send(20)
      local numbers = {}
      for _ = 1, 2 do
        for event in object.maps.events:each { timeout = 0.05 } do
          numbers[#numbers + 1] = tonumber(event.number)
          if #numbers == 5 then break end
        end
        object.maps.events:close_stream()
      end
      assert_numbers(20, numbers)
    end)

    it("another loop takes what it takes, and both go on as they were asked to", function()
      send(100)
      local numbers, inner = {}, 0
      for event in object.maps.events:each { timeout = 0.1 } do
        numbers[#numbers + 1] = tonumber(event.number)
        if #numbers == 10 then
          for other in object.maps.events:each { type = require("ffi").typeof "struct { uint64_t t, n; }" } do
            numbers[#numbers + 1] = tonumber(other.n)
            inner = inner + 1
            if inner == 20 then break end
          end
        end
      end
      assert_numbers(100, numbers)
      assert.are.equal(100, lp.stats().events)
    end)

    it("two iterators in turn share the events", function()
      send(100)
      local numbers = {}
      local one, one_state = object.maps.events:each { timeout = 0.05 }
      local two, two_state = object.maps.events:each { timeout = 0.05 }
      local first, second
      repeat
        first = one(one_state, first)
        if first ~= nil then numbers[#numbers + 1] = tonumber(first.number) end
        second = two(two_state, second)
        if second ~= nil then numbers[#numbers + 1] = tonumber(second.number) end
      until first == nil and second == nil
      assert_numbers(100, numbers)
    end)

    it("poll takes what is there, and the loop ends by its own timeout", function()
      send(100)
      local numbers = {}
      local function add(event) numbers[#numbers + 1] = tonumber(event.number) end
      for event in object.maps.events:each { timeout = 0.1 } do
        add(event)
        object.maps.events:poll(0, add)
      end
      assert_numbers(100, numbers)
    end)

    it("a handler that stops itself is not called again, and the rest is left", function()
      send(100)
      local called, rest = 0, 0
      local handler
      handler = lp.on(object.maps.events, function()
        called = called + 1
        if called == 10 then handler.stop() end
      end)
      lp.run { timeout = 0.1 }
      for _ in object.maps.events:each { timeout = 0.05 } do rest = rest + 1 end
      assert.are.same({ 10, 90 }, { called, rest })
    end)

    it("nothing can be written to an event, and its copy is one's own", function()
      send(1)
      for event in object.maps.events:each { timeout = 0.1 } do
        local ok, failure = pcall(function() event.pid = 5 end)
        assert.is_false(ok)
        assert.is_truthy(tostring(failure):find "constant")
        local copy = lp.copy(event)
        copy.pid = 5
        assert.are.same({ 5, helper.pid }, { copy.pid, event.pid })
      end
    end)

    it("the object lives as long as the loop, and an event that was kept can still be looked at", function()
      local function events()
        local own = helper.open("sample", { const = { only_pid = helper.pid, burst = 1 } })
        own.maps.events.buffer = kind
        own:attach()
        return own.maps.events:each { timeout = 0.1 }
      end
      local seen, kept = 0, nil
      local iterator, state, first = events()
      send(100)
      for event in iterator, state, first do
        seen, kept = seen + 1, event
        if seen % 10 == 0 then collectgarbage() end
      end
      assert.are.equal(100, seen)
      iterator, state = nil, nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.is_truthy(tonumber(kept.pid))
    end)

    it("what an object lost is told when it is collected", function()
      local function lose()
        local own = helper.open("sample", { const = { only_pid = helper.pid, burst = 64 } })
        own.maps.events.buffer, own.maps.events.pages = kind, 1
        own:attach()
        send(100)
      end
      lose()
      collectgarbage()
      collectgarbage()
      local all = lp.stats()
      assert.is_true(all.lost > 5000 and all.lost < 6400, all.lost)
      assert.is_truthy(table.concat(accounts.footer()):find("lost " .. all.lost, 1, true))
    end)
  end)
end

describe("other people's buffers", function()
  local object
  before_each(function() accounts.forget() end)
  after_each(function()
    object:close()
    accounts.forget()
  end)

  it("keep what came between attach and the loop", function()
    for _, name in ipairs { "perf", "untyped" } do
      object = helper.open("foreign", { const = { only_pid = helper.pid } })
      object:attach()
      for _ = 1, 50 do helper.getpgid(0) end
      local seen = 0
      for _ in object.maps[name]:each { type = "struct event", timeout = 0.1 } do seen = seen + 1 end
      assert.are.equal(50, seen, name)
      object:close()
    end
  end)
end)

describe("a script that ends by os.exit", function()
  local function run(code, options)
    return helper.luaprobe_run(("%s -e %s"):format(options or "", helper.quote(([[
      local lp, ffi = require "luaprobe", require "ffi"
      lp.cli("tool", "Loses."):parse { "--strict" }
      ffi.cdef "int getpid(void); int getpgid(int pid);"
      local object = lp.open("%s/tests/fixtures/sample.bpf.o", { const = { only_pid = ffi.C.getpid(), burst = 64 } })
      object.maps.events.pages = 1
      object:attach()
      for _ = 1, 100 do ffi.C.getpgid(0) end
      os.exit(%s)]]):format(helper.build, code))))
  end

  it("tells what was lost, and --strict makes success a failure", function()
    for code, expected in pairs { [""] = 3, ["0"] = 3, ["true"] = 3, ["5"] = 5, ["false"] = 1, ["nil, true"] = 3 } do
      local _, err, status = run(code)
      assert.are.equal(expected, status, code)
      assert.is_truthy(err:find "events: lost %d+ of %d+ events", err)
    end
  end)
end)
