/*
 * Numbers in texts of a known form. sscanf() would be shorter where it is used, and brings the
 * reading of floating-point numbers with it, 9 KiB of the binary.
 */
#ifndef VMM_BASE_NUMBER_H
#define VMM_BASE_NUMBER_H

/* Reads one to `max` (9 at most) decimal digits at `text`. Returns what follows them; NULL when
 * there is no digit, and `*ret_number` is as it was. */
const char *number_take(const char *text, unsigned int max, unsigned int *ret_number);

#endif
