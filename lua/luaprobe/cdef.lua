--- The only door to C: luaprobe.h's declarations, as a table of functions.
-- The host exports them from its own executable, so there is no library to find.
-- @module luaprobe.cdef
local ffi = require "ffi"

-- Declarations live as long as the process; test runners load modules anew.
if not pcall(ffi.typeof, "struct lp_error") then ffi.cdef(require "luaprobe.header") end

local C = ffi.C
if C.lp_abi() ~= C.LP_ABI then
  error(("luaprobe's host has interface %d and its Lua library %d: they are of different builds")
    :format(C.lp_abi(), C.LP_ABI), 0)
end
return C
