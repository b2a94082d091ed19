/*
 * legacy.c: the mechanism "legacy", which every kernel has: an event is written to tracefs's kprobe_events or
 * uprobe_events, opened as a perf event by its number, and the program bound to that by ioctl.
 *
 * Unlike all others such an event outlives its process. So its name tells the owner, by pid and start time, and
 * whoever starts removes what belongs to nobody: "luaprobe/p4711_123456_1_effffffc". The last part is the pid namespace
 * that the pid is of: nobody outside of it can judge whether the owner is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "probe.h"
#include "tracefs.h"

#define GROUP "luaprobe/"

/* ---- owners --------------------------------------------------------------------------------------------------- */

struct owner {
    long pid;
    unsigned long long start;         /* clock ticks since boot, field 22 of /proc/PID/stat */
    unsigned long long pid_namespace; /* inode */
};

/* 0 when there is no such process. */
static unsigned long long start_time(long pid)
{
    char path[64];
    char text[1024];
    unsigned long long start = 0;
    const char *field;
    size_t size;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    field = strrchr(text, ')'); /* the name before it may hold anything; field 3 follows */
    for (int i = 3; field && i <= 22; i++)
        field = strchr(field + 1, ' ');
    if (field)
        start = strtoull(field, NULL, 10);
    return start;
}

static unsigned long long pid_namespace(void)
{
    struct stat status;

    return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

static bool is_gone(const struct owner *owner)
{
    return owner->pid_namespace == pid_namespace() && start_time(owner->pid) != owner->start;
}

static void write_name(char *out, size_t size)
{
    static atomic_uint number;

    snprintf(out, size, GROUP "p%d_%llu_%u_%llx", (int)getpid(), start_time(getpid()), atomic_fetch_add(&number, 1) + 1,
             pid_namespace());
}

/* What write_name wrote; false when it is somebody else's event. */
static bool read_name(const char *event, struct owner *out)
{
    unsigned number;

    return sscanf(event, GROUP "p%ld_%llu_%u_%llx", &out->pid, &out->start, &number, &out->pid_namespace) == 4;
}

/* ---- tracefs's lists of events -------------------------------------------------------------------------------- */

static bool is_user(const struct lp_target *target)
{
    return target->kind == LP_UPROBE || target->kind == LP_URETPROBE;
}

static int open_file(const char *name, int flags)
{
    int fd;
    int root = lp_tracefs_open();

    if (root < 0)
        return root;
    fd = openat(root, name, flags | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    close(root);
    return fd;
}

/* Appends one command; the kernel takes it as a whole or not at all. -ENODEV: it has no such probes. */
static int command(const char *file, const char *text)
{
    ssize_t written;
    int error;
    int fd = open_file(file, O_WRONLY | O_APPEND);

    if (fd < 0)
        return fd == -ENOENT ? -ENODEV : fd;
    written = write(fd, text, strlen(text));
    error = written < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int remove_event(const char *file, const char *event)
{
    char text[128];
    int error = 0;

    snprintf(text, sizeof(text), "-:%s\n", event);
    /* A child that was just forked may hold the perf event until it execs. */
    for (int i = 0; i < 50; i++) {
        error = command(file, text);
        if (error != -EBUSY)
            break;
        usleep(2000);
    }
    return error;
}

/* ---- removing what belongs to nobody -------------------------------------------------------------------------- */

/* Removes the event that a line of the list describes, "p:luaprobe/p4711_123456_1_effffffc vfs_read", if its owner is
 * gone. */
static int sweep_line(const char *file, char *line)
{
    struct owner owner;
    char *event = strchr(line, ':');
    char *end;

    if (!event || !read_name(++event, &owner) || !is_gone(&owner))
        return 0;
    end = strchr(event, ' ');
    if (end)
        *end = '\0';
    return remove_event(file, event) == 0 ? 1 : 0;
}

static int sweep_file(int root, const char *name)
{
    char *line = NULL;
    size_t size = 0;
    int removed = 0;
    FILE *file;
    int fd = openat(root, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return 0;
    }
    while (getline(&line, &size, file) > 0)
        removed += sweep_line(name, line);
    free(line);
    fclose(file);
    return removed;
}

int lp_legacy_sweep(void)
{
    int removed;
    int root = lp_tracefs_open();

    if (root < 0)
        return root;
    removed = sweep_file(root, "kprobe_events") + sweep_file(root, "uprobe_events");
    close(root);
    return removed;
}

/* ---- the mechanism -------------------------------------------------------------------------------------------- */

static const char *list_of(const struct lp_target *target)
{
    return is_user(target) ? "uprobe_events" : "kprobe_events";
}

/* The definition that kprobe_events and uprobe_events take: Documentation/trace/kprobetrace.rst. */
static int write_definition(const struct lp_probe *probe, char *out, size_t size)
{
    const struct lp_target *target = &probe->target;
    char type[24] = "p";
    int written;

    if (target->returns && probe->options.maxactive > 0)
        snprintf(type, sizeof(type), "r%u", probe->options.maxactive);
    else if (target->returns)
        snprintf(type, sizeof(type), "r");
    if (is_user(target))
        written = snprintf(out, size, "%s:%s %s:0x%" PRIx64 "\n", type, probe->event, target->path, target->offset);
    else if (target->name[0] == '\0')
        written = snprintf(out, size, "%s:%s 0x%" PRIx64 "\n", type, probe->event, target->offset);
    else
        written = snprintf(out, size, "%s:%s %s%s%s+%" PRIu64 "\n", type, probe->event, target->category,
                           target->category[0] == '\0' ? "" : ":", target->name, target->offset);
    return (size_t)written < size ? 0 : -E2BIG;
}

/* tracefs takes functions of modules that may come one day; whoever attaches wants to see calls now. */
static bool module_is_loaded(const struct lp_target *target)
{
    char path[160];

    snprintf(path, sizeof(path), "/sys/module/%s", target->category);
    return target->category[0] == '\0' || access(path, F_OK) == 0;
}

static int create_event(struct lp_probe *probe)
{
    char definition[2048];
    char name[96];
    int error;

    if (is_user(&probe->target) && strpbrk(probe->target.path, " \t#\"'\\")) {
        lp_error_set(EINVAL, "attach", "%s: mechanism legacy cannot write a path with blanks or quotes",
                     probe->target.text);
        lp_error_hint("use mechanism auto, link or perf");
        return -EINVAL;
    }
    if (!is_user(&probe->target) && !module_is_loaded(&probe->target))
        return probe->kind->explain(probe, -ENOENT);
    write_name(name, sizeof(name));
    probe->event = strdup(name);
    if (!probe->event)
        return lp_error_set(ENOMEM, "attach", "%s: no memory", probe->target.text);
    error = write_definition(probe, definition, sizeof(definition));
    if (error == 0)
        error = command(list_of(&probe->target), definition);
    if (error == 0)
        return 0;
    free(probe->event);
    probe->event = NULL;
    return probe->kind->explain(probe, error);
}

static int legacy_open(struct lp_probe *probe)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT};
    int id;
    int error = probe->event ? 0 : create_event(probe);

    if (error)
        return error;
    id = lp_tracefs_event_id(probe->event, probe->target.text);
    if (id == -ENOENT)
        lp_error_set(ENOENT, "attach", "%s: its tracefs event %s was removed by somebody", probe->target.text,
                     probe->event);
    if (id < 0)
        return id;
    attr.config = (unsigned)id;
    return lp_perf_open_one(probe, &attr);
}

static void legacy_close(struct lp_probe *probe)
{
    (void)lp_perf_stop(probe);
    if (probe->event)
        (void)remove_event(list_of(&probe->target), probe->event);
    free(probe->event);
}

/* kprobe_profile: "  NAME HITS MISSED"; uprobe_profile: "  PATH NAME HITS". */
static void read_profile(const struct lp_probe *probe, const char *line, struct lp_probe_counts *out)
{
    const char *name = strchr(probe->event, '/') + 1;
    const char *found = strstr(line, name);
    long long hits;
    long long missed;

    if (!found || found[strlen(name)] != ' ')
        return;
    switch (sscanf(found + strlen(name), "%lld %lld", &hits, &missed)) {
    case 2:
        out->missed = missed;
        /* fall through */
    case 1:
        out->hits = hits;
    }
}

static void legacy_count(const struct lp_probe *probe, struct lp_probe_counts *out)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file;
    int fd = open_file(is_user(&probe->target) ? "uprobe_profile" : "kprobe_profile", O_RDONLY);

    if (fd < 0)
        return;
    file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return;
    }
    while (getline(&line, &size, file) > 0)
        read_profile(probe, line, out);
    free(line);
    fclose(file);
}

const struct lp_mechanism lp_legacy = {
    .name = "legacy",
    .open = legacy_open,
    .start = lp_perf_start_ioctl,
    .stop = lp_perf_stop,
    .close = legacy_close,
    .count = legacy_count,
};
