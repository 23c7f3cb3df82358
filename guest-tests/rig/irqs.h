/*
 * What host and guest look up in /proc/interrupts.
 */
#ifndef GUEST_TESTS_RIG_IRQS_H
#define GUEST_TESTS_RIG_IRQS_H

#include <stddef.h>

/* "COUNT LINES CHIP" of the lines that name `name`; the chip is the last one's, "none" without a
 * line. 0 or negative errno. */
int irqs_of(const char *name, char *ret_text, size_t size);

#endif
