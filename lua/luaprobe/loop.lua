--- Several event sources and timers in one loop.
--
--     lp.on(obj.maps.events, function(event) … end)
--     lp.every(1, function() … end)
--     lp.run()
-- @module luaprobe.loop
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local accounts = require "luaprobe.accounts"
local err = require "luaprobe.error"
local event_map = require "luaprobe.event_map"
local handler = require "luaprobe.handler"
local limits = require "luaprobe.limits"
local maps = require "luaprobe.map"
local takes = require "luaprobe.takes"

local M = {}

local check_function, check_on_error, guarded = handler.check_function, handler.check_on_error, handler.guarded

local subscriptions, timers = {}, {}
local state = { stopped = false } -- and `called`, the subscription or timer whose handler was called last
local SMALLEST = 16 -- bytes that an event takes in a buffer at least

-- ---- delivering ------------------------------------------------------------------------------------------------

-- Each handler gets a loop of its own, so that the JIT compiles each with its handler inside.
local DELIVER = [[
local cast, pointer, state = ...
return function(reader, fn)
  local stream, least = reader.stream, reader.type_size
  local batch = stream.batch
  while stream.index < stream.count and not state.stopped and not reader.stopped do
    local record = batch[stream.index]
    stream.index = stream.index + 1
    local size = record.size
    if size < least then reader:too_short(size) end
    fn(cast(pointer, record.data), size, record.cpu, record.late ~= 0)
  end
end]]

local function compile(pointer)
  return assert(loadstring(DELIVER, "=luaprobe.loop"))(ffi.cast, pointer, state)
end

-- ---- what the loop is for --------------------------------------------------------------------------------------

local function place_of(fn)
  local info = debug.getinfo(fn, "S")
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

-- What the prompt shows and completes of a subscription or timer.
local Handle = { __names = function() return { "stop" } end }

function Handle:__tostring()
  return ("%s: the handler at %s"):format(self.what, place_of(self.fn))
end

-- Timers that are due are the first ones, mostly.
local function remove(list, entry)
  for i = 1, #list do
    if list[i] == entry then return table.remove(list, i) end
  end
end

--- Calls a function for each event of a map, while lp.run runs.
-- @param map a perf event array or ring buffer of an object
-- @tparam function fn gets what map:each gives: the event, its size, the CPU, and whether it is late
-- @tparam[opt] table opts as map:each has them, but timeout; `on_error`: "stop" (the default): an error ends the loop,
--   or "count": it is counted in lp.stats, and the loop goes on
-- @treturn table `stop()` ends it
function M.on(map, fn, opts)
  check_function("lp.on", fn)
  if not maps.is(map) then err.misuse "lp.on takes a map of an object" end
  for _, other in ipairs(subscriptions) do
    if other.map == map then err.misuse("map %s has a handler already: stop() that one first", map.name) end
  end
  local reader = event_map.reader(map, opts, "lp.on")
  local on_error = opts and opts.on_error
  check_on_error(on_error)
  local subscription = setmetatable({ what = "events of map " .. map.name, map = map, reader = reader, fn = fn,
    on_error = on_error, deliver = compile(reader.pointer) }, Handle)
  function subscription.stop()
    reader.stopped = true
    remove(subscriptions, subscription)
  end
  subscriptions[#subscriptions + 1] = subscription
  return subscription
end

local TIMER_OPTIONS = { on_error = true }

local function add_timer(what, seconds, fn, opts, period)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 or period and seconds == 0 then
    err.misuse("%s takes a number of seconds, not %s", what, tostring(seconds))
  end
  check_function(what, fn)
  opts = takes.options(what, opts, TIMER_OPTIONS)
  check_on_error(opts.on_error)
  local timer = setmetatable({ what = ("%s %g s"):format(period and "every" or "after", seconds), fn = fn,
    due = limits.now() + seconds * 1e9, period = period and seconds * 1e9, on_error = opts.on_error }, Handle)
  function timer.stop()
    timer.is_over = true -- also when it is due in the same round as what stops it
    remove(timers, timer)
  end
  timers[#timers + 1] = timer
  return timer
end

--- Calls a function every so many seconds, while lp.run runs. A call that comes late is not made up for.
-- @tparam number seconds
-- @tparam function fn
-- @tparam[opt] table opts `on_error` as lp.on has it
-- @treturn table `stop()` ends it
function M.every(seconds, fn, opts)
  return add_timer("lp.every", seconds, fn, opts, true)
end

--- Calls a function once, so many seconds from now, while lp.run runs. The same parameters and result as lp.every.
function M.after(seconds, fn, opts)
  return add_timer("lp.after", seconds, fn, opts, false)
end

--- Ends lp.run, before the next event is delivered.
function M.stop()
  state.stopped = true
end

-- ---- running ---------------------------------------------------------------------------------------------------

local function next_due()
  local first
  for _, timer in ipairs(timers) do first = first and math.min(first, timer.due) or timer.due end
  return first
end

-- Handlers add to a list, and take from it, while it is walked.
local function copy_of(list)
  local copy = {}
  for i = 1, #list do copy[i] = list[i] end
  return copy
end

local function fire_timers(on_error)
  local now, due = limits.now(), next_due()
  if not due or now < due then return end
  for _, timer in ipairs(copy_of(timers)) do
    if now >= timer.due and not state.stopped and not timer.is_over then
      if timer.period then
        timer.due = timer.due + timer.period * math.ceil((now - timer.due + 1) / timer.period)
      else
        timer.stop()
      end
      state.called = timer
      guarded(accounts.timers, timer.on_error or on_error, timer.fn, timer.fn)
    end
  end
end

-- Delivers the rest of a subscription's batch, however many of its events fail.
local function deliver(subscription, on_error)
  local reader = subscription.reader
  local stream = reader.stream
  state.called = subscription
  while stream.index < stream.count and not state.stopped and not reader.stopped do
    guarded(stream, subscription.on_error or on_error, subscription.fn, subscription.deliver, reader, subscription.fn)
  end
end

-- One batch of each source. Returns how many events that were.
local function round(on_error)
  local count = 0
  for _, subscription in ipairs(copy_of(subscriptions)) do
    local stream = subscription.reader.stream
    if not stream.source then
      subscription.stop() -- its object was closed
    elseif not state.stopped and not subscription.reader.stopped then
      if stream.index >= stream.count then count = count + stream:read() end
      deliver(subscription, on_error)
    end
  end
  return count
end

-- What is in the buffers is still delivered, but no more than they hold.
local function drain(on_error)
  local room = 0
  for _, subscription in ipairs(subscriptions) do
    local stream = subscription.reader.stream
    if stream.source then
      C.lp_source_flush(stream.source)
      room = room + tonumber(C.lp_source_capacity(stream.source)) / SMALLEST
    end
  end
  while room > 0 and not limits.output_closed() and not state.stopped do
    local count = round(on_error)
    if count == 0 then return end
    room = room - count
  end
end

-- Sleeps until the first of the sources and timers wants to be looked at.
local function sleep(until_time)
  local first, due = nil, next_due()
  for _, subscription in ipairs(subscriptions) do
    local tick = subscription.reader:next_tick()
    first = first and math.min(first, tick) or tick
  end
  if due and until_time then due = math.min(due, until_time) end
  err.check(C.lp_source_wait(limits.cut(first or 1000, due or until_time)))
end

local function loop(on_error, until_time)
  for _, subscription in ipairs(subscriptions) do subscription.reader:resume() end
  while not state.stopped and (until_time or #subscriptions > 0 or #timers > 0) do
    local count = round(on_error)
    fire_timers(on_error)
    if limits.reached() or until_time and limits.now() >= until_time then return drain(on_error) end
    if count == 0 and not state.stopped then sleep(until_time) end
  end
end

local RUN_OPTIONS = { on_error = true, timeout = takes.delay }

--- Delivers events and calls timers until lp.stop(), Ctrl-C, SIGTERM, the end of -d SECONDS, or until there is nothing
-- left to wait for.
-- @tparam[opt] table opts `on_error`: what lp.on and timers do that do not say themselves; `timeout`: seconds after
--   which it ends, and not before, even if there is nothing to wait for; what is in the buffers is still delivered
-- @raise what a handler raised; a text names the line of the handler
function M.run(opts)
  opts = takes.options("lp.run", opts, RUN_OPTIONS)
  check_on_error(opts.on_error)
  state.stopped = false
  limits.begin()
  local ok, failure = pcall(loop, opts.on_error, opts.timeout and limits.now() + opts.timeout * 1e9)
  limits.finish()
  if not ok then error(failure, 0) end
end

-- ---- without a loop of its own: for the prompt, which waits itself ------------------------------------------------

--- Whether there are handlers or timers.
function M.is_active()
  return #subscriptions > 0 or #timers > 0
end

local function has_events(subscription)
  local stream = subscription.reader.stream
  return stream.source and (stream.index < stream.count or stream:read() > 0)
end

--- Whether there is an event to deliver or a timer to call now.
function M.is_due()
  for _, subscription in ipairs(subscriptions) do
    if has_events(subscription) then return true end
  end
  local due = next_due()
  return due ~= nil and limits.now() >= due
end

--- Delivers what is there, without waiting.
-- @raise what a handler raised; a text names the line of the handler
function M.step()
  state.stopped = false
  round()
  fire_timers()
end

--- Ends the handler that was called last, after an error of its or Ctrl-C came out of step.
-- @treturn string where it stands: FILE:LINE
function M.give_up()
  local called = state.called
  called.stop()
  return place_of(called.fn)
end

-- ---- one map, once ---------------------------------------------------------------------------------------------

-- The compiled loop of a stream for whatever function.
local function poller(stream, pointer)
  if stream.polled_as ~= pointer then stream.polled_as, stream.poller = pointer, compile(pointer) end
  return stream.poller
end

-- Reads the next batch, sleeping until the given time while there is none. False when there is nothing (any more).
local function next_batch(reader, delivered, until_time)
  local stream = reader.stream
  while stream.index >= stream.count and stream:read() == 0 do
    if not stream.source or delivered > 0 or limits.now() >= until_time or limits.reached() then return false end
    reader:wait(until_time)
  end
  return true
end

--- What is behind map:poll.
function M.poll(map, timeout, fn, opts)
  check_function("map:poll", fn)
  if type(timeout) ~= "number" or timeout ~= timeout or timeout < 0 then
    err.misuse("map:poll takes a number of seconds, not %s", tostring(timeout))
  end
  local reader = event_map.reader(map, opts, "map:poll")
  local stream = reader.stream
  if stream.was_last then
    stream.was_last = nil
    return limits.finish()
  end
  state.stopped = false
  limits.begin()
  local until_time, delivered, room = limits.now() + timeout * 1e9, 0, tonumber(C.lp_source_capacity(stream.source))
  while delivered * SMALLEST <= room and not state.stopped and next_batch(reader, delivered, until_time) do
    local from = stream.index
    guarded(stream, "stop", fn, poller(stream, reader.pointer), reader, fn)
    delivered = delivered + math.max(0, stream.index - from)
  end
  if not limits.reached() then return delivered end
  stream.was_last = true
  return delivered
end

return M
