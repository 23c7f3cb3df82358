/*
 * All bytes into a file: write(2) may take some of them, and says why not more only when it is
 * asked again.
 */
#ifndef VMM_BASE_WRITE_ALL_H
#define VMM_BASE_WRITE_ALL_H

#include <stddef.h>

/* To a descriptor that blocks. 0, or the negative errno for which a part is missing. */
int write_all(int fd, const void *bytes, size_t size);

#endif
