-- The doctor's diagnoses, on a machine that is made up.
local doctor = require "luaprobe.doctor"
local helper = require "helper"
local ksyms = require "luaprobe.ksyms"
local targets = require "luaprobe.target"

local KALLSYMS = [[
ffffffff81000000 T vfs_read
ffffffff81000100 T vfs_write
ffffffff81000200 t do_work.isra.0
ffffffff81000280 t do_work.cold
ffffffff81000300 t twin
ffffffff81000400 t twin
ffffffff81000500 t many.part.0
ffffffff81000540 t many.constprop.0
ffffffff81000580 T quiet
ffffffff810005c0 T forbidden
ffffffff810005d0 T __x64_sys_getpgid
ffffffff810005e0 T __arm64_sys_getpgid
ffffffff81000600 D a_variable
ffffffffc0000000 t ext4_readdir	[ext4]
]]

local real_machine = doctor.machine

describe("the doctor", function()
  local directory, remove
  local files

  setup(function()
    directory, remove = helper.temporary_directory()
    helper.write(directory .. "/kallsyms", KALLSYMS)
    ksyms.use(directory .. "/kallsyms")
    local traced = { vfs_read = true, vfs_write = true, twin = true, ["do_work.isra.0"] = true, ext4_readdir = true }
    doctor.machine = {
      ksyms = ksyms,
      blacklist = function() return { forbidden = true } end,
      by_ftrace = function(name) return { traced[name] and name } end,
      debugfs = function() return "1\n" end,
      tracepoints = function()
        return { { category = "sched", name = "sched_switch" }, { category = "sched", name = "sched_wakeup" } }
      end,
      exists = function(path) return files[path] ~= nil end,
      read = function(path) return files[path] end,
      release = function() return "6.1.0" end,
    }
  end)

  before_each(function()
    files = {
      ["/sys/module/ext4"] = "",
      ["/lib/modules/6.1.0/modules.symbols"] = "# aliases\nalias symbol:nf_hook nf_tables\n",
      ["/boot/config-6.1.0"] = "\nCONFIG_KPROBES=y\n# CONFIG_KPROBE_EVENTS is not set\n",
    }
  end)

  teardown(function()
    ksyms.use(nil)
    doctor.machine = real_machine
    remove()
  end)

  local function explain(text, code)
    local reason, replacement = doctor.explain(assert(targets.parse(text)), { code = code, message = "?", hint = "!" })
    return reason.message, reason.hint, replacement
  end

  it("names the nearest functions", function()
    local message, hint = explain("kprobe:vfs_raed", "ENOENT")
    assert.are.equal("kprobe:vfs_raed: this kernel has no function vfs_raed that can be probed", message)
    assert.are.equal("did you mean vfs_read? It may also be inlined into its callers", hint)
  end)

  it("names the system call", function()
    local message, hint = explain("kprobe:sys_getpgid", "ENOENT")
    assert.are.equal("kprobe:sys_getpgid: this kernel has no function sys_getpgid that can be probed", message)
    assert.are.equal("did you mean ksyscall:getpgid? System calls have wrappers here", hint)
    assert.is_truthy(select(2, explain("kretprobe:SyS_getpgid", "EINVAL")):find("mean kretsyscall:getpgid", 1, true))
    assert.is_nil(select(2, explain("kprobe:sys_nothing", "ENOENT")):find "ksyscall")
  end)

  it("names the nearest tracepoints, or where they are listed", function()
    local function hint(target) return select(2, explain("tracepoint:" .. target, "ENOENT")) end
    assert.are.equal("did you mean tracepoint:sched:sched_switch?", hint "sched:sched_swich")
    assert.are.equal("see what there is: sudo luaprobe list 'tracepoint:sched:*'", hint "sched:x")
    assert.are.equal("!", hint "nosuch:x")
  end)

  it("says that a name like no other may be inlined", function()
    assert.is_truthy(select(2, explain("kprobe:zzzzzzzzzzzzzz", "ENOENT")):find "inlined")
  end)

  it("replaces a function by the one that the compiler made of it", function()
    for _, code in ipairs { "ENOENT", "EADDRNOTAVAIL", "EINVAL" } do
      local message, _, replacement = explain("kprobe:do_work", code)
      assert.are.equal("do_work.isra.0", replacement)
      assert.are.equal("?", message)
    end
    assert.is_nil(select(3, explain("kprobe:do_work", "EIO")))
  end)

  it("lists them when there are several", function()
    for _, code in ipairs { "ENOENT", "EINVAL" } do
      local message, hint, replacement = explain("kprobe:many", code)
      assert.are.equal("kprobe:many: the compiler made several functions of many: many.part.0, many.constprop.0",
        message)
      assert.are.equal("choose one: kprobe:many.part.0", hint)
      assert.is_nil(replacement)
    end
  end)

  it("counts functions of the same name, and says how to choose", function()
    for _, code in ipairs { "EADDRNOTAVAIL", "ENOENT" } do
      local message, hint = explain("kprobe:twin", code)
      assert.are.equal("kprobe:twin: 2 functions have the name twin: 0xffffffff81000300, 0xffffffff81000400", message)
      assert.are.equal("choose one by its address: kprobe:0xffffffff81000300", hint)
    end
  end)

  it("knows the blacklist, and what is notrace", function()
    assert.is_truthy(explain("kprobe:forbidden", "EINVAL"):find "blacklist")
    assert.is_truthy(explain("kprobe:quiet", "EINVAL"):find "notrace")
    assert.are.equal("?", (explain("kprobe:vfs_read", "EINVAL")))
  end)

  it("knows modules that are not loaded, by name or by what they export", function()
    local message, hint = explain("kprobe:xfs:xfs_read", "ENOENT")
    assert.are.equal("kprobe:xfs:xfs_read: xfs_read is in the module xfs, which is not loaded", message)
    assert.are.equal("load it first: sudo modprobe xfs", hint)
    assert.are.equal("load it first: sudo modprobe nf_tables", select(2, explain("kprobe:nf_hook", "ENOENT")))
    assert.is_truthy(explain("kprobe:ext4:vfs_read", "ENOENT"):find "a function vfs_read, but not in a module ext4")
  end)

  it("knows kernels without kprobes, and kprobes that are switched off", function()
    assert.is_truthy(explain("kprobe:vfs_read", "ENODEV"):find "without CONFIG_KPROBE_EVENTS")
    files = {}
    assert.are.equal("?", (explain("kprobe:vfs_read", "ENODEV")))
    doctor.machine.debugfs = function() return "0\n" end
    assert.is_truthy(explain("kprobe:vfs_read", "ENOENT"):find "switched off")
  end)

  it("tells an address of nothing from one that cannot be probed", function()
    for _, address in ipairs { "0x1", "0xffff888000000000", "0xffffffff91000000", "0xffffffffffffffff" } do
      assert.are.equal(("kprobe:%s: no function of this kernel is at this address"):format(address),
        (explain("kprobe:" .. address, "EINVAL")))
    end
    assert.are.equal("?", (explain("kprobe:0xffffffff81000580", "EINVAL")))
  end)

  it("leaves alone what it does not know", function()
    assert.are.same({ "?", "!" }, { explain("kprobe:vfs_read", "EIO") })
    assert.are.same({ "?", "!" }, { explain("kprobe:0xffffffff81000000", "ENOENT") })
  end)
end)

describe("kernel symbols", function()
  local directory, remove
  setup(function()
    directory, remove = helper.temporary_directory()
    helper.write(directory .. "/kallsyms", KALLSYMS .. "garbage\n\nffffffff82000000\nffffffff82000000 T\n")
    ksyms.use(directory .. "/kallsyms")
  end)
  teardown(function()
    ksyms.use(nil)
    remove()
  end)

  it("are found by name, by pattern and by module", function()
    local found = ksyms.find "vfs_*"
    assert.are.equal("vfs_read vfs_write", found[1].name .. " " .. found[2].name)
    assert.are.equal(0, #ksyms.find "a_variable")
    assert.are.equal("ext4", ksyms.find("*", "ext4")[1].module)
    assert.are.equal(1, #ksyms.find("*", "ext?"))
    assert.are.equal(2, #ksyms.find "twin")
  end)

  it("are found by address", function()
    assert.are.same({ "vfs_read", 5 }, { ksyms.at(0xffffffff81000005ULL) })
    assert.are.same({ "ext4_readdir", 0 }, { ksyms.at(0xffffffffc0000000ULL) })
    assert.is_nil(ksyms.at(5))
  end)

  it("that cannot be read raise", function()
    ksyms.use "/nonexistent"
    local ok, reason = pcall(ksyms.find, "x")
    assert.is_false(ok)
    assert.are.equal("symbols", reason.stage)
    ksyms.use(directory .. "/kallsyms")
  end)
end)
