--- The kernel's tracepoints: which there are.
-- @module luaprobe.tracepoints
local C = require "luaprobe.cdef"
local pattern_of = require "luaprobe.pattern"
local tracefs = require "luaprobe.tracefs"

local M = {}

--- The tracepoints that match.
-- @tparam string category a pattern: a name, or one with *, ? or [abc]
-- @tparam string name the same
-- @treturn {{category=,name=},…} in the order in which modules were loaded; nil and a negative errno where tracefs
--   cannot be read, of which that of EPERM is explained by err.last
function M.find(category, name)
  local literal = (pattern_of.is_pattern(category) and "" or category) .. ":" .. pattern_of.literal_prefix(name)
  local text, code = tracefs.read("available_events", literal)
  if not text then return nil, code end
  local found = {}
  for its_category, its_name in text:gmatch "([^:\n]+):([^\n]+)\n" do -- sched:sched_switch
    if C.lp_glob_matches(category, its_category) and C.lp_glob_matches(name, its_name) then
      found[#found + 1] = { category = its_category, name = its_name }
    end
  end
  return found
end

return M
