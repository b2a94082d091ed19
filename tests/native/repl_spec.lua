-- The prompt, through a pipe and through a pseudo-terminal.
local helper = require "helper"
local terminals = require "terminal"

if not helper.is_root() then
  describe("the prompt", function() pending "needs root" end)
  return
end

local callee = helper.build .. "/tests/callee"
local OPEN = '"tracepoint:syscalls:sys_enter_openat"'

-- Guests are emulated, and see nothing here that this machine does not.
local is_guest = helper.exists "/luaprobe/tests/vm/init" and helper.exists "/command"

local function through_pipe(input, arguments)
  local path = os.tmpname()
  helper.write(path, input)
  local out, err, status = helper.run(("timeout 60 %s %s <%s"):format(helper.luaprobe, arguments or "", path))
  os.remove(path)
  return out, err, status
end

describe("through a pipe", function()
  helper.check_leaks(before_each, after_each)

  it("values are printed, each on its own line, chunks go over lines, errors are a paragraph", function()
    local out, err, status = through_pipe [[
1 + 1
x = 5
x, "a", nil
for i = 1, 2 do
  print(i)
end
local y = 7
y
nope.x
(function() return 1, 2 end)()
{ a = 1 }
lp.count("kprobe:x", { bye = 1 })
= 3
]]
    assert.are.equal('2\n5\n"a"\nnil\n1\n2\n7\n1\n2\n{ a = 1 }\n3\n', out)
    assert.are.equal("error: attempt to index global 'nope' (a nil value)\nerror: lp.count has no option 'bye'; it has "
      .. "by, comm, max_entries, mechanism, pid, tid, uid, where\n", err)
    assert.are.equal(1, status)
  end)

  it("expressions go over lines, and a return gives", function()
    local out, err, status = through_pipe '{ 1,\n2 }\n1 +\n2\n"a" ..\n"b"\n#{\n1 }\nreturn 8\n'
    assert.are.equal('{ 1, 2 }\n3\n"ab"\n1\n8\n', out)
    assert.are.same({ "", 0 }, { err, status })
  end)

  it("nothing that a chunk raises, gives or sets ends the session", function()
    local raises = "setmetatable({}, { __tostring = function() error('x', 0) end })"
    for _, chunk in ipairs { "error(" .. raises .. ")", raises } do
      local out, err, status = through_pipe(chunk .. "\n1 + 1\n")
      assert.are.equal("2\n", out)
      assert.is_truthy(err:find "^error: ")
      assert.are.equal(1, status)
    end
    for _, chunk in ipairs { "pcall, tostring, select, ipairs, type, loadstring, xpcall, setmetatable = nil",
      "io.stdout, io.stderr, io.write, table.concat, debug.sethook = nil", "string.find, string.gsub, string.sub = nil",
      "io, string, table, debug, math, os, package = nil" } do
      assert.are.equal("2\n", (through_pipe(chunk .. "\n1 +\n1\n")), chunk)
    end
    assert.are.equal('"ab"\n', (through_pipe "function string.twice(s) return s .. 'b' end\n('a'):twice()\n"))
  end)

  it("whatever succeeded runs again when it was saved", function()
    local saved = os.tmpname()
    local sessions = { "=1+1", "1;", "return 8\n9", "x = 1 return x\nx", "local x\nx = 3\nx", "local y = 3\ny",
      "::top:: print(1)\n::top:: print(1)", "show = 4\nshow", "if true then return 5 end\n6", "x = 1 -- one\nx -- two",
      "function f(...)\nreturn ...\nend\nf(1, nil)", "x = print\n(x or y)(7)", "...", "x = { 1,\n2 }\nx", "#{\n1 }",
      "failed.line()\n3", "for i = 1, 2 do\nprint(i) end", "pretty, select = nil\n'x'", "ffi.sizeof 'int'", ";\n1",
      "goto over; ::over::\n2", "do local a = 1; b = a end\nb" }
    for _, session in ipairs(sessions) do
      os.remove(saved)
      local out = through_pipe(("%s\nlp.save %q\n"):format(session, saved))
      local again, err, status = helper.luaprobe_run(saved)
      assert.are.same({ out, "", 0 }, { again, err, status }, session)
    end
    local _, err = through_pipe(("1\nlp.save %q\n"):format(saved))
    assert.is_truthy(err:find("is there already\n  hint: lp.save(", 1, true), err)
    for _, path in ipairs { '""', '"a\\0b"', "5", "nil" } do
      _, err = through_pipe(("lp.save(%s)\n"):format(path))
      assert.is_truthy(err:find("error: lp.save takes a path, not ", 1, true), err)
    end
    os.remove(saved)
  end)

  it("begins as scripts may, and no line or chunk is endless", function()
    assert.are.equal("2\n", (through_pipe "\239\187\1911 + 1\n"))
    assert.are.equal("2\n", (through_pipe "#!/usr/bin/env luaprobe\n1 + 1\n"))
    local out, err, status = through_pipe("x = '" .. ("y"):rep(1e6) .. "'\n1 + 1\n")
    assert.are.same({ "2\n", "error: a line takes 262144 bytes at most\n", 1 }, { out, err, status })
    out, err, status = through_pipe("t = {\n" .. (("y"):rep(1000) .. ",\n"):rep(300) .. "1 + 1\n")
    assert.is_truthy(err:find "^error: a chunk takes 262144 bytes at most; luaprobe FILE runs larger ones\n")
    assert.is_truthy(out:find "2\n$")
    assert.are.equal(1, status)
    err = select(2, helper.run(("head -c 20000000 /dev/zero | timeout 60 %s"):format(helper.luaprobe)))
    assert.are.equal("error: a line takes 262144 bytes at most\n", err)
    if is_guest then return end
    err = select(2, helper.run(("echo 1 + 1 | timeout 60 %s >/dev/full"):format(helper.luaprobe)))
    assert.is_truthy(err:find "No space left on device", err)
  end)

  it("an unfinished chunk is an error, the last line needs no end", function()
    local out, err, status = through_pipe "1\nfor i = 1, 2 do"
    assert.are.equal("1\n", out)
    assert.is_truthy(err:find "'end' expected near '<eof>'")
    assert.are.equal(1, status)
    assert.are.equal("4\n", (through_pipe "2 + 2"))
  end)

  it("events come between the chunks, and a saved session runs", function()
    local saved = os.tmpname()
    local out, err, status = through_pipe((([[
t = lp.trace("uprobe:CALLEE:callee", "arg0, arg1", { ret = true })
os.execute("echo 2 | CALLEE >/dev/null")
#t:items()
c = lp.count("uprobe:CALLEE:callee", { by = "func" })
failed.line()
os.execute("echo 3 | CALLEE >/dev/null")
c:items()[1].key, c:items()[1].count
#lp.session()
lp.detach_all()
#lp.session()
lp.save("SAVED", { overwrite = true })
]]):gsub("CALLEE", callee):gsub("SAVED", saved)))
    assert.are.equal(1, status)
    assert.is_truthy(err:find "failed")
    local rest, events = out:gsub("[^\n]* arg0=3 arg1=40 ret=43 [^\n]*\n", "")
    assert.are.equal('0\n2\n0\n"callee"\n3\n2\n2\n0\n', rest)
    assert.are.equal(5, events)
    local again, again_err, again_status = helper.luaprobe_run(saved)
    os.remove(saved)
    assert.are.equal(0, again_status, again_err)
    rest, events = again:gsub("[^\n]* arg0=3 arg1=40 ret=43 [^\n]*\n", "")
    assert.are.equal('0\n2\n0\n"callee"\n3\n2\n2\n0\n', rest)
    assert.are.equal(5, events)
  end)

  it("timers and handlers run between the chunks", function()
    local out, err = helper.run(([[(echo 'n = 0; t = lp.every(0.02, function() n = n + 1 end)'; sleep 1
      echo 'n > 3'; echo 't.stop()') | timeout 30 %s]]):format(helper.luaprobe))
    assert.are.equal("true\n", out, err)
  end)

  it("-i runs a script and leaves its objects", function()
    local script = os.tmpname()
    helper.write(script, "local lp = require 'luaprobe'\nlocal answer = tonumber(arg[1])\nglobal = 2\n")
    assert.are.equal("42\n2\n", (through_pipe("answer\nglobal\n", "-i " .. script .. " 42")))
    helper.write(script, "local before = 1\nerror 'oh'\n")
    local out, err = through_pipe("1\n", "-i " .. script)
    assert.are.equal("1\n", out)
    assert.is_truthy(err:find(script .. ":2: oh", 1, true))
    os.remove(script)
  end)

  it("10,000 lines of nonsense neither end the session nor leave a probe", function()
    if is_guest then return pending "takes too long in an emulated guest" end
    local pieces = { "lp", ".", "count", "trace", "(", ")", '"', "'", "kprobe:", "uprobe:" .. callee .. ":callee",
      "arg0", ",", "{", "}", "by", "=", "where", "ret", "->", "[", "]", "1", "0x", "nil", "end", "function", "\\", "--",
      "[[", "]]", "\1", "\255", "é",
      ":str", "detach", "session", "pretty", "help", "ffi", "nil", "..", "~=", "and", "%" }
    math.randomseed(7)
    local lines = { 'jobs = lp.trace("uprobe:' .. callee .. ':callee", "arg0")' }
    for i = 1, 10000 do
      local parts = {}
      for j = 1, math.random(1, 8) do parts[j] = pieces[math.random(#pieces)] end
      lines[i + 1] = table.concat(parts, math.random(2) == 1 and " " or "")
      -- A chunk that waits for its end would swallow all that follows.
      if i % 20 == 0 then lines[i + 1] = "]] end ) } ' \"" end
    end
    lines[#lines + 1] = "]] ) "
    lines[#lines + 1] = "jobs and jobs.target"
    local out, _, status = through_pipe(table.concat(lines, "\n") .. "\n")
    assert.are.equal(1, status)
    assert.is_truthy(out:find('"uprobe:' .. callee .. ':callee"\n', 1, true))
  end)
end)

describe("at a terminal", function()
  local terminal, state, before

  before_each(function()
    before = helper.holdings()
    state = helper.temporary_directory()
    terminal = terminals.start(("env XDG_STATE_HOME=%s %s"):format(state, helper.luaprobe))
    terminal:wait("the prompt", function(screen) return screen:text():find "\n>$" end)
    terminal.seen = #terminal.screen:text()
  end)

  after_each(function()
    if not terminal.over then
      terminal:type "\3"
      helper.sleep(0.1)
      terminal:type "\4"
      terminal:wait("the end", function() return terminal.over end)
    end
    terminal:close()
    os.execute("rm -rf " .. state)
    helper.assert_nothing_left(before)
  end)

  it("lines are edited, remembered in a private file, and completed", function()
    assert.are.equal("24", terminal:line "* 7\b6\27[H4 \27[F")
    assert.are.equal("7", terminal:line "1 + 6x\27[D\27[3~")
    assert.are.equal('"é"', terminal:line '"é"')
    terminal:type "lp.detach_a\t"
    terminal:wait("the completion", function(screen) return screen:current() == "> lp.detach_all" end)
    assert.are.equal("0", terminal:line "()")
    terminal:type 'x = "tracepoint:sched:sched_swi\t'
    terminal:wait("the completion", function(screen)
      return screen:current() == '> x = "tracepoint:sched:sched_switch'
    end)
    terminal:type "\3"
    terminal:wait("the prompt", function(screen) return screen:current() == ">" end)
    terminal.seen = #terminal.screen:text()
    terminal:type "\27[A"
    terminal:wait("the line before", function(screen) return screen:current() == "> lp.detach_all()" end)
    terminal:type "\3"
    local file = state .. "/luaprobe/history"
    assert.is_truthy(helper.read(file):find("lp.detach_all()\n", 1, true))
    local pipe = io.popen(("stat -c '%%a' %s %s"):format(file, state .. "/luaprobe"))
    assert.are.equal("600\n700\n", pipe:read "*a")
    pipe:close()
  end)

  it("Ctrl-C gives up a line, a chunk, a watch and a loop, Ctrl-D leaves", function()
    terminal:type "some(thing\3"
    terminal:wait("a new prompt", function(screen) return screen:text():find "%^C\n>$" end)
    terminal.seen = #terminal.screen:text()
    terminal:type "for i = 1, 2 do\r"
    terminal:wait("the second line", function(screen) return screen:current() == ">>" end)
    terminal:type "\3"
    terminal:wait("a new prompt", function(screen) return screen:current() == ">" end)
    terminal.seen = #terminal.screen:text()
    assert.are.equal("4", terminal:line "2 + 2")
    terminal:type("c = lp.count(" .. OPEN .. ', { by = "comm" }); c:watch(0.2)\r')
    terminal:wait("the watch", function(screen) return select(2, screen:text():gsub("PER_SEC", "")) >= 2 end)
    terminal:type "\3"
    terminal:wait("the prompt", function(screen) return screen:current() == ">" end)
    terminal.seen = #terminal.screen:text()
    assert.are.equal("1", terminal:line "#lp.session()")
    terminal:type "while true do end\r"
    helper.sleep(0.3)
    terminal:type "\3"
    terminal:expect("error: interrupted", terminal.seen)
    terminal:wait("the prompt", function(screen) return screen:current() == ">" end)
    terminal.seen = #terminal.screen:text()
    assert.are.equal("5", terminal:line "2 + 3")
    terminal:type "\4"
    terminal:wait("the end", function() return terminal.over end)
  end)

  -- Types Ctrl-C a while after a line; what the screen shows then, until the prompt.
  local function interrupted(line)
    terminal.seen = #terminal.screen:text()
    terminal:type(line .. "\r")
    terminal:pump(300)
    helper.sleep(0.3)
    terminal:type "\3"
    terminal:wait("the prompt", function(screen)
      return #screen:text() > terminal.seen + #line and screen:current() == ">"
    end, 10)
    local shown = terminal.screen:text():sub(terminal.seen + 1)
    terminal.seen = #terminal.screen:text()
    return shown
  end

  it("Ctrl-C ends whatever a chunk does, and never the session", function()
    terminal:line 'ffi.cdef "int usleep(unsigned);"'
    for _, line in ipairs { "io.read()", "pcall(io.read)", "io.popen('sleep 3'):read('*a')", "ffi.C.usleep(3000000)",
      "print(io.read())", "while true do pcall(function() while true do end end) end",
      "for l in io.popen('sleep 5'):lines() do end",
      "setmetatable({}, { __tostring = function() while true do end end })",
      "error(setmetatable({}, { __tostring = function() while true do end end }))",
      "while true do coroutine.wrap(function() while true do end end)() end" } do
      assert.is_truthy(interrupted(line):find "\n%^C\n.*interrupted\n>%s*$", line)
      assert.are.equal("2", terminal:line "1 + 1")
    end
  end)

  it("Ctrl-C while a one-liner attaches leaves nothing attached", function()
    if is_guest then return pending "takes too long in an emulated guest" end
    terminal:type 'c = lp.count("uprobe:libc:*", { by = "func" })\r'
    terminal:pump(250)
    terminal:type "\3"
    terminal:wait("the prompt", function(screen) return screen:current() == ">" end, 60)
    terminal.seen = #terminal.screen:text()
    terminal:type "lp.session()\r"
    terminal:expect("nothing is attached\n", terminal.seen)
  end)

  it("completes without calling what stands in for missing members, and knows a string that cannot end", function()
    terminal:line "E = setmetatable({}, { __index = function() while true do end end })"
    terminal:type "E.q.a\t\t\3"
    terminal:type '"unclosed\r'
    terminal:expect("error: unfinished string", terminal.seen)
  end)

  it("Ctrl-C ends a handler that does not end, and what was typed before stays", function()
    terminal:line "lp.after(0.5, function() while true do end end)"
    terminal:type "1 + 2"
    terminal:wait("the line", function(screen) return screen:current() == "> 1 + 2" end)
    -- It is taken off the screen for the handler's output.
    terminal:wait("the handler", function(screen) return screen:current() == "" end)
    helper.sleep(0.1)
    terminal:type "\3"
    terminal:expect("error: interrupted\n  the handler at prompt:1 is not called any more\n> 1 + 2", terminal.seen)
    terminal:type "\r"
    terminal:expect("> 1 + 2\n3\n>", terminal.seen)
    terminal.seen = #terminal.screen:text()
    -- The same every 0.1 seconds, and one that fails: each is told once.
    terminal:type "n = 0; endless = function() n = n + 1; print 'here'; while true do end end\r"
    terminal:type "for _, f in ipairs { function() oh.no() end, endless } do lp.every(0.1, f) end\r"
    terminal:expect("'oh' (a nil value)\n  the handler at prompt:1 is not called any more\n", terminal.seen)
    terminal:expect("any more\nhere", terminal.seen)
    terminal:type "\3"
    terminal:expect("error: interrupted\n  the handler at prompt:1 is not called any more\n", terminal.seen)
    terminal:wait("the prompt", function(screen) return screen:current() == ">" end)
    helper.sleep(0.3)
    terminal.seen = #terminal.screen:text()
    assert.are.equal("1", terminal:line "n")
  end)

  it("what is typed while a chunk runs is read afterwards, unless Ctrl-C ended it", function()
    local function start(chunk)
      terminal:type(chunk .. "\r")
      terminal:wait("it runs", function(screen) return screen:current() == "" end)
    end
    start "for i = 1, 3e8 do end"
    terminal:type "1 + 1\r"
    terminal:expect("> 1 + 1\n2\n>", terminal.seen)
    start "while true do end"
    terminal:type "3 + 3\r" -- the kernel drops it at Ctrl-C, as for a shell
    helper.sleep(0.3)
    terminal:type "\3"
    terminal:expect("error: interrupted\n>", terminal.seen)
    terminal.seen = #terminal.screen:text()
    assert.are.equal("5", terminal:line "2 + 3")
    terminal:type "\0\27x\27X" -- Ctrl-Space; Alt-x, by which libedit takes commands
    assert.are.equal("7", terminal:line "3 + 4")
    start "for i = 1, 3e8 do end"
    terminal:type "\4"
    terminal:wait("the end", function() return terminal.over end)
  end)

  it("leaves the terminal as it was when a signal ends it", function()
    local path = state .. "/session.sh"
    helper.write(path, ("stty -g\n%s\necho over\nstty -g\n"):format(helper.luaprobe))
    local other = terminals.start(("env XDG_STATE_HOME=%s sh %s"):format(state, path))
    other:wait("the prompt", function(screen) return screen:text():find "\n>$" end)
    other:type 'ffi.cdef "int kill(int, int); int getpid(void);"\r'
    other:type "lp.after(0.5, function() ffi.C.kill(ffi.C.getpid(), 1) end)\r1 + "
    other:wait("the end", function() return other.over end)
    local settings = {}
    for line in other.screen:text():gmatch "%x+:%x+:%x+:[%x:]+" do settings[#settings + 1] = line end
    assert.are.equal(2, #settings, other.screen:text())
    assert.are.equal(settings[1], settings[2])
    other:close()
  end)

  it("a terminal that becomes smaller than the line is followed", function()
    terminal:type("x = '" .. ("long "):rep(300))
    terminal:wait("the line", function(screen) return screen:text():find "long long%s*$" end)
    for _, size in ipairs { { 10, 20 }, { 1, 1 }, { 0, 0 }, { 30, 100 } } do
      terminal:resize(unpack(size))
      helper.sleep(0.1)
      terminal:type "12345"
      terminal:pump(100)
    end
    terminal:type "'\r"
    terminal:wait("the prompt", function(screen) return screen:current() == ">" end)
    terminal.seen = #terminal.screen:text()
    assert.are.equal("1520", terminal:line "#x")
    -- libedit loses its place in a line that is longer than the screen, and wrote where there was none.
    terminal:resize(3, 20)
    terminal:type("y = '" .. ("long "):rep(40) .. "\1\5" .. ("more "):rep(20) .. "'\r#y\r")
    terminal:expect("\n300\n", terminal.seen)
    terminal:resize(30, 100)
    if is_guest then return end -- thousands of keys take too long there
    terminal:type("z = '" .. ("x"):rep(20000) .. "'\r")
    terminal:expect("error: a line takes 16,000 characters", terminal.seen)
    terminal:wait("the prompt", function(screen) return screen:current() == ">" end)
    terminal.seen = #terminal.screen:text()
    assert.are.equal("nil", terminal:line "z")
  end)

  it("a history that cannot be kept is told, and why", function()
    local directory = helper.temporary_directory()
    local cases = {
      { "link", "ln -s elsewhere %s", "it is a symbolic link" },
      { "directory", "mkdir %s", "Is a directory" },
      { "fifo", "mkfifo %s", "it is no regular file" },
      { "another", "touch %s && chown nobody %s", "it belongs to somebody else" },
      { "none", "rmdir %s/.. && touch %s/..", "Not a directory" },
    }
    for _, case in ipairs(cases) do
      local file = ("%s/%s/luaprobe/history"):format(directory, case[1])
      os.execute(("mkdir -p %s/%s/luaprobe; "):format(directory, case[1]) .. case[2]:gsub("%%s/%.%.",
        (file:gsub("/history$", ""))):gsub("%%s", file))
      local other = terminals.start(("env XDG_STATE_HOME=%s/%s %s"):format(directory, case[1], helper.luaprobe),
        { columns = 200, rows = 30 })
      other:expect(("luaprobe: what you type will not be remembered: %s: %s\n>"):format(file, case[3]))
      other.seen = #other.screen:text()
      assert.are.equal("2", other:line "1 + 1")
      other:type "\4"
      other:wait("the end", function() return other.over end)
      other:close()
    end
    assert.is_false(helper.exists(directory .. "/link/luaprobe/elsewhere"))
    local other = terminals.start("env -u XDG_STATE_HOME -u HOME " .. helper.luaprobe, { columns = 200, rows = 30 })
    other:expect "not be remembered: neither XDG_STATE_HOME nor HOME is a directory's full path\n>"
    other:type "\4"
    other:wait("the end", function() return other.over end)
    other:close()
    os.execute("rm -rf " .. directory)
    assert.are.equal("", select(2, helper.run(("echo 1 | env HOME=/nowhere %s"):format(helper.luaprobe))))
  end)

  it("a watch ended by Ctrl-C leaves one prompt, and no line in the script", function()
    terminal:line("c = lp.count(" .. OPEN .. ")")
    local shown = interrupted "c:watch(0.1)"
    assert.is_truthy(shown:find "\n%^C\n>%s*$", shown)
    assert.are.equal(1, select(2, shown:gsub("%^C", "")))
    assert.are.equal(1, select(2, shown:gsub("\n>", "")))
    terminal:type "c:watch(0.1)\r"
    terminal:wait("the watch", function(screen) return screen:text():find("COUNT", terminal.seen + 1, true) end, 10)
    terminal:type "\3x = 5\rx + 1\r"
    terminal:expect("> x + 1\n6\n>", terminal.seen)
    terminal.seen = #terminal.screen:text()
    terminal:line "c:detach()"
    terminal:line(("lp.save '%s/saved.lua'"):format(state))
    local saved = helper.read(state .. "/saved.lua")
    assert.is_nil(saved:find "watch")
    assert.is_truthy(saved:find("c:detach()", 1, true))
  end)

  it("1,000 events a second leave the line that is typed as it is", function()
    if is_guest then return pending "takes too long in an emulated guest" end
    terminal:line(('t = lp.trace("uprobe:%s:callee", "arg0")'):format(callee))
    local load = helper.start((
      "sh -c 'for i in $(seq 3000); do [ -e %s/over ] && break; echo 100; sleep 0.1; done | %s >/dev/null'"):format(
      state, callee))
    local long = "x = '" .. ("which wraps, "):rep(5)
      .. "the line that is edited, longer than a row of the screen, so it goes on in the next, and on'"
    for i = 1, #long, 3 do
      terminal:type(long:sub(i, i + 2))
      terminal:pump(20)
    end
    local count_before = select(2, terminal.raw:gsub("arg0=3", ""))
    terminal:type "\27[D\27[D!!\b"
    local wanted = "> " .. long:sub(1, -3) .. "!" .. long:sub(-2)
    local function is_there(screen)
      local text = screen:tail(4):gsub("%s+$", "")
      return text:sub(-#wanted - 2) == "\n" .. wanted:sub(1, 100) .. "\n" .. wanted:sub(101)
    end
    for _ = 1, 20 do -- at twenty moments, events coming all the time
      terminal:pump(50)
      helper.sleep(0.03)
      terminal:wait("the edited line", is_there, 5)
    end
    assert.is_true(select(2, terminal.raw:gsub("arg0=3", "")) > count_before + 200,
      "events came while the line was there")
    -- A prompt alone may be the one before the last line; no event looks like this.
    helper.write(state .. "/over", "")
    terminal:type "\rt:detach() print 'detached'\r"
    terminal:wait("the prompt", function(screen) return screen:tail(4):find "\ndetached\n>%s*$" end)
    terminal.seen = #terminal.screen:text()
    local value = terminal:line("x"):gsub("\n", "")
    assert.are.equal('"' .. long:match "'(.*)'$":sub(1, -2) .. "!" .. long:sub(-2, -2) .. '"', value)
    load.wait()
  end)
end)
