-- How a run ends: signals, closed pipes, full disks, errors; and that nothing outlives it.
local helper = require "helper"

if not helper.is_root() then
  describe("a run", function() pending "needs root" end)
  return
end

local SIGHUP, SIGINT, SIGKILL, SIGTERM = 1, 2, 9, 15

describe("a run", function()
  helper.check_leaks(before_each, after_each)
  local directory, remove
  setup(function() directory, remove = helper.temporary_directory() end)
  teardown(function() remove() end)

  local function script(body)
    helper.write(directory .. "/script.lua", ([[
      local lp = require "luaprobe"
      local object = lp.open("opensnoop", { const = { filter = { comm = "nobody" } } })
      object:attach { first = { { "kprobe", "kretprobe" }, "tracepoint" } }
      io.stderr:write "attached\n"
      %s]]):format(body))
    return helper.luaprobe .. " " .. directory .. "/script.lua"
  end

  local function attached(command)
    local job = helper.start(command)
    assert.is_true(helper.eventually(30, function() return job.err():find "attached" end), job.err())
    helper.sleep(0.1)
    return job
  end

  -- What mechanism legacy wrote to tracefs outlives a process that was killed; the next that starts removes it.
  local function sweep()
    helper.luaprobe_run "-e 'x = 1'"
  end

  for name, signal in pairs { SIGINT = SIGINT, SIGTERM = SIGTERM } do
    it("ends its loop at " .. name .. ", runs the script's last lines and exits 0", function()
      local job = attached(script "for _ in object.maps.events:each() do end\nprint 'last line'")
      job.signal(signal)
      local out, err, status = job.wait()
      assert.are.same({ "last line\n", 0 }, { out, status })
      assert.is_nil(err:find "luaprobe: [^o]")
    end)
  end

  it("ends a loop that never sleeps, compiled by the JIT", function()
    -- getpgid sends faster than the loop's body asks: it is never empty.
    helper.write(directory .. "/busy.lua", ([[
      local lp, ffi = require "luaprobe", require "ffi"
      ffi.cdef "int getpgid(int pid); int getpid(void);"
      local object = lp.open("%sburst.bpf.o", { const = { only_pid = ffi.C.getpid(), burst = 2 } })
      object:attach()
      io.stderr:write "attached\n"
      ffi.C.getpgid(0)
      local seen = 0
      for event in object.maps.events:each() do
        seen = seen + 1
        if seen %% 2 == 0 then ffi.C.getpgid(0) end
      end
      print(seen > 1000)]]):format(helper.fixtures))
    local job = attached(helper.luaprobe .. " " .. directory .. "/busy.lua")
    helper.sleep(0.3)
    job.signal(SIGINT)
    local out, _, status = job.wait()
    assert.are.same({ "true\n", 0 }, { out, status })
  end)

  it("ends at once at the second Ctrl-C", function()
    local job = attached(script [[
      for _ in object.maps.events:each() do end
      io.stderr:write 'busy\n'
      while true do end]])
    job.signal(SIGINT)
    assert.is_true(helper.eventually(10, function() return job.err():find "busy" end))
    job.signal(SIGINT)
    local _, _, status = job.wait()
    assert.are.equal(128 + SIGINT, status)
    sweep()
  end)

  it("without an event loop has the signals' default action", function()
    local job = attached(script "while true do end")
    job.signal(SIGTERM)
    assert.are.equal(128 + SIGTERM, select(3, job.wait()))
    sweep()
  end)

  it("leaves nothing attached when it is killed", function()
    for _, signal in ipairs { SIGKILL, SIGHUP } do
      local job = attached(script "for _ in object.maps.events:each() do end")
      assert.is_true(helper.holdings().programs > 0)
      job.signal(signal)
      assert.are.equal(128 + signal, select(3, job.wait()))
    end
    sweep()
  end)

  it("leaves nothing attached when the script fails, and points at its line", function()
    local _, err, status = helper.run(script "error 'on purpose'")
    assert.are.equal(1, status)
    assert.is_truthy(err:find("script.lua:5: on purpose", 1, true), err)
    _, err, status = helper.run(script "object.maps.events.x.y = 1")
    assert.are.equal(1, status)
    assert.is_truthy(err:find("script.lua:5: attempt to index field 'x'", 1, true), err)
  end)

  it("has shown all output before it takes away what it attached, which can take a while", function()
    local dies = "local ffi = require 'ffi' ffi.cdef 'int kill(int, int); int getpid(void);' shown = newproxy(true) "
      .. "getmetatable(shown).__gc = function() ffi.C.kill(ffi.C.getpid(), 9) end print 'shown' "
    for _, last in ipairs { "", "os.exit(0)" } do
      local out = helper.luaprobe_run("-e " .. helper.quote(dies .. last) .. " | cat")
      assert.are.equal("shown\n", out)
    end
  end)

  it("may exit from inside its loop", function()
    -- os.exit frees nothing, the end of the process does: no leak, whatever a sanitizer thinks.
    local job = attached("env ASAN_OPTIONS=detect_leaks=0 " .. script [[
      for _ in object.maps.events:each { max_delay = 0.01 } do end
      os.exit(7)]])
    job.signal(SIGINT)
    assert.are.equal(7, select(3, job.wait()))
  end)

  it("says so when the disk is full", function()
    local _, err, status = helper.run(("sh -c 'while :; do cat /etc/hostname >/dev/null; sleep 0.01; done' & "
      .. "timeout 20 %s opensnoop -c cat >/dev/full; status=$?; kill $!; exit $status"):format(helper.luaprobe))
    assert.are.equal(1, status)
    assert.is_truthy(err:find "standard output cannot be written: No space left on device", err)
    assert.are.equal(1, select(2, err:gsub("cannot be written", "")))
  end)

  it("does not mind a closed standard input or error", function()
    local out, _, status = helper.run("timeout 20 " .. helper.luaprobe .. " opensnoop -d 0.2 <&- 2>&-")
    assert.are.equal(0, status)
    assert.is_truthy(out:find "PATH")
  end)

  it("can be two at once, each with all its events", function()
    local jobs = {}
    for i = 1, 2 do
      jobs[i] = helper.start(helper.luaprobe .. " opensnoop -c cat")
      assert.is_true(helper.eventually(30, function() return jobs[i].out():find "PATH" end))
    end
    helper.run "cat /etc/hostname"
    helper.sleep(0.2)
    for i = 1, 2 do
      jobs[i].signal(SIGINT)
      local out = jobs[i].wait()
      assert.are.equal(1, select(2, out:gsub(" /etc/hostname\n", "")))
    end
  end)
end)
