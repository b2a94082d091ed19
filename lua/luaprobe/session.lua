--- The session: what is attached, since when; detaching all of it; what was typed, as a script.
-- @module luaprobe.session
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local live = require "luaprobe.live"
local probes = require "luaprobe.probe"
local takes = require "luaprobe.takes"

local M = {}

local chunks = {} -- that succeeded: { text =, source =, traces = whether events came after it }

local function seconds_since(time)
  return (tonumber(C.lp_time_monotonic()) - time) / 1e9
end

local function row(what, target, mechanism, since, hits, lost)
  local seconds = seconds_since(since)
  return { what = what, target = target, mechanism = mechanism, seconds = seconds, hits = hits,
    rate = hits and hits / math.max(seconds, 1e-3), lost = lost }
end

local function lost_of(object)
  local lost = 0
  for _, map in ipairs(object.maps) do lost = lost + (map.lost or 0) end
  return lost
end

local function rows()
  local list, objects = {}, {}
  for _, one in ipairs(live.running()) do
    objects[one.object] = true
    list[#list + 1] = row(one.what, one.target, one.object.probes[1].mechanism, one.since, one:total(), one:lost())
  end
  local others = probes.attached()
  table.sort(others, function(a, b) return a.since < b.since end)
  for _, probe in ipairs(others) do
    local object = probe.program.object
    if not objects[object] then
      list[#list + 1] = row(probe.program.name, probe.target, probe.mechanism, probe.since, probe.hits, lost_of(object))
    end
  end
  return list
end

local function number_or_dash(format, number)
  return number and format:format(number) or "-"
end

local shown = { __tostring = function(list)
  if #list == 0 then return "nothing is attached" end
  local longest = #"TARGET"
  for _, each in ipairs(list) do longest = math.max(longest, #each.target) end
  local format = "%-10s %-" .. math.min(longest, 60) .. "s %-9s %8s %10s %8s %6s"
  local lines = { format:format("WHAT", "TARGET", "MECHANISM", "SECONDS", "HITS", "PER_SEC", "LOST") }
  for _, each in ipairs(list) do
    lines[#lines + 1] = format:format(each.what, each.target, each.mechanism, ("%.1f"):format(each.seconds),
      number_or_dash("%.0f", each.hits), number_or_dash("%.1f", each.rate), number_or_dash("%.0f", each.lost))
  end
  return table.concat(lines, "\n")
end }

--- What is attached.
-- @treturn {{what=,target=,mechanism=,seconds=,hits=,rate=,lost=},…} `seconds`: for how long; `hits` and `rate` (per
--   second) are nil where they are not counted; printed, it is a table
function M.list()
  return setmetatable(rows(), shown)
end

--- Detaches everything. What was counted and traced stays readable.
-- @treturn number how many there were
function M.detach_all()
  local count = 0
  for _, one in ipairs(live.running()) do
    one:detach()
    count = count + 1
  end
  local others = probes.attached()
  probes.close(others)
  for _, probe in ipairs(others) do probe.program.object:forget_probe(probe) end
  return count + #others
end

--- Remembers a chunk that succeeded, for save.
-- @tparam string text as it was typed
-- @tparam string source as it was compiled
function M.remember(text, source)
  chunks[#chunks + 1] = { text = text, source = source, traces = live.has_traces() }
end

-- Asking for help, or for this very thing, is no part of a script.
local function is_about_the_session(text)
  return text:find "^%s*help%f[%W]" or text:find "^%s*lp%.save%f[%W]"
end

local HEAD = [[
#!/usr/bin/env luaprobe
-- Saved by lp.save from a session at the prompt.
lp, ffi = require "luaprobe", require "ffi"
function help(...) return require("luaprobe.help").show(...) end

-- Prints what a chunk gave, and what was traced by then, as the prompt does.
local SHOW
do
  local pretty, select, live = lp.pretty, select, require "luaprobe.live"
  live.shows_events = true
  function SHOW(...)
    for i = 1, select("#", ...) do pretty((select(i, ...))) end
    live.write(live.pull())
  end
end

]]

-- What stands in the script as it was typed: assignments and calls, which mean the same wherever they stand.
local function is_plain(source)
  for word in source:gmatch "[%a_][%w_]*" do
    if word == "return" or word == "local" or word == "goto" then return false end
  end
  return not source:find("::", 1, true) and not source:find("...", 1, true) and not source:find "^%s*[(;]"
end

-- Else a chunk is a function, as at the prompt: what is local to it ends with it, and so does what it returns from.
local function as_statement(chunk, show)
  local source = chunk.source:match "^%s*(.-)%s*$"
  if is_plain(source) then return source .. "\n" .. (chunk.traces and show .. "()\n" or "") end
  local ends = source:find "\n" or source:find("--", 1, true)
  return ("%s((function(...)%s end)())\n"):format(show, ends and "\n" .. source .. "\n" or " " .. source)
end

-- A name that means nothing in any chunk.
local function free_name(name)
  for _, chunk in ipairs(chunks) do
    if chunk.source:find(name, 1, true) then return free_name(name .. "_") end
  end
  return name
end

local function script()
  local show = free_name "show"
  local parts = { (HEAD:gsub("SHOW", show)) }
  for _, chunk in ipairs(chunks) do
    if not is_about_the_session(chunk.text) then parts[#parts + 1] = as_statement(chunk, show) end
  end
  return table.concat(parts)
end

local function write(path, text)
  local file, reason = io.open(path, "w")
  local ok = file and file:write(text)
  if file then ok = file:close() and ok end
  if ok then return end
  err.raise { code = "EIO", stage = "save", message = ("%s cannot be written: %s"):format(path, reason or "disk full") }
end

--- Writes what was typed so far, without what failed or was interrupted, as a script that runs.
-- @tparam string path
-- @tparam[opt] table opts `overwrite`: also when there is such a file
-- @raise error of stage "save" when it cannot be written, or is there
function M.save(path, opts)
  if not err.is_path(path) then err.misuse("lp.save takes a path, not %s", takes.shown(path)) end
  opts = takes.options("lp.save", opts, { overwrite = takes.switch })
  local there = not opts.overwrite and io.open(path)
  if there then
    there:close()
    err.raise { code = "EEXIST", stage = "save", message = path .. " is there already",
      hint = ("lp.save(%q, { overwrite = true }) replaces it"):format(path) }
  end
  write(path, script())
end

return M
