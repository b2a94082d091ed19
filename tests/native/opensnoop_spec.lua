-- opensnoop, whole: what it prints for opens that the test knows.
local helper = require "helper"

if not helper.is_root() then
  describe("opensnoop", function() pending "needs root" end)
  return
end

local opensnoop = helper.luaprobe .. " scripts/opensnoop.lua"

-- Starts opensnoop on everything, runs the command, ends opensnoop; gives rows by path, stderr, and the status.
local function trace(options, command)
  local all = helper.start(opensnoop .. " " .. options)
  assert.is_true(helper.eventually(30, function() return all.out():find "PATH" end), all.err())
  -- The header is out before the first event is read, after the probes are attached.
  local out, _, _ = helper.run(command)
  helper.sleep(0.2)
  all.signal(2)
  local text, err, status = all.wait()
  return text, err, status, out
end

describe("opensnoop", function()
  helper.check_leaks(before_each, after_each)
  local directory, remove
  setup(function() directory, remove = helper.temporary_directory() end)
  teardown(function() remove() end)

  it("prints an open with the right pid, comm, fd and path", function()
    local text, err, status, out = trace("", "sh -c 'echo $$; exec cat /etc/hostname'")
    local pid = out:match "^%d+"
    assert.are.equal(0, status)
    assert.are.equal("PID     COMM              FD ERR PATH", text:match "^[^\n]*")
    assert.is_truthy(text:find(("\n%-7s cat                3   0 /etc/hostname\n"):format(pid), 1, true), text)
    if helper.has_kprobes() then
      assert.are.equal("", err)
    else
      assert.are.equal(1, select(2, err:gsub("\n", "")), err)
      assert.is_truthy(err:find "this kernel has no kprobes; using tracepoint:syscalls:sys_exit_open")
    end
  end)

  it("prints paths of every length, from none on, by every buffer", function()
    for _, kind in ipairs { "perf", "ring" } do
      if kind == "perf" or helper.kernel_version() >= 5008 then
        local text = trace("-c cat --buffer " .. kind, "cd / && cat '' . a ab abc abcd abcde")
        for _, path in ipairs { "", "%.", "a", "ab", "abc", "abcd", "abcde" } do
          assert.is_truthy(text:find("cat +%-?%d+ +%d+ " .. path .. "\n"), kind .. path .. text)
        end
      end
    end
  end)

  it("prints failed opens with their error", function()
    local text = trace("-x", "cat /nonexistent/file; cat /etc/hostname")
    assert.is_truthy(text:find "cat               %-1   2 /nonexistent/file\n", text)
    assert.is_nil(text:find("/etc/hostname", 1, true))
  end)

  it("shows the columns asked for", function()
    local text = trace("-T -U -e", "cat /etc/hostname")
    assert.is_truthy(text:find "^TIME            UID     PID     COMM              FD ERR FLAGS    PATH\n", text)
    local time = ("%d"):rep(2) .. ":%d%d:%d%d%." .. ("%d"):rep(6)
    assert.is_truthy(text:find("\n" .. time .. " 0       %d+ +cat                3   0 0[0-7]+ /etc/hostname\n"), text)
  end)

  it("shows the flags as the program gave them, and creat(2) as the open that it is", function()
    if jit.arch ~= "x64" then return pending "newer processors have no creat(2)" end
    local ffi = require "ffi"
    local job = helper.start(opensnoop .. " -e -p " .. helper.pid)
    assert.is_true(helper.eventually(30, function() return job.out():find "PATH" end), job.err())
    local SYS_OPEN, SYS_CREAT, O_RDWR = 2, 85, 2
    ffi.C.syscall(SYS_OPEN, ffi.cast("const char *", "/nonexistent/opened"), ffi.cast("int", O_RDWR),
      ffi.cast("int", 0))
    ffi.C.syscall(SYS_CREAT, ffi.cast("const char *", "/nonexistent/created"), ffi.cast("int", 420))
    helper.sleep(0.2)
    job.signal(2)
    local text = job.wait()
    assert.is_truthy(text:find "00000002 /nonexistent/opened\n", text)
    assert.is_truthy(text:find "00001101 /nonexistent/created\n", text)
  end)

  it("filters by process, thread, user and name, in the kernel", function()
    local function paths(options)
      local text = trace(options, ([[sh -c 'cat %s/a; exec 3<%s/b'; setpriv --reuid 65534 cat %s/c; head %s/d]])
        :gsub("%%s", directory))
      local list = {}
      for path in text:gmatch("[^ ]*/([abcd])\n") do list[#list + 1] = path end
      table.sort(list)
      return table.concat(list)
    end
    for _, name in ipairs { "a", "b", "c", "d" } do helper.write(directory .. "/" .. name, "") end
    os.execute("chmod 755 " .. directory)
    assert.are.equal("abcd", paths "")
    assert.are.equal("ac", paths "-c cat")
    assert.are.equal("c", paths "-u 65534")
    assert.are.equal("abd", paths "-u 0")
    assert.are.equal("", paths("-p " .. helper.pid))
    assert.are.equal("", paths("-t " .. helper.pid))
  end)

  it("follows one process or one thread", function()
    local opener = io.popen(("%s %s/x 2 3 >%s/opener"):format(helper.opener, directory, directory), "w")
    local pid
    helper.eventually(5, function()
      pid = helper.exists(directory .. "/opener") and helper.read(directory .. "/opener"):match "(%d+)\n"
      return pid
    end)
    local job = helper.start(opensnoop .. " -p " .. assert(pid))
    assert.is_true(helper.eventually(30, function() return job.out():find "PATH" end))
    opener:write "go\n"
    opener:close()
    helper.sleep(0.2)
    job.signal(15)
    local text, _, status = job.wait()
    assert.are.equal(0, status)
    local seen = {}
    for row_pid, path in text:gmatch "\n(%d+) +opener +%-1   2 [^\n]*/(x/%d%-%d)" do
      assert.are.equal(pid, row_pid)
      seen[#seen + 1] = path
    end
    table.sort(seen)
    assert.are.same({ "x/0-0", "x/0-1", "x/0-2", "x/1-0", "x/1-1", "x/1-2" }, seen)
  end)

  it("prints paths of up to 4095 bytes whole, and no line break in them", function()
    local long = "/" .. ("x/"):rep(2046) .. "yz" -- 4,095 bytes
    assert.are.equal(4095, #long)
    local text = trace("-x", ("cat %s; cat '/nonexistent/two\nlines'"):format(long))
    assert.is_truthy(text:find(" " .. long .. "\n", 1, true))
    assert.is_truthy(text:find("/nonexistent/two\\nlines\n", 1, true))
  end)

  it("sees 10,000 opens by 4 threads: each once, none lost, none torn", function()
    local report = directory .. "/report"
    local opener = io.popen(("%s /luaprobe-none 4 2500 >%s"):format(helper.opener, report), "w")
    local job = helper.start(opensnoop .. " -c opener")
    assert.is_true(helper.eventually(30, function() return job.out():find "PATH" end))
    opener:write "go\n"
    opener:close()
    local pid = helper.read(report):match "%d+"
    helper.eventually(10, function() return select(2, job.out():gsub("\n", "")) >= 10001 end)
    job.signal(2)
    local text, err, status = job.wait()
    assert.are.equal(0, status)
    assert.is_nil(err:find "lost", err)
    assert.is_nil(err:find "missed", err)
    local seen, count = {}, 0
    for row in text:gmatch "\n([^\n]+)" do
      local row_pid, thread, number = row:match "^(%d+) +opener +%-1   2 /luaprobe%-none/(%d)%-(%d+)$"
      assert.is_truthy(number, row)
      assert.are.equal(pid, row_pid)
      assert.is_true(tonumber(thread) < 4 and tonumber(number) < 2500)
      assert.is_nil(seen[thread .. "-" .. number])
      seen[thread .. "-" .. number] = true
      count = count + 1
    end
    assert.are.equal(10000, count)
  end)

  -- 30 processes wait in open(2), each for the writer of its FIFO: more than a kretprobe by a perf event follows.
  local function open_fifos(options)
    local job = helper.start(opensnoop .. " -c cat " .. options)
    assert.is_true(helper.eventually(30, function() return job.out():find "PATH" end), job.err())
    helper.run(([[mkdir -p DIR/fifos && for i in $(seq 30); do mkfifo DIR/fifos/$i; cat DIR/fifos/$i >/dev/null & done
      sleep 1.5; for i in $(seq 30); do echo >DIR/fifos/$i; done; wait; rm -r DIR/fifos]]):gsub("DIR", directory))
    helper.sleep(0.2)
    job.signal(2)
    local text, err, status = job.wait()
    assert.are.equal(0, status)
    return select(2, text:gsub("/fifos/%d+\n", "")), err
  end

  it("sees every one of many opens that wait at the same time", function()
    local seen, err = open_fifos ""
    assert.are.equal(30, seen)
    assert.is_nil(err:find "missed")
  end)

  for _, mechanism in ipairs { "link", "perf", "multi" } do
    it("tells how many it missed when it is told to attach by " .. mechanism, function()
      if not helper.has_kprobes() then return pending "this kernel has no kprobes" end
      local version = helper.kernel_version()
      if mechanism == "link" and version < 5015 or mechanism == "multi" and version < 6012 then
        return pending("this kernel has no " .. mechanism)
      end
      local seen, err = open_fifos("--attach " .. mechanism)
      local missed = tonumber(err:match "missed (%d+) opens" or 0)
      -- Since 6.13 the kernel leaves out a program that runs already, also the one that hears of a thread's end.
      local unsure = tonumber(err:match "(%d+) opens had not returned yet, or were missed" or 0)
      assert.are.equal(30, seen + missed + (version >= 6013 and unsure or 0), err)
    end)
  end

  it("takes no open for missed that was under way when it came or went", function()
    local busy = {}
    for i = 1, 4 do busy[i] = helper.start "sh -c 'while :; do read x </etc/hostname; done'" end
    local told = {}
    for _ = 1, 12 do told[#told + 1] = select(2, helper.run(opensnoop .. " -d 0.2 >/dev/null")) end
    for _, job in ipairs(busy) do job.signal(9) end
    for _, job in ipairs(busy) do job.wait() end
    assert.is_nil(table.concat(told):find "missed", table.concat(told))
  end)

  it("ends by itself after -d SECONDS, and at once when its reader goes away", function()
    local _, _, status = helper.run("timeout 20 " .. opensnoop .. " -d 0.3")
    assert.are.equal(0, status)
    local out, err
    out, err, status = helper.run(("timeout 20 %s 2>%s/err | head -1; cat %s/err >&2"):format(
      opensnoop, directory, directory))
    assert.are.equal("PID     COMM              FD ERR PATH\n", out)
    assert.are.equal(0, status)
    assert.is_nil(err:find("luaprobe: [^o]"), err)
    -- Also when nothing happens that it could print: nobody has this name.
    _, _, status = helper.run(("timeout 20 sh -c '%s -c nobody-has-this | sleep 0.5'"):format(opensnoop))
    assert.are.equal(0, status)
  end)
end)
