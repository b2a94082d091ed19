-- What an event stream can do besides delivering: types, copies, order by time, snapshots, kinds of buffers.
local ffi = require "ffi"
local helper = require "helper"

if not helper.is_root() then
  describe("an event stream", function() pending "needs root" end)
  return
end

local lp = require "luaprobe"
local accounts = require "luaprobe.accounts"
local json = require "luaprobe.json"
local pretty = require "luaprobe.pretty"

local contains = helper.contains

local function calls(count)
  for _ = 1, count do helper.getpgid(0) end
end

local function misuse(pattern, fn, ...)
  local ok, reason = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(reason):find(pattern), tostring(reason))
end

describe("an event stream", function()
  local object
  after_each(function()
    object:close()
    accounts.forget()
  end)
  helper.check_leaks(before_each, after_each)

  local function open(name, kind, const)
    const = const or {}
    const.only_pid = helper.pid
    object = helper.open(name, { const = const })
    if kind then object.maps.events.buffer = kind end
    return object
  end

  for _, kind in ipairs { "ring", "perf" } do
    it("is a " .. kind .. " buffer when asked to be, with lp_reserve, lp_submit and lp_discard", function()
      open("sample", kind, { discard_odd = true, burst = 10 }):attach()
      calls(100)
      local seen = 0
      for event, size, cpu in object.maps.events:each { timeout = 0.1 } do
        assert.are.equal(seen * 2, tonumber(event.number))
        assert.are.equal(kind == "perf" and 100 or 96, size)
        assert.are.equal(size, event.size)
        assert.are.equal(helper.pid, event.pid)
        assert.are.equal(kind == "perf" and event.cpu or -1, cpu)
        seen = seen + 1
      end
      assert.are.equal(500, seen)
      assert.are.equal(0, object.maps.events.lost)
      assert.are.equal(kind == "ring" and 27 or 4, object.maps.events:info().type)
      assert.are.equal(kind, lp.stats().sources[1].kind)
    end)

    it("of a " .. kind .. " buffer gives what map:poll asks for", function()
      open("sample", kind):attach()
      local map, numbers = object.maps.events, {}
      local function add(event) numbers[#numbers + 1] = tonumber(event.number) end
      assert.are.equal(0, map:poll(0, add))
      calls(5)
      assert.are.equal(5, map:poll(1, add))
      assert.are.same({ 0, 1, 2, 3, 4 }, numbers)
      local start = require("luaprobe.limits").now()
      assert.are.equal(0, map:poll(0.2, add))
      local took = (require("luaprobe.limits").now() - start) / 1e9
      assert.is_true(took >= 0.19 and took < 5, took)
      calls(2)
      misuse("stream_spec.lua:%d+: on purpose", map.poll, map, 1, function() error "on purpose" end)
      assert.are.equal(1, map:poll(1, add))
      misuse("takes a function", map.poll, map, 1)
      misuse("number of seconds", map.poll, map, -1, add)
    end)

    it("of a " .. kind .. " buffer is copied by lp.copy, whole and for good", function()
      open("burst", kind, { burst = 64 }):attach()
      calls(4)
      local kept, tails = {}, {}
      for event, size in object.maps.events:each { timeout = 0.1 } do
        kept[#kept + 1], tails[#tails + 1] = lp.copy(event), event.tail
        assert.are.equal(size - 16, #event.tail)
        assert.are.equal(size - 16, #lp.totable(event).fill)
        assert.are.equal(size, kept[#kept].size)
      end
      calls(4)
      assert.is_true(object.maps.events:poll(1, function() end) == 256)
      collectgarbage()
      assert.are.equal(256, #kept)
      for i, event in ipairs(kept) do
        local number = i - 1
        assert.are.equal(number, tonumber(event.number))
        assert.are.equal(number % 97, event.length)
        assert.are.equal(tails[i], event.tail)
        assert.are.equal(tails[i], string.char(unpack(lp.totable(event).fill)))
        assert.are.equal((string.char(number % 256)):rep(number % 97), event.tail:sub(1, event.length))
        if kind == "ring" then assert.are.equal(event.length, #event.tail) end
      end
    end)

    it("of a " .. kind .. " buffer is not held back by times that lie ahead", function()
      open("sample", kind, { burst = 10, skew = 0ULL - 3600000000000ULL }):attach()
      calls(1)
      local start, seen = require("luaprobe.limits").now(), 0
      for _ in object.maps.events:each { order = "time", max_delay = 0.1, timeout = 5 } do
        seen = seen + 1
        if seen == 10 then break end
      end
      assert.are.equal(10, seen)
      assert.is_true(require("luaprobe.limits").now() - start < 2e9)
    end)

    it("of a " .. kind .. " buffer comes in the order of time, late ones flagged", function()
      local SKEW = 200e6 -- every second event says it is 0.2 s old
      open("sample", kind, { burst = 2, skew = SKEW }):attach()
      local map, last, seen, late = object.maps.events, 0, 0, 0
      calls(50)
      for event, _, _, is_late in map:each { order = "time", max_delay = 1, timeout = 1.5 } do
        local time = tonumber(event.time)
        assert.is_false(is_late)
        assert.is_true(time >= last)
        last, seen = time, seen + 1
      end
      assert.are.equal(100, seen)
      -- Held back for 20 ms only, the old ones come too late as soon as others were delivered.
      local latest = 0
      for _ = 1, 3 do
        calls(10)
        for event, _, _, is_late in map:each { order = "time", max_delay = 0.04, timeout = 0.06 } do
          local time = tonumber(event.time)
          if is_late then
            late = late + 1
            assert.is_true(time < latest)
          end
          latest, seen = math.max(latest, time), seen + 1
        end
      end
      assert.are.equal(160, seen)
      assert.is_true(late >= 10, late)
      assert.are.equal(late, lp.stats().sources[1].late)
    end)
  end

  it("that ends in an array of structs is shown with those that the event has", function()
    for count, shown in pairs {
      [0] = "{}", [2] = "{ { number = 1, square = 1 }, { number = 2, square = 4 } }",
      [3] = "{ { number = 1, square = 1 }, { number = 2, square = 4 }, { number = 3, square = 9 } }",
    } do
      open("tails", "ring", { count = count }):attach()
      calls(1)
      local seen = 0
      for event in object.maps.events:each { timeout = 0.1 } do
        for _, each in ipairs { event, lp.copy(event) } do
          contains(pretty.text(each, { depth = 3 }):gsub("%s+", " "):gsub(", }", " }"),
            ("count = %d, none = {}, pairs = %s"):format(count, shown))
          assert.are.equal(count, #lp.totable(each).pairs)
          assert.are.same({ number = 3, square = 9 }, lp.totable(each).pairs[3] or { number = 3, square = 9 })
          local _, pairs_in_json = json.encode(each):gsub('"square"', "")
          assert.are.equal(count, pairs_in_json)
        end
        seen = seen + 1
      end
      assert.are.equal(1, seen)
      object:close()
    end
    open("tails"):load()
    object.maps.counts:set(1, { count = 5 })
    for _, value in object.maps.counts:items() do -- of the events' type, but no event
      assert.are.same({ count = 5, none = {}, pairs = {} }, lp.totable(value))
      assert.are.equal(5, lp.copy(value).count)
    end
  end)

  it("is of structs, or is refused when it is read", function()
    object = helper.open "numbers"
    object:load()
    contains(helper.refusal(object.maps.events.each, object.maps.events),
      "map events: LP_EVENTS of numbers_t: events are structs", "hint: write struct events_event { numbers_t value; }")
    contains(helper.refusal(object.maps.incomplete.each, object.maps.incomplete),
      "map incomplete: LP_EVENTS of struct nothing, which is declared but not defined",
      "hint: write its definition, struct nothing { … };, before it")
    object:close()
    open("sample"):load()
    for _, wrong in ipairs { ffi.typeof "uint64_t", ffi.typeof "char[8]", ffi.typeof "struct { int a; } *", 5LL } do
      misuse("events are structs", object.maps.events.each, object.maps.events, { type = wrong })
    end
    misuse("events are structs, and __u64 is none", object.maps.events.each, object.maps.events, { type = "__u64" })
    misuse("not a number", object.maps.events.each, object.maps.events, { type = 5 })
  end)

  it("chooses a ring buffer by itself, and follows --buffer", function()
    open("sample"):load()
    assert.are.equal(27, object.maps.events:info().type)
    object:close()
    local out, err = helper.luaprobe_run("opensnoop --buffer perf --stats -d 0.2")
    assert.is_truthy(err:find "events %(perf%): %d+ events", out .. err)
    local _, wrong, status = helper.luaprobe_run("opensnoop --buffer pipe")
    assert.are.equal(2, status)
    assert.is_truthy(wrong:find "'%-%-buffer' must be one of 'ring', 'perf'")
    misuse('buffer is "ring" or "perf"', function() open("sample").maps.events.buffer = "pipe" end)
  end)

  it("of other people's programs is read as well, typed or by name", function()
    open("foreign"):attach()
    local maps = object.maps
    maps.perf:poll(0, function() end, { type = "struct event" }) -- opens its buffers
    calls(3)
    for name, opts in pairs { typed = {}, untyped = { type = "struct event" }, perf = { type = "struct event" } } do
      local seen = 0
      opts.timeout = 0.1
      for event in maps[name]:each(opts) do
        assert.are.equal("a name", event.tail)
        assert.are.equal("a name", lp.text(event.name))
        assert.are.equal(8, event.size_of_name)
        seen = seen + 1
      end
      assert.are.equal(3, seen, name)
    end
    misuse('pass type = "struct NAME"', maps.untyped.each, maps.untyped)
    calls(1)
    local ctype = ffi.typeof "struct { uint64_t when; uint32_t length; }"
    for event in maps.untyped:each { type = ctype, timeout = 0.1 } do
      assert.are.equal(24, event.length)
      assert.are.equal(24, lp.copy(event).length)
    end
    calls(1)
    local last = 0
    for event in maps.typed:each { order = "time", timeout = 0.2 } do last = tonumber(event.ts) end
    assert.is_true(last > 0)
    misuse("no 64%-bit member 'length'", maps.typed.each, maps.typed, { order = "time", time = "length" })
  end)

  it("of other people's ring buffers is as large as their program says, unless it is told", function()
    open("foreign"):load()
    assert.are.equal(65536, object.maps.typed.max_entries)
    assert.are.equal(65536, object.maps.untyped.max_entries)
    object:close()
    local maps = open("foreign").maps
    maps.typed.max_entries, maps.untyped.bytes = 2 ^ 22, 2 ^ 16
    object:load()
    assert.are.equal(2 ^ 22, maps.typed.max_entries)
    assert.is_true(maps.untyped.max_entries >= 2 ^ 16 * accounts.cpus())
  end)

  describe("of another's ring buffer", function()
    local SIZE, RECORD = 4096, 32 -- bytes: of the buffer, and of a small event with its header
    local FULL = SIZE / RECORD - 1 -- events: the kernel does not fill a ring buffer to its last byte

    local function open_small(const)
      open("foreign", nil, const).maps.typed.max_entries = SIZE
      object:attach()
      object.maps.typed:poll(0, function() end) -- from now on somebody wants to know
    end

    local function may_have_lost()
      for _, source in ipairs(lp.stats().sources) do
        if source.name == "typed" then return source.may_have_lost, source.high_water end
      end
    end

    local function read()
      local seen = 0
      for _ in object.maps.typed:each { timeout = 0 } do seen = seen + 1 end
      return seen
    end

    it("may be lost when it was full, to the byte", function()
      open_small()
      calls(FULL - 1)
      assert.are.equal(FULL - 1, read())
      assert.are.same({ false, SIZE - 2 * RECORD }, { may_have_lost() })
      calls(FULL + 1)
      assert.are.equal(FULL, read())
      assert.are.same({ true, SIZE - RECORD }, { may_have_lost() })
    end)

    it("may be lost while a body runs, of a loop, of poll or of a handler", function()
      for _, way in ipairs { "each", "poll", "on" } do
        open_small()
        calls(FULL / 2)
        local seen = 0
        local function body()
          seen = seen + 1
          if seen == 1 then calls(FULL) end
          if seen == FULL then lp.stop() end
        end
        if way == "each" then
          for _ in object.maps.typed:each { timeout = 0 } do body() end
        elseif way == "poll" then
          repeat until object.maps.typed:poll(0, body) == 0
        else
          lp.on(object.maps.typed, body)
          lp.run { timeout = 1 }
        end
        assert.are.equal(FULL, seen, way)
        assert.is_true(may_have_lost(), way)
        object:close()
        accounts.forget()
      end
    end)

    it("may be lost after the loop", function()
      open_small()
      calls(3)
      assert.are.equal(3, read())
      calls(FULL + 1)
      object:close()
      assert.is_true(may_have_lost())
      accounts.forget()
      open_small() -- and before any was read
      calls(FULL + 1)
      assert.is_true(may_have_lost())
    end)

    it("may be lost when only the small ones found room", function()
      open_small { large_every = 114 }
      calls(115)
      assert.are.equal(115, read())
      assert.are.same({ true, SIZE - 168 }, { may_have_lost() })
    end)
  end)

  it("of a perf buffer takes events of up to 65,516 bytes, and counts larger ones as lost", function()
    local all, but = "0 1 2 3 4 5 6 7", "0 2 3 4 6 7"
    local function numbers(map)
      local seen = {}
      for event in map:each { type = "struct event", timeout = 0 } do seen[#seen + 1] = tonumber(event.number) end
      return table.concat(seen, " ")
    end
    for _, size in ipairs { 65516, 65517, 65528, 65552, 70000, 131072 } do
      open("large", "perf", { large = size })
      object.maps.events.bytes, object.maps.foreign.bytes = 2 ^ 20, 2 ^ 20
      object:attach()
      helper.on_cpu(0, function() calls(8) end)
      for _, name in ipairs { "events", size ~= 65517 and "foreign" or nil } do -- that one leaves no trace there
        assert.are.equal(size == 65516 and all or but, numbers(object.maps[name]), name .. size)
        assert.are.equal(size == 65516 and 0 or 2, object.maps[name].lost)
      end
      object:close()
    end
    open("large", "ring").maps.events.bytes = 2 ^ 20
    object:attach()
    calls(8)
    assert.are.equal(all, numbers(object.maps.events))
  end)

  it("has slots for lp_reserve of any size, on every CPU", function()
    for _, kind in ipairs { "ring", "perf" } do
      open("large", kind).maps.reserved.buffer = kind
      object:attach()
      for cpu = 0, accounts.cpus() - 1 do helper.on_cpu(cpu, function() calls(3) end) end
      local seen, cpus = 0, {}
      for event, size, cpu in object.maps.reserved:each { timeout = 0 } do
        assert.are.equal(65512, kind == "ring" and size or size - 4)
        assert.are.equal(tonumber(event.number), event.fill[65503])
        seen, cpus[cpu] = seen + 1, true
      end
      assert.are.equal(3 * accounts.cpus(), seen)
      assert.is_true(kind == "ring" or cpus[accounts.cpus() - 1])
      assert.are.equal(0, object.maps.reserved.lost)
      object:close()
    end
  end)

  it("of a perf event array with fewer entries than CPUs gives what the first ones sent, and says so", function()
    open("foreign").maps.perf.max_entries = 1
    object:attach()
    local map, opts = object.maps.perf, { type = "struct event" }
    assert.are.equal(0, map:poll(0, function() end, opts)) -- opens the buffer
    helper.on_cpu(0, function() calls(5) end)
    assert.are.equal(5, map:poll(1, function(_, _, cpu) assert.are.equal(0, cpu) end, opts))
    if accounts.cpus() == 1 then return end
    helper.on_cpu(1, function() calls(5) end)
    assert.are.equal(0, map:poll(0.2, function() end, opts))
    assert.is_true(lp.stats().sources[1].may_have_lost)
    contains(accounts.footer()[1], "perf: may have lost events", "max_entries = " .. accounts.cpus() .. " helps")
    object:close()
    accounts.forget()
    open("foreign"):attach()
    object.maps.perf:poll(0, function() end, opts)
    assert.is_false(lp.stats().sources[1].may_have_lost)
  end)

  it("wakes a sleeping loop when the buffer of another's program gets something", function()
    open("foreign"):attach()
    local limits = require "luaprobe.limits"
    calls(1)
    local start = limits.now()
    assert.are.equal(1, object.maps.untyped:poll(5, function() end, { type = "struct event", max_delay = 5 }))
    assert.is_true(limits.now() - start < 2e9)
  end)

  it("that overwrites gives the last events before now", function()
    open("sample", nil, { burst = 10 })
    object.maps.events.overwrite, object.maps.events.pages = true, 4
    object:attach()
    local map = object.maps.events
    assert.are.same({}, (map:snapshot()))
    calls(1)
    local list, cpus = map:snapshot()
    assert.are.equal(10, #list)
    assert.are.equal(10, #cpus)
    assert.are.equal(9, tonumber(list[10].number))
    calls(1000)
    local before = require("luaprobe.limits").now()
    list = map:snapshot()
    -- Of 10,010 events of 112 bytes, as many as fit into 4 pages of each CPU that had some.
    assert.is_true(#list >= 100 and #list <= 150 * #cpus, #list)
    assert.are.equal(10009, tonumber(list[#list].number))
    for i = 2, #list do assert.is_true(list[i].time >= list[i - 1].time) end
    assert.is_true(tonumber(list[#list].time) <= before)
    assert.are.equal(helper.pid, list[1].pid)
    assert.are.equal(list[#list].number, map:snapshot()[#map:snapshot()].number)
    misuse("overwrites: it has a snapshot", map.each, map)
    misuse("no 64%-bit member 'nothing'", map.snapshot, map, { time = "nothing" })
    misuse("time is the name of a member", map.snapshot, map, { time = true })
    object:close()
    misuse("map typed is a ringbuf, .* only perf buffers can overwrite", function()
      open("foreign").maps.typed.overwrite = true
    end)
    object:close()
    open("sample", "ring").maps.events.overwrite = true
    misuse("only perf buffers can overwrite", object.load, object)
    object:close()
    open("sample"):attach()
    misuse("overwrite = true before load", object.maps.events.snapshot, object.maps.events)
  end)

  it("that overwrites goes on while its snapshot is taken", function()
    local directory, remove = helper.temporary_directory()
    local producer = io.popen(("%s/tests/producer 1 100000 10000 >%s/out"):format(helper.build, directory), "w")
    local pid
    assert.is_true(helper.eventually(10, function()
      pid = helper.exists(directory .. "/out") and tonumber(helper.read(directory .. "/out"):match "^%d+")
      return pid
    end))
    object = helper.open("sample", { const = { only_pid = pid } })
    object.maps.events.overwrite, object.maps.events.bytes = true, 2 ^ 24
    object:attach()
    producer:write "go\n"
    producer:flush()
    assert.is_true(helper.eventually(10, function() return object.data.sent > 0 end))
    for _ = 1, 3 do
      local list = object.maps.events:snapshot()
      for i = 2, #list do assert.is_true(list[i].number > list[i - 1].number) end
    end
    producer:write "end\n"
    producer:close()
    remove()
    -- Paused for 0.05 ms, or for as long as somebody else has this CPU; to copy it all would take 20 ms the first time.
    assert.is_true(object.maps.events.lost < 1000, object.maps.events.lost)
  end)

  it("refuses options that mean nothing", function()
    open("sample"):load()
    local map = object.maps.events
    misuse("max_delay is a number of seconds", map.each, map, { max_delay = "soon" })
    misuse("timeout is a number of seconds", map.each, map, { timeout = -1 })
    misuse('order can be "time"', map.each, map, { order = "size" })
    for _, wrong in ipairs { true, {}, 5 } do
      misuse("time is the name of a member", map.each, map, { order = "time", time = wrong })
    end
    misuse('pass order = "time" as well', map.each, map, { time = "time" })
    misuse("no 64%-bit member 'nothing'", map.each, map, { order = "time", time = "nothing" })
    for _, wrong in ipairs { 1 / 0, 1e300, 2 ^ 31 } do
      misuse("bytes is a whole number above 0 and below 2%^31", map.each, map, { bytes = wrong })
      misuse("pages is a whole number above 0 and below 2%^31", map.each, map, { pages = wrong })
    end
    misuse("no type 'struct nothing'", map.each, map, { type = "struct nothing" })
    misuse("no member 'nothing'", function()
      object:attach()
      calls(1)
      for event in map:each { timeout = 0 } do print(event.nothing) end
    end)
    misuse("takes an event", lp.copy, "text")
    misuse("takes an event", lp.copy, ffi.new "int[1]")
  end)

  it("poisons events that are over, with LUAPROBE_DEBUG=1", function()
    for _, kind in ipairs { "ring", "perf" } do
      local out, err = helper.run(([[LUAPROBE_DEBUG=1 %s -e '
        local lp, ffi = require "luaprobe", require "ffi"
        ffi.cdef "int getpid(void); int getpgid(int pid);"
        local object = lp.open("%ssample.bpf.o", { const = { only_pid = ffi.C.getpid() } })
        object.maps.events.buffer = "%s"
        object:attach()
        for _ = 1, 5 do ffi.C.getpgid(0) end
        local kept, copies = {}, {}
        for event in object.maps.events:each { timeout = 0.1 } do
          for _, old in ipairs(kept) do assert(old.pid == 0xdbdbdbdb) end
          assert(event.pid == ffi.C.getpid())
          kept[#kept + 1], copies[#copies + 1] = event, lp.copy(event)
        end
        print(#kept, kept[5].pid == 0xdbdbdbdb, copies[5].pid == ffi.C.getpid(), pcall(lp.copy, kept[5]))
      ']]):format(helper.luaprobe, helper.fixtures, kind))
      assert.is_truthy(out:find "^5\ttrue\ttrue\tfalse\t.*this event is over", out .. err)
    end
    open("sample")
  end)

  it("counts by CPU what was lost", function()
    for _, kind in ipairs { "ring", "perf" } do
      open("sample", kind, { burst = 64 }).maps.events.pages = 1
      object:attach()
      calls(10)
      local source
      for _, account in ipairs(lp.stats().sources) do if account.lost > 0 then source = account end end
      local sum = 0
      for _, lost in pairs(source.lost_by_cpu) do sum = sum + lost end
      assert.are.equal(object.maps.events.lost, sum)
      assert.is_true(sum > 500)
      local seen = object.maps.events:poll(0, function() end)
      assert.are.equal(640, seen + sum)
      assert.is_true(accounts.footer()[1]:find "events: lost %d+ of %d+ events" ~= nil)
      object:close()
      accounts.forget()
    end
  end)
end)
