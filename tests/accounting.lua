--- Runs tests/helpers/producer.c and consumer.lua against each other, over fixtures/stream.bpf.c.
local helper = require "helper"

local M = {}

--- One run.
-- @tparam table opts `kind`, `bytes` (per CPU), `burst`, `threads`, `calls` (each thread's), `size` (0: all sizes),
--   `gap` (nanoseconds between calls), `migrate`, `pauses` (microseconds), `during`: function(consumer), called while
--   events come
-- @treturn table `delivered`, `lost`, `sent`, `errors`, `high_water`, `text`, and `all_sent`: whether every call has
--   sent its events, but for those whose run of the program the kernel has left out
function M.run(opts)
  local directory, remove = helper.temporary_directory()
  local producer = io.popen(("%s/tests/producer %d %d %d %s >%s/producer"):format(helper.build, opts.threads,
    opts.calls, opts.gap or 0, opts.migrate and "migrate" or "", directory), "w")
  local pid
  assert(helper.eventually(10, function()
    pid = helper.exists(directory .. "/producer") and helper.read(directory .. "/producer"):match "^(%d+)\n"
    return pid
  end), "no producer")
  local consumer = helper.start(("%s tests/helpers/consumer.lua %sstream.bpf.o %s %s %d %d %d %d"):format(
    helper.luaprobe, helper.fixtures, pid, opts.kind, opts.bytes, opts.burst, opts.size or 0, opts.pauses or 0))
  helper.eventually(60, function() return consumer.out():find "attached" or consumer.err() ~= "" end)
  producer:write "go\n"
  producer:flush()
  if opts.during then opts.during(consumer) end
  local text, err, status = consumer.wait(opts.patience)
  producer:write "end\n"
  producer:close()
  remove()
  local delivered, lost, sent, errors, high_water, missed = text:match "\n(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)\n"
  assert(delivered and status == 0, text .. err)
  -- Since 6.13 threads are preempted in these tracepoints, and the kernel leaves out a program that runs already: for
  -- these calls, and for those of others.
  local expected = opts.calls * opts.threads * opts.burst
  local all_sent = tonumber(sent) <= expected and sent + missed * opts.burst >= expected
  return { delivered = tonumber(delivered), lost = tonumber(lost), sent = tonumber(sent), errors = tonumber(errors),
    high_water = tonumber(high_water), text = text, all_sent = all_sent }
end

return M
