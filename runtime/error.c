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

static char message_text[2048];
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
    const char *name = strerrorname_np(code);

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

void lp_error_hint(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(hint_text, sizeof(hint_text), format, args);
    va_end(args);
    last.hint = hint_text;
}

static uint64_t effective_capabilities(void)
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

void lp_error_hint_permission(void)
{
    uint64_t have = effective_capabilities();
    bool admin = have >> CAP_BIT_SYS_ADMIN & 1;
    bool bpf = admin || have >> CAP_BIT_BPF & 1;
    bool perfmon = admin || have >> CAP_BIT_PERFMON & 1;

    if (!bpf || !perfmon)
        lp_error_hint("this needs the capabilities CAP_BPF and CAP_PERFMON, and reading tracefs; uid %u lacks %s: run "
                      "it with sudo",
                      (unsigned)geteuid(),
                      bpf       ? "CAP_PERFMON"
                      : perfmon ? "CAP_BPF"
                                : "both");
    else if (locked_down())
        lp_error_hint("kernel lockdown is on (cat /sys/kernel/security/lockdown): it forbids tracing even to root");
    else
        lp_error_hint("the capabilities are there, so a security module, a container's seccomp filter or "
                      "kernel.perf_event_paranoid refuses it");
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

/* Writes "LINE; LINE (N lines omitted)" for the last two useful lines of the verifier's log. */
static void summarize_verifier(const char *begin, const char *end, char *out, size_t size)
{
    const char *second, *first;
    int omitted = 0;

    for (second = line_before(begin, end); second && is_statistics(second);)
        second = line_before(begin, second);
    if (!second) {
        snprintf(out, size, "the verifier gave no reason");
        return;
    }
    first = line_before(begin, second);
    for (const char *line = begin; first && line < first; line += line_length(line) + 1)
        omitted++;
    if (first)
        snprintf(out, size, "%.*s; %.*s (%d lines omitted)", line_length(first), first, line_length(second), second,
                 omitted);
    else
        snprintf(out, size, "%.*s", line_length(second), second);
}

/* libbpf's last complaint without its prefix, or NULL. */
static const char *last_complaint(void)
{
    const char *line = captured + captured_size;

    if (!captured_size)
        return NULL;
    do
        line = line_before(captured, line);
    while (line && strncmp(line, "libbpf: ", 8) != 0);
    return line ? line + 8 : NULL;
}

int lp_error_from_libbpf(int code, const char *stage, const char *subject)
{
    const char *mark = "-- BEGIN PROG LOAD LOG --\n";
    const char *begin = captured ? strstr(captured, mark) : NULL;
    const char *complaint = captured ? last_complaint() : NULL;

    set_code(code, stage);
    if (begin) {
        const char *end = strstr(begin, "-- END PROG LOAD LOG --");
        const char *name = strstr(captured, "prog '");
        char cause[1024];

        summarize_verifier(begin + strlen(mark), end ? end : begin + strlen(begin), cause, sizeof(cause));
        snprintf(message_text, sizeof(message_text), "%s: the kernel refused program '%.*s': %s", subject,
                 name ? (int)strcspn(name + 6, "'") : 0, name ? name + 6 : "", cause);
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
