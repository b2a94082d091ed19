-- The tour of the prompt (examples/repl-tour.md), typed into a terminal and compared with what it says.
local helper = require "helper"
local terminals = require "terminal"

local version = helper.kernel_version()
if not helper.is_root() or not helper.has_kprobes() or version ~= 6012 then
  describe("the tour", function() pending "is of Linux 6.12 with kprobes" end)
  return
end

-- The steps: what is typed, and the lines that shall come.
local function steps()
  local list = {}
  for line in (helper.read "examples/repl-tour.md" .. "\n"):gmatch "([^\n]*)\n" do
    local typed = line:match "^    > (.+)$"
    local answer = line:match "^    ([^>].*)$"
    if typed then
      list[#list + 1] = { typed = typed, answer = {} }
    elseif answer and #list > 0 then
      local last = list[#list].answer
      last[#last + 1] = answer
    end
  end
  return list
end

-- A line as a pattern: long numbers differ, blanks are as many as need be, … is anything.
local function pattern_of(line)
  line = line:gsub("…", "\1"):gsub("%s+", " "):gsub("^ ", ""):gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")
  line = line:gsub("%d[%d:]*%%%.?%d*", "\2"):gsub("%f[%w]%d%d%d+%f[%W]", "\2")
  return "^" .. line:gsub("\2", "[%%d:.]+"):gsub("\1", ".*") .. "$"
end

local function compare(step, got)
  local wanted = {}
  for _, line in ipairs(step.answer) do wanted[#wanted + 1] = pattern_of(line) end
  local i = 1
  for line in (got .. "\n"):gmatch "([^\n]*)\n" do
    line = line:gsub("%s+", " "):gsub("^ ", "")
    if wanted[i] and line:find(wanted[i]) and wanted[i] ~= "^.*$" then
      i = i + 1
    elseif wanted[i] == "^.*$" then
      if wanted[i + 1] and line:find(wanted[i + 1]) then i = i + 2 end -- whatever comes, until the next one
    elseif line ~= "" and wanted[i - 1] ~= "^.*$" then
      error(("%s\nanswers:\n%s\nnot in the tour at: %s (wanted %s)"):format(step.typed, got, line,
        tostring(wanted[i])), 0)
    end
  end
  while wanted[i] == "^.*$" do i = i + 1 end
  if wanted[i] then error(("%s\nanswers:\n%s\nwithout %s"):format(step.typed, got, wanted[i]), 0) end
end

describe("the tour", function()
  helper.check_leaks(before_each, after_each)

  it("is as it says", function()
    local terminal = terminals.start("env HOME=/tmp " .. helper.luaprobe, { columns = 200, rows = 50 })
    terminal:wait("the prompt", function(screen) return screen:text():find "\n>$" end)
    terminal.seen = #terminal.screen:text()
    local list = steps()
    assert.is_true(#list > 20)
    for _, step in ipairs(list) do
      local wants_events = table.concat(step.answer, "\n"):find "%d%d:%d%d:%d%d"
      local got = terminal:line(step.typed)
      if wants_events then -- they come after the answer, on the next tick
        local from = #terminal.screen:text()
        local answer = ".*> " .. step.typed:gsub("%p", "%%%0") .. "\n(.*)\n>%s*$"
        -- The line is taken off the screen while events are written, so the prompt is waited for as well.
        terminal:wait("the events and the prompt", function(screen)
          local text = screen:text()
          got = text:match(answer)
          return got and select(2, text:sub(from - #got - 2):gsub("%d%d:%d%d:%d%d%.", "")) >=
            select(2, table.concat(step.answer, "\n"):gsub("%d%d:%d%d:%d%d%.", ""))
        end)
        terminal.seen = #terminal.screen:text()
      end
      compare(step, got)
    end
    terminal:type "\4"
    terminal:wait("the end", function() return terminal.over end)
    terminal:close()
    local out, err, status = helper.luaprobe_run "/tmp/session.lua"
    assert.are.equal(0, status, err)
    assert.is_truthy(out:find "count kprobe:do_sys_open%* by func: 1 keys, 1 hits")
  end)
end)
