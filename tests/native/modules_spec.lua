-- Modules: their functions, their types, and that they come and go while a session lasts.
local helper = require "helper"

local MODULE = "/modules/loop.ko" -- tests/vm/fetch puts it there, beside the kernel that it is for
if not helper.is_root() or not helper.exists(MODULE) or helper.exists "/sys/module/loop/refcnt" then
  describe("modules", function() pending "are loaded in a guest only" end)
  return
end

local lp = require "luaprobe"

local has_types = helper.kernel_version() >= 5011

local function command(text)
  assert.are.equal(0, os.execute(text), text)
end

-- Binds an image to a loop device and takes it away.
local function use_loop(number)
  command "dd if=/dev/zero of=/tmp/image bs=4096 count=16 2>/dev/null"
  command(("losetup /dev/loop%d /tmp/image && losetup -d /dev/loop%d"):format(number, number))
end

local function refusal(...)
  local ok, failure = pcall(...)
  assert.is_false(ok)
  return tostring(failure)
end

local function load_module()
  command("insmod " .. MODULE)
  helper.sleep(0.1) -- what is loaded is looked at again
end

describe("a module that is not loaded", function()
  helper.check_leaks(before_each, after_each)

  it("is what the error names", function()
    for _, call in ipairs {
      function() lp.count "kprobe:loop:loop_configure" end, function() lp.count "kprobe:loop:*" end,
      function() lp.trace("kprobe:loop:loop_configure", "lo->lo_number") end,
      function() lp.trace("kprobe:loop:loop_conf*", "lo->lo_number") end,
    } do
      local text = refusal(call)
      assert.is_truthy(text:find "module loop", text)
      assert.is_truthy(text:find("not loaded\n  hint: load it first: sudo modprobe loop", 1, true), text)
    end
    assert.is_nil(lp.kernel_type "struct loop_device")
  end)
end)

describe("a module that was loaded after the symbols and types were read", function()
  helper.check_leaks(before_each, after_each)

  setup(load_module)
  teardown(function() command "rmmod loop" end)

  it("has functions, counted by their names", function()
    local count = lp.count("kprobe:loop:loop_*", { by = "func" })
    use_loop(2)
    local found = {}
    for _, item in ipairs(count:items()) do found[item.key] = item.count end
    count:detach()
    assert.are.equal(1, found.loop_configure)
    for name in pairs(found) do assert.is_truthy(name:find "^loop_", name) end
  end)

  it("is listed, its functions with their arguments where they are told", function()
    local out = helper.luaprobe_run "list -v 'kprobe:loop:loop_conf*'"
    assert.is_truthy(out:find "kprobe:loop_configure")
    assert.are.equal(has_types, out:find "struct loop_device %*lo" ~= nil, out)
    assert.are.equal(has_types, tostring(lp.probes "kprobe:loop_configure"):find "struct loop_device %*lo" ~= nil)
  end)

  it("has types, with which its functions' arguments are read", function()
    if not has_types then
      local text = refusal(lp.trace, "kprobe:loop_configure", "lo->lo_number")
      assert.is_truthy(text:find("loop_configure has no argument 'lo': it is in the module loop, and before Linux 5.11 "
        .. "modules do not tell their types", 1, true), text)
      return
    end
    assert.is_truthy(tostring(lp.kernel_type "struct loop_device"):find "lo_number")
    for _, target in ipairs { "kprobe:loop_configure", "kprobe:loop:loop_configure" } do
      local trace = lp.trace(target, "lo->lo_number, config->info.lo_file_name:str, lo->lo_disk[0].minors")
      use_loop(3)
      local events = trace:items()
      trace:detach()
      assert.are.equal(1, #events)
      assert.are.equal(3, events[1].lo_number)
    end
    local text = refusal(lp.trace, "kprobe:loop_configure", "lo->lo_numbr")
    local wanted = "struct loop_device has no member 'lo_numbr'\n  hint: did you mean lo_number?"
    assert.is_truthy(text:find(wanted, 1, true), text)
  end)
end)

describe("a module that was unloaded", function()
  helper.check_leaks(before_each, after_each)

  it("is gone", function()
    helper.sleep(0.1)
    assert.is_truthy(refusal(lp.count, "kprobe:loop:loop_configure"):find "is not loaded")
    assert.is_nil(lp.kernel_type "struct loop_device")
    load_module()
    local trace = lp.count "kprobe:loop_configure"
    use_loop(4)
    assert.are.equal(1, trace:total())
    trace:detach()
    command "rmmod loop"
  end)
end)
