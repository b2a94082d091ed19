/*
 * error.c: the last error, and what libbpf says.
 *
 * Every failure is told as stage, cause and mend. libbpf explains itself by printing, so its text is collected here
 * instead of reaching the terminal, and the useful part of it becomes the message. A refused program's verifier log
 * can be megabytes long while its cause is in the last lines: those come first, the rest is kept for --traceback.
 */
#include "error.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* CAP_PERFMON and CAP_BPF came with Linux 5.8; older uapi headers lack them. */
enum { CAP_BIT_SYS_ADMIN = 21, CAP_BIT_PERFMON = 38, CAP_BIT_BPF = 39 };

/* What libbpf writes before a verifier's log. */
#define LOG_BEGIN "-- BEGIN PROG LOAD LOG --"

enum { ENOTSUPP = 524 }; /* the kernel's own number, which it lets out all the same */

static char message_text[16384]; /* long paths and what is behind them; luaprobe.error shortens the paths */
static char hint_text[1024];
static struct lp_error last = {.name = "", .stage = "", .message = message_text};

/* What libbpf printed since lp_error_capture. */
static char *captured;
static size_t captured_size;
static bool verbose;

const struct lp_error *lp_error_last(void)
{
    return &last;
}

void lp_error_verbose(bool on)
{
    verbose = on;
}

bool lp_error_is_verbose(void)
{
    return verbose;
}

static void set_code(int code, const char *stage)
{
    const char *name = code == ENOTSUPP ? "ENOTSUPP" : strerrorname_np(code);

    last.code = code;
    last.name = name ? name : "EUNKNOWN";
    last.stage = stage;
    last.hint = NULL;
    last.log = NULL;
}

/* Messages name what stands in files, which a terminal shall not act upon. */
static void make_printable(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = *text == '\t' ? ' ' : '?';
    }
}

int lp_error_set(int code, const char *stage, const char *format, ...)
{
    va_list args;

    set_code(code, stage);
    va_start(args, format);
    vsnprintf(message_text, sizeof(message_text), format, args);
    va_end(args);
    make_printable(message_text);
    return -code;
}

void lp_error_reword(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message_text, sizeof(message_text), format, args);
    va_end(args);
    last.hint = NULL;
}

void lp_error_hint(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(hint_text, sizeof(hint_text), format, args);
    va_end(args);
    last.hint = hint_text;
}

uint64_t lp_machine_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return 0;
    return (uint64_t)data[1].effective << 32 | data[0].effective;
}

static bool locked_down(void)
{
    char text[128] = "";
    FILE *file = fopen("/sys/kernel/security/lockdown", "re");

    if (!file)
        return false;
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);
    return strchr(text, '[') && !strstr(text, "[none]");
}

/* Who may open perf events, which kprobes, uprobes and tracepoints are; -1 when it cannot be read. */
static int perf_event_paranoid(void)
{
    int value = -1;
    FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");

    if (!file)
        return -1;
    if (fscanf(file, "%d", &value) != 1)
        value = -1;
    fclose(file);
    return value;
}

static bool has(uint64_t capabilities, int bit)
{
    return (capabilities >> bit & 1) || (capabilities >> CAP_BIT_SYS_ADMIN & 1);
}

bool lp_error_has_capabilities(void)
{
    uint64_t have = lp_machine_capabilities();

    return has(have, CAP_BIT_BPF) && has(have, CAP_BIT_PERFMON);
}

/* For a process with CAP_BPF and CAP_PERFMON that is not root. Above 2 is Debian's and Ubuntu's own. */
static void hint_not_admin(void)
{
    int paranoid = perf_event_paranoid();

    if (paranoid > 2)
        lp_error_hint(
            "CAP_BPF and CAP_PERFMON are there, but kernel.perf_event_paranoid is %d, and above 2 only "
            "CAP_SYS_ADMIN may open perf events: sudo sysctl kernel.perf_event_paranoid=2, or run it with sudo",
            paranoid);
    else
        lp_error_hint(
            "CAP_BPF and CAP_PERFMON are there, but this kernel wants CAP_SYS_ADMIN for it: run it with sudo");
}

void lp_error_hint_permission(void)
{
    uint64_t have = lp_machine_capabilities();
    bool bpf = has(have, CAP_BIT_BPF);
    bool perfmon = has(have, CAP_BIT_PERFMON);

    if (!bpf || !perfmon)
        lp_error_hint("this needs the capabilities CAP_BPF and CAP_PERFMON, and reading tracefs; uid %u lacks %s: run "
                      "it with sudo",
                      (unsigned)geteuid(),
                      bpf       ? "CAP_PERFMON"
                      : perfmon ? "CAP_BPF"
                                : "both");
    else if (locked_down())
        lp_error_hint("kernel lockdown is on (cat /sys/kernel/security/lockdown): it forbids tracing even to root");
    else if (!has(have, CAP_BIT_SYS_ADMIN))
        hint_not_admin();
    else
        lp_error_hint("the capabilities are there, so a security module or a container's seccomp filter refuses it");
}

/* What libc has no words for. */
static void put_into_words(char *text)
{
    static const char raw[] = "ERROR: strerror_r(524)=22";
    static const char words[] = "not supported (ENOTSUPP)";
    char *found;

    while ((found = strstr(text, raw))) {
        memcpy(found, words, sizeof(words) - 1);
        memmove(found + sizeof(words) - 1, found + sizeof(raw) - 1, strlen(found + sizeof(raw) - 1) + 1);
    }
}

/* libbpf's print function. Running out of memory here only costs text, and most of libbpf's is for debugging it. */
static int collect(enum libbpf_print_level level, const char *format, va_list args)
{
    char *text;
    int length;

    if (level == LIBBPF_DEBUG && !verbose)
        return 0;
    length = vasprintf(&text, format, args);
    if (length < 0)
        return 0;
    put_into_words(text);
    length = (int)strlen(text);
    if (verbose)
        fputs(text, stderr);
    if (level != LIBBPF_DEBUG) {
        char *grown = realloc(captured, captured_size + (size_t)length + 1);

        if (grown) {
            captured = grown;
            memcpy(captured + captured_size, text, (size_t)length + 1);
            captured_size += (size_t)length;
        }
    }
    free(text);
    return 0;
}

void lp_error_capture(void)
{
    free(captured);
    captured = NULL;
    captured_size = 0;
    last.log = NULL;
    libbpf_set_print(collect);
}

/* The start of the line before the one at `line`, or NULL when that is the first one of `text`. */
static const char *line_before(const char *text, const char *line)
{
    if (line <= text)
        return NULL;
    line--;
    while (line > text && line[-1] != '\n')
        line--;
    return line;
}

static int line_length(const char *line)
{
    return (int)strcspn(line, "\n");
}

/* The verifier ends its log with statistics, which do not tell why it refused. */
static bool is_statistics(const char *line)
{
    return line_length(line) == 0 || strncmp(line, "processed ", 10) == 0 ||
           strncmp(line, "verification time", 17) == 0 || strncmp(line, "stack depth", 11) == 0 ||
           strncmp(line, "-- END PROG", 11) == 0;
}

/* Writes "LINE; LINE (N lines omitted)" for the last two useful lines of the verifier's log; false when there are none.
 */
static bool summarize_verifier(const char *begin, const char *end, char *out, size_t size)
{
    const char *second, *first;
    int omitted = 0;

    for (second = line_before(begin, end); second && is_statistics(second);)
        second = line_before(begin, second);
    if (!second)
        return false;
    first = line_before(begin, second);
    for (const char *line = begin; first && line < first; line += line_length(line) + 1)
        omitted++;
    if (first)
        snprintf(out, size, "%.*s; %.*s (%d lines omitted)", line_length(first), first, line_length(second), second,
                 omitted);
    else
        snprintf(out, size, "%.*s", line_length(second), second);
    return true;
}

/* What libbpf says last whatever failed; the cause stands before it. */
static bool is_general(const char *line)
{
    static const char *const general[] = {"failed to load object",          "': failed to load: -",
                                          "failed to prepare load",         "failed to load program '",
                                          "permission error while running", LOG_BEGIN,
                                          "BTF is optional, ignoring"};

    for (size_t i = 0; i < sizeof(general) / sizeof(general[0]); i++) {
        const char *found = strstr(line, general[i]);

        if (found && found < line + line_length(line))
            return true;
    }
    return strncmp(line, "libbpf: ", 8) != 0;
}

/* libbpf's last complaint that tells a cause, without its prefix, or NULL. */
static const char *last_complaint(void)
{
    const char *line = captured + captured_size;

    if (!captured_size)
        return NULL;
    do
        line = line_before(captured, line);
    while (line && is_general(line));
    return line ? line + 8 : NULL;
}

/* The program whose log begins at `mark`: "libbpf: prog 'NAME': -- BEGIN …". */
static const char *program_of_log(const char *mark)
{
    static const char word[] = "prog '";

    while (mark > captured && strncmp(mark, word, sizeof(word) - 1) != 0)
        mark--;
    return mark + (mark > captured ? sizeof(word) - 1 : 0);
}

int lp_error_from_libbpf(int code, const char *stage, const char *subject)
{
    const char *begin = captured ? strstr(captured, LOG_BEGIN "\n") : NULL;
    const char *complaint = captured ? last_complaint() : NULL;
    char cause[1024] = "the verifier gave no reason";
    const char *end = begin ? strstr(begin, "-- END PROG LOAD LOG --") : NULL;

    set_code(code, stage);
    if (begin &&
        (summarize_verifier(begin + strlen(LOG_BEGIN "\n"), end ? end : begin + strlen(begin), cause, sizeof(cause)) ||
         !complaint)) {
        const char *name = program_of_log(begin);

        snprintf(message_text, sizeof(message_text), "%s: the kernel refused program '%.*s': %s", subject,
                 (int)strcspn(name, "'"), name, cause);
        lp_error_hint("the verifier's whole log is shown with --traceback");
    } else if (complaint) {
        snprintf(message_text, sizeof(message_text), "%s: %.*s", subject, line_length(complaint), complaint);
    } else {
        snprintf(message_text, sizeof(message_text), "%s: %s", subject, strerror(code));
    }
    make_printable(message_text);
    if (code == EPERM && !begin)
        lp_error_hint_permission();
    last.log = captured;
    return -code;
}
