--- lp.trace: one event per hit, with fields.
-- @module luaprobe.trace
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local clock = require "luaprobe.clock"
local err = require "luaprobe.error"
local expression = require "luaprobe.expression"
local field_value = require "luaprobe.field_value"
local keys = require "luaprobe.key"
local live = require "luaprobe.live"
local places = require "luaprobe.place"
local plans = require "luaprobe.plan"
local takes = require "luaprobe.takes"
local text = require "luaprobe.text"
local value_of = require "luaprobe.value"

local M = {}

local FIELDS = 8
local KEEP = 1000 -- events for items()

local Trace = {}
Trace.__index = Trace

-- ---- events --------------------------------------------------------------------------------------------------------

local function decode(self, event)
  local record = {
    time = value_of.integer(event.time), pid = event.pid, tid = event.tid, uid = event.uid, cpu = event.cpu,
    comm = ffi.string(event.comm, C.lp_text_length(event.comm, 16)), func = self.name_of(event["function"]),
  }
  if self.joined then record.duration = value_of.integer(event.duration) end
  if self.with_stack then record.stack = keys.stack_of(self.object, 0ULL + event.stack) end
  for _, field in ipairs(self.fields) do record[field.name] = field_value.of_event(field, event) end
  if event.cut ~= 0 then
    record.cut, self.cut = event.cut, self.cut + 1
  end
  return setmetatable(record, self.record_meta)
end

-- "how->flags" can be asked for as event.flags, too, unless something else is called so.
local function record_meta(fields)
  local long = {}
  for _, field in ipairs(fields) do
    local short = field.name:match "([%a_][%w_]*)$"
    if short and short ~= field.name then
      if long[short] == nil then long[short] = field.name else long[short] = false end
    end
  end
  return { __index = function(record, name)
    local name_in_full = long[name]
    return name_in_full and rawget(record, name_in_full) or nil
  end }
end

local function shown(self, record)
  local parts = {}
  if self.is_pattern then parts[1] = record.func end
  for _, field in ipairs(self.fields) do
    local value = record[field.name]
    local one
    if field.is_text and value ~= nil then
      local is_cut = record.cut and bit.band(record.cut, bit.lshift(1, field.index)) ~= 0
      one = text.quoted(value) .. (is_cut and "…" or "")
    else
      one = field_value.show(field, value)
    end
    parts[#parts + 1] = field.name .. "=" .. one
  end
  if record.duration then parts[#parts + 1] = ("(%.1f us)"):format(tonumber(record.duration) / 1e3) end
  return table.concat(parts, " ")
end

--- An event as a line, with its stack below where there is one.
-- @tparam table record of items()
-- @treturn string
function Trace:line(record)
  takes.method(Trace, self, "line")
  if getmetatable(record) ~= self.record_meta then err.misuse "line takes an event of this trace: one of items()" end
  local line = ("%s %-7d %-15s %s\n"):format(clock.time_of_day(record.time), record.pid, text.of(record.comm),
    shown(self, record))
  if not record.stack then return line end
  return line .. "    " .. table.concat(record.stack, "\n    ") .. "\n"
end

local function by_time(a, b)
  return a.time < b.time
end

-- Everything that is in the buffers now, by time.
local function read(self)
  local stream = self.object.maps.events:stream()
  local records, count = {}, stream:read()
  while count > 0 and #records < 100000 do
    for i = 0, count - 1 do records[#records + 1] = decode(self, ffi.cast(self.pointer, stream.batch[i].data)) end
    count = stream:read()
  end
  table.sort(records, by_time)
  return records
end

local function keep(self, record)
  self.kept[#self.kept + 1] = record
  if #self.kept >= 2 * self.keep then self.kept = { unpack(self.kept, #self.kept - self.keep + 1) } end
end

--- Takes events out of the buffers, to be had by items().
-- @tparam[opt] {string,…} lines gets what there is to show
-- @treturn {table,…} the new ones
function Trace:pull(lines)
  takes.method(Trace, self, "pull")
  if not self.object.handle then return {} end
  if lines and lines ~= self.unshown and #self.unshown > 0 then
    lines[#lines + 1], self.unshown = table.concat(self.unshown), {}
  end
  local records = read(self)
  for _, record in ipairs(records) do
    keep(self, record)
    if lines and not self.quiet then lines[#lines + 1] = self:line(record) end
  end
  return records
end

--- The events so far, the last thousand of them.
-- @treturn {table,…} each with `time` (nanoseconds of CLOCK_MONOTONIC), `pid`, `tid`, `uid`, `cpu`, `comm`, `func`,
--   `duration` (nanoseconds) and `stack` where asked for, and the fields by name
function Trace:items()
  takes.method(Trace, self, "items")
  self:pull(live.shows_events and self.unshown or nil)
  if #self.kept > self.keep then self.kept = { unpack(self.kept, #self.kept - self.keep + 1) } end
  return { unpack(self.kept) }
end

--- Iterates over events as they come: `for event in t:each() do … end`, until Ctrl-C.
-- @tparam[opt] number seconds ends after so many
function Trace:each(seconds)
  takes.method(Trace, self, "each")
  takes.seconds("each", seconds)
  local queue, at = {}, 0
  local due = seconds and tonumber(C.lp_time_monotonic()) + seconds * 1e9
  local caught = C.lp_stop_catch()
  return function()
    while at >= #queue do
      queue, at = self:pull(), 0
      if #queue == 0 then
        local over = due and tonumber(C.lp_time_monotonic()) >= due
        if over or C.lp_stop_pending() ~= 0 or not self.object.handle then
          if caught then C.lp_stop_release() end
          return nil
        end
        C.lp_time_sleep(10)
      end
    end
    at = at + 1
    return queue[at]
  end
end

--- Prints events as they come, until Ctrl-C.
-- @tparam[opt] number seconds ends after so many
function Trace:watch(seconds)
  takes.method(Trace, self, "watch")
  takes.seconds("watch", seconds)
  for event in self:each(seconds) do live.write(self:line(event)) end
end

--- Prints the events so far.
function Trace:print()
  takes.method(Trace, self, "print")
  for _, record in ipairs(self:items()) do live.write(self:line(record)) end
end

--- Events that were to be sent.
-- @treturn number
function Trace:total()
  takes.method(Trace, self, "total")
  return self.object.handle and tonumber(self.object.data.hits) or self.final_total or 0
end

--- Events that found a buffer full, calls that found no room to wait for their return, and hits that the kernel left
-- out.
-- @treturn number
function Trace:lost()
  takes.method(Trace, self, "lost")
  if not self.object.handle then return self.final_lost or 0 end
  return self.object.maps.events.lost + tonumber(self.object.data.unjoined) + live.missed(self.object)
end

--- Detaches; the events so far stay.
function Trace:detach()
  takes.method(Trace, self, "detach")
  if not self.object.handle then return end
  self.object:detach()
  self:pull(live.shows_events and self.unshown or nil)
  live.write(table.concat(self.unshown))
  self.unshown = {}
  self.final_total, self.final_lost = self:total(), self:lost()
  self.object:close()
  live.forget(self)
end
Trace.close = Trace.detach

function Trace:__tostring()
  return ("trace %s: %.0f events, %.0f lost%s"):format(self.target, self:total(), self:lost(),
    self.object.handle and "" or ", detached")
end

-- ---- making one ----------------------------------------------------------------------------------------------------

local OPTIONS = { where = true, ret = takes.switch, stack = takes.switch, pid = takes.id, tid = takes.id,
  uid = takes.user, comm = true, mechanism = true, quiet = takes.switch, keep = takes.many }

-- What every event has by itself. A tracepoint's own field of such a name is another thing: it gets a "_" before it.
local RESERVED = { time = true, pid = true, tid = true, uid = true, cpu = true, comm = true, func = true,
  duration = true, stack = true, cut = true }

local function parse_fields(list)
  if type(list) == "table" then
    local name = next(list)
    if name ~= nil and #list == 0 then
      err.misuse("lp.trace takes fields before its options: lp.trace(TARGET, nil, { %s = … })", tostring(name))
    end
    list = table.concat(list, ",")
  end
  if list ~= nil and type(list) ~= "string" then
    err.misuse("lp.trace takes its fields as a string, not as a %s", type(list))
  end
  local parsed = expression.parse_list(list)
  if #parsed > FIELDS then
    err.raise { code = "E2BIG", stage = "expression",
      message = ("%d fields, and %d are fetched"):format(#parsed, FIELDS) }
  end
  return parsed
end

-- Whether an entry's fields ask for its return.
local function asks_for_return(target, parsed)
  if type(target) ~= "string" or target:find "^k?u?ret" then return false end
  for _, one in ipairs(parsed) do
    if one.base == "ret" and target:find "^[ku]probe:" or one.base == "duration" then return true end
  end
  return false
end

--- The fields of a trace, taken apart, and whether an entry is joined with its return.
-- @raise error of stage "expression", or a misuse
function M.parse(target, fields, ret)
  local parsed = parse_fields(fields)
  return parsed, ret or asks_for_return(target, parsed)
end

-- Compiles the fields; texts get their places in the event.
local function compile_fields(plan, parsed)
  local fields, texts, formats, names = {}, 0, {}, {}
  for i, one in ipairs(parsed) do
    local field = plan:compile(one)
    if names[field.name] then
      expression.wrong(field.name, "two fields are called so", ("give one another name: NAME = %s"):format(field.text))
    end
    names[field.name] = true
    field.index = i - 1
    local is_same = field.name == field.text and places.is_everywhere(field.fetch)
    if RESERVED[field.name] and not is_same then field.name = "_" .. field.name end
    if field.is_text or field.bytes then
      field.fetch.slot, texts = texts, texts + 1
    end
    formats[one.text] = one.format
    fields[i] = field
  end
  return fields, texts, formats
end

-- A joined event has its result, where the function has one.
local function add_result(plan, fields)
  for _, field in ipairs(fields) do
    if field.text == "ret" then return end
  end
  local ok, field = pcall(plan.compile, plan, expression.parse "ret")
  if not ok then return end
  field.index = #fields
  fields[#fields + 1] = field
end

local function const_of(self, plan, opts)
  local fields, texts, formats = compile_fields(plan, self.parsed)
  if self.joined then add_result(plan, fields) end
  local fetches = {}
  for i, field in ipairs(fields) do fetches[i] = field.fetch end
  self.fields = fields
  return { fields = fetches, texts = texts, joined = self.joined, with_stack = self.with_stack,
    conditions = plan:conditions(opts.where, formats) }
end

local function prepare(self)
  return function(object)
    if not self.with_stack then plans.resize(object, "stacks", 1) end
    if not self.joined then plans.resize(object, "calls", 1) end
    self.pointer = object.types:pointer(object.types:find("struct event").id)
  end
end

--- Sends an event for each hit of a probe, from now on.
--
--     lp.trace("kprobe:do_sys_openat2", "dfd, filename:ustr, how->flags:x", { where = "comm == 'cat'", ret = true })
--
-- At the prompt events are shown as they come; a script calls `:watch()`, or iterates by `:each()`. Fields are written
-- as the kernel's source writes them: an argument of the function, a field of the tracepoint, `ret`, or for user space
-- `arg0` to `arg5`, or what every event has: `pid`, `tid`, `uid`, `cpu`, `comm`, `duration`. A tracepoint's own field
-- goes before these, also in `where` and `by`: `pid` of sched_wakeup is who is woken, shown as `_pid`. Then up to four
-- members (`file->f_path.dentry->d_name.name`), constant indices (`[0]`) among them; and a format: `:str` (a text),
-- `:ustr` (a text of user space), `:x` (hexadecimal), `:d` (with a sign, whatever the type), `:d32` (an int of user
-- space), `:sym` (a kernel address by name), `:ip` (an IP address). `NAME = EXPRESSION` calls it NAME.
--
-- Of a function of user space the kernel follows 64 calls within each other, and does not tell of deeper ones.
-- @tparam string target "kprobe:vfs_read", "tracepoint:sched:sched_switch", "uprobe:libc:malloc", or a pattern
-- @tparam[opt] string fields up to 8, separated by commas
-- @tparam[opt] table opts `where`: see luaprobe.where; `ret`: joins entry and return, which adds the fields `ret` and
--   `duration`; `stack`: adds the kernel's stack; `pid`, `tid`, `uid`, `comm`: only these; `quiet`: not shown at the
--   prompt; `keep`: how many events items() has (1000); `mechanism`: see luaprobe.program's attach
-- @treturn Trace `:items()`, `:each()`, `:watch()`, `:print()`, `:total()`, `:lost()`, `:detach()`
-- @raise errors of stages "expression", "load", "attach"
function M.new(target, fields, opts)
  opts = takes.options("lp.trace", opts, OPTIONS)
  local parsed, joined = M.parse(target, fields, opts.ret)
  local plan = plans.new("lp.trace", target, opts, joined)
  local self = setmetatable({ target = target, what = "trace", parsed = parsed, joined = joined,
    keep = opts.keep or KEEP, with_stack = opts.stack or false, quiet = opts.quiet, kept = {}, unshown = {}, cut = 0,
    is_pattern = plan.target.wildcard }, Trace)
  if self.with_stack then plan:check_stack() end
  local const = const_of(self, plan, opts)
  if self.is_pattern and C.lp_kernel_at_least(5, 15) then plan:tell_functions() end
  self.name_of = plan:namer()
  self.record_meta = record_meta(self.fields)
  self.object = plan:attach("trace", const, prepare(self))
  live.remember(self)
  return self
end

return M
