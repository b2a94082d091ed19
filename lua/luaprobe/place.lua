--- What names mean where a probe is: a function's arguments, a tracepoint's fields, the registers of user space, and
-- what there is everywhere.
-- @module luaprobe.place
local C = require "luaprobe.cdef"
local doctor = require "luaprobe.doctor"
local err = require "luaprobe.error"
local expression = require "luaprobe.expression"
local kernel = require "luaprobe.kernel"
local ksyms = require "luaprobe.ksyms"
local nearest = require "luaprobe.nearest"
local primitive = require "luaprobe.primitive"
local tracefs = require "luaprobe.tracefs"

local M = {}

local RETURNED, CONTEXT = 6, 7 -- enum lp_source of bpf/include/fetch.bpf.h
local REGISTERS = 6

local Place = {}
Place.__index = Place

local function operand(source, type, more)
  local result = { source = source, types = type.types, id = type.id }
  for name, value in pairs(more or {}) do result[name] = value end
  return result
end

local EVERYWHERE = {
  pid = { 8, "pid_t", 4 }, tid = { 9, "pid_t", 4 }, uid = { 10, "uid_t", 4 }, cpu = { 11, "unsigned int", 4 },
}

--- What does not depend on the target.
-- @treturn table|nil as operand's
function Place:everywhere(name)
  local known = EVERYWHERE[name]
  if known then return operand(known[1], primitive.integer(known[2], known[3], false)) end
  if name == "comm" then return operand(14, primitive.array("char", 1, true, 16), { offset = 0 }) end
  if name ~= "duration" then return nil end
  if not self.joined then return nil, "there is no duration unless entry and return are joined: ret = true" end
  return operand(13, primitive.integer("u64", 8, false), { at_return = true })
end

-- ---- functions of the kernel ---------------------------------------------------------------------------------------

-- How many registers a parameter takes; structs of up to 16 bytes lie in one or two.
local function registers(types, parameter)
  local type = types:get(parameter.type_id)
  return type.size > 16 and 0 or math.max(1, math.ceil(type.size / 8))
end

-- Why there is no type of a function.
local function no_function(self)
  local reason, hint = doctor.absent_module(self.name, self.module)
  if reason then return reason, hint end
  local symbol = ksyms.find(self.name, self.module)[1]
  if not symbol then
    return "there is no such function in this kernel", nearest.hint(self.name, ksyms.nearest(self.name, 5), "there are")
  elseif symbol.module ~= "" and not C.lp_kernel_at_least(5, 11) then
    return ("it is in the module %s, and before Linux 5.11 modules do not tell their types"):format(symbol.module)
  end
  return ("the kernel's types do not tell the arguments of %s"):format(self.name)
end

local function read_prototype(self)
  local name = self.name:match "^[^.]+"
  local func = self.module ~= "" and kernel.find_in(self.module, "func " .. name) or kernel.find("func " .. name)
  if not func then
    return nil, no_function(self)
  elseif name ~= self.name then
    return nil, ("%s is what the compiler made of %s, and its arguments with it"):format(self.name, name)
  end
  local types, prototype = func.types, func.types:get(func.of)
  local place = { types = types, returns = prototype.of, parameters = {} }
  local register = 0
  for i, parameter in ipairs(prototype.parameters) do
    place.parameters[i] = { name = parameter.name, type_id = parameter.type_id, register = register }
    if parameter.type_id ~= 0 then register = register + registers(types, parameter) end
  end
  return place
end

local function prototype_of(self)
  if self.prototype == nil then self.prototype, self.no_prototype, self.near = read_prototype(self) end
  return self.prototype
end

local function not_at_return(self, name)
  return ("argument %s of %s is gone when it returns"):format(name, self.name),
    "trace the entry, and ask for the return: ret = true"
end

local function argument(self, index)
  local parameter = self.prototype.parameters[index]
  if self.only_returns then return nil, not_at_return(self, parameter.name) end
  if parameter.register >= REGISTERS then
    return nil, ("argument %s of %s is on the stack, which is not followed"):format(parameter.name, self.name)
  end
  return operand(parameter.register, { types = self.prototype.types, id = parameter.type_id })
end

local function register_operand(self, name)
  local index = tonumber(name:match "^arg(%d)$")
  if not index or index >= REGISTERS then return nil end
  if self.only_returns then return nil, not_at_return(self, name) end
  return operand(index, primitive.integer("unsigned long", 8, false), { user = self.user, untyped = true })
end

local function returned(self, type)
  if not self.only_returns and not self.joined then
    return nil, "there is no return value at an entry", "ask for it: ret = true, or trace the return"
  end
  return operand(RETURNED, type, { at_return = self.joined, user = self.user, untyped = type.untyped })
end

local LOOKUP = {}

function LOOKUP.kernel(self, name)
  local prototype = prototype_of(self)
  for i, parameter in ipairs(prototype and prototype.parameters or {}) do
    if parameter.name == name or name == "arg" .. i - 1 then return argument(self, i) end
  end
  if name == "ret" then
    if prototype and prototype.returns == 0 then return nil, self.name .. " returns nothing" end
    return returned(self, prototype and { types = prototype.types, id = prototype.returns }
      or primitive.integer("long", 8, true))
  end
  return register_operand(self, name)
end

function LOOKUP.user(self, name)
  if name == "ret" then
    local type = primitive.integer("long", 8, true)
    type.untyped = true
    return returned(self, type)
  end
  return register_operand(self, name)
end

-- What the function of a system call is given differs from processor to processor.
function LOOKUP.syscall(self, name)
  if name == "ret" then return returned(self, primitive.integer("long", 8, true)) end
  if self:everywhere(name) then return nil end
  return nil, ("system call %s: the arguments are not told here, '%s' neither"):format(self.name, name),
    ("take tracepoint:syscalls:sys_enter_%s, whose fields have names"):format(self.name)
end

-- ---- tracepoints ---------------------------------------------------------------------------------------------------

-- "field:char prev_comm[16];	offset:8;	size:16;	signed:0;"
local function parse_field(line)
  local declaration, offset, size, signed = line:match "field:([^;]+);%s*offset:(%d+);%s*size:(%d+);%s*signed:(%d);"
  if not declaration then return nil end
  local location = declaration:match "^__(%a+)_loc "
  local type, name, count = declaration:match "^(.-)%s*([%a_][%w_]*)%s*%[([^%]]*)%]$"
  if not type then type, name = declaration:match "^(.-)%s*([%a_][%w_]*)$" end
  if location then -- __data_loc char[] name
    type, name, count = declaration:match "^__%a+_loc (.-)%[%] ([%a_][%w_]*)$"
  end
  if not name then return nil end
  return { name = name, declaration = type, offset = tonumber(offset), size = tonumber(size), signed = signed == "1",
    count = tonumber(count), location = location == "data" and 1 or location == "rel" and 2 or nil }
end

--- The fields of a tracepoint, by its format file.
-- @treturn {table,…} and by name: `name`, `declaration`, `offset`, `size`, `signed`, `count`, `location`; nil and a
--   negative errno where it cannot be read
function M.tracepoint_fields(category, name)
  local format, code = tracefs.read(("events/%s/%s/format"):format(category, name))
  if not format then return nil, code end
  local fields = {}
  for line in format:gmatch "[^\n]+" do
    local field = parse_field(line)
    if field and not field.name:find "^common_" then
      fields[#fields + 1] = field
      fields[field.name] = field
    end
  end
  return fields
end

local ENOENT = -2

local function fields_of(self)
  if self.fields then return self.fields end
  local fields, code = M.tracepoint_fields(self.category, self.name)
  if code == ENOENT then
    err.raise(doctor.explain_tracepoint(self, { code = "ENOENT", stage = "expression",
      message = ("tracepoint:%s:%s: this kernel has no such tracepoint"):format(self.category, self.name) }))
  end
  self.fields = fields or {}
  return self.fields
end

-- `category`: what pointers of system calls point at is user space's.
local function field_operand(field, at_return, category)
  local type
  if field.location then
    type = primitive.array("char", 1, true, 0)
  else
    type = primitive.of_field(field.declaration, field.size, field.signed, field.count)
  end
  return operand(CONTEXT, type, { offset = field.offset, data_location = field.location, at_return = at_return,
    untyped = field.declaration:find "%*" ~= nil, points_at_user = category == "syscalls" })
end

function LOOKUP.tracepoint(self, name)
  if name == "ret" and self.joined then
    return field_operand(M.tracepoint_fields(self.category, (self.name:gsub("^sys_enter_", "sys_exit_"))).ret, true)
  end
  local field = fields_of(self)[name]
  return field and field_operand(field, false, self.category)
end

-- ---- looking up ----------------------------------------------------------------------------------------------------

local function names_of(self)
  local names = {}
  if self.kind == "kernel" then
    for _, parameter in ipairs(self.prototype and self.prototype.parameters or {}) do
      if parameter.name ~= "" then names[#names + 1] = parameter.name end
    end
  elseif self.kind == "tracepoint" then
    for _, field in ipairs(fields_of(self)) do names[#names + 1] = field.name end
  else
    for i = 0, REGISTERS - 1 do names[#names + 1] = "arg" .. i end
  end
  return names
end

--- Whether a fetch begins with what every event has, like its pid, and not with what only this target has.
function M.is_everywhere(fetch)
  return fetch.source > CONTEXT
end

--- What expressions can begin with here.
-- @treturn {string,…}
function Place:names()
  if self.kind == "kernel" then prototype_of(self) end
  local names = names_of(self)
  for name in pairs(EVERYWHERE) do names[#names + 1] = name end
  names[#names + 1] = "comm"
  if self.joined or self.only_returns then names[#names + 1] = "ret" end
  if self.joined then names[#names + 1] = "duration" end
  return names
end

local WHAT = { kernel = "argument", tracepoint = "field", user = "register", syscall = "argument" }

--- What a name stands for here.
-- @tparam table parsed an expression, whose `base` is looked up
-- @treturn table what luaprobe.fetch starts from
-- @raise error of stage "expression"
function Place:operand(parsed)
  local name = parsed.base
  local found, reason, hint = LOOKUP[self.kind](self, name)
  if not found and not reason then found, reason, hint = self:everywhere(name) end
  if found then return found end
  if not reason then
    reason = ("%s has no %s '%s'"):format(self.name, WHAT[self.kind], name)
    if self.no_prototype then reason = reason .. ": " .. self.no_prototype end
    hint = self.near or self.kind == "user" and "arguments of user space go by register: arg0 to arg5, and ret"
      or nearest.hint(name, names_of(self), "it has")
  end
  expression.wrong(parsed.text, reason, hint)
end

--- The place of a target.
-- @tparam table target a luaprobe.target: a single function or tracepoint
-- @tparam boolean joined entry and return become one
-- @treturn Place
function M.of(target, joined)
  local kind = target.kind
  local place = setmetatable({ name = target.name, joined = joined,
    only_returns = target.returns and not joined }, Place)
  if kind == C.LP_KPROBE or kind == C.LP_KRETPROBE then
    place.kind, place.module = "kernel", target.category
    if place.name == "" then place.name = target.text end
  elseif kind == C.LP_UPROBE or kind == C.LP_URETPROBE or kind == C.LP_USDT then
    place.kind, place.user = "user", true
    if place.name == "" then place.name = target.text end
  elseif kind == C.LP_TRACEPOINT then
    place.kind, place.category = "tracepoint", target.category
  elseif kind == C.LP_KSYSCALL or kind == C.LP_KRETSYSCALL then
    place.kind, place.name = "syscall", target.text:match "[^:]*$"
  else
    err.raise { code = "EINVAL", stage = "expression",
      message = target.text .. ": one-liners are for kprobes, uprobes, USDT probes and tracepoints" }
  end
  return place
end

return M
