--- What the one-liners and the methods of their objects take, checked: a slip at the prompt is told in its own words.
-- @module luaprobe.takes
local err = require "luaprobe.error"

local M = {}

local FOREVER = 1e9 -- seconds: thirty years

--- A value as messages name it.
function M.shown(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "number" or type(value) == "boolean" or value == nil then return tostring(value) end
  return "a " .. type(value)
end

local function not_a_method_call(object, name)
  err.misuse("%s is called with a colon: %s:%s(…), not %s.%s(…)", name, object, name, object, name)
end

--- Raises a misuse unless a method was called on an object that has it: c.top(3) is easily typed for c:top(3).
-- @tparam table class the objects' metatable
-- @param self
-- @tparam string name of the method
function M.method(class, self, name)
  if getmetatable(self) ~= class then not_a_method_call("OBJECT", name) end
end

--- The same for a method of maps, which have a metatable for each kind.
function M.map_method(self, name)
  if not require("luaprobe.map").is(self) then not_a_method_call("MAP", name) end
end

--- A whole number from 1 on, or nil.
-- @tparam string what its name for the message
function M.many(what, value)
  if value == nil or type(value) == "number" and value >= 1 and value < 2 ^ 31 and value % 1 == 0 then return end
  err.misuse("%s is a whole number from 1 on, not %s", what, M.shown(value))
end

--- What a process, a thread or a user is known by, or nil.
function M.id(what, value)
  if value == nil or type(value) == "number" and value >= 0 and value < 2 ^ 32 and value % 1 == 0 then return end
  err.misuse("%s is a whole number from 0 on, not %s", what, M.shown(value))
end

--- A user's number, or nil: not (uid_t)-1, which the kernel keeps for "none" and the filter for any.
function M.user(what, value)
  M.id(what, value)
  if value == 2 ^ 32 - 1 then err.misuse("%s is no user: the kernel keeps 4294967295 for \"none\"", what) end
end

local COMM_LENGTH = 15 -- TASK_COMM_LEN is 16 with the NUL

--- What a process can be called, or nil.
function M.comm(what, value)
  if value == nil or type(value) == "string" and #value >= 1 and #value <= COMM_LENGTH then return end
  err.misuse("%s is a text of 1 to %d characters, not %s", what, COMM_LENGTH, M.shown(value))
end

--- A time, or nil.
function M.seconds(what, value)
  if value == nil or type(value) == "number" and value > 0 and value < FOREVER then return end
  err.misuse("%s takes a number of seconds, not %s", what, M.shown(value))
end

--- A time that may be none at all, or for ever; or nil.
function M.delay(what, value)
  if value == nil or type(value) == "number" and value >= 0 then return end
  err.misuse("%s is a number of seconds, not %s", what, M.shown(value))
end

--- How often something happened.
function M.count(what, value)
  if type(value) == "number" and value >= 0 and value < math.huge then return end
  err.misuse("%s is a number from 0 on, not %s", what, M.shown(value))
end

--- True, false, or nil.
function M.switch(what, value)
  if value == nil or type(value) == "boolean" then return end
  err.misuse("%s is true or false, not %s", what, M.shown(value))
end

--- A table of options that are known, or nil.
-- @tparam string what whose they are
-- @tparam[opt] table opts
-- @tparam table known by name: true, or what checks the option's value, called with "WHAT: NAME" and the value
-- @treturn table the options
function M.options(what, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then err.misuse("%s takes a table of options, not %s", what, M.shown(opts)) end
  for name, value in pairs(opts) do
    local check = known[name]
    if not check then
      local names = {}
      for each in pairs(known) do names[#names + 1] = each end
      table.sort(names)
      err.misuse("%s has no option '%s'; it has %s", what, tostring(name), table.concat(names, ", "))
    end
    if check ~= true then check(what .. ": " .. name, value) end
  end
  return opts
end

return M
