--- A BPF object: opened, adjusted, loaded, attached, closed.
-- @module luaprobe.object
local ffi = require "ffi"
local C = require "luaprobe.cdef"
local attempt = require "luaprobe.attempt"
local err = require "luaprobe.error"
local event_map = require "luaprobe.event_map"
local events = require "luaprobe.events"
local find = require "luaprobe.find"
local globals = require "luaprobe.globals"
local ladder = require "luaprobe.ladder"
local maps = require "luaprobe.map"
local options = require "luaprobe.options"
local probes = require "luaprobe.probe"
local programs = require "luaprobe.program"
local takes = require "luaprobe.takes"
local types = require "luaprobe.types"
local values = require "luaprobe.value"

local Object = {}
Object.__index = Object

function Object:check_open()
  if not self.handle then err.misuse("object %s is closed", self.name) end
end

-- What maps of particular kinds need before load; most objects have none of them. Returns descriptors to close then.
local function prepare_maps(self)
  local has_pins, has_maps_of_maps = false, false
  for _, map in ipairs(self.maps) do
    has_pins = has_pins or map:info().pin ~= nil
    has_maps_of_maps = has_maps_of_maps or map.kind_of.holds_maps
  end
  if has_pins then require("luaprobe.pins").check(self) end
  return has_maps_of_maps and require("luaprobe.nested").make_templates(self) or {}
end

--- Creates the maps and loads the programs into the kernel.
-- @raise error of stage "load"
function Object:load()
  takes.method(Object, self, "load")
  self:check_open()
  if self.loaded then err.misuse("object %s is loaded already", self.name) end
  if self.was_refused then
    err.misuse("object %s could not be loaded before: open it again to change what was wrong", self.name)
  end
  for _, map in ipairs(self.maps) do event_map.configure(map) end
  local templates = prepare_maps(self)
  local filter = self.maps.lp_filter_cgroup -- of filter.bpf.h
  if filter then require("luaprobe.cgroup").prepare(filter) end
  local code = C.lp_object_load(self.handle)
  for _, descriptor in ipairs(templates) do C.lp_fd_close(descriptor) end
  self.was_refused = code ~= 0
  err.check(code)
  if filter then require("luaprobe.cgroup").enter(filter) end
  self.loaded = true
end

--- Opens the buffers of the object's event streams, before anything can send to them.
function Object:open_events()
  for _, map in ipairs(self.maps) do event_map.open_early(map) end
end

function Object:remember_probe(probe)
  self.probes[#self.probes + 1] = probe
end

function Object:forget_probe(probe)
  for i, known in ipairs(self.probes) do
    if known == probe then return table.remove(self.probes, i) end
  end
end

-- Opens all probes of the given programs; when one fails, those before it are closed and the error is returned.
local function open_probes(list, opts)
  local opened = {}
  local ok, failure = pcall(attempt, function()
    for _, program in ipairs(list) do opened[#opened + 1] = program:open_probe(opts) end
  end, function() probes.close(opened) end)
  return ok and opened or nil, failure
end

local function bind_probes(opened)
  attempt(function()
    for _, probe in ipairs(opened) do probe.program:bind(probe) end
  end, function()
    for _, probe in ipairs(opened) do probe:detach() end
  end)
end

local function copy(opts)
  if opts ~= nil and type(opts) ~= "table" then err.misuse("attach takes a table, not a %s", type(opts)) end
  local new = {}
  for name, value in pairs(opts or {}) do new[name] = value end
  return new
end

-- Loads only what will be attached: the rest would cost start-up time, and may not load on this kernel.
local function load_only(self, list)
  local wanted = {}
  for _, program in ipairs(list) do wanted[program] = true end
  for _, program in ipairs(self.programs) do program:set_autoload(wanted[program] or false) end
  self:load()
end

-- Options that no program of any rung has a use for are refused; what some have a use for, the others ignore.
local function check_meant(rungs, opts)
  local failure
  for _, list in ipairs(rungs) do
    for _, program in ipairs(list) do
      local refused = program.parsed and options.meaningless(opts, program.parsed)
      if not refused then return end
      failure = failure or program:told(refused)
    end
  end
  if failure then err.raise(failure) end
end

--- Attaches the object's programs to what their sections name, but those with `autoload = false` (as libbpf has it:
-- `SEC("?…")` begins so), unless `first` names them.
--
-- An object that is not loaded yet is loaded, with just the programs that are attached. Return probes are attached
-- before the others, so that no entry is remembered whose return cannot be seen.
-- @tparam[opt] table opts
--   `first`: a ladder, see luaprobe.ladder: sets of programs of which the first that this kernel can attach is taken;
--   `mechanism`, `pid`, `maxactive`, `cookie`, `stats`, `force`: as luaprobe.program's attach has them
-- @treturn {probe,…} each with `target`, `mechanism`, `rung` (1 for the first choice) and what luaprobe.probe has
-- @raise error of stage "load", "attach" or "events"; then nothing is attached
function Object:attach(opts)
  takes.method(Object, self, "attach")
  opts = copy(opts)
  self:check_open()
  local first = opts.first
  opts.first = nil
  opts = options.parse(opts)
  if opts.targets then err.misuse "obj:attach goes where the sections say; obj.programs.NAME:attach takes a target" end
  local rungs = ladder.rungs(self, first)
  check_meant(rungs, opts)
  local rung, list, opened = ladder.climb(rungs, function(candidates)
    return open_probes(candidates, opts)
  end)
  attempt(function()
    if not self.loaded then load_only(self, list) end
    self:open_events()
  end, function() probes.close(opened) end)
  bind_probes(opened)
  for _, probe in ipairs(opened) do probe.rung = rung end
  return opened
end

--- Detaches all probes of the object at once, which costs about as much as detaching one.
function Object:detach()
  takes.method(Object, self, "detach")
  probes.close(self.probes)
  self.probes = {}
end

--- Detaches everything and gives the kernel back its maps and programs; calling it again does nothing.
function Object:close()
  takes.method(Object, self, "close")
  if not self.handle then return end
  self:detach()
  for _, map in ipairs(self.maps) do
    map:close_stream()
    map:forget()
  end
  C.lp_object_close(ffi.gc(self.handle, nil))
  self.handle = nil
end

function Object:__tostring()
  return ("object %s (%d programs, %d maps, %s)"):format(self.name, #self.programs, #self.maps,
    not self.handle and "closed" or self.loaded and "loaded" or "not loaded")
end

--- Its programs, maps, constants and variables, as text.
function Object:describe()
  takes.method(Object, self, "describe")
  return require("luaprobe.describe").object(self)
end

local M = {}

-- Where an object's bytes lie: a Lua string or a struct lp_bytes.
local function memory(bytes)
  if type(bytes) == "string" then return bytes, #bytes end
  return bytes.data, bytes.size
end

local function name_of(what)
  if what.name == nil then return "object" end
  if type(what.name) ~= "string" or what.name == "" then err.misuse "beside an object's bytes is its name, a string" end
  return what.name
end

local function from(what)
  if type(what) == "table" and type(what.bytes) == "string" then return name_of(what), what.bytes end
  if type(what) ~= "string" then
    err.misuse("an object is given by name, by path or as {bytes = …}, not as a %s", type(what))
  end
  return find.object(what)
end

local function each_of(what, given, set)
  if given == nil then return end
  if type(given) ~= "table" then err.misuse("%s is a table by name, not a %s", what, type(given)) end
  for name, new in pairs(given) do set(name, new) end
end

local function set_map(object, name, properties)
  local map = object.maps[name] or err.misuse("%s has no map '%s'", object.name, tostring(name))
  each_of("maps." .. name, properties, function(property, new) map[property] = new end)
end

local function set_program(object, name, autoload)
  local program = object.programs[name] or err.misuse("%s has no program '%s'", object.name, tostring(name))
  program.autoload = autoload
end

local OPTIONS = { const = true, data = true, maps = true, programs = true, kconfig = true, pin = true }

local function adjust(object, opts)
  each_of("const", opts.const, function(name, new) object.const[name] = new end)
  each_of("data", opts.data, function(name, new) object.data[name] = new end)
  each_of("maps", opts.maps, function(name, properties) set_map(object, name, properties) end)
  each_of("programs", opts.programs, function(name, autoload) set_program(object, name, autoload) end)
  if opts.pin then require("luaprobe.pins").set_directory(object, opts.pin) end
end

local function check_options(opts)
  if opts == nil then return {} end
  if type(opts) ~= "table" then err.misuse("options are a table, not a %s", type(opts)) end
  for name in pairs(opts) do
    if not OPTIONS[name] then err.misuse("there is no option '%s' for objects", tostring(name)) end
  end
  return opts
end

-- {CONFIG_HZ = 250, CONFIG_X = "y"} as the kernel's configuration has it.
local function kconfig_text(kconfig)
  if kconfig == nil or type(kconfig) == "string" then return kconfig end
  local lines = {}
  each_of("kconfig", kconfig, function(name, new)
    local text = new == true and "y" or new == false and "n" or type(new) ~= "string" and values.digits(new) or new
    lines[#lines + 1] = ("%s=%s\n"):format(name, text)
  end)
  return table.concat(lines)
end

--- Opens a BPF object; nothing reaches the kernel yet.
-- @tparam string|table what a name ("opensnoop"), a path with a slash in it, or `{bytes = "…", name = "…"}`
-- @tparam[opt] table opts
--   `const`: read-only constants by name, see luaprobe.value for how values are written;
--   `data`: initial values of variables by name;
--   `maps`: by name, tables of what to set: `maps = {counts = {max_entries = 100}}`;
--   `programs`: by name, false for those that load shall leave out;
--   `kconfig`: what `extern … __kconfig` variables are told before the kernel's own configuration, as text or a table;
--   `pin`: a directory in a BPF file system: each map is the one pinned there by its name, or is pinned there
-- @treturn Object `const`, `data` (global variables), `kconfig` (configuration that it asked for), `programs`, `maps`
--   (by name, and as arrays), `types`, `name`
-- @raise error of stage "read" or "open"
function M.open(what, opts)
  opts = check_options(opts)
  local name, bytes = from(what)
  local data, size = memory(bytes)
  local handle = err.check(C.lp_object_open(name, data, size, kconfig_text(opts.kconfig)))
  local streams = {}
  -- `bytes` keeps what libbpf points into from being collected.
  local object = setmetatable({
    name = name, bytes = bytes, handle = events.own(handle, streams, C.lp_object_close), loaded = false, probes = {},
    streams = streams,
  }, Object)
  local btf = C.lp_object_btf(handle)
  object.types = types.new(btf ~= nil and ffi.gc(btf, C.lp_btf_free) or nil)
  object.programs = programs.all(object)
  object.maps = maps.all(object)
  object.const = globals.new(object, "constant")
  object.data = globals.new(object, "variable")
  object.kconfig = globals.new(object, "option")
  local ok, failure = pcall(adjust, object, opts)
  if ok then return object end
  object:close()
  error(failure, 0)
end

--- Opens a BPF object and loads all of it. The same parameters, result and errors as open, and stage "load".
function M.load(what, opts)
  local object = M.open(what, opts)
  object:load()
  return object
end

return M
