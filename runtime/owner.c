/*
 * owner.c: to whom an event in tracefs belongs: "luaprobe/p4711_123456_1_effffffc" tells pid, start time, a number and
 * the pid namespace that the pid is of.
 *
 * Whoever is in that namespace can look whether the process is still there. From outside of it only the initial
 * namespace can judge, which sees every process: when nobody is in the other one any more (a container was killed), its
 * owner is gone as well.
 */
#include "owner.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* PROC_PID_INIT_INO of include/linux/proc_ns.h: the inode of the initial pid namespace. */
#define INITIAL_PID_NAMESPACE 0xeffffffcU

/* The fields of /proc/PID/stat behind the name, which may hold anything: "S 1 …"; NULL when there is no such process.
 */
static const char *read_stat(long pid, char *text, size_t size)
{
    char path[64];
    const char *name_end;
    size_t length;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    file = fopen(path, "re");
    if (!file)
        return NULL;
    length = fread(text, 1, size - 1, file);
    fclose(file);
    text[length] = '\0';
    name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' ? name_end + 2 : NULL;
}

/* A number by its place in man proc, where the state is field 3. */
static unsigned long long stat_field(const char *fields, int wanted)
{
    for (int i = 3; fields && i < wanted; i++) {
        fields = strchr(fields, ' ');
        fields = fields ? fields + 1 : NULL;
    }
    return fields ? strtoull(fields, NULL, 10) : 0;
}

/*
 * 0 when there is no such process, or when it has ended and only its parent has not asked for its status yet. A leader
 * that has ended before its threads (field 20) looks the same, but lives.
 */
static unsigned long long start_time(long pid)
{
    char text[1024];
    const char *fields = read_stat(pid, text, sizeof(text));

    if (!fields || ((*fields == 'Z' || *fields == 'X') && stat_field(fields, 20) <= 1))
        return 0;
    return stat_field(fields, 22);
}

/* The inode of a process's pid namespace; 0: it has none any more. False when it cannot be known. */
static bool namespace_of(const char *process, unsigned long long *out)
{
    char path[300];
    struct stat status;

    snprintf(path, sizeof(path), "/proc/%s/ns/pid", process);
    *out = 0;
    if (stat(path, &status) == 0)
        *out = status.st_ino;
    else if (errno != ENOENT && errno != ESRCH)
        return false;
    return true;
}

static unsigned long long own_namespace(void)
{
    unsigned long long inode;

    return namespace_of("self", &inode) ? inode : 0;
}

/*
 * Whether a process is in our own namespace, which anybody may know: it then has one number only, "NSpid:\t4711". For
 * those with more capabilities than we have, whose namespace itself is not shown.
 */
static bool is_in_own_namespace(const char *process)
{
    char path[300];
    char line[256];
    bool single = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%s/status", process);
    file = fopen(path, "re");
    if (!file)
        return errno == ENOENT || errno == ESRCH; /* it has just ended */
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "NSpid:\t", 7) == 0)
            single = strchr(line + 7, '\t') == NULL;
    }
    fclose(file);
    return single;
}

/* Whether no process is in a namespace, for somebody who sees all. */
static bool is_deserted(unsigned long long wanted)
{
    const struct dirent *entry;
    bool deserted = true;
    DIR *processes = opendir("/proc");

    if (!processes)
        return false;
    while (deserted && (entry = readdir(processes)) != NULL) {
        unsigned long long inode;

        if (isdigit((unsigned char)entry->d_name[0]))
            deserted = namespace_of(entry->d_name, &inode) ? inode != wanted : is_in_own_namespace(entry->d_name);
    }
    closedir(processes);
    return deserted;
}

bool lp_owner_is_gone(const struct lp_owner *owner)
{
    unsigned long long own = own_namespace();

    if (owner->pid_namespace == own)
        return start_time(owner->pid) != owner->start;
    return own == INITIAL_PID_NAMESPACE && is_deserted(owner->pid_namespace);
}

void lp_owner_write(char *out, size_t size)
{
    static atomic_uint number;

    snprintf(out, size, LP_EVENT_GROUP "p%d_%llu_%u_%llx", (int)getpid(), start_time(getpid()),
             atomic_fetch_add(&number, 1) + 1, own_namespace());
}

bool lp_owner_read(const char *event, struct lp_owner *out)
{
    unsigned number;

    return sscanf(event, LP_EVENT_GROUP "p%ld_%llu_%u_%llx", &out->pid, &out->start, &number, &out->pid_namespace) == 4;
}
