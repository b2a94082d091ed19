--- The kernel's symbols: names to addresses, and addresses to names.
-- @module luaprobe.ksyms
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local modules = require "luaprobe.modules"
local value_of = require "luaprobe.value"

local M = {}

local kallsyms -- read when first asked for, and kept as long as no module comes or goes
local all_symbols -- the same with variables
local generation = 0 -- of the modules when they were read
local is_ahead = false -- the functions are being read by a thread
local raw_symbol = ffi.new "struct lp_kernel_symbol"
local position = ffi.new "uint64_t[1]"

-- A file of tests' own is read once.
local function forget_old()
  local now = M.path and 0 or modules.generation()
  if now == generation then return end
  if is_ahead then C.lp_kallsyms_close(C.lp_kallsyms_open(nil, false)) end
  kallsyms, all_symbols, generation, is_ahead = nil, nil, now, false
end

--- Has the functions read while something else is done: the first completion shall not wait for it.
function M.read_ahead()
  forget_old()
  C.lp_kallsyms_read_ahead()
  is_ahead = true
end

-- As they were when last looked at.
local function current()
  if not kallsyms then kallsyms = ffi.gc(err.check(C.lp_kallsyms_open(M.path, false)), C.lp_kallsyms_close) end
  is_ahead = false
  return kallsyms
end

local function open()
  forget_old()
  return current()
end

local function current_with_variables()
  all_symbols = all_symbols or ffi.gc(err.check(C.lp_kallsyms_open(M.path, true)), C.lp_kallsyms_close)
  return all_symbols
end

--- Takes another file for /proc/kallsyms (tests).
function M.use(path)
  kallsyms, all_symbols, generation, M.path = nil, nil, 0, path
end

local LONGEST = 65536 -- bytes: no function of the kernel's is longer

-- Whether a module that came or went could make another symbol of an address. Only then are they looked at: who traces
-- luaprobe itself shall not see it open a file for each event.
local function may_be_another(address)
  return raw_symbol.module[0] ~= 0 or address - raw_symbol.address > LONGEST
end

-- Finds the symbol that an address lies in, in `symbols()`, the functions or all of them.
local function symbol_at(symbols, address)
  local is_found = C.lp_kallsyms_at(symbols(), address, raw_symbol)
  if is_found and not may_be_another(address) then return true end
  forget_old()
  return C.lp_kallsyms_at(symbols(), address, raw_symbol)
end

-- What C has just told.
local function current_symbol()
  return { name = ffi.string(raw_symbol.name), module = ffi.string(raw_symbol.module), address = raw_symbol.address }
end

-- The functions whose name matches.
local function find_in(symbols, pattern, module)
  local found = {}
  position[0] = 0
  while C.lp_kallsyms_next(symbols, pattern, module, position, raw_symbol) do found[#found + 1] = current_symbol() end
  return found
end

--- The functions whose name matches a pattern, by address.
-- @tparam string pattern a name, or one with *, ? or [abc]
-- @tparam[opt] string module a pattern for the module's name
-- @treturn {{name=,module=,address=},…} `module` is "" for the kernel proper, `address` a uint64_t
-- @raise error of stage "symbols"
function M.find(pattern, module)
  return find_in(open(), pattern, module)
end

--- The functions that have the names of a list's elements, by name.
-- @tparam {{name=},…} list
-- @treturn table name → what find returns
function M.named(list)
  local found, symbols = {}, open()
  for _, element in ipairs(list) do found[element.name] = {} end
  position[0] = 0
  while C.lp_kallsyms_next(symbols, "*", nil, position, raw_symbol) do
    local same = found[ffi.string(raw_symbol.name)]
    if same then same[#same + 1] = current_symbol() end
  end
  return found
end

local COMPLETIONS = 400
local completions = ffi.new("const char *[?]", COMPLETIONS)
local common = ffi.new "size_t[1]"

--- Functions whose names begin with a text.
-- @tparam string prefix
-- @treturn {string,…} some hundred of them at most
-- @treturn string what all of them begin with
-- @treturn number how many there are
function M.starting_with(prefix)
  local count = tonumber(C.lp_kallsyms_complete(open(), prefix, completions, COMPLETIONS, common))
  local found = {}
  for i = 0, math.min(count, COMPLETIONS) - 1 do found[i + 1] = ffi.string(completions[i]) end
  return found, count > 0 and found[1]:sub(1, tonumber(common[0])) or "", count
end

--- Whether a name is that of a part which compilers put elsewhere, or of a marker, which nobody calls.
function M.is_fragment(name)
  return name:find("%.cold") or name:find "^__pfx_" or name:find "^__cfi_"
end

local names = ffi.new "const char *[16]"

--- Names that differ from the given one by few letters.
-- @tparam string name
-- @tparam number count how many at most
-- @treturn {string,…} the nearest first
function M.nearest(name, count)
  local found = {}
  for i = 0, C.lp_kallsyms_nearest(open(), name, names, 16) - 1 do
    local near = ffi.string(names[i])
    if #found < count and not M.is_fragment(near) then found[#found + 1] = near end
  end
  return found
end

--- The function that an address lies in.
-- @treturn string name, and its offset in it; nil when there is none
function M.at(address)
  if not symbol_at(current, address) then return nil end
  return ffi.string(raw_symbol.name), tonumber(address - raw_symbol.address)
end

-- Where a name ends that a probe's instruction pointer belongs to: on x86 it stands behind the breakpoint.
local BEHIND = jit.arch == "arm64" and 0 or 1

--- Names functions by the instruction pointers of probes at their beginning.
-- @tparam string pattern which of several names of one address is meant
-- @treturn function address → name
function M.namer(pattern)
  local by_address
  return function(address)
    if not by_address then
      by_address = {}
      for _, symbol in ipairs(find_in(current(), pattern)) do by_address[tostring(symbol.address)] = symbol.name end
    end
    address = address - BEHIND
    local name, offset = M.at(address)
    if not name then return ("0x%s"):format(bit.tohex(address + BEHIND, 16)) end
    return by_address[tostring(ffi.cast("uint64_t", address - offset))] or name
  end
end

-- "vfs_read+0x1d", or the address in hexadecimal where it is nobody's.
local function text_in(symbols, address)
  address = ffi.cast("uint64_t", address)
  if not symbol_at(symbols, address) then return ("0x%s"):format(bit.tohex(address, 16)) end
  local name, offset = ffi.string(raw_symbol.name), tonumber(address - raw_symbol.address)
  return offset == 0 and name or ("%s+0x%x"):format(name, offset)
end

--- The name of an address in the kernel's code: "vfs_read+0x1d", as stacks show it.
-- @param address a number or uint64_t
-- @treturn string the address in hexadecimal where it is nobody's
function M.text(address)
  return text_in(current, address)
end

--- The name of any address of the kernel's, of a function or of a variable.
-- @param address a number or uint64_t
-- @treturn string the address in hexadecimal where it is nobody's
function M.symbol(address)
  if type(address) ~= "number" and not value_of.is_integer(address) then
    err.misuse("lp.ksym takes an address, not a %s", type(address))
  end
  return text_in(current_with_variables, address)
end

-- The other names of the function at an address.
local function other_names(address, name)
  local list, i = {}, 0
  while true do
    local other = C.lp_kallsyms_alias(open(), address, i)
    if other == nil then return list end
    other, i = ffi.string(other), i + 1
    if other ~= name then list[#list + 1] = other end
  end
end

--- The functions that match and have other names besides, in code that several names stand for.
-- @tparam string pattern
-- @tparam[opt] string module a pattern for the module's name
-- @treturn {{name=,others={string,…}},…}
function M.aliased(pattern, module)
  local found, symbols = {}, open()
  position[0] = 0
  while C.lp_kallsyms_next(symbols, pattern, module, position, raw_symbol) do
    -- There are 100,000 symbols, and few have several names: only those become strings.
    if raw_symbol.address ~= 0 and C.lp_kallsyms_alias(symbols, raw_symbol.address, 1) ~= nil then
      local name = ffi.string(raw_symbol.name)
      found[#found + 1] = { name = name, others = other_names(raw_symbol.address, name) }
    end
  end
  return found
end

return M
