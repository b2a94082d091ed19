-- Objects: whatever a plain libbpf loader can load on this kernel, luaprobe loads too.
local embedded = require "helpers.embedded"
local helper = require "helper"
local lp = require "luaprobe"

if not helper.is_root() then
  describe("objects", function() pending "needs root" end)
  return
end

local function loaded_by_libbpf(paths)
  local out, err, status = helper.run(helper.build .. "/tests/loader " .. table.concat(paths, " "))
  assert.are.same({ "", 0 }, { err, status })
  local loaded, count = {}, 0
  for path, result in out:gmatch "(%S+) (%a+)\n" do
    loaded[path] = result == "ok" or nil
    count = count + 1
  end
  assert.are.equal(#paths, count)
  return loaded
end

local function loaded_by_luaprobe(paths)
  local loaded, reasons = {}, {}
  for _, path in ipairs(paths) do
    local ok, result = pcall(lp.load, path)
    if ok then result:close() else reasons[path] = tostring(result) end
    loaded[path] = ok or nil
  end
  return loaded, reasons
end

-- The objects that one of two sets has and the other lacks.
local function difference(paths, has, lacks)
  local names = {}
  for _, path in ipairs(paths) do
    if has[path] and not lacks[path] then names[#names + 1] = path end
  end
  return names
end

local function size(set)
  local count = 0
  for _ in pairs(set) do count = count + 1 end
  return count
end

-- What luaprobe loads and libbpf does not: a ring buffer with a value type, which kernels refuse; it is left out here.
local MORE = { ["foreign.bpf.o"] = true }

describe("what libbpf loads, luaprobe loads:", function()
  helper.check_leaks(before_each, after_each)

  local function compare(what, paths)
    local theirs = loaded_by_libbpf(paths)
    local ours, reasons = loaded_by_luaprobe(paths)
    for _, path in ipairs(difference(paths, theirs, ours)) do print("# refused: " .. path .. ": " .. reasons[path]) end
    print(("# %d of %d %s load on this kernel"):format(size(theirs), #paths, what))
    assert.are.same({}, difference(paths, theirs, ours), "luaprobe refuses them")
    for _, path in ipairs(difference(paths, ours, theirs)) do assert.is_truthy(MORE[path:match "[^/]*$"], path) end
    return theirs
  end

  it("the fixtures", function()
    local paths = {}
    for path in helper.run(("ls %s*.bpf.o"):format(helper.fixtures)):gmatch "%S+" do paths[#paths + 1] = path end
    local loaded = compare("fixtures", paths)
    for _, name in ipairs { "burst", "constants", "getpgid", "references" } do
      assert.is_true(loaded[helper.fixtures .. name .. ".bpf.o"], name)
    end
    assert.is_nil(loaded[helper.fixtures .. "rejected.bpf.o"])
  end)

  it("the objects of libbpf-tools", function()
    local paths = embedded.libbpf_tools(helper.build .. "/tests/libbpf-tools")
    if #paths == 0 then return pending "libbpf-tools is not installed" end
    assert.is_true(#paths > 40, #paths)
    assert.is_true(size(compare("objects of libbpf-tools", paths)) > 5)
  end)
end)
