-- Objects that are not loaded: which program or map it was, why, and what mends it.
local helper = require "helper"

if not helper.is_root() then
  describe("a refusal", function() pending "needs root" end)
  return
end

describe("a refusal", function()
  helper.check_leaks(before_each, after_each)

  local function refuse(name, prepare)
    local object = helper.open "refused"
    for _, program in ipairs(object.programs) do program:set_autoload(program.name == name) end
    if prepare then prepare(object) end
    local ok, failure = pcall(object.load, object)
    object:close()
    if ok then return nil end
    assert.are.equal("load", failure.stage)
    assert.is_nil(failure.message:find("failed to load", 1, true), failure.message)
    return failure.message, failure.hint or ""
  end

  for name, told in pairs {
    no_function = { "no_function", "fentry/vfs_raed", "no function vfs_raed", "did you mean vfs_read" },
    no_tracepoint = { "no_tracepoint", "no tracepoint no_such_tracepoint", "luaprobe list 'tp_btf:*'" },
    no_hook = { "no_hook", "no security hook no_such_hook", "bpf_lsm_" },
    no_program = { "no_program", "freplace" },
    no_kind = { "no_kind", "'nonsense/function'", "set_autoload(false)" },
    no_helper = { "no_helper", "unknown#999", "no such helper" },
  } do
    it("names the cause and the mend: " .. name, function()
      local message, hint = refuse(name)
      assert.is_truthy(message)
      for _, part in ipairs(told) do assert.is_truthy((message .. hint):find(part, 1, true), message .. hint) end
    end)
  end

  it("of a helper that came later tells since when there is one", function()
    local message, hint = refuse "with_cookie"
    if helper.kernel_version() >= 5015 then return assert.is_nil(message) end
    assert.is_truthy(hint:find("bpf_get_attach_cookie needs Linux 5.15", 1, true), message .. hint)
  end)

  it("is none for a section that only newer versions of libbpf know", function()
    assert.is_nil((refuse "for_many"))
  end)

  it("of a map tells which and why", function()
    local message, hint = refuse("for_many", function(object) object.maps.table.max_entries = 2 ^ 31 - 1 end)
    assert.is_truthy(message:find("map 'table': failed to create", 1, true), message)
    assert.is_truthy(hint:find("max_entries", 1, true), hint)
  end)

  it("for want of descriptors says so", function()
    for _, limit in ipairs { 8, 12 } do
      local _, err, status = helper.run(("ulimit -n %d; %s -e 'require \"luaprobe\".load \"opensnoop\"'"):format(
        limit, helper.luaprobe))
      assert.are.equal(1, status)
      assert.is_truthy(err:find("ulimit -n 1024", 1, true), err)
    end
  end)

  it("for want of /sys says so", function()
    local load = ([[%s -e "require [=[luaprobe]=].load [=[%s]=]"]]):format(helper.luaprobe,
      helper.absolute(helper.fixtures .. "constants.bpf.o"))
    local _, err, status = helper.run(("unshare -m sh -c 'umount -l /sys; %s'"):format(load))
    assert.are.equal(1, status)
    assert.is_truthy(err:find("mount -t sysfs", 1, true), err)
  end)
end)
