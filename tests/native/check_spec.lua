-- check: what it says of this machine, and whether scripts would run here.
local helper = require "helper"

if not helper.is_root() then
  describe("check", function() pending "needs root" end)
  return
end

describe("check", function()
  helper.check_leaks(before_each, after_each)

  local function rows(arguments)
    local out, err, status = helper.luaprobe_run("check " .. arguments)
    assert.are.equal("", err)
    return out, status
  end

  it("of the machine tells what is there", function()
    local out, status = rows ""
    assert.are.equal(0, status, out)
    local function says(state, name) return out:find(("%-4s %s "):format(state, name), 1, true) end
    assert.is_truthy(says("yes", "kernel") and says("yes", "capabilities") and says("yes", "LuaJIT"), out)
    assert.is_truthy(says(helper.has_kprobes() and "yes" or "NO", "kprobes"), out)
    assert.is_truthy(says("yes", "uprobes") and says("yes", "BTF") and says("yes", "ring buffer"), out)
    assert.is_truthy(says(helper.kernel_version() >= 5015 and "yes" or "NO", "links"), out)
    assert.is_truthy(says(helper.has_program "clang" and "yes" or "NO", "clang"), out)
    -- tests/native/probes_spec.lua finds the mechanism multi on just these.
    local multi = helper.has_kprobes() and helper.kernel_version() >= 6012
    assert.is_truthy(says(multi and "yes" or "NO", "kprobe.multi"), out)
    assert.is_truthy(says(helper.kernel_version() >= 6006 and "yes" or "NO", "uprobe.multi"), out)
    -- A mend for each lack.
    for lack in out:gmatch "\nNO [^\n]*\n([^\n]*)" do assert.is_truthy(lack:find "^ +%S", lack) end
  end)

  it("of a script tells which programs would load and attach, and enables none", function()
    local out, status = rows "opensnoop"
    assert.are.equal(0, status, out)
    local kprobes = helper.has_kprobes() and "yes" or "NO"
    assert.is_truthy(out:find(("%-4s do_sys_openat2 "):format(kprobes), 1, true), out)
    assert.is_truthy(out:find("yes  sys_enter_openat ", 1, true), out)
    if not helper.has_kprobes() then assert.is_truthy(out:find("no kprobes", 1, true), out) end
  end)

  it("of a script whose programs would not run exits 1, with the reason", function()
    local directory, remove = helper.temporary_directory()
    for _, name in ipairs { "rejected", "absent" } do
      os.execute(("cp %s%s.bpf.o %s/"):format(helper.fixtures, name, directory))
      helper.write(("%s/%s.lua"):format(directory, name), ('require "luaprobe".load "%s"'):format(name))
      local out, status = rows(("%s/%s.lua"):format(directory, name))
      -- Of the second one there is a program that would run.
      assert.are.equal(name == "rejected" and 1 or 0, status, out)
      assert.is_truthy(out:find("NO   ", 1, true), out)
    end
    assert.is_truthy((rows(directory .. "/absent.lua")):find("no such tracepoint", 1, true))
    assert.is_truthy((rows(directory .. "/rejected.lua")):find("refused program", 1, true))
    remove()
  end)

  local function of_script(text)
    local directory, remove = helper.temporary_directory()
    helper.write(directory .. "/tool.lua", text)
    local out, status = rows(directory .. "/tool.lua")
    remove()
    return out, status
  end

  it("says no to what would not attach: no kprobes, no such raw tracepoint, sections without a target", function()
    if not helper.has_program "clang" then return pending "needs clang" end
    local out = of_script [=[
require("luaprobe").compile [[
#include "luaprobe.bpf.h"
SEC("xdp") int packet(void *ctx) { return 2; }
SEC("syscall") int call(void *ctx) { return 0; }
SEC("raw_tracepoint/nosuch") int nosuch(void *ctx) { return 0; }
SEC("raw_tracepoint/sched_switch") int switched(void *ctx) { return 0; }
SEC("kprobe/vfs_*") int all(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
]]]=]
    assert.is_truthy(out:find "yes  packet +xdp, which only loads here", out)
    assert.is_truthy(out:find "NO   nosuch " and out:find("no such raw tracepoint", 1, true), out)
    assert.is_truthy(out:find "yes  switched ", out)
    assert.is_truthy(out:find((helper.has_kprobes() and "yes" or "NO ") .. "  all "), out)
  end)

  it("looks up what one-liners are given", function()
    local out, status = of_script [[
local lp = require "luaprobe"
lp.trace("tracepoint:syscalls:sys_enter_getpgid", "pid, comm")
lp.count("tracepoint:syscalls:sys_enter_getp*")
lp.latency "tracepoint:syscalls:sys_enter_getpgid"]]
    assert.are.equal(0, status, out)
    assert.are.equal(3, select(2, out:gsub("yes  lp%.%w+ ", "")), out)
    for _, text in ipairs { "lp.count 'kprobe:nosuch'", "lp.count 'tracepoint:syscalls:nosuch'",
      "lp.trace('tracepoint:syscalls:sys_enter_getpgid', 'nosuch')", "lp.count 'nothing'",
      "lp.latency 'tracepoint:sched:sched_switch'", "lp.count('tracepoint:no*:such*')" } do
      out, status = of_script("local lp = require 'luaprobe'\n" .. text)
      assert.are.equal(1, status, text)
      assert.is_truthy(out:find "^NO   lp%.", out)
    end
    out, status = of_script "local lp = require 'luaprobe'\nlp.count(target)"
    assert.are.equal(1, status)
    helper.contains(out, "note: line 2: what lp.count is given here cannot be told")
  end)

  it("of a script that attaches all, or a ladder, says whether that would succeed", function()
    if not helper.has_program "clang" then return pending "needs clang" end
    local function status_of(attach, load)
      local out, status = of_script(([=[
local lp = require "luaprobe"
local object = lp.%s(lp.compile [[
#include "luaprobe.bpf.h"
SEC("raw_tracepoint/sched_switch") int good(void *ctx) { return 0; }
SEC("tracepoint/syscalls/no_such") int bad(void *ctx) { return 0; }
SEC("kprobe") int where_it_says(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
]])
]=]):format(load or "open") .. attach)
      return status, out
    end
    local status, out = status_of "object.programs.where_it_says:attach(target)"
    assert.are.equal(0, status, out)
    helper.contains(out, "yes  where_it_says              kprobe, attached by the script")
    assert.are.equal(1, (status_of "object:attach()"))
    assert.are.equal(1, (status_of "object:attach { first = { 'tracepoint' } }"))
    assert.are.equal(0, (status_of "object:attach { first = { 'tracepoint', { 'raw_tracepoint' } }, pid = pid }"))
    assert.are.equal(1, (status_of "object:attach { first = { { 'tracepoint', 'raw_tracepoint' } } }"))
    assert.are.equal(0, (status_of "object:attach { first = ladder }"))
    assert.are.equal(0, (status_of "object:attach(options)"))
    assert.are.equal(1, (status_of "object:attach({})"))
  end)

  it("of an object file tells its programs", function()
    local out, status = rows(helper.fixtures .. "getpgid.bpf.o")
    assert.are.equal(0, status, out)
    assert.is_truthy(out:find "yes  ", out)
  end)

  it("of what has no program that is known says so", function()
    local out, status = of_script "print 'x'"
    assert.are.same({ "note: it has no BPF programs\n", 0 }, { out, status })
    out, status = of_script "local lp = require 'luaprobe'\nlp.load(name)\nlp.load 'nonesuch'"
    assert.are.equal(1, status)
    assert.is_truthy(out:find("NO   nonesuch ", 1, true) and out:find("note: line 2:", 1, true), out)
    for _, text in ipairs { "local lp = require 'luaprobe'\nlp.load(name)", "pcall(require, 'luaprobe')",
      "local m = { lp = require 'luaprobe' } m.lp.load 'x'", "loadstring(text)()", "package.loaded.luaprobe.load 'x'",
      "for _, x in pairs(package) do print(x) end", "debug.getregistry()", "f(debug)",
      "setmetatable({}, { __index = require 'luaprobe' }).load 'x'", "require 'a_module_of_somebody'" } do
      out, status = of_script(text)
      assert.are.equal(1, status, out)
      assert.is_truthy(out:find("cannot be told from the text", 1, true), out)
    end
  end)

  it("looks at what would run of a packed script that was edited", function()
    if not helper.has_program "clang" then return pending "needs clang" end
    local directory, remove = helper.temporary_directory()
    local path = directory .. "/tool.lua"
    helper.write(path, [=[
require("luaprobe").load(require("luaprobe").compile [[
#include "luaprobe.bpf.h"
SEC("raw_tracepoint/sched_switch") int enter(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
]])]=])
    assert.are.equal(0, select(3, helper.luaprobe_run("pack " .. path)))
    helper.write(path, (helper.read(path):gsub("sched_switch", "nosuch", 1)))
    local out = rows(path)
    assert.is_truthy(out:find "NO   enter +raw_tracepoint:nosuch", out)
    out = helper.run(("LUAPROBE_CLANG=/none %s check %s"):format(helper.luaprobe, path))
    assert.is_truthy(out:find("NO   tool", 1, true) and out:find("edited after", 1, true), out)
    remove()
  end)

  it("tells a user without privileges once what is missing", function()
    local directory, remove = helper.temporary_directory()
    os.execute(("chmod 755 %s && cp %s %s/"):format(directory, helper.luaprobe, directory))
    local out, _, status = helper.run(("setpriv --reuid 65534 --regid 65534 --clear-groups %s/luaprobe check"):format(
      directory))
    local of_tool, _, tool_status = helper.run(("setpriv --reuid 65534 --regid 65534 --clear-groups %s/luaprobe check "
      .. "opensnoop"):format(directory))
    remove()
    assert.are.equal(1, tool_status)
    assert.are.equal("note: nothing could be loaded, and so nothing was checked, without CAP_BPF and CAP_PERFMON: run "
      .. "it as root: sudo luaprobe …\n", of_tool)
    assert.are.equal(1, status)
    assert.is_truthy(out:find("NO   capabilities         without CAP_BPF and CAP_PERFMON\n", 1, true), out)
    assert.is_truthy(out:find("sudo", 1, true), out)
  end)
end)
