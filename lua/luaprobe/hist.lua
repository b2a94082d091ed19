--- lp.hist: histograms as text.
-- @module luaprobe.hist
local err = require "luaprobe.error"
local takes = require "luaprobe.takes"

local M = {}

local WIDTH = 40

local function bar(count, most)
  return ("@"):rep(math.floor(count / most * WIDTH + 0.5))
end

-- The first and last slot that hold something.
local function range(slots)
  local first, last, most
  for i, slot in ipairs(slots) do
    if slot.count > 0 then
      first, last, most = first or i, i, math.max(most or 0, slot.count)
    end
  end
  return first, last, most
end

local function check_slots(slots)
  if type(slots) ~= "table" then err.misuse("lp.hist takes a list of slots, not a %s", type(slots)) end
  for i, slot in ipairs(slots) do
    for _, name in ipairs { "from", "to", "count" } do
      if type(slot) ~= "table" or type(slot[name]) ~= "number" then
        err.misuse("lp.hist: slot %d has no number '%s': a slot is { from = …, to = …, count = … }", i, name)
      end
    end
  end
end

local OPTIONS = { title = true, unit = true }

--- Draws a histogram, from the first to the last slot that holds something.
--
--     print(lp.hist { { from = 0, to = 1, count = 3 }, { from = 2, to = 3, count = 9 } })
-- @tparam {{from=,to=,count=},…} slots
-- @tparam[opt] table opts `title`: a line above; `unit`: what `from` and `to` are counted in
-- @treturn string lines
function M.text(slots, opts)
  check_slots(slots)
  opts = takes.options("lp.hist", opts, OPTIONS)
  local lines = {}
  if opts.title then lines[#lines + 1] = tostring(opts.title) end
  local first, last, most = range(slots)
  if not first then
    lines[#lines + 1] = "  (nothing yet)"
    return table.concat(lines, "\n")
  end
  lines[#lines + 1] = ("%10s .. %-10s %9s"):format(tostring(opts.unit or "from"), "", "COUNT")
  for i = first, last do
    local slot = slots[i]
    lines[#lines + 1] = ("%10.0f .. %-10.0f %9.0f |%-" .. WIDTH .. "s|"):format(slot.from, slot.to, slot.count,
      bar(slot.count, most))
  end
  return table.concat(lines, "\n")
end

return M
