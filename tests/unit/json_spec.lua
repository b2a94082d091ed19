-- JSON: what an independent parser makes of it.
local ffi = require "ffi"
local helper = require "helper"
local json = require "luaprobe.json"

describe("JSON", function()
  it("has real types", function()
    assert.are.equal("5", json.encode(5))
    assert.are.equal("-5", json.encode(-5LL))
    assert.are.equal("0.5", json.encode(0.5))
    assert.are.equal("9007199254740991", json.encode(2 ^ 53 - 1))
    assert.are.equal("9007199254740991", json.encode(9007199254740991ULL))
    assert.are.equal('"9007199254740993"', json.encode(9007199254740993ULL))
    assert.are.equal('"18446744073709551615"', json.encode(-1ULL))
    assert.are.equal('"-9223372036854775808"', json.encode(-9223372036854775807LL - 1))
    assert.are.equal("null", json.encode(nil))
    assert.are.equal("null", json.encode(0 / 0))
    assert.are.equal("null", json.encode(math.huge))
    assert.are.equal("true", json.encode(true))
    assert.are.equal('[1,"x",[2]]', json.encode { 1, "x", { 2 } })
    assert.are.equal('{"a":1,"b":{"c":false}}', json.encode { b = { c = false }, a = 1 })
    assert.are.equal("[]", json.encode(setmetatable({}, json.list)))
  end)

  it("refuses what it has nothing for", function()
    assert.is_false(pcall(json.encode, print))
    assert.is_false(pcall(json.encode, { [true] = 1 }))
    local loop = {}
    loop.loop = loop
    assert.is_false(pcall(json.encode, loop))
  end)

  it("takes the string out of a char array", function()
    local field = ffi.new("struct { char comm[4]; char path[8]; }")
    ffi.copy(field.comm, "abcd", 4)
    ffi.copy(field.path, 'x"y')
    assert.are.equal('"abcd"', json.encode(field.comm))
    assert.are.equal('"x\\"y"', json.encode(field.path))
  end)

  it("takes no FFI data for text that is none", function()
    local field = ffi.new [[struct {
      void *pointer; uint8_t bytes[3]; uint16_t shorts[2][2]; bool on; const char *text;
    }]]
    field.pointer, field.bytes[1] = ffi.cast("void *", 16), 7
    assert.are.equal('"0x10"', json.encode(field.pointer))
    assert.are.equal('"0xffffffff81000000"', json.encode(ffi.cast("void *", 0xffffffff81000000ULL)))
    assert.are.equal("[0,7,0]", json.encode(field.bytes))
    assert.are.equal("[[0,0],[0,0]]", json.encode(field.shorts))
    assert.are.equal("null", json.encode(field.text))
    assert.are.equal("1", json.encode(ffi.new("enum { json_a, json_b }", 1)))
    assert.are.equal("true", json.encode(ffi.new("bool", true)))
    for _, type in ipairs { "int", "char[4]", "char *" } do
      assert.are.equal('"' .. tostring(ffi.typeof(type)) .. '"', json.encode(ffi.typeof(type)))
    end
    assert.is_truthy(json.encode(field):find '^"cdata<')
  end)

  it("has no key twice", function()
    assert.is_false(pcall(json.encode, { [1.5] = 1, ["1.5"] = 2 }))
  end)

  it("lets nothing through that drives a terminal or breaks a line", function()
    local all = {}
    for byte = 0, 255 do all[#all + 1] = string.char(byte) end
    local text = json.encode(table.concat(all) .. "\194\155")
    assert.is_nil(text:find "[%c\127]")
    assert.is_nil(text:find("\194\155", 1, true)) -- the control sequence introducer of 8 bits
  end)

  -- As the documentation says: a character from U+EF80 to U+EFFF stands for the byte of its last eight bits.
  local DECODE = [[
import json, sys
for line in sys.stdin.buffer:
    text = json.loads(line.decode('utf-8', 'strict'))
    out = b''.join(bytes([ord(c) & 255]) if 0xef80 <= ord(c) <= 0xefff else c.encode('utf-8') for c in text)
    print(out.hex())
]]

  local function round_trip(strings)
    local lines = {}
    for i, text in ipairs(strings) do lines[i] = json.encode(text) .. "\n" end
    local back = helper.python(DECODE, table.concat(lines))
    local i = 0
    for hex in back:gmatch "([^\n]*)\n" do
      i = i + 1
      local bytes = hex:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)
      assert.are.equal(strings[i], bytes)
    end
    assert.are.equal(#strings, i)
  end

  it("gives all bytes back, of random strings and of those near the edges of UTF-8", function()
    if not helper.has_program "python3" then return pending "python3 is not installed" end
    math.randomseed(os.time())
    local strings = { "", "plain", "gr\195\188\195\159", "\240\159\144\157", "\237\160\128", "\192\128",
      "\244\144\128\128", "\238\190\128", "\238\191\191", "\239\187\191", "\226\130", "\255\254", "a\\b\"c/", "\0\0",
      "\194\128", "\237\159\191", "\238\128\128", "\244\143\191\191", "\224\159\191", "\240\143\191\191" }
    -- Bytes that matter to UTF-8 more often than others.
    local edges = { 0, 10, 34, 92, 127, 128, 159, 160, 190, 191, 192, 194, 224, 237, 238, 239, 240, 244, 245, 255 }
    for _ = 1, 3000 do
      local bytes = {}
      for i = 1, math.random(0, 24) do
        bytes[i] = string.char(math.random() < 0.6 and edges[math.random(#edges)] or math.random(0, 255))
      end
      strings[#strings + 1] = table.concat(bytes)
    end
    round_trip(strings)
  end)

  it("leaves valid text as it is, for every parser", function()
    if not helper.has_program "jq" then return pending "jq is not installed" end
    local text = 'a "quoted" back\\slash, gr\195\188n, \240\159\144\157\ttab'
    local out, err, status = helper.run(("printf '%%s' %s | jq -j .s"):format(helper.quote(json.encode { s = text })))
    assert.are.same({ text, "", 0 }, { out, err, status })
  end)

  it("of a struct is an object, in the order of its members, anonymous ones and bit-fields among them", function()
    local lp = require "luaprobe"
    local object = helper.open "constants"
    local types = object.types
    local count = 0
    for id = 1, 200 do
      local ok, type = pcall(types.get, types, id)
      if ok and type.kind == "struct" and type.name ~= "" and type.size > 0 and type.size < 256 then
        local value = ffi.new(types:ctype(type.id))
        local text = json.encode(value)
        if helper.has_program "jq" then
          local keys = helper.run(("printf '%%s' %s | jq -c keys_unsorted"):format(helper.quote(text)))
          local first = type.members[1].name
          if first ~= "" then assert.is_truthy(keys:find('["' .. first .. '"', 1, true), keys) end
        end
        count = count + 1
      end
    end
    assert.is_true(count > 0)
    assert.are.equal("function", type(lp.json))
    object:close()
  end)
end)

describe("--json", function()
  it("gives columns of one title keys of their own", function()
    local out = helper.luaprobe_run("-e " .. helper.quote("require 'luaprobe.columns'.set_json() "
      .. "require 'luaprobe'.columns { 'A', 'a', 'A 2', 'A' }:row(1, 2, 3, 4)"))
    assert.are.equal('{"a":1,"a_2":2,"a_2_2":3,"a_3":4}\n', out)
  end)

  it("makes rows objects, without a header, with the titles as keys", function()
    local out, err, status = helper.luaprobe_run("-e " .. helper.quote [[
      local lp = require "luaprobe"
      lp.cli("tool", "Shows."):parse { "--json" }
      local out = lp.columns { "PID:-7", false, "SIZE KB:>8", "PATH" }
      out:row(12, "left out", 3ULL, "/x\ny")
      out:row(nil, nil, 18446744073709551615ULL, "z")]])
    assert.are.same({ "", 0 }, { err, status })
    assert.are.equal('{"pid":12,"size_kb":3,"path":"/x\\ny"}\n'
      .. '{"pid":null,"size_kb":"18446744073709551615","path":"z"}\n', (out:gsub('{"luaprobe".*', ""))) -- the accounts
  end)
end)
