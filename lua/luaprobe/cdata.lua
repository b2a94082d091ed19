--- What kind of thing FFI data is, for showing it.
-- @module luaprobe.cdata
local bit = require "bit"
local ffi = require "ffi"

local M = {}

local kinds = {} -- by the number of the FFI type: telling it takes text, and values come once per event

-- By the type as FFI writes it. `char` and a number of its size and sign are one type to FFI, and not told apart.
local function kind_of_type(type)
  local text = tostring(type):match "^ctype<(.*)>$"
  if text:find "^const char %(?&?%)? ?%[[%d?]*%]$" or text:find "^char %(?&?%)? ?%[[%d?]*%]$" then return "text" end
  if text:find "^const char %*" or text:find "^char %*" then
    return text:find "^[^*%[]*%*[^*%[]*$" and "string" or text:find "%[" and "array" or "pointer"
  end
  if text:find "%[%d+%]" and not text:find "%(%*%)" then return "array" end
  return text:find "%*" and "pointer" or "other"
end

--- Whether it is a type, as ffi.typeof gives it: to tonumber it is a number, to ffi.istype a value of the type.
function M.is_type(value)
  return tonumber(value) ~= nil and tostring(value):find "^ctype<" ~= nil
end

--- The name of a cdata's type as FFI writes it; events are constant, which makes no difference to who shows them.
function M.type_name(value)
  return (tostring(ffi.typeof(value)):match "^ctype<(.*)>$":gsub("^const ", ""))
end

--- The kind of a cdata.
-- @treturn string "text" (an array of `char`), "string" (a pointer to `char`), "array", "pointer", "bool", "scalar"
--   (numbers and enumerations, which tonumber takes) or "other": structs, types, functions
function M.kind(value)
  if tonumber(value) then -- a number, or a type, which gives its own number
    if M.is_type(value) then return "other" end
    return ffi.istype("bool", value) and "bool" or "scalar"
  end
  local number = tonumber(ffi.typeof(value))
  local kind = kinds[number]
  if not kind then
    kind = kind_of_type(ffi.typeof(value))
    kinds[number] = kind
  end
  return kind
end

--- How many elements an array has.
function M.count(value)
  return tonumber(tostring(ffi.typeof(value)):match "%[(%d+)%]")
end

--- A pointer as text: "0x10".
function M.address(value)
  return "0x" .. (bit.tohex(ffi.cast("uintptr_t", value), 16):gsub("^0+(%x)", "%1"))
end

return M
