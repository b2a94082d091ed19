-- inspect: what it tells of objects and scripts, and that it runs nothing of them.
local asks = require "luaprobe.asks"
local features = require "luaprobe.features"
local helper = require "helper"
local inspect = require "luaprobe.inspect"

local function by_name(list)
  local names = {}
  for _, each in ipairs(list) do names[each.name] = each end
  return names
end

describe("inspect of an object", function()
  local report = inspect.of(helper.fixtures .. "changes.bpf.o")
  local about = report.objects[1]

  it("tells its programs, with kind and target", function()
    assert.are.equal("object", report.kind)
    local programs = by_name(about.programs)
    assert.are.equal("kprobe:do_nanosleep", programs.overwrite.target)
    assert.are.equal("kprobe", programs.overwrite.kind)
    assert.are.equal("kprobe.multi/vfs_*", programs.signal_it.section)
  end)

  it("tells its maps, with types, sizes and memory", function()
    local maps = by_name(about.maps)
    assert.are.equal("ringbuf", maps.ring.type)
    assert.is_true(maps.ring.memory >= 65536 and maps.ring.memory < 80000)
    assert.are.equal("hash", maps.counts.type)
    assert.are.same({ 4, 8, 1000 }, { maps.counts.key_size, maps.counts.value_size, maps.counts.max_entries })
    assert.is_true(maps.counts.memory >= 16 * 1000)
    assert.are.equal(about.memory, maps.ring.memory + maps.counts.memory)
  end)

  it("tells the helpers, and marks those that change something", function()
    local helpers = by_name(about.helpers)
    for _, name in ipairs { "probe_write_user", "override_return", "send_signal" } do
      assert.is_true(helpers["bpf_" .. name].changes, name)
    end
    assert.is_false(helpers.bpf_ringbuf_reserve.changes)
    assert.are.same({ "kprobe.multi/vfs_*" }, helpers.bpf_send_signal.sections)
    assert.is_nil(helpers.bpf_trace_printk)
  end)

  it("tells the kernel's types and fields, and the version that all of it implies", function()
    local types = by_name(about.kernel_types)
    assert.are.same({ "real_parent", "tgid" }, types["struct task_struct"].fields)
    assert.are.equal("5.18", about.kernel)
    assert.are.equal("5.8", by_name(about.features).ringbuf.since)
    assert.are.equal("4.16", by_name(about.features).bpf_override_return.since)
  end)

  it("prints it all, and nothing that a terminal would obey", function()
    local out, err, status = helper.luaprobe_run("inspect " .. helper.fixtures .. "changes.bpf.o")
    assert.are.same({ "", 0 }, { err, status })
    for _, part in ipairs { "kprobe:do_nanosleep", "bpf_send_signal (!)", "CHANGES", "ringbuf", "76.6 kB",
      "struct task_struct.real_parent", "Linux 5.18 or newer" } do
      assert.is_truthy(out:find(part, 1, true), part)
    end
    assert.is_nil(out:gsub("\n", ""):find "%c")
  end)

  it("refuses one that is damaged", function()
    local directory, remove = helper.temporary_directory()
    helper.write(directory .. "/bad.bpf.o", helper.read(helper.fixtures .. "changes.bpf.o"):sub(1, 3000))
    local _, err, status = helper.luaprobe_run(("inspect %s/bad.bpf.o"):format(directory))
    assert.are.equal(1, status)
    assert.is_truthy(err:find("truncated", 1, true), err)
    remove()
  end)

  it("survives objects damaged at random", function()
    math.randomseed(11)
    local bytes = helper.read(helper.fixtures .. "changes.bpf.o")
    local facts = require "luaprobe.facts"
    local good = 0
    for _ = 1, 400 do
      local at = math.random(#bytes)
      local damaged = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
      local ok, reason = pcall(facts.of, "damaged", damaged)
      if ok then good = good + 1 else assert.is_truthy(type(reason) == "table" and reason.stage, tostring(reason)) end
    end
    assert.is_true(good > 0)
  end)
end)

describe("kernel functions that are no helpers", function()
  it("are told, marked when they change something or are not known, and have their version", function()
    assert.are.same({ "6.13", true }, { features.kfunc "bpf_send_signal_task" })
    assert.are.same({ "6.2", false }, { features.kfunc "bpf_task_from_pid" })
    assert.are.same({ "6.3", false }, { features.kfunc "bpf_cpumask_first___x" })
    assert.are.same({ "5.13", true }, { features.kfunc "something_else" })
    if not helper.has_program "clang" then return pending "needs clang" end
    local directory, remove = helper.temporary_directory()
    helper.write(directory .. "/kfuncs.lua", [=[require("luaprobe").compile [[
#include "luaprobe.bpf.h"
#include <bpf/bpf_core_read.h>
extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern int bpf_unheard_of(struct task_struct *task) __ksym;
extern int bpf_send_signal_task(struct task_struct *task, int signal, int type, unsigned long value) __ksym __weak;
extern const int bpf_prog_active __ksym;
typedef struct { int x; } some_t;
SEC("tp_btf/sys_enter") int f(void *ctx)
{
    if (bpf_send_signal_task)
        bpf_send_signal_task(bpf_task_from_pid(1), 9, 0, 0);
    return bpf_unheard_of(bpf_task_from_pid(1)) + (long)&bpf_prog_active + bpf_core_type_exists(some_t);
}
char LICENSE[] SEC("license") = "GPL";
]]]=])
    local report = inspect.of(directory .. "/kfuncs.lua")
    local kfuncs = by_name(report.objects[1].kfuncs)
    local out = helper.luaprobe_run(("inspect %s/kfuncs.lua"):format(directory))
    remove()
    assert.are.same({}, report.notes)
    assert.is_false(kfuncs.bpf_task_from_pid.changes)
    assert.is_true(kfuncs.bpf_unheard_of.changes)
    assert.is_nil(kfuncs.bpf_prog_active)
    assert.is_true(kfuncs.bpf_send_signal_task.optional and kfuncs.bpf_send_signal_task.changes)
    assert.are.equal("6.2", report.kernel) -- what is weak may be lacking
    assert.is_truthy(by_name(report.objects[1].kernel_types).some_t)
    helper.contains(out, "CHANGES    bpf_send_signal_task (a kfunc", "bpf_unheard_of (a kfunc: may change something)",
      "kernel's   bpf_prog_active")
  end)
end)

describe("the versions of features", function()
  it("are the kernel's", function()
    local C = require "luaprobe.cdef"
    local ffi = require "ffi"
    local since = { ringbuf_output = "5.8", get_attach_cookie = "5.15", loop = "5.17", probe_read_user_str = "5.5",
      send_signal = "5.3", current_task_under_cgroup = "4.9", get_func_ip = "5.15", ktime_get_boot_ns = "5.8",
      copy_from_user = "5.10", task_storage_get = "5.11", for_each_map_elem = "5.13", perf_event_output = "4.4",
      get_stackid = "4.6", override_return = "4.16", d_path = "5.10", kptr_xchg = "5.19", trace_vprintk = "5.16" }
    local found = 0
    for id = 1, 400 do
      local name = C.lp_helper_name(id)
      local known = name ~= nil and since[ffi.string(name)]
      if known then
        assert.are.equal(known, features.helper(id), ffi.string(name))
        found = found + 1
      end
    end
    assert.are.equal(17, found)
  end)
end)

describe("the libraries that a script asks for", function()
  local function names(text)
    local list = {}
    for i, each in ipairs(assert(asks.of(text, "test"))) do
      list[i] = each.name .. (each.acts and "!" or "") .. "@" .. table.concat(each.lines, ",")
    end
    return table.concat(list, " ")
  end

  it("are found in its bytecode", function()
    assert.are.equal("", names 'local lp = require "luaprobe" lp.open "x" print(("x"):rep(3), math.huge)')
    assert.are.equal("os@1 os.execute!@1", names "os.execute 'x'")
    assert.are.equal("io@2 io.popen!@2", names "local a\nlocal f = io.popen('x') f:read '*a'")
    assert.are.equal("ffi!@1 ffi.C!@2", names "local f = require 'ffi'\nf.C.system 'x'")
    assert.are.equal("os@1 os.execute!@2", names "local o = os\nlocal function f() o.execute 'x' end")
    assert.are.equal("io@1 io.stderr@1", names "io.stderr:write 'x'")
    assert.are.equal("os@1 os.time@1", names "return os.time()")
    assert.are.equal("require(socket)!@1", names "require 'socket'")
    assert.are.equal("require(?)!@1", names "require('soc' .. x)")
    assert.are.equal("loadstring!@1", names "loadstring 'x'")
    assert.are.equal("os@1 os[?]!@1", names "local k = x; os[k]()")
    assert.are.equal("_G!@1 os@1 os.remove!@1", names "_G.os.remove 'x'")
    assert.are.equal("debug!@1 debug.sethook!@1", names "debug.sethook()")
    assert.are.equal("package!@1 package.loadlib!@1", (names("package.loadlib()"):gsub("package@", "package!@")))
  end)

  it("are told of where require itself goes elsewhere", function()
    for _, text in ipairs { "pcall(require, 'ffi')", "t = { r = require }", "f(require)", "coroutine.wrap(require)",
      "return require", "r = require", "local r = require r 'ffi'", "return function() return f, require end",
      "(require)('x', require)", "_G.require 'ffi'" } do
      assert.is_truthy((" " .. names(text)):find(" require!@1", 1, true), text)
    end
    assert.are.equal("", names "local a, b = require 'bit', require('luaprobe') return require 'luaprobe'")
  end)

  it("are found behind another environment, and among luaprobe's own functions", function()
    assert.are.equal("module!@1 os.execute!@2", names "module 'os'\nexecute 'x'")
    assert.are.equal("io.popen!@2 module!@1", names "module('io')\npopen 'x'")
    assert.are.equal("io@1 io.popen!@1 setfenv!@1", names "setfenv(1, io) popen 'x'")
    assert.are.equal("luaprobe.unpack!@2", names "local lp = require 'luaprobe'\nlp.unpack('/etc/x', '/etc/y')")
    assert.are.equal("luaprobe.pack!@1 luaprobe.save!@1",
      names "require'luaprobe'.save 'x' require('luaprobe').pack 'x'")
    assert.are.equal("luaprobe.open_map!@1 luaprobe.unpin!@1",
      names "local lp = require 'luaprobe' return function() lp.unpin 'x' lp.open_map 'y' end")
    assert.are.equal("luaprobe[?]!@1", names "local lp = require 'luaprobe' lp[x]()")
    assert.are.equal("require(luaprobe.cdef)!@1", names "require('luaprobe.cdef')")
  end)

  it("of a text that is no Lua, or bytecode, are none", function()
    assert.is_nil(asks.of("print(", "test"))
    assert.are.equal("test: is bytecode, not text: what it would do cannot be told",
      select(2, asks.of(string.dump(function() end), "test")))
  end)
end)

describe("inspect of a script", function()
  local directory, remove
  setup(function() directory, remove = helper.temporary_directory() end)
  teardown(function() remove() end)

  local EVIL = [[
os.execute "touch DIR/executed"
local f = io.open("DIR/opened", "w")
require("luaprobe").load "opensnoop"
error "ran"
]]

  it("never runs it", function()
    helper.write(directory .. "/evil.lua", (EVIL:gsub("DIR", directory)))
    for _, command in ipairs { "inspect", "inspect --json", "check", "pack -o " .. directory .. "/evil-packed.lua" } do
      local _, err, status = helper.luaprobe_run(("%s %s/evil.lua"):format(command, directory))
      if command:find "^inspect" then assert.are.same({ "", 0 }, { err, status }) end
      assert.is_nil(err:find("ran", 1, true))
    end
    assert.is_false(helper.exists(directory .. "/executed"))
    assert.is_false(helper.exists(directory .. "/opened"))
    local report = inspect.of(directory .. "/evil.lua")
    assert.is_true(by_name(report.libraries)["os.execute"].acts)
    assert.are.same({ 1 }, by_name(report.libraries)["os.execute"].lines)
    assert.are.equal("opensnoop", report.objects[1].name)
  end)

  it("needs no privileges", function()
    if not helper.is_root() then return end -- then the other tests show it
    os.execute(("chmod 755 %s && cp %s %s/"):format(directory, helper.luaprobe, directory))
    local out, err, status = helper.run(("setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "
      .. "%s/luaprobe inspect opensnoop"):format(directory))
    assert.are.same({ "", 0 }, { err, status })
    assert.is_truthy(out:find("kprobe:do_sys_openat2", 1, true))
  end)

  it("tells what is packed in it, for whom, and whether it was edited since", function()
    if not helper.has_program "clang" then return pending "needs clang" end
    local path = directory .. "/execs.lua"
    local _, err, status = helper.luaprobe_run(("pack examples/execs.lua -o %s --arch x86_64,arm64"):format(path))
    assert.are.equal(0, status, err)
    local report = inspect.of(path)
    assert.are.same({ "x86_64", "arm64" }, report.architectures)
    assert.are.same({}, report.notes)
    assert.are.equal(2, #report.objects)
    for _, object in ipairs(report.objects) do
      assert.is_true(object.packed and object.packed_size > 0 and #object.sha256 == 64 and #object.source_sha256 == 64)
    end
    helper.write(path, (helper.read(path):gsub("__u32 uid;", "__u32 uid; ")))
    local out = helper.luaprobe_run("inspect " .. path)
    assert.is_truthy(out:find("note: line 8:", 1, true) and out:find("edited", 1, true), out)
    -- What would run is shown, and what is packed is said to be of another text.
    helper.write(path, (helper.read(path):gsub("__u32 uid; ", "__u32 uid;", 1):gsub("return 0;",
      "bpf_send_signal(9); return 0;", 1)))
    report = inspect.of(path)
    assert.is_true(report.objects[1].compiled)
    assert.is_true(by_name(report.objects[1].helpers).bpf_send_signal.changes)
    assert.is_true(report.objects[2].stale and report.objects[3].stale)
    out = helper.luaprobe_run("inspect " .. path)
    helper.contains(out, "CHANGES    bpf_send_signal",
      "execs (packed for x86_64): nothing in the script as it is now asks")
  end)

  it("shows clang's complaints as lines, and exits 1", function()
    if not helper.has_program "clang" then return pending "needs clang" end
    helper.write(directory .. "/wrong.lua", 'require "luaprobe".compile [[\nint x = y;\n\tint z = y;\n]]')
    local out, err, status = helper.luaprobe_run(("inspect %s/wrong.lua"):format(directory))
    assert.are.same({ "", 1 }, { err, status })
    helper.contains(out, "wrong.lua:2:9: error: use of undeclared identifier 'y'\n", "\n  int x = y;\n")
    assert.is_nil(out:find("\\n", 1, true), out)
  end)

  it("lists one-liners, with what they attach", function()
    helper.write(directory .. "/lines.lua", [[
local lp = require "luaprobe"
lp.trace("kprobe:vfs_read", "file, count:x", { ret = true, where = "count > 1" })
lp.count("kprobe:vfs_*", { by = "func" })
lp.latency(target)
lp.count("tracepoint:sched:sched_switch", { by = name })
lp.trace "nothing"]])
    local report = inspect.of(directory .. "/lines.lua")
    local trace, count, switch = unpack(report.one_liners)
    assert.are.same({ "trace", "kprobe", "file, count:x", "count > 1", false },
      { trace.call, trace.kind, trace.fields, trace.where, trace.partly })
    assert.are.same({ { name = "on_entry", target = "kprobe:vfs_read" },
      { name = "on_return", target = "kretprobe:vfs_read" } }, trace.programs)
    assert.are.same({ "kprobe:vfs_*", "func" }, { count.target, count.by })
    assert.are.same({ "tracepoint", true }, { switch.kind, switch.partly })
    assert.are.equal(3, #report.one_liners)
    local notes = table.concat(report.notes, "\n")
    helper.contains(notes, "line 4: what lp.latency is given here cannot be told", "line 6: lp.trace: ")
    helper.contains(helper.luaprobe_run(("inspect %s/lines.lua"):format(directory)), "lp.trace (line 2)",
      "on_return                  kretprobe:vfs_read", "whose other arguments are not all literals")
  end)

  it("shows of a name the object that a run takes, not the C text beside it", function()
    helper.write(directory .. "/opensnoop.bpf.c", "int x = y;")
    helper.write(directory .. "/named.lua", 'require "luaprobe".load "opensnoop"')
    local report = inspect.of(directory .. "/named.lua")
    assert.are.same({}, report.notes)
    assert.is_false(report.objects[1].compiled)
    assert.is_true(#report.objects[1].programs > 5)
    os.remove(directory .. "/opensnoop.bpf.c")
  end)

  it("tells what can be known, with a note for what cannot", function()
    os.execute(("cp %sgetpgid.bpf.o %s/"):format(helper.fixtures, directory))
    helper.write(directory .. "/partly.lua", ([[
local lp = require "luaprobe"
os.execute "x"
lp.compile(text)
lp.load "nonesuch"
lp.compile("int x;", { cflags = { "-fplugin=x" } })
lp.load(name)
lp.load "DIR/getpgid.bpf.o"
lp.load "changes"]]):gsub("DIR", directory))
    os.execute(("cp %schanges.bpf.o %s/"):format(helper.fixtures, directory))
    local report = inspect.of(directory .. "/partly.lua")
    local notes = table.concat(report.notes, "\n")
    for _, part in ipairs {
      ":3: what lp.compile is given", ":4: there is neither nonesuch", ":5: lp.compile: '-fplugin=x'",
      "line 6: what lp.load is given", "line 7: " } do
      assert.is_truthy(notes:find(part, 1, true), notes)
    end
    assert.are.equal(2, #report.objects)
    assert.is_true(by_name(report.libraries)["os.execute"].acts)
    local out, err, status = helper.luaprobe_run(("inspect %s/partly.lua"):format(directory))
    assert.are.same({ "", 0 }, { err, status })
    assert.is_truthy(out:find("CHANGES", 1, true) and out:find("os.execute (!)", 1, true), out)
  end)

  it("shows an object whole that does something else on another processor", function()
    if not helper.has_program "clang" then return pending "needs clang" end
    helper.write(directory .. "/arm.lua", [=[
require("luaprobe").compile [[
#include "luaprobe.bpf.h"
SEC("tracepoint/syscalls/sys_enter_getpgid")
int enter(void *ctx)
{
#ifdef __TARGET_ARCH_arm64
    bpf_send_signal(9);
#endif
    return 0;
}
char LICENSE[] SEC("license") = "GPL";
]]]=])
    local _, err, status = helper.luaprobe_run(("pack %s/arm.lua --arch x86_64,arm64"):format(directory))
    assert.are.equal(0, status, err)
    local out = helper.luaprobe_run(("inspect %s/arm.lua"):format(directory))
    assert.is_truthy(out:find "CHANGES +bpf_send_signal", out)
  end)

  it("lets nothing of a script drive the terminal", function()
    helper.write(directory .. "/escape.lua", 'x = "\27[31m" "\27]0;title\7"\n')
    local out, err, status = helper.luaprobe_run(("inspect %s/escape.lua"):format(directory))
    assert.are.equal(1, status)
    assert.is_nil((out .. err):find "[%z\1-\8\11-\31\127]")
    helper.contains(err, "\\x1b]0;title\\x07")
  end)

  it("as JSON is what a parser takes, arrays that are empty included", function()
    if not helper.has_program "python3" then return pending "python3 is not installed" end
    local text = helper.luaprobe_run "inspect --json opensnoop"
    local out = helper.python([[
import json, sys
report = json.load(sys.stdin)
one = report['objects'][0]
assert isinstance(one['size'], int) and isinstance(one['memory'], int)
assert isinstance(report['notes'], list) and isinstance(one['externs'], list) and isinstance(one['kernel_types'], list)
assert {'name': 'calls', 'type': 'hash', 'key_size': 4, 'value_size': 16, 'max_entries': 10240}.items() <= \
    [m for m in one['maps'] if m['name'] == 'calls'][0].items()
print(one['name'], one['kernel'], len(one['programs']))
]], text)
    assert.is_truthy(out:find "^opensnoop 5%.%d+ %d+\n$", out)
  end)
end)
