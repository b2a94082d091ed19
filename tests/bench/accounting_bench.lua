-- Ten million events of 8 bytes to 32 kB, a consumer that pauses at random, CPUs that change, both kinds of buffers:
-- each number is delivered once and in order per CPU, or counted as lost on its CPU. tests/native/accounting_spec.lua
-- does the same with fewer.
--
--   build/luaprobe tests/bench/accounting_bench.lua
--
-- Exits 77 without root, 1 when a number is unaccounted for.
package.path = "tests/?.lua;" .. package.path
local helper = require "helper"

if not helper.is_root() then
  print "skipped: needs root"
  os.exit(77)
end

local failed = false
for _, kind in ipairs { "ring", "perf" } do
  local result = require("accounting").run { kind = kind, bytes = 8 * 2 ^ 20, burst = 64, threads = 2, calls = 78125,
    pauses = 20000, migrate = true, gap = 60000, patience = 250 }
  local exact = result.errors == 0 and result.all_sent and result.delivered + result.lost == result.sent
  print(("%s buffer: %d sent = %d delivered + %d lost, %d of them wrong, at most %d bytes waiting: %s"):format(kind,
    result.sent, result.delivered, result.lost, result.errors, result.high_water, exact and "exact" or "WRONG"))
  failed = failed or not exact
end
os.exit(not failed, true)
