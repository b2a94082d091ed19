/* stop.h: what the other C files tell stop.c. */
#ifndef LUAPROBE_STOP_H
#define LUAPROBE_STOP_H

/* Standard output's reader is gone: asks the event loop to end. */
void lp_stop_output_closed(void);

/* From now on SIGPIPE is what asks, too. Children have its default again. */
void lp_stop_watch_output(void);

/* Remembers a signal that came outside of loops. */
void lp_stop_note(int signal);

/* What SIGINT does outside of loops: a handler, or NULL. */
void lp_stop_on_interrupt(void (*handler)(int));

#endif
