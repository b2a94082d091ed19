--- Rows of aligned columns.
-- @module luaprobe.columns
local err = require "luaprobe.error"
local text = require "luaprobe.text"

local M = {}

local WIDEST = 99 -- that string.format pads to; wider columns are padded here

local function pad_right(value, width)
  value = tostring(value)
  return value .. (" "):rep(width - #value)
end

local function pad_left(value, width)
  value = tostring(value)
  return (" "):rep(width - #value) .. value
end

-- "PID:-7" is a column 7 wide, aligned left; "FD:>3" one 3 wide, aligned right; "PATH" takes what is left. Returns the
-- title, its format, and what pads a value beforehand, as Lua.
local function parse(spec)
  if type(spec) ~= "string" then err.misuse("a column is given as a string like 'PID:-7', not as a %s", type(spec)) end
  local title, align, width = spec:match "^([^:]+):([->])(%d+)$"
  if title and tonumber(width) > WIDEST then
    return title, "%s", ("%s(%%s, %d)"):format(align == "-" and "pad_right" or "pad_left", width)
  end
  if title then return title, "%" .. (align == "-" and "-" or "") .. width .. "s", "%s" end
  if spec:find ":" then err.misuse("column '%s': write NAME:-WIDTH (left), NAME:>WIDTH (right) or NAME", spec) end
  return spec, "%s", "%s"
end

-- Source of a function for exactly these columns: no loop and no table per row, so the JIT compiles it to one format.
local ROW = [[
local format, out, of, pad_left, pad_right = ...
return function(_, %s)
  out:write(format("%s\n", %s))
end]]

local function compile(formats, pads, positions, count)
  local parameters, values = {}, {}
  for i = 1, count do parameters[i] = "v" .. i end
  for i, position in ipairs(positions) do values[i] = pads[i]:format(("of(v%d)"):format(position)) end
  local source = ROW:format(table.concat(parameters, ", "), table.concat(formats, " "), table.concat(values, ", "))
  return assert(loadstring(source, "@lua/luaprobe/columns.lua: row"))(string.format, io.stdout, text.of, pad_left,
    pad_right)
end

local as_json = false

--- Makes the rows of all columns objects of JSON from now on, without a header (--json).
function M.set_json()
  as_json = true
end

--- Prints the header, and makes what prints the rows.
--
--     local out = lp.columns{ "PID:-7", "COMM:-16", "FD:>3", args.extended and "FLAGS:-8", "PATH" }
--     out:row(event.pid, event.comm, event.fd, event.flags, event.path)
--
-- A column that is false is left out, and so is its value. Values are shown by luaprobe.text.of. What is longer than
-- its column moves the rest of the line instead of being cut. With --json there is no header, and each row is an object
-- with the titles in lower case as keys (of two that are the same the second one has _2 behind it): see luaprobe.json.
-- @tparam {string|false,…} specs
-- @treturn table `row(value, …)`
function M.new(specs)
  if type(specs) ~= "table" then err.misuse("lp.columns takes a list of columns, not a %s", type(specs)) end
  local titles, formats, pads, positions, headings, count = {}, {}, {}, {}, {}, table.maxn(specs)
  for i = 1, count do
    if specs[i] then
      local n = #titles + 1
      titles[n], formats[n], pads[n] = parse(specs[i])
      positions[n], headings[i] = i, titles[n]
    end
  end
  if #titles == 0 then err.misuse("lp.columns takes a list of at least one column") end
  if as_json then return { row = require("luaprobe.json").row(titles, positions, count) } end
  local row = compile(formats, pads, positions, count)
  row(nil, unpack(headings, 1, count))
  return { row = row }
end

return M
