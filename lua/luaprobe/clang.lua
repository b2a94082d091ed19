--- clang, as far as luaprobe needs it: found, asked for its version, and run on one BPF program.
-- @module luaprobe.clang
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local files = require "luaprobe.files"

local M = {}

local SIGINT, SIGTERM = 2, 15
local NEWEST, OLDEST = 30, 10 -- versions whose names are tried: clang-19

--- The processors that objects are made for: what clang and the headers of libbpf call them.
M.ARCHITECTURES = { x86_64 = "x86", arm64 = "arm64" }

--- This machine's.
M.here = ({ x64 = "x86_64", arm64 = "arm64" })[jit.arch]

local MULTIARCH = { x86_64 = "x86_64-linux-gnu", arm64 = "aarch64-linux-gnu" }

-- A large program takes seconds, in an emulated guest a minute.
local SECONDS = 180

-- Runs a program; its output and exit status, or nil and the error.
local function run(words)
  local array = ffi.new("const char *[?]", #words + 1)
  for i, word in ipairs(words) do array[i - 1] = word end
  local output, status = ffi.new "struct lp_bytes", ffi.new "int[1]"
  if C.lp_process_run(array, SECONDS, output, status) < 0 then return nil, err.last() end
  local text = ffi.string(output.data, output.size)
  C.lp_bytes_free(output)
  return (text:gsub("[%z\1-\8\11-\31\127]", "?")), status[0] -- a text can make clang print what drives a terminal
end

local found -- `{path, version}`, false when there is none

local function try(path)
  local text, status = run { path, "--version" }
  local version = text and status == 0 and text:match "clang version ([^\n]+)"
  return version and { path = path, version = version, number = version:match "^[%w.]+" }
end

--- The compiler: `$LUAPROBE_CLANG`, clang, or the newest clang-N on PATH.
-- @treturn table|nil `path`, `version` (all of it), `number`
function M.find()
  if found ~= nil then return found or nil end
  local named = os.getenv "LUAPROBE_CLANG"
  found = try(named and named ~= "" and named or "clang") or false
  if found or named and named ~= "" then return found or nil end
  for directory in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    for number = NEWEST, OLDEST, -1 do
      local path = ("%s/clang-%d"):format(directory, number)
      if not found and C.lp_machine_can_run(path) then found = try(path) or false end
    end
  end
  return found or nil
end

--- Why nothing can be compiled here, as part of a sentence.
-- @treturn string
-- @treturn string what mends it
function M.missing()
  local named = os.getenv "LUAPROBE_CLANG"
  if not named or named == "" then
    return "there is no clang here to compile it", "install clang here (apt install clang libbpf-dev linux-libc-dev)"
  end
  return ("there is no clang here to compile it: LUAPROBE_CLANG is '%s', which is none that runs"):format(named),
    "let LUAPROBE_CLANG name a clang (apt install clang libbpf-dev linux-libc-dev)"
end

--- The flags of every compilation, the system's headers among them.
-- @tparam string arch a key of ARCHITECTURES
function M.flags(arch)
  local flags = { "-target", "bpf", "-g", "-O2", "-mcpu=v3", "-D__TARGET_ARCH_" .. M.ARCHITECTURES[arch], "-Wall",
    "-Wno-unused-parameter", "-Werror=implicit-function-declaration", "-fno-color-diagnostics" }
  -- <asm/types.h> lies in Debian's multiarch directory, which clang does not search for this target. It is the same for
  -- all processors.
  local directory = "/usr/include/" .. (MULTIARCH[M.here] or "")
  if files.exists(directory .. "/asm/types.h") then
    flags[#flags + 1] = "-isystem"
    flags[#flags + 1] = directory
  end
  return flags
end

local function check_write(directory, name, text)
  err.check(C.lp_directory_write(directory, name, text, #text, false))
end

-- Runs clang on the program in its temporary directory, whose name is nobody's business.
local function run_on(path, job, ...)
  local words = { job.clang.path }
  for _, flag in ipairs(job.flags) do words[#words + 1] = flag end
  for _, word in ipairs { "-I" .. path, "-x", "c", path .. "/block.c", ... } do words[#words + 1] = word end
  local output, status = run(words)
  if not output then err.raise(status) end
  return status == 0, (output:gsub((path .. "/"):gsub("%p", "%%%0"), ""))
end

local LIMIT = 64 * 1024 * 1024 -- bytes of a file that clang wrote: all of a vmlinux.h has five million

local function read(path)
  return files.read_regular(path, LIMIT) or err.raise(err.last())
end

-- Compiles in a temporary directory; see M.compile.
local function compile_in(path, directory, job)
  for name, text in pairs(job.headers) do check_write(directory, name, text) end
  check_write(directory, "block.c", job.text)
  local ok, output = run_on(path, job, "-E", "-o", path .. "/block.i")
  if not ok then return nil, output end
  local key = job.key(read(path .. "/block.i"):gsub((path .. "/"):gsub("%p", "%%%0"), ""))
  local bytes = job.known(key)
  if bytes then return { bytes = bytes, output = "" } end
  ok, output = run_on(path, job, "-c", "-o", path .. "/block.o")
  if not ok then return nil, output end
  if C.lp_object_strip(path .. "/block.o", path .. "/stripped.o") < 0 then
    return nil, output .. err.last().message:gsub((path .. "/"):gsub("%p", "%%%0"), "")
  end
  return { bytes = read(path .. "/stripped.o"), output = output, key = key }
end

--- Compiles one program, unless its object is known.
--
-- What an object depends on is what the preprocessor makes of the text: the headers that are there, those that are not
-- (`__has_include`, or one that would come first), the environment (CPATH). So that is what it is known by; it costs a
-- third of compiling one of luaprobe's own programs, and most of that is clang's start.
-- @tparam table job `clang` (from find), `flags`, `headers` (texts by name: luaprobe's own), `text` (C), `key` (a
--   function from the preprocessed text to a key), `known` (one from that to the object's bytes, or nil)
-- @treturn table|nil `bytes` of the object without debugging sections, `output` of clang (warnings), `key` when it was
--   not known
-- @treturn string when it did not compile: what clang said
-- @raise error of stage "compile"
function M.compile(job)
  local buffer = ffi.new "char[4096]"
  local directory = err.check(C.lp_directory_make_temporary(buffer, 4096))
  local path = ffi.string(buffer)
  -- Ctrl-C ends clang, and then this, but not before the directory is gone.
  local caught = C.lp_stop_catch()
  local ok, result, output = pcall(compile_in, path, directory, job)
  local signal = C.lp_stop_pending()
  C.lp_directory_remove(path, directory)
  if caught then C.lp_stop_release() end
  if signal == SIGINT or signal == SIGTERM then
    err.raise { code = "EINTR", stage = "compile", where = false, message = "compiling was interrupted" }
  end
  if not ok then error(result, 0) end
  return result, output
end

return M
