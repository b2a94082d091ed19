-- help.lua: collects the LDoc comments of the Lua library; run by the build with LuaJIT.
--
--   luajit help.lua MODULE.lua REFERENCE.md SOURCE.lua…
--
-- Both come from the same text: MODULE is what help() shows at the prompt, by the line at which a function is defined,
-- REFERENCE is for reading.
local module_path, reference_path = arg[1], arg[2]

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

-- What is defined in a line of code: its name, and how it is called.
local function definition(line, module)
  local name, parameters = line:match "^function ([%w_.:]+)(%b())"
  if not name then name, parameters = line:match "^local function ([%w_]+)(%b())" end
  if name then return name:gsub("^M([.:])", module .. "%1"), parameters end
  name = line:match "^  ([%w_]+) = "
  if name then return "lp." .. name, "" end
  if line:find "^return function" then return module, line:match "function(%b())" end
end

-- The comment that begins at a line with three dashes: its text, and the number of the line behind it.
local function comment(lines, i)
  local text = { (lines[i]:gsub("^%s*%-%-%-%s?", "")) }
  i = i + 1
  while lines[i] and lines[i]:find "^%s*%-%-" and not lines[i]:find "^%s*%-%-%-" do
    text[#text + 1] = (lines[i]:gsub("^%s*%-%-%s?", ""))
    i = i + 1
  end
  return text, i
end

-- "@tparam[opt] string name what" as "  name (string, optional): what".
local function readable(line)
  local optional, type, name, rest = line:match "^@tparam(%[?[^%]%s]*%]?)%s+(%S+)%s+(%S+)%s*(.*)$"
  if type then return ("  %s (%s%s): %s"):format(name, type, optional ~= "" and ", optional" or "", rest) end
  name, rest = line:match "^@param%s+(%S+)%s*(.*)$"
  if name then return ("  %s: %s"):format(name, rest) end
  type, rest = line:match "^@treturn%s+(%S+)%s*(.*)$"
  if type then return ("  returns %s: %s"):format(type, rest) end
  rest = line:match "^@return%s*(.*)$"
  if rest then return "  returns " .. rest end
  rest = line:match "^@raise%s*(.*)$"
  if rest then return "  raises " .. rest end
  return line
end

local entries, reference = {}, { "# Reference\n\nWritten by the build from the comments of `lua/luaprobe/`.\n" }

local function add(path, module, name, parameters, line, text)
  for i, each in ipairs(text) do text[i] = readable(each) end
  local body = table.concat(text, "\n")
  entries[#entries + 1] = ("  { place = %q, name = %q, call = %q, text = %q },\n"):format(
    path .. ":" .. line, name:find "[.:]" and name or module .. "." .. name, name .. parameters, body)
  reference[#reference + 1] = ("### `%s%s`\n\n%s\n"):format(name, parameters, body)
end

-- What is said of a module: its tables and examples are what its functions refer to.
local function add_prose(text)
  local lines = {}
  for _, line in ipairs(text) do
    if not line:find "^@module" then lines[#lines + 1] = line end
  end
  reference[#reference + 1] = table.concat(lines, "\n") .. "\n"
end

for n = 3, #arg do
  local path = arg[n]:match "lua/luaprobe/.*$"
  local module = "luaprobe." .. path:match "([%w_]+)%.lua$"
  if module == "luaprobe.init" then module = "lp" end
  local lines, i = lines_of(arg[n]), 1
  reference[#reference + 1] = "## " .. module .. "\n"
  while i <= #lines do
    if lines[i]:find "^%s*%-%-%-[^%-]" or lines[i]:find "^%s*%-%-%-$" then
      local text
      text, i = comment(lines, i)
      local name, parameters = definition(lines[i] or "", module)
      if name then add(path, module, name, parameters, i, text) else add_prose(text) end
    else
      i = i + 1
    end
  end
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

write(module_path, "return {\n" .. table.concat(entries) .. "}\n")
write(reference_path, table.concat(reference, "\n"))
