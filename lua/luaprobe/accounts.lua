--- What came and what did not, of all streams of the run: lp.stats, the footer, the exit status of --strict.
-- @module luaprobe.accounts
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"
local value = require "luaprobe.value"

local M = {}

local open = {}                          -- streams, as keys
local closed = {}                        -- final accounts
local KEPT = 1000                        -- of so many; after that of those with something to tell
local before = { events = 0, bytes = 0 } -- of the others
M.timers = { errors = 0 }                -- errors of theirs
local missed = {}                        -- what scripts told

local wanted = {} -- `stats`, `strict`, `json`: what the command line asks for

--- Asks for a footer (`stats`), an exit status (`strict`) or a last record (`json`).
function M.want(what)
  wanted[what] = true
end

--- The number of CPUs that counters are asked for.
function M.cpus()
  return C.lp_cpu_count()
end

function M.add(stream)
  open[stream] = true
end

--- Forgets what sources counted that are closed, as if the run began now.
function M.forget()
  closed, missed, before = {}, {}, { events = 0, bytes = 0 }
  M.timers.errors, M.timers.first_error = 0, nil
end

local function has_news(account)
  return account.lost > 0 or account.late > 0 or account.errors > 0 or account.may_have_lost
end

function M.close(stream)
  open[stream] = nil
  if stream.is_unread then return end
  local account = stream.final
  if #closed < KEPT or has_news(account) then
    closed[#closed + 1] = account
  else
    before.events, before.bytes = before.events + account.events, before.bytes + account.bytes
  end
end

--- Tells that a script could not follow something, for the footer and --strict.
-- @tparam number count how often; 0 is nothing to tell
-- @tparam string what a sentence for people: "missed 3 opens: too many were under way at once"
function M.missed(count, what)
  if value.is_integer(count) then count = tonumber(count) end
  takes.count("lp.missed: how often", count)
  if type(what) ~= "string" then err.misuse("lp.missed takes a number and a sentence, not a %s", type(what)) end
  if count > 0 then missed[#missed + 1] = { count = count, what = what } end
end

-- What probes missed, as far as any were made. Asking the kernel takes a while when they are many.
local function missed_by_probes()
  local probes = package.loaded["luaprobe.probe"]
  return probes and probes.missed() or 0
end

local COUNTERS = { "events", "bytes", "lost", "late", "errors" }

-- What sources delivered and lost, each and together.
local function totals()
  local sources = {}
  for _, account in ipairs(closed) do sources[#sources + 1] = account end
  for stream in pairs(open) do
    if not stream.is_unread then sources[#sources + 1] = stream:account() end
  end
  table.sort(sources, function(a, b) return a.name < b.name end)
  local all = { events = before.events, bytes = before.bytes, lost = 0, late = 0, errors = 0, sources = sources }
  for _, account in ipairs(sources) do
    for _, what in ipairs(COUNTERS) do all[what] = (all[what] or 0) + account[what] end
  end
  all.errors = all.errors + M.timers.errors
  return all
end

--- What was counted so far.
--
-- @treturn table totals of all event sources: `events` and `bytes` delivered, `lost` (found a buffer full), `late` (out
--   of order in spite of `order = "time"`), `errors` (of handlers), `missed` (by probes, and what scripts told with
--   lp.missed); `sources`: a list with the same of each but `missed`, besides its `name`, `kind` ("ring" or "perf"),
--   `lost_by_cpu` (by CPU number), `high_water` and `capacity` (bytes of one buffer: the most that was in it, and its
--   size), `bytes_per_cpu`, `first_error`, `may_have_lost`: true for a ring buffer that was full, or a perf event array
--   without an entry for each CPU, whose program does not count what it could not send, as other people's do not
function M.stats()
  local all = totals()
  all.missed = missed_by_probes()
  for _, one in ipairs(missed) do all.missed = all.missed + one.count end
  return all
end

local function quantity(bytes)
  if bytes % 1048576 == 0 then return ("%d MiB"):format(bytes / 1048576) end
  if bytes % 1024 == 0 then return ("%d KiB"):format(bytes / 1024) end
  return ("%d bytes"):format(bytes)
end

-- What was lost of a source, why, and what helps; or nil.
local function loss_of(account)
  local advice = ("larger ones help (now %s per CPU)"):format(quantity(account.bytes_per_cpu))
  if account.lost > 0 then
    local why = account.overwrites and "they came while a snapshot was taken" or "the buffers were full; " .. advice
    return ("%s: lost %d of %d events: %s"):format(account.name, account.lost, account.lost + account.events, why)
  end
  if not account.may_have_lost then return nil end
  if account.kind == "perf" then
    return ("%s: may have lost events: there are CPUs without an entry in its array; max_entries = %d helps"):format(
      account.name, M.cpus())
  end
  return ("%s: may have lost events: its buffer was full, and its program does not count what it could not send; %s")
    :format(account.name, advice)
end

-- One line for each thing that went wrong with a source.
local function add_complaints(lines, account)
  lines[#lines + 1] = loss_of(account)
  if account.late > 0 then
    lines[#lines + 1] = ("%s: %d events came too late to be in order; a longer max_delay helps"):format(
      account.name, account.late)
  end
  if account.first_error then -- otherwise the one that ended the loop, which was raised
    lines[#lines + 1] = ("%s: %d errors in its handler, the first: %s"):format(
      account.name, account.errors, account.first_error)
  end
end

local function cpus_of(account)
  local cpus = {}
  for cpu in pairs(account.lost_by_cpu) do cpus[#cpus + 1] = cpu end
  table.sort(cpus)
  return cpus
end

local function line_of(account)
  local lost = {}
  for _, cpu in ipairs(cpus_of(account)) do
    lost[#lost + 1] = ("%d on CPU %d"):format(account.lost_by_cpu[cpu], cpu)
  end
  return ("%s (%s): %d events, %d bytes, lost %s%s, late %d, handler errors %d, at most %d of %s in a buffer"):format(
    account.name, account.kind, account.events, account.bytes, account.may_have_lost and "unknown" or account.lost,
    #lost > 0 and " (" .. table.concat(lost, ", ") .. ")" or "", account.late, account.errors, account.high_water,
    quantity(account.capacity))
end

--- The footer: what was lost; with --stats everything.
-- @treturn {string,…} lines for standard error
function M.footer()
  local all, lines = wanted.stats and M.stats() or totals(), {}
  for _, account in ipairs(all.sources) do add_complaints(lines, account) end
  if M.timers.first_error then
    lines[#lines + 1] = ("timers: %d errors, the first: %s"):format(M.timers.errors, M.timers.first_error)
  end
  for _, one in ipairs(missed) do lines[#lines + 1] = one.what end
  if not wanted.stats then return lines end
  for _, account in ipairs(all.sources) do lines[#lines + 1] = line_of(account) end
  lines[#lines + 1] = ("in all: %d events, %d bytes, lost %d, late %d, handler errors %d, missed %d"):format(
    all.events, all.bytes, all.lost, all.late, all.errors, all.missed)
  return lines
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function json_of(account)
  local fields, lost = {}, {}
  for _, what in ipairs { "events", "bytes", "lost", "late", "errors", "high_water", "capacity" } do
    fields[#fields + 1] = ('"%s":%.0f'):format(what, account[what])
  end
  for _, cpu in ipairs(cpus_of(account)) do lost[#lost + 1] = ('"%d":%.0f'):format(cpu, account.lost_by_cpu[cpu]) end
  return ('{"name":%s,"kind":"%s",%s,"may_have_lost":%s,"lost_by_cpu":{%s}}'):format(quoted(account.name),
    account.kind, table.concat(fields, ","), account.may_have_lost and "true" or "false", table.concat(lost, ","))
end

--- The last record of a --json run, or nil when it is not one.
-- @treturn string|nil a line
function M.json()
  if not wanted.json then return nil end
  local all, sources = M.stats(), {}
  for i, account in ipairs(all.sources) do sources[i] = json_of(account) end
  local format = '{"luaprobe":{"events":%.0f,"bytes":%.0f,"lost":%.0f,"late":%.0f,"errors":%.0f,"missed":%.0f,'
    .. '"sources":[%s]}}\n'
  return format:format(all.events, all.bytes, all.lost, all.late, all.errors, all.missed, table.concat(sources, ","))
end

--- Whether --strict was asked for and something was lost or missed.
function M.fails()
  if not wanted.strict then return false end
  local all = M.stats()
  for _, account in ipairs(all.sources) do
    if account.may_have_lost then return true end
  end
  return all.lost > 0 or all.missed > 0
end

return M
