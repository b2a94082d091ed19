--- Finding what a target stands for: the functions of a wildcard, the file and the offset of a user-space symbol.
-- @module luaprobe.resolve
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local targets = require "luaprobe.target"

local M = {}

-- Only wildcards need it, and most runs have none.
local function ksyms()
  return require "luaprobe.ksyms"
end

local function no_match(target, what)
  if targets.is_kernel(target) then
    local reason, hint = require("luaprobe.doctor").absent_module(target.name, target.category)
    local message = reason and target.text .. ": " .. reason
    if message then return { code = "ENOENT", stage = "attach", message = message, hint = hint } end
  end
  return { code = "ENOENT", stage = "attach",
    message = ("%s: no %s matches"):format(target.text, what),
    hint = "see what there is: luaprobe list '" .. target.text .. "'" }
end

local function category_of(target)
  return target.category ~= "" and target.category or nil
end

-- The functions of a kernel wildcard, as targets.
local function kernel_functions(target)
  local found = {}
  for _, name in ipairs(require("luaprobe.traceable").find(target.name, category_of(target))) do
    found[#found + 1] = targets.with(target, { name = name, category = "", wildcard = false })
  end
  if #found == 0 then return nil, no_match(target, "function that can be probed") end
  return found
end

-- A place inside of a function. Some kernels (6.1) take an offset past its end, and so a place in another function.
local function kernel_place(target)
  local symbol = ksyms().find(target.name, category_of(target))[1]
  if not symbol or symbol.address == 0 then return { target } end -- opening it says what is wrong
  local _, offset = ksyms().at(symbol.address + target.offset)
  if offset == tonumber(target.offset) then return { target } end
  return nil, { code = "EINVAL", stage = "attach",
    message = ("%s: the offset leads out of %s, past its end"):format(target.text, symbol.name),
    hint = "leave the offset out, or take it from the function's disassembly" }
end

-- The tracepoints of a wildcard.
local function tracepoints(target)
  local list = require("luaprobe.tracepoints").find(target.category, target.name)
  if not list then return { target } end -- opening it says why tracefs cannot be read
  local found = {}
  for i, each in ipairs(list) do
    found[i] = targets.with(target, { category = each.category, name = each.name, wildcard = false })
  end
  if #found == 0 then return nil, no_match(target, "tracepoint") end
  return found
end

local path_buffer = ffi.new "char[4096]"

-- The last error of C's, which knows the binary only.
local function told(target)
  local failure = err.last()
  failure.message = target.text .. ": " .. failure.message
  return failure
end

-- What `look(binary, path, target, opts)` finds in the binary of a target; nil and the error. The file does not stay
-- open: its file system can be unmounted as soon as nothing probes it.
local function look_into_binary(target, opts, look)
  if C.lp_library_find(target.path, opts.pid or 0, path_buffer, ffi.sizeof(path_buffer)) ~= 0 then
    return nil, told(target)
  end
  local path = ffi.string(path_buffer)
  local binary = C.lp_binary_open(path)
  if binary == nil then return nil, told(target) end
  ffi.gc(binary, C.lp_binary_close)
  local found, failure = look(binary, path, target, opts)
  C.lp_binary_close(ffi.gc(binary, nil))
  return found, failure
end

local function go_refusal(target, path)
  return { code = "EPERM", stage = "attach",
    message = ("%s: %s is a Go program, which a uretprobe can crash: Go moves its stacks, and with them the return "
      .. "address that the kernel put there"):format(target.text, path),
    hint = "probe the instructions that return, as uprobe:BINARY:FUNCTION+OFFSET; "
      .. "force = true attaches it all the same" }
end

local offset_buffer = ffi.new "uint64_t[1]"

-- The place of a target in its binary: a target with path and offset, or nil and the error.
local function locate(binary, path, target)
  offset_buffer[0] = target.offset
  local code = target.name ~= "" and C.lp_binary_resolve(binary, target.name, target.offset, offset_buffer) or 0
  if code == 0 then code = C.lp_binary_check(binary, offset_buffer[0]) end
  if code == 0 and (target.name == "" or target.offset ~= 0) then -- not a function's start, which needs no look
    code = C.lp_binary_check_inside(binary, target.name, target.offset, offset_buffer[0])
  end
  if code ~= 0 then return nil, told(target) end
  return targets.with(target, { path = path, offset = offset_buffer[0], wildcard = false })
end

local raw_function = ffi.new "struct lp_binary_function"
local position = ffi.new "uint64_t[1]"

local function names_of(binary)
  local names = {}
  position[0] = 0
  while C.lp_binary_function(binary, position, raw_function) do names[#names + 1] = ffi.string(raw_function.name) end
  return names
end

-- What to write instead of a name as C++ and Rust have it in the source.
local function mangled_hint(binary, target)
  local list = require("luaprobe.mangled").find(target.name, names_of(binary))
  local kind = target.word .. ":" .. target.path .. ":"
  if #list == 0 then
    return ("functions of C++ and Rust have mangled names in a binary; see what there is: luaprobe list '%s*'")
      :format(kind)
  end
  return "write its mangled name: " .. kind .. table.concat(list, " or ", 1, math.min(#list, 3))
end

-- The functions of a wildcard, each place once.
local function matching(binary, path, target)
  local found, seen = {}, {}
  position[0] = 0
  while C.lp_binary_function(binary, position, raw_function) do
    local offset = tonumber(raw_function.offset)
    if not seen[offset] and C.lp_glob_matches(target.name, raw_function.name) then
      seen[offset] = true
      found[#found + 1] = targets.with(target, {
        path = path, name = ffi.string(raw_function.name), offset = raw_function.offset, wildcard = false })
    end
  end
  if #found == 0 then return nil, no_match(target, "function of " .. path) end
  return found
end

-- A name with a * in it may be one all the same: Go has main.(*Server).Serve.
local function user_functions(binary, path, target, opts)
  if target.returns and C.lp_binary_is_go(binary) and not opts.force then return nil, go_refusal(target, path) end
  local located, failure = locate(binary, path, target)
  if located then return { located } end
  if failure.code == "ENOENT" and require("luaprobe.mangled").is_source_name(target.name) then
    failure.hint = mangled_hint(binary, target)
  elseif target.wildcard then
    return matching(binary, path, target)
  end
  return nil, failure
end

local raw_usdt = ffi.new "struct lp_usdt"

local function usdt_text(path)
  return ("%s:%s:%s"):format(path, ffi.string(raw_usdt.provider), ffi.string(raw_usdt.name))
end

-- libbpf attaches to all places of one probe itself, so each name counts once.
local function usdt_probes(binary, path, target)
  local found, seen = {}, {}
  position[0] = 0
  while C.lp_binary_usdt(binary, position, raw_usdt) do
    local text = usdt_text(path)
    if not seen[text] and C.lp_glob_matches(target.category, raw_usdt.provider) and
      C.lp_glob_matches(target.name, raw_usdt.name) then
      seen[text] = true
      found[#found + 1] = targets.with(target, { path = path, category = ffi.string(raw_usdt.provider),
        name = ffi.string(raw_usdt.name), wildcard = false })
    end
  end
  if #found == 0 then return nil, no_match(target, "USDT probe of " .. path) end
  return found
end

-- What one target stands for: a list of targets, or nil and the error.
local function one(target, opts)
  if target.kind == C.LP_USDT then return look_into_binary(target, opts, usdt_probes) end
  if targets.is_user(target) then return look_into_binary(target, opts, user_functions) end
  if not target.wildcard then
    if targets.is_kernel(target) and target.offset > 0 and target.name ~= "" then return kernel_place(target) end
    return { target }
  end
  if target.kind == C.LP_TRACEPOINT then return tracepoints(target) end
  return kernel_functions(target)
end

-- What tells targets of one kind apart; patterns of a list may stand for the same one.
local function place_of(target)
  local is_found = targets.is_function_of_binary(target) -- then its offset says all
  local place = target.category .. ":" .. target.path .. ":" .. (is_found and "" or target.name)
  if target.offset == 0 and target.period == 0 then return place end
  return ("%s+%s:%s"):format(place, tostring(target.offset), tostring(target.period))
end

--- What the targets stand for, all in one list, each once.
-- @tparam {table,…} wanted of luaprobe.target
-- @tparam table opts of attach
-- @treturn {table,…} targets that can be opened; nil and the error, not raised
function M.all(wanted, opts)
  local list, seen = {}, {}
  for _, target in ipairs(wanted) do
    local found, failure = one(target, opts)
    if not found then return nil, failure end
    for _, each in ipairs(found) do
      local place = place_of(each)
      if not seen[place] then list[#list + 1] = each end
      seen[place] = true
    end
  end
  return list
end

return M
