/* test.h: cmocka's header needs these before it. */
#ifndef LUAPROBE_TEST_H
#define LUAPROBE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
