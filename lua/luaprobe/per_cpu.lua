--- Values of per-CPU maps: arrays with one value for each possible CPU, CPU 0 first.
-- @module luaprobe.per_cpu
local ffi = require "ffi"
local err = require "luaprobe.error"
local value = require "luaprobe.value"

local M = {}

local PerCpu = {}
PerCpu.__index = PerCpu

local function is_whole(number)
  return type(number) == "cdata" or number % 1 == 0
end

-- An integer is only a Lua number below 2^53, so what is beyond was a double and stays one.
local function is_double(number)
  return type(number) == "number" and math.abs(number) >= 2 ^ 53
end

-- Adds in 64 bits, with a sign where there is one, where whole numbers are beyond a double's.
local function add(sum, number)
  if type(number) == "boolean" then number = number and 1 or 0 end
  local is_small = type(sum) == "number" and type(number) == "number" and math.abs(sum + number) < 2 ^ 53
  local in_double = is_small or is_double(sum) or is_double(number) or not is_whole(sum) or not is_whole(number)
  if in_double then return tonumber(sum) + tonumber(number) end
  local is_signed = ffi.istype("int64_t", sum) or ffi.istype("int64_t", number) or sum < 0 or number < 0
  local type_name = is_signed and "int64_t" or "uint64_t"
  return ffi.cast(type_name, sum) + ffi.cast(type_name, number)
end

-- The number that a CPU's value adds; a misuse when it is none.
local function summand(each, field)
  local ok, number = true, each
  if field then ok, number = pcall(function() return each[field] end) end
  if ok then number = value.integer(number) end
  if ok and (type(number) == "number" or type(number) == "boolean" or value.is_integer(number)) then return number end
  err.misuse(field and "sum: the values have no number '%s'" or "sum: the values are no numbers: name a field%s",
    field and tostring(field) or "")
end

-- The sums of all members of structs that are numbers.
local function sum_of_structs(list)
  local totable = require("luaprobe.pretty").totable
  local sums = {}
  for _, each in ipairs(list) do
    for name, number in pairs(totable(each)) do
      if type(number) == "number" or type(number) == "cdata" then sums[name] = add(sums[name] or 0, number) end
    end
  end
  for name, number in pairs(sums) do sums[name] = value.integer(number) end
  return sums
end

--- The sum over all CPUs.
-- @tparam[opt] string field of values that are structs; without it a table of the sums of all their numbers
-- @treturn number|cdata|table
function PerCpu:sum(field)
  if type(self[1]) == "cdata" and not field and not value.is_integer(self[1]) then return sum_of_structs(self) end
  local sum = 0
  for i = 1, #self do
    sum = add(sum, summand(self[i], field))
  end
  return value.integer(sum)
end

function PerCpu:__tostring()
  return require("luaprobe.pretty").text { unpack(self) }
end

--- The codec of a per-CPU map's values, made of one CPU's. A single value is written for every CPU.
-- @tparam table one luaprobe.codec of one CPU's value
-- @tparam number stride bytes from one CPU's to the next
-- @tparam number cpus
function M.codec(one, stride, cpus)
  local function copy(address)
    local list = {}
    for i = 1, cpus do list[i] = one.copy(address + (i - 1) * stride) end
    return setmetatable(list, PerCpu)
  end
  local is_array = one.type ~= nil and one.type.kind == "array" -- then a list of numbers is one CPU's value
  local is_number = one.type ~= nil and not one.type.members and not is_array -- then no table is one CPU's value
  local function encode(address, new, what)
    local is_table = type(new) == "table"
      and (is_number or new[1] ~= nil and (not is_array or type(new[1]) ~= "number"))
    local is_list = getmetatable(new) == PerCpu or is_table and #new == cpus
    if is_table and not is_list then
      err.raise { code = "EINVAL", stage = "map",
        message = ("%s has %d elements, and this machine %d CPUs"):format(what, #new, cpus) }
    end
    ffi.fill(address, stride * cpus)
    for i = 1, cpus do
      local each = new
      if is_list then each = new[i] end
      one.encode(address + (i - 1) * stride, each, is_list and ("%s[%d]"):format(what, i) or what)
    end
  end
  return { view = copy, copy = copy, encode = encode, size = one.size, name = one.name .. " of each CPU",
    type = one.type }
end

return M
