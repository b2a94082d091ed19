/*
 * legacy.c: the mechanism "legacy", which every kernel has: an event is written to tracefs's kprobe_events or
 * uprobe_events, opened as a perf event by its number, and the program bound to that by ioctl.
 *
 * Unlike all others such an event outlives its process. So it is removed at every exit, also when a signal ends the
 * process, and for SIGKILL its name tells the owner (owner.c): whoever starts removes what belongs to nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "error.h"
#include "fatal.h"
#include "owner.h"
#include "perf_event.h"
#include "probe.h"
#include "tracefs.h"

/* ---- tracefs's lists of events -------------------------------------------------------------------------------- */

static bool is_user(const struct lp_target *target)
{
    return target->kind == LP_UPROBE || target->kind == LP_URETPROBE;
}

static const char *list_of(const struct lp_target *target)
{
    return is_user(target) ? "uprobe_events" : "kprobe_events";
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
    struct lp_owner owner;
    char *event = strchr(line, ':');
    char *end;

    if (!event || !lp_owner_read(++event, &owner) || !lp_owner_is_gone(&owner))
        return 0;
    end = strchr(event, ' ');
    if (end)
        *end = '\0';
    return remove_event(file, event) == 0 ? 1 : 0;
}

/* The list is read whole before anything is removed from it: what is behind a removed line would be skipped. */
static int sweep_file(int root, const char *name)
{
    struct lp_bytes list = {0};
    char *rest;
    char *line;
    int removed = 0;
    int fd = openat(root, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    if (lp_bytes_read_stream(fd, &list) != 0) {
        close(fd);
        return 0;
    }
    close(fd);
    rest = (char *)list.data;
    while ((line = strsep(&rest, "\n")) != NULL)
        removed += sweep_line(name, line);
    lp_bytes_free(&list);
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

/* ---- what this process has ------------------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lp_probe *live; /* those with an event, by next_live */

static void take_away(struct lp_probe *probe)
{
    (void)lp_perf_stop(probe);
    if (probe->keeper_fd >= 0)
        close(probe->keeper_fd);
    (void)remove_event(list_of(&probe->target), probe->event);
}

/* The same with system calls alone, when a signal ends the process: nothing is freed. */
static void take_all_away_at_once(void)
{
    if (pthread_mutex_trylock(&lock) != 0)
        return; /* the signal came in between; whoever starts next removes what is left */
    for (const struct lp_probe *probe = live; probe; probe = probe->next_live) {
        for (uint32_t i = 0; i < probe->perf_count; i++)
            close(probe->perfs[i].event_fd);
        if (probe->keeper_fd >= 0)
            close(probe->keeper_fd);
        (void)remove_event(list_of(&probe->target), probe->event);
    }
    pthread_mutex_unlock(&lock);
}

/* Runs at every exit, also at a script's os.exit, which closes nothing. */
static void take_all_away(void)
{
    pthread_mutex_lock(&lock);
    for (; live; live = live->next_live)
        take_away(live);
    pthread_mutex_unlock(&lock);
}

static void remember(struct lp_probe *probe)
{
    static bool registered;

    pthread_mutex_lock(&lock);
    if (!registered) {
        registered = atexit(take_all_away) == 0;
        lp_fatal_catch(take_all_away_at_once);
    }
    probe->next_live = live;
    live = probe;
    pthread_mutex_unlock(&lock);
}

static void forget(const struct lp_probe *probe)
{
    pthread_mutex_lock(&lock);
    for (struct lp_probe **next = &live; *next; next = &(*next)->next_live) {
        if (*next == probe) {
            *next = probe->next_live;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the mechanism -------------------------------------------------------------------------------------------- */

/*
 * How many calls at once a kretprobe follows unless told: as many as the kernel lets it (KRETPROBE_MAXACTIVE_MAX),
 * since functions that sleep may be under way in every thread, and a call that is not followed is lost. Each costs
 * about 100 bytes of kernel memory. The kernel's own default is ten or twice the CPUs, before Linux 6.0 the number of
 * CPUs.
 */
enum { MAXACTIVE = 4096 };

/* The definition that kprobe_events and uprobe_events take: Documentation/trace/kprobetrace.rst. */
static int write_definition(const struct lp_probe *probe, char *out, size_t size)
{
    const struct lp_target *target = &probe->target;
    char type[24] = "p";
    int written;

    if (target->returns && is_user(target))
        snprintf(type, sizeof(type), "r");
    else if (target->returns)
        snprintf(type, sizeof(type), "r%u", probe->options.maxactive > 0 ? probe->options.maxactive : MAXACTIVE);
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

/* Writes the definition of the probe's target; a second one of the same event name becomes a part of that event. */
static int define(const struct lp_probe *probe)
{
    char definition[2048];
    int error;

    if (is_user(&probe->target) && strpbrk(probe->target.path, " \t#\"'\\")) {
        lp_error_set(EINVAL, "attach", "%s: mechanism legacy cannot write a path with blanks or quotes",
                     probe->target.text);
        lp_error_hint("use mechanism auto, link or perf");
        return -EINVAL;
    }
    if (!is_user(&probe->target) && !module_is_loaded(&probe->target))
        return probe->kind->explain(probe, -ENOENT);
    error = write_definition(probe, definition, sizeof(definition));
    if (error == 0)
        error = command(list_of(&probe->target), definition);
    return error ? probe->kind->explain(probe, error) : 0;
}

static int legacy_open(struct lp_probe *probe)
{
    char name[96];
    int error;

    lp_owner_write(name, sizeof(name));
    probe->event = strdup(name);
    if (!probe->event)
        return lp_error_set(ENOMEM, "attach", "%s: no memory", probe->target.text);
    error = define(probe);
    if (error) {
        free(probe->event);
        probe->event = NULL;
        return error;
    }
    remember(probe);
    return 0;
}

/* Events of several probes came with Linux 5.4. */
static int legacy_add(struct lp_probe *probe, const struct lp_target *target)
{
    struct lp_probe other = *probe;

    int error;

    other.target = *target;
    error = define(&other);
    if (error == 0)
        probe->added++;
    return error;
}

static bool legacy_available(const struct lp_probe *probe)
{
    int fd = open_file(list_of(&probe->target), O_WRONLY | O_APPEND);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/*
 * What the kernel counts of all its events: kprobe_profile has lines "  NAME HITS MISSED", uprobe_profile
 * "  PATH NAME HITS". It is opened once and kept, since opening it may be what is probed.
 */
static int open_profile(const struct lp_probe *probe)
{
    return open_file(is_user(&probe->target) ? "uprobe_profile" : "kprobe_profile", O_RDONLY);
}

/* An event of several probes has a line for each. */
static void read_profile(const struct lp_probe *probe, const char *line, struct lp_probe_counts *out)
{
    const char *name = strchr(probe->event, '/') + 1;
    const char *found = strstr(line, name);
    long long hits = 0;
    long long missed = 0;

    if (!found || found[strlen(name)] != ' ')
        return;
    if (sscanf(found + strlen(name), "%lld %lld", &hits, &missed) >= 1)
        out->hits += hits;
    if (!is_user(&probe->target))
        out->missed += missed;
}

/* What the kernel counted since the event was written; false when it does not tell. */
static bool read_counts(const struct lp_probe *probe, struct lp_probe_counts *out)
{
    struct lp_bytes text;
    char *rest;
    char *line;

    *out = (struct lp_probe_counts){0};
    if (probe->profile_fd < 0 || lseek(probe->profile_fd, 0, SEEK_SET) != 0 ||
        lp_bytes_read_stream(probe->profile_fd, &text) != 0)
        return false;
    rest = (char *)text.data;
    while ((line = strsep(&rest, "\n")) != NULL)
        read_profile(probe, line, out);
    lp_bytes_free(&text);
    return true;
}

/* The program is not bound for quite all of the time in which the kernel counts, so only what is between is taken. */
static void legacy_count(const struct lp_probe *probe, struct lp_probe_counts *out)
{
    struct lp_probe_counts now = probe->begun;

    if (probe->perf_count > 0 && !read_counts(probe, &now))
        return;
    out->hits = probe->ended.hits + now.hits - probe->begun.hits;
    if (!is_user(&probe->target))
        out->missed = probe->ended.missed + now.missed - probe->begun.missed;
}

/* The perf event of the tracefs event. */
static struct perf_event_attr event_attr(const struct lp_probe *probe)
{
    return (struct perf_event_attr){.type = PERF_TYPE_TRACEPOINT, .config = (unsigned)probe->event_id};
}

static int find_event(struct lp_probe *probe)
{
    probe->event_id = lp_tracefs_event_id(probe->event, probe->target.text);
    if (probe->event_id == -ENOENT)
        lp_error_set(ENOENT, "attach", "%s: its tracefs event %s was removed by somebody", probe->target.text,
                     probe->event);
    return probe->event_id < 0 ? probe->event_id : 0;
}

/* Only now, since no function can join an event that is in use. */
static int legacy_start(struct lp_probe *probe, struct lp_object *object, int program)
{
    struct perf_event_attr attr;
    int error = find_event(probe);

    if (error)
        return error;
    if (probe->profile_fd < 0)
        probe->profile_fd = open_profile(probe);
    attr = event_attr(probe);
    if (probe->perf_count == 0)
        error = lp_perf_open_one(probe, &attr);
    if (error)
        return error;
    (void)read_counts(probe, &probe->begun);
    return lp_perf_start_ioctl(probe, object, program);
}

/*
 * The last perf event of a tracefs event takes all its functions' probes away when it is closed, milliseconds for each.
 * When the probe is to be closed anyway, another perf event keeps them, so that only the program goes; legacy_close
 * does the rest. Nothing is opened here, which could be what is probed.
 */
static int legacy_stop(struct lp_probe *probe)
{
    struct perf_event_attr attr = event_attr(probe);

    if (probe->perf_count > 0) {
        legacy_count(probe, &probe->ended);
        probe->begun = (struct lp_probe_counts){0};
    }
    if (probe->closing && probe->added > 0 && probe->perf_count > 0) {
        attr.disabled = 1;
        probe->keeper_fd = lp_perf_event_open(&attr, -1, 0);
    }
    return lp_perf_stop(probe);
}

static void legacy_close(struct lp_probe *probe)
{
    if (!probe->event)
        return;
    forget(probe);
    take_away(probe);
    if (probe->profile_fd >= 0)
        close(probe->profile_fd);
    free(probe->event);
}

const struct lp_mechanism lp_legacy = {
    .name = "legacy",
    .available = legacy_available,
    .open = legacy_open,
    .add = legacy_add,
    .start = legacy_start,
    .stop = legacy_stop,
    .close = legacy_close,
    .count = legacy_count,
};
