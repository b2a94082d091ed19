--- Running a program on data that the caller gives.
-- @module luaprobe.test_run
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local M = {}

local ROOM = 4096 -- bytes for what a program makes of a packet, beyond what it was given

local OPTIONS = { data = true, context = true, data_size = true, repeat_count = true }
local LARGEST_DATA, MOST_RUNS = 1048576, 1000000

local function check_options(opts)
  if type(opts) ~= "table" then err.misuse("test_run takes a table, not a %s", type(opts)) end
  for name in pairs(opts) do
    if not OPTIONS[name] then err.misuse("test_run has no option '%s'", tostring(name)) end
  end
end

local function check_number(name, number, most)
  if number ~= nil and (type(number) ~= "number" or not (number >= 0 and number <= most) or number % 1 ~= 0) then
    err.misuse("test_run: %s is a whole number up to %d, not %s", name, most, tostring(number))
  end
end

local function check_text(name, text)
  if text ~= nil and type(text) ~= "string" then err.misuse("test_run: %s is a string, not a %s", name, type(text)) end
end

-- Only what was given has a result: the kernel refuses room for the other.
local function room_for(text, size)
  if not text then return nil, 0 end
  return ffi.new("uint8_t[?]", math.max(size, 1)), size
end

--- See Program:test_run.
function M.run(program, opts)
  check_options(opts)
  check_number("data_size", opts.data_size, LARGEST_DATA)
  check_number("repeat_count", opts.repeat_count, MOST_RUNS)
  check_text("data", opts.data)
  check_text("context", opts.context)
  local run = ffi.new "struct lp_test_run"
  local data_out, data_size = room_for(opts.data, opts.data_size or #(opts.data or "") + ROOM)
  local context_out, context_size = room_for(opts.context, #(opts.context or ""))
  run.data_in, run.data_size_in = opts.data, #(opts.data or "")
  run.data_out, run.data_size_out = data_out, data_size
  run.context_in, run.context_size_in = opts.context, #(opts.context or "")
  run.context_out, run.context_size_out = context_out, context_size
  run.repeat_count = opts.repeat_count or 0
  local code = C.lp_object_test_run(program.object.handle, program.index, run)
  if code == -22 and context_out ~= nil then -- kinds whose context is only read take no room for it
    run.context_out, run.context_size_out = nil, 0
    code = C.lp_object_test_run(program.object.handle, program.index, run)
  end
  err.check(code)
  return {
    result = run.result, duration = run.duration,
    data = data_out ~= nil and ffi.string(data_out, run.data_size_out) or nil,
    context = context_out ~= nil and ffi.string(context_out, run.context_size_out) or nil,
  }
end

return M
