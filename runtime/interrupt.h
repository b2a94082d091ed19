/* interrupt.h: Ctrl-C at the prompt, for main.c. */
#ifndef LUAPROBE_INTERRUPT_H
#define LUAPROBE_INTERRUPT_H

#include <lua.h>

/* Makes the module "luaprobe.guard", a function: see interrupt.c. */
void lp_interrupt_open(lua_State *lua);

#endif
