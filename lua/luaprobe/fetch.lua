--- Field expressions compiled into what a BPF template fetches: a source, up to six reads of memory, a cut of bits.
--
-- bpf/include/fetch.bpf.h has the other side: `struct fetch`.
-- @module luaprobe.fetch
local expression = require "luaprobe.expression"
local kernel = require "luaprobe.kernel"
local nearest = require "luaprobe.nearest"

local M = {}

local NUMBER, TEXT, USER_TEXT, BYTES = 0, 1, 2, 3 -- enum lp_form
local READS = 6
local MEMBERS = 4 -- an index is none

-- Where a compilation stands: the value of `type` is in the register, or (in_memory) at `offset` behind it.
local Walk = {}
Walk.__index = Walk

local function wrong(walk, reason, ...)
  expression.wrong(walk.expression.text, reason:format(...))
end

-- The type's name as C declares it, for messages.
local function name_of(walk)
  return walk.types:declaration(walk.id, "")
end

local function set_type(walk, types, id)
  walk.types, walk.id, walk.type = types, id, types:get(id)
end

local function add_read(walk)
  if #walk.reads == READS then wrong(walk, "too many steps: memory is read %d times at most", READS) end
  walk.reads[#walk.reads + 1] = walk.offset
  walk.offset, walk.in_memory = 0, false
end

-- Makes the register hold the pointer that the walk stands at.
local function load_pointer(walk)
  if walk.in_memory then add_read(walk) end
end

-- A struct that is only declared where it was found may be defined elsewhere: in the kernel proper, in a module.
local function defined(walk)
  if walk.type.kind ~= "fwd" then return walk.type.members ~= nil end
  local whole = kernel.find("struct " .. walk.type.name) or kernel.find("union " .. walk.type.name)
  if whole then set_type(walk, whole.types, whole.id) end
  return whole ~= nil
end

local function member_names(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  return names
end

local function enter_member(walk, step)
  local fields = walk.types:fields(walk.type)
  local member = fields[step.name]
  if not member then
    expression.wrong(walk.expression.text, ("%s has no member '%s'"):format(name_of(walk), step.name),
      nearest.hint(step.name, member_names(fields), "it has"))
  end
  walk.offset = walk.offset + member.offset
  walk.bits = member.bit_size and { first = member.bit_offset - member.offset * 8, size = member.bit_size }
  walk.in_memory = true
  set_type(walk, walk.types, member.type_id)
end

local STEP = {}

STEP["->"] = function(walk, step)
  if walk.type.kind ~= "ptr" then
    wrong(walk, "member '%s': %s is not a pointer%s", step.name, name_of(walk),
      walk.type.members and walk.in_memory and ": write ." .. step.name or "")
  end
  local pointer = name_of(walk)
  load_pointer(walk)
  if walk.type.of == 0 then wrong(walk, "member '%s': what %s points to is not known", step.name, pointer) end
  set_type(walk, walk.types, walk.type.of)
  if not defined(walk) then
    wrong(walk, "member '%s': %s does not point to a struct or union that is known here", step.name, pointer)
  end
  enter_member(walk, step)
end

STEP["."] = function(walk, step)
  if walk.type.kind == "ptr" then
    wrong(walk, "member '%s': %s is a pointer: write ->%s", step.name, name_of(walk), step.name)
  elseif not walk.type.members then
    wrong(walk, "member '%s': %s is not a struct or union", step.name, name_of(walk))
  elseif not walk.in_memory then
    wrong(walk, "member '%s': %s is passed by value, which is not followed", step.name, name_of(walk))
  end
  enter_member(walk, step)
end

STEP["[]"] = function(walk, step)
  local kind, count = walk.type.kind, walk.type.count
  if kind == "array" then
    if count > 0 and step.index >= count then
      wrong(walk, "index %d: %s has %d elements", step.index, name_of(walk), count)
    end
  elseif kind == "ptr" and walk.type.of ~= 0 then
    load_pointer(walk)
  else
    wrong(walk, "index %d: %s is neither an array nor a pointer to something known", step.index, name_of(walk))
  end
  local whole = name_of(walk)
  set_type(walk, walk.types, walk.type.of)
  defined(walk)
  if walk.type.size == 0 then wrong(walk, "index %d: the size of what %s holds is not known", step.index, whole) end
  walk.offset, walk.in_memory = walk.offset + step.index * walk.type.size, true
end

-- ---- what the end is fetched as ------------------------------------------------------------------------------------

-- Cuts `size` bits that begin at bit `first` out of the value.
local function cut(fetch, first, size, signed)
  fetch.left, fetch.right, fetch.is_signed = 64 - first - size, 64 - size, signed and 1 or 0
end

local function fetch_bits(walk, fetch)
  local bits = walk.bits
  fetch.size = math.ceil((bits.first + bits.size) / 8)
  if fetch.size > 8 then wrong(walk, "the bit-field lies across more than 8 bytes") end
  add_read(walk)
  cut(fetch, bits.first, bits.size, walk.type.signed)
end

local function fetch_number(walk, fetch)
  local size = walk.type.size
  fetch.form = NUMBER
  if walk.bits then return fetch_bits(walk, fetch) end
  if size > 8 then wrong(walk, "%s has %d bytes, and 8 are fetched", name_of(walk), size) end
  fetch.size = size
  if walk.in_memory then add_read(walk) end
  cut(fetch, 0, size * 8, walk.type.signed)
end

local function is_byte(type)
  return type.size == 1 and type.kind == "int"
end

-- What lies at the walk's place in memory itself.
local function fetch_address(walk, fetch, form, size)
  if not walk.in_memory then wrong(walk, "%s is not in memory", name_of(walk)) end
  fetch.form, fetch.add, fetch.size = form, walk.offset, size or 8
end

local function is_byte_array(walk)
  return walk.type.kind == "array" and is_byte(walk.types:get(walk.type.of))
end

local function fetch_text(walk, fetch, user)
  if is_byte_array(walk) then return fetch_address(walk, fetch, user and walk.user and USER_TEXT or TEXT) end
  if walk.type.kind ~= "ptr" and not (walk.untyped and walk.type.size == 8) then
    wrong(walk, "format %s: %s is neither a pointer nor an array of characters", user and "ustr" or "str",
      name_of(walk))
  end
  load_pointer(walk)
  fetch.form, fetch.size = user and USER_TEXT or TEXT, 8
end

local FORMAT = {}

function FORMAT.str(walk, fetch)
  fetch_text(walk, fetch, walk.user or walk.points_at_user)
end

function FORMAT.ustr(walk, fetch)
  fetch_text(walk, fetch, true)
end

local function only_number(format)
  return function(walk, fetch)
    if walk.type.members or walk.type.kind == "array" or walk.type.size == 0 then
      wrong(walk, "format %s: %s is not a number", format, name_of(walk))
    end
    fetch_number(walk, fetch)
  end
end

FORMAT.x, FORMAT.sym = only_number "x", only_number "sym"

-- With a sign whatever the type: registers of user space have none, and tracepoints call offsets unsigned.
function FORMAT.d(walk, fetch)
  only_number "d"(walk, fetch)
  fetch.is_signed = 1
end

-- The lower half with a sign: what is above an int in a register of user space is anything.
function FORMAT.d32(walk, fetch)
  only_number "d32"(walk, fetch)
  if not walk.bits then cut(fetch, 0, 32, true) end
end

function FORMAT.ip(walk, fetch)
  local size = walk.type.size
  if walk.bits or size ~= 4 and size ~= 16 then
    wrong(walk, "format ip: %s has %d bytes; addresses have 4 or 16", name_of(walk), size)
  end
  if walk.type.kind == "int" and size == 4 then return fetch_number(walk, fetch) end
  fetch_address(walk, fetch, BYTES, size)
end

local function without_format(walk, fetch)
  local kind = walk.type.kind
  if is_byte_array(walk) then return fetch_text(walk, fetch, walk.user) end
  if walk.type.members then
    wrong(walk, "%s is no single value: name one of its members, like .%s", name_of(walk),
      next(walk.types:fields(walk.type)) or "…")
  elseif kind == "array" then
    wrong(walk, "%s is an array: name one element, like [0]", name_of(walk))
  elseif kind ~= "int" and kind ~= "enum" and kind ~= "ptr" then
    wrong(walk, "%s cannot be fetched", name_of(walk))
  end
  fetch_number(walk, fetch)
end

local function finish(walk, format)
  local fetch = { used = 1, source = walk.source, at_return = walk.at_return and 1 or 0, user = walk.user and 1 or 0,
    data_location = walk.data_location }
  if walk.data_location then
    fetch.form, fetch.size, fetch.reads, fetch.offsets = TEXT, 4, 1, walk.reads
    return fetch
  end
  (FORMAT[format] or without_format)(walk, fetch)
  fetch.reads, fetch.offsets = #walk.reads, walk.reads
  return fetch
end

local function start(parsed, operand)
  local walk = setmetatable({
    expression = parsed, source = operand.source, at_return = operand.at_return, user = operand.user,
    untyped = operand.untyped, reads = {}, offset = operand.offset or 0, in_memory = operand.offset ~= nil,
    data_location = operand.data_location, points_at_user = operand.points_at_user,
  }, Walk)
  set_type(walk, operand.types, operand.id)
  return walk
end

local function follow_steps(walk)
  local parsed = walk.expression
  if walk.data_location then
    if #parsed.steps > 0 then wrong(walk, "it is a text of varying length, which has no members") end
    add_read(walk)
  end
  local members = 0
  for _, step in ipairs(parsed.steps) do
    members = members + (step.name and 1 or 0)
    if members > MEMBERS then
      expression.wrong(parsed.text, ("too many steps: '%s', of %s, is the fifth member, and %d are followed"):format(
        step.name, name_of(walk), MEMBERS), "fetch a pointer on the way, and look at it by lp.kernel_type")
    end
    if walk.bits then wrong(walk, "a bit-field has no members") end
    if walk.user then wrong(walk, "member '%s': the types of user space are not known", step.name or step.index) end
    STEP[step.operator](walk, step)
  end
end

--- The type that an expression leads to, for completion.
-- @treturn table the types it is of
-- @treturn table its description
function M.type_of(parsed, operand)
  local walk = start(parsed, operand)
  follow_steps(walk)
  if walk.type.kind == "ptr" and walk.type.of ~= 0 then
    set_type(walk, walk.types, walk.type.of)
    defined(walk)
  end
  return walk.types, walk.type
end

--- Compiles an expression.
-- @tparam table parsed of luaprobe.expression
-- @tparam table operand where it starts, of luaprobe.place
-- @treturn table `name`, `format`, `fetch` (what `struct fetch` is set to), `type` (a description of luaprobe.types),
--   `is_text`
-- @raise error of stage "expression", which names the member and the type it was looked for in
function M.compile(parsed, operand)
  local walk = start(parsed, operand)
  follow_steps(walk)
  local fetch = finish(walk, parsed.format)
  return { name = parsed.name, text = parsed.text, format = parsed.format, fetch = fetch, type = walk.type,
    is_text = fetch.form == TEXT or fetch.form == USER_TEXT, bytes = fetch.form == BYTES and fetch.size or nil }
end

return M
