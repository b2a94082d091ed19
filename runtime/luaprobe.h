/*
 * luaprobe.h: everything that Lua knows of C, and the only header it knows.
 *
 * C includes this file; lua/luaprobe/cdef.lua hands the same text to ffi.cdef after dropping the preprocessor lines.
 * So it holds declarations only: no macros, no types but those of <stdint.h>, <stdbool.h> and <stddef.h>.
 *
 * Conventions. Functions are named lp_<noun>_<verb>. Those that can fail return 0 (or a count) on success and a
 * negative errno, or NULL, on failure; lp_error_last() then tells the stage, the cause and the mend. Strings are
 * NUL-terminated and belong to the handle they came from unless said otherwise. Nothing here calls back into Lua.
 */
#ifndef LUAPROBE_H
#define LUAPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- versions ------------------------------------------------------------------------------------------------- */

/* Goes up whenever a declaration below changes; cdef.lua refuses a host that was compiled with another number. */
enum { LP_ABI = 10 };
int lp_abi(void);
const char *lp_version(void);
const char *lp_version_libbpf(void);
/* The running kernel's release, as uname -r prints it. */
const char *lp_version_kernel(void);
bool lp_kernel_at_least(int major, int minor);

/* ---- error ---------------------------------------------------------------------------------------------------- */

struct lp_error {
    int code;            /* errno, positive */
    const char *name;    /* its name: "ENOENT" */
    const char *stage;   /* "read", "open", "load", "attach", "events", "output" */
    const char *message; /* the object and the cause, one sentence */
    const char *hint;    /* what mends it, or NULL */
    const char *log;     /* all that libbpf and the verifier said, or NULL */
};

/* The error of the last call that failed; valid until the next one fails. */
const struct lp_error *lp_error_last(void);
/* Copies libbpf's text, debug level included, to stderr as it comes (the -v option). */
void lp_error_verbose(bool on);

/* ---- bytes: files and what is embedded in the binary ---------------------------------------------------------- */

struct lp_bytes {
    const char *data;
    size_t size;
};

/*
 * Reads a whole regular file of at most `limit` bytes into memory that lp_bytes_free gives back.
 * Refuses anything else (a directory, a FIFO, a device): these files are run as root.
 */
int lp_bytes_read(const char *path, size_t limit, struct lp_bytes *out);
void lp_bytes_free(struct lp_bytes *bytes);
/* A file inside the binary ("scripts/opensnoop.lua", "opensnoop.bpf.o"); false when there is none of that name. */
bool lp_bytes_embedded(const char *name, struct lp_bytes *out);
/* The name of the i-th embedded file, or NULL past the last one. */
const char *lp_bytes_embedded_name(int i);

/* SHA-256, as 64 hexadecimal digits and a NUL. */
void lp_sha256(const void *data, size_t size, char *out);
/*
 * Writes a file whole or not at all. One that is there keeps its permissions and its owner; a new one has `mode` as far
 * as the umask lets it.
 */
int lp_file_replace(const char *path, const void *data, size_t size, uint32_t mode);
/* A file's permissions, or a negative errno. */
int lp_file_mode(const char *path);

/* ---- directory: those that are this user's alone -------------------------------------------------------------- */

/* Opens, and makes where it is missing, a directory that nobody else can read or write. Returns its descriptor. */
int lp_directory_open_private(const char *path);
void lp_directory_close(int directory);
/*
 * Makes an empty one below TMPDIR or /tmp, writes its path, and returns its descriptor. Those of processes that are
 * gone without having removed theirs (SIGKILL) are removed.
 */
int lp_directory_make_temporary(char *path, size_t size);
/* Removes it with the files in it and in the directories in it, and closes the descriptor. */
void lp_directory_remove(const char *path, int directory);
/* Writes a file in it, whole or not at all; `durable`: also if the machine loses power. */
int lp_directory_write(int directory, const char *name, const void *data, size_t size, bool durable);
/* Reads a file in it that is this user's own; a negative errno without an error set when there is none. */
int lp_directory_read(int directory, const char *name, size_t limit, struct lp_bytes *out);

/* ---- compiler ------------------------------------------------------------------------------------------------- */

/*
 * Runs a program, found on PATH, to its end, with nothing on standard input. `words` ends with NULL. `output` gets what
 * it printed, the first MiB of it, which lp_bytes_free gives back; `status` its exit status, or 128 + the signal.
 * SIGINT and SIGTERM end it when lp_stop_catch catches them; past `seconds` it is ended, and that is an error.
 */
int lp_process_run(const char *const *words, int seconds, struct lp_bytes *output, int *status);
/* Writes an object without its debugging sections; BTF stays. */
int lp_object_strip(const char *from, const char *to);

/* ---- pack: BPF objects in a script's own text, see runtime/pack.c --------------------------------------------- */

struct lp_pack;

enum { LP_PACK_OBJECTS = 256 }; /* packed in a script, at most */

/* What a manifest says of an object. Words in lists are divided by spaces; other bytes than text are written %NN. */
struct lp_packed {
    const char *name;
    const char *arch;     /* "x86_64", "arm64" */
    const char *source;   /* SHA-256 of the C text, or "-" */
    const char *flags;    /* what the script added to the compiler's flags, or "-" */
    const char *sha256;   /* of the object */
    const char *clang;    /* its version, or "-" */
    const char *sections; /* its programs' */
    const char *features; /* what it uses of the kernel: "5.8:ringbuf" */
    uint32_t size;        /* bytes of the object */
    uint32_t text_size;   /* bytes of text that these are packed into */
};

/*
 * Where in a script's text the packed objects begin: its size when there are none; a negative errno when they are cut
 * off.
 */
int64_t lp_pack_find(const char *script, const char *text, size_t size);
/* The second line of a trailer, by which one that is cut off is known. */
const char *lp_pack_note(void);
/* Reads and checks what is packed in a script's text, of which a copy is kept. NULL on failure. */
struct lp_pack *lp_pack_open(const char *script, const char *text, size_t size);
void lp_pack_close(struct lp_pack *pack);
/* How many bytes the script had before it was packed. */
size_t lp_pack_script_size(const struct lp_pack *pack);
/* The i-th object's manifest; false past the last one. */
bool lp_pack_object(const struct lp_pack *pack, uint32_t i, struct lp_packed *out);
/* Its bytes, which have the size and the hash that its manifest says; lp_bytes_free gives them back. */
int lp_pack_extract(const struct lp_pack *pack, uint32_t i, struct lp_bytes *out);
/* An object's bytes as lines of text, deflated and in base64; lp_bytes_free gives them back. */
int lp_pack_encode(const void *data, size_t size, struct lp_bytes *out);

/* ---- object: a BPF object file -------------------------------------------------------------------------------- */

struct lp_object;
struct lp_btf;

struct lp_program {
    const char *name;
    const char *section; /* "kprobe/do_sys_openat2" */
    uint32_t type;       /* BPF_PROG_TYPE_* */
    bool autoload;       /* lp_object_load will load it */
    int fd;              /* -1 before lp_object_load */
};

struct lp_map {
    const char *name;
    uint32_t type; /* BPF_MAP_TYPE_* */
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t flags;    /* BPF_F_* */
    uint32_t key_type; /* BTF ids of its object or, of a map alone, of lp_map_btf; 0: not known */
    uint32_t value_type;
    uint32_t id;         /* the kernel's; 0 when it is not loaded, or was not asked for */
    int fd;              /* -1 before lp_object_load */
    const char *pin;     /* where it is, or will be, pinned, or NULL */
    const char *datasec; /* ".rodata", ".data", ".bss", …, or NULL when the map holds no global variables */
    void *globals;       /* their memory, or NULL; before load the initial values, after it the live ones */
    size_t globals_size;
};

/*
 * Parses an object that lies in memory, which must stay until the object is closed. `kconfig`: lines like
 * "CONFIG_HZ=250" that come before the kernel's own configuration, or NULL. NULL on failure.
 */
struct lp_object *lp_object_open(const char *name, const void *data, size_t size, const char *kconfig);
/* Creates its maps and loads its programs (those with autoload). */
int lp_object_load(struct lp_object *object);
/* Closes every map and program. */
void lp_object_close(struct lp_object *object);
/* The i-th program or map in the order of the file; false past the last one. */
bool lp_object_program(struct lp_object *object, int i, struct lp_program *out);
bool lp_object_map(struct lp_object *object, int i, struct lp_map *out);
/* The template of the maps that the i-th one, a map of maps, takes; false when it has none. */
bool lp_object_inner_map(struct lp_object *object, int i, struct lp_map *out);

/*
 * Changes the i-th map before load: a field is left as it is where it is 0, NULL or -1. The value's
 * size also sets the size of a section of global variables.
 */
struct lp_map_change {
    uint32_t max_entries;
    uint32_t value_size;
    const char *pin; /* where to pin it, and to look for it first; "": nowhere */
    int inner_fd;    /* a map that shows what a map of maps takes */
};
int lp_object_change_map(struct lp_object *object, int i, const struct lp_map_change *change);
/* Whether lp_object_load shall load the i-th program. */
int lp_object_autoload(struct lp_object *object, int i, bool on);
/* Keeps lp_object_load from making the i-th map: no instruction that runs may use it. */
int lp_object_without_map(struct lp_object *object, int i);

/* What the kernel knows of a loaded program; 0 for what it does not tell. */
struct lp_program_info {
    uint32_t id;
    uint32_t instructions; /* of the object, before the verifier changed them */
    uint32_t verified;     /* that the verifier went through (Linux 5.16) */
    uint32_t jited_bytes;
    uint64_t runs;    /* counted while statistics are on: lp_stats_enable */
    uint64_t time_ns; /* that these took */
    uint64_t missed;  /* runs left out because it was running already (Linux 5.12) */
};
int lp_object_program_info(struct lp_object *object, int i, struct lp_program_info *out);

/* Runs a program once or `repeat_count` times on what is given (BPF_PROG_TEST_RUN). */
struct lp_test_run {
    const void *data_in; /* a packet, where its type takes one */
    uint32_t data_size_in;
    void *data_out;
    uint32_t data_size_out; /* room; afterwards what was written */
    const void *context_in; /* the context, where its type takes one */
    uint32_t context_size_in;
    void *context_out;
    uint32_t context_size_out;
    uint32_t repeat_count;
    uint32_t result;   /* what the program returned */
    uint32_t duration; /* nanoseconds each */
};
int lp_object_test_run(struct lp_object *object, int i, struct lp_test_run *run);
/*
 * Does nothing; a call of it tells LuaJIT's compiler that memory which it read may have changed: it is the kernel that
 * writes global variables.
 */
void lp_data_changes(void);
/* The object's types, which outlive it, for lp_btf_free; NULL when it was compiled without -g. */
struct lp_btf *lp_object_btf(const struct lp_object *object);

/* ---- btf: types ----------------------------------------------------------------------------------------------- */

/* Type ids are BTF's: 0 is void. typedefs, const, volatile, restrict and type tags are seen through. */
struct lp_type {
    uint32_t id;       /* of the type itself, behind its modifiers */
    uint32_t kind;     /* BTF_KIND_*, from <linux/btf.h> */
    const char *name;  /* "" when anonymous */
    uint32_t size;     /* bytes */
    uint32_t count;    /* members, enumerators, array elements, variables of a data section */
    uint32_t of;       /* the type of an array's elements, a pointer's target, a variable, what a function returns */
    uint32_t encoding; /* integers: BTF_INT_*; enumerations: BTF_INT_SIGNED or 0 */
};

struct lp_member {
    const char *name; /* "" when anonymous */
    uint32_t type;
    uint32_t bit_offset;
    uint32_t bit_size; /* of a bit-field, otherwise 0 */
};

struct lp_enumerator {
    const char *name;
    int64_t value;
};

/* The number of types, so ids run from 1 to this. */
uint32_t lp_btf_count(const struct lp_btf *btf);
/* False when the id is not one of this BTF's, or the type's size cannot be known. */
bool lp_btf_type(const struct lp_btf *btf, uint32_t id, struct lp_type *out);
/*
 * The i-th member of a struct or union, variable of a data section (its bit_offset counted from the section), or
 * parameter of a function's prototype (no bit_offset).
 */
bool lp_btf_member(const struct lp_btf *btf, uint32_t id, uint32_t i, struct lp_member *out);
bool lp_btf_enumerator(const struct lp_btf *btf, uint32_t id, uint32_t i, struct lp_enumerator *out);
/* The id of a type by kind and name; 0 when there is none. BTF_KIND_ENUM stands for enumerations of 64 bits too. */
uint32_t lp_btf_find(struct lp_btf *btf, uint32_t kind, const char *name);
/* Writes the declaration of `name`, which may be "", as C has it: "const char *name", "int (*open)(struct inode *)". */
void lp_btf_declaration(const struct lp_btf *btf, uint32_t id, const char *name, char *out, size_t size);

/* The running kernel's types, read once: /sys/kernel/btf/vmlinux, or lp_btf_kernel_use's. NULL when there are none. */
struct lp_btf *lp_btf_kernel(void);
/* Takes a file's instead, for kernels that ship none (--btf); objects are then loaded by it too. */
int lp_btf_kernel_use(const char *path);
/* The types of a loaded module, whose ids go on from the kernel's. For lp_btf_free; NULL when it has none. */
struct lp_btf *lp_btf_module(const char *module);
void lp_btf_free(struct lp_btf *btf);

/* ---- map: a BPF map's entries --------------------------------------------------------------------------------- */

/*
 * Keys and values are the kernel's bytes. Values of per-CPU maps are lp_map_stride bytes for each of lp_map_cpus CPUs.
 * What fails returns a negative errno: -ENOENT and -EEXIST without an error set, since they are answers.
 */
bool lp_map_is_per_cpu(uint32_t type);
uint32_t lp_map_stride(uint32_t type, uint32_t value_size);
uint32_t lp_map_cpus(uint32_t type);
int lp_map_lookup(int fd, const void *key, void *value);
/* `flags`: BPF_ANY 0, BPF_NOEXIST 1, BPF_EXIST 2. */
int lp_map_update(int fd, const void *key, const void *value, uint64_t flags);
int lp_map_delete(int fd, const void *key);
/* Reads and removes at once (hash maps: Linux 5.14; queues and stacks: 4.20). */
int lp_map_take(int fd, const void *key, void *value);

/* All entries, in batches. One that is there all the time comes exactly once. */
struct lp_walk;
struct lp_batch {
    const uint8_t *keys; /* one after the other, the walk's own memory: valid until the next lp_walk_next */
    const uint8_t *values;
    uint32_t count;
};
/*
 * `take`: what comes is removed from the map, at once with reading it; right after it from maps for which the kernel
 * has no such call (LPM tries, hashes of maps).
 */
struct lp_walk *lp_walk_open(int fd, const struct lp_map *map, bool take);
/* How many entries came; 0 at the end. */
int lp_walk_next(struct lp_walk *walk, struct lp_batch *out);
void lp_walk_close(struct lp_walk *walk);

/* Maps outside of an object; the descriptors are the caller's, for lp_fd_close. */
int lp_map_open_id(uint32_t id);
int lp_map_open_pinned(const char *path);
/* An empty map of the type, the sizes and the flags that `like` describes. */
int lp_map_create(const struct lp_map *like);
/* What the kernel says of a map; its name goes to `name`. */
int lp_map_describe(int fd, struct lp_map *out, char *name, size_t name_size);
/* The types that a map was made with, for lp_btf_free; NULL when there are none. */
struct lp_btf *lp_map_btf(int fd);
int lp_map_pin(int fd, const char *path);
int lp_map_unpin(const char *path);
/* Whether a path, or the nearest directory above it that there is, lies in a BPF file system. */
bool lp_path_is_bpffs(const char *path);
void lp_fd_close(int fd);

/* What the keys of task, inode and cgroup storage are: descriptors. */
int lp_fd_of_process(int pid);
int lp_fd_of_path(const char *path);

/*
 * The keys of LPM tries as text: "10.0.0.0/8" (`size` 4 bytes) or "2001:db8::/32" (16); without a slash one address.
 */
int lp_prefix_parse(const char *text, uint8_t *address, size_t size, uint32_t *bits);
void lp_prefix_format(const uint8_t *address, size_t size, uint32_t bits, char *out, size_t out_size);

/* Sends samples to programs (BPF_MAP_TYPE_USER_RINGBUF, Linux 6.1). */
struct lp_sender;
struct lp_sender *lp_sender_open(int map_fd);
/* 0, -ENOSPC when the buffer has no room now, -E2BIG when it never has. */
int lp_sender_send(struct lp_sender *sender, const void *data, uint32_t size);
void lp_sender_close(struct lp_sender *sender);

/* ---- target: what to probe ------------------------------------------------------------------------------------ */

enum lp_kind {
    LP_KPROBE = 1,
    LP_KRETPROBE,
    LP_KSYSCALL,
    LP_KRETSYSCALL,
    LP_UPROBE,
    LP_URETPROBE,
    LP_USDT,
    LP_TRACEPOINT,
    LP_RAW_TRACEPOINT,
    LP_BTF_TRACEPOINT,
    LP_FENTRY,
    LP_FEXIT,
    LP_PROFILE,
    LP_SOFTWARE,
    LP_HARDWARE,
    LP_SECTION /* whatever else libbpf attaches by a section's name */
};

/*
 * What a target says: "kprobe:vfs_read+8", "uprobe:libc:malloc", "tracepoint:sched:sched_switch", "profile:hz:99".
 * Fields that a kind has no use for are empty or 0.
 */
struct lp_target {
    int kind;           /* enum lp_kind */
    bool returns;       /* the probe is at the function's return */
    bool wildcard;      /* name or category is a pattern: *, ?, [abc] */
    char word[16];      /* the kind as users write it: "kprobe" */
    char category[128]; /* a tracepoint's category, a function's module, a USDT probe's provider */
    char path[1024];    /* the binary: a path, or the name of a library or program */
    char name[512];     /* the function, tracepoint or counter; "" when the offset alone says where */
    uint64_t offset; /* bytes behind the function's start; without a name a kernel address or an offset in the file */
    uint64_t period; /* of profile N in the unit that name says; of counters events, 0: the default */
    char text[2048]; /* the target as users write it */
};

/* Parses a target, or a program's section name ("kprobe/vfs_read", "tp/sched/sched_switch"). */
int lp_target_parse(const char *text, struct lp_target *out);

/* ---- probe: one attachment ------------------------------------------------------------------------------------ */

struct lp_probe;

struct lp_probe_options {
    /*
     * "auto", or "link" (perf event + BPF link, Linux 5.15), "perf" (perf event + ioctl), "legacy" (tracefs event +
     * perf event + ioctl), "multi" (one BPF link for many functions; kernel: 5.18, user space: 6.6), "tracing" (BPF
     * link of raw_tracepoint, tp_btf, fentry, fexit), "libbpf" (as libbpf does it).
     */
    const char *mechanism;
    int pid;            /* uprobes, USDT and perf events of one process; 0: of all */
    uint32_t maxactive; /* calls that a kretprobe can follow at once ("legacy" only); 0: the most, 4,096 */
    bool has_cookie;
    uint64_t cookie;              /* what bpf_get_attach_cookie returns (Linux 5.15) */
    const char *const *functions; /* "multi": the kernel's functions that a wildcard stands for, by name */
    const uint64_t *offsets;      /* or by address; those of user space, as offsets in the file */
    uint32_t count;               /* how many */
};

/*
 * Opens the kernel's side of a probe: after it the target is known to exist as far as the mechanism can tell, and no
 * program runs yet. A uprobe's target has a path that can be opened and the offset in that file, see lp_binary_resolve.
 */
struct lp_probe *lp_probe_open(const struct lp_target *target, const struct lp_probe_options *options);
/* Adds a function to an open probe of mechanism legacy that was not started yet. */
int lp_probe_add(struct lp_probe *probe, const struct lp_target *target);
/* Lets the object's i-th program, which must be loaded, run there; also again after lp_probe_stop. */
int lp_probe_start(struct lp_probe *probe, struct lp_object *object, int i);
/* After it the program does not run there any more. */
int lp_probe_stop(struct lp_probe *probe);
/* The mechanism in use. */
const char *lp_probe_mechanism(const struct lp_probe *probe);
/* How many functions it is for. */
uint32_t lp_probe_functions(const struct lp_probe *probe);

struct lp_probe_counts {
    /* What is counted at this probe: calls that reached it, and those that it could not follow; -1: not counted. */
    int64_t hits;
    int64_t missed;
    /*
     * What is counted for the program since it was first started here, wherever it ran: runs (-1 without
     * lp_stats_enable), and runs left out because it was running already (-1 where the kernel does not count them).
     */
    int64_t program_runs;
    int64_t program_missed;
    bool only_program_misses; /* nothing is missed at the place itself, so `missed` says nothing */
};
void lp_probe_counts(const struct lp_probe *probe, struct lp_probe_counts *out);
/*
 * Detaches many, at about the cost of one. No program runs any more when it returns; the kernel may still be busy
 * forgetting the probes, which lp_probe_settle, and the end of the process, wait for. `counts` has room for the final
 * counts of each.
 */
void lp_probe_close_all(struct lp_probe *const *probes, uint32_t count, struct lp_probe_counts *counts);
void lp_probe_settle(void);
/* Detaches. */
void lp_probe_close(struct lp_probe *probe);
/* Lets the kernel count the runs of all BPF programs of this machine as long as this process lives (Linux 5.8). */
int lp_stats_enable(void);
/* The number of the PMU "kprobe" or "uprobe" (Linux 4.17); a negative errno: -ENOENT where the kernel has no such
 * probes. */
int lp_pmu_type(const char *pmu);
/* Removes the tracefs events of luaprobe processes that are gone. Returns how many. */
int lp_legacy_sweep(void);

/* ---- binary: programs and libraries, as uprobes see them ------------------------------------------------------ */

struct lp_binary;

/* Opens an ELF file of this machine's processor. */
struct lp_binary *lp_binary_open(const char *path);
void lp_binary_close(struct lp_binary *binary);
/*
 * The offset in the file of the instruction `within` bytes behind a function's start: from .symtab, .dynsym and the
 * debug file of its build-id; "name@VERSION" is one version of it, "name" the default one.
 */
int lp_binary_resolve(struct lp_binary *binary, const char *symbol, uint64_t within, uint64_t *offset);
/* Whether an offset in the file is one of instructions: 0, or why not. */
int lp_binary_check(const struct lp_binary *binary, uint64_t offset);
/*
 * Whether an instruction begins at an offset in the file, which is `within` bytes behind the start of a function; with
 * an empty symbol, in whichever the symbols tell. A probe elsewhere would break the program. 0 as well where that
 * cannot be told.
 */
int lp_binary_check_inside(struct lp_binary *binary, const char *symbol, uint64_t within, uint64_t offset);
/* Whether the Go compiler made it, whose stacks a uretprobe breaks. */
bool lp_binary_is_go(const struct lp_binary *binary);

struct lp_binary_function {
    const char *name;
    uint64_t offset; /* in the file */
    uint64_t size;
};

/* The functions, by name; false past the last one. Begin with *position 0. */
bool lp_binary_function(struct lp_binary *binary, uint64_t *position, struct lp_binary_function *out);

struct lp_usdt {
    char provider[128];
    char name[128];
    char arguments[256]; /* as the note has them: "-4@%edi 8@%rsi" */
    uint64_t offset;     /* in the file */
};

/* The USDT probes, in the order of their notes; false past the last one. Begin with *position 0. */
bool lp_binary_usdt(struct lp_binary *binary, uint64_t *position, struct lp_usdt *out);

/*
 * The path of a program or library by a short name ("libc", "libc.so.6", "bash") or a path; with a pid as that process
 * has it mapped, in its own mount namespace.
 */
int lp_library_find(const char *name, int pid, char *path, size_t size);

/* ---- kallsyms: the kernel's functions ------------------------------------------------------------------------- */

struct lp_kallsyms;

struct lp_kernel_symbol {
    const char *name;
    const char *module; /* "" for the kernel proper */
    uint64_t address;   /* 0 where the kernel hides it (kptr_restrict) */
};

/* Reads /proc/kallsyms, or another file like it when path is not NULL: functions, with `has_data` variables too. */
struct lp_kallsyms *lp_kallsyms_open(const char *path, bool has_data);
/* Reads /proc/kallsyms in a thread of its own, so that the next lp_kallsyms_open finds it done. */
void lp_kallsyms_read_ahead(void);
void lp_kallsyms_close(struct lp_kallsyms *kallsyms);
/*
 * The next function from *position on whose name and module (NULL or "": any) match the patterns (*, ?, [abc]), by
 * address; false when there is none. Begin with *position 0.
 */
bool lp_kallsyms_next(const struct lp_kallsyms *kallsyms, const char *pattern, const char *module, uint64_t *position,
                      struct lp_kernel_symbol *out);
/*
 * What begins with a text, without the parts that compilers put elsewhere: up to `max` names into `out`, in no order.
 * Returns how many there are; *common becomes the length that all of them have in common.
 */
size_t lp_kallsyms_complete(const struct lp_kallsyms *kallsyms, const char *prefix, const char **out, size_t max,
                            size_t *common);
/* The i-th name of the function that begins at an address; NULL past the last one. */
const char *lp_kallsyms_alias(const struct lp_kallsyms *kallsyms, uint64_t address, uint32_t i);
/* The function that an address lies in, or follows. */
bool lp_kallsyms_at(const struct lp_kallsyms *kallsyms, uint64_t address, struct lp_kernel_symbol *out);
/* Up to `max` (16 at most) names that differ from the given one by few letters, the nearest first; how many. */
int lp_kallsyms_nearest(const struct lp_kallsyms *kallsyms, const char *name, const char **out, int max);
bool lp_glob_matches(const char *pattern, const char *text);
/*
 * The lines of a file of tracefs ("available_events") or debugfs ("kprobes/blacklist"), mounted or not, that contain a
 * text; "" is in all. A negative errno when it cannot be read.
 */
int lp_tracefs_read(const char *file, const char *containing, struct lp_bytes *out);
int lp_debugfs_read(const char *file, const char *containing, struct lp_bytes *out);

/* ---- source: where events come from --------------------------------------------------------------------------- */

struct lp_source;

struct lp_event {
    const void *data; /* in the buffer's own memory: valid until the next lp_source_read */
    uint32_t size;    /* bytes; perf buffers pad records, so there up to 7 more than the program sent */
    int16_t cpu;      /* where it happened; -1: the buffer does not tell */
    uint16_t late;    /* 1: with lp_source_order, came when later events had been delivered */
};

struct lp_source_options {
    size_t bytes;   /* of one CPU's buffer, a power of two of pages; 0: a mebibyte, less on machines of many CPUs */
    bool overwrite; /* perf buffers only: keep the newest events instead of the oldest, for lp_source_snapshot */
    bool poison; /* hand out copies, which are overwritten when their batch is over: finds scripts that keep events */
    /* Variables in the memory of the program (bpf/include/luaprobe.bpf.h), or NULL: */
    uint32_t *armed;         /* ring buffers: set to be woken at the watermark */
    const uint64_t *refused; /* what the program could not send, by CPU number modulo their count */
    uint32_t refused_count;  /* a power of two */
};

struct lp_source_stats {
    uint64_t events;
    uint64_t bytes;
    uint64_t lost;       /* events that found a buffer full, or none */
    uint64_t late;       /* events out of order in spite of lp_source_order */
    uint64_t high_water; /* bytes: the most that was in one buffer at once */
    uint64_t capacity;   /* bytes of one buffer */
    uint32_t buffers;
    bool may_have_lost; /* the kernel may have refused events that nobody counted: other people's programs do not */
};

/* The buffer size of one CPU when nothing is said, in bytes. */
size_t lp_source_default_bytes(void);
/*
 * Opens one buffer per online CPU and enters them into the perf event array; those of CPUs that come later, too.
 * Stage "events": EINVAL for a size that cannot be, EPERM, ENOMEM.
 */
struct lp_source *lp_source_open_perf(int map_fd, const struct lp_source_options *options);
/* Maps the ring buffer, which all CPUs share (Linux 5.8). Its size was fixed when the map was made. */
struct lp_source *lp_source_open_ring(int map_fd, const struct lp_source_options *options);
/*
 * Gives the memory of the previous batch back to the kernel and fills `events` with up to `max` pointers to the next
 * records. Returns their number; 0 when the buffers are empty. Order is kept per CPU only. The batch after an empty
 * one asks to be woken at the watermark.
 */
int lp_source_read(struct lp_source *source, struct lp_event *events, int max);
/*
 * The same for a loop that walks the records by itself, which spares one of two looks at each: a place in a buffer and
 * how far plain records follow it. What is between them is as the kernel writes it, see lua/luaprobe/walk.lua.
 */
struct lp_stretch {
    const uint8_t *event; /* the contents of the record that the loop is at, or NULL; the loop moves it */
    const uint8_t *limit; /* contents from here on are not the loop's to look at; NULL: no record follows */
    const uint8_t *end_;  /* nor are records that go beyond this */
    uint64_t events;      /* how many the loop has moved over, and their bytes; it counts */
    uint64_t bytes;
    uint32_t size; /* of the one that the loop is at */
    int32_t cpu;
    int32_t stride;  /* from one record to the next, the last time: the loop's guess for the next time */
    int32_t longest; /* the largest of those so far; the loop notes it */
    int32_t least;   /* the size of the smallest event that the loop takes; it says */
};
/* The source's own, or NULL when it has none. */
struct lp_stretch *lp_source_stretch(struct lp_source *source);
/* Gives back what was walked and finds the next stretch. 1, or 0 when the buffers are empty. */
int lp_source_walk(struct lp_source *source);
/*
 * From now on events come by the 64-bit nanoseconds (CLOCK_MONOTONIC) at `offset` in them, each `delay` nanoseconds
 * after its time at the soonest, and after it was read at the latest. One that comes later than the first is marked
 * late and delivered at once.
 */
int lp_source_order(struct lp_source *source, uint32_t offset, int64_t delay);
/* Stops waiting for others: what is there is delivered by time. */
void lp_source_flush(struct lp_source *source);
/*
 * Sleeps until a buffer of any source is filled to its watermark (a quarter), `timeout_ms` is over, a signal comes or
 * standard output is closed by its reader. Writes out what standard output holds before it sleeps.
 */
int lp_source_wait(int timeout_ms);
/* How full the fullest buffer was found since the last call, in thousandths. */
uint32_t lp_source_peak(struct lp_source *source);
/* How many bytes all its buffers hold. */
size_t lp_source_capacity(const struct lp_source *source);
/* How many bytes of events were read so far. */
uint64_t lp_source_bytes(const struct lp_source *source);
/* Totals since it was opened. Asking for what was lost costs system calls. */
void lp_source_stats(struct lp_source *source, struct lp_source_stats *out);
/* Events lost on one CPU. */
uint64_t lp_source_lost(const struct lp_source *source, uint32_t cpu);
/*
 * Copies what overwriting buffers hold, oldest first per CPU, without taking it away. For each of them recording stops
 * for a moment, and new events are lost. The copies live until the next snapshot. Returns how many; `*events` points at
 * them.
 */
int lp_source_snapshot(struct lp_source *source, const struct lp_event **events);
/*
 * Gives back what was read, and closes the buffers. Where events were zeros are read for a while, or in debug mode
 * 0xdb: the body of a loop may close what it loops over.
 */
void lp_source_close(struct lp_source *source);

/*
 * Before lp_object_load: makes the object's i-th map, of an event stream, a ring buffer of all CPUs or a perf event
 * array. `bytes` is per CPU, 0 for the default. *watermark becomes the fill at which a ring buffer's program shall
 * wake.
 */
int lp_object_events(struct lp_object *object, int i, bool ring, size_t bytes, uint64_t *watermark);
/*
 * The same for a ring buffer of somebody else's program, which keeps its size: takes its value type away, which some
 * declare and the kernel refuses.
 */
int lp_object_untyped_ring(struct lp_object *object, int i);
/* Whether this kernel has ring buffers (Linux 5.8). */
bool lp_source_has_ring(void);
/* The number of CPUs that there can be, and the bytes of a page. */
int lp_cpu_count(void);
size_t lp_page_size(void);

/* ---- stop: what ends an event loop ---------------------------------------------------------------------------- */

/*
 * Makes the next SIGINT or SIGTERM a request to end the event loop instead of the process. The one after it has its
 * default action again. False when that was so already.
 */
bool lp_stop_catch(void);
/* The signal that asked, SIGPIPE when standard output's reader is gone, or 0. */
int lp_stop_pending(void);
/* Gives both signals their default action back, once the loop is over. */
void lp_stop_release(void);

/*
 * What SIGINT does when no loop catches it: by default it ends the process. With true, Lua code that is interpreted is
 * interrupted by an error. What was asked for before is forgotten.
 */
void lp_stop_interrupt_lua(bool on);
/* Forgets the signal that asked. */
void lp_stop_forget(void);

/* ---- output: what scripts print -------------------------------------------------------------------------------- */

/* Writes what standard output has buffered. What cannot be written is told when luaprobe exits. */
void lp_output_flush(void);

/* ---- prompt: the line that is being edited -------------------------------------------------------------------- */

enum lp_prompt_event {
    LP_PROMPT_NOTHING,
    LP_PROMPT_LINE,      /* Enter was pressed */
    LP_PROMPT_COMPLETE,  /* Tab */
    LP_PROMPT_INTERRUPT, /* Ctrl-C */
    LP_PROMPT_END,       /* Ctrl-D on an empty line, SIGTERM, or the terminal is gone */
    LP_PROMPT_TOO_LONG   /* Enter was pressed, and not all that was typed before is in the line */
};

/* Prepares editing on a terminal. `history`: the file of what was typed before, or NULL. */
int lp_prompt_open(const char *history);
void lp_prompt_close(void);
/* Begins a line: shows the prompt, which must stay, and makes the terminal raw. */
void lp_prompt_begin(const char *prompt);
/* Ends it: the terminal is as it was. */
void lp_prompt_end(void);
/* Waits for a key and lets it do what it does to the line; what Lua has to do about it. */
int lp_prompt_wait(int timeout_ms);
/* Copies the line, with its newline after LP_PROMPT_LINE; returns its length. */
size_t lp_prompt_line(char *out, size_t size, size_t *cursor);
/* Inserts text at the cursor. */
void lp_prompt_insert(const char *text);
/* Takes the line off the screen, so that output comes in its place; and shows it again, below what was printed. */
void lp_prompt_hide(void);
void lp_prompt_show(void);
/* Adds a line to what was typed. */
void lp_prompt_remember(const char *line);
/* Why lines are not kept for the next session, for people to read; NULL: they are. Valid until the prompt is closed. */
const char *lp_prompt_unremembered(void);
/* The terminal's columns. */
int lp_prompt_width(void);
/* Whether both standard input and output are terminals. */
bool lp_prompt_is_terminal(void);
/*
 * Input that is no terminal: waits for some, and reads what is there. How many bytes; 0 when none came in time, -1 at
 * its end.
 */
int lp_prompt_read(char *out, size_t size, int timeout_ms);

/* ---- inspect: what an object asks of the kernel, without loading it -------------------------------------------- */

struct lp_inspect;

enum { LP_HELPERS = 320 }; /* room in lp_code.helpers; Linux 6.12 has 212 */

enum lp_code_feature {
    LP_CODE_CALL = 1,    /* functions of the program's own */
    LP_CODE_JMP32 = 4,   /* jumps by 32 bits (-mcpu=v3) */
    LP_CODE_LOOP = 8,    /* a jump backwards */
    LP_CODE_ATOMIC = 16, /* atomic operations besides adding */
    LP_CODE_V4 = 32      /* -mcpu=v4 */
};

struct lp_code {
    const char *section;
    uint32_t instructions;
    uint32_t features;   /* LP_CODE_* */
    uint64_t helpers[5]; /* a bit for each helper by its number */
};

/* A type, field or enumerator of the kernel that an instruction adapts itself to. */
struct lp_core {
    const char *section;
    const char *access; /* "0:2:1": see bpf_core_relo in <linux/bpf.h> */
    uint32_t type;
    uint32_t kind; /* BPF_CORE_* */
};

/* The object must have been opened by lp_object_open, and stay in memory. NULL on failure. */
struct lp_inspect *lp_inspect_open(const char *name, const void *data, size_t size);
void lp_inspect_close(struct lp_inspect *inspect);
/* The i-th section of instructions; false past the last one. */
bool lp_inspect_code(const struct lp_inspect *inspect, uint32_t i, struct lp_code *out);
/* The i-th CO-RE relocation; false past the last one. */
bool lp_inspect_core(const struct lp_inspect *inspect, const struct lp_btf *btf, uint32_t i, struct lp_core *out);
/* The i-th symbol that the kernel shall provide, or may when it is weak; NULL past the last one. */
const char *lp_inspect_extern(const struct lp_inspect *inspect, uint32_t i, bool *weak);
/* "perf_event_output"; NULL for a number that the headers of the build do not know. */
const char *lp_helper_name(uint32_t id);

/* ---- machine: what it grants ---------------------------------------------------------------------------------- */

/* The capabilities in effect, a bit each. */
uint64_t lp_machine_capabilities(void);
/* Bytes that may be locked into RAM (ulimit -l); INT64_MAX: any number. */
int64_t lp_machine_memlock(void);
/* How many CPUs there can be. */
int lp_machine_cpus(void);
/* Whether the kernel has a BPF_MAP_TYPE_* or BPF_PROG_TYPE_*: 1, 0, or a negative errno when it cannot be asked. */
int lp_machine_map_type(uint32_t type);
int lp_machine_program_type(uint32_t type);
bool lp_machine_can_run(const char *path);
/* The effective uid. */
uint32_t lp_machine_user(void);
/* A user's number by name, or a negative errno. */
int64_t lp_user_find(const char *name);
/* This user's home directory, as the user database has it. */
bool lp_user_home(char *path, size_t size);
/* A control group (v2) by its directory; a negative errno, -ENOTSUP when the directory is none. */
int lp_cgroup_open(const char *path);

/* ---- text and time -------------------------------------------------------------------------------------------- */

/* The length of a string in a field of `size` bytes that need not end in a NUL. */
size_t lp_text_length(const char *text, size_t size);
/* How many bytes lp_text_escape would write for the text. Equal to its length when nothing needs escaping. */
size_t lp_text_escaped_length(const char *text, size_t length);
/*
 * Writes the text with backslashes and control characters as \n, \t, \\ or \xNN, and what is no UTF-8 or changes the
 * direction of text as \xNN, so that a file name can neither break a line nor drive a terminal. No NUL is added.
 */
void lp_text_escape(const char *text, size_t length, char *out);
/*
 * Writes the text as the inside of a JSON string, in at most 6 * length bytes; returns how many. A byte that is not
 * part of UTF-8 becomes the character U+EF00 + byte (U+EF80 to U+EFFF), and so does each byte of such a character
 * itself: so every parser takes it, and the bytes can be had back.
 */
size_t lp_json_escape(const char *text, size_t length, char *out);
/* Nanoseconds of CLOCK_MONOTONIC, which bpf_ktime_get_ns reads too. */
int64_t lp_time_monotonic(void);
/* What to add to a monotonic time to get nanoseconds since 1970. */
int64_t lp_time_offset(void);
/* Writes out what standard output holds and sleeps; a signal ends it early. */
void lp_time_sleep(int milliseconds);

#endif
