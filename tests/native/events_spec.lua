-- Event buffers: everything sent is delivered whole and in order, or counted as lost.
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() then
  describe("events", function() pending "needs root" end)
  return
end

local lp = require "luaprobe"
local accounts = require "luaprobe.accounts"
local limits = require "luaprobe.limits"

-- Sends `count` numbered events from one CPU after the other.
local function burst(object, pages, kind)
  object.maps.events.pages, object.maps.events.buffer = pages, kind
  object:attach()
end

local function check(event, size)
  local number, length = tonumber(event.number), event.length
  assert(length == number % 97, "torn: length")
  assert(size >= 16 + length and size < 16 + length + 8, "size")
  for i = 0, length - 1 do
    if event.fill[i] ~= number % 256 then error("torn: event " .. number) end
  end
  return number
end

for _, kind in ipairs { "ring", "perf" } do
  describe("events of a " .. kind .. " buffer", function()
    local object
    before_each(function() object = helper.open("burst", { const = { only_pid = helper.pid, burst = 64 } }) end)
    after_each(function() object:close() end)
    helper.check_leaks(before_each, after_each) -- after the hook that closes the object

    it("of every size are delivered whole, once, in order per CPU", function()
      burst(object, 8, kind)
      limits.set_duration(30)
      -- 4,000 events in buffers that hold a few hundred: they wrap around many times.
      local expected, last, seen = 4032, {}, 0
      helper.getpgid(0)
      for event, size, cpu in object.maps.events:each() do
        local number = check(event, size)
        assert.is_true(number > (last[cpu] or -1))
        last[cpu], seen = number, seen + 1
        if seen % 64 == 0 then
          if seen == expected then break end
          helper.getpgid(0)
        end
      end
      assert.are.equal(expected, seen)
      assert.are.equal(expected, object.data.sent)
      assert.are.equal(0, object.maps.events.lost)
    end)

    it("that find no room are counted: delivered + lost = sent", function()
      burst(object, 1, kind)
      for _ = 1, 100 do helper.getpgid(0) end
      limits.set_duration(0.2)
      local delivered = 0
      for event, size in object.maps.events:each() do
        check(event, size)
        delivered = delivered + 1
      end
      assert.is_true(object.maps.events.lost > 5000)
      assert.are.equal(object.data.sent, delivered + object.maps.events.lost)
      local message = ("events: lost %d of %d events"):format(object.maps.events.lost, object.data.sent)
      assert.is_truthy(table.concat(accounts.footer()):find(message, 1, true))
      object:close()
      assert.is_truthy(table.concat(accounts.footer()):find(message, 1, true), "the count outlives the object")
    end)

    it("are counted with how full the buffer was when there was no room", function()
      accounts.forget()
      burst(object, 1, kind)
      helper.getpgid(0)
      for _ in object.maps.events:each { timeout = 0 } do
        for _ = 1, object.maps.events.lost == 0 and 100 or 0 do helper.getpgid(0) end
      end
      local source = lp.stats().sources[1]
      assert.is_true(source.lost > 0)
      local largest = 16 + 96 + 12 -- bytes, with a header
      assert.is_true(source.high_water > source.capacity - largest and source.high_water <= source.capacity)
    end)

    it("come without loss in every size of buffer that there is", function()
      for _, pages in ipairs { 1, 2, 512 } do
        object:close()
        object = helper.open("burst", { const = { only_pid = helper.pid, burst = 1 } })
        burst(object, pages, kind)
        for _ = 1, 10 do helper.getpgid(0) end
        limits.set_duration(0.1)
        local seen = 0
        for event, size in object.maps.events:each() do
          assert.are.equal(seen, check(event, size))
          seen = seen + 1
        end
        assert.are.equal(10, seen)
      end
    end)

    it("need a buffer that can be", function()
      local map = object.maps.events
      map.buffer = kind
      for _, pages in ipairs { 3, 32768 } do
        map.pages = pages
        local ok, reason = pcall(object.attach, object)
        assert.is_false(ok)
        assert.are.equal("events", reason.stage)
        assert.is_truthy(reason.hint:find "power of two")
        helper.contains(reason.message, object.name, "events", " cannot have " .. pages * 4096 .. " bytes")
        object:close()
        object = helper.open "burst"
        map = object.maps.events
        map.buffer = kind
      end
      for _, pages in ipairs { 0, 1.5, "many" } do
        helper.contains(helper.refusal(function() map.pages = pages end), "pages is a whole number above 0")
      end
      map.pages = 2
      object:load()
      map:each { pages = 2 }
      map:each { bytes = 100 }
      local ok, reason = pcall(map.each, map, { pages = 4 })
      assert.is_false(ok)
      assert.is_truthy(reason:find "set obj.maps.events.bytes = 16384 before it")
    end)

    it("can be given a type by name, and must fit it", function()
      object.maps.events.buffer = kind
      object:attach()
      helper.getpgid(0)
      assert.is_false(pcall(object.maps.events.each, object.maps.events, { type = "struct nothing" }))
      assert.is_false(pcall(object.maps.scratch.each, object.maps.scratch))
      limits.set_duration(0.1)
      local next_event, stream = object.maps.events:each { type = "struct event" }
      assert.are.equal(16, ffi.sizeof(next_event(stream)[0]))
      local ok, reason = pcall(function()
        for _ in object.maps.events:each { type = "struct scratch" } do error "delivered" end
      end)
      assert.is_false(ok)
      assert.is_truthy(tostring(reason):find "shorter than its type, struct scratch")
    end)

    it("before load or after close are a misuse", function()
      assert.is_false(pcall(object.maps.events.each, object.maps.events))
      object:close()
      assert.is_false(pcall(object.maps.events.each, object.maps.events))
      object:close()
    end)

    it("before the loop begins are not lost, and the loop can be left and entered again", function()
      object.maps.events.buffer = kind
      object:attach()
      helper.getpgid(0)
      limits.set_duration(0.2)
      for event in object.maps.events:each() do
        if tonumber(event.number) == 9 then break end
      end
      local rest = {}
      for event in object.maps.events:each() do rest[#rest + 1] = tonumber(event.number) end
      assert.are.equal(54, #rest)
      assert.are.equal(10, rest[1])
    end)
  end)
end
