-- What is made of the command line's own description: the manual page, the completions; and the installation.
local find = require "luaprobe.find"
local helper = require "helper"

local manual = helper.build .. "/manual/"

describe("the manual page", function()
  local text = helper.read(manual .. "luaprobe.1")

  it("has every built-in script, the options of each, and the environment", function()
    for _, name in ipairs(find.builtin_scripts()) do
      assert.is_truthy(text:find(".SS luaprobe " .. name, 1, true), name)
      local help = helper.luaprobe_run(name .. " --help")
      for option in help:gmatch "%s(%-%-[%w-]+)" do
        assert.is_truthy(text:find(option:gsub("%-", "\\-"), 1, true), name .. " " .. option)
      end
      assert.is_truthy(help:find("Examples:", 1, true), name)
    end
    for _, word in ipairs { "LUAPROBE_PATH", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR", "LUAPROBE_DEBUG",
      "LUAPROBE_CLANG", "LUAPROBE_BTF", "EXIT STATUS", "\\-\\-traceback" } do
      assert.is_truthy(text:find(word, 1, true), word)
    end
  end)

  it("is well-formed", function()
    if not helper.has_program "man" then return pending "man is not installed" end
    local out, err, status = helper.run(("man --warnings -E UTF-8 -l %sluaprobe.1"):format(manual))
    assert.are.same({ "", 0 }, { err, status })
    assert.is_truthy(out:find("luaprobe - trace a running Linux", 1, true))
  end)
end)

describe("the completion of bash", function()
  if not helper.has_program "bash" then return pending "bash is not installed" end

  local function complete(words, current)
    local code = ("source %sluaprobe.bash; COMP_WORDS=(luaprobe %s '%s'); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
      .. "_luaprobe luaprobe '%s' \"${COMP_WORDS[COMP_CWORD - 1]}\"; printf '%%s\\n' "
      .. "\"${COMPREPLY[@]}\""):format(manual, words, current, current)
    local out, err = helper.run("bash -c " .. helper.quote(code))
    assert.are.equal("", err)
    return " " .. out:gsub("\n", " ")
  end

  it("knows the scripts and their options", function()
    for _, name in ipairs(find.builtin_scripts()) do
      assert.is_truthy(complete("", ""):find(" " .. name .. " ", 1, true), name)
    end
    assert.are.equal(" opensnoop ", complete("", "open"))
    assert.is_truthy(complete("opensnoop", "--f"):find " %-%-failed ")
    assert.is_truthy(complete("opensnoop", "--cg"):find " %-%-cgroup ")
    assert.is_truthy(complete("pack", "--a"):find " %-%-arch ")
    assert.is_truthy(complete("", "--tr"):find " %-%-traceback ")
    assert.is_nil(complete("unpack", "--a"):find " %-%-arch ")
    assert.are.equal(" auto link perf legacy multi ", complete("opensnoop --attach", ""))
    assert.are.equal(" ring ", complete("opensnoop --buffer", "r"))
  end)

  it("has luaprobe's own options before a script only, which refuses them", function()
    for _, words in ipairs { "opensnoop", "pack", "./tool.lua" } do
      for _, option in ipairs { "--tr", "--vers", "--bt" } do assert.are.equal("  ", complete(words, option)) end
    end
    assert.is_truthy(complete("./tool.lua", "--ju"):find "^ *$" and complete("./tool.lua", "--js"):find " %-%-json ")
    assert.are.equal(" arm64 ", complete("pack --arch", "ar"))
    assert.is_truthy(complete("pack --arch", "x"):find " x86_64,arm64 ")
  end)

  it("takes a name with spaces for one word", function()
    local directory, remove = helper.temporary_directory()
    helper.write(directory .. "/a file", "")
    assert.are.equal((" %s/a file "):format(directory), complete("inspect", directory .. "/a"))
    assert.are.equal((" %s/a file "):format(directory), complete("pack -o", directory .. "/a"))
    remove()
  end)

  it("knows what a command takes: a script by name, or a file", function()
    for _, command in ipairs { "check", "inspect", "pack", "unpack" } do
      assert.are.equal(" opensnoop ", complete(command, "opens"))
      assert.are.equal(" README.md ", complete(command, "READ"))
    end
  end)
end)

describe("the completion of zsh", function()
  it("is taken by zsh, and knows the scripts", function()
    if not helper.has_program "zsh" then return pending "zsh is not installed" end
    local _, err, status = helper.run(("zsh -n %s_luaprobe"):format(manual))
    assert.are.same({ "", 0 }, { err, status })
    local text = helper.read(manual .. "_luaprobe")
    assert.is_truthy(text:find "^#compdef luaprobe")
    for _, name in ipairs(find.builtin_scripts()) do
      assert.is_truthy(text:find(("\n    %s)\n"):format(name), 1, true), name)
      assert.is_truthy(text:find(('"%s:'):format(name), 1, true), name)
    end
    assert.are.equal(4, select(2, text:gsub("script:%(opensnoop%)", "")))
  end)
end)

describe("cmake --install", function()
  it("puts all of it below a prefix, and what is there runs", function()
    if not helper.exists(helper.build .. "/cmake_install.cmake") then return pending "not a build directory" end
    local directory, remove = helper.temporary_directory()
    local out, err, status = helper.run(("cmake --install %s --prefix %s/usr"):format(helper.build, directory))
    assert.are.equal(0, status, out .. err)
    for _, file in ipairs { "share/man/man1/luaprobe.1", "share/bash-completion/completions/luaprobe",
      "share/zsh/vendor-completions/_luaprobe", "share/doc/luaprobe/copyright",
      "share/doc/luaprobe/examples/execs.lua" } do
      assert.is_true(helper.exists(directory .. "/usr/" .. file), file)
    end
    out, err, status = helper.run(directory .. "/usr/bin/luaprobe --version")
    assert.are.equal("", err)
    assert.are.equal(0, status)
    assert.is_truthy(out:find "^luaprobe ")
    remove()
  end)
end)
