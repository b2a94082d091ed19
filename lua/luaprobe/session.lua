--- The session: what is attached, since when; detaching all of it; what was typed, as a script.
-- @module luaprobe.session
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local live = require "luaprobe.live"
local probes = require "luaprobe.probe"

local M = {}

local chunks = {} -- that succeeded: { text =, is_expression = }

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
  local format = "%-10s %-40s %-8s %9s %12s %10s %8s"
  local lines = { format:format("WHAT", "TARGET", "BY", "SECONDS", "HITS", "PER_SEC", "LOST") }
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
function M.remember(text, is_expression)
  chunks[#chunks + 1] = { text = text, is_expression = is_expression }
end

-- Asking for help, or for this very thing, is no part of a script.
local function is_about_the_session(text)
  return text:find "^%s*help%f[%W]" or text:find "^%s*lp%.save%f[%W]"
end

local function as_statement(chunk)
  local text = chunk.text:match "^%s*(.-)%s*$"
  if chunk.is_expression then return (text:find "%-%-" and "show(%s\n)" or "show(%s)"):format(text) end
  if text:find "^local%s" then return text:gsub("^local%s+", "", 1) end
  return text
end

local HEAD = [[
#!/usr/bin/env luaprobe
-- Saved by lp.save from a session at the prompt.
lp = require "luaprobe"

-- Prints what an expression gave, as the prompt does.
local function show(...)
  for i = 1, select("#", ...) do lp.pretty((select(i, ...))) end
end

]]

--- Writes what was typed so far, without what failed, as a script that runs.
-- @tparam string path
-- @raise error of stage "save" when it cannot be written
function M.save(path)
  if type(path) ~= "string" then err.misuse("lp.save takes a path, not a %s", type(path)) end
  local parts = { HEAD }
  for _, chunk in ipairs(chunks) do
    if not is_about_the_session(chunk.text) and chunk.text:find "%S" then
      parts[#parts + 1] = as_statement(chunk) .. "\n"
    end
  end
  local file, reason = io.open(path, "w")
  local ok = file and file:write(table.concat(parts))
  if file then ok = file:close() and ok end
  if ok then return end
  err.raise { code = "EIO", stage = "save", message = ("%s cannot be written: %s"):format(path, reason or "disk full") }
end

return M
