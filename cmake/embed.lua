-- embed.lua: writes the C file that puts other files into the binary; run by the build with LuaJIT.
--
--   luajit embed.lua OUT.c DIR KIND:NAME=PATH…
--
-- KIND `lua` compiles a module to bytecode, with line numbers kept for error messages; `header` turns a C header into
-- a module that returns its declarations as text; `opcodes` is a module of LuaJIT's own; `file` takes the bytes as they
-- are. Compiled files go to DIR.
local output, dir = arg[1], arg[2]

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- The path below the source tree, so that messages do not depend on where it was built.
local function chunk_name(path)
  return "@" .. (path:match("/(lua/.*)$") or path:match("[^/]*$"))
end

local function bytecode(text, path)
  return string.dump(assert(loadstring(text, chunk_name(path))))
end

local function compiled(name, code)
  local path = dir .. "/" .. name
  write(path, code)
  return "lua/" .. name, path
end

local kinds = {}

function kinds.lua(name, path)
  return compiled(name .. ".luac", bytecode(read(path), path))
end

function kinds.header(name, path)
  local declarations = ("\n" .. read(path)):gsub("\n#[^\n]*", "\n")
  return compiled(name .. ".luac", bytecode(("return %q"):format(declarations), path))
end

-- The names of the instructions that bytecode is made of, six characters each: those of the LuaJIT that is built in.
function kinds.opcodes(name)
  return compiled(name .. ".luac", bytecode(("return %q"):format(require("jit.vmdef").bcnames), name))
end

function kinds.file(name, path)
  return name, path
end

local assembly, rows = {}, {}
for i = 3, #arg do
  local kind, name, path = arg[i]:match("^(%w+):(.-)=(.*)$")
  name, path = kinds[kind](name, path)
  local symbol = "lp_embedded_" .. i
  assembly[#assembly + 1] = (
    '__asm__(".section .rodata\\n.balign 8\\n%s:\\n.incbin \\"%s\\"\\n%s_end:\\n.byte 0\\n.previous\\n");\n'
    .. "extern const char %s[], %s_end[];\n"):format(symbol, path, symbol, symbol, symbol)
  rows[#rows + 1] = ('    {"%s", %s, %s_end},\n'):format(name, symbol, symbol)
end

write(output, table.concat({
  "/* Written by cmake/embed.lua. */\n", '#include "bytes.h"\n\n', table.concat(assembly),
  "\nconst struct lp_embedded lp_embedded_files[] = {\n", table.concat(rows), "    {0, 0, 0},\n};\n",
}))
