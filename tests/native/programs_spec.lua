-- Objects and their programs: what is set before load, what the kernel tells after it, and running one on request.
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("programs", function() pending "needs root" end)
  return
end

require("luaprobe.cdef").lp_stats_enable() -- which keeps a descriptor as long as the process lives

local refusal, contains = helper.refusal, helper.contains

describe("a program", function()
  helper.check_leaks(before_each, after_each)

  it("tells what it is", function()
    local object = helper.open "kinds"
    local fill = object.programs.fill
    assert.are.same({ "fill", "raw_tracepoint/sys_enter", "raw_tracepoint" }, { fill.name, fill.section, fill.kind })
    assert.is_true(fill.instructions > 100)
    assert.is_true(fill.autoload)
    assert.are.equal(0, fill:info().id)
    object:load()
    local info = fill:info()
    assert.is_true(info.id > 0)
    if helper.kernel_version() >= 5016 then assert.is_true(info.verified >= info.instructions / 2) end
    contains(fill:describe(), "program fill: raw_tracepoint/sys_enter", "loaded as " .. info.id)
    object:close()
  end)

  it("can be left out of a load", function()
    local object = helper.open("rejected", {})
    for _, program in ipairs(object.programs) do program.autoload = false end
    object:load()
    contains(refusal(function() return object.programs[1]:attach() end), "is not loaded")
    contains(refusal(function() object.programs[1].autoload = 5 end), "autoload is true or false")
    contains(refusal(function() object.programs[1].name2 = 5 end), "'name2' cannot be set")
    object:close()
    object = lp.load(helper.absolute(helper.fixtures .. "rejected.bpf.o"), { programs = { reads_anywhere = false } })
    object:close()
  end)

  it("is run on request, and counted", function()
    local object = helper.open "kinds"
    object:load()
    local fill = object.programs.fill
    assert.are.equal(7, fill:test_run().result)
    assert.are.equal(7, fill:test_run({ context = ("\0"):rep(16) }).result)
    assert.is_true(fill:info().runs >= 2)
    for text, opts in pairs {
      ["context is a string"] = { context = 5 }, ["data is a string"] = { data = 5 }, ["takes a table"] = "x",
      ["no option 'dat'"] = { dat = "x" }, ["no option '1'"] = { "x" },
      ["data_size is a whole number up to 1048576, not 4294967296"] = { data_size = 2 ^ 32 },
      ["data_size is a whole number up to 1048576, not -1"] = { data_size = -1 },
      ["data_size is a whole number up to 1048576, not x"] = { data_size = "x" },
      ["repeat_count is a whole number up to 1000000, not -1"] = { repeat_count = -1 },
      ["repeat_count is a whole number up to 1000000, not 1.5"] = { repeat_count = 1.5 },
      ["repeat_count is a whole number up to 1000000, not nan"] = { repeat_count = 0 / 0 },
      ["is the data or the context of the size"] = { data = "x" },
    } do contains(refusal(fill.test_run, fill, opts), text) end
    object:close()
    object = helper.open "counting"
    object:load()
    contains(refusal(function() return object.programs.fill:test_run() end), "cannot test-run", "tracepoint/syscalls")
    object:close()
  end)
end)

describe("an object", function()
  helper.check_leaks(before_each, after_each)

  it("is adjusted in one table", function()
    local object = lp.load(helper.absolute(helper.fixtures .. "maps.bpf.o"), {
      const = { only_tid = 5 }, data = { stack_id = -7 }, maps = { numbers = { max_entries = 9 } },
      programs = { enter = false },
    })
    assert.are.same({ 5, -7, 9, false },
      { object.const.only_tid, object.data.stack_id, object.maps.numbers.max_entries, object.programs.enter.autoload })
    for key = 1, 9 do object.maps.numbers:set(key, 1) end
    assert.is_false(pcall(object.maps.numbers.set, object.maps.numbers, 10, 1))
    object:close()
    local path = helper.absolute(helper.fixtures .. "maps.bpf.o")
    contains(refusal(lp.open, path, { cosnt = {} }), "no option 'cosnt'")
    contains(refusal(lp.open, path, 5), "options are a table")
    contains(refusal(lp.open, path, { maps = { nothing = {} } }), "has no map 'nothing'")
    contains(refusal(lp.open, path, { programs = { nothing = false } }), "has no program 'nothing'")
    contains(refusal(lp.open, path, { maps = { numbers = 5 } }), "maps.numbers is a table")
    object = lp.open(path, { maps = { numbers = { max_entries = 77ULL } } })
    assert.are.equal(77, object.maps.numbers.max_entries)
    object:close()
  end)

  it("is described", function()
    local object = helper.open "maps"
    local text = object:describe()
    contains(text, "object ", "program enter: tracepoint/syscalls/sys_enter_getpgid",
      "map structs: hash, from struct key, to struct value, 100 entries",
      "map tables: array_of_maps, from __u32, to maps", "map untyped: hash, from 4 bytes, to 12 bytes",
      "constant const __u32 only_tid",
      "variable __s64 stack_id")
    contains(object.maps.per_cpu:describe(), "map per_cpu: percpu_hash, from __u32, to __u64, 10 entries")
    object:close()
    contains(object:describe(), "closed")
  end)

  it("knows the kernel's configuration", function()
    local object = lp.load(helper.absolute(helper.fixtures .. "kconfig.bpf.o"),
      { kconfig = { CONFIG_LUAPROBE_NUMBER = 250, CONFIG_LUAPROBE_FLAG = true } })
    assert.are.equal(250, object.kconfig.CONFIG_LUAPROBE_NUMBER)
    assert.is_true(object.kconfig.CONFIG_LUAPROBE_FLAG)
    local major, minor = helper.read("/proc/sys/kernel/osrelease"):match "^(%d+)%.(%d+)"
    assert.are.equal(tonumber(major) * 65536 + tonumber(minor) * 256,
      bit.band(object.kconfig.LINUX_KERNEL_VERSION, 0xffffff00))
    object.programs.read:test_run()
    assert.are.equal(object.kconfig.LINUX_KERNEL_VERSION + 251, object.data.number)
    contains(refusal(function() object.kconfig.CONFIG_LUAPROBE_NUMBER = 1 end), "only read")
    object:close()
  end)

  it("lets its variables be read without a system call", function()
    if helper.run "command -v strace" == "" then return pending "strace is not installed" end
    local code = ([[
      local object = require("luaprobe").load("%s")
      object.programs.count:attach()
      local data, sum = object.data, 0
      io.stderr:write("BEGIN\n")
      for _ = 1, 1e6 do sum = sum + data.counter end
      io.stderr:write("END\n")
      local last = data.counter
      while data.counter == last do end -- changes under a compiled loop's eyes
      print(sum > 0)
    ]]):format(helper.absolute(helper.fixtures .. "table.bpf.o"))
    local command = "timeout 60 strace -f -o /dev/stderr %s -e %s"
    local out, err = helper.run(command:format(helper.luaprobe, helper.quote(code)))
    assert.are.equal("true\n", out, err)
    local between = err:match '"BEGIN\\n".-\n(.-)write%(2, "END\\n"'
    assert.is_truthy(between, err)
    for line in between:gmatch "[^\n]+" do
      local is_compiler = line:find "mprotect" or line:find "mu?n?map" -- memory for the loop's machine code
      assert.is_falsy(line:find "^%d+ +%w+%(" and not is_compiler and line, between)
    end
  end)
end)
