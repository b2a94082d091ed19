--- `luaprobe pack` and `luaprobe unpack`: files in, files out.
-- @module luaprobe.packing
local C = require "luaprobe.cdef"
local clang = require "luaprobe.clang"
local cli = require "luaprobe.cli"
local err = require "luaprobe.error"
local find = require "luaprobe.find"
local pack = require "luaprobe.pack"
local text_of = require("luaprobe.text").of

local M = {}

-- "x86_64,arm64" as a list.
local function architectures(text)
  if not text then return { clang.here } end
  local list, seen = {}, {}
  for name in (text .. ","):gmatch "([^,]*)," do
    if not clang.ARCHITECTURES[name] then
      cli.usage_error(("pack: there is no architecture '%s': x86_64 and arm64 are known"):format(name))
    end
    if not seen[name] then list[#list + 1] = name end
    seen[name] = true
  end
  return list
end

local NEW_FILE = 438 -- 0666, less what the umask takes away

-- Writes the result to where it was asked for, or over the script.
local function write(text, script, path, output)
  output = output or (script == "-" and "-") or path
  if not output then cli.usage_error(("'%s' is built in: say where to write it with -o FILE"):format(script)) end
  if output == "-" then
    io.stdout:write(text)
    return
  end
  local mode = path and C.lp_file_mode(path) or -1
  err.check(C.lp_file_replace(output, text, #text, mode >= 0 and mode or NEW_FILE))
end

--- Packs a script file.
-- @tparam string script a path, the name of a built-in script, or "-"
-- @tparam[opt] string output a path or "-"
-- @tparam[opt] string arch "x86_64,arm64"
function M.pack(script, output, arch)
  local list = architectures(arch)
  local text, name, path = find.read_script(script)
  local packed, report = pack.pack(name, path, text, list)
  write(packed, script, path, output)
  for _, note in ipairs(report.notes) do io.stderr:write(("luaprobe: %s: %s\n"):format(name, text_of(note))) end
  for _, row in ipairs(report) do
    io.stderr:write(("packed %s for %s: %d bytes, as %d bytes of text\n"):format(row.name, row.arch, row.size,
      row.text_size))
  end
end

--- Unpacks a script file; the parameters are those of pack.
function M.unpack(script, output)
  local text, name, path = find.read_script(script)
  write(pack.unpack(name, text), script, path, output)
end

return M
