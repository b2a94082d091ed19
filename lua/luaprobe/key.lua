--- What count and latency group by.
-- @module luaprobe.key
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local entries = require "luaprobe.raw_entries"
local err = require "luaprobe.error"
local expression = require "luaprobe.expression"
local field_value = require "luaprobe.field_value"
local plans = require "luaprobe.plan"

local M = {}

local NUMBERS = { pid = true, tid = true, cpu = true, uid = true }
local SIZE = 32      -- bytes of a key
local FRAMES = 127

local word_pointer, char_pointer = ffi.typeof "const uint64_t *", ffi.typeof "const char *"

local function by_function(plan)
  plan:tell_functions()
  local name_of = plan:namer()
  return {
    const = { used = 1, source = plans.FUNCTION, form = 0 }, title = "FUNC",
    value = function(key) return name_of(ffi.cast(word_pointer, key)[0]) end,
  }
end

local frames = ffi.new("uint64_t[?]", FRAMES)
local id = ffi.new "uint32_t[1]"

-- The functions of a stack, the innermost first, or the error that came in its place.
local function stack_of(object, number)
  if number >= 0x80000000ULL then return { "[no stack: " .. (number == 0ULL - 14 and "EFAULT" or "lost") .. "]" } end
  id[0] = number
  ffi.fill(frames, FRAMES * 8)
  if not entries.lookup(object, "stacks", id, frames) then return { "[stack lost]" } end
  local list = {}
  for i = 0, FRAMES - 1 do
    if frames[i] == 0 then break end
    list[#list + 1] = require("luaprobe.ksyms").text(frames[i])
  end
  return list
end

M.stack_of = stack_of

local function by_stack(plan)
  plan:check_stack()
  return {
    stack = true, title = "STACK",
    value = function(key, object) return stack_of(object, ffi.cast(word_pointer, key)[0]) end,
  }
end

local function by_field(plan, text)
  local field = plan:compile(expression.parse(text))
  if field.bytes then expression.wrong(text, "addresses that lie in memory are no keys: lp.trace shows them") end
  return {
    const = field.fetch, title = field.name:upper(), field = field,
    value = function(key)
      if field.is_text then
        key = ffi.cast(char_pointer, key)
        return ffi.string(key, C.lp_text_length(key, SIZE))
      elseif field.format == "sym" then
        return require("luaprobe.ksyms").symbol(ffi.cast(word_pointer, key)[0])
      elseif field.format == "ip" then
        return field_value.address(ffi.cast("const uint8_t *", key), 4)
      end
      return field_value.number(field, ffi.cast(word_pointer, key)[0])
    end,
  }
end

--- Makes of `by` what the template is told, and how its keys are read.
-- @param plan the luaprobe.plan
-- @tparam[opt] string by "func", "comm", "pid", "tid", "cpu", "uid", "stack", or a field expression; nil: all together
-- @treturn table `const` (what `by` in the template is set to), `stack`, `title`, `value(key, object)`, `show(value)`
-- @raise error of stage "expression"
function M.new(plan, by)
  if by ~= nil and type(by) ~= "string" then err.misuse("by is a string, not a %s", type(by)) end
  local key
  if by == nil then
    key = { title = "ALL", value = function() return "all" end }
  elseif by == "func" then
    key = by_function(plan)
  elseif by == "stack" or by == "kstack" then
    key = by_stack(plan)
  else
    key = by_field(plan, by)
    if NUMBERS[by] or by == "comm" then key.title = by:upper() end
  end
  function key.show(value)
    if key.stack then return table.concat(value, "\n                 ") end
    return key.field and field_value.show(key.field, value) or tostring(value)
  end
  -- What makes two values the same.
  function key.identity(value)
    return type(value) == "table" and table.concat(value, "\n") or type(value) == "cdata" and tostring(value) or value
  end
  return key
end

return M
