/*
 * The host's pool of huge pages: whether it has enough, and what would change that.
 */
#ifndef VMM_HUGEPAGES_H
#define VMM_HUGEPAGES_H

#include <stddef.h>
#include <stdint.h>

/* A host's folder of pools; another one in tests. */
#define HUGEPAGES_FOLDER "/sys/kernel/mm/hugepages"

/*
 * Whether the pool of pages of `page` bytes has `size` bytes free, which nobody else has asked for.
 * 0 (also when the host does not say how many it has), -ENODEV: there is no such pool, -ENOMEM: not
 * enough; with a sentence of what is needed, what there is, and what to do.
 */
int hugepages_check(const char *folder, uint64_t page, uint64_t size, char *ret_why,
		    size_t why_size);

#endif
