--- A BPF program of an object, and the probes that it is attached to.
-- @module luaprobe.program
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local err = require "luaprobe.error"

local Program = {}
Program.__index = Program

local Probe = {}
Probe.__index = Probe

local raw_program = ffi.new "struct lp_program"
-- enum lp_kind, the return probes marked: they are attached before the entries, see object.lua
local KINDS = { [C.LP_KPROBE] = "kprobe", [C.LP_KRETPROBE] = "kretprobe", [C.LP_TRACEPOINT] = "tracepoint" }

-- Parses a target or section name; nil when it names no kind of probe.
local function parse(text)
  local target = ffi.new "struct lp_target"
  return C.lp_target_parse(text, target) == 0 and target or nil
end

--- Detaches; calling it again does nothing.
function Probe:detach()
  if not self.handle then return end
  C.lp_probe_close(ffi.gc(self.handle, nil))
  self.handle = nil
  self.program.object:forget_probe(self)
end

function Probe:__tostring()
  return ("probe %s (%s)"):format(self.target, self.handle and self.mechanism or "detached")
end

-- The descriptor of the loaded program.
local function descriptor(self)
  self.object:check_open()
  C.lp_object_program(self.object.handle, self.index, raw_program)
  if raw_program.fd < 0 then
    err.misuse("program %s of %s is not loaded: call obj:load() first", self.name, self.object.name)
  end
  return raw_program.fd
end

--- Opens the probe that the program's section names; no program runs yet.
-- @tparam string mechanism "auto", "link" or "perf"
-- @treturn table a probe that `bind` completes
-- @raise error of stage "attach"
function Program:open_probe(mechanism)
  if not self.parsed then
    err.raise { code = "EINVAL", stage = "attach",
      message = ("%s: program %s: section '%s' does not say what to attach to"):format(
        self.object.name, self.name, self.section),
      hint = 'write SEC("kprobe/FUNCTION"), SEC("kretprobe/FUNCTION") or SEC("tracepoint/CATEGORY/NAME")' }
  end
  local handle = C.lp_probe_open(self.parsed, mechanism)
  if handle == nil then
    local reason = err.last()
    reason.message = ("%s: program %s: %s"):format(self.object.name, self.name, reason.message)
    err.raise(reason)
  end
  return setmetatable({ handle = ffi.gc(handle, C.lp_probe_close), program = self, target = self.target }, Probe)
end

--- Lets the program run at an open probe.
-- @raise error of stage "attach"
function Program:bind(probe)
  err.check(C.lp_probe_attach(probe.handle, descriptor(self)))
  probe.mechanism = ffi.string(C.lp_probe_mechanism(probe.handle))
  self.object:remember_probe(probe)
  return probe
end

--- Attaches the program to what its section names.
-- @tparam[opt] table opts `{mechanism = "auto"|"link"|"perf"}`
-- @treturn table the probe: `target`, `mechanism`, `program`, `:detach()`
-- @raise error of stage "attach"
function Program:attach(opts)
  descriptor(self)
  self.object:open_events()
  local probe = self:open_probe(opts and opts.mechanism or "auto")
  return self:bind(probe)
end

--- Chooses whether load takes the program.
function Program:set_autoload(on)
  self.object:check_open()
  err.check(C.lp_object_autoload(self.object.handle, self.index, on))
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
    local parsed = parse(section)
    local program = setmetatable({
      object = object,
      index = #programs,
      name = ffi.string(raw_program.name),
      section = section,
      parsed = parsed,
      target = parsed and ffi.string(parsed.text),
      kind = parsed and KINDS[parsed.kind],
    }, Program)
    programs[#programs + 1] = program
    programs[program.name] = program
  end
  return programs
end

return M
