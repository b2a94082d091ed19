--- A BPF program of an object, and how it is attached.
-- @module luaprobe.program
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"
local opening = require "luaprobe.opening"
local options = require "luaprobe.options"
local takes = require "luaprobe.takes"
local targets = require "luaprobe.target"
local value = require "luaprobe.value"

local Program = {}

local raw_program = ffi.new "struct lp_program"

-- `program.autoload`: whether load takes it; `program.instructions`: how many it has.
function Program.__index(self, key)
  if key == "autoload" then
    self.object:check_open()
    C.lp_object_program(self.object.handle, self.index, raw_program)
    return raw_program.autoload
  elseif key == "instructions" then
    return self:info().instructions
  end
  return Program[key]
end

function Program.__newindex(self, key, new)
  if key == "autoload" then return self:set_autoload(new) end
  err.misuse("program %s: '%s' cannot be set; autoload can", self.name, tostring(key))
end

--- An error of C, told as this program's.
function Program:told(reason)
  reason.message = ("%s: program %s: %s"):format(self.object.name, self.name, reason.message)
  return reason
end

local function check_loaded(self)
  self.object:check_open()
  C.lp_object_program(self.object.handle, self.index, raw_program)
  if raw_program.fd >= 0 then return end
  local mend = self.object.loaded and "its autoload was false when the object was loaded: set it to true before that"
    or "call obj:load() first"
  err.misuse("program %s of %s is not loaded: %s", self.name, self.object.name, mend)
end

local function no_target(self)
  err.raise { code = "EINVAL", stage = "attach",
    message = ("%s: program %s: section '%s' does not say what to attach to"):format(
      self.object.name, self.name, self.section),
    hint = 'write SEC("kprobe/FUNCTION"), SEC("tracepoint/CATEGORY/NAME"), …, or name the target when attaching: '
      .. 'obj.programs.' .. self.name .. ':attach "kprobe:FUNCTION"' }
end

local function check_settled(self, target)
  if not targets.is_settled(target) or target.text == self.target then return end
  err.raise(self:told { code = "EINVAL", stage = "attach",
    message = ("%s: such a program goes only where its section says: %s"):format(
      target.text, self.target or "nowhere"),
    hint = "write another program, or one for a kprobe, which goes anywhere" })
end

local function check_type(self, target)
  if targets.takes(target, self.type) then return end
  err.raise(self:told { code = "EINVAL", stage = "attach",
    message = ("%s: a program of section '%s' cannot be attached to this kind of probe"):format(
      target.text, self.section),
    hint = "kprobes, uprobes and USDT probes take each other's programs, everything else its own kind's only" })
end

-- Of an object's programs some may have a use for an option, and the others ignore it; a single one does not.
local function check_meant(self, opts)
  local target = opts.targets and opts.targets[1] or self.parsed
  local failure = target and options.meaningless(opts, target)
  if failure then err.raise(self:told(failure)) end
end

--- Opens the probe; the program does not run yet.
-- @tparam table opts see attach
-- @treturn luaprobe.probe
-- @raise error of stage "attach"
function Program:open_probe(opts)
  local wanted = opts.targets or (self.parsed and { self.parsed }) or no_target(self)
  for _, target in ipairs(wanted) do
    check_settled(self, target)
    check_type(self, target)
  end
  return opening.open(self, wanted, opts)
end

--- Attaches the program; the object must be loaded.
--
--     prog:attach()                                     -- where its section says
--     prog:attach "kprobe:vfs_read+8"
--     prog:attach { kprobe = "vfs_*", mechanism = "multi" }
--     prog:attach { uprobe = { "libc:malloc", "libc:calloc" }, pid = 4711 }
-- @tparam[opt] string|table opts the target, or
--   `target`, or the kind as key: the target, or a list of them, in place of the section's;
--   `mechanism`: "auto" (the default), "link", "perf", "legacy", "multi";
--   `pid`: uprobes, USDT and perf events of one process only;
--   `maxactive`: how many calls a kretprobe can follow at once (mechanism legacy);
--   `cookie`: a number that bpf_get_attach_cookie returns there (Linux 5.15);
--   `stats`: count the program's runs, for `probe.hits`;
--   `force`: attach a uretprobe to a Go program
-- @treturn luaprobe.probe
-- @raise error of stage "attach", or "load" when the program cannot be loaded for the mechanism
function Program:attach(opts)
  takes.method(Program, self, "attach")
  check_loaded(self)
  opts = options.parse(opts)
  check_meant(self, opts)
  self.object:open_events()
  local probe = self:open_probe(opts)
  self:bind(probe)
  return probe
end

--- Lets the program run at an open probe.
-- @raise error of stage "attach"; then the probe is closed
function Program:bind(probe)
  local ok, failure = pcall(probe.start, probe)
  if not ok then
    probe:detach()
    error(failure, 0)
  end
  self.object:remember_probe(probe)
  for _, other in ipairs(self.object.probes) do
    if other.program == self and other ~= probe then other.shares_program, probe.shares_program = true, true end
  end
end

--- Chooses whether load takes the program.
function Program:set_autoload(on)
  takes.method(Program, self, "set_autoload")
  if type(on) ~= "boolean" then err.misuse("program %s: autoload is true or false", self.name) end
  self.object:check_open()
  err.check(C.lp_object_autoload(self.object.handle, self.index, on))
end

local raw_info = ffi.new "struct lp_program_info"

--- What is known of it: `instructions` (of the object); once it is loaded `id`, `verified` (instructions that the
-- verifier went through, Linux 5.16), `jited_bytes`; `runs`, `time_ns` (counted while statistics are on, see attach)
-- and `missed`.
-- @treturn table
-- @raise error of stage "program"
function Program:info()
  takes.method(Program, self, "info")
  self.object:check_open()
  C.lp_object_program(self.object.handle, self.index, raw_program)
  local code = C.lp_object_program_info(self.object.handle, self.index, raw_info)
  if code ~= 0 and raw_program.fd >= 0 then err.raise(err.last()) end
  local info = {}
  for _, name in ipairs { "id", "instructions", "verified", "jited_bytes", "runs", "time_ns", "missed" } do
    info[name] = value.integer(raw_info[name])
  end
  return info
end

--- Its descriptor, which a program array takes.
-- @raise a misuse when it is not loaded
function Program:program_descriptor()
  check_loaded(self)
  return raw_program.fd
end

--- What a person wants to know of it, as text.
function Program:describe()
  takes.method(Program, self, "describe")
  return require("luaprobe.describe").program(self)
end

--- Runs it once, or often, on given data (BPF_PROG_TEST_RUN): raw tracepoints (Linux 5.10; `context` is their
-- arguments), syscall programs (5.14), programs for packets (`data`).
-- @tparam[opt] table opts `data`, `context`: strings; `data_size`: room for what it makes of the data; `repeat_count`
-- @treturn table `result` (what it returned), `duration` (nanoseconds each), `data`, `context` (as it left them)
-- @raise error of stage "program"
function Program:test_run(opts)
  takes.method(Program, self, "test_run")
  check_loaded(self)
  return require("luaprobe.test_run").run(self, opts == nil and {} or opts)
end

function Program:__tostring()
  return ("program %s (%s)"):format(self.name, self.section)
end

local M = {}

--- All programs of an object: an array in the order of the file, and by name.
function M.all(object)
  local programs = {}
  while C.lp_object_program(object.handle, #programs, raw_program) do
    local section = ffi.string(raw_program.section)
    local parsed = targets.of_section(section)
    local program = setmetatable({
      object = object,
      index = #programs,
      name = ffi.string(raw_program.name),
      section = section,
      type = raw_program.type,
      parsed = parsed,
      target = parsed and parsed.text,
      kind = parsed and parsed.word,
      returns = parsed and parsed.returns,
    }, Program)
    programs[#programs + 1] = program
    programs[program.name] = program
  end
  return programs
end

return M
