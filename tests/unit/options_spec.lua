-- What attach may be told: read right, or refused with the reason.
local helper = require "helper"
local options = require "luaprobe.options"

local function refusal(given)
  local ok, reason = pcall(options.parse, given)
  assert.is_false(ok, tostring(given))
  return tostring(type(reason) == "table" and reason.message or reason)
end

describe("attach's options", function()
  it("are a target as text, or as a table with a kind as key", function()
    local ffi = require "ffi"
    assert.are.same({}, options.parse(nil))
    for _, given in ipairs { "kprobe:vfs_read", { target = "kprobe:vfs_read" }, { kprobe = "vfs_read" },
      { kprobe = { "vfs_read" } }, { target = { "kprobe:vfs_read" } } } do
      local targets = options.parse(given).targets
      assert.are.equal(1, #targets)
      assert.are.equal("vfs_read", ffi.string(targets[1].name))
      assert.are.equal("kprobe:vfs_read", ffi.string(targets[1].text))
    end
    local opts = options.parse { uprobe = { "libc:malloc", "libc:free" }, pid = 5, cookie = 7ULL, force = true }
    assert.are.equal(2, #opts.targets)
    assert.are.same({ 5, true }, { opts.pid, opts.force })
  end)

  it("that are wrong are refused", function()
    assert.is_truthy(refusal(5):find "attach takes a target or a table, not a number")
    assert.is_truthy(refusal({ kprobe = 5 }):find "a target is a string, not a number")
    assert.is_truthy(refusal({ kprobe = {} }):find "a list of targets is empty")
    assert.is_truthy(refusal({ kprobe = "a", uprobe = "b:c" }):find "one kind of target")
    assert.is_truthy(refusal({ target = { "kprobe:a", "uprobe:/b:c" } }):find "not of one kind")
    assert.is_truthy(refusal({ kprobes = "a" }):find "attach has no option 'kprobes'")
    assert.is_truthy(refusal({ kprobe = "a", pid = "5" }):find "pid is a number, not a string")
    assert.is_truthy(refusal({ kprobe = "a", pid = -1 }):find "pid is a whole number")
    assert.is_truthy(refusal({ kprobe = "a", pid = 1.5 }):find "pid is a whole number")
    assert.is_truthy(refusal({ kprobe = "a", pid = 0 / 0 }):find "pid is a whole number")
    assert.is_truthy(refusal({ kprobe = "a", maxactive = 2 ^ 40 }):find "maxactive")
    assert.is_truthy(refusal({ kprobe = "a", cookie = require("ffi").new "int[3]" }):find "cookie is a number")
    assert.is_truthy(refusal({ kprobe = "a", mechanism = true }):find "mechanism is a string")
  end)

  it("take a pid that a process can have", function()
    assert.are.equal(1, options.parse({ uprobe = "sh:main", pid = 1 }).pid)
    for _, pid in ipairs { 0, -1, 1.5, 2 ^ 40 } do
      local _, reason = pcall(options.parse, { uprobe = "sh:main", pid = pid })
      assert.is_truthy(reason:find("pid is a whole number from 1 to", 1, true), reason)
    end
  end)

  it("take one kind only, which stands once", function()
    local _, reason = pcall(options.parse, { kprobe = { "vfs_read", "ksyscall:getpgid" } })
    helper.contains(tostring(reason), "'kprobe:ksyscall:getpgid' is no target: it names a second kind of probe")
  end)

  it("show a NUL in a target as one", function()
    local _, reason = pcall(options.parse, "kprobe:a\0b")
    assert.are.equal([['kprobe:a\x00b' is no target: it has a NUL in it]], reason.message)
  end)

  it("say what is wrong with a target", function()
    for _, target in ipairs { "", ":", "kprobe", "kprobe:", "kprob:vfs_read", "kprobe:a b", "kprobe:a+", "kprobe:a+x",
      "kretprobe:a+8", "uprobe:x", "usdt:a", "tracepoint:a", "profile:hz:0", "profile:parsec:1", "uprobe::b",
      "kprobe:" .. ("x"):rep(5000), "kprobe:vfs_read\0x", "tracepoint:a:b:c", "software:page-faults:-1" } do
      local ok, reason = pcall(options.parse, target)
      assert.is_false(ok, target)
      assert.are.equal("table", type(reason), target)
      assert.are.equal("attach", reason.stage)
      assert.is_truthy(reason.hint, target)
    end
  end)
end)
