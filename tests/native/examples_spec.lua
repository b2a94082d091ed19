-- Every example runs as its first lines say, and so does the README's script.
local helper = require "helper"

if not helper.is_root() then
  describe("examples", function() pending "needs root" end)
  return
end

-- Runs a script for as long as it takes to see known opens.
local function run(path, options)
  local opener = helper.start "sh -c 'while :; do cat /etc/hostname >/dev/null; sleep 0.01; done'"
  local out, err, status = helper.run(("timeout 30 %s %s -d 1 %s"):format(helper.luaprobe, path, options))
  opener.signal(9)
  opener.wait()
  assert.are.equal(0, status, err)
  return out
end

describe("the example", function()
  helper.check_leaks(before_each, after_each)

  it("busiest counts opens by process name", function()
    local out = run("examples/busiest.lua", "-c cat")
    local count = out:match "^   OPENS COMM\n *(%d+) cat\n$"
    assert.is_truthy(count, out)
    assert.is_true(tonumber(count) > 5)
  end)
end)

describe("the README", function()
  it("shows busiest.lua as it is", function()
    -- The guests have no README.
    if not helper.exists "README.md" then return pending "README.md is not here" end
    local readme = helper.read "README.md"
    assert.is_truthy(readme:find(helper.read "examples/busiest.lua", 1, true))
  end)
end)
