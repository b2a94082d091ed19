-- Opening objects: found where they should be, and bad ones refused with one clear sentence.
local helper = require "helper"
local lp = require "luaprobe"

local function refusal(what, opts)
  local ok, reason = pcall(lp.open, what, opts)
  assert.is_false(ok)
  assert.are.equal("table", type(reason), tostring(reason))
  assert.is_truthy(reason.message and reason.code and reason.stage)
  return reason
end

describe("an object", function()
  it("opens by name from inside the binary", function()
    local object = lp.open "opensnoop"
    assert.are.equal("opensnoop.bpf.o", object.name)
    assert.are.equal("kprobe:do_sys_openat2", object.programs.do_sys_openat2.target)
    assert.are.equal("kretprobe", object.programs.do_sys_openat2_return.kind)
    assert.are.equal(27, object.maps.events.type)
    assert.are.equal(10240, object.maps.calls.max_entries)
    object:close()
    object:close()
    assert.is_false(pcall(object.load, object))
  end)

  it("opens by path and from memory", function()
    local path = helper.fixtures .. "getpgid.bpf.o"
    local object = lp.open(path)
    assert.are.equal(4, #object.programs)
    object:close()
    object = lp.open { bytes = helper.read(path), name = "mine" }
    assert.are.equal("mine", object.name)
    collectgarbage()
    collectgarbage()
    assert.are.equal("tracepoint:syscalls:sys_exit_getpgid", object.programs.leave.target)
    object:close()
  end)

  it("is looked for beside the script and on LUAPROBE_PATH, and never where the user stands", function()
    local directory, remove = helper.temporary_directory()
    os.execute(("mkdir %s/bin %s/path %s/cwd"):format(directory, directory, directory))
    local script = 'io.write(require "luaprobe".open("getpgid").name)'
    helper.write(directory .. "/bin/tool.lua", script)
    os.execute(("cp %sgetpgid.bpf.o %s/cwd/"):format(helper.fixtures, directory))
    local binary = helper.luaprobe:sub(1, 1) == "/" and helper.luaprobe or "$OLDPWD/" .. helper.luaprobe
    local run = ("cd %s/cwd && LUAPROBE_PATH=%%s %s ../bin/tool.lua"):format(directory, binary)

    local out, err, status = helper.run(run:format "''")
    assert.are.same({ "", 1 }, { out, status })
    assert.is_truthy(err:find("no BPF object 'getpgid'", 1, true))
    assert.is_truthy(err:find("hint:", 1, true))
    assert.are.equal(1, select(3, helper.run(run:format ":.:../cwd")))

    os.execute(("cp %sgetpgid.bpf.o %s/path/"):format(helper.fixtures, directory))
    out = helper.run(run:format("/nowhere:" .. directory .. "/path"))
    assert.are.equal(directory .. "/path/getpgid.bpf.o", out)
    os.execute(("cp %sgetpgid.bpf.o %s/bin/"):format(helper.fixtures, directory))
    out = helper.run(run:format(directory .. "/path"))
    assert.are.equal("../bin/getpgid.bpf.o", out)
    remove()
  end)

  it("that is missing is said to be", function()
    local reason = refusal "./nothing.bpf.o"
    assert.are.equal("ENOENT", reason.code)
    assert.are.equal("read", reason.stage)
    assert.is_truthy(refusal("nothing").hint:find("LUAPROBE_PATH", 1, true))
  end)

  it("has its constants and variables whatever it is called", function()
    local bytes = helper.read(helper.fixtures .. "constants.bpf.o")
    for _, name in ipairs { "a.rodata.b", "x.data1", "x.bss", ".kconfig", "plain" } do
      local object = require("luaprobe").open { bytes = bytes, name = name }
      assert.are.same({ 7, 3 }, { object.const.u32, object.data.counter })
      object:close()
    end
  end)

  it("that is a directory, a FIFO or a device is refused", function()
    local directory, remove = helper.temporary_directory()
    os.execute("mkfifo " .. directory .. "/fifo")
    assert.is_truthy(refusal(directory .. "/").message:find "a directory")
    assert.is_truthy(refusal(directory .. "/fifo").message:find "a FIFO")
    assert.is_truthy(refusal("/dev/zero").message:find "a device")
    remove()
  end)

  it("that is empty, text, or made for a processor is said to be", function()
    assert.is_truthy(refusal({ bytes = "" }).message:find "empty")
    assert.is_truthy(refusal({ bytes = "#!/bin/sh\n" }).message:find "not an ELF")
    assert.is_truthy(refusal({ bytes = helper.read(helper.luaprobe) }).message:find "not a BPF object")
    assert.is_truthy(refusal({ bytes = helper.read(helper.luaprobe) }).hint:find "-target bpf")
  end)

  it("cut off anywhere is refused", function()
    for _, name in ipairs { "getpgid", "constants", "burst" } do
      local bytes = helper.read(helper.fixtures .. name .. ".bpf.o")
      for i = 0, 15 do
        local reason = refusal { bytes = bytes:sub(1, math.floor(#bytes * i / 16)), name = "cut" }
        assert.are.equal("open", reason.stage)
        assert.is_truthy(reason.message:find "^cut: ")
      end
    end
  end)

  it("with any byte of its start damaged is refused or opened, and nothing worse", function()
    local bytes = helper.read(helper.fixtures .. "getpgid.bpf.o")
    for i = 1, 64 do
      local ok, result = pcall(lp.open, { bytes = bytes:sub(1, i - 1) .. string.char(255) .. bytes:sub(i + 1) })
      if ok then result:close() else assert.are.equal("table", type(result), tostring(result)) end
    end
  end)

  -- A crash of libbpf's parser would end this process: runtime/btf_check.c looks at the types first.
  it("damaged at random is refused with a reason or opened, and nothing worse", function()
    math.randomseed(7)
    local refused = 0
    for _, name in ipairs { "getpgid", "constants", "probes" } do
      local bytes = helper.read(helper.fixtures .. name .. ".bpf.o")
      for _ = 1, 300 do
        local damaged = bytes
        for _ = 1, math.random(3) do
          local at = math.random(#damaged)
          damaged = damaged:sub(1, at - 1) .. string.char(math.random(0, 255)) .. damaged:sub(at + 1)
        end
        local ok, result = pcall(lp.open, { bytes = damaged, name = "damaged" })
        if ok then
          result:close()
        else
          refused = refused + 1
          assert.are.equal("open", result.stage)
        end
      end
    end
    assert.is_true(refused > 20, refused)
  end)

  -- The type section, found by its magic: 9f eb 01 flags, header length 24.
  local function with_types(bytes, change)
    local at = assert(bytes:find("\159\235\1\0\24\0\0\0", 1, true))
    return change(bytes:sub(1, at - 1), bytes:sub(at))
  end

  it("whose types are damaged is refused by its name", function()
    local bytes = helper.read(helper.fixtures .. "getpgid.bpf.o")
    local function check(offset, text)
      local reason = refusal { name = "types", bytes = with_types(bytes, function(before, types)
        return before .. types:sub(1, offset) .. text .. types:sub(offset + #text + 1)
      end) }
      assert.are.equal("open", reason.stage)
      assert.is_truthy(reason.message:find("types", 1, true), reason.message)
    end
    check(0, "\0\0") -- the magic
    check(4, "\255\255\255\127") -- the header's length
    check(12, "\255\255\255\127") -- the length of the types
    check(20, "\255\255\255\127") -- the length of the names
    check(24, "\255\255\255\127") -- the first type's name
    check(28, "\255\255\0\31") -- its kind and how many members it has
  end)

  it("must be named or given in a way that can be one", function()
    for _, what in ipairs { 5, true, {}, { bytes = 5 } } do
      local ok, reason = pcall(lp.open, what)
      assert.is_false(ok)
      assert.is_truthy(tostring(reason):find "object_spec.lua:%d+: an object is given by name")
    end
    assert.is_false(pcall(lp.open, "opensnoop", { const = 5 }))
  end)
end)

describe("a ladder", function()
  local object
  before_each(function() object = helper.open "getpgid" end)
  after_each(function() object:close() end)

  local function names(rung)
    local list = {}
    for i, program in ipairs(rung) do list[i] = program.name end
    return list
  end

  it("selects programs by kind and by target, those at returns first", function()
    local rungs = require("luaprobe.ladder").rungs(object,
      { { "kprobe", "kretprobe" }, "tracepoint", "tracepoint:syscalls:sys_exit_getpgid" })
    assert.are.same({ "entry_return", "entry" }, names(rungs[1]))
    assert.are.same({ "leave", "enter" }, names(rungs[2]))
    assert.are.same({ "leave" }, names(rungs[3]))
  end)

  it("that fails tells the reasons of all rungs, and what is left to try", function()
    local ladder = require "luaprobe.ladder"
    local err = require "luaprobe.error"
    local function failure(fields) return select(2, pcall(err.raise, fields)) end
    local rungs = ladder.rungs(object, { "kprobe", "tracepoint" })
    for _, code in ipairs { "ENOENT", "EPERM" } do
      local reasons = { failure { code = "ENODEV", stage = "attach", message = "no kprobes", hint = "another kernel" },
        failure { code = code, stage = "attach", message = "no tracepoints", hint = "mount it" } }
      local ok, reason = pcall(ladder.climb, rungs, function() return nil, table.remove(reasons, 1) end)
      assert.is_false(ok)
      assert.are.same({ "ENODEV", "no kprobes; and no tracepoints", "mount it" },
        { reason.code, reason.message, reason.hint })
    end
  end)

  it("must name programs of the object", function()
    for _, first in ipairs { {}, { {} }, { "kprobe", {} }, { "uprobe" }, { { "kprobe", "xdp" } }, { "kprobe:x" } } do
      assert.is_false(pcall(object.attach, object, { first = first }))
    end
  end)
end)
