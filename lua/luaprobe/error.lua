--- Errors, as a part of the product: what was being done to what, why it failed, what mends it.
--
-- An action that fails raises a table `{code, stage, message, hint, log, where}`; `tostring` of it is the short
-- paragraph that the host prints. Misuse of the library raises an ordinary string at the caller's line.
-- @module luaprobe.error
local ffi = require "ffi"
local C = require "luaprobe.cdef"

local M = {}

local Error = {}
Error.__index = Error

function Error:__tostring()
  local text = self.where and self.where .. ": " .. self.message or self.message
  return self.hint and text .. "\n  hint: " .. self.hint or text
end

local function string_or_nil(pointer)
  return pointer ~= nil and ffi.string(pointer) or nil
end

local is_command = false -- what runs is one of luaprobe's own commands: its lines say nothing to the reader

-- The first line outside of this library: what the reader of the message can change.
local function caller()
  if is_command then return nil end
  for level = 3, 60 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.currentline > 0 and not info.source:find("^@lua/luaprobe/") then
      return info.short_src .. ":" .. info.currentline
    end
  end
end

-- Nobody reads a path of a thousand letters to its end; both ends tell which it is.
local LONGEST, END = 300, 120

local function cut(text)
  return (text:gsub("%S+", function(word)
    return #word > LONGEST and word:sub(1, END) .. "…" .. word:sub(-END) or nil
  end))
end

--- Calls a function whose errors are told without the line that called it.
function M.as_command(call, ...)
  is_command = true
  local ok, result = pcall(call, ...)
  is_command = false
  if not ok then error(result, 0) end
  return result
end

--- Raises a structured error.
-- @tparam table fields `{code = "ENOENT", stage = "attach", message = "…", hint = "…"}`; hint and code may be missing;
--   `where = false` when the message says the place itself
function M.raise(fields)
  if fields.where == nil then fields.where = caller() end
  fields.message = cut(fields.message)
  error(setmetatable(fields, Error), 0)
end

--- The error of the C function that just failed, not raised.
-- @treturn table the same fields as a raised error
function M.last()
  local last = C.lp_error_last()
  return setmetatable({
    code = ffi.string(last.name),
    stage = ffi.string(last.stage),
    message = ffi.string(last.message),
    hint = string_or_nil(last.hint),
    log = string_or_nil(last.log),
  }, Error)
end

--- Passes on what a C function returned, or raises its error.
-- @param result a count or 0, a negative errno, or a pointer that is NULL on failure
-- @return result
function M.check(result)
  if result == nil or type(result) == "number" and result < 0 then M.raise(M.last()) end
  return result
end

--- Raises a misuse of the library at the line that called it: the first one outside of the library.
-- @tparam string format as string.format's
function M.misuse(format, ...)
  local where = caller()
  error((where and where .. ": " or "") .. cut(format:format(...)), 0)
end

-- Taken before a script can put something else in their place.
local find, gsub, string_format, byte = string.find, string.gsub, string.format, string.byte

local function escape(char)
  return string_format("\\x%02x", byte(char))
end

-- What FFI says of a write through a constant pointer, and what it means here.
local CONSTANT = "attempt to write to constant location"
local CONSTANT_HINT = "\n  hint: an event is the buffer's own memory: lp.copy(event) can be written"

--- Whatever was raised, as text: a `__tostring` may fail itself, and what a script quotes may drive a terminal.
-- @treturn string lines without control characters
function M.text_of(failure)
  local ok, text = pcall(tostring, failure)
  if ok and type(text) == "string" then
    if find(text, CONSTANT, 1, true) then text = text .. CONSTANT_HINT end
    return (gsub(text, "[%z\1-\8\11-\31\127]", escape))
  end
  return ("an error that is a %s and cannot be shown: its __tostring %s"):format(type(failure),
    ok and "gives no string" or "fails")
end

--- Whether a value is a text that C can take for a path: without a NUL, and no longer than the kernel's PATH_MAX.
function M.is_path(value)
  return type(value) == "string" and value ~= "" and #value < 4096 and not value:find "%z"
end

--- Whether a caught value is a structured error.
function M.is(value)
  return getmetatable(value) == Error
end

return M
