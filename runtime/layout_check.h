/* layout_check.h: see layout_check.c. */
#ifndef LUAPROBE_LAYOUT_CHECK_H
#define LUAPROBE_LAYOUT_CHECK_H

#include "luaprobe.h"

/* Whether all members and variables of an object just opened lie within what holds them: 0, or sets the last error. */
int lp_layout_check(struct lp_object *object);

#endif
