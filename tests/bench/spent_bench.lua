-- What tracing costs: the added time per traced call, beside bpftrace where it is installed; the lines that are printed
-- when 3,000,000 events come flat out; the CPU of a tool that has no events; the memory after many.
--
--   build/luaprobe tests/bench/spent_bench.lua [lines|added|idle|memory]
--
-- Exits 77 without root, 1 when a bar is missed.
package.path = "tests/?.lua;" .. package.path
local helper = require "helper"

local RUNS = 5
local missed = false

if not helper.is_root() then
  print "skipped: needs root"
  os.exit(77)
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function report(met, format, ...)
  print(format:format(...) .. (met and ": met" or ": MISSED"))
  missed = missed or not met
end

-- A producer that waits for its start; what it prints is the median and the mean time of a call.
local function producer(threads, calls, gap)
  local path = os.tmpname()
  local pipe = io.popen(("%s/tests/producer %d %d %d >%s"):format(helper.build, threads, calls, gap or 0, path), "w")
  local pid
  assert(helper.eventually(20, function()
    pid = helper.read(path):match "^(%d+)\n"
    return pid
  end), "no producer")
  local job = { pid = tonumber(pid) }
  function job.go()
    pipe:write "go\n"
    pipe:flush()
  end
  function job.wait()
    assert(helper.eventually(300, function() return helper.read(path):match "\n(%d+) %d+\n" end), "no result")
    local result, mean = helper.read(path):match "\n(%d+) (%d+)\n"
    pipe:write "end\n"
    pipe:close()
    os.remove(path)
    return tonumber(result), tonumber(mean)
  end
  return job
end

local function started(command, word)
  local job = helper.start(command)
  assert(helper.eventually(30, function() return (job.out() .. job.err()):find(word) end), job.out() .. job.err())
  helper.sleep(0.1)
  return job
end

local SCRIPT = [[
  local lp = require "luaprobe"
  local object = lp.open("%s", { const = { only_pid = %d, burst = %d } })
  object.maps.events.bytes, object.maps.events.buffer = %d, "%s"
  object:attach()
  io.stderr:write "attached\n"
  %s]]
local function script(pid, burst, bytes, kind, body)
  local path = os.tmpname()
  helper.write(path, SCRIPT:format(helper.fixtures .. "sample.bpf.o", pid, burst, bytes, kind, body))
  return helper.luaprobe .. " " .. path, path
end

local measures = {}

function measures.lines()
  local EVENTS, BURST, BYTES = 3000000, 1, 8 * 2 ^ 20
  local out = os.tmpname()
  local losses = {}
  for run = 1, RUNS do
    local source = producer(1, EVENTS / BURST)
    local command, path = script(source.pid, BURST, BYTES, "ring", ([[
      local out = assert(io.open("%s", "w"))
      local seen = 0
      for event in object.maps.events:each { timeout = 1 } do
        out:write(("%%d %%s %%d %%d\n"):format(event.pid, lp.text(event.comm), event.value, event.tid))
        seen = seen + 1
        if seen == %d then break end
      end
      out:close()]]):format(out, EVENTS))
    local job = started(command, "attached")
    source.go()
    source.wait()
    job.wait(120)
    os.remove(path)
    local lines = 0
    for _ in io.lines(out) do lines = lines + 1 end
    losses[run] = math.floor(EVENTS / BURST) * BURST - lines
  end
  os.remove(out)
  local lost = median(losses)
  report(lost == 0, "3,000,000 events flat out, a line each to a file, 8 MiB per CPU: %d lost (median of %d; bar 0; "
    .. "bpftrace 0.27 loses 74 %%)", lost, RUNS)
end

-- Median nanoseconds of a call with the given time between two, alone, traced by us, and by bpftrace.
function measures.added()
  local has_peer = os.execute "command -v bpftrace >/dev/null" == 0
  for _, gap in ipairs { 5000, 20000, 100000 } do
    local calls = math.min(50000, math.floor(1e9 / gap))
    local alone, ours, peers = {}, {}, {}
    local function measure(list, start, stop)
      local source = producer(1, calls, gap)
      local job, path = start(source.pid)
      source.go()
      list[#list + 1] = source.wait()
      if job then stop(job) end
      if path then os.remove(path) end
    end
    local function interrupt(job)
      job.signal(2)
      job.wait()
    end
    for _ = 1, RUNS do
      measure(alone, function() end)
      measure(ours, function(pid)
        local command, path = script(pid, 1, 2 ^ 20, "ring",
          "local n = 0 for event in object.maps.events:each() do n = n + event.value end")
        return started(command, "attached"), path
      end, interrupt)
      if has_peer then
        measure(peers, function(pid)
          return started(("unshare -m sh -c 'mount -t tracefs nodev /sys/kernel/tracing; exec bpftrace -e "
            .. "\"tracepoint:syscalls:sys_enter_getpgid /pid == %d/ { printf(\\\"%%d %%s\\\\n\\\", pid, comm); }\"'")
            :format(pid), "Attaching")
        end, interrupt)
      end
    end
    local base = median(alone)
    local added = median(ours) - base
    if has_peer then
      local theirs = median(peers) - base
      report(added <= 0.1 * theirs,
        "a call of %d ns every %d us: luaprobe adds %d ns, bpftrace %d ns, ratio %.2f (bar 0.10)", base, gap / 1000,
        added, theirs, added / theirs)
    end
    report(added <= 1200, "a call of %d ns every %d us: luaprobe adds %d ns (bar 1,200)", base, gap / 1000, added)
  end
end

-- CPU seconds of a process so far, of utime and stime in /proc/PID/stat.
local function cpu_of(pid)
  local fields = helper.read(("/proc/%d/schedstat"):format(pid))
  return tonumber(fields:match "^%d+") / 1e9
end

function measures.idle()
  -- A process that does nothing but wake as often tells what this machine takes for that.
  local bare = started(helper.luaprobe .. [[ -e 'local ffi = require "ffi" ffi.cdef "int usleep(unsigned int);"
    io.stderr:write "started" while true do ffi.C.usleep(100000) end']], "started")
  local command, path = script(1, 1, 2 ^ 20, "ring", "for _ in object.maps.events:each() do end")
  local job = started(command, "attached")
  helper.sleep(1)
  local before, bare_before = cpu_of(job.pid), cpu_of(bare.pid)
  helper.sleep(10)
  local used = (cpu_of(job.pid) - before) / 10 * 100
  local bare_used = (cpu_of(bare.pid) - bare_before) / 10 * 100
  bare.signal(9)
  bare.wait()
  local switches = tonumber(helper.read(("/proc/%d/status"):format(job.pid)):match "voluntary_ctxt_switches:%s*(%d+)")
  job.signal(2)
  job.wait()
  os.remove(path)
  report(used <= 0.2, "a tool with no events: %.3f %% of a CPU (bar 0.2); one that only "
    .. "sleeps 100 ms again and again: %.3f %%", used, bare_used)
  report(switches / 11 <= 25, "it wakes %.1f times a second, its start included (bar 20 when idle)", switches / 11)
end

local function rss_of(pid)
  return tonumber(helper.read(("/proc/%d/status"):format(pid)):match "VmRSS:%s*(%d+)")
end

function measures.memory()
  local EVENTS = tonumber(os.getenv "LUAPROBE_BENCH_EVENTS") or 100e6
  local BURST = 64
  local source = producer(1, EVENTS / BURST, 5000)
  local command, path = script(source.pid, BURST, 8 * 2 ^ 20, "ring", [[
    local by, seen = {}, 0
    for event in object.maps.events:each { timeout = 5 } do
      local comm = lp.text(event.comm)
      by[comm] = (by[comm] or 0) + 1
      seen = seen + 1
      if seen == 1000000 then io.stderr:write "a million\n" end
    end
    io.stderr:write(("seen %d\n"):format(seen))
    require("ffi").C.lp_time_sleep(60000) -- nothing more is loaded]])
  local job = started(command, "attached")
  local pid = job.pid
  source.go()
  assert(helper.eventually(120, function() return job.err():find "a million" end))
  local early = rss_of(pid)
  assert(helper.eventually(600, function() return job.err():find "seen" end))
  local late, seen = rss_of(pid), job.err():match "seen (%d+)"
  source.wait()
  job.signal(9)
  job.wait()
  os.remove(path)
  report(late - early <= 1024, "RSS after a million events %d kB, after %s of %.0f: %d kB, grown by %d kB (bar 1,024)",
    early, seen, EVENTS, late, late - early)
end

for _, name in ipairs(arg[1] and { arg[1] } or { "lines", "added", "idle", "memory" }) do measures[name]() end
os.exit(not missed, true)
