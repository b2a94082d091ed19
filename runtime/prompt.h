/* prompt.h: the lines that were typed before, for prompt.c. */
#ifndef LUAPROBE_PROMPT_H
#define LUAPROBE_PROMPT_H

#include <histedit.h>

/* Reads the file's lines, and remembers it; NULL: there is no file. NULL without memory. */
History *lp_history_open(const char *path);
/* Why there is no file to keep lines in, or NULL. */
const char *lp_history_problem(void);
/* Adds a line, also to the file. */
void lp_history_add(History *lines, const char *line);
void lp_history_close(History *lines);

#endif
