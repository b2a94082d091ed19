--- The command line of a tool: its own options, and those that every tool has.
--
-- Built on lua-argparse. The help text is the tool's manual, so give it a description worth reading and examples.
-- @module luaprobe.cli
local argparse = require "argparse"
local accounts = require "luaprobe.accounts"
local C = require "luaprobe.cdef"
local columns = require "luaprobe.columns"
local err = require "luaprobe.error"
local limits = require "luaprobe.limits"
local options = require "luaprobe.options"
local takes = require "luaprobe.takes"

local M = {}

local Cli = {}
Cli.__index = Cli

local COMM_LENGTH = 15 -- TASK_COMM_LEN is 16 with the NUL

--- What a wrong command line raises; the host prints it and exits 2.
local Usage = {}
Usage.__index = Usage

function Usage:__tostring()
  return self.message
end

--- Whether a caught value is a wrong command line.
function M.is_usage(value)
  return getmetatable(value) == Usage
end

function M.usage_error(message)
  error(setmetatable({ message = message }, Usage), 0)
end

-- Converters return nil and the reason when they refuse.
local function whole_number(text)
  local number = text:match "^%d+$" and tonumber(text)
  if number and number <= 4294967295 then return number end
  return nil, ("'%s' is not a whole number that the kernel could use"):format(text)
end

local function process_id(text)
  local number, reason = whole_number(text)
  if number == 0 then return nil, "no process has the number 0" end
  return number, reason
end

local function seconds(text)
  local number = tonumber(text)
  if number and number > 0 and number <= 1e9 then return number end
  return nil, ("'%s' is not a number of seconds above 0"):format(text)
end

local function comm(text)
  if #text >= 1 and #text <= COMM_LENGTH then return text end
  return nil, ("a process name has 1 to %d characters, '%s' has %d"):format(COMM_LENGTH, text, #text)
end

-- The kernel's (uid_t)-1, which stands for "no user", and in the filter for any.
local NO_USER = 4294967295

local function user(text)
  if tonumber(text) == NO_USER then return nil, text .. " is no user: the kernel keeps that number for \"none\"" end
  if text:find "^%d+$" then return whole_number(text) end
  local number = tonumber(C.lp_user_find(text))
  if number >= 0 then return number end
  return nil, ("there is no user '%s'"):format(text)
end

local function control_group(text)
  if text == "" then return nil, "a control group has a name; that of all processes is /" end
  local descriptor, reason = require("luaprobe.cgroup").open(text)
  return descriptor, reason
end

local function add_standard_options(parser)
  parser:option("-p --pid", "Only this process."):argname "PID":convert(process_id)
  parser:option("-t --tid", "Only this thread."):argname "TID":convert(process_id)
  parser:option("-u --uid", "Only processes of this user, by name or number."):argname "USER":convert(user)
  parser:option("-c --comm", "Only processes of this name."):argname "COMM":convert(comm)
  parser:option("--cgroup", "Only processes in this control group or one below it, by its directory or its name "
    .. "(system.slice/nginx.service)."):argname "PATH":convert(control_group)
  parser:option("-d --duration", "End after so many seconds."):argname "SECONDS":convert(seconds)
  parser:option("-i --interval", "Show sums every so many seconds, in tools that sum up."):argname "SECONDS"
    :convert(seconds)
  parser:flag("-T --timestamp", "Show when it happened.")
  parser:flag("--json", "Print one JSON object a line: numbers as numbers, 64-bit ones that a double does not hold as "
    .. "strings.")
  parser:option("--attach", "Attach by this mechanism: auto, link, perf, legacy or multi."):argname "MECHANISM"
    :choices { "auto", "link", "perf", "legacy", "multi" }
  parser:option("--buffer", "Send events through this kind of buffer: ring or perf."):argname "KIND"
    :choices { "ring", "perf" }
  parser:flag("--stats", "Tell at the end what was delivered, lost and missed.")
  parser:flag("--strict", "Exit with status 3 if anything was lost or missed.")
end

local function check_names(what, names, description)
  if type(names) == "string" and names ~= "" and (description == nil or type(description) == "string") then return end
  err.misuse("%s takes a name and a description, both strings", what)
end

--- Adds a flag of the tool: `:flag("-x --failed", "Show only what failed.")`.
function Cli:flag(names, description)
  check_names("flag", names, description)
  self.parser:flag(names, description)
  return self
end

--- Adds an option with a value.
-- @tparam string names "-n --number"
-- @tparam string description
-- @tparam[opt] string argname what help calls the value
-- @tparam[opt] function convert from the text to the value, or nil and the reason
function Cli:option(names, description, argname, convert)
  check_names("option", names, description)
  local option = self.parser:option(names, description)
  if argname then option:argname(argname) end
  if convert then option:convert(convert) end
  return self
end

--- Adds an argument without a dash.
-- @tparam string name
-- @tparam string description
-- @tparam[opt] string count how many: "1" (the default), "?", "*"
function Cli:argument(name, description, count)
  check_names("argument", name, description)
  self.parser:argument(name, description):args(count or 1)
  return self
end

--- Adds lines of examples to the help.
function Cli:examples(text)
  self.parser:epilog("Examples:\n" .. text)
  return self
end

-- While the manual is made, parsing a command line ends the script: see M.describe.
local describing = false

--- The tool that a script is, without running it further than to its command line: for the manual and the completions,
-- which the build makes of it.
-- @tparam function run the script
-- @treturn table the argparse parser
function M.describe(run)
  describing = true
  local _, tool = pcall(run)
  describing = false
  return getmetatable(tool) == Cli and tool.parser or error(tool, 0)
end

local function check_words(words)
  if words == nil then return end
  if type(words) ~= "table" then err.misuse("parse takes a list of words, not a %s", type(words)) end
  for i, word in ipairs(words) do
    if type(word) ~= "string" then err.misuse("parse takes words: number %d is a %s", i, type(word)) end
  end
end

--- Parses the command line and applies what concerns the whole run (-d).
-- @tparam[opt] {string,…} words the arguments; the script's own when missing
-- @treturn table values by name, `filter` among them: what bpf/include/filter.bpf.h takes
-- @raise a usage error, which the host prints before it exits 2
function Cli:parse(words)
  if describing then error(self, 0) end
  check_words(words)
  local args = self.parser:parse(words or _G.arg)
  args.filter = { pid = args.pid, tid = args.tid, uid = args.uid, comm = args.comm }
  if args.cgroup then
    args.filter.cgroup = true
    require("luaprobe.cgroup").set(args.cgroup)
  end
  if args.json and self.tracing then columns.set_json() end
  if args.duration then limits.set_duration(args.duration) end
  if args.attach then options.set_default_mechanism(args.attach) end
  if args.buffer then require("luaprobe.event_map").set_default_kind(args.buffer) end
  for _, what in ipairs { "stats", "strict", "json" } do
    if args[what] and self.tracing then accounts.want(what) end
  end
  return args
end

--- Starts the description of a tool's command line.
-- @tparam string name the tool
-- @tparam string description what it shows, for people who have never used it
-- @tparam[opt] table opts `tracing = false`: a command that traces nothing, and so has only --help
function M.new(name, description, opts)
  if type(name) ~= "string" or type(description) ~= "string" then
    err.misuse("lp.cli takes the tool's name and its description")
  end
  local parser = argparse(name, description):add_help(false):usage_max_width(100):help_max_width(100)
  function parser.error(_, message)
    if message:find "^unknown option '%-%d" then message = message .. ": no option takes a number below 0" end
    M.usage_error(("%s: %s\n%s\nTry '%s --help'."):format(name, message, parser:get_usage(), name))
  end
  parser:flag("-h --help", "Show this help message and exit."):action(function()
    io.stdout:write(parser:get_help(), "\n")
    os.exit(0, true)
  end)
  local tracing = takes.options("lp.cli", opts, { tracing = takes.switch }).tracing ~= false
  if tracing then add_standard_options(parser) end
  return setmetatable({ parser = parser, tracing = tracing }, Cli)
end

return M
