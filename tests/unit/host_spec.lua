-- The command line of the host: what runs, what scripts see, how failures are told.
local helper = require "helper"

local run = helper.luaprobe_run

local function fails(arguments, expected_status, ...)
  local out, err, status = run(arguments)
  assert.are.equal(expected_status, status, err)
  assert.are.equal("", out)
  for _, part in ipairs { ... } do assert.is_truthy(err:find(part, 1, true), err) end
  assert.is_nil(err:find "stack traceback", err)
  return err
end

describe("luaprobe", function()
  local directory, remove
  setup(function() directory, remove = helper.temporary_directory() end)
  teardown(function() remove() end)

  local function script(text)
    helper.write(directory .. "/script.lua", text)
    return directory .. "/script.lua"
  end

  it("shows its versions and its help", function()
    local out, _, status = run "--version"
    assert.are.equal(0, status)
    local kernel = helper.read("/proc/sys/kernel/osrelease"):gsub("\n", "")
    assert.is_truthy(out:match "^luaprobe %d+%.%d+%.%d+ %(LuaJIT 2%.1[^,]*, libbpf %d+%.%d+, Linux ")
    assert.is_truthy(out:find(kernel, 1, true))
    assert.is_truthy(run("--help"):find("opensnoop", 1, true))
    assert.are.equal(run "--help", (run "-h"))
  end)

  it("refuses wrong usage with exit status 2", function()
    fails("--nonsense", 2, "--nonsense")
    fails("-e", 2, "-e needs")
    fails("opensnoop --nonsense", 2, "unknown option '--nonsense'", "opensnoop --help")
    fails("opensnoop -p x", 2, "'x' is not a whole number")
    fails("opensnoop -p -1", 2, "no option takes a number below 0")
    fails("opensnoop -u 4294967295", 2, "is no user")
    fails("opensnoop -p 0", 2)
    fails("opensnoop -d -1", 2)
    fails("opensnoop -d 0", 2)
    fails("opensnoop -c 1234567890123456", 2, "1 to 15 characters")
    fails("opensnoop extra", 2, "too many arguments")
  end)

  it("fails whatever a script breaks: its memory, its errors, the functions that would tell them", function()
    for code, told in pairs {
      ["error(setmetatable({}, { __tostring = function() error(1) end }))"] = "its __tostring fails",
      ["error(setmetatable({}, { __tostring = function() return {} end }))"] = "gives no string",
      ["tostring = nil error 'told'"] = "told",
      ["debug.traceback = nil error 'told'"] = "told",
      ["io.stderr, io.stdout = nil error 'told'"] = "told",
      ["local function f() return f() + 1 end f()"] = "stack overflow",
      ["error {}"] = "table",
    } do
      local out, err, status = run("-e " .. helper.quote(code))
      assert.are.same({ "", 1 }, { out, status }, code)
      assert.is_truthy(err:find("luaprobe: ", 1, true), code)
      assert.is_truthy(err:find(told, 1, true), err)
    end
    if helper.build:find "sanitize" then return end -- which needs terabytes of addresses
    local _, err, status = helper.run("ulimit -v 300000; " .. helper.luaprobe
      .. [[ -e 'local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e6) .. i end']])
    assert.are.same({ "luaprobe: not enough memory\n", 1 }, { err, status })
  end)

  it("runs a script that comes from a pipe, of bounded size", function()
    -- What a shell makes of luaprobe <(…). Another FIFO would wait for somebody who writes to it.
    local function through_pipe(producer)
      return helper.run(("%s | %s /dev/fd/0"):format(producer, helper.luaprobe))
    end
    assert.are.equal("9\n", (through_pipe "echo 'print(9)'"))
    os.execute(("mkfifo %s/pipe"):format(directory))
    fails(directory .. "/pipe", 1, "is a FIFO, not a file")
    local _, err = through_pipe "head -c 17000000 /dev/zero"
    assert.is_truthy(err:find("a script may have", 1, true), err)
    os.remove(directory .. "/pipe")
  end)

  it("runs code, standard input and files, in this order", function()
    assert.are.equal("12\n", (run "-e 'a = 1' -e 'print(a .. 2)'"))
    assert.are.equal("5\n", (run "- <<'END'\nprint(5)\nEND"))
    assert.are.equal("7\n", (run("-e 'a = 7' " .. script "print(a)")))
    assert.are.equal("8\n", (run(script "#!/usr/bin/env luaprobe\nprint(8)")))
  end)

  it("gives scripts their arguments as the standalone interpreter does", function()
    local path = script "print(arg[0], #arg, arg[1], arg[2], arg[-1], arg[-2]); print(...)"
    local out = run("--traceback " .. path .. " -x 'two words'")
    assert.are.equal(("%s\t2\t-x\ttwo words\t--traceback\t%s\n-x\ttwo words\n"):format(path, helper.luaprobe), out)
    assert.are.equal("-\t1\n", (run "- a <<'END'\nprint(arg[0], #arg)\nEND"))
  end)

  it("tells failures in one paragraph and exits 1", function()
    fails("/nonexistent/script.lua", 1, "there is no script '/nonexistent/script.lua'", "opensnoop")
    fails("nosuchtool", 1, "there is no script 'nosuchtool'")
    fails(directory, 1, "a directory")
    fails(script "local x =\n= 5", 1, "script.lua:2: unexpected symbol")
    fails(script "\n\nlocal t = nil + 1", 1, "script.lua:3: attempt to perform arithmetic")
    fails(script "error({})", 1)
    fails(script "error()", 1)
    fails("- <&-", 1, "standard input")
  end)

  it("shows the traceback when asked", function()
    local _, err, status = run("--traceback " .. script "local function inner() error 'x' end\ninner()")
    assert.are.equal(1, status)
    assert.is_truthy(err:find "stack traceback" and err:find "script.lua:1: in function 'inner'", err)
  end)

  it("points at the script's own line when the library refuses", function()
    fails(script 'local lp = require "luaprobe"\n\nlp.open("nothing")', 1, "script.lua:3: there is no BPF object")
    fails(script 'local lp = require "luaprobe"\nlp.open(5)', 1, "script.lua:2: an object is given by name")
  end)

  it("tells what is taken where nothing, or something else, was given", function()
    for call, words in pairs { ["columns()"] = "takes a list of columns", ["pack()"] = "given by its name or path",
      ["inspect(5)"] = "given by its name or path", ["check(5)"] = "given by its name or path",
      ["time_of_day()"] = "takes a number of nanoseconds",
      ["cli('a', 'b'):argument():parse()"] = "argument takes a name" } do
      fails(("-e %s"):format(helper.quote("require 'luaprobe'." .. call)), 1, words)
    end
    local path = script "local lp = require 'luaprobe'\nlocal out = lp.columns { 'A' }\nout:row(print)"
    local _, err = run(("-e %s %s"):format(helper.quote "require 'luaprobe.columns'.set_json()", path))
    assert.is_truthy(err:find("script.lua:3: JSON has nothing for a function", 1, true), err)
  end)

  it("fails when standard output cannot be written", function()
    fails("-e 'print(5)' >/dev/full", 1, "standard output cannot be written", "No space left")
    fails("-e 'print(5)' >&-", 1, "standard output cannot be written")
    fails("-e 'print(5) os.exit(0)' >/dev/full", 1, "standard output cannot be written")
    fails("opensnoop --help >/dev/full", 1, "standard output cannot be written")
    local _, _, status = run "-e 'x = 1' >&-"
    assert.are.equal(0, status)
  end)

  it("ends quietly when standard output is closed", function()
    local out, err = run "-e 'while true do print(1) end' | head -2"
    assert.are.same({ "1\n1\n", "" }, { out, err })
  end)

  it("is an interpreter for busted", function()
    local out, err, status = helper.run(("busted --lua=%s --lpath='tests/?.lua' --output=TAP tests/unit/types_spec.lua")
      :format(helper.luaprobe))
    assert.are.same({ "", 0 }, { err, status })
    assert.is_truthy(out:find "ok 1 %- " and not out:find "not ok", out)
  end)

  it("takes no modules from the current directory", function()
    helper.write(directory .. "/trap.lua", "print 'trapped'")
    local binary = helper.luaprobe:sub(1, 1) == "/" and helper.luaprobe or "$OLDPWD/" .. helper.luaprobe
    local out, _, status = helper.run(("cd %s && %s -e 'require \"trap\"'"):format(directory, binary))
    assert.are.same({ "", 1 }, { out, status })
  end)

  it("lets no file take the place of its own modules", function()
    os.execute(("mkdir -p %s/luaprobe"):format(directory))
    helper.write(directory .. "/luaprobe/object.lua", "print 'trapped'")
    local out = helper.run(("LUA_PATH='%s/?.lua' %s -e 'print(type(require [[luaprobe]].open))'"):format(directory,
      helper.luaprobe))
    assert.are.equal("function\n", out)
  end)
end)
