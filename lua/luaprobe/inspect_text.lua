--- The report of luaprobe.inspect as text for people.
-- @module luaprobe.inspect_text
local clang = require "luaprobe.clang"
local inspect = require "luaprobe.inspect"
local json = require "luaprobe.json"
local text = require "luaprobe.text"

local M = {}

local WIDTH = 100

local function say(format, ...)
  local values = { ... }
  for i, value in ipairs(values) do values[i] = text.of(value) end
  io.stdout:write(format:format(unpack(values)), "\n")
end

-- A heading and words, wrapped.
local function wrap(heading, words)
  local line = ("  %-10s"):format(heading)
  local start = #line
  for i, word in ipairs(words) do
    word = text.of(word) .. (i < #words and "," or "")
    if #line > start and #line + 1 + #word > WIDTH then
      io.stdout:write(line, "\n")
      line = (" "):rep(start)
    end
    line = line .. " " .. word
  end
  io.stdout:write(line, "\n")
end

local function size(bytes)
  if not bytes then return "-" end
  if bytes < 1024 then return ("%d B"):format(bytes) end
  if bytes < 1024 * 1024 then return ("%.1f kB"):format(bytes / 1024) end
  return ("%.1f MB"):format(bytes / 1024 / 1024)
end

local function show_programs(object)
  for i, program in ipairs(object.programs) do
    say("  %-10s %-26s %s", i == 1 and "programs" or "", program.name, program.target or program.section)
  end
end

local function show_maps(object)
  for i, map in ipairs(object.maps) do
    local heading = i == 1 and "maps" or ""
    if map.per_cpu then
      say("  %-10s %-26s %-17s a stream of events, for each of %d CPUs %s: %s", heading, map.name, map.type, map.cpus,
        size(map.per_cpu), size(map.memory))
    else
      say("  %-10s %-26s %-17s key %d, value %d, %d entries: %s", heading, map.name, map.type, map.key_size,
        map.value_size, map.max_entries, size(map.memory))
    end
  end
  if #object.maps > 0 then say("  %-10s about %s when all are full", "memory", size(object.memory)) end
end

-- What the kernel shall provide besides helpers: its functions, and its variables.
local function show_externs(object, changing)
  local kfuncs, is_function, others = {}, {}, {}
  for i, kfunc in ipairs(object.kfuncs) do
    is_function[kfunc.name] = true
    kfuncs[i] = kfunc.changes and kfunc.name .. " (!)" or kfunc.name
    if kfunc.changes then changing[#changing + 1] = kfunc.name .. " (a kfunc: may change something)" end
  end
  for _, name in ipairs(object.externs) do
    if not is_function[name] then others[#others + 1] = name end
  end
  if #kfuncs > 0 then wrap("kfuncs", kfuncs) end
  if #others > 0 then wrap("kernel's", others) end
end

local function show_calls(object)
  local names, changing = {}, {}
  for i, helper in ipairs(object.helpers) do
    names[i] = helper.changes and helper.name .. " (!)" or helper.name
    if helper.changes then
      changing[#changing + 1] = ("%s in %s"):format(helper.name, table.concat(helper.sections, ", "))
    end
  end
  if #names > 0 then wrap("helpers", names) end
  show_externs(object, changing)
  if #changing > 0 then wrap("CHANGES", changing) end
end

local function show_types(object)
  local words = {}
  for _, type in ipairs(object.kernel_types) do
    if #type.fields == 0 then words[#words + 1] = type.name end
    for _, field in ipairs(type.fields) do words[#words + 1] = type.name .. "." .. field end
  end
  if #words > 0 then wrap("CO-RE", words) end
end

local function show_needs(object)
  local words = {}
  for _, feature in ipairs(object.features) do
    if feature.since == object.kernel then words[#words + 1] = feature.name end
  end
  say("  %-10s Linux %s or newer%s; luaprobe itself needs 5.10", "kernel", object.kernel,
    #words > 0 and ": " .. table.concat(words, ", ") or "")
end

local function origin_of(object)
  if not object.arch then return "object" end
  if object.packed then return "packed for " .. object.arch end
  return object.compiled and "compiled for " .. object.arch or "object for " .. object.arch
end

local function show_object(object)
  local origin = origin_of(object)
  say("%s (%s)", object.name, origin)
  show_programs(object)
  show_maps(object)
  show_calls(object)
  show_types(object)
  show_needs(object)
  say("  %-10s %s, %d instructions, sha256 %s", "size", size(object.size), object.instructions, object.sha256)
  if object.source_sha256 then say("  %-10s sha256 %s", "C text", object.source_sha256) end
  if object.clang then say("  %-10s %s%s", "clang", object.clang, object.flags and ", flags " .. object.flags or "") end
end

-- Whether two objects have the same programs, maps, helpers and types: all that is shown of them but size and hash.
local function are_alike(one, other)
  for _, key in ipairs { "programs", "maps", "helpers", "externs", "kernel_types", "kernel" } do
    if json.encode(one[key]) ~= json.encode(other[key]) then return false end
  end
  return true
end

-- Objects of other architectures are shown whole where they do something else; otherwise their size and hash.
local function show_objects(objects)
  local shown = {}
  for _, pass in ipairs { clang.here, false } do
    for _, object in ipairs(objects) do
      local is_here = object.arch == pass or object.arch == nil
      if (is_here or not pass) and not object.stale and not shown[object.name] then
        shown[object.name] = object
        show_object(object)
      end
    end
  end
  for _, object in ipairs(objects) do
    if object.stale then
      say("%s (packed for %s): nothing in the script as it is now asks for it, %s, sha256 %s", object.name, object.arch,
        size(object.size), object.sha256)
    elseif shown[object.name] ~= object and not are_alike(shown[object.name], object) then
      show_object(object)
    elseif shown[object.name] ~= object then
      say("%s (packed for %s): the same, %s, sha256 %s", object.name, object.arch, size(object.size), object.sha256)
    end
  end
end

-- The templates are luaprobe's own: their programs read, count and send, and change nothing.
local function show_one_liners(list)
  for _, one in ipairs(list or {}) do
    say("lp.%s (line %d%s), a program of luaprobe's own at", one.call, one.line,
      one.partly and ", whose other arguments are not all literals" or "")
    for _, program in ipairs(one.programs) do say("  %-10s %-26s %s", "", program.name, program.target) end
    for _, name in ipairs { "fields", "where", "by" } do
      if one[name] then say("  %-10s %s", name, one[name]) end
    end
  end
end

local function show_libraries(libraries)
  if not libraries then return end
  if #libraries == 0 then say "Lua libraries: none but luaprobe's and the harmless ones" return end
  say "Lua libraries that the script asks for ((!): can act on the machine, or hide what does)"
  for _, library in ipairs(libraries) do
    say("  %-26s line %s", library.name .. (library.acts and " (!)" or ""), table.concat(library.lines, ", "))
  end
end

--- Prints a report.
function M.show(report)
  local packed = #report.architectures > 0 and ", packed for " .. table.concat(report.architectures, ", ") or ""
  say("%s: %s of %s%s, sha256 %s", report.file, report.kind, size(report.size), packed, report.sha256)
  for _, note in ipairs(report.notes) do io.stdout:write("note: ", text.paragraph(note, "  "), "\n") end
  show_objects(report.objects)
  show_one_liners(report.one_liners)
  show_libraries(report.libraries)
end

--- `luaprobe inspect`.
-- @tparam string what see luaprobe.inspect.of
-- @tparam[opt] boolean as_json
-- @treturn boolean whether all that the script compiles does compile
function M.run(what, as_json)
  local report = inspect.of(what)
  local complete = not report.incomplete
  if as_json then json.print(inspect.for_json(report)) else M.show(report) end
  return complete
end

return M
