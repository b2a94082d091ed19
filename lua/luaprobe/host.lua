--- The host's command line: what runs, with which arguments, and how its failure is told.
-- @module luaprobe.host
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local accounts = require "luaprobe.accounts"
local cli = require "luaprobe.cli"
local err = require "luaprobe.error"
local find = require "luaprobe.find"
local leftovers = require "luaprobe.leftovers"

-- Taken before a script can put something else in their place: how its failure is told must not depend on it.
local traceback = debug.traceback
local stdout, stderr = io.stdout, io.stderr
local exit = os.exit

local DONE, FAILED, WRONG_USAGE, LOST = 0, 1, 2, 3 -- exit codes

local function version()
  return ("luaprobe %s (%s, libbpf %s, Linux %s)"):format(ffi.string(C.lp_version()), jit.version,
    (ffi.string(C.lp_version_libbpf()):gsub("^v", "")), ffi.string(C.lp_version_kernel()))
end

local function usage(message)
  cli.usage_error(("luaprobe: %s\nTry 'luaprobe --help'."):format(message))
end

-- Options that take nothing: what they do to the plan of the run.
local FLAGS = {
  ["-i"] = function(plan) plan.interactive = true end,
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
  if not words[i] and #plan.code == 0 then plan.interactive = true end
  return plan
end

-- `arg` as the standalone interpreter has it: the script at 0, its arguments from 1, what came before it below 0.
local function set_arg(words, script)
  local arg = {}
  for i = 0, #words do arg[i - script] = words[i] end
  _G.arg = arg
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

-- Runs the script so that its local variables become global ones, for the prompt. A script that ends by `return` keeps
-- them to itself.
local function run_for_prompt(text, name, ...)
  local repl = require "luaprobe.repl"
  repl.prepare()
  function _G.leave_to_prompt()
    _G.leave_to_prompt = nil
    for i = 1, math.huge do
      local key, value = debug.getlocal(2, i)
      if not key then return end
      if key:find "^[%a_][%w_]*$" then _G[key] = value end
    end
  end
  local ok, chunk = pcall(compile, text .. "\nleave_to_prompt()", name)
  if not ok then chunk = compile(text, name) end
  require("luaprobe.chunk").make_interruptible(chunk, text) -- its functions are called at the prompt
  C.lp_stop_interrupt_lua(true)
  local ended, failure = require "luaprobe.guard"(chunk, ...)
  if not ended then error(failure, 0) end
end

local function prompt(plan)
  return require("luaprobe.repl").run(plan)
end

-- Before the prompt a failure is told, not final.
local function run_script(plan, words)
  local text, name, path = find.read_script(words[plan.script])
  find.set_script(path, name, text)
  if not plan.interactive then return compile(text, name)(unpack(_G.arg)) end
  local ok, failure = pcall(run_for_prompt, text, name, unpack(_G.arg))
  if ok or cli.is_usage(failure) then return ok or error(failure, 0) end
  io.stdout:flush()
  io.stderr:write("luaprobe: ", err.text_of(failure), "\n")
end

local function run(plan, words)
  if plan.show then return io.stdout:write(plan.show) end
  C.lp_error_verbose(plan.verbose or false)
  local btf = plan.btf or os.getenv "LUAPROBE_BTF"
  if btf and btf ~= "" then require("luaprobe.kernel").use(btf) end
  forget_current_directory()
  leftovers.sweep_quietly()
  set_arg(words, plan.script)
  if #plan.code > 0 then _G.lp = require "luaprobe" end -- a line of code shall not have to begin with that
  for _, code in ipairs(plan.code) do compile(code, "(command line)")() end
  if words[plan.script] then run_script(plan, words) end
  if plan.interactive and prompt(plan) then error(nil, 0) end
end

-- Turns an error into what is printed and the exit code. Runs where the error was raised, for the traceback.
local function explain(failure)
  if failure == nil then return { status = FAILED } end -- error(): the script has said it all
  if cli.is_usage(failure) then return { text = failure.message, status = WRONG_USAGE } end
  return {
    text = "luaprobe: " .. err.text_of(failure), status = FAILED, log = err.is(failure) and failure.log,
    traceback = traceback("", 2),
  }
end

local function report(problem, with_traceback)
  stdout:flush()
  if problem.text then stderr:write(problem.text, "\n") end
  if not with_traceback or not problem.traceback then return end
  if problem.log then stderr:write(problem.log) end
  stderr:write(problem.traceback:gsub("^\n", ""), "\n")
end

-- Tells what was lost: people on standard error, machines in a last record.
local function report_accounts()
  local record = accounts.json()
  if record then stdout:write(record) end
  local lines = accounts.footer()
  if #lines == 0 then return end
  stdout:flush()
  for _, line in ipairs(lines) do stderr:write("luaprobe: ", line, "\n") end
end

-- A script that ends by os.exit has lost no less: --strict turns success into LOST there, too. The state is closed in
-- any case: that detaches what is still attached.
local function exit_with_accounts(code)
  C.lp_output_flush() -- before probes are taken away: whoever does not want to wait for that has seen all output
  report_accounts()
  local is_success = code == nil or code == true or code == DONE
  return exit(is_success and accounts.fails() and LOST or code, true)
end

--- Runs luaprobe.
-- @tparam {string,…} words the command line, the program's own name at 0
-- @treturn number the exit code
return function(words)
  local plan
  os.exit = exit_with_accounts -- luacheck: ignore
  local ok, problem = xpcall(function()
    plan = parse(words)
    run(plan, words)
  end, explain)
  if not ok and type(problem) ~= "table" then -- there was no memory to explain it, or no stack
    collectgarbage()
    problem = { text = "luaprobe: " .. err.text_of(problem), status = FAILED }
  end
  if not ok then report(problem, plan and plan.traceback) end
  C.lp_output_flush() -- see exit_with_accounts
  report_accounts()
  if not ok then return problem.status end
  return accounts.fails() and LOST or DONE
end
