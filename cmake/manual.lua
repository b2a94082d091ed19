-- manual.lua: writes the manual page and the completions; run by the build with the luaprobe that it just made.
--
--   build/luaprobe cmake/manual.lua OUT-DIRECTORY
--
-- All of it comes from what the command line is parsed by: luaprobe.usage for luaprobe itself, and the argparse parser
-- of each built-in script, which runs no further than to its `:parse()`.
local argparse = require "argparse"
local cli = require "luaprobe.cli"
local find = require "luaprobe.find"
local usage = require "luaprobe.usage"

local directory = assert(arg[1], "where to?")

local function write(name, text)
  local file = assert(io.open(directory .. "/" .. name, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- The built-in scripts' parsers, by name.
local names, tools = find.builtin_scripts(), {}
for _, name in ipairs(names) do
  local text = find.script(name)
  tools[name] = cli.describe(assert(loadstring((text:gsub("^#[^\n]*", "")), "=" .. name)))
end

-- ---- completions: argparse makes them of one parser with a command for each script -------------------------------

local root = argparse("luaprobe", usage.SUMMARY):add_help(false)
for _, option in ipairs(usage.OPTIONS) do
  local spec = option[1]:gsub(",", "")
  if option[2] then root:option(spec, option[3]):argname(option[2]) else root:flag(spec, option[3]) end
end
for _, name in ipairs(names) do
  local command = root:command(name, (tools[name]._description:gsub("%. .*", "."))):add_help(false)
  command._options, command._arguments = tools[name]._options, tools[name]._arguments
end

-- Those of the scripts that trace: what check, inspect, pack and unpack can be given besides files.
local function tracing_names()
  local list = {}
  for _, name in ipairs(names) do
    for _, option in ipairs(tools[name]._options) do
      if option._aliases[1] == "--attach" then list[#list + 1] = name end
    end
  end
  return table.concat(list, " ")
end

local TAKE_SCRIPTS = { "check", "inspect", "pack", "unpack" }

local function replace(text, from, to)
  local first, last = text:find(from, 1, true)
  assert(first, "argparse writes its completions in another way: " .. from)
  return text:sub(1, first - 1) .. to .. text:sub(last + 1)
end

local function replace_all(text, from, to)
  local parts, count = {}, 0
  for part, at in (text .. from):gmatch("(.-)" .. from:gsub("%p", "%%%0") .. "()") do
    parts[#parts + 1], count = part, at
  end
  assert(#parts > 1 and count > 0, "argparse writes its completions in another way: " .. from)
  return table.concat(parts, to)
end

local ARCHITECTURES = "x86_64 arm64 x86_64,arm64"

-- A file's name is one word, whatever is in it, and completed as such.
local BASH_FILES = 'COMPREPLY=($(compgen -f -- "$cur"))'
local function bash_files(also)
  return ('compopt -o filenames 2>/dev/null\n%smapfile -t COMPREPLY < <(%scompgen -f -- "$cur")'):format(
    (" "):rep(20), also or "")
end

-- What a script's own options are, when it is a file: those of every tracing script.
local function standard_words()
  local words = {}
  for _, option in ipairs(cli.describe(function() cli.new("tool", "Any."):parse {} end)._options) do
    for _, alias in ipairs(option._aliases) do words[#words + 1] = alias end
  end
  return table.concat(words, " ")
end

local function bash()
  local text = root:get_bash_complete()
  -- luaprobe's own options come before a script.
  text = replace_all(text, 'opts="$opts ', 'opts="')
  text = replace(text, '        esac\n    done', ([[
            *.lua|*/*)
                cmd=FILE
                opts="%s"
                break
                ;;
        esac
    done]]):format(standard_words()))
  local first = text:find("--arch)", 1, true)
  text = text:sub(1, first - 1) .. replace(text:sub(first), BASH_FILES,
    ('COMPREPLY=($(compgen -W "%s" -- "$cur"))'):format(ARCHITECTURES))
  text = replace_all(text, BASH_FILES, bash_files())
  local ending = '\n    if [[ "$cur" = -* ]]; then\n'
  return replace(text, ending, ([[
    case "$cmd" in
        %s)
            %s
            ;;
        FILE)
            %s
            ;;
    esac
]]):format(table.concat(TAKE_SCRIPTS, "|"), bash_files(('compgen -W "%s" -- "$cur"; '):format(tracing_names())),
    bash_files()) .. ending)
end

local function zsh()
  local text = replace(root:get_zsh_complete(), '": :_luaprobe_cmds"',
    [[": :{_alternative 'scripts:script:_luaprobe_cmds' 'files:file:_files'}"]])
  text = replace_all(text, "options=(\n        $options\n", "options=(\n") -- luaprobe's own come before a script
  local arch = text:find('"--arch[', 1, true)
  text = text:sub(1, arch - 1) .. replace(text:sub(arch), ": :_files", (": :(%s)"):format(ARCHITECTURES))
  for _, name in ipairs(TAKE_SCRIPTS) do
    local first = text:find("\n    " .. name .. ")\n", 1, true)
    text = text:sub(1, first - 1) .. replace(text:sub(first), '": :_files"',
      ([[": :{_alternative 'scripts:script:(%s)' 'files:file:_files'}"]]):format(tracing_names()))
  end
  return text
end

-- ---- the manual page ---------------------------------------------------------------------------------------------

local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("^([.'])", "\\&%1"):gsub("\n([.'])", "\n\\&%1"))
end

local out = {}
local function add(format, ...)
  local values = { ... }
  for i, value in ipairs(values) do values[i] = roff(value) end
  out[#out + 1] = format:format(unpack(values))
end

local function add_options(options)
  for _, option in ipairs(options) do
    local spec = table.concat(option._aliases, ", ")
    local argname = option._argname
    if option._maxargs > 0 then spec = spec .. " " .. (type(argname) == "string" and argname or "VALUE") end
    add(".TP\n\\fB%s\\fR\n%s", spec, option._description)
  end
end

local function argument_names(tool)
  local list = {}
  for _, argument in ipairs(tool._arguments) do
    list[#list + 1] = argument._minargs == 0 and ("[%s]"):format(argument._name) or argument._name
  end
  return table.concat(list, " ")
end

-- Options that every tracing tool has are described once.
local function own_options(tool, standard)
  local list = {}
  for _, option in ipairs(tool._options) do
    if not standard[option._aliases[1]] and option._aliases[1] ~= "-h" then list[#list + 1] = option end
  end
  return list
end

local function standard_options()
  local tool = cli.describe(function() cli.new("tool", "Any."):parse {} end)
  local by_name = {}
  for _, option in ipairs(tool._options) do by_name[option._aliases[1]] = true end
  return tool._options, by_name
end

local function page()
  local standard, by_name = standard_options()
  add('.TH LUAPROBE 1 "" "luaprobe %s" "User Commands"', require("ffi").string(require("luaprobe.cdef").lp_version()))
  add(".SH NAME\nluaprobe \\- trace a running Linux with Lua scripts\n.SH SYNOPSIS")
  for i, form in ipairs(usage.FORMS) do add((i > 1 and ".br\n" or "") .. "\\fBluaprobe\\fR %s", form[1]) end
  add(".SH DESCRIPTION\n%s", usage.SUMMARY)
  for _, form in ipairs(usage.FORMS) do add(".PP\n%s.", form[2]) end
  add ".SH OPTIONS"
  for _, option in ipairs(usage.OPTIONS) do
    add(".TP\n\\fB%s\\fR\n%s.", option[2] and option[1] .. " " .. option[2] or option[1], option[3])
  end
  add(".SH OPTIONS OF EVERY TRACING SCRIPT")
  add_options(standard)
  add ".SH BUILT-IN SCRIPTS"
  for _, name in ipairs(names) do
    add(".SS luaprobe %s %s\n%s", name, argument_names(tools[name]), tools[name]._description)
    add_options(own_options(tools[name], by_name))
    if tools[name]._epilog then
      add(".PP\n.nf\n%s\n.fi", tools[name]._epilog)
    end
  end
  add(".SH EXIT STATUS\n%s", usage.STATUS)
  add [[.SH ENVIRONMENT
.TP
\fBLUAPROBE_PATH\fR
Directories, by colons, where BPF objects are looked for.
.TP
\fBLUAPROBE_CLANG\fR
The clang that lp.compile and luaprobe pack use.
.TP
\fBLUAPROBE_BTF\fR
As \-\-btf.
.TP
\fBLUAPROBE_DEBUG\fR
When it is 1, each event is overwritten with 0xdb bytes once its loop body is over.
.TP
\fBXDG_CACHE_HOME\fR
Where compiled BPF programs are kept, in a directory luaprobe; ~/.cache when it is not set.
.TP
\fBXDG_STATE_HOME\fR
Where the prompt keeps its history; ~/.local/state when it is not set.
.TP
\fBTMPDIR\fR
Where lp.compile has its temporary directory; /tmp when it is not set.
.SH SEE ALSO
.BR bpftool (8),
.BR bpf (2)]]
  return table.concat(out, "\n") .. "\n"
end

write("luaprobe.1", page())
write("luaprobe.bash", bash())
write("_luaprobe", zsh())
