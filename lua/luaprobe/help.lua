--- help() at the prompt: the comments of the library itself.
-- @module luaprobe.help
local M = {}

local OVERVIEW = [=[
Lua, with the library as `lp`. An expression is printed; names you set stay (leave `local` out); Tab completes.

Look around
  lp.probes "kprobe:tcp_*"                   what can be probed, with its arguments; also tracepoint:sched:*,
                                             uprobe:libc:mem*, usdt:PATH
  lp.kernel_type "struct file"               a type of this kernel, as C has it
Count, trace, measure: on kprobe, kretprobe, uprobe, uretprobe, tracepoint, and patterns of them
  c = lp.count("kprobe:vfs_*", { by = "func" })            c:top(5)  c:watch(1)  c:items()
  t = lp.trace("kprobe:do_sys_openat2", "dfd, filename:ustr, how->flags:x",
    { where = "dfd == -100 and comm == 'cat'", ret = true })
  l = lp.latency("kprobe:vfs_read", { by = "comm", unit = "us" })     l:print()
What is going on
  lp.session()         what is attached         lp.detach_all()
  lp.save "file.lua"   this session as a script
More
  help(lp.trace)       any function of lp, or of what they return: help(c.watch)
  help "lp"            all of lp
Ctrl-C ends what waits, or gives the line up; Ctrl-D leaves, and detaches everything.
]=]

local by_place, by_name

local function load_entries()
  if by_place then return end
  by_place, by_name = {}, {}
  for _, entry in ipairs(require "luaprobe.help_text") do
    by_place[entry.place], by_name[entry.name] = entry, entry
  end
end

-- An entry of the public table mostly says where the whole text is.
local function followed(entry)
  local where = entry.text:match "see (luaprobe%.[%w_.]+)%."
  return where and by_name[where] or nil
end

local function text_of(entry)
  local more = followed(entry)
  if not more then return entry.call .. "\n\n" .. entry.text end
  local call = more.call:match "%b()$" or ""
  return entry.name .. call .. "\n\n" .. more.text
end

local function first_sentence(text)
  return text:match "^(.-)%.%s" or text:match "^(.-)[.:]?$" or text
end

local function list(names)
  table.sort(names)
  local lines = {}
  for i, name in ipairs(names) do
    local text = by_name[name].text:gsub("\n", " "):gsub(": see luaprobe.*", "")
    lines[i] = ("  %-18s %s"):format(name, first_sentence(text))
  end
  return table.concat(lines, "\n")
end

local function of_public_table()
  local names = {}
  for name in pairs(by_name) do
    if name:find "^lp%." then names[#names + 1] = name end
  end
  return list(names)
end

local function of_function(fn)
  local info = debug.getinfo(fn, "S")
  local entry = by_place[(info.source:gsub("^@", "")) .. ":" .. info.linedefined]
  return entry and text_of(entry)
end

-- The methods of an object: what its metatable has that is documented.
local function of_object(object)
  local meta = getmetatable(object)
  local methods = type(meta) == "table" and (type(meta.__index) == "table" and meta.__index or meta)
  local lines = {}
  for name, fn in pairs(methods or {}) do
    local text = type(fn) == "function" and name:sub(1, 2) ~= "__" and of_function(fn)
    local body = text and text:match "\n\n(.*)"
    if body then lines[#lines + 1] = ("  :%-14s %s"):format(name .. "()", first_sentence((body:gsub("\n", " ")))) end
  end
  table.sort(lines)
  return #lines > 0 and table.concat(lines, "\n") or nil
end

--- The help for something.
-- @param what a function, something with methods, a name ("lp.trace", "lp"); nil: how to begin
-- @treturn string
function M.text(what)
  if what == nil then return (OVERVIEW:gsub("\n$", "")) end
  load_entries()
  local found
  if type(what) == "function" then
    found = of_function(what)
  elseif what == "lp" or what == package.loaded.luaprobe then
    found = of_public_table()
  elseif type(what) == "string" then
    found = by_name[what] and text_of(by_name[what])
  elseif type(what) == "table" then
    found = of_object(what)
  end
  return found or "there is no help for that; help() tells how to begin, help \"lp\" what there is"
end

--- Shows help.
function M.show(...)
  local what = ...
  local is_nothing = select("#", ...) > 0 and what == nil
  io.stdout:write(is_nothing and "that is nil: there is no such thing" or M.text(what), "\n")
end

return M
