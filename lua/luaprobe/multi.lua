--- What mechanism multi takes: one set of functions, and how it is told of them.
-- @module luaprobe.multi
local ffi = require "ffi"
local targets = require "luaprobe.target"

local M = {}

--- Whether one handle can be for all: functions of the kernel, or of one binary.
function M.are_one_set(list)
  local first = list[1]
  if targets.is_kernel(first) then return true end
  if not targets.is_function_of_binary(first) then return false end
  for _, target in ipairs(list) do
    if target.path ~= first.path then return false end
  end
  return true
end

--- A target that mechanism multi cannot take; it goes to the start of kernel functions that have a name.
function M.unfit(list)
  if not targets.is_kernel(list[1]) then return nil end
  for _, target in ipairs(list) do
    if target.offset > 0 then return target end
  end
end

local function check(list)
  local unfit = M.unfit(list)
  if unfit then
    return { code = "EINVAL", stage = "attach",
      message = ("%s: mechanism multi goes to the start of a function only"):format(unfit.text),
      hint = "use mechanism auto, link, perf or legacy" }
  end
  if not M.are_one_set(list) then
    return { code = "EINVAL", stage = "attach",
      message = ("%s: mechanism multi is for kernel functions, or for those of one binary"):format(list[1].text),
      hint = "attach them one after the other, or use mechanism auto" }
  end
end

-- Only functions of the kernel need them, and most runs attach none by multi.
local function ksyms()
  return require "luaprobe.ksyms"
end

local function named_by_user(wanted)
  local list = {}
  for _, target in ipairs(wanted) do
    if not target.wildcard then list[#list + 1] = target end
  end
  return list
end

local MANY = 100 -- names: looking each of so many up would take longer than attaching to all of them

-- The list with the functions that the user named as this kernel has them: multi does not tell which name is missing,
-- and takes the first function of a name that several have. Those of many names are looked up when it was refused.
local function settle_names(wanted, list, explained, was_refused)
  local named, settled = named_by_user(wanted), {}
  if #named == 0 or #named > MANY and not was_refused then return list end
  local symbols = ksyms().named(named)
  for _, target in ipairs(list) do
    local same = symbols[target.name]
    local place, failure = explained(target, function(place)
      if place ~= target or not same or #same == 1 then return place end
      return nil, { code = #same == 0 and "ENOENT" or "EADDRNOTAVAIL", stage = "attach",
        message = ("%s: this kernel has %d functions %s"):format(target.text, #same, target.name) }
    end)
    if not place then return nil, failure end
    settled[#settled + 1] = place
  end
  return settled
end

--- The functions of a list as multi takes them.
-- @tparam {table,…} wanted the targets as the user wrote them
-- @tparam {table,…} list what they stand for
-- @tparam function explained asks the doctor about a function of which a step fails: target, step → its result, or nil
--   and the error
-- @tparam[opt] boolean was_refused that multi did not take them
-- @treturn {table,…} nil and the error
function M.functions(wanted, list, explained, was_refused)
  local failure = check(list)
  if failure then return nil, failure end
  if not targets.is_kernel(list[1]) then return list end
  local settled
  settled, failure = settle_names(wanted, list, explained, was_refused)
  if not settled then return nil, failure end
  return require("luaprobe.namesakes").for_multi(wanted, settled)
end

local names_type = ffi.typeof "const char *[?]"
local offsets_type = ffi.typeof "uint64_t[?]"

local function names_of(list)
  local names = names_type(#list)
  for i, target in ipairs(list) do names[i - 1] = target.name end
  return names
end

local function offsets_of(list)
  local offsets = offsets_type(#list)
  for i, target in ipairs(list) do offsets[i - 1] = target.offset end
  return offsets
end

--- How C takes them: the kernel's by name, or all by address; those of a binary by offset.
-- @treturn cdata
-- @treturn boolean whether it is of names
function M.array(list)
  if targets.is_user(list[1]) or list[1].name == "" then return offsets_of(list), false end
  return names_of(list), true
end

return M
