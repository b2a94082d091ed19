-- Pins: maps that other processes open, and that outlive this one until the pin is taken away.
local ffi = require "ffi"
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("pins", function() pending "needs root" end)
  return
end

-- A BPF file system in a mount namespace of this test's own would be seen by no other process; one below a directory of
-- its own is seen by all.
local directory, remove

local function entries()
  return (helper.run(("ls %s | grep -v '[.]debug$'"):format(directory))) -- every one has maps.debug and progs.debug
end

describe("pins", function()
  setup(function()
    directory, remove = helper.temporary_directory()
    helper.run("mount -t bpf bpf " .. directory)
  end)
  teardown(function()
    helper.run("umount " .. directory)
    remove()
  end)
  helper.check_leaks(before_each, after_each)

  local function fixture()
    return helper.absolute(helper.fixtures .. "maps.bpf.o")
  end

  it("are made at load, and found by the next one that loads", function()
    local path = directory .. "/numbers"
    local first = helper.open("maps", { maps = { numbers = { pin = path } } })
    first:load()
    first.maps.numbers:set(1, 11)
    assert.are.equal(path, first.maps.numbers.pin)
    local out, err = helper.luaprobe_run(("-e %s"):format(helper.quote(([[
      local lp = require "luaprobe"
      local object = lp.load("%s", { maps = { numbers = { pin = "%s" } } })
      print(object.maps.numbers:get(1))
      object.maps.numbers:set(2, 22)
    ]]):format(fixture(), path))))
    assert.are.equal("11\n", out, err)
    assert.are.equal(22, first.maps.numbers:get(2))
    first.maps.numbers.pin = false
    assert.are.equal("", entries())
    assert.is_nil(first.maps.numbers.pin)
    first:close()
  end)

  it("can be opened alone, with the types that they were made with", function()
    local path = directory .. "/sub/structs"
    local object = helper.open "maps"
    object:load()
    object.maps.structs:set({ pid = 1, comm = "sh" }, { count = 5, state = "BUSY" })
    object.maps.structs.pin = path -- also after load; the directory is made
    object:close()
    local map = lp.open_map(path)
    assert.are.equal("hash", map.kind)
    assert.are.equal(5, tonumber(map:get({ pid = 1, comm = "sh" }).count))
    for key, value in map:items() do
      assert.are.equal("struct key { pid = 1, comm = \"sh\" }", tostring(key))
      assert.are.equal(1, value.state)
    end
    map:close()
    lp.unpin(path)
    helper.run("rmdir " .. directory .. "/sub")
    local ok, reason = pcall(lp.open_map, path)
    assert.is_false(ok)
    assert.is_truthy(reason.message:find(path .. ": nothing is pinned there", 1, true), reason.message)
  end)

  it("of events have one reader in a process", function()
    local event = ffi.typeof "struct { uint64_t ts; uint32_t length; }"
    local path = directory .. "/events"
    for _, name in ipairs { "perf", "untyped" } do
      local object = helper.open("foreign", { const = { only_pid = helper.pid } })
      object:load()
      local map = object.maps[name]
      map.pin = path
      object:attach()
      map:poll(0, function() end, { type = event })
      local second = lp.open_map(path)
      helper.contains(helper.refusal(second.each, second), 'pass type = ffi.typeof "struct { … }"')
      helper.contains(helper.refusal(second.each, second, { type = "struct event" }), "has no types",
        'pass type = ffi.typeof "struct { … }"')
      helper.contains(helper.refusal(second.each, second, { type = event }),
        "its events are read already by another handle of this process", "hint: close the other one first")
      second:close()
      helper.getpgid(0)
      assert.are.equal(1, map:poll(1, function(it) assert.are.equal(24, it.length) end, { type = event }))
      map.pin = false
      object:close()
    end
  end)

  it("of another shape are refused with the difference, and nothing is made", function()
    local path = directory .. "/numbers"
    local object = helper.open("maps", { maps = { numbers = { pin = path } } })
    object:load()
    local other = helper.open("maps", { maps = { numbers = { max_entries = 5, pin = path } } })
    local ok, reason = pcall(other.load, other)
    assert.is_false(ok)
    assert.is_truthy(reason.message:find("map numbers cannot be the one pinned at " .. path
      .. ": max_entries is 100 there and 5 here", 1, true), reason.message)
    other:close()
    other = helper.open("maps", { maps = { list = { pin = path } } })
    ok, reason = pcall(other.load, other)
    assert.is_false(ok)
    local expected = "type is hash there and array here, value_size is 8 there and 24 here"
    assert.is_truthy(reason.message:find(expected, 1, true), reason.message)
    other:close()
    object:close()
    lp.unpin(path)
    assert.are.equal("", entries())
  end)

  it("of all maps of an object lie in a directory", function()
    local pins = directory .. "/counting"
    local object = lp.load(helper.absolute(helper.fixtures .. "counting.bpf.o"), { pin = pins })
    object.maps.plain:set(1, 1)
    assert.are.equal("exact\nexact_0\nexact_1\nplain\nsmall\n", (helper.run("ls " .. pins)))
    local second = lp.load(helper.absolute(helper.fixtures .. "counting.bpf.o"), { pin = pins })
    assert.are.equal(1, second.maps.plain:get(1))
    second:close()
    object:close()
    helper.run("rm -r " .. pins)
  end)

  it("of counts are of both halves too, whoever drains", function()
    local path = directory .. "/exact"
    local function open()
      return lp.load(helper.absolute(helper.fixtures .. "counting.bpf.o"), { maps = { exact = { pin = path } } })
    end
    local first, second = open(), open()
    assert.are.equal("exact\nexact_0\nexact_1\n", entries())
    first.maps.exact:set(1, 10)
    assert.are.equal(10, second.maps.exact:get(1))
    for key, count in second.maps.exact:drain() do assert.are.same({ 1, 10 }, { key, count }) end
    assert.is_nil(first.maps.exact:get(1))
    first.maps.exact:set(2, 20) -- into the half that the other one has put there
    assert.are.equal(20, second.maps.exact:get(2))
    second:close()
    for key, count in first.maps.exact:drain() do assert.are.same({ 2, 20 }, { key, count }) end
    first.maps.exact.pin = false
    assert.are.equal("", entries())
    first.maps.plain.pin = path .. "_1" -- none of the three when one of their places is taken
    assert.is_truthy(helper.refusal(function() first.maps.exact.pin = path end):find("already", 1, true))
    assert.are.equal("exact_1\n", entries())
    first.maps.plain.pin = false
    first:close()
  end)

  it("of another type are refused though the sizes are the same", function()
    local path = directory .. "/values"
    local object = helper.open("shapes", { maps = { values = { pin = path } } })
    object:load()
    local same = helper.open("shapes", { maps = { values = { pin = path } } })
    same:load()
    same:close()
    local other = helper.open("shapes", { maps = { triples = { pin = path } } })
    helper.contains(helper.refusal(other.load, other), "map triples cannot be the one pinned at " .. path,
      "its value is another type there: struct value")
    other:close()
    object.maps.values.pin = false
    object:close()
  end)

  it("that are no pins of maps are left where they are", function()
    local file, remove_files = helper.temporary_directory()
    helper.write(file .. "/plain", "kept")
    helper.run(("ln -s %s/plain %s/link; ln -s /nonexistent %s/nowhere"):format(file, file, file))
    local object = helper.open("maps", { maps = { numbers = { pin = directory .. "/numbers" } } })
    object:load()
    helper.run(("ln -s %s/numbers %s/pin"):format(directory, file))
    for _, name in ipairs { "plain", "link", "nowhere", "pin" } do
      helper.contains(helper.refusal(lp.unpin, file .. "/" .. name), name .. " is not in a BPF file system")
    end
    assert.are.equal("link\nnowhere\npin\nplain\n", (helper.run("ls " .. file)))
    helper.contains(helper.refusal(lp.open_map, file .. "/plain"), "plain is not in a BPF file system")
    helper.contains(helper.refusal(lp.open_map, directory), directory .. ": a directory, not a pin")
    helper.contains(helper.refusal(lp.unpin, directory .. "/nothing"), "No such file")
    lp.unpin(directory .. "/numbers")
    object:close()
    remove_files()
  end)

  it("must be paths of a BPF file system", function()
    local object = helper.open "maps"
    for _, wrong in ipairs { "numbers", 5, "" } do
      local ok, reason = pcall(function() object.maps.numbers.pin = wrong end)
      assert.is_false(ok)
      assert.is_truthy(tostring(reason):find("pin is a path from the root", 1, true), tostring(reason))
    end
    object:load()
    local ok, reason = pcall(function() object.maps.numbers.pin = "/tmp/luaprobe-pin" end)
    assert.is_false(ok)
    assert.is_truthy(tostring(reason):find("BPF file system", 1, true), tostring(reason))
    assert.is_false(helper.exists "/tmp/luaprobe-pin")
    object.maps.numbers.pin = directory .. "/taken"
    local other = helper.open "maps"
    other:load()
    ok, reason = pcall(function() other.maps.numbers.pin = directory .. "/taken" end)
    assert.is_false(ok)
    assert.is_truthy(tostring(reason):find("something is pinned there already", 1, true), tostring(reason))
    other:close()
    object.maps.numbers.pin = false
    object:close()
  end)
end)
