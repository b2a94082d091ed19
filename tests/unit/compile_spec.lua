-- lp.compile: what compiles, what clang's complaints look like, and the cache.
local blocks = require "luaprobe.blocks"
local helper = require "helper"

describe("the programs of a script", function()
  local function names(text)
    local found, list = blocks.scan(text), {}
    for _, block in ipairs(found.blocks) do list[#list + 1] = ("%s@%d"):format(block.text or "?", block.line) end
    for _, object in ipairs(found.objects) do list[#list + 1] = ("%s:%d"):format(object.name, object.line) end
    return table.concat(list, " ")
  end

  it("are found in its text, with their lines", function()
    assert.are.equal("int x;\n@3", names 'local lp = require "luaprobe"\nlp.compile[[\nint x;\n]]')
    assert.are.equal("a@2", names "local lp = require('luaprobe')\nlp.compile 'a'")
    assert.are.equal("ab@1", names "local lp = require 'luaprobe' lp.compile('a' .. [[b]], { name = 'n' })")
    assert.are.equal("c@1", names 'require "luaprobe".compile [==[c]==]')
    assert.are.equal("d@3 n:3", names "local l = require 'luaprobe'\nlocal c = 1\nl.load(l.compile 'd') l.open 'n'")
    assert.are.equal("e@2", names "local lp = require 'luaprobe' local compile = lp.compile\ncompile 'e'")
    assert.are.equal("one:1 two:2", names "lp = require 'luaprobe' lp.load('one', { const = f() })\nlp.open('two')")
    assert.are.equal("a@1 n:1", names "local lp = require'luaprobe' local c, o = lp.compile, lp.open o(c 'a') o 'n'")
    assert.are.equal("a@1", names "local lp = require 'luaprobe' lp['compile']'a'")
    assert.are.equal("a@1 n:1",
      names [[local lp = require 'luaprobe'; local q = lp; local r = q; q.compile 'a' r.load 'n']])
    assert.are.equal("n:2 a@3", (names("local lp = require 'luaprobe'\n::x:: lp.load 'n'\n::y::lp.compile 'a'"):gsub(
      "(a@3) (n:2)", "%2 %1")))
    assert.are.equal("f@2", names "#!/x 'y\nlocal lp = require 'luaprobe' lp.compile 'f'")
  end)

  it("are found in lines of any length", function()
    assert.are.equal("a@2", names(("\n" .. ("x = 1 "):rep(100000)) .. "local lp = require 'luaprobe' lp.compile 'a'"))
  end)

  it("are not what only looks like one", function()
    assert.are.equal("", names "lp.compile 'a'") -- lp is not the library
    assert.are.equal("", names "local lp = require 'luaprobe' -- lp.compile 'a'")
    assert.are.equal("", names "local lp = require 'luaprobe' local s = \"lp.compile 'a'\" --[[ lp.load 'x' ]]")
    assert.are.equal("", names "local lp = require 'luaprobe' x.lp.compile 'a' lp.compiled 'b' y:lp()")
    assert.are.equal("?@1 ?@1", names "local lp = require 'luaprobe' lp.compile(text) lp.compile('a', { name = f() })")
  end)

  it("are told of where the text does not say what they are", function()
    local function unfollowed(text)
      local list = {}
      for i, use in ipairs(blocks.scan("local lp = require 'luaprobe'\n" .. text).unfollowed) do
        list[i] = ("%s@%d"):format(use.what, use.line)
      end
      return table.concat(list, "; ")
    end
    assert.are.equal("what lp.load is given here@2", unfollowed "lp.load(name)")
    assert.are.equal("what becomes of lp.load here@3", unfollowed "\npcall(lp.load, 'x')")
    assert.are.equal("what becomes of the library luaprobe here@2", unfollowed "f(lp)")
    assert.are.equal("what becomes of the library luaprobe here@2", unfollowed "lp[k] 'x'")
    assert.are.equal("what becomes of lp.compile here@2", unfollowed "local c = lp.compile f(c)")
    for _, text in ipairs { "local m = { lp = require 'luaprobe' } m.lp.load 'x'", "f { a, lp = lp }",
      "local l = setmetatable({}, { __index = require 'luaprobe' })", "f { 1; lp = require 'luaprobe' }" } do
      assert.are.equal("what becomes of the library luaprobe here@2", unfollowed(text), text)
    end
    for _, text in ipairs { "lp.load 'x'", "lp.load(lp.compile 'x')", "local p = lp.compile 'x' lp.load(p)",
      "lp.columns { 'x' }", "local c, o = lp.compile, lp.open", "local q = lp q.text(lp.text)",
      "local x = { lp = 1 }" } do
      assert.are.equal("", unfollowed(text), text)
    end
  end)

  it("survive any text", function()
    math.randomseed(3)
    local parts = { "lp.compile", "require", "'luaprobe'", "[[", "]]", "[=[", "--", "'", '"', "\\", "\n", "(", ")", "{",
      "}", "=", ",", "..", "lp", "local", "1e", "]=]", "compile", "\0", "\255" }
    for _ = 1, 2000 do
      local text = {}
      for i = 1, math.random(30) do text[i] = parts[math.random(#parts)] end
      blocks.scan(table.concat(text, math.random() < 0.5 and " " or ""))
    end
  end)
end)

if not helper.has_program "clang" then
  describe("lp.compile", function() pending "needs clang" end)
  return
end

describe("lp.compile", function()
  local directory, remove, cache
  before_each(function()
    directory, remove = helper.temporary_directory()
    cache = directory .. "/cache"
  end)
  after_each(function() remove() end)

  local function run(text, environment)
    helper.write(directory .. "/tool.lua", text)
    return helper.run(("env XDG_CACHE_HOME=%s %s %s %s/tool.lua"):format(cache, environment or "", helper.luaprobe,
      directory))
  end

  local function program(body, options, includes)
    return ([==[
local lp = require "luaprobe"
local object = lp.open(lp.compile([[
%s
#include "luaprobe.bpf.h"
SEC("tracepoint/syscalls/sys_enter_getpgid")
int enter(void *ctx)
{
    %s
}
char LICENSE[] SEC("license") = "GPL";
]]%s))
print(object.name, #object.programs)
object:close()
]==]):format(includes or "", body, options or "")
  end

  it("finds the kernel's headers, libbpf's and the project's own", function()
    local includes = "#include <linux/bpf.h>\n#include <linux/types.h>\n#include <linux/sched.h>\n"
      .. "#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>\n"
      .. '#include "kernel.h"\n#include "filter.bpf.h"\n#include "probe.bpf.h"\n'
    assert.are.same({ "tool\t1\n", "", 0 }, { run(program("return lp_filter_matches();", nil, includes)) })
  end)

  it("finds libbpf's headers whichever comes first", function()
    for _, header in ipairs { "bpf_helpers.h", "bpf_tracing.h", "bpf_core_read.h", "bpf_endian.h" } do
      local out, err = run(([==[
local lp = require "luaprobe"
local object = lp.open(lp.compile [[
#include <bpf/%s>
#include <bpf/bpf_helpers.h>
#include <linux/types.h>
SEC("raw_tp/sys_enter") int enter(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
]])
print(#object.programs)]==]):format(header))
      assert.are.same({ "1\n", "" }, { out, err })
    end
  end)

  it("takes a name, flags and directories of headers, beside the script and elsewhere", function()
    os.execute(("mkdir %s/inc"):format(directory))
    helper.write(directory .. "/inc/mine.h", "#define ONE 1\n")
    helper.write(directory .. "/beside.h", "#define TWO 2\n")
    local out, err, status = run(program("return ONE + TWO + THREE;",
      ', { name = "named", cflags = { "-DTHREE=3", "-Wno-unused" }, include = "inc" }',
      '#include "mine.h"\n#include "beside.h"'))
    assert.are.same({ "named\t1\n", "", 0 }, { out, err, status })
  end)

  it("shows clang's complaints with the script's own lines", function()
    local _, err, status = run(program "return nonsense;")
    assert.are.equal(1, status)
    assert.is_truthy(err:find("tool.lua:8:12: error: use of undeclared identifier 'nonsense'", 1, true), err)
    assert.is_truthy(err:find("    return nonsense;", 1, true), err)
    assert.is_nil(err:find("/luaprobe-", 1, true), err) -- no temporary directory's name
    -- On the call's own line, in quotes, in a file with DOS line ends.
    _, err = run "local lp = require 'luaprobe'\nlp.compile 'int x = y;'"
    assert.is_truthy(err:find("tool.lua:2:9: error: use of undeclared identifier 'y'", 1, true), err)
    _, err = run((program("return nonsense;"):gsub("\n", "\r\n")))
    assert.is_truthy(err:find("tool.lua:8:12: error:", 1, true), err)
    _, err = run(program("return undeclared();"))
    assert.is_truthy(err:find("tool.lua:8:12: error:", 1, true), err)
  end)

  it("says so where the lines of a text are not the script's", function()
    local function first_error(text)
      local _, err = run(text)
      return err:match "[^\n]*error: use[^\n]*"
    end
    local path = directory .. "/tool.lua"
    local head = "local lp = require 'luaprobe'\n"
    -- A text with a name, and a file whose lines end in CR alone.
    assert.are.equal(path .. ":4:9: error: use of undeclared identifier 'y'",
      first_error(head .. "local text = [[\n\nint x = y;\n]]\n\n\nlp.compile(text)"))
    assert.are.equal(path .. ":3:9: error: use of undeclared identifier 'y'",
      first_error((head .. "lp.compile [[\nint x = y;\n]]"):gsub("\n", "\r")))
    -- Made, or written with escapes.
    for _, call in ipairs { "lp.compile(([[\nint z;\nint x = %s;]]):format 'y')", "lp.compile 'int z;\\nint x = y;'",
      "lp.compile('int z;\\n' ..\n'int x = y;')" } do
      assert.are.equal(("lp.compile at %s:2:2:9: error: use of undeclared identifier 'y'"):format(path),
        first_error(head .. call))
    end
  end)

  it("says what to install when a header is missing", function()
    local _, err = run(program("return 0;", nil, "#include <bpf/no_such.h>"))
    assert.is_truthy(err:find("tool.lua:3:10: fatal error: 'bpf/no_such.h' file not found", 1, true), err)
    assert.is_truthy(err:find("libbpf-dev", 1, true), err)
    for header, mend in pairs { ["linux/no_such.h"] = "apt install linux-libc-dev", ["string.h"] = "have no C library",
      ["vmlinux.h"] = "bpftool btf dump" } do
      _, err = run(program("return 0;", nil, ("#include <%s>"):format(header)))
      helper.contains(err, mend)
    end
    _, err = run(program("return 0;", nil, '#include "mine.h"'))
    assert.is_nil(err:find("hint:", 1, true), err)
  end)

  it("says what to do about registers that only arm64 describes", function()
    local text = ([==[
require("luaprobe").compile [[
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
SEC("kprobe/vfs_read") int BPF_KPROBE(enter, void *file) { return file != 0; }
char LICENSE[] SEC("license") = "GPL";
]]]==])
    helper.write(directory .. "/tool.lua", text)
    local command = ("env XDG_CACHE_HOME=%s %s pack %s/tool.lua -o - --arch arm64"):format(cache, helper.luaprobe,
      directory)
    local _, err, status = helper.run(command)
    if status ~= 0 then helper.contains(err, "hint:", '#include "probe.bpf.h" in place of') end
    helper.write(directory .. "/tool.lua", (text:gsub("#include <linux/ptrace.h>", '#include "probe.bpf.h"'):gsub(
      "#include <bpf/bpf_tracing.h>", "")))
    _, err, status = helper.run(command)
    assert.are.equal(0, status, err)
  end)

  it("shows warnings, and goes on", function()
    local out, err, status = run(program "int unused; return 0;")
    assert.are.same({ "tool\t1\n", 0 }, { out, status })
    assert.is_truthy(err:find("tool.lua:8:9: warning: unused variable", 1, true), err)
  end)

  it("without clang names both ways out", function()
    local out, err, status = run(program "return 0;", "LUAPROBE_CLANG=/nonexistent")
    assert.are.same({ "", 1 }, { out, status })
    assert.is_truthy(err:find("install clang", 1, true) and err:find("luaprobe pack", 1, true), err)
    assert.is_truthy(err:find("tool.lua:", 1, true) and err:find("no clang here", 1, true), err)
    helper.contains(err, "LUAPROBE_CLANG is '/nonexistent'")
  end)

  it("refuses what it does not know", function()
    for _, call in ipairs { "lp.compile(5)", "lp.compile('int x;', 5)", "lp.compile('int x;', { nmae = 'x' })",
      "lp.compile('int x;', { name = '../x' })", "lp.compile('int x;', { cflags = { '-fplugin=/x' } })",
      "lp.compile('int x;', { cflags = { '-o', '/x' } })", "lp.compile('int x;', { cflags = '@file' })",
      "lp.compile('int x;', { cflags = '-fsyntax-only' })", "lp.compile('int x;', { cflags = '-flto' })",
      "lp.compile('int x;', { cflags = '-flto=thin' })", "lp.compile('int x;', { cflags = '-fno-integrated-as' })",
      "lp.compile('int x;', { cflags = '-ftime-trace' })" } do
      local _, err, status = run("local lp = require 'luaprobe'\n" .. call)
      assert.are.equal(1, status)
      assert.is_truthy(err:find("tool.lua:2: lp.compile", 1, true), err)
    end
  end)

  -- A clang that notes each compilation.
  local function counting()
    helper.write(directory .. "/clang",
      ('#!/bin/sh\ncase "$*" in *" -c -o"*) echo x >>%s/count;; esac\nexec clang "$@"\n'):format(directory))
    os.execute(("chmod +x %s/clang; : >%s/count"):format(directory, directory))
    return "LUAPROBE_CLANG=" .. directory .. "/clang", function()
      return select(2, helper.read(directory .. "/count"):gsub("x", ""))
    end
  end

  it("compiles the same text once, and again when flags, headers or clang change", function()
    local clang, count = counting()
    os.execute("mkdir " .. directory .. "/inc")
    helper.write(directory .. "/inc/mine.h", "#define ONE 1\n")
    local function ask(body, flags)
      local out, err, status = run(program(body, (", { include = 'inc', cflags = { %s } }"):format(flags or ""),
        '#include "mine.h"'), clang)
      assert.are.same({ "tool\t1\n", "", 0 }, { out, err, status })
      return count()
    end
    assert.are.equal(1, ask "return ONE;")
    assert.are.equal(1, ask "return ONE;")
    assert.are.equal(2, ask "return ONE + 1;")
    assert.are.equal(3, ask("return ONE;", "'-DX=1'"))
    helper.write(directory .. "/inc/mine.h", "#define ONE 2\n")
    assert.are.equal(4, ask "return ONE;")
    helper.write(directory .. "/inc/mine.h", "#define ONE 1\n")
    assert.are.equal(4, ask "return ONE;") -- the object of these contents is still there
    helper.write(directory .. "/clang", (helper.read(directory .. "/clang"):gsub("exec", function()
      return 'case "$*" in --version) echo "clang version 99.0";; esac\nexec'
    end)))
    assert.are.equal(5, ask "return ONE;")
  end)

  it("compiles again when a header comes before another one, and when the cached object is damaged", function()
    local clang, count = counting()
    os.execute(("mkdir -p %s/first %s/second"):format(directory, directory))
    helper.write(directory .. "/second/value.h", "#define VALUE 1\n")
    local function ask()
      local _, err, status = run(program("return VALUE;", ", { include = { 'first', 'second' } }",
        '#include "value.h"'), clang)
      assert.are.same({ "", 0 }, { err, status })
      return count()
    end
    assert.are.equal(1, ask())
    assert.are.equal(1, ask())
    helper.write(directory .. "/first/value.h", "#define VALUE 2\n")
    assert.are.equal(2, ask())
    assert.are.equal(2, ask())
    os.execute(("find %s -name '*.o' -exec truncate -s 1000 {} +"):format(directory))
    assert.are.equal(3, ask())
    assert.are.equal(3, ask())
  end)

  it("compiles again when a header appears that was not there, and heeds CPATH", function()
    local clang, count = counting()
    os.execute(("mkdir -p %s/one %s/two"):format(directory, directory))
    local function ask(environment)
      local out, err = run(program("return VALUE;", ", { include = { 'one', 'two' } }", [[
#if __has_include("some.h")
#include "some.h"
#endif
#ifndef VALUE
#define VALUE 1
#endif]]), clang .. " " .. (environment or ""))
      assert.are.same({ "tool\t1\n", "" }, { out, err })
      return count()
    end
    assert.are.equal(1, ask())
    assert.are.equal(1, ask())
    helper.write(directory .. "/two/some.h", "#define VALUE 2\n")
    assert.are.equal(2, ask())
    -- Found through a relative directory, as a script beside which one stands has it.
    local function ask_here() return helper.run(("cd %s; env XDG_CACHE_HOME=%s %s %s tool.lua"):format(directory, cache,
      clang, helper.absolute(helper.luaprobe))) and count() end
    local before = ask_here()
    assert.are.equal(before, ask_here())
    helper.write(directory .. "/one/some.h", "#define VALUE 3\n")
    assert.are.equal(before + 1, ask_here())
    os.execute(("rm %s/one/some.h %s/two/some.h; mkdir %s/env"):format(directory, directory, directory))
    helper.write(directory .. "/env/some.h", "#define VALUE 4\n")
    local last = ask()
    assert.are.equal(last + 1, ask("CPATH=" .. directory .. "/env"))
    assert.are.equal(last + 1, ask())
  end)

  it("lets nothing in the environment change flags or write files", function()
    local out, err = run(program "return 0;", ("CCC_OVERRIDE_OPTIONS='+-DX +-O9' DEPENDENCIES_OUTPUT=%s/deps"):format(
      directory))
    assert.are.same({ "tool\t1\n", "" }, { out, err })
    assert.is_false(helper.exists(directory .. "/deps"))
  end)

  it("keeps the cache private, whole under parallel runs, and leaves no temporary files", function()
    helper.write(directory .. "/tool.lua", program "return 0;")
    local out, err = helper.run((("export XDG_CACHE_HOME=@/cache TMPDIR=@/tmp; mkdir @/tmp; "
      .. "for i in 1 2 3 4 5 6; do %s @/tool.lua & done; wait; ls -A @/tmp | wc -l"):format(helper.luaprobe)
      :gsub("@", directory)))
    assert.are.equal("", err)
    assert.are.equal(("tool\t1\n"):rep(6) .. "0\n", out)
    assert.are.equal("700\n", (helper.run("stat -c %a " .. cache .. "/luaprobe")))
    assert.are.equal("", (helper.run(("find %s -type f -perm /077; find %s -name '*.new'"):format(cache, cache))))
    assert.are.equal("1\n", (helper.run(("ls %s/luaprobe | wc -l"):format(cache))))
  end)

  local function refused(why)
    local out, err, status = run(program "return 0;")
    assert.are.same({ "", 1 }, { out, status })
    assert.is_truthy(err:find(cache .. "/luaprobe", 1, true) and err:find(why, 1, true), err)
    assert.is_truthy(err:find("XDG_CACHE_HOME", 1, true), err)
  end

  it("refuses a cache that is a symbolic link, no directory, somebody else's or open to others", function()
    os.execute(("mkdir %s %s/elsewhere; ln -s %s/elsewhere %s/luaprobe"):format(cache, directory, directory, cache))
    refused "symbolic link"
    os.execute(("rm %s/luaprobe; : >%s/luaprobe"):format(cache, cache))
    refused "no directory"
    os.execute(("rm %s/luaprobe; mkdir -m 777 %s/luaprobe"):format(cache, cache))
    refused "others can write"
    if not helper.is_root() then return end
    os.execute(("chmod 700 %s/luaprobe; chown 65534 %s/luaprobe"):format(cache, cache))
    refused "somebody else"
    os.execute(("chown 0 %s/luaprobe; chmod 755 %s/luaprobe"):format(cache, cache)) -- ours, made by another program
    assert.are.equal("tool\t1\n", (run(program "return 0;")))
    assert.are.equal("700\n", (helper.run("stat -c %a " .. cache .. "/luaprobe")))
  end)

  it("takes no object out of the cache that is not a file of its own", function()
    assert.are.equal("tool\t1\n", (run(program "return 0;")))
    local object = helper.run(("ls %s/luaprobe/*.o"):format(cache)):gsub("\n", "")
    os.execute(("mv %s %s/moved.o; ln -s %s/moved.o %s"):format(object, directory, directory, object))
    local clang, count = counting()
    assert.are.equal("tool\t1\n", (run(program "return 0;", clang)))
    assert.are.equal(1, count())
  end)

  it("works where nothing can be kept", function()
    assert.are.equal("tool\t1\n", (run(program "return 0;", "XDG_CACHE_HOME=/proc")))
    assert.are.equal("tool\t1\n", (run(program "return 0;", "XDG_CACHE_HOME=relative HOME=/nonexistent/home")))
    assert.is_false(helper.exists "/nonexistent")
  end)

  -- A compiler that never comes to an end, and starts another program that does not either.
  local function start_endless()
    local clang = directory .. "/endless"
    helper.write(clang, ([[#!/bin/sh
[ "$1" = --version ] && { echo "clang version 1"; exit; }
sleep 1000 & echo $! $$ >%s/pids.new; mv %s/pids.new %s/pids; wait]]):format(directory, directory, directory))
    os.execute(("chmod +x %s; mkdir -p %s/tmp; rm -f %s/pids"):format(clang, directory, directory))
    helper.write(directory .. "/tool.lua", program "return 0;")
    local job = helper.start(("env XDG_CACHE_HOME=%s TMPDIR=%s/tmp LUAPROBE_CLANG=%s %s %s/tool.lua"):format(cache,
      directory, clang, helper.luaprobe, directory))
    assert(helper.eventually(10, function() return helper.exists(directory .. "/pids") end))
    return job, helper.read(directory .. "/pids"):match "(%d+) (%d+)"
  end

  local function is_gone(pid)
    return helper.eventually(5, function()
      local file = io.open(("/proc/%s/stat"):format(pid))
      local state = file and file:read "*a":match "%) (%a)"
      if file then file:close() end
      return not state or state == "Z"
    end)
  end

  local function temporary()
    return (helper.run(("ls -A %s/tmp"):format(directory)))
  end

  it("interrupted or terminated, ends the compiler and what that started, and removes its directory", function()
    for _, signal in ipairs { 2, 15 } do
      local job, child, compiler = start_endless()
      job.signal(signal)
      local out, err, status = job.wait(5)
      assert.are.same({ "", 1 }, { out, status })
      assert.is_truthy(err:find("compiling was interrupted", 1, true), err)
      assert.is_truthy(is_gone(child) and is_gone(compiler))
      assert.are.equal("", temporary())
    end
  end)

  it("killed, takes the compiler with it; the next one removes the directory, and no other's", function()
    local job, child, compiler = start_endless()
    job.signal(9)
    job.wait(5)
    assert.is_truthy(is_gone(compiler))
    helper.kill(tonumber(child), 9)
    local deserted = temporary()
    assert.is_truthy(deserted:find "^luaprobe%-compile%-%w+\n$", deserted)
    job, child = start_endless()
    local used = temporary()
    assert.is_truthy(used:find "^luaprobe%-compile%-%w+\n$" and used ~= deserted, used)
    os.execute(("mkdir %s/tmp/luaprobe-backup"):format(directory))
    assert.are.equal("tool\t1\n", (run(program "return 0;", ("TMPDIR=%s/tmp"):format(directory))))
    assert.are.equal("luaprobe-backup\n" .. used, temporary())
    job.signal(15)
    job.wait(5)
    assert.is_truthy(is_gone(child))
    assert.are.equal("luaprobe-backup\n", temporary())
  end)

  it("ends a compiler that takes too long", function()
    local ffi, C = require "ffi", require "luaprobe.cdef"
    local output, status = ffi.new "struct lp_bytes", ffi.new "int[1]"
    local words = ffi.new("const char *[4]", { "sh", "-c", "echo half; sleep 1000" })
    local start = C.lp_time_monotonic()
    assert.is_true(C.lp_process_run(words, 1, output, status) < 0)
    assert.is_truthy(require("luaprobe.error").last().message:find "^sh: did not come to an end within 1 seconds")
    assert.is_true(tonumber(C.lp_time_monotonic() - start) < 4e9)
  end)
end)
