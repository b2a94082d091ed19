--- What luaprobe's own command line takes: the one source of its help, its manual page and its completions.
-- @module luaprobe.usage
local find = require "luaprobe.find"

local M = {}

M.SUMMARY = "Runs a Lua script that traces this machine by way of precompiled BPF programs; without one it is\n"
  .. "a prompt, at which help() tells what there is."

--- How it is called: what follows the name, and what that means.
M.FORMS = {
  { "[OPTIONS] SCRIPT [ARG...]", "SCRIPT is a file, the name of a built-in script, or - for standard input" },
  { "[OPTIONS] -e CODE [SCRIPT [ARG...]]", "CODE is Lua, and runs before SCRIPT" },
  { "[OPTIONS] [-i SCRIPT [ARG...]]", "Without SCRIPT, and with -i after it, there is a prompt" },
}

--- The options: names, what the value is called, what it does.
M.OPTIONS = {
  { "-e", "CODE", "run CODE before SCRIPT; may be given more than once" },
  { "-i", nil, "go on at the prompt, where what CODE and SCRIPT left is at hand" },
  { "--btf", "FILE", "take the kernel's types from FILE, where the kernel ships none (or LUAPROBE_BTF=FILE)" },
  { "-v", nil, "show what libbpf does, and what checking the programs took, on standard error" },
  { "--traceback", nil, "with an error, show the Lua traceback and the verifier's whole log" },
  { "-h, --help", nil, "show this" },
  { "--version", nil, "show the versions of luaprobe, LuaJIT, libbpf and the kernel" },
}

M.STATUS = "0 done, 1 the script or the kernel failed, 2 wrong usage, 3 something was lost or missed and the\n"
  .. "script was run with --strict."

--- What `luaprobe --help` prints.
function M.help()
  local lines = {}
  for i, form in ipairs(M.FORMS) do
    lines[#lines + 1] = (i == 1 and "Usage: " or "       ") .. "luaprobe " .. form[1]
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = M.SUMMARY .. "\n"
  for _, form in ipairs(M.FORMS) do lines[#lines + 1] = form[2] .. "." end
  lines[#lines + 1] = "\nOptions:"
  for _, option in ipairs(M.OPTIONS) do
    local names = option[2] and option[1] .. " " .. option[2] or option[1]
    lines[#lines + 1] = ("  %-14s %s"):format(names, option[3])
  end
  lines[#lines + 1] = "\nBuilt-in scripts (each explains itself with --help):"
  for _, name in ipairs(find.builtin_scripts()) do lines[#lines + 1] = "  " .. name end
  lines[#lines + 1] = "\nExit status: " .. M.STATUS .. "\n"
  return table.concat(lines, "\n")
end

return M
