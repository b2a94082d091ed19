-- Field expressions: what they fetch in the kernel against what system calls and /proc tell of the same thing.
local ffi = require "ffi"
local bit = require "bit"
local helper = require "helper"

if not helper.is_root() or not helper.has_kprobes() then
  describe("field expressions", function() pending "needs root and a kernel with kprobes" end)
  return
end

local lp = require "luaprobe"

pcall(ffi.cdef, [[
  int open(const char *path, int flags, ...);
  int close(int fd);
  long read(int fd, void *buffer, size_t size);
  int socket(int domain, int type, int protocol);
  int bind(int fd, const void *address, unsigned int size);
  int listen(int fd, int backlog);
  int setsockopt(int fd, int level, int name, const void *value, unsigned int size);
  int getsockopt(int fd, int level, int name, void *value, unsigned int *size);
]])

local function command(text)
  local pipe = io.popen(text)
  local line = pipe:read "*l"
  pipe:close()
  return line
end

-- What a command prints as a number.
local function number(text, base)
  return tonumber(command(text), base)
end

-- Traces one call and checks each expression's value. Rows: { expression, wanted [, name in the event] }.
local function check(target, rows, call, opts)
  for from = 1, #rows, 8 do
    local fields = {}
    for i = from, math.min(from + 7, #rows) do fields[#fields + 1] = rows[i][1] end
    opts = opts or {}
    opts.pid = helper.pid
    local trace = lp.trace(target, fields, opts)
    call()
    local items = trace:items()
    trace:detach()
    assert.is_true(#items >= 1, target .. ": no event")
    local event = items[#items]
    for i = from, math.min(from + 7, #rows) do
      local name = rows[i][3] or rows[i][1]:gsub(":%l+$", "")
      local wanted = rows[i][2]
      assert.are.equal(wanted, event[name], ("%s %s"):format(target, rows[i][1]))
    end
  end
end

describe("the value of", function()
  helper.check_leaks(before_each, after_each)
  require("luaprobe.cdef").lp_stats_enable() -- which keeps a descriptor as long as the process lives

  it("what hangs on a file", function()
    local path = "/tmp/luaprobe_fields"
    helper.write(path, ("x"):rep(1234))
    os.execute("chmod 640 " .. path .. "; chown 7:9 " .. path)
    os.execute("ln -f " .. path .. " " .. path .. "_too")
    local fd = ffi.C.open(path, 0x8000)
    local buffer = ffi.new "char[64]"
    local mount = command "stat -f -c %t /tmp" -- hexadecimal
    local read_iter
    for line in io.lines "/proc/kallsyms" do
      if line:find(" shmem_file_read_iter$") then read_iter = "shmem_file_read_iter" end
    end
    local rows = {
      { "count", 64 }, { "arg2", 64 }, { "buf:d", tonumber(ffi.cast("uintptr_t", buffer)) }, { "pos[0]", 0 },
      { "file->f_pos", 0 }, { "file->f_flags", 0x8000 },
      { "file->f_path.dentry->d_name.name:str", "luaprobe_fields" },
      { "file->f_path.dentry->d_name.len", #"luaprobe_fields" }, -- in a struct in a union without names
      { "file->f_path.dentry->d_sb->s_dev", number("stat -c %d " .. path) },
      { "file->f_path.dentry->d_inode->i_ino", number("stat -c %i " .. path) },
      { "file->f_path.mnt->mnt_sb->s_id", "tmpfs" },
      { "file->f_inode->i_ino", number("stat -c %i " .. path) },
      { "file->f_inode->i_mode", number("stat -c %f " .. path, 16) },
      { "file->f_inode->i_size", 1234 },
      { "file->f_inode->i_nlink", 2 }, -- in a union without name
      { "file->f_inode->__i_nlink", 2 },
      { "file->f_inode->i_uid.val", 7 }, { "file->f_inode->i_gid.val", 9 },
      { "file->f_inode->i_blkbits", 12 },
      { "file->f_inode->i_sb->s_magic", tonumber(mount, 16) },
      { "file->f_inode->i_sb->s_blocksize", 4096 },
      { "file->f_inode->i_sb->s_type->name:str", "tmpfs" },
      { "file->f_inode->i_sb->s_dev", number("stat -c %d " .. path) },
      { "file->f_inode->i_sb->s_id", "tmpfs" },
      { "file->f_inode->i_sb->s_id[0]:d", ("t"):byte() },
      { "file->f_inode->i_sb->s_id[4]", ("s"):byte() },
      { "file->f_op->read_iter:sym", read_iter },
      { "file->f_mapping->host->i_ino", number("stat -c %i " .. path) },
    }
    if not read_iter then table.remove(rows, #rows - 1) end -- before 6.6 it has another name
    -- Each read moves on, so each batch is read from the start.
    check("kprobe:vfs_read", rows, function()
      ffi.C.close(fd)
      fd = ffi.C.open(path, 0x8000)
      ffi.C.read(fd, buffer, 64)
    end, { where = "count == 64" })
    ffi.C.close(fd)
    os.remove(path)
    os.remove(path .. "_too")
  end)

  it("what hangs on a socket", function()
    local one, size = ffi.new("int[1]", 1), ffi.new("int[1]", 20000)
    -- AF_INET, port 4711, 127.0.0.1
    local address = ffi.new("uint8_t[16]", 2, 0, bit.rshift(4711, 8), bit.band(4711, 255), 127, 0, 0, 1)
    local fd
    local function close()
      if fd then ffi.C.close(fd) end
    end
    local function listen()
      close()
      fd = ffi.C.socket(2, 1, 0)
      ffi.C.setsockopt(fd, 1, 2, one, 4)  -- SO_REUSEADDR
      ffi.C.setsockopt(fd, 1, 15, one, 4) -- SO_REUSEPORT
      ffi.C.setsockopt(fd, 1, 8, size, 4) -- SO_RCVBUF, which is doubled
      assert(ffi.C.bind(fd, address, 16) == 0)
      assert(ffi.C.listen(fd, 17) == 0)
    end
    check("kprobe:inet_listen", {
      { "backlog", 17 }, { "sock->state", "SS_UNCONNECTED" }, { "number = sock->state:d", 1, "number" },
      { "sock->type", 1 },
      { "sock->ops->family", 2 }, { "sock->sk->sk_type", 1 }, { "sock->sk->sk_protocol", 6 },
      { "sock->sk->sk_rcvbuf", 40000 },
      { "sock->sk->sk_userlocks", 2 + 4 + 8 }, -- 4 bits
      { "sock->sk->__sk_common.skc_reuse", 1 }, -- 4 bits
      { "sock->sk->__sk_common.skc_reuseport", 1 }, -- 1 bit
      { "sock->sk->__sk_common.skc_ipv6only", 0 }, { "sock->sk->__sk_common.skc_net_refcnt", 1 },
      { "sock->sk->__sk_common.skc_family", 2 }, { "sock->sk->__sk_common.skc_num", 4711 },
      { "sock->sk->__sk_common.skc_rcv_saddr:ip", "127.0.0.1" }, { "sock->sk->__sk_common.skc_daddr:ip", "0.0.0.0" },
      { "sock->sk->__sk_common.skc_state", 7 }, { "sock->file->f_flags:d", 2 },
      { "sock->sk->sk_socket->type", 1 },
    }, listen)
    check("kprobe:inet_csk_listen_start", {
      { "sk->__sk_common.skc_prot->name", "TCP" }, { "sk->sk_socket->state", "SS_UNCONNECTED" },
      { "sk->sk_socket->ops->family", 2 }, { "sk->__sk_common.skc_v6_rcv_saddr:ip", "::" },
    }, listen)
    close()
  end)

  it("what hangs on a task", function()
    local limit = tonumber(helper.read("/proc/self/limits"):match "Max open files%s+(%d+)")
    local arguments = tonumber((helper.read("/proc/self/stat"):match "%) (.*)"):match(("%S+ "):rep(45) .. "(%d+)"))
    local host, release = command "hostname", command "uname -r"
    local comm = helper.read("/proc/self/comm"):match "[^\n]*"
    check("kprobe:wake_up_new_task", {
      { "p->real_parent->pid", helper.pid }, { "p->real_parent->tgid", helper.pid },
      { "p->comm", comm }, { "p->real_parent->comm", comm }, { "p->comm[0]", comm:byte(1) },
      { "p->static_prio", 120 }, { "p->policy", 0 }, { "p->prio", 120 },
      { "p->nsproxy->uts_ns->name.nodename", host }, { "p->nsproxy->uts_ns->name.release", release },
      { "p->nsproxy->uts_ns->name.sysname", "Linux" }, { "p->signal->rlim[7].rlim_cur", limit },
      { "p->signal->nr_threads", 1 }, { "p->cred->uid.val", 0 }, { "p->cred[0].uid.val", 0 },
      { "p->real_cred->user->uid.val", 0 }, { "p->real_parent[0].comm[0]", comm:byte(1) },
      { "p->mm->arg_start:d", arguments }, { "p->group_leader->real_parent->pid", helper.pid },
      { "p->sched_reset_on_fork", 0 }, { "p->fs->umask", tonumber(command "umask", 8) },
    }, function() os.execute "true" end)
  end)

  it("a pointer to pointers", function()
    local flags = tonumber(helper.read("/proc/self/fdinfo/1"):match "flags:%s*(%d+)", 8)
    check("kprobe:dup_fd", {
      { "oldf->fdt->fd[1]->f_flags", flags },
      { "oldf->fd_array[1]->f_flags", flags }, -- an array of pointers
    }, function() os.execute "true" end)
  end)

  it("the arguments of open", function()
    local function open()
      local fd = ffi.C.open("/tmp/luaprobe_open", 0x40 + 0x8000, ffi.cast("int", 384)) -- O_CREAT, 0600
      ffi.C.close(fd)
    end
    check("kprobe:do_sys_openat2", {
      { "dfd", -100 }, { "filename:ustr", "/tmp/luaprobe_open" }, { "how->flags:x", 0x8040 }, { "how->mode", 384 },
      { "how->resolve", 0 }, { "comm", helper.read("/proc/self/comm"):match "[^\n]*" }, { "tid", helper.pid },
      { "uid", 0 },
    }, open, { where = "filename:ustr == '/tmp/luaprobe_o*'" })
    os.remove "/tmp/luaprobe_open"
  end)
end)
