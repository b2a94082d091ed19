-- Every kind of type: a struct that a BPF program filled, read in Lua field by field, as a variable and out of a map.
local ffi = require "ffi"
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("types", function() pending "needs root" end)
  return
end

local EXPECTED = {
  s8 = -100, u8 = 200, s16 = -30000, u16 = 60000, s32 = -2000000000, u32 = 4000000000, letter = 76, yes = true,
  small = -1, big = 0x123456789ab, to_point = 0, list = { 10, 20, 30 }, grid = { { 1, 2, 3 }, { 4, 5, 6 } },
  points = { { x = 1, y = -1 }, { x = 2, y = -2 } }, names = { "first", "second" }, point = { x = 7, y = -7 },
  either = { number = 0x04030201, bytes = { 1, 2, 3, 4 } }, low = 0x89abcdef, high = 0x01234567, one = 1, five = -16,
  forty = 0xfedcba9876, choice = -1, flag = true, single = 0.5, twice = 1 / 3, qualified = 4660, text = "eight888",
  huge = "\136\119\102\85\68\51\34\17\0\255\238\221\204\187\170\153",
}
-- Beyond a double.
local LARGE = {
  s64 = "-9007199254740995LL", u64 = "18446744073709551615ULL", pointer = "18446612682070036480ULL",
  call = "18446744071578845184ULL", wide = "81985529216486895ULL", sixty_three = "9223372036854775806ULL",
}

local function check(found)
  for name, digits in pairs(LARGE) do
    assert.are.equal(digits, tostring(found[name]), name)
    found[name] = nil
  end
  assert.are.same(EXPECTED, found)
end

describe("a struct with a member of every kind", function()
  helper.check_leaks(before_each, after_each)

  local function filled()
    local object = helper.open "kinds"
    object:load()
    assert.are.equal(7, object.programs.fill:test_run().result)
    return object
  end

  it("is read as a variable, and out of a map", function()
    local object = filled()
    check(object.data.every)
    local value = object.maps.kept:get(0)
    check(lp.totable(value))
    assert.are.equal(-16, value.five)
    assert.are.equal(0xfedcba9876, value.forty)
    assert.are.equal(-1, value.choice)
    assert.is_true(value.flag)
    assert.are.equal(2, value.points[1].x)
    assert.are.equal(6, value.grid[1][2])
    assert.are.equal("second", ffi.string(value.names[1]))
    object:close()
  end)

  it("is written field by field", function()
    local object = filled()
    local value = object.maps.kept:get(0)
    value.five, value.forty, value.sixty_three = 15, 2 ^ 39 + 1, 0x4000000000000001ULL
    value.flag, value.choice, value.one = false, 5, 0
    object.maps.kept:set(0, value)
    local again = lp.totable(object.maps.kept:get(0))
    assert.are.same({ 15, 2 ^ 39 + 1, false, 5, 0 }, { again.five, again.forty, again.flag, again.choice, again.one })
    assert.are.equal("4611686018427387905ULL", tostring(again.sixty_three))
    assert.are.equal(4660, again.qualified) -- what is beside them stays
    object.data.every = { five = -1, sixty_three = 3, forty = 7 }
    local every = object.data.every
    assert.are.same({ -1, 3, 7, true }, { every.five, every.sixty_three, every.forty, every.flag })
    assert.is_false(pcall(function() object.data.every = { five = 16 } end))
    object:close()
  end)

  it("cannot be written in any part where it is an event", function()
    local object = helper.open "kinds"
    local memory = ffi.new(object.types:ctype(object.types:find("struct every").id))
    memory.s32, memory.point.x, memory.names[1][0], memory.five = 7, 8, 65, -3
    local event = ffi.cast(object.types:view(object.types:find("struct every").id), memory)
    for what, write in pairs {
      member = function() event.s32 = 1 end, pointer = function() event.pointer = nil end,
      bits = function() event.five = 1 end, flag = function() event.flag = true end,
      enum = function() event.small = 5 end, element = function() event.list[0] = 1 end,
      characters = function() event.text[0] = 1 end, row = function() event.grid[1][1] = 1 end,
      struct = function() event.point.x = 1 end, array = function() event.points[1].x = 1 end,
      union = function() event.either.number = 1 end, bytes = function() event.either.bytes[1] = 1 end,
      anonymous = function() event.low = 1 end, filled = function() ffi.fill(event.text, 8) end,
      copied = function() ffi.copy(event.names[1], "x") end, huge = function() event.huge[0] = 1 end,
      whole = function() event.point = ffi.new(object.types:ctype(object.types:find("struct point").id)) end,
    } do assert.is_false(pcall(write), what) end
    assert.are.same({ 7, 8, 65, -3 }, { event.s32, event.point.x, event.names[1][0], event.five })
    assert.are.equal("A", lp.totable(event.point) and ffi.string(event.names[1]))
    for _, write in ipairs { function() event.five = 1 end, function() event.point.x = 1 end } do
      helper.contains(require("luaprobe.error").text_of(helper.refusal(write)), "hint: ", "lp.copy(event)")
    end
    object:load()
    object.maps.kept:set(0, event) -- parts of an event are taken as values
    object.maps.kept:set(0, { point = event.point, points = event.points, names = event.names, s32 = event.s32 })
    assert.are.same({ 8, "A" }, { object.maps.kept:get(0).point.x, ffi.string(object.maps.kept:get(0).names[1]) })
    object:close()
  end)

  it("is written back by member as it was read", function()
    local object = filled()
    local value = object.maps.kept:get(0)
    local members = {}
    for name in pairs(object.types:fields(object.types:find "struct every")) do members[name] = value[name] end
    members.wide, members.either = nil, nil -- unions are given by one of their members
    object.maps.kept:set(0, members)
    members.pointer = ffi.cast("void *", 0x1234)
    object.maps.kept:set(0, members)
    assert.are.equal(ffi.cast("void *", 0x1234), object.maps.kept:get(0).pointer)
    local int, every = ffi.typeof "int", ffi.typeof(value)
    for _, wrong in ipairs { { s32 = int }, { pointer = int }, { point = ffi.typeof(value.point) }, { list = int },
      { huge = "short" }, every, int } do
      helper.refusal(object.maps.kept.set, object.maps.kept, 0, wrong)
    end
    helper.contains(helper.refusal(function() object.data.every = { s32 = int } end), "every.s32", "is a type")
    object:close()
  end)

  it("gives every member by a variable name, whichever of them the loop was compiled for", function()
    local object = filled()
    local value, names = object.maps.kept:get(0), {}
    for name in pairs(object.types:fields(object.types:find "struct every")) do names[#names + 1] = name end
    local expected = {}
    for _, name in ipairs(names) do expected[name] = tostring(loadstring(("return (...)[%q]"):format(name))(value)) end
    jit.opt.start "hotloop=2"
    for _, first in ipairs(names) do
      local list = { first, first, first, first, first, unpack(names) }
      local read = loadstring "local value, list, found = ... for i = 1, #list do found[list[i]] = value[list[i]] end"
      local found = {}
      local ok, failure = pcall(read, value, list, found)
      if not ok then jit.opt.start "hotloop=56" end
      assert.is_true(ok, ("%s first: %s"):format(first, tostring(failure)))
      for name, text in pairs(expected) do
        if not text:find "^cdata<" then assert.are.equal(text, tostring(found[name])) end
      end
    end
    jit.opt.start "hotloop=56"
    object:close()
  end)

  it("may be packed, or have bits in anonymous members", function()
    local object = filled()
    assert.are.same({ first = 1, second = 0xdeadbeef, low = 0xabcde, high = 0x54321, last = 255 }, object.data.packed)
    assert.are.same({ inner = 5, other = 0x1fffffff, named = { { deep = 0 }, { deep = 9 } } }, object.data.nested_bits)
    object:close()
  end)

  it("is shown with the names of its members and enumerators", function()
    local object = filled()
    local text = tostring(object.maps.kept:get(0))
    for _, line in ipairs {
      "struct every {", "  s8 = -100,", "  small = SMALL_NEGATIVE (-1),", "  list = { 10, 20, 30 },",
      "  pointer = 0xffff888000001000,", "  to_point = NULL,", "  points = { { x = 1, y = -1 }, { x = 2, y = -2 } },",
      '  names = { "first", "second" },', "  five = -16,", "  sixty_three = 9223372036854775806,",
      "  huge = 0x99aabbccddeeff001122334455667788,", '  text = "eight888",',
    } do assert.is_truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. " in " .. text) end
    local pretty = require "luaprobe.pretty"
    helper.contains(pretty.text(object.data.every), "small = SMALL_NEGATIVE (-1)", "choice = SMALL_NEGATIVE (-1)",
      "to_point = NULL", "points = { { x = 1, y = -1 }, { x = 2, y = -2 } }")
    local shallow = pretty.text(object.maps.kept:get(0), { depth = 1 })
    assert.is_truthy(shallow:find("list = { … }", 1, true), shallow)
    object:close()
  end)

  it("has the layout that clang gave it", function()
    local object = helper.open "kinds"
    local type = object.types["struct every"]
    local text = tostring(type)
    for _, line in ipairs {
      "struct every { /* 208 bytes */", "    int (*call)(int);                                /* 64 */",
      "    __u8 grid[2][3];                                 /* 84 */", "    union {", "        __u32 number;"
        .. "                                /* 120 */", "    } either;",
      "    __u64 forty : 40;                                /* 136:6 */",
    } do assert.is_truthy(text:find(line, 1, true), line .. " in " .. text) end
    assert.are.equal(208, ffi.sizeof(object.types:ctype(type.id)))
    local record = object.types["struct record"]
    assert.are.equal(4, record.size)
    local memory = ffi.new("char[12]", "\5\0\0\0hello")
    local view = ffi.cast(object.types:pointer(record.id), memory)
    assert.are.equal(5, view.length)
    assert.are.equal("hello", ffi.string(view.bytes, view.length))
    object:close()
  end)
end)

describe("the kernel's types", function()
  it("are found by their names, quickly", function()
    local kernel_type = lp.kernel_type
    local task = kernel_type "struct task_struct"
    assert.are.equal(task, kernel_type "struct task_struct")
    local fields = task.types:fields(task)
    assert.are.equal(4, task.types:get(fields.pid.type_id).size)
    assert.are.equal(task.size, ffi.sizeof(task.types:ctype(task.id)))
    assert.are.equal(fields.comm.offset, ffi.offsetof(task.types:ctype(task.id), "comm"))
    assert.are.equal(1, kernel_type("enum pid_type").values.PIDTYPE_TGID)
    assert.are.equal("int", kernel_type("pid_t").kind)
    assert.are.equal(4, kernel_type("int").size)
    assert.are.equal(8, kernel_type("long unsigned int").size)
    assert.is_truthy(tostring(kernel_type "func vfs_read"):find("vfs_read(struct file *", 1, true))
    assert.is_nil(kernel_type "struct no_such_struct")
    assert.is_false(pcall(kernel_type, 5))
  end)

  it("come from a file on request", function()
    local directory, remove = helper.temporary_directory()
    helper.run(("cp /sys/kernel/btf/vmlinux %s/btf"):format(directory))
    local code = [[print(require"luaprobe".kernel_type"struct task_struct".size)]]
    local size = lp.kernel_type("struct task_struct").size
    for _, how in ipairs { "--btf FILE ", "" } do
      local environment = how == "" and "LUAPROBE_BTF=FILE " or ""
      local command = (environment .. helper.luaprobe .. " " .. how .. "-e " .. helper.quote(code))
        :gsub("FILE", directory .. "/btf")
      local out, err, status = helper.run(command)
      assert.are.same({ size .. "\n", "", 0 }, { out, err, status })
    end
    local cut = helper.read(directory .. "/btf"):sub(1, 100000)
    for name, text in pairs { empty = "", text = "no types here", cut = cut } do
      helper.write(directory .. "/" .. name, text)
      local _, err, status = helper.luaprobe_run(("--btf %s/%s -e 'print(1)'"):format(directory, name))
      assert.are.equal(1, status)
      assert.is_truthy(err:find(directory .. "/" .. name, 1, true), err)
    end
    local _, err, status = helper.luaprobe_run("--btf /nonexistent/btf -e 'print(1)'")
    assert.are.equal(1, status)
    assert.is_truthy(err:find("/nonexistent/btf: No such file", 1, true), err)
    remove()
  end)
end)
