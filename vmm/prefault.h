/*
 * Memory that is there before it is used: several threads make the kernel find its pages.
 */
#ifndef VMM_PREFAULT_H
#define VMM_PREFAULT_H

#include <stdint.h>

/*
 * Populates `size` bytes at `hva`, writable, in pieces that are multiples of `page`; both are
 * multiples of it. A line says how far it is when it takes long. 0, -ENOMEM, -EFAULT (no memory of
 * this kind is left), -EHWPOISON, or -EINTR: a signal that the caller blocks waits for it. Threads:
 * returns when its own have ended.
 */
int prefault(void *hva, uint64_t size, uint64_t page);

#endif
