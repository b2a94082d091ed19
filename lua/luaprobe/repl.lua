--- The prompt: reads chunks, runs them, prints what they give, while probes go on delivering.
--
-- There is one loop: it waits for a key and for the tick of the event buffers. Output comes above the line that is
-- being edited, which is taken off the screen for it and shown again.
-- @module luaprobe.repl
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local chunks = require "luaprobe.chunk"
local err = require "luaprobe.error"
local live = require "luaprobe.live"
local pretty = require "luaprobe.pretty"
local session = require "luaprobe.session"

local M = {}

local PROMPT, MORE = "> ", ">> "
local SIGINT, SIGTERM = 2, 15
local TICK, IDLE = 20, 1000 -- milliseconds until the buffers are looked at again
local ECHO_TIME = 20 -- milliseconds: the kernel sends the signal of Ctrl-C before it shows the ^C (n_tty.c)
local LINE = 65536

local buffer = ffi.new("char[?]", LINE)
local cursor = ffi.new "size_t[1]"

-- ---- running what was typed ----------------------------------------------------------------------------------------

-- Behind the ^C that the terminal shows.
local function leave_line(state)
  if not state.is_terminal then return end
  C.lp_time_sleep(ECHO_TIME)
  io.stdout:write "\n"
end

-- What was raised, and what a chunk gave, is shown under guard as well: both may have a __tostring.
local function explain(failure, text)
  local told = chunks.guard(chunks.explain, failure, text)
  return told.ok and told[1] or "error: " .. told[1], not told.ok
end

local function write_error(state, text)
  C.lp_output_flush()
  io.stderr:write(text, "\n")
  state.failed = true
end

local function show_error(state, failure, text, trace)
  local told, was_interrupted = explain(failure, text)
  if was_interrupted or failure == "interrupted" then leave_line(state) end
  write_error(state, told)
  if trace then io.stderr:write(trace:gsub("^\n", ""), "\n") end
end

local function show_values(state, values, text)
  local all_shown = true
  for i = 1, values.count do
    local shown = chunks.guard(pretty.print, values[i])
    if not shown.ok then
      all_shown = false
      show_error(state, shown[1], text)
    end
  end
  return all_shown
end

-- Whether Ctrl-C ended what the chunk waited for, a watch for example. SIGTERM is left for those who look for it.
local function take_interrupt(state)
  if C.lp_stop_pending() ~= SIGINT then return false end
  C.lp_stop_forget()
  leave_line(state)
  return true
end

local function evaluate(state, text)
  local fn, source = chunks.compile(text)
  if not fn then return show_error(state, source, text) end
  chunks.make_interruptible(fn, text)
  C.lp_stop_forget()
  local result = chunks.run(fn, state.traceback)
  local was_interrupted = take_interrupt(state)
  if not result.ok then return show_error(state, result[1], text, result.trace) end
  if show_values(state, result, text) and not was_interrupted then session.remember(text, source) end
end

-- Takes a line. Returns the chunk so far when it needs more lines, nil otherwise.
local function take_line(state, pending, line)
  local text = pending and pending .. "\n" .. line or line
  if not text:find "%S" then return nil end
  local _, _, is_incomplete = chunks.compile(text)
  if is_incomplete then return text end
  evaluate(state, text)
  return nil
end

-- The loop of lp.on and lp.every, where anybody asked for it and it has something to do.
local function event_loop()
  local loop = package.loaded["luaprobe.loop"]
  return loop and loop.is_active() and loop
end

local function timeout()
  return (#live.running() > 0 or event_loop()) and TICK or IDLE
end

-- Handlers print what they like. One that fails, or that Ctrl-C had to end, is not called again: it would fail at each
-- tick, and who wrote it may have kept nothing to stop it by. The session goes on.
local function run_handlers(state)
  local loop = event_loop()
  local result = chunks.guard(loop.step)
  if result.ok then return end
  local told = result[1] == "interrupted" and "error: interrupted" or explain(result[1], "")
  write_error(state, ("%s\n  the handler at %s is not called any more"):format(told, loop.give_up()))
end

-- ---- a terminal ----------------------------------------------------------------------------------------------------

local function current_line()
  local length = tonumber(C.lp_prompt_line(buffer, LINE, cursor))
  return ffi.string(buffer, length), tonumber(cursor[0])
end

local function show_events(state)
  local text, loop = live.pull(), event_loop()
  local is_due = loop and loop.is_due()
  if text == "" and not is_due then return end
  C.lp_prompt_hide()
  io.stdout:write(text)
  if is_due then
    C.lp_output_flush() -- the line is away while the handler runs, however long
    C.lp_stop_release() -- Ctrl-C is for the handler as long as it runs
    run_handlers(state)
    C.lp_stop_catch()
  end
  C.lp_prompt_show()
end

local function complete()
  local line, at = current_line()
  local ok, insert, list, count = pcall(function() return require("luaprobe.complete").line(line:sub(1, at)) end)
  if not ok or not insert and not list then return end
  if insert and insert ~= "" then return C.lp_prompt_insert(insert) end
  C.lp_prompt_hide()
  io.stdout:write(require("luaprobe.complete").columns(list, C.lp_prompt_width(), count), "\n")
  C.lp_prompt_show()
end

-- Ctrl-C: the line is given up, and what was typed before of its chunk.
local function interrupt()
  C.lp_stop_forget()
  C.lp_prompt_end()
  io.stdout:write "^C\n"
end

-- Waits until a line was entered: its text; "" after Ctrl-C, with true; nil at the end.
local function read_line(state, prompt)
  C.lp_stop_forget() -- a Ctrl-C that came when nothing was left to end
  C.lp_stop_catch()
  C.lp_prompt_begin(prompt)
  while true do
    local event = C.lp_prompt_wait(timeout())
    if event == C.LP_PROMPT_LINE then
      local line = current_line():gsub("[\r\n]+$", "")
      C.lp_prompt_end()
      C.lp_stop_release()
      return line
    elseif event == C.LP_PROMPT_TOO_LONG then
      C.lp_prompt_end()
      C.lp_stop_release()
      write_error(state, "error: a line takes 16,000 characters: put it into a file, and dofile 'FILE'")
      return "", true
    elseif event == C.LP_PROMPT_INTERRUPT then
      interrupt()
      C.lp_stop_release()
      return "", true
    elseif event == C.LP_PROMPT_END then
      C.lp_prompt_end()
      C.lp_stop_release()
      io.stdout:write "\n"
      return nil
    elseif event == C.LP_PROMPT_COMPLETE then
      complete()
    end
    show_events(state)
  end
end

local function history_path()
  local state = os.getenv "XDG_STATE_HOME"
  local home = os.getenv "HOME"
  if state and state:sub(1, 1) == "/" then return state .. "/luaprobe/history" end
  return home and home:sub(1, 1) == "/" and home .. "/.local/state/luaprobe/history" or nil
end

-- Only here: a pipe remembers nothing.
local function tell_of_history()
  local why = C.lp_prompt_unremembered()
  if why == nil then return end
  C.lp_output_flush()
  io.stderr:write("luaprobe: what you type will not be remembered: ", err.text_of(ffi.string(why)), "\n")
end

local function terminal(state)
  local first, more = PROMPT, MORE -- C keeps a pointer to them
  err.check(C.lp_prompt_open(history_path()))
  require("luaprobe.ksyms").read_ahead()
  io.stdout:write "luaprobe: help() tells what there is, Tab completes, Ctrl-D leaves\n"
  tell_of_history()
  local pending
  while true do
    local line, interrupted = read_line(state, pending and more or first)
    if not line then break end
    if interrupted then
      pending = nil
    else
      C.lp_prompt_remember(line)
      pending = take_line(state, pending, line)
    end
    if C.lp_stop_pending() == SIGTERM then break end -- SIGTERM came while a chunk ran
  end
  C.lp_prompt_close()
end

-- ---- a pipe --------------------------------------------------------------------------------------------------------

local MOST = 262144 -- bytes of a line or a chunk, which is compiled again with each of its lines

local function lines_of_input(state)
  local rest, is_skipping = "", false -- the rest of a line that is too long
  return function()
    while true do
      local line, after = rest:match "^([^\n]*)\n()"
      if line then
        rest = rest:sub(after)
        if not is_skipping then return line end
        is_skipping = false
      elseif #rest > MOST then
        if not is_skipping then write_error(state, "error: a line takes " .. MOST .. " bytes at most") end
        rest, is_skipping = "", true
      end
      local got = line and 0 or C.lp_prompt_read(buffer, LINE, timeout())
      if got > 0 then
        rest = rest .. ffi.string(buffer, got)
      elseif got < 0 and is_skipping then
        return nil
      elseif got < 0 then
        line, rest = rest, ""
        return line ~= "" and line or nil
      end
      if C.lp_stop_pending() ~= 0 then return nil end -- nothing was running that it could have meant
      live.write(live.pull())
      if event_loop() then run_handlers(state) end
    end
  end
end

-- The first line may be what begins scripts: a mark of UTF-8, #!/usr/bin/env luaprobe.
local function without_head(line)
  return (line:gsub("^\239\187\191", ""):gsub("^#!.*", ""))
end

local function pipe(state)
  local pending, is_first = nil, true
  for line in lines_of_input(state) do
    if is_first then line, is_first = without_head(line), false end
    pending = take_line(state, pending, line)
    if pending and #pending > MOST then
      write_error(state, ("error: a chunk takes %d bytes at most; luaprobe FILE runs larger ones"):format(MOST))
      pending = nil
    end
    if C.lp_stop_pending() ~= 0 then return state.failed end
  end
  if pending then show_error(state, select(2, chunks.compile(pending)), pending) end
  live.write(live.pull())
  return state.failed
end

-- ---- the session ---------------------------------------------------------------------------------------------------

local function prepare_globals()
  local lp = require "luaprobe"
  _G.lp, _G.ffi = lp, ffi
  _G.help = function(...) return require("luaprobe.help").show(...) end
end

-- What a session does to the functions of Lua is not done to this library: it has its own, see main.c. Strings' methods
-- come from `string`, to which more can be added.
local function keep_own_functions()
  local own = getfenv(1)
  for _, name in ipairs { "bit", "coroutine", "debug", "io", "jit", "math", "os", "package", "string", "table" } do
    local copy = {}
    for key, value in pairs(own[name]) do copy[key] = value end
    own[name] = copy
  end
  getmetatable("").__index = setmetatable(own.string, { __index = _G.string })
end

--- Runs the prompt until its end; then everything is detached.
-- @tparam table opts `traceback`: errors show where they came from
-- @treturn boolean whether a chunk failed that came through a pipe
function M.run(opts)
  local state = { traceback = opts.traceback, is_terminal = C.lp_prompt_is_terminal() }
  keep_own_functions()
  prepare_globals()
  live.shows_events = true
  C.lp_stop_interrupt_lua(true)
  local failed
  if state.is_terminal then terminal(state) else failed = pipe(state) end
  C.lp_stop_interrupt_lua(false)
  session.detach_all()
  return failed
end

--- Prepares the globals for a script whose objects shall be there at the prompt afterwards (-i).
M.prepare = prepare_globals

return M
