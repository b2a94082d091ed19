/* output.h: what main.c does with output.c. */
#ifndef LUAPROBE_OUTPUT_H
#define LUAPROBE_OUTPUT_H

/* At every exit: what could not be written to standard output is a failure. A reader that went away is not. */
void lp_output_check(void);

#endif
