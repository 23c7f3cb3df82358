/*
 * Text from elsewhere as it may stand on a terminal or in a picture: a name can hold anything, also
 * what a terminal obeys.
 */
#ifndef TOOLS_PRINTABLE_H
#define TOOLS_PRINTABLE_H

#include <stddef.h>

#include "vmm/base/text.h"

#define PRINTABLE_MAX 5 /* bytes of a character and the NUL */

/* The first character of `text` (not empty), or "?" where it is no UTF-8, a control character, or
 * one that changes the direction of its neighbours. Returns how many bytes of `text` that was. */
size_t printable_character(const char *text, char ret_character[PRINTABLE_MAX]);

/* Appends `text` in at least `columns` columns, filled with blanks, and never in more: a longer one
 * ends in "~". 0 columns: as it is. A character is a column. */
void printable_add(struct text *out, const char *text, unsigned int columns);

#endif
