/* fatal.h: what is done when a signal ends the process. */
#ifndef LUAPROBE_FATAL_H
#define LUAPROBE_FATAL_H

/* Calls the function, which may only do what a signal handler may, before a signal that nobody catches ends the
 * process.
 */
void lp_fatal_catch(void (*function)(void));
/* Gives a signal its default action, after that function. */
void lp_fatal_default(int signal);

#endif
