/* prompt.h: the lines that were typed before, for prompt.c. */
#ifndef LUAPROBE_PROMPT_H
#define LUAPROBE_PROMPT_H

#include <histedit.h>

/* Reads the file's lines, and remembers it; NULL: there is no file. NULL without memory. */
History *lp_history_open(const char *path);
/* Adds a line, also to the file. */
void lp_history_add(History *lines, const char *line);
void lp_history_close(History *lines);

#endif
