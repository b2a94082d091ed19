-- Without what tracing needs: said clearly, once, with what is missing.
local helper = require "helper"

if not helper.is_root() then
  describe("privileges", function() pending "needs root" end)
  return
end

describe("without privileges", function()
  helper.check_leaks(before_each, after_each)

  local function refused(setpriv)
    -- The binary may lie where others cannot read: they get a copy.
    local directory, remove = helper.temporary_directory()
    os.execute(("chmod 755 %s && cp %s %s/"):format(directory, helper.luaprobe, directory))
    local out, err, status = helper.run(("setpriv %s %s/luaprobe opensnoop -d 1"):format(setpriv, directory))
    remove()
    assert.are.equal("", out)
    assert.are.equal(1, status)
    assert.is_nil(err:find "traceback")
    return err
  end

  it("a plain user is told which capabilities are needed", function()
    local err = refused "--reuid 65534 --regid 65534 --clear-groups"
    assert.is_truthy(err:find("CAP_BPF and CAP_PERFMON", 1, true), err)
    assert.is_truthy(err:find("uid 65534 lacks both", 1, true), err)
    assert.is_truthy(err:find("sudo", 1, true), err)
  end)

  it("root without the capabilities is told as well", function()
    local err = refused "--bounding-set=-all --inh-caps=-all"
    assert.is_truthy(err:find("uid 0 lacks both", 1, true), err)
  end)
end)

describe("with CAP_BPF and CAP_PERFMON alone", function()
  helper.check_leaks(before_each, after_each)
  local directory, remove
  setup(function()
    directory, remove = helper.temporary_directory()
    os.execute(("chmod 755 %s && cp %s %sprobes.bpf.o %s/tests/callee %s/"):format(directory, helper.luaprobe,
      helper.fixtures, helper.build, directory))
  end)
  teardown(function() remove() end)

  local function attach(target)
    local code = ([[local object = require "luaprobe".open "%s/probes.bpf.o"
      for _, program in ipairs(object.programs) do program:set_autoload(program.name == "on_uprobe") end
      object:load() object.programs.on_uprobe:attach { target = "%s", mechanism = "perf" }]]):format(directory, target)
    helper.write(directory .. "/script.lua", code)
    local _, err, status = helper.run(("setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +bpf,+perfmon"
      .. " --ambient-caps +bpf,+perfmon %s/luaprobe %s/script.lua"):format(directory, directory))
    return err, status
  end

  it("is told what kernel.perf_event_paranoid has to do with it", function()
    local paranoid = tonumber(helper.read "/proc/sys/kernel/perf_event_paranoid")
    local err, status = attach("uprobe:" .. directory .. "/callee:callee")
    if status == 0 then return assert.is_true(paranoid <= 2) end
    assert.is_nil(err:find("security module", 1, true), err)
    assert.is_truthy(err:find("CAP_SYS_ADMIN", 1, true), err)
    if paranoid > 2 then
      assert.is_truthy(err:find("kernel.perf_event_paranoid is " .. paranoid, 1, true), err)
      assert.is_truthy(err:find("sysctl kernel.perf_event_paranoid=2", 1, true), err)
    end
  end)

  it("is given the command that mounts tracefs, where nobody has", function()
    local code = [[require "luaprobe".open "opensnoop":attach { first = { "tracepoint" } }]]
    helper.write(directory .. "/tracepoint.lua", code)
    local _, err, status = helper.run(([[unshare -m /bin/sh -c 'umount -l /sys/kernel/debug 2>/dev/null
      umount -l /sys/kernel/tracing 2>/dev/null
      exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +bpf,+perfmon --ambient-caps +bpf,+perfmon \
      DIR/luaprobe DIR/tracepoint.lua']]):gsub("DIR", directory))
    assert.are.equal(1, status)
    assert.is_truthy(err:find("sudo mount -t tracefs nodev /sys/kernel/tracing", 1, true), err)
  end)
end)

describe("without tracefs", function()
  helper.check_leaks(before_each, after_each)

  it("tracepoints work all the same, and the machine's mounts stay as they are", function()
    local command = [[unshare -m sh -c 'umount /sys/kernel/tracing 2>/dev/null; umount /sys/kernel/debug 2>/dev/null;
      cat /proc/self/mountinfo | cut -d " " -f 5 >&2; ]] .. helper.luaprobe .. [[ -e "
        local object = require [=[luaprobe]=].open([=[opensnoop]=])
        print(#object:attach { first = { [=[tracepoint]=] } })"
      cat /proc/self/mountinfo | cut -d " " -f 5 >&2']]
    local out, err, status = helper.run(command)
    assert.are.equal(0, status, err)
    assert.are.equal(jit.arch == "x64" and "8\n" or "4\n", out)
    local half = #err / 2
    assert.are.equal(err:sub(1, half), err:sub(half + 1))
  end)
end)
