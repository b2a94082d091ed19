/* error.h: how the C files report a failure. See error.c. */
#ifndef LUAPROBE_ERROR_H
#define LUAPROBE_ERROR_H

#include "luaprobe.h"

/* Sets the last error, with no hint and no log; returns -code. */
__attribute__((format(printf, 3, 4))) int lp_error_set(int code, const char *stage, const char *format, ...);
/* Gives the last error another message, with no hint. */
__attribute__((format(printf, 1, 2))) void lp_error_reword(const char *format, ...);
/* Adds to the last error what mends it. */
__attribute__((format(printf, 1, 2))) void lp_error_hint(const char *format, ...);
/* Whether this process has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN. */
bool lp_error_has_capabilities(void);
/* Adds the hint that fits EPERM and EACCES: which capabilities are missing, or what else refuses. */
void lp_error_hint_permission(void);

/* Whether -v was given. */
bool lp_error_is_verbose(void);
/* Starts to collect what libbpf prints. */
void lp_error_capture(void);
/*
 * Sets the last error from what libbpf printed since lp_error_capture: the verifier's last lines when a program was
 * refused, the last of libbpf's lines that tells a cause otherwise. `subject` opens the message. Returns -code.
 */
int lp_error_from_libbpf(int code, const char *stage, const char *subject);

#endif
