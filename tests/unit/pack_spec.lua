-- One-file scripts: packing, unpacking, and what the parser makes of damaged files.
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local hash = require "luaprobe.hash"
local helper = require "helper"
local packed = require "luaprobe.packed"

local MARK = "--[==[luaprobe-pack "
local BPF = [==[
#include "luaprobe.bpf.h"
const volatile int answer = VALUE;
SEC("tracepoint/syscalls/sys_enter_getpgid")
int enter(void *ctx)
{
    return answer;
}
char LICENSE[] SEC("license") = "GPL";
]==]
local SCRIPT = [=[
#!/usr/bin/env luaprobe
local lp = require "luaprobe"
local object = lp.open(lp.compile([[BPF]], { cflags = { "-DVALUE=42" } }))
print(object.const.answer, object.name, ...)
object:close()]=]
SCRIPT = SCRIPT:gsub("BPF", function() return BPF end) -- with no line end at its end

if not helper.has_program "clang" then
  describe("packing", function() pending "needs clang" end)
  return
end

local directory, remove
local function write(name, text)
  helper.write(directory .. "/" .. name, text)
  return directory .. "/" .. name
end

-- luaprobe on a machine without a compiler, as far as it can see.
local WITHOUT_CLANG = "env LUAPROBE_CLANG=/nonexistent/clang PATH=/nonexistent "

local function without_clang(arguments)
  return helper.run(WITHOUT_CLANG .. helper.absolute(helper.luaprobe) .. " " .. arguments)
end

local function pack(path, arguments)
  local _, err, status = helper.luaprobe_run(("pack %s %s"):format(path, arguments or ""))
  assert.are.equal(0, status, err)
  return helper.read(path)
end

local original_cache = os.getenv "XDG_CACHE_HOME"
ffi.cdef "int setenv(const char *name, const char *value, int overwrite); int unsetenv(const char *name);"

setup(function()
  directory, remove = helper.temporary_directory()
  ffi.C.setenv("XDG_CACHE_HOME", directory .. "/cache", 1)
end)
teardown(function()
  if original_cache then ffi.C.setenv("XDG_CACHE_HOME", original_cache, 1) else ffi.C.unsetenv "XDG_CACHE_HOME" end
  remove()
end)

describe("a packed script", function()
  it("is still Lua, unchanged above the mark, and runs without clang", function()
    local path = write("tool.lua", SCRIPT)
    local text = pack(path)
    assert.are.equal(SCRIPT .. "\n" .. MARK, text:sub(1, #SCRIPT + 1 + #MARK))
    assert.is_truthy(loadstring((text:gsub("^#[^\n]*", ""))))
    for line in text:sub(#SCRIPT + 2):gmatch "[^\n]+" do
      assert.is_truthy(#line < 400 and not line:find "[^\32-\126]")
    end
    assert.are.same({ "42\ttool\tx\n", "", 0 }, { without_clang(path .. " x") })
    assert.are.same({ "42\ttool\n", "", 0 }, { without_clang("- <" .. path) })
  end)

  it("is restored to its bytes by unpack, whatever they are", function()
    for i, text in ipairs { SCRIPT, SCRIPT .. "\n", SCRIPT .. "\n\n", SCRIPT .. " --",
      SCRIPT:gsub("\n", "\r\n") .. "\r\n", "\n" .. SCRIPT:gsub("^#[^\n]*\n", "") } do
      local path = write("tool.lua", text)
      local first = pack(path)
      assert.are_not.equal(text, first, i)
      local out = helper.luaprobe_run("unpack -o - " .. path)
      assert.are.equal(text, out, i)
      helper.luaprobe_run("unpack " .. path)
      assert.are.equal(text, helper.read(path), i)
    end
  end)

  it("whose line ends were converted says so, and works again with its own", function()
    local path = write("tool.lua", SCRIPT)
    local whole = pack(path)
    write("tool.lua", (whole:gsub("\n", "\r\n")))
    for _, command in ipairs { "inspect", "unpack", "" } do
      local out, err, status = helper.luaprobe_run(("%s %s"):format(command, path))
      assert.are.same({ "", 1 }, { out, status })
      helper.contains(err, "CR LF")
    end
    os.execute(("sed -i 's/\\r$//' %s"):format(path))
    assert.are.equal(whole, helper.read(path))
  end)

  it("is replaced when it is packed again", function()
    local path = write("tool.lua", SCRIPT)
    local first = pack(path)
    assert.are.equal(first, pack(path))
    assert.are.equal(1, select(2, first:gsub("\n" .. MARK:gsub("%p", "%%%0"), "")))
    local both = pack(path, "--arch x86_64,arm64")
    assert.are.equal(2, select(2, both:gsub("\narch ", "")))
    assert.are.equal(first, pack(path))
  end)

  it("keeps the permissions and the owner of the file, and writes where it is told", function()
    local path = write("tool.lua", SCRIPT)
    local owner = helper.is_root() and "65534:65534" or helper.run "echo $(id -u):$(id -g)":gsub("\n", "")
    os.execute(("chown %s %s; chmod 750 %s"):format(owner, path, path))
    pack(path)
    assert.are.equal("750 " .. owner .. "\n", (helper.run("stat -c '%a %u:%g' " .. path)))
    helper.run(("umask 027; %s pack %s -o %s/new.lua"):format(helper.luaprobe, path, directory))
    assert.are.equal("750\n", (helper.run(("stat -c %%a %s/new.lua"):format(directory))))
    helper.run(("umask 027; %s pack - <%s -o %s/newer.lua"):format(helper.luaprobe, path, directory))
    assert.are.equal("640\n", (helper.run(("stat -c %%a %s/newer.lua"):format(directory))))
    local out, err, status = helper.luaprobe_run(("pack %s -o -"):format(path))
    assert.are.equal(0, status, err)
    assert.are.equal(helper.read(path), out)
    helper.luaprobe_run(("pack %s -o %s/other.lua"):format(write("source.lua", SCRIPT), directory))
    assert.are.equal(SCRIPT, helper.read(directory .. "/source.lua"))
    assert.is_truthy(helper.read(directory .. "/other.lua"):find(MARK, 1, true))
    assert.are.equal(1, select(3, helper.luaprobe_run(("pack %s -o /dev/full"):format(path))))
    assert.are.equal(1, select(3, helper.luaprobe_run(("pack %s -o %s"):format(path, directory))))
  end)

  it("has a manifest that is true", function()
    local text = pack(write("tool.lua", SCRIPT))
    local entry = packed.open("tool.lua", text).entries[1]
    assert.are.equal("tool", entry.name)
    assert.are.equal(hash.sha256(BPF), entry.source)
    assert.are.equal("-DVALUE=42", entry.flags)
    assert.are.equal("tracepoint/syscalls/sys_enter_getpgid", entry.sections)
    assert.is_truthy(entry.features:find("4.7:tracepoint", 1, true))
    assert.is_truthy(helper.run("clang --version"):find(entry.clang, 1, true))
    local bytes = packed.open("tool.lua", text):bytes(entry)
    assert.are.equal(entry.size, #bytes)
    -- An independent decoder agrees.
    assert.are.equal(entry.sha256 .. "\n", helper.python([[
import sys, base64, zlib, hashlib
print(hashlib.sha256(zlib.decompress(base64.b64decode(sys.stdin.read()))).hexdigest())
]], text:match "data %d+\n(.-)\n%]==%]"))
    -- BTF is kept, what clang wrote for debuggers is not.
    assert.is_truthy(bytes:find(".BTF.ext", 1, true))
    assert.is_nil(bytes:find(".debug_", 1, true))
  end)

  it("that was edited is noticed: compiled again with clang, refused without", function()
    local path = write("tool.lua", SCRIPT)
    local edited = pack(path):gsub("return answer;", "return answer + 1;")
    write("tool.lua", edited)
    assert.are.same({ "42\ttool\n", "", 0 }, { helper.luaprobe_run(path) })
    local out, err, status = without_clang(path)
    assert.are.same({ "", 1 }, { out, status })
    assert.is_truthy(err:find("edited after the script was packed", 1, true), err)
    assert.is_truthy(err:find("tool.lua:", 1, true) and err:find("luaprobe pack", 1, true), err)
    -- Lua above it may be edited at will.
    write("tool.lua", (pack(path):gsub("print%(", "print('edited', ")))
    assert.are.same({ "edited\t42\ttool\n", "", 0 }, { without_clang(path) })
    -- So are flags, which are part of the program.
    write("tool.lua", (pack(path):gsub("VALUE=42", "VALUE=43", 1)))
    assert.are.equal(1, select(3, without_clang(path)))
  end)

  it("is told of what could not be packed, when packing and when running", function()
    local tail = "\nlocal ok, failure = pcall(lp.compile, 'int y;') io.stderr:write(tostring(failure))"
    local path = write("tool.lua", SCRIPT .. tail)
    local _, err, status = helper.luaprobe_run("pack " .. path)
    assert.are.equal(0, status, err)
    assert.is_truthy(err:find("line 14: what becomes of lp.compile here", 1, true), err)
    _, err = without_clang(path)
    assert.is_truthy(err:find("which is not in the pack", 1, true), err)
    assert.is_nil(err:find("edited", 1, true), err)
    path = write("tool.lua", (SCRIPT:gsub("lp%.compile", "compile"):gsub("lp%.open", "lp.open"):gsub(
      'require "luaprobe"', '%0\nlocal q, compile = lp, lp["compile"]')))
    pack(path)
    assert.are.same({ "42\ttool\n", "", 0 }, { without_clang(path) })
  end)

  it("for another architecture only says so", function()
    local path = write("tool.lua", SCRIPT)
    local other = require("luaprobe.clang").here == "arm64" and "x86_64" or "arm64"
    pack(path, "--arch " .. other)
    local _, err, status = without_clang(path)
    assert.are.equal(1, status)
    assert.is_truthy(err:find("packed for " .. other, 1, true), err)
    write("named.lua", 'print(require "luaprobe".open("opensnoop").name)')
    pack(directory .. "/named.lua", "--arch " .. other)
    _, err, status = without_clang(directory .. "/named.lua")
    assert.are.equal(1, status)
    assert.is_truthy(err:find("opensnoop is packed for " .. other, 1, true), err)
    assert.is_truthy(err:find("hint:", 1, true), err)
  end)

  it("carries the objects that it loads by name, at most 12 kB for each architecture", function()
    local path = directory .. "/opensnoop.lua"
    local _, err, status = helper.luaprobe_run(("pack opensnoop -o %s --arch x86_64,arm64"):format(path))
    assert.are.equal(0, status, err)
    local added = #helper.read(path) - #helper.read "scripts/opensnoop.lua"
    assert.is_true(added / 2 <= 12 * 1024, added)
    write("by_name.lua", 'local o = require "luaprobe".open "getpgid"; print(o.name, #o.programs)')
    os.execute(("cp tests/fixtures/getpgid.bpf.c %s/"):format(directory))
    pack(directory .. "/by_name.lua")
    os.remove(directory .. "/getpgid.bpf.c")
    assert.are.same({ "getpgid.bpf.o\t4\n", "", 0 }, { without_clang(directory .. "/by_name.lua") })
  end)

  it("does what it did before: of a name it has the object that a run takes", function()
    local path = write("same.lua", 'local o = require "luaprobe".open "named" print(o.const.answer)')
    local other = require("luaprobe.clang").here == "arm64" and "x86_64" or "arm64"
    write("named.bpf.c", (BPF:gsub("VALUE", "1")))
    assert.are.same({ "1\n", "", 0 }, { helper.luaprobe_run(path) }) -- compiled, where there is no object
    local _, err, status = without_clang(path)
    assert.are.equal(1, status)
    helper.contains(err, "named.bpf.c", "no clang here")
    helper.run(("clang -target bpf -g -O2 -Ibpf/include -I/usr/include/$(uname -m)-linux-gnu -x c -c -o %s %s"):format(
      directory .. "/named.bpf.o", directory .. "/named.bpf.c"))
    write("named.bpf.c", (BPF:gsub("VALUE", "2")))
    assert.are.same({ "1\n", "", 0 }, { helper.luaprobe_run(path) })
    pack(path)
    os.remove(directory .. "/named.bpf.o")
    assert.are.same({ "1\n", "", 0 }, { helper.luaprobe_run(path) })
    helper.run(("clang -target bpf -g -O2 -Ibpf/include -I/usr/include/$(uname -m)-linux-gnu -x c -c -o %s %s"):format(
      directory .. "/named.bpf.o", directory .. "/named.bpf.c"))
    pack(path, "--arch " .. other) -- of the C text beside it
    os.remove(directory .. "/named.bpf.c")
    _, err, status = helper.luaprobe_run(("pack %s --arch %s"):format(path, other))
    assert.are.equal(1, status)
    helper.contains(err, "cannot be packed for " .. other, "named.bpf.c", "lp.compile")
    os.remove(directory .. "/named.bpf.o")
  end)

  it("without clang carries luaprobe's own objects as small as with it", function()
    local path = directory .. "/small.lua"
    local _, err, status = without_clang("pack opensnoop -o " .. path)
    assert.are.equal(0, status, err)
    local added = #helper.read(path) - #helper.read "scripts/opensnoop.lua"
    assert.is_true(added <= 12 * 1024, added)
  end)

  it("can hold a module's programs, too", function()
    write("part.lua", (SCRIPT:gsub("print.*", "return object.const.answer")))
    pack(directory .. "/part.lua")
    local path = write("whole.lua", ("package.path = %q\nprint(require 'part')"):format(directory .. "/?.lua"))
    assert.are.same({ "42\n", "", 0 }, { without_clang(path) })
  end)
end)

describe("what cannot be packed", function()
  local function refused(text, ...)
    local path = write("bad.lua", text)
    local out, err, status = helper.luaprobe_run("pack " .. path)
    assert.are.same({ "", 1 }, { out, status })
    for _, part in ipairs { ... } do assert.is_truthy(err:find(part, 1, true), err) end
    assert.is_nil(err:find "traceback", err)
    assert.are.equal(text, helper.read(path)) -- as it was
  end

  it("is said to be", function()
    refused("print(1)", "nothing to pack")
    refused("print(", "bad.lua:1:")
    refused('local lp = require "luaprobe"\nlocal c = "int x;"\nlp.compile(c)', "bad.lua:3:", "not literal")
    refused('local lp = require "luaprobe"\nlp.load "no_such_object"', "no_such_object.bpf.c")
    refused('local lp = require "luaprobe"\n\nlp.compile [[\nint x = y;\n]]', "bad.lua:4:", "undeclared")
    refused('require "luaprobe".compile([[int x;]], { cflags = "-fplugin=/tmp/x.so" })', "-fplugin")
    refused('require "luaprobe".compile([[int x;]], { cflags = { "-o/etc/x" } })', "-o/etc/x")
    local many = {}
    for i = 1, C.LP_PACK_OBJECTS + 1 do many[i] = ("lp.compile [[int x%d;]]"):format(i) end
    refused('local lp = require "luaprobe"\n' .. table.concat(many, "\n"), "257 packed objects", "may have 256")
    refused('local lp = require "luaprobe"\nlp.load(name)', "nothing to pack", "line 2:")
    refused(string.dump(function() end), "bytecode")
    assert.are.equal(2, select(3, helper.luaprobe_run("pack opensnoop -o - --arch mips")))
    assert.are.equal(2, select(3, helper.luaprobe_run "pack opensnoop"))
    assert.are.equal(1, select(3, helper.luaprobe_run("unpack " .. write("plain.lua", "print(1)"))))
  end)
end)

describe("what is packed", function()
  it("is what luaprobe takes again, whatever the script is called", function()
    for _, name in ipairs { ("x"):rep(210) .. ".lua", ".lua", "-.lua", "ä.lua" } do
      local path = write(name, 'require "luaprobe".compile "int a;" print "ran"')
      pack(path)
      assert.are.same({ "ran\n", "", 0 }, { without_clang(path) })
      assert.are.equal(0, select(3, helper.luaprobe_run("unpack " .. path)))
      os.remove(path)
    end
  end)

  it("is not mistaken for what a script has in its strings", function()
    local program = 'require "luaprobe".compile "int a;" print "ran"\n'
    for _, inside in ipairs { MARK .. "1\n", MARK .. "1\n]==]--luaprobe-pack-end " .. ("a"):rep(64) .. "\n",
      "]==]--luaprobe-pack-end x\n", MARK } do
      local path = write("marks.lua", ("local s = [===[\n%s]===]\n%s"):format(inside, program))
      local before = helper.read(path)
      assert.are.same({ "ran\n", "", 0 }, { helper.luaprobe_run(path) })
      pack(path)
      assert.are.same({ "ran\n", "", 0 }, { without_clang(path) })
      assert.are.equal(0, select(3, helper.luaprobe_run("unpack " .. path)))
      assert.are.equal(before, helper.read(path))
    end
  end)

  it("is not written when it would be larger than a script may be", function()
    local text = 'require "luaprobe".compile "int a;" --'
    text = text .. ("x"):rep(16 * 1024 * 1024 - #text - 100)
    local path = write("big.lua", text)
    local _, err, status = helper.luaprobe_run("pack " .. path)
    assert.are.equal(1, status)
    helper.contains(err, "packed it would have 1677", "may have 16777216")
    assert.are.equal(#text, #helper.read(path))
    os.remove(path)
  end)
end)

describe("a damaged trailer", function()
  local script, text, at
  setup(function()
    script = SCRIPT .. "\n"
    text = pack(write("tool.lua", script))
    at = #script
  end)

  -- All that running it would read.
  local function read(damaged)
    local source = packed.open("damaged", damaged)
    for _, entry in ipairs(source and source.entries or {}) do source:bytes(entry) end
    return source
  end

  local function refused(damaged, ...)
    local ok, reason = pcall(read, damaged)
    assert.is_false(ok)
    assert.are.equal("table", type(reason), tostring(reason))
    assert.are.equal("read", reason.stage)
    assert.is_truthy(reason.hint)
    for _, part in ipairs { ... } do assert.is_truthy(reason.message:find(part, 1, true), reason.message) end
  end

  it("cut off anywhere is refused", function()
    assert.is_truthy(read(text))
    for length = at + 4, #text - 2 do refused(text:sub(1, length), "cut off") end
    -- With less than that of the mark, what is left is the script itself.
    for length = at, at + 3 do assert.is_nil(read(text:sub(1, length))) end
  end)

  it("with any bit flipped is refused", function()
    math.randomseed(os.time())
    for place = at + 1, #text - 1 do
      local byte = text:byte(place)
      local flipped = bit.bxor(byte, bit.lshift(1, math.random(0, 7)))
      refused(text:sub(1, place - 1) .. string.char(flipped) .. text:sub(place + 1))
    end
  end)

  local function sealed(inside)
    local trailer = MARK .. inside
    return ("%s%s]==]--luaprobe-pack-end %s\n"):format(script, trailer, hash.sha256(trailer))
  end

  local function change(from, to)
    local inside, count = text:match("%-%-%[==%[luaprobe%-pack (.*)%]==%]"):gsub(from, to, 1)
    assert.are.equal(1, count)
    return sealed(inside)
  end

  local function with_another_hash()
    return change("\nsha256 (%x)", function(digit) return "\nsha256 " .. (digit == "0" and "1" or "0") end)
  end

  it("whose hash is right but whose contents are not is refused", function()
    assert.is_truthy(read(change("script", "script")))
    refused(with_another_hash(), "SHA-256")
    refused(change("\nsource %x", "\nsource x"), "source")
    refused(change("\nsize %d+", "\nsize 1"), "decompress")
    refused(change("\nsize %d+", "\nsize 16777217"), "size")
    refused(change("\nsize %d+", "\nsize 99999999999999"), "size")
    refused(change("\ndata %d+", "\ndata 1"), "damaged")
    refused(change("\ndata %d+", "\ndata 999"), "damaged")
    refused(change("\nobject [^\n]*", "\nobject ../../etc"), "object")
    refused(change("\narch [^\n]*\n", "\n"), "arch")
    refused(change("\nclang [^\n]*", "\nclang \27[2J"), "clang")
    refused(change("script as%-is", "script other"), "script")
    refused(text .. "print 'behind'\n", "something behind")
    refused((text:gsub("\n", "\r\n")), "packed")
  end)

  it("of a newer format says which luaprobe is needed", function()
    refused(change("^1\n", "2\n"), "format 2", "knows format 1")
    refused(change("^1\n", "12\n"), "format 12")
    refused(change("^1\n", "x\n"), "damaged")
  end)

  it("runs nothing of the script", function()
    local path = write("evil.lua", "print 'ran'\n" .. text:sub(at + 1, -200) .. text:sub(-150))
    local out, err, status = helper.luaprobe_run(path)
    assert.are.same({ "", 1 }, { out, status })
    assert.is_truthy(err:find("evil.lua", 1, true) and err:find("hint:", 1, true), err)
    assert.are.equal(1, select(3, helper.luaprobe_run("inspect " .. path)))
    assert.are.equal(1, select(3, helper.luaprobe_run("pack " .. path)))
    assert.are.equal(1, select(3, helper.luaprobe_run("check " .. path)))
    -- Nor when all is well but an object, which the script may need only later.
    out, err, status = helper.luaprobe_run(write("evil.lua", "print 'ran'\n" .. with_another_hash()))
    assert.are.same({ "", 1 }, { out, status })
    helper.contains(err, "SHA-256", "hint:")
  end)

  it("that would decompress to 200 MB is refused within a few MB of memory", function()
    if not helper.has_program "python3" then return pending "python3 is not installed" end
    local data = helper.python([[
import zlib, base64
packer = zlib.compressobj(9)
data = b''.join(packer.compress(bytes(1 << 20)) for i in range(200)) + packer.flush()
text = base64.b64encode(data).decode()
print('\n'.join(text[i:i+100] for i in range(0, len(text), 100)))
]], "")
    local lines = select(2, data:gsub("\n", ""))
    for _, size in ipairs { 209715200, 16777216, 1000 } do
      local bomb = change("\nsize %d+", "\nsize " .. size):gsub("\ndata %d+\n.-%]==%]", function()
        return ("\ndata %d\n%s]==]"):format(lines, data)
      end)
      local inside = bomb:match("%-%-%[==%[luaprobe%-pack (.*)%]==%]")
      local path = write("bomb.lua", sealed(inside))
      -- A sanitized build takes its address space beforehand.
      local limit = helper.luaprobe:find "sanitize" and "" or "ulimit -v 600000; "
      local out, err, status = helper.run(WITHOUT_CLANG .. "/bin/sh -c " .. helper.quote(
        ("%sexec %s %s"):format(limit, helper.absolute(helper.luaprobe), path)))
      assert.are.same({ "", 1 }, { out, status })
      assert.is_truthy(err:find("bomb.lua", 1, true), err)
      -- In this process, whose memory can be looked at.
      local function peak() return tonumber(helper.read("/proc/self/status"):match "VmHWM:%s*(%d+)") end
      local before = peak()
      assert.is_false(pcall(read, helper.read(path)))
      assert.is_true(peak() - before < 24 * 1024, peak() - before)
    end
  end)
end)

describe("an output path", function()
  it("that is a symbolic link to nothing is refused", function()
    os.execute(("ln -s nowhere %s/dangling"):format(directory))
    local _, err, status = helper.luaprobe_run(("pack opensnoop -o %s/dangling"):format(directory))
    assert.are.equal(1, status)
    helper.contains(err, "is a symbolic link to a file that is not there")
  end)
end)

describe("a script path", function()
  local function refused(path, ...)
    local out, err, status = helper.run("timeout 20 " .. helper.luaprobe .. " " .. path)
    assert.are.same({ "", 1 }, { out, status })
    for _, part in ipairs { ... } do assert.is_truthy(err:find(part, 1, true), err) end
    assert.is_nil(err:find "traceback", err)
  end

  it("that is a directory, a FIFO, a device, or 1 GB of zeros is refused", function()
    os.execute(("mkfifo %s/fifo; truncate -s 1G %s/zeros.lua"):format(directory, directory))
    if helper.has_program "python3" then
      helper.python(("import socket; socket.socket(socket.AF_UNIX).bind('%s/socket')"):format(directory), "")
      refused(directory .. "/socket", "a socket")
    end
    refused(directory, "a directory")
    refused(directory .. "/fifo", "a FIFO")
    refused("/dev/zero", "a device")
    refused(directory .. "/zeros.lua", "1073741824 bytes")
    refused("- </dev/zero", "standard input has more than")
    for _, command in ipairs { "inspect", "pack", "unpack", "check" } do
      refused(("%s %s/zeros.lua"):format(command, directory), "1073741824 bytes")
      refused(("%s %s/fifo"):format(command, directory), "a FIFO")
      refused(("%s %s"):format(command, directory), "a directory")
    end
    assert.is_true(C.lp_abi() > 0)
  end)
end)
