--- Patterns for names: with *, ? and [abc], as a shell has them. C matches them (lp_glob_matches).
-- @module luaprobe.pattern
local M = {}

--- What a pattern begins with before its first special character.
function M.literal_prefix(pattern)
  return pattern:match "^[^*?%[]*"
end

--- Whether a text stands for several names.
function M.is_pattern(text)
  return text:find "[*?%[]" ~= nil
end

return M
