--- What is attached and watched: the registry behind lp.session, and the loops that show it.
-- @module luaprobe.live
local C = require "luaprobe.cdef"
local takes = require "luaprobe.takes"

local M = {}

local TICK = 20 -- milliseconds between two looks at the buffers
local WATCH_OPTIONS = { times = takes.many, top = takes.many }

local running = {} -- one-liners, the oldest first; attached until they are told otherwise, referred to or not

--- Whether events are shown as they come, without being asked for: at the prompt.
M.shows_events = false

local function now()
  return tonumber(C.lp_time_monotonic())
end

--- Keeps a one-liner until it is detached.
function M.remember(one)
  one.since = now()
  running[#running + 1] = one
end

function M.forget(one)
  for i, other in ipairs(running) do
    if other == one then return table.remove(running, i) end
  end
end

--- The one-liners that are attached.
-- @treturn {table,…}
function M.running()
  return { unpack(running) }
end

--- Prints text; the prompt takes its place for its own output.
function M.write(text)
  io.stdout:write(text)
end

--- Whether there is one that has events to show.
function M.has_traces()
  for _, one in ipairs(running) do
    if one.pull then return true end
  end
  return false
end

--- Takes the events of all traces out of their buffers.
-- @treturn string what there is to show, "" when there is nothing
function M.pull()
  local lines = {}
  for _, one in ipairs(running) do
    if one.pull then one:pull(lines) end
  end
  return table.concat(lines)
end

local function show_events()
  local text = M.pull()
  if M.shows_events and text ~= "" then M.write(text) end
end

--- Sleeps, while events go on being taken out.
-- @tparam number seconds
-- @treturn boolean false when Ctrl-C or SIGTERM ended it
function M.sleep(seconds)
  local due = now() + seconds * 1e9
  while C.lp_stop_pending() == 0 do
    show_events()
    local left = (due - now()) / 1e6
    if left <= 0 then return true end
    C.lp_time_sleep(math.max(1, math.ceil(math.min(left, #running > 0 and TICK or left))))
  end
  return false
end

--- Runs a function that waits; Ctrl-C then ends the waiting, not the process.
function M.interruptible(fn)
  local caught = C.lp_stop_catch()
  local ok, failure = pcall(fn)
  if caught then C.lp_stop_release() end
  if not ok then error(failure, 0) end
end

--- Shows a text anew every so many seconds, until Ctrl-C.
-- @tparam number seconds
-- @tparam[opt] table opts `times`: ends after so many
-- @tparam function text_of gives it
function M.watch(seconds, opts, text_of)
  takes.seconds("watch", seconds)
  takes.options("watch", opts, WATCH_OPTIONS)
  local times = opts and opts.times or math.huge
  M.interruptible(function()
    for i = 1, times do
      if not M.sleep(seconds) then return end
      M.write((i > 1 and "\n" or "") .. text_of())
    end
  end)
end

--- Hits that the kernel left out: a program that was running already on that CPU (since Linux 6.13 system calls'
-- tracepoints can be preempted by themselves), or too many calls at once for a kretprobe. Of all processes, since the
-- program did not get to look at which.
-- @param object the luaprobe.object, open
-- @treturn number
function M.missed(object)
  local by_programs, by_probes = 0, 0
  for _, program in ipairs(object.programs) do
    if program.autoload then by_programs = by_programs + tonumber(program:info().missed) end
  end
  for _, probe in ipairs(object.probes) do by_probes = by_probes + (probe.missed or 0) end
  return math.max(by_programs, by_probes) -- a probe's count has its program's in it, where it is known
end

return M
