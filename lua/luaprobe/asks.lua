--- Which Lua libraries a script asks for, found in its bytecode: it is compiled, and never run.
--
-- What is read from a global or from what `require` returned is followed through the registers of each function. Where
-- that is not to be seen (an upvalue, a table's field), a field's name alone is taken for the library's when the script
-- asks for that library somewhere: rather too much is told than too little.
-- @module luaprobe.asks
local bit = require "bit"
local util = require "jit.util"
local opcodes = require "luaprobe.opcodes"

local M = {}

local LIBRARIES = { os = true, io = true, ffi = true, debug = true, package = true, jit = true, _G = true,
  luaprobe = true }
local FUNCTIONS = { load = true, loadstring = true, loadfile = true, dofile = true, getfenv = true, setfenv = true,
  module = true }
-- What can act on the machine, or hide from this very look.
local ACTS = { ["os.execute"] = true, ["os.remove"] = true, ["os.rename"] = true, ["io.popen"] = true,
  ["io.open"] = true, ["io.output"] = true, ["io.input"] = true, ["io.lines"] = true, ["package.loadlib"] = true,
  ["package.cpath"] = true, ["package.path"] = true, ["package.loaders"] = true, ["package.preload"] = true,
  ["package.loaded"] = true,
  -- These write, remove or change what a path names.
  ["luaprobe.pack"] = true, ["luaprobe.unpack"] = true, ["luaprobe.save"] = true, ["luaprobe.unpin"] = true,
  ["luaprobe.open_map"] = true }
for name in pairs(FUNCTIONS) do ACTS[name] = true end

local function acts(name)
  return ACTS[name] or name:find "^ffi" or name:find "^debug" or name:find "^_G" or name:find "%[" ~= nil
    or name:find "^require" ~= nil
end

local DESTINATION = 1 -- operand A is written to (BCMdst of lj_bc.h)

local function fields(instruction, mode)
  local op = bit.band(instruction, 0xff)
  return (opcodes:sub(op * 6 + 1, op * 6 + 6):gsub(" ", "")), bit.band(bit.rshift(instruction, 8), 0xff),
    bit.rshift(instruction, 24), bit.band(bit.rshift(instruction, 16), 0xff), bit.rshift(instruction, 16),
    bit.band(mode, 7) == DESTINATION
end

local Walk = {}
Walk.__index = Walk

function Walk:note(name, line)
  name = name:gsub("^_G%.", "")
  local root = name:match "^[%w_]+"
  if not LIBRARIES[root] and not FUNCTIONS[root] and root ~= "require" then return end
  if root ~= "require" then name = name:match "^[%w_]+[.(%[][^.]*" or name end -- io.stdout, not io.stdout.write
  if root == "luaprobe" and not acts(name) then return end -- which every script asks for
  local entry = self.found[name]
  if not entry then
    entry = { name = name, lines = {}, acts = acts(name) and true or false }
    self.found[name] = entry
  end
  if entry.lines[#entry.lines] ~= line then entry.lines[#entry.lines + 1] = line end
end

-- How far behind a function's register its first argument is: on 64-bit builds there is a frame between them.
local ARGUMENT
do
  local probe, pc = assert(loadstring 'f("x")'), 1
  repeat
    local op, a = fields(util.funcbc(probe, pc))
    if op == "KSTR" then ARGUMENT = a end
    pc = pc + 1
  until ARGUMENT
end

-- The call of `require` at register A. What a module gives that is no library is known to be none.
local function required(walk, a, line)
  local name = walk.strings[a + ARGUMENT]
  if not name then
    walk:note("require(?)", line)
  elseif LIBRARIES[name] then
    walk:note(name, line)
    walk.asked[name] = true
  elseif name ~= "bit" then
    walk:note(("require(%s)"):format(name), line)
  end
  return name or "?"
end

local step = {}

function step.GGET(walk, at)
  local name = util.funck(walk.proto, -at.d - 1)
  if name ~= "require" then walk:note(name, at.line) end
  walk.globals[#walk.globals + 1] = { name = name, line = at.line }
  return name
end

function step.TGETS(walk, at)
  local base, name = walk.registers[at.b], util.funck(walk.proto, -at.c - 1)
  if not base then
    walk.loose[#walk.loose + 1] = { name = name, line = at.line }
    return nil
  end
  walk:note(base .. "." .. name, at.line)
  return (base .. "." .. name):gsub("^_G%.", "")
end

function step.TGETV(walk, at)
  local base = walk.registers[at.b]
  if base then walk:note(base .. "[?]", at.line) end
end

function step.MOV(walk, at)
  if walk.registers[at.d] == "require" then walk:note("require", at.line) end -- by another name
  return walk.registers[at.d]
end

-- `require` was read into a register and not called there: as an argument, in a table, returned, it goes where it is
-- not followed, as in `pcall(require, "ffi")`.
local function note_unfollowed(walk, register)
  if walk.uncalled[register] then walk:note("require", walk.uncalled[register]) end
  walk.uncalled[register] = nil
end

local function note_all_unfollowed(walk, first)
  local registers = {}
  for register in pairs(walk.uncalled) do registers[#registers + 1] = register end
  for _, register in ipairs(registers) do
    if register >= first then note_unfollowed(walk, register) end
  end
end

-- One instruction: what register A holds behind it, as the path of a library, or nil.
local function execute(walk, at)
  local registers, strings = walk.registers, walk.strings
  if at.op:find "^CALL" then
    local value = registers[at.a] == "require" and required(walk, at.a, at.line) or nil
    walk.uncalled[at.a] = nil
    note_all_unfollowed(walk, at.a)
    for _, held in ipairs { registers, strings } do
      for register in pairs(held) do
        if register >= at.a then held[register] = nil end
      end
    end
    registers[at.a] = value
  elseif at.writes then
    note_unfollowed(walk, at.a)
    if at.op == "GGET" and util.funck(walk.proto, -at.d - 1) == "require" then walk.uncalled[at.a] = at.line end
    registers[at.a] = step[at.op] and step[at.op](walk, at) or nil
    strings[at.a] = at.op == "KSTR" and util.funck(walk.proto, -at.d - 1) or nil
  end
end

local function visit(walk, proto)
  walk.proto, walk.registers, walk.strings, walk.uncalled = proto, {}, {}, {}
  local pc = 1
  while true do
    local instruction, mode = util.funcbc(proto, pc)
    if not instruction then break end
    local at = { line = util.funcinfo(proto, pc).currentline }
    at.op, at.a, at.b, at.c, at.d, at.writes = fields(instruction, mode)
    execute(walk, at)
    pc = pc + 1
  end
  note_all_unfollowed(walk, 0)
  local i = -1
  while true do
    local constant = util.funck(proto, i)
    if constant == nil then break end
    if type(constant) == "proto" then visit(walk, constant) end
    i = i - 1
  end
end

local function note_uses(walk, uses, roots)
  for _, use in ipairs(uses) do
    for root in pairs(roots) do
      if ACTS[root .. "." .. use.name] then walk:note(root .. "." .. use.name, use.line) end
    end
  end
end

-- Fields of something that was not followed: taken for those of each library that the script has. After `module "os"`
-- and setfenv, globals are fields of a library as well.
local function note_loose(walk)
  local asked = walk.asked
  for name in pairs(walk.found) do asked[name:match "^[%w_]+"] = true end
  note_uses(walk, walk.loose, asked)
  if asked.module or asked.setfenv then note_uses(walk, walk.globals, LIBRARIES) end
end

--- What a script asks for.
-- @tparam string text Lua; it is compiled, not run
-- @tparam string name for messages
-- @treturn {table,…} `{name, lines, acts}`, sorted by name: "os.execute", "ffi", "require(socket)", "os[?]" where the
--   name is computed, "luaprobe.unpack" and other functions of luaprobe that act on a path; `acts`: it can do something
--   to the machine, or hide what does. nil and the reason when the text is no Lua
function M.of(text, name)
  if text:sub(1, 3) == "\27LJ" then return nil, name .. ": is bytecode, not text: what it would do cannot be told" end
  local chunk, reason = load((text:gsub("^#[^\n]*", "")), "@" .. name, "t")
  if not chunk then return nil, reason end
  local walk = setmetatable({ found = {}, loose = {}, globals = {}, asked = {} }, Walk)
  visit(walk, chunk)
  note_loose(walk)
  local list = {}
  for _, entry in pairs(walk.found) do
    table.sort(entry.lines)
    list[#list + 1] = entry
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return M
