/* text.h: UTF-8, for the C files that show or write text. */
#ifndef LUAPROBE_TEXT_H
#define LUAPROBE_TEXT_H

#include <stddef.h>

/*
 * How many bytes the character has that the text begins with; 0 when it is not UTF-8 (overlong, a surrogate, beyond
 * U+10FFFF, cut off), or one of those that stand for bytes.
 */
size_t lp_text_character(const unsigned char *text, size_t left);

#endif
