/*
 * Numbers as people read them: durations and percentages, with two or three digits that matter.
 */
#ifndef TOOLS_DURATION_H
#define TOOLS_DURATION_H

#include <stddef.h>
#include <stdint.h>

#define DURATION_TEXT 32

/* "850 us", "16.3 ms", "2.24 s", "3 min 12 s", "5 h 03 min", "12 d 04 h"; rounded down, so that one
 * that runs never shows what it has not reached. Returns `ret_text`. */
const char *duration_text(uint64_t us, char ret_text[DURATION_TEXT]);

/* `part` of `whole` as "79 %", and "0.3 %" or "99.7 %" near the ends, where 0.1 % stands for
 * anything less, and 99.9 % for anything more: 0 % and 100 % are exact. Without a whole it is "-".
 * `part` is at most `whole`. Returns `ret_text`. */
const char *percent_text(uint64_t part, uint64_t whole, char ret_text[DURATION_TEXT]);

#endif
