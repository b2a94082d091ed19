-- What people see: columns, text out of events, the time of day, the command line's help.
local ffi = require "ffi"
local helper = require "helper"
local lp = require "luaprobe"

local function printed(code)
  local out, err, status = helper.luaprobe_run("-e " .. helper.quote("local lp = require 'luaprobe'; " .. code))
  assert.are.equal(0, status, err)
  return out
end

describe("columns", function()
  it("are aligned as their specs say, and never cut", function()
    assert.are.equal(
      "PID     COMM              FD PATH\n" ..
      "12      cat                3 /etc/hostname\n" ..
      "1234567 a-name-of-16-char  -1 x y\n",
      printed [[
        local out = lp.columns{ "PID:-7", "COMM:-16", "FD:>3", "PATH" }
        out:row(12, "cat", 3, "/etc/hostname")
        out:row(1234567, "a-name-of-16-char", -1, "x y")]])
  end)

  it("can be wider than string.format pads", function()
    local function line(path, to) return path .. (" "):rep(120 - #path) .. " " .. (" "):rep(101 - #to) .. to .. "\n" end
    assert.are.equal(line("PATH", "TO") .. line("a", "b") .. line(("x"):rep(130), "b"), printed [[
        local out = lp.columns{ "PATH:-120", "TO:>101" }
        out:row("a", "b")
        out:row(("x"):rep(130), "b")]])
  end)

  it("that are false are left out, with their values", function()
    assert.are.equal("A   C\n1   3\n", printed [[
      local out = lp.columns{ "A:-3", false, "C", nil }
      out:row(1, 2, 3)]])
    assert.are.equal("B\n2\n", printed [[lp.columns{ false, "B" }:row(nil, 2)]])
  end)

  it("are refused when they are no columns", function()
    assert.is_truthy(select(2, pcall(lp.columns)):find("lp.columns takes a list of columns, not a nil", 1, true))
    for _, specs in ipairs { {}, { false }, { "A:5" }, { "A:" }, { 5 }, { "A:x-5" } } do
      assert.is_false(pcall(lp.columns, specs))
    end
  end)
end)

describe("text", function()
  it("of FFI data is what it is, and reads no memory that a pointer names", function()
    local field = ffi.new "struct { void *pointer; uint8_t bytes[3]; const char *text; }"
    field.pointer, field.bytes[1] = ffi.cast("void *", 16), 7
    assert.are.equal("0x10", lp.text(field.pointer))
    assert.are.equal("[0,7,0]", lp.text(field.bytes))
    assert.are.equal("-", lp.text(field.text))
    assert.are.equal(1, lp.text(ffi.new("enum { text_a, text_b }", 1)))
    assert.are.equal("ctype<char [4]>", lp.text(ffi.typeof "char[4]"))
    assert.is_truthy(lp.text(field):find "^cdata<")
  end)

  it("cannot break a line or drive a terminal", function()
    assert.are.equal("a\\nb", lp.text "a\nb")
    assert.are.equal("\\x1b[2J", lp.text "\27[2J")
    assert.are.equal("plain", lp.text "plain")
    assert.are.equal(("\\x01"):rep(9000), lp.text(("\1"):rep(9000)))
  end)

  it("ends where a char array's string ends", function()
    local field = ffi.new("struct { char comm[4]; char path[8]; }")
    ffi.copy(field.comm, "abcd", 4)
    ffi.copy(field.path, "x\ny")
    assert.are.equal("abcd", lp.text(field.comm))
    assert.are.equal("x\\ny", lp.text(field.path))
  end)

  it("shows numbers of every size, booleans and nil", function()
    assert.are.equal(5, lp.text(5))
    assert.are.equal(5, lp.text(5ULL))
    assert.are.equal(-5, lp.text(-5LL))
    assert.are.equal("18446744073709551615", lp.text(-1ULL))
    assert.are.equal("-9223372036854775807", lp.text(-9223372036854775807LL))
    assert.are.equal("true", lp.text(true))
    assert.are.equal("-", lp.text(nil))
  end)
end)

describe("the time of day", function()
  it("is the local time of a kernel timestamp", function()
    local C = require "luaprobe.cdef"
    local now = C.lp_time_monotonic()
    local text = lp.time_of_day(now)
    local hour, minute, second = text:match "^(%d%d):(%d%d):(%d%d)%.%d%d%d%d%d%d$"
    assert.is_truthy(hour, text)
    local expected = os.date "*t"
    local difference = (expected.hour - hour) * 3600 + (expected.min - minute) * 60 + expected.sec - second
    assert.is_true(math.abs(difference) <= 1 or math.abs(difference) >= 86398, text)
    assert.are_not.equal(text, lp.time_of_day(now + 1000000LL))
  end)
end)

describe("a tool's command line", function()
  it("has the standard options and the tool's own", function()
    local args = lp.cli("tool", "Shows.")
      :flag("-x --failed", "Failed only.")
      :option("-n --number", "How many.", "N", tonumber)
      :parse { "-p", "12", "-t", "13", "-u", "0", "-c", "nginx", "-T", "-x", "-n", "5" }
    assert.are.same({ pid = 12, tid = 13, uid = 0, comm = "nginx" }, args.filter)
    assert.is_true(args.timestamp and args.failed)
    assert.are.equal(5, args.number)
    assert.are.same({}, lp.cli("tool", "Shows."):parse({}).filter)
    assert.are.equal(0.5, lp.cli("tool", "Shows."):parse({ "-i", "0.5" }).interval)
    for _, words in ipairs { { "-i", "0" }, { "--interval", "x" }, { "-i" }, { "-d", "-1" }, { "-p", "x" },
      { "-u", "nobody-here" }, { "-c", "" }, { "--attach", "magic" }, { "--buffer", "pipe" },
      { "--cgroup", "/nope" } } do
      local ok, wrong = pcall(function() lp.cli("tool", "Shows."):parse(words) end)
      assert.is_true(not ok and require("luaprobe.cli").is_usage(wrong), words[1])
      assert.is_truthy(tostring(wrong):find "^tool: .*\nUsage: tool ", tostring(wrong))
    end
  end)

  it("has an interval, at which a tool that sums up shows its sums", function()
    assert.are.equal("1\n2\n3\n", printed [[
      local args, n = lp.cli("tool", "Sums up."):parse { "-i", "0.02" }, 0
      lp.every(args.interval or 1, function() n = n + 1; print(n); if n == 3 then lp.stop() end end)
      lp.run()]])
  end)

  it("explains itself, with examples", function()
    local out, _, status = helper.luaprobe_run "opensnoop --help"
    assert.are.equal(0, status)
    for _, part in ipairs { "Usage: opensnoop", "--failed", "--duration SECONDS", "Examples:" } do
      assert.is_truthy(out:find(part, 1, true), part)
    end
  end)
end)
