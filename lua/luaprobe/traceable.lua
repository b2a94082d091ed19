--- Which of the kernel's functions can be probed.
-- @module luaprobe.traceable
local C = require "luaprobe.cdef"
local ksyms = require "luaprobe.ksyms"
local pattern_of = require "luaprobe.pattern"
local tracefs = require "luaprobe.tracefs"

local M = {}

--- The kprobe blacklist: functions that the kernel does not let anybody probe.
-- @tparam[opt] string prefix only those whose names begin with it
-- @treturn table name → true; nil where debugfs cannot be read
function M.blacklist(prefix)
  local text = tracefs.debugfs("kprobes/blacklist", "\t" .. (prefix or ""))
  if not text then return nil end
  local list = {}
  -- 0xffffffff81a01234-0xffffffff81a01240	name
  for name in text:gmatch "\t(%S+)" do list[name] = true end
  return list
end

--- What ftrace can trace: the functions that match, by the name that ftrace has for them. There are some 60,000.
-- @tparam string pattern
-- @tparam[opt] string module a pattern for the module's name
-- @treturn {string,…} nil where the kernel does not say
function M.by_ftrace(pattern, module)
  local text = tracefs.read("available_filter_functions", pattern_of.literal_prefix(pattern))
  if not text then return nil end
  local found = {}
  -- Lines are "vfs_read" or "ext4_readdir [ext4]".
  for name, owner in text:gmatch "([^%s]+)[ \t]*([^\n]*)\n" do
    owner = owner:match "^%[(.-)%]" or ""
    if C.lp_glob_matches(pattern, name) and (not module or C.lp_glob_matches(module, owner)) then
      found[#found + 1] = name
    end
  end
  return found
end

-- How far behind a function's address ftrace's place can be: behind endbr64 or bti, or a nop before it.
local FARTHEST = 8

--- What ftrace can trace, by address.
-- @treturn function whether the function that begins at an address is among it; nil where the kernel does not say
--   (before Linux 6.5)
function M.by_address()
  local text = tracefs.read "available_filter_functions_addrs"
  if not text then return nil end
  local places = {}
  for place in text:gmatch "(%x+) [^\n]*\n" do places[place] = true end -- ffffffff81000004 vfs_read
  return function(address)
    for offset = 0, FARTHEST, 4 do
      if places[bit.tohex(address + offset, 16)] then return select(2, ksyms.at(address + offset)) == offset end
    end
    return false
  end
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function has_any(set, names)
  for _, name in ipairs(names) do
    if set[name] then return true end
  end
  return false
end

-- ftrace has one name for each function, kallsyms may have several: 6.1 knows __x64_sys_getpid as __do_sys_getpid only.
-- Adds those that match by another name and are not there yet.
local function add_aliases(found, pattern, module)
  local have, traced = set_of(found), nil
  for _, function_ in ipairs(ksyms.aliased(pattern, module)) do
    local name, others = function_.name, function_.others
    if not have[name] and not ksyms.is_fragment(name) and not has_any(have, others) then
      traced = traced or set_of(M.by_ftrace "*")
      if has_any(traced, others) then
        found[#found + 1] = name
        have[name] = true
      end
    end
  end
end

local function all_but_fragments(pattern, module)
  local found = {}
  for _, symbol in ipairs(ksyms.find(pattern, module)) do
    if not ksyms.is_fragment(symbol.name) then found[#found + 1] = symbol.name end
  end
  return found
end

-- Sorted, each once, without those of a set.
local function tidy(list, without)
  table.sort(list)
  local unique = {}
  for _, name in ipairs(list) do
    if name ~= unique[#unique] and not without[name] then unique[#unique + 1] = name end
  end
  return unique
end

--- The functions that match a pattern and can be probed: those that ftrace knows, by whichever name, which leaves out
-- what is notrace or inlined; without ftrace all but the blacklist. Each function comes by one name only.
-- @tparam string pattern
-- @tparam[opt] string module a pattern for the module's name
-- @treturn {string,…} sorted, each name once
function M.find(pattern, module)
  local found = M.by_ftrace(pattern, module)
  if found then
    add_aliases(found, pattern, module)
  else
    found = all_but_fragments(pattern, module)
  end
  return tidy(found, M.blacklist(pattern_of.literal_prefix(pattern)) or {})
end

return M
