/*
 * What host and guest compare of a file or disk: a sum (FNV-1a, 64 bits) of its bytes.
 */
#ifndef GUEST_TESTS_RIG_SUM_H
#define GUEST_TESTS_RIG_SUM_H

#include <stddef.h>
#include <stdint.h>

#define SUM_TEXT_SIZE 17

/* 16 hexadecimal digits for the `len` bytes at `off`. 0 or negative errno; -ENODATA: too short. */
int sum_file(const char *path, uint64_t off, uint64_t len, char ret_text[SUM_TEXT_SIZE]);

#endif
