--- The host's command line: what runs, with which arguments, and how its failure is told.
-- @module luaprobe.host
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local cli = require "luaprobe.cli"
local err = require "luaprobe.error"
local events = require "luaprobe.events"
local find = require "luaprobe.find"
local leftovers = require "luaprobe.leftovers"

local DONE, FAILED, WRONG_USAGE = 0, 1, 2 -- exit codes

local function version()
  return ("luaprobe %s (%s, libbpf %s, Linux %s)"):format(ffi.string(C.lp_version()), jit.version,
    (ffi.string(C.lp_version_libbpf()):gsub("^v", "")), ffi.string(C.lp_version_kernel()))
end

local function usage(message)
  cli.usage_error(("luaprobe: %s\nTry 'luaprobe --help'."):format(message))
end

-- Options that take nothing: what they do to the plan of the run.
local FLAGS = {
  ["-v"] = function(plan) plan.verbose = true end,
  ["--traceback"] = function(plan) plan.traceback = true end,
  ["-h"] = function(plan) plan.show = require("luaprobe.usage").help() end,
  ["--version"] = function(plan) plan.show = version() .. "\n" end,
}
FLAGS["--help"] = FLAGS["-h"]

-- Reads the options up to the script: its own come after it.
local function parse(words)
  local plan, i = { code = {} }, 1
  while words[i] and words[i]:sub(1, 1) == "-" and words[i] ~= "-" do
    local word = words[i]
    i = i + 1
    if word == "--" then break end
    if word == "-e" then
      plan.code[#plan.code + 1] = words[i] or usage "-e needs the code to run"
      i = i + 1
    elseif word == "--btf" then
      plan.btf = words[i] or usage "--btf needs a file"
      i = i + 1
    elseif FLAGS[word] then
      FLAGS[word](plan)
    else
      usage(("there is no option '%s'"):format(word))
    end
  end
  plan.script = i
  if not words[i] and #plan.code == 0 and not plan.show then usage "which script shall run?" end
  return plan
end

-- `arg` as the standalone interpreter has it: the script at 0, its arguments from 1, what came before it below 0.
local function set_arg(words, script)
  local arg = {}
  for i = 0, #words do arg[i - script] = words[i] end
  _G.arg = arg
  return arg
end

-- The text as a function; an error of syntax is told as FILE:LINE: what.
local function compile(text, name)
  text = text:gsub("^#[^\n]*", "") -- #!/usr/bin/env luaprobe
  local chunk, reason = loadstring(text, "@" .. name)
  if not chunk then error(setmetatable({ message = reason }, { __tostring = function(e) return e.message end }), 0) end
  return chunk
end

-- Scripts run as root: modules come from the system and from LUA_PATH, not from wherever the user stands.
local function forget_current_directory()
  package.path = package.path:gsub("^%./%?%.lua;", ""):gsub(";%./%?%.lua", "")
  package.cpath = package.cpath:gsub("^%./%?%.so;", ""):gsub(";%./%?%.so", "")
end

local function run(plan, words)
  if plan.show then return io.stdout:write(plan.show) end
  C.lp_error_verbose(plan.verbose or false)
  local btf = plan.btf or os.getenv "LUAPROBE_BTF"
  if btf and btf ~= "" then require("luaprobe.kernel").use(btf) end
  forget_current_directory()
  leftovers.sweep_quietly()
  local arg = set_arg(words, plan.script)
  for _, code in ipairs(plan.code) do compile(code, "(command line)")() end
  if not words[plan.script] then return end
  local text, name, path = find.read_script(words[plan.script])
  find.set_script(path, name, text)
  compile(text, name)(unpack(arg))
end

-- Turns an error into what is printed and the exit code. Runs where the error was raised, for the traceback.
local function explain(failure)
  if failure == nil then return { status = FAILED } end -- error(): the script has said it all
  if cli.is_usage(failure) then return { text = failure.message, status = WRONG_USAGE } end
  local text = "luaprobe: " .. tostring(failure)
  return { text = text, status = FAILED, log = err.is(failure) and failure.log, traceback = debug.traceback("", 2) }
end

local function report(problem, traceback)
  io.stdout:flush()
  if problem.text then io.stderr:write(problem.text, "\n") end
  if not traceback or not problem.traceback then return end
  if problem.log then io.stderr:write(problem.log) end
  io.stderr:write(problem.traceback:gsub("^\n", ""), "\n")
end

local function report_losses()
  local losses = events.losses()
  if #losses == 0 then return end
  io.stdout:flush()
  for _, line in ipairs(losses) do io.stderr:write("luaprobe: ", line, "\n") end
end

--- Runs luaprobe.
-- @tparam {string,…} words the command line, the program's own name at 0
-- @treturn number the exit code
return function(words)
  local plan
  local ok, problem = xpcall(function()
    plan = parse(words)
    run(plan, words)
  end, explain)
  if not ok then report(problem, plan and plan.traceback) end
  report_losses()
  return ok and DONE or problem.status
end
