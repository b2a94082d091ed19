-- Maps of every kind: what is written is what is read, by Lua and by the kernel; what does not fit is refused, by name.
local ffi = require "ffi"
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("maps", function() pending "needs root" end)
  return
end

local version = helper.kernel_version()
local ENTRIES = 20000

local refusal, contains = helper.refusal, helper.contains

local function all_of(map)
  local found = {}
  for key, value in map:items() do
    assert.is_nil(found[key], "twice")
    found[key] = value
  end
  return found
end

describe("maps", function()
  local before, object, maps
  before_each(function()
    before = helper.holdings()
    object = helper.open("maps", { const = { only_tid = helper.pid } })
    object:load()
    maps = object.maps
  end)
  after_each(function()
    object:close()
    helper.assert_nothing_left(before)
  end)

  it("of numbers take and give numbers", function()
    local map = maps.numbers
    assert.is_nil(map:get(7))
    assert.is_false(map:has(7))
    map:set(7, 70)
    assert.are.equal(70, map:get(7))
    assert.is_true(map:has(7))
    map:set(4294967295, 2 ^ 53 - 1)
    assert.are.equal(2 ^ 53 - 1, map:get(4294967295))
    map:set(8, 0xfffffffffffffffeULL)
    assert.are.equal("18446744073709551614ULL", tostring(map:get(8)))
    assert.is_true(map:delete(7))
    assert.is_false(map:delete(7))
    maps.signed_numbers:set(-5, -2 ^ 40)
    assert.are.equal(-2 ^ 40, maps.signed_numbers:get(-5))
    assert.are.equal(-2 ^ 40, maps.signed_numbers:get(-5LL))
    maps.flags:set(true, false)
    assert.is_false(maps.flags:get(true))
    assert.is_nil(maps.flags:get(false))
  end)

  it("update only what is absent, or present", function()
    local map = maps.numbers
    assert.is_false(map:update_if("present", 1, 10))
    assert.is_true(map:update_if("absent", 1, 10))
    assert.is_false(map:update_if("absent", 1, 11))
    assert.are.equal(10, map:get(1))
    assert.is_true(map:update_if("present", 1, 12))
    assert.are.equal(12, map:get(1))
    contains(refusal(map.update_if, map, "maybe", 1, 1), '"absent" or "present"')
  end)

  it("show structs in a loop, which lp.copy keeps", function()
    local map, kept = maps.structs, {}
    for pid = 1, 3 do map:set({ pid = pid, comm = "cat" }, { count = pid * 10, pair = { pid, -pid } }) end
    local view
    for key, value in map:items() do
      kept[#kept + 1] = { key = lp.copy(key), value = lp.copy(value), pair = lp.copy(value.pair) }
      view = value
    end
    map:clear()
    collectgarbage()
    for _, each in ipairs(kept) do
      local pid = each.key.pid
      assert.are.same({ pid * 10, pid, -pid, pid, -pid }, { tonumber(each.value.count), each.value.pair[0],
        each.value.pair[1], each.pair[0], each.pair[1] })
      assert.are.equal(pid, lp.copy(each.key).pid) -- a copy is copied too
    end
    contains(refusal(lp.copy, view), "that a loop gives now")
    contains(refusal(lp.copy, ffi.new "int[2]"), "lp.copy takes an event, or a struct or array of a map")
  end)

  it("of structs take tables and structs, and give structs", function()
    local map = maps.structs
    map:set({ pid = 5, comm = "cat" }, { count = 3, state = "BUSY", pair = { -1, 2 }, name = "abc" })
    local value = map:get { pid = 5, comm = "cat" }
    assert.are.equal(3, tonumber(value.count))
    assert.are.same({ count = 3, state = 1, pair = { -1, 2 }, name = "abc" }, lp.totable(value))
    value.count = 4
    map:set({ pid = 6, comm = "cat" }, value)
    assert.are.equal(4, tonumber(map:get({ pid = 6, comm = "cat" }).count))
    assert.is_nil(map:get { pid = 5, comm = "ca" })
    local count = 0
    for key, each in map:items() do
      count = count + 1
      assert.is_truthy(key.pid == 5 or key.pid == 6)
      assert.are.equal("cat", ffi.string(key.comm))
      assert.are.equal(key.pid - 2, tonumber(each.count))
      assert.is_true(map:has(key)) -- a key of the walk is a key
    end
    assert.are.equal(2, count)
    maps.names:set("opensnoop", "BUSY")
    assert.are.same({ opensnoop = 1 }, all_of(maps.names))
  end)

  it("name the field that does not fit, and stay as they were", function()
    local structs, numbers = maps.structs, maps.numbers
    structs:set({ pid = 1 }, { count = 1 })
    contains(refusal(structs.set, structs, { pid = 1.5 }, {}), "map structs: key.pid", "whole number")
    contains(refusal(structs.set, structs, { pid = 1, com = "x" }, {}), "key.com", "no such member")
    contains(refusal(structs.set, structs, { pid = 1, comm = ("x"):rep(17) }, {}), "key.comm", "holds 16")
    contains(refusal(structs.set, structs, { pid = 1 }, { name = 5 }), "value.name", "is a number, not a string")
    contains(refusal(structs.set, structs, { pid = 1 }, { state = "ASLEEP" }), "value.state", "ASLEEP")
    contains(refusal(structs.set, structs, { pid = 1 }, { pair = { 1, 40000 } }), "value.pair[2]", "32767")
    contains(refusal(structs.set, structs, 5, {}), "map structs: key", "not a table")
    contains(refusal(structs.set, structs, numbers, {}), "map structs: key")
    contains(refusal(numbers.set, numbers, -1, 1), "map numbers: key", "0 to 4294967295")
    contains(refusal(numbers.set, numbers, 1, 2 ^ 60), "map numbers: value")
    contains(refusal(numbers.set, numbers, "one", 1), "map numbers: key", "string")
    contains(refusal(numbers.get, numbers, nil), "key is nil")
    contains(refusal(numbers.set, numbers, 1, nil), "value is nil")
    contains(refusal(numbers.get, numbers, ffi.new "struct lp_error"), "map numbers: key")
    assert.are.same({ count = 1, state = 0, pair = { 0, 0 }, name = "" }, lp.totable(structs:get { pid = 1 }))
    assert.are.same({}, all_of(numbers))
  end)

  it("that are full say so", function()
    local map = maps.numbers
    for key = 1, 100 do map:set(key, key) end
    local ok, reason = pcall(map.set, map, 101, 1)
    assert.is_false(ok)
    assert.are.equal("E2BIG", reason.code)
    contains(tostring(reason), "map numbers: it is full", "max_entries")
    map:set(100, 5) -- what is there can still be written
    assert.are.equal(5, map:get(100))
  end)

  it("are arrays, which have all their elements always", function()
    local list = maps.list
    assert.are.equal(0, tonumber(list:get(4).count))
    list:set(4, { count = 9 })
    assert.are.equal(9, tonumber(list:get(4).count))
    assert.is_nil(list:get(5))
    contains(refusal(list.set, list, 5, {}), "no element 5", "0 to 4")
    local keys = {}
    for key in list:keys() do keys[#keys + 1] = key end
    assert.are.same({ 0, 1, 2, 3, 4 }, keys)
    contains(refusal(function() return list:delete(1) end), "map list is a array: it has no delete")
    contains(refusal(function() return list:drain() end), "it has no drain")
    list:clear()
    assert.are.equal(0, tonumber(list:get(4).count))
  end)

  it("that forget the least recently used take any number of entries", function()
    for key = 1, 1000 do maps.recent:set(key, key) end
    local count = 0
    for key, value in maps.recent:items() do
      assert.are.equal(key, value)
      count = count + 1
    end
    assert.is_true(count > 0 and count <= 16 * 128, count) -- the kernel keeps some on each CPU
    assert.are.equal(1000, maps.recent:get(1000))
  end)

  it("have a value for each CPU", function()
    local cpus = require("luaprobe.cdef").lp_map_cpus(5)
    local probe = object.programs.enter:attach()
    for _ = 1, 500 do helper.getpgid(1) end
    probe:detach()
    local values = maps.per_cpu:get(1)
    assert.are.equal(cpus, #values)
    assert.are.equal(500, values:sum())
    local list = {}
    for cpu = 1, cpus do list[cpu] = 2 ^ 52 end
    maps.per_cpu:set(2, list)
    assert.are.same(list, { unpack(maps.per_cpu:get(2)) })
    assert.are.equal(cpus * 2 ^ 52, tonumber(maps.per_cpu:get(2):sum()))
    maps.per_cpu:set(2, 3)
    assert.are.equal(3 * cpus, maps.per_cpu:get(2):sum())
    maps.per_cpu_list:set(1, { count = 2, pair = { 1, 1 } })
    assert.are.equal(2 * cpus, maps.per_cpu_list:get(1):sum "count")
    assert.are.equal(2 * cpus, maps.per_cpu_list:get(1):sum().count)
    contains(refusal(maps.per_cpu.set, maps.per_cpu, 1, { 1, 2, 3, 4, 5, 6, 7, 8, 9 }), "9 elements", cpus .. " CPUs")
    contains(refusal(maps.per_cpu.set, maps.per_cpu, 1, { [2] = 4 }), "elements", cpus .. " CPUs")
    assert.are.same({ { key = 1, value = 500 }, { key = 2, value = 3 * cpus } }, (function()
      local top = maps.per_cpu:top(5)
      for _, entry in ipairs(top) do entry.value = entry.value:sum() end
      return top
    end)())
    for key = 1, 10 do maps.per_cpu_recent:set(key, key) end
    assert.are.equal(10 * cpus, maps.per_cpu_recent:get(10):sum())
  end)

  it("know networks by their text", function()
    local networks, networks6 = maps.networks, maps.networks6
    networks:set("10.0.0.0/8", 8)
    networks:set("10.1.2.3/16", 16) -- what is behind the prefix means nothing
    networks:set("0.0.0.0/0", 0)
    assert.are.equal(16, networks:get "10.1.200.1")
    assert.are.equal(8, networks:get "10.2.0.1/32")
    assert.are.equal(0, networks:get "11.0.0.1")
    assert.are.same({ ["10.0.0.0/8"] = 8, ["10.1.0.0/16"] = 16, ["0.0.0.0/0"] = 0 }, all_of(networks))
    assert.is_true(networks:delete "10.0.0.0/8")
    assert.are.equal(0, networks:get "10.2.0.1")
    networks6:set("2001:db8::/32", 32)
    assert.are.equal(32, networks6:get "2001:db8:1::5")
    assert.is_nil(networks6:get "2002::1")
    assert.are.same({ ["2001:db8::/32"] = 32 }, all_of(networks6))
    local drained = {}
    for network, value in networks:drain() do drained[network] = value end
    assert.are.same({ ["10.1.0.0/16"] = 16, ["0.0.0.0/0"] = 0 }, drained)
    assert.are.same({}, all_of(networks))
    for _, wrong in ipairs { "10.0.0.0/33", "10.0.0", "10.0.0.0/", "10.0.0.0/8x", "", "::1", "10.0.0.0/-1", "x" } do
      contains(refusal(networks.get, networks, wrong), "not an IPv4 network", "10.0.0.0/8")
    end
    contains(refusal(networks6.set, networks6, "10.0.0.0/8", 1), "not an IPv6 network")
    contains(refusal(networks.set, networks, 5, 1), "map networks: key")
    networks:clear()
    assert.are.same({}, all_of(networks))
  end)

  it("are queues and stacks", function()
    local queue, pile = maps.queue, maps.pile
    assert.is_nil(queue:pop())
    for i = 1, 4 do queue:push(i) end
    contains(refusal(queue.push, queue, 5), "map queue: it is full")
    assert.is_truthy(refusal(queue.push, queue):find "map queue: the value is nil$")
    assert.are.equal(1, queue:peek())
    assert.are.equal(1, queue:pop())
    local rest = {}
    for value in queue:drain() do rest[#rest + 1] = value end
    assert.are.same({ 2, 3, 4 }, rest)
    pile:push { count = 1 }
    pile:push { count = 2 }
    assert.are.equal(2, tonumber(pile:pop().count))
    pile:clear()
    assert.is_nil(pile:peek())
    contains(refusal(function() return queue:get(1) end), "map queue is a queue: it has no get")
  end)

  it("hold maps", function()
    local inner = maps.tables:get(1)
    assert.are.equal("hash", inner.kind)
    maps.first_inner:set(3, 33)
    assert.are.equal(33, inner:get(3))
    inner:close()
    contains(refusal(function() return inner:get(3) end), "is closed")
    contains(refusal(maps.tables.set, maps.tables, 0, maps.structs), "map tables: it takes a hash with keys of 4 bytes",
      "and map structs is a hash with keys of 20 bytes", "obj.maps.tables:create()")
    local made = maps.tables:create()
    made:close()
    contains(refusal(made.get, made, 1), "map without a name is closed")
    assert.is_nil(maps.tables:get(0))
    local new = maps.tables:create()
    new:set(1, 2 ^ 40)
    maps.tables:set(0, new)
    new:close()
    local again = maps.tables:get(0)
    assert.are.equal(2 ^ 40, again:get(1))
    again:close()
    maps.named_tables:set(77, maps.first_inner)
    for key, map in maps.named_tables:items() do
      assert.are.equal(77, key)
      assert.are.equal(33, map:get(3))
      map:close()
    end
    contains(refusal(maps.tables.set, maps.tables, 0, 5), "is not a map")
    contains(refusal(maps.tables.set, maps.tables, 0, maps.names), "map tables")
  end)

  it("keep stacks by id", function()
    local probe = object.programs.keep_stack:attach()
    helper.getpgid(1)
    probe:detach()
    local stack = maps.stacks:stack(object.data.stack_id)
    assert.is_true(#stack > 0)
    local name = require("luaprobe.ksyms").at(0ULL + stack[1])
    assert.is_string(name)
    assert.is_nil(maps.stacks:stack(-14))
    contains(refusal(function() return maps.stacks:stack "x" end), "the id of a stack is a whole number")
  end)

  it("without types are read as bytes, or as the user says", function()
    local map = maps.untyped
    map:set(1, "twelve bytes")
    assert.are.equal("twelve bytes", map:get(1))
    contains(refusal(map.set, map, 1, "short"), "12 bytes", "value_type")
    contains(refusal(map.set, map, 1, { bytes = "twelve bytes", name = 5 }), "map untyped: value", "12 bytes")
    object:close()
    object = helper.open("maps", {})
    object.maps.untyped.value_type = "struct { uint32_t a; uint16_t b[4]; }"
    object:load()
    map = object.maps.untyped
    map:set(1, { a = 7, b = { 1, 2, 3, 4 } })
    assert.are.equal(7, map:get(1).a)
    assert.are.equal(4, map:get(1).b[3])
    contains(refusal(map.set, map, 1, { a = 2 ^ 40 }), "value.a", "does not fit")
    contains(refusal(map.set, map, 1, { a = "x" }), "map untyped: value")
    object:close()
    object = helper.open("maps", {})
    object.maps.untyped.value_type = "uint64_t"
    object:load()
    contains(refusal(function() return object.maps.untyped:get(1) end), "has 12 bytes", "uint64_t has 8")
  end)

  it("are walked and drained whole, each entry once", function()
    object:close()
    object = helper.open("maps", { maps = { numbers = { max_entries = ENTRIES } } })
    object:load()
    local map = object.maps.numbers
    for key = 1, ENTRIES do map:set(key, key) end
    local sum, seen = 0, {}
    for key, value in map:items() do
      assert.is_nil(seen[key])
      seen[key] = true
      sum = sum + value
    end
    assert.are.equal(ENTRIES * (ENTRIES + 1) / 2, sum)
    sum = 0
    for value in map:values() do sum = sum + value end
    assert.are.equal(ENTRIES * (ENTRIES + 1) / 2, sum)
    assert.are.same({ { key = ENTRIES, value = ENTRIES }, { key = ENTRIES - 1, value = ENTRIES - 1 } }, map:top(2))
    assert.are.same({ { key = 1, value = 1 } }, map:top(1, function(key) return -key end))
    local count = 0
    for _ in map:drain() do
      count = count + 1
      if count == 10 then break end
    end
    for _ in map:drain() do count = count + 1 end -- what the first had taken is not lost
    assert.are.equal(ENTRIES, count)
    assert.are.same({}, all_of(map))
    map:set(1, 1)
    map:clear()
    assert.are.same({}, all_of(map))
  end)

  it("are walked to an end while keys come and go", function()
    local map, networks = maps.numbers, maps.networks
    for key = 1, 50 do
      map:set(key, key)
      networks:set(("10.0.%d.0/24"):format(key), key)
    end
    local seen = 0
    for key in map:items() do
      seen = seen + 1
      map:delete(key)
      map:set(1000 + seen % 40, 1)
    end
    assert.is_true(seen >= 50 and seen <= 150, seen)
    local found = {}
    for key, value in networks:items() do -- one key after the other: the kernel begins anew when one is gone
      found[value] = (found[value] or 0) + 1
      if value % 2 == 0 then networks:delete(key) end
    end
    for key = 1, 49, 2 do assert.are.equal(1, found[key], "key " .. key) end
  end)

  it("are not reached any more when the object is closed, or not loaded yet", function()
    local map, walk, state = maps.numbers, maps.numbers:items()
    map:set(1, 1)
    walk(state)
    object:close()
    contains(refusal(map.get, map, 1), "is closed")
    contains(refusal(walk, state), "is closed")
    local other = helper.open "maps"
    contains(refusal(function() return other.maps.numbers:get(1) end), "not loaded")
    assert.are.equal(100, other.maps.numbers.max_entries)
    other.maps.numbers.max_entries = 7
    assert.are.equal(7, other.maps.numbers.max_entries)
    contains(refusal(function() other.maps.numbers.max_entries = 0 end), "whole number from 1")
    contains(refusal(function() other.maps.numbers.max_entires = 5 end), "'max_entires' cannot be set")
    other.maps.tables.inner.max_entries = 3
    assert.are.equal(3, other.maps.tables.inner.max_entries)
    other:load()
    contains(refusal(function() other.maps.numbers.max_entries = 9 end), "in the kernel already")
    local new = other.maps.tables:create()
    assert.are.equal(3, new.max_entries)
    new:close()
    other:close()
  end)
end)

describe("newer kinds of maps", function()
  helper.check_leaks(before_each, after_each)

  it("are bloom filters and user ring buffers", function()
    if version < 6001 then return pending "this kernel has no user ring buffers" end
    local object = helper.open "maps_new"
    object:load()
    local bloom = object.maps.bloom
    assert.is_false(bloom:has(5))
    bloom:push(5)
    assert.is_true(bloom:has(5))
    contains(refusal(bloom.push, bloom, "x"), "map bloom: value")
    local probe = object.programs.drain:attach()
    assert.is_true(object.maps.commands:send({ number = 9, word = "go" }, "struct command"))
    helper.getpgid(1)
    probe:detach()
    assert.are.equal(1, object.data.received)
    assert.are.same({ number = 9, word = "go" }, object.data.last)
    local sent = 0
    local commands = object.maps.commands
    contains(refusal(commands.send, commands, ("x"):rep(commands.max_entries)), "map commands: a sample of",
      "larger than its buffer, which holds up to " .. commands.max_entries - 8, "max_entries before load")
    while object.maps.commands:send(("x"):rep(16)) do sent = sent + 1 end
    assert.is_true(sent > 100 and sent <= 4096 / 24, sent)
    contains(refusal(function() return object.maps.commands:send {} end), "struct NAME")
    object:close()
  end)

  it("are what a task keeps", function()
    if version < 5011 then return pending "this kernel has no task storage" end
    local object = helper.open "maps_storage"
    local ok, reason = pcall(object.load, object)
    if not ok and not helper.has_kprobes() then return pending("this kernel has none: " .. tostring(reason)) end
    assert(ok, reason)
    local map = object.maps.of_tasks
    assert.is_nil(map:get(helper.pid))
    map:set(helper.pid, 12)
    assert.are.equal(12, map:get(helper.pid))
    assert.is_true(map:delete(helper.pid))
    assert.is_false(map:delete(helper.pid))
    contains(refusal(map.get, map, 4194304), "map of_tasks: process 4194304")
    contains(refusal(map.get, map, 0), "a process's pid")
    contains(refusal(map.get, map, "x"), "a process's pid")
    object:close()
  end)

  it("are storage of cgroups, of version 2 only", function()
    local mount = require("luaprobe.cgroup").mounts()[1]
    if version < 6002 or not mount then return pending "there is no cgroup storage, or no cgroup2" end
    local object = helper.open "of_cgroups"
    object:load()
    local map = object.maps.of_cgroups
    map:set(mount, 12)
    assert.are.equal(12, map:get "/")
    assert.is_true(map:delete(mount))
    for _, call in ipairs { map.get, map.set, map.delete } do
      contains(refusal(call, map, "/tmp", 1), "map of_cgroups: '/tmp' is no control group of version 2")
    end
    contains(refusal(map.get, map, "/no/such"), "there is no control group '/no/such'")
    object:close()
  end)
end)

describe("counts", function()
  helper.check_leaks(before_each, after_each)

  it("are drained without losing one while four threads count", function()
    local scale = helper.has_kprobes() and 10 or 1 -- guests are emulated
    local per_thread = 500000 / scale
    local object = helper.open "counting"
    object:load()
    object.programs.count_exactly:attach()
    local job = helper.start(("%s/tests/caller 4 %d 64"):format(helper.build, per_thread))
    local sums, sum, drains = {}, 0, 0
    local function drain()
      for key, count in object.maps.exact:drain() do
        sums[key] = (sums[key] or 0) + count
        sum = sum + count
      end
      drains = drains + 1
    end
    while helper.kill(job.pid, 0) == 0 do
      helper.sleep(0.01)
      drain()
    end
    job.wait()
    drain()
    drain()
    -- Since 6.13 threads are preempted in these tracepoints, and the kernel leaves out a program that runs already.
    local calls = tonumber(object.data.calls)
    assert.are.equal(calls, sum)
    assert.is_true(calls > 2 * per_thread and calls <= 4 * per_thread, calls)
    if version < 6013 then assert.are.equal(4 * per_thread, calls) end
    assert.is_true(drains >= 3, drains) -- while they counted, and after it
    for i = 0, calls == 4 * per_thread and 63 or -1 do
      local each = math.floor(per_thread / 64) + (i < per_thread % 64 and 1 or 0)
      assert.are.equal(4 * each, sums[1000000 + i])
    end
    object:close()
  end)

  it("can be read between drains", function()
    local object = helper.open "counting"
    object:load()
    local exact = object.maps.exact
    object.programs.count_exactly:attach()
    for _ = 1, 3 do helper.getpgid(1000001) end
    assert.are.equal(3, exact:get(1000001))
    for key, count in exact:drain() do assert.are.same({ 1000001, 3 }, { key, count }) end
    assert.is_nil(exact:get(1000001))
    helper.getpgid(1000002)
    assert.are.same({ [1000002] = 1 }, all_of(exact))
    assert.are.same({ { key = 1000002, value = 1 } }, exact:top(3))
    exact:clear()
    assert.are.same({}, all_of(exact))
    object:close()
  end)

  it("are as many as max_entries allows, in both halves", function()
    local object = helper.open("counting", { maps = { exact = { max_entries = 3 } } })
    local exact = object.maps.exact
    assert.are.equal(3, exact.max_entries)
    object:load()
    for _ = 1, 2 do
      for key = 1, 3 do exact:set(key, key) end
      contains(refusal(exact.set, exact, 4, 4), "it is full")
      local sum = 0
      for _, count in exact:drain() do sum = sum + count end
      assert.are.equal(6, sum)
    end
    contains(refusal(function() exact.max_entries = 5 end), "in the kernel already")
    object:close()
  end)

  it("of updates that found a map full are known", function()
    local object = helper.open "counting"
    object:load()
    object.programs.fill:attach()
    for i = 1, 20 do helper.getpgid(1000000 + i) end
    for i = 1, 20 do helper.getpgid(1000000 + i) end
    assert.are.equal(8, object.maps.small.full_errors)
    assert.are.equal(0, object.maps.exact.full_errors)
    assert.is_nil(object.maps.plain.full_errors)
    object:close()
  end)
end)
