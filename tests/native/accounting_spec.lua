-- Accounting under load: every number is delivered once, in order per CPU, or counted as lost on its CPU.
-- The million-event runs; tests/bench/accounting_bench.lua does the same with ten million.
local helper = require "helper"

if not helper.is_root() then
  describe("accounting", function() pending "needs root" end)
  return
end

local accounting = require "accounting"

local SIGSTOP, SIGCONT = 19, 18

-- An emulated processor is ten to twenty times slower.
local scale = helper.is_guest() and 0.05 or 1

local function check(opts)
  local result = accounting.run(opts)
  assert.are.equal(0, result.errors, result.text)
  assert.are.equal(result.sent, result.delivered + result.lost)
  assert.is_true(result.all_sent, result.text)
  assert.is_true(result.delivered > 0)
  return result
end

describe("accounting", function()
  helper.check_leaks(before_each, after_each)

  for _, kind in ipairs { "ring", "perf" } do
    it("is exact with a " .. kind .. " buffer that overflows, events of 8 bytes to 32 kB", function()
      local result = check { kind = kind, bytes = 2 ^ 18, burst = 64, threads = 2, calls = 8000 * scale, pauses = 3000 }
      assert.is_true(result.lost > 0)
    end)

    it("is exact with a " .. kind .. " buffer of a page", function()
      check { kind = kind, bytes = 4096, burst = 8, threads = 2, calls = 4000 * scale, size = 100, gap = 2000 }
    end)

    it("is exact while the producers of a " .. kind .. " buffer change their CPU", function()
      check { kind = kind, bytes = 2 ^ 20, burst = 16, threads = 2, calls = 20000 * scale, gap = 5000, migrate = true }
    end)

    it("is exact while the consumer of a " .. kind .. " buffer is stopped and goes on", function()
      local result = check { kind = kind, bytes = 2 ^ 18, burst = 16, threads = 1, calls = 20000 * scale, gap = 50000,
        during = function(consumer)
          for _ = 1, 5 do
            helper.sleep(0.05)
            consumer.signal(SIGSTOP)
            helper.sleep(0.15)
            consumer.signal(SIGCONT)
          end
        end }
      assert.is_true(helper.is_guest() or result.lost > 0)
    end)
  end

  it("loses nothing at a steady rate that it can drain, from idle on and in a small buffer", function()
    for _, kind in ipairs { "ring", "perf" } do
      local result = check { kind = kind, bytes = 2 ^ 16, burst = 1, threads = 1, calls = 20000 * scale, size = 100,
        gap = helper.is_guest() and 500000 or 20000 }
      assert.are.equal(0, result.lost)
    end
  end)

  it("keeps 64 event streams at once apart", function()
    for _, kind in ipairs { "ring", "perf" } do
      local object = helper.open("many", { const = { only_pid = helper.pid } })
      local lp = require "luaprobe"
      local calls, seen, wrong = helper.is_guest() and 200 or 2000, {}, 0
      for i = 0, 63 do
        local map = object.maps[("events_%o%o"):format(math.floor(i / 8), i % 8)]
        map.buffer, map.pages = kind, 4
      end
      object:attach()
      for i = 0, 63 do
        local map = object.maps[("events_%o%o"):format(math.floor(i / 8), i % 8)]
        local last = -1
        seen[i] = 0
        lp.on(map, function(event)
          local number = tonumber(event.number)
          if event.stream ~= i or number <= last then wrong = wrong + 1 end
          last, seen[i] = number, seen[i] + 1
        end)
      end
      local timer
      timer = lp.every(0.001, function()
        for _ = 1, 100 do helper.getpgid(0) end
        calls = calls - 100
        if calls > 0 then return end
        timer.stop() -- what it sent shall be delivered before the loop ends
        lp.after(0.3, lp.stop)
      end)
      lp.run { timeout = 60 }
      local sent = object.data.sent_lower
      assert.are.equal(sent, object.data.sent_upper)
      assert.are.equal(0, wrong)
      for i = 0, 63 do
        local map = object.maps[("events_%o%o"):format(math.floor(i / 8), i % 8)]
        assert.are.equal(sent, seen[i] + map.lost)
        assert.is_true(seen[i] > 0)
      end
      object:close()
    end
  end)
end)
