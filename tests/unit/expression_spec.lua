-- Field expressions and conditions: what is wrong with them is told by member and type. Needs this kernel's types only.
local expression = require "luaprobe.expression"
local helper = require "helper"
local where = require "luaprobe.where"

local function reason(fn, ...)
  local ok, failure = pcall(fn, ...)
  assert.is_false(ok)
  assert.are.equal("expression", failure.stage, tostring(failure))
  return failure.message, failure.hint
end

describe("an expression", function()
  it("is taken apart", function()
    local parsed = expression.parse " name = file -> f_path . dentry[ 2 ] : str "
    assert.are.same({
      text = "file -> f_path . dentry[ 2 ]", name = "name", base = "file", format = "str",
      steps = { { operator = "->", name = "f_path" }, { operator = ".", name = "dentry" },
        { operator = "[]", index = 2 } },
    }, parsed)
    assert.are.equal(2, #expression.parse_list "a, b:x")
    assert.are.same({}, expression.parse_list "  ")
  end)

  it("is refused when it makes no sense", function()
    assert.are.equal("a:oct: there is no format 'oct'", (reason(expression.parse, "a:oct")))
    assert.are.equal("a b: 'b' is not understood", (reason(expression.parse, "a b")))
    assert.are.equal("a[x]: '[x]' is not understood", (reason(expression.parse, "a[x]")))
    assert.are.equal("a[-1]: '[-1]' is not understood", (reason(expression.parse, "a[-1]")))
    assert.are.equal("an empty expression: it begins with the name of an argument or a field",
      (reason(expression.parse_list, "a,,b")))
    assert.are.equal("5: it begins with the name of an argument or a field", (reason(expression.parse, "5")))
  end)
end)

if not helper.exists "/sys/kernel/btf/vmlinux" then
  describe("a wrong expression", function() pending "this kernel ships no types" end)
  return
end

local C = require "luaprobe.cdef"
local plans = require "luaprobe.plan"
local targets = require "luaprobe.target"
local places = require "luaprobe.place"

-- Places need no probe.
local function compile(target, text, joined)
  local place = places.of(targets.parse(target), joined or false)
  local parsed = expression.parse(text)
  return require("luaprobe.fetch").compile(parsed, place:operand(parsed))
end

local WRONG = {
  { "kprobe:vfs_read", "file->f_pos_", "struct file has no member 'f_pos_'", "did you mean f_pos" },
  { "kprobe:vfs_read", "file->f_inode->i_sb->s_idd", "struct super_block has no member 's_idd'" },
  { "kprobe:vfs_read", "file.f_pos", "member 'f_pos': struct file * is a pointer: write ->f_pos" },
  { "kprobe:vfs_read", "file->f_path->dentry", "member 'dentry': const struct path is not a pointer: write .dentry",
    nil, "member 'dentry': struct path is not a pointer: write .dentry" },
  { "kprobe:vfs_read", "count->x", "member 'x': size_t is not a pointer" },
  { "kprobe:vfs_read", "count.x", "member 'x': size_t is not a struct or union" },
  { "kprobe:vfs_read", "file->f_flags->x", "member 'x': unsigned int is not a pointer" },
  { "kprobe:vfs_read", "file->private_data->x", "member 'x': what void * points to is not known" },
  { "kprobe:vfs_read", "file->private_data[1]", "index 1: void * is neither an array nor a pointer to" },
  { "kprobe:vfs_read", "count[1]", "index 1: size_t is neither an array nor a pointer to something known" },
  { "kprobe:vfs_read", "file->f_inode->i_sb->s_id[32]", "index 32: char [32] has 32 elements" },
  { "kprobe:vfs_read", "fil", "vfs_read has no argument 'fil'", "did you mean file?" },
  { "kprobe:vfs_read", "ret", "there is no return value at an entry", "ret = true" },
  { "kprobe:vfs_read", "duration", "there is no duration unless entry and return are joined: ret = true" },
  { "kretprobe:vfs_read", "count", "argument count of vfs_read is gone when it returns", "ret = true" },
  { "kprobe:vfs_read", "count:str", "format str: size_t is neither a pointer nor an array of characters" },
  { "kprobe:vfs_read", "count:ip", "format ip: size_t has 8 bytes; addresses have 4 or 16" },
  { "kprobe:vfs_read", "file->f_inode->i_sb->s_id:x", "format x: char [32] is not a number" },
  { "uprobe:libc:malloc", "size", "malloc has no register 'size'", "arg0 to arg5" },
  { "uprobe:libc:malloc", "arg0->x", "member 'x': the types of user space are not known" },
  { "uprobe:libc:malloc", "arg6", "malloc has no register 'arg6'" },
  { "kprobe:no_such_function", "x", "no_such_function has no argument 'x': there is no such function in this kernel" },
  { "kprobe:vfs_reed", "file->f_flags", "vfs_reed has no argument 'file': there is no such function", "vfs_read" },
  { "kprobe:vfs_read", "file->f_path.dentry->d_parent->d_name.len",
    "too many steps: 'len', of struct qstr, is the fifth member, and 4 are followed", nil,
    "too many steps: 'len', of const struct qstr, is the fifth member, and 4 are followed" },
  { "kprobe:vfs_read.isra.0", "x", "vfs_read.isra.0 is what the compiler made of vfs_read, and its arguments" },
  { "ksyscall:openat", "dfd", "system call openat: the arguments are not told here",
    "tracepoint:syscalls:sys_enter_openat" },
}

describe("a wrong expression names the member and the type it was looked for in:", function()
  for _, row in ipairs(WRONG) do
    it(row[1] .. " " .. row[2], function()
      local message, hint = reason(compile, row[1], row[2])
      assert.is_truthy(message:find(row[3], 1, true) or row[5] and message:find(row[5], 1, true), message)
      if row[4] then assert.is_truthy(hint and hint:find(row[4], 1, true), hint) end
    end)
  end

  it("a struct as the last one", function()
    assert.is_truthy(reason(compile, "kprobe:vfs_read", "file->f_path"):find(
      "struct path is no single value: name one of its members", 1, true))
  end)
end)

describe("a condition", function()
  local function conditions(text, target)
    return where.compile(text, function(parsed)
      local place = places.of(targets.parse(target or "kprobe:vfs_read"), false)
      return require("luaprobe.fetch").compile(parsed, place:operand(parsed))
    end)
  end

  it("is compiled", function()
    local list = conditions [[count >= 0x10 and comm == 'a and b' and file->f_pos ~= -1 and comm ~= "ca*" and pid<5]]
    assert.are.equal(5, #list)
    assert.are.same({ 6, 16ULL, 0 }, { list[1].operation, list[1].right, list[1].is_signed })
    assert.are.same({ "a and b", 7, 0, 1 }, { list[2].text, list[2].length, list[2].prefix, list[2].operation })
    assert.are.same({ 2, 0ULL - 1, 1 }, { list[3].operation, list[3].right, list[3].is_signed })
    assert.are.same({ "ca", 1, 2 }, { list[4].text, list[4].prefix, list[4].operation })
    assert.are.equal(3, list[5].operation)
  end)

  it("is refused when it makes no sense", function()
    local function no(text) return (reason(conditions, text)) end
    assert.are.equal("count: this is no comparison", no "count")
    assert.are.equal("count = 5: this is no comparison", no "count = 5")
    assert.are.equal("count: '5 or pid == 3' is no value to compare with", no "count == 5 or pid == 3")
    assert.is_truthy(no("count == -1"):find "^count: [%w ]*unsigned[%w ]* is never negative$")
    assert.are.equal("comm: it is a text, and cannot be compared with 5", no "comm == 5")
    assert.are.equal("comm: it has up to 15 bytes, and so is never '0123456789abcdef'", no "comm == '0123456789abcdef'")
    assert.are.equal("count: '18446744073709551616' is no value to compare with", no "count == 18446744073709551616")
    assert.are.equal("comm: texts are compared by == and ~=, not by <", no "comm < 'x'")
    assert.are.equal("count: format str: size_t is neither a pointer nor an array of characters", no "count == 'x'")
    assert.are.equal("comm == 'x: a quote is not closed", no "comm == 'x")
    assert.is_truthy(no(("pid == 1 and "):rep(6) .. "pid == 1"):find "7 comparisons, and 6 are evaluated")
    assert.is_truthy(no("comm == '" .. ("x"):rep(64) .. "'"):find "up to 63 bytes, not 64")
  end)
end)

describe("a plan", function()
  it("refuses what has no entry and return", function()
    local ok, failure = pcall(plans.new, "lp.latency", "tracepoint:sched:sched_switch", {}, true)
    assert.is_false(ok)
    assert.is_truthy(failure.message:find "no entry and return that could be joined")
    assert.is_false((pcall(plans.new, "lp.count", "profile:hz:99", {}, false)))
    assert.is_true(C.LP_KPROBE == 1)
  end)
end)
