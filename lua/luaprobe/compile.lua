--- BPF programs as C text inside a script: `lp.compile[[ … ]]`.
--
-- On the author's machine clang compiles it, once: the object is kept in the user's cache. In a script that
-- `luaprobe pack` has been at, the object is in the script, found by the text's hash, and clang is not needed.
-- @module luaprobe.compile
local blocks = require "luaprobe.blocks"
local cache = require "luaprobe.cache"
local clang = require "luaprobe.clang"
local embedded = require "luaprobe.embedded"
local err = require "luaprobe.error"
local files = require "luaprobe.files"
local hash = require "luaprobe.hash"
local packed = require "luaprobe.packed"

local M = {}

local OPTIONS = { name = true, cflags = true, include = true }
-- Flags that shape the code. Others could make clang run or write something, and packing somebody's script is not
-- running it.
local FLAGS = { "^%-D[%a_]", "^%-U[%a_]", "^%-O[0-3sz]?$", "^%-W[%w-]*=?%w*$", "^%-std=[%w:]+$", "^%-mcpu=v[1-4]$",
  "^%-fno%-[%w-]+$", "^%-f[%w-]+$", "^%-m%-?[%w-]+$", "^%-w$", "^%-g$" }

-- Those among them that load or write something, or leave no BPF object behind.
local REFUSED = {}
for name in ([[
  plugin pass-plugin module syntax-only lto no-integrated-as emit embed-bitcode dump save-optimization-record time-trace
  profile coverage cs-profile sanitize openmp pch use-ld thinlto split xray proc-stat driver-only debug-compilation
  crash-diagnostics gnu-runtime cuda hip opencl ms- memory-profile basic-block instrument
]]):gmatch "%S+" do
  REFUSED[#REFUSED + 1] = "-f" .. name
end

local function is_refused(flag)
  for _, prefix in ipairs(REFUSED) do
    if flag:sub(1, #prefix) == prefix then return true end
  end
  return false
end

local function is_flag(flag)
  if is_refused(flag) then return false end
  for _, pattern in ipairs(FLAGS) do
    if flag:find(pattern) then return true end
  end
  return false
end

local function list(options, name)
  local value = options[name] or {}
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" then err.misuse("lp.compile: %s is a string or a list of strings", name) end
  for _, item in ipairs(value) do
    if type(item) ~= "string" or item == "" or item:find "%c" then
      err.misuse("lp.compile: %s is a list of strings", name)
    end
  end
  return value
end

--- Checks what lp.compile was given.
-- @treturn table `name` (or nil), `cflags`, `include`
function M.options(text, options)
  if type(text) ~= "string" then err.misuse("lp.compile takes C text, not a %s", type(text)) end
  if options ~= nil and type(options) ~= "table" then err.misuse "lp.compile's options are a table" end
  options = options or {}
  for name in pairs(options) do
    if not OPTIONS[name] then err.misuse("lp.compile has no option '%s'", tostring(name)) end
  end
  local name = options.name
  if name ~= nil and (type(name) ~= "string" or not name:find "^[%w_.-]+$" or #name > 200) then
    err.misuse "lp.compile: a name is made of letters, digits, _ . and -"
  end
  local cflags = list(options, "cflags")
  for _, flag in ipairs(cflags) do
    if not is_flag(flag) then
      err.misuse("lp.compile: '%s' is not a flag it takes: -DNAME=VALUE, -UNAME, -O, -W…, -f…, -mcpu=vN, -std=…", flag)
    end
  end
  return { name = name, cflags = cflags, include = list(options, "include") }
end

--- The flags of a block as the manifest of a packed object has them.
function M.flags_text(options)
  if #options.cflags == 0 then return "-" end
  local words = {}
  for i, flag in ipairs(options.cflags) do
    words[i] = flag:gsub("[^%w_=.:-]", function(c) return ("%%%02x"):format(c:byte()) end)
  end
  return table.concat(words, " ")
end

-- A relative directory is one beside the script.
local function include_flags(options, directory)
  local flags = {}
  if directory then flags = { "-iquote", directory } end
  for _, include in ipairs(options.include) do
    if include:sub(1, 1) ~= "/" then include = (directory or "./") .. include end
    flags[#flags + 1] = "-I" .. include
  end
  return flags
end

-- The name of a file in a #line directive.
local function line_directive(line, name)
  return ('#line %d "%s"\n'):format(line, (name:gsub('[\\"]', "\\%0"):gsub("%c", "?")))
end

-- The types that libbpf's headers take for granted: with them any of those can come first. C11 lets a typedef be said
-- twice, as <linux/types.h> and a vmlinux.h do.
local PRELUDE = "typedef unsigned char __u8; typedef signed char __s8; typedef unsigned short __u16; "
  .. "typedef short __s16; typedef unsigned int __u32; typedef int __s32; typedef unsigned long long __u64; "
  .. "typedef long long __s64; typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64; "
  .. "typedef __u32 __wsum;\n"

-- The name in the cache of what is compiled from a preprocessed text.
local function key_of(job, preprocessed)
  local parts = { "3", job.clang.version, #job.flags }
  for _, flag in ipairs(job.flags) do parts[#parts + 1] = flag end
  parts[#parts + 1] = job.text -- the object quotes its lines, comments and all
  parts[#parts + 1] = preprocessed
  for i, part in ipairs(parts) do parts[i] = ("%d:%s"):format(#tostring(part), part) end
  return hash.sha256(table.concat(parts)) .. ".o"
end

local DIGITS = 64 -- of the hash before an object, by which a damaged one is known

local function from_cache(key)
  local text = cache.read(key)
  local bytes = text and text:sub(DIGITS + 1)
  return bytes and hash.sha256(bytes) == text:sub(1, DIGITS) and bytes or nil
end

local function job_of(compiler, block, arch)
  local flags = clang.flags(arch)
  for _, flag in ipairs(block.options.cflags) do flags[#flags + 1] = flag end
  for _, flag in ipairs(include_flags(block.options, block.directory)) do flags[#flags + 1] = flag end
  local name = block.text_line and block.file or ("lp.compile at %s:%d"):format(block.file, block.line)
  local job = { clang = compiler, flags = flags, headers = embedded.headers(), known = from_cache,
    text = PRELUDE .. line_directive(block.text_line or 1, name) .. block.text .. "\n" }
  function job.key(preprocessed) return key_of(job, preprocessed) end
  return job
end

-- Those of C's library, which a BPF program does not have.
local OF_LIBC = {}
for name in ("assert ctype errno inttypes limits locale math signal stdio stdlib string strings time unistd pthread "
  .. "stdint fcntl"):gmatch "%S+" do
  OF_LIBC[name .. ".h"] = true
end

-- What mends a failure, where that is known.
local function mend_for(output)
  if output:find("struct user_pt_regs'", 1, true) then
    return "the registers of arm64 are described by its own <asm/ptrace.h>, which this machine does not have: take "
      .. '#include "probe.bpf.h" in place of <linux/ptrace.h> and <bpf/bpf_tracing.h>'
  end
  local header = output:match "fatal error: '([^']+)' file not found"
  if not header then return nil end
  if header:find "^bpf/" then return header .. " is not there: apt install libbpf-dev" end
  if header:find "^linux/" or header:find "^asm" then return header .. " is not there: apt install linux-libc-dev" end
  if header == "vmlinux.h" then
    return 'it is made of a kernel\'s types: bpftool btf dump file /sys/kernel/btf/vmlinux format c >vmlinux.h; or '
      .. 'declare the fields that are read, as #include "kernel.h" does'
  end
  if OF_LIBC[header] or header:find "^sys/" or header:find "^bits/" or header:find "^gnu/" then
    return "BPF programs have no C library: the types are in <linux/types.h>, memcpy and memset are "
      .. "__builtin_memcpy and __builtin_memset"
  end
end

local function did_not_compile(block, output)
  err.raise { code = "EINVAL", stage = "compile", where = false,
    message = ("%s:%d: the BPF program does not compile:\n%s"):format(block.file, block.line, (output:gsub("\n$", ""))),
    hint = mend_for(output) }
end

--- Compiles a block with the clang that is here, or takes it from the cache.
-- @tparam table compiler from luaprobe.clang's find
-- @tparam table block `text`, `options` (see options); for diagnostics `file`, `line` (of the call), `text_line` (of
--   the text's first line, nil when its lines are not the file's); `directory` (of the script; nil for none)
-- @tparam string arch
-- @treturn string the object's bytes
-- @raise error of stage "compile" or "cache"
function M.block(compiler, block, arch)
  local result, output = clang.compile(job_of(compiler, block, arch))
  if not result then did_not_compile(block, output) end
  if result.output ~= "" then io.stderr:write(result.output) end
  if result.key then cache.write(result.key, hash.sha256(result.bytes) .. result.bytes) end
  return result.bytes
end

M.TEXT_LIMIT = 16 * 1024 * 1024 -- bytes of a .bpf.c
M.NO_OPTIONS = { cflags = {}, include = {} }

--- Compiles NAME.bpf.c, of which there is no object.
-- @tparam string path
-- @treturn string the object's bytes
-- @raise error of stage "compile" when there is no clang, or it does not compile
function M.file(path)
  local compiler = clang.find()
  if not compiler then
    local no_clang, mend = clang.missing()
    err.raise { code = "ENOENT", stage = "compile",
      message = ("%s is C text, there is no object made of it, and %s"):format(path, no_clang),
      hint = ("either %s, or put the object beside it"):format(mend) }
  end
  local text = files.read_regular(path, M.TEXT_LIMIT) or err.raise(err.last())
  local block = { text = text, options = M.NO_OPTIONS, line = 1, text_line = 1, file = path:match "[^/]+$",
    directory = path:match "^(.*/)" }
  return M.block(compiler, block, clang.here)
end

-- Whether pack would see a text in the script.
local function is_seen(script, text)
  for _, block in ipairs(script and blocks.scan(script).blocks or {}) do
    if block.text == text then return true end
  end
  return false
end

-- What is known of who calls lp.compile: the file and the line.
local function caller()
  for level = 3, 60 do
    local info = debug.getinfo(level, "Sl")
    if not info then return { source = "", short_src = "?", currentline = 1 } end
    if info.currentline > 0 and not info.source:find "^@lua/luaprobe/" then return info end
  end
end

local function nowhere(file, line, pack, seen)
  local message = pack and pack:missing_message(seen) or "there is no object packed for it"
  local no_clang, mend = clang.missing()
  err.raise { code = "ENOENT", stage = "compile", where = false,
    message = ("%s:%d: this BPF program is C text, %s, and %s"):format(file, line, message, no_clang),
    hint = ("either %s, or pack the script on a machine that has it and take that file: luaprobe pack SCRIPT"):format(
      mend) }
end

--- The BPF program that a C text is.
--
--     local obj = lp.load(lp.compile [[ #include "probe.bpf.h" … ]])
-- @tparam string text C: `#include <linux/…>`, `<bpf/…>` and the headers of bpf/include work
-- @tparam[opt] table options `name` for messages; `cflags`: a list of flags (-DNAME=VALUE, …); `include`: a list of
--   directories, beside the script when they are relative
-- @treturn table what lp.open and lp.load take: `bytes`, `name`
-- @raise error of stage "compile": clang's diagnostics, with the script's lines; neither a packed object nor clang
function M.compile(text, options)
  options = M.options(text, options)
  local info = caller()
  local script = packed.of_source(info.source)
  local found = script.pack and script.pack:block(hash.sha256(text), M.flags_text(options))
  if found then return found end
  local compiler = clang.find()
  local line = script.text and blocks.line_of_text(script.text, text, info.currentline)
  if not compiler then nowhere(info.short_src, info.currentline, script.pack, is_seen(script.text, text)) end
  local name = options.name or (info.short_src:match "([%w_.-]+)$" or "script"):gsub("%.lua$", "")
  local block = { text = text, options = options, line = line or info.currentline, text_line = line,
    file = info.short_src, directory = script.directory }
  return { name = name, bytes = M.block(compiler, block, clang.here) }
end

return M
