--- Field expressions as text, taken apart: `file->f_path.dentry->d_name.name:str`, `how->flags:x`.
--
--     [NAME =] BASE { ->MEMBER | .MEMBER | [INDEX] } [:FORMAT]
--
-- What the names mean is luaprobe.fetch's affair.
-- @module luaprobe.expression
local err = require "luaprobe.error"

local M = {}

local FORMATS = { str = true, ustr = true, x = true, d = true, d32 = true, sym = true, ip = true }

--- Raises that an expression is wrong.
-- @tparam string text the expression
-- @tparam string reason
-- @tparam[opt] string hint
function M.wrong(text, reason, hint)
  err.raise { code = "EINVAL", stage = "expression", message = ("%s: %s"):format(text, reason), hint = hint }
end

local function parse_step(text, at)
  local operator, name, next_at = text:match("^%s*(%->)%s*([%a_][%w_]*)()", at)
  if not operator then operator, name, next_at = text:match("^%s*(%.)%s*([%a_][%w_]*)()", at) end
  if operator then return { operator = operator, name = name }, next_at end
  local index
  index, next_at = text:match("^%s*%[%s*(%d+)%s*%]()", at)
  if index then return { operator = "[]", index = tonumber(index) }, next_at end
end

local function parse_format(text, at)
  local format, rest = text:match("^%s*:%s*([%w_]+)%s*()", at)
  if not format then return nil, text:match("^%s*()", at) end
  if not FORMATS[format] then
    M.wrong(text, ("there is no format '%s'"):format(format),
      "formats are str, ustr (user space), x, d, d32, sym and ip")
  end
  return format, rest
end

--- Takes one expression apart.
-- @tparam string text
-- @treturn table `text` (without name and format), `name`, `base`, `steps`, `format`
-- @raise error of stage "expression"
function M.parse(text)
  text = text:match "^%s*(.-)%s*$"
  local name, rest = text:match "^([%a_][%w_]*)%s*=%s*([^=].*)$"
  local whole = rest or text
  local base, at = whole:match "^([%a_][%w_]*)()"
  if not base then
    M.wrong(text == "" and "an empty expression" or text, "it begins with the name of an argument or a field",
      "write for example  count, file->f_flags:x, ret")
  end
  local steps = {}
  local step, next_at = parse_step(whole, at)
  while step do
    steps[#steps + 1], at = step, next_at
    step, next_at = parse_step(whole, at)
  end
  local own = whole:sub(1, at - 1)
  local format, last = parse_format(whole, at)
  if last <= #whole then
    M.wrong(text, ("'%s' is not understood"):format(whole:sub(last)),
      "expressions are names with ->MEMBER, .MEMBER, [NUMBER] and at last :FORMAT")
  end
  return { text = own, name = name or own, base = base, steps = steps, format = format }
end

--- Takes a list of expressions apart: "dfd, filename:ustr".
-- @tparam[opt] string text
-- @treturn {table,…}
-- @raise error of stage "expression"
function M.parse_list(text)
  local list = {}
  if not text or not text:find "%S" then return list end
  for part in (text .. ","):gmatch "([^,]*)," do list[#list + 1] = M.parse(part) end
  return list
end

return M
