--- Files that the library reads for itself.
-- @module luaprobe.files
local M = {}

--- The whole of a file.
-- @treturn string nil when it cannot be read
function M.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

--- Whether a file can be opened.
function M.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

return M
