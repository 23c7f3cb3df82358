#include "vmm/hugepages.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/number.h"

struct pool {
	char path[PATH_MAX]; /* its folder */
	unsigned int total, free, reserved; /* pages */
};

static bool read_number(const struct pool *pool, const char *name, unsigned int *ret_number)
{
	char path[PATH_MAX + 32], line[32];
	bool good;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", pool->path, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	good = fgets(line, sizeof(line), file) && number_take(line, 9, ret_number);
	fclose(file);
	return good;
}

/* Linux, Documentation/admin-guide/mm/hugetlbpage.rst: pages that are reserved are still free, but
 * promised. Huge ones of 1G are seldom found once the host has run for a while. */
static int refuse(const struct pool *pool, uint64_t page, unsigned long long needed, char *ret_why,
		  size_t why_size)
{
	unsigned int usable = pool->free - pool->reserved;
	bool giga = page >= GIB;

	snprintf(ret_why, why_size, "%llu huge pages of %s are needed, %u are free: "
		 "echo %llu >%s/nr_hugepages%s", needed, giga ? "1G" : "2M", usable,
		 pool->total + needed - usable, pool->path,
		 giga ? ", or hugepagesz=1G hugepages=N for the host's kernel" : "");
	return -ENOMEM;
}

int hugepages_check(const char *folder, uint64_t page, uint64_t size, char *ret_why,
		    size_t why_size)
{
	unsigned long long needed = (size + page - 1) / page;
	struct pool pool;

	snprintf(pool.path, sizeof(pool.path), "%s/hugepages-%llukB", folder,
		 (unsigned long long)(page / KIB));
	if (access(pool.path, F_OK)) {
		snprintf(ret_why, why_size, "this host has no huge pages of %s (there is no %s)",
			 page >= GIB ? "1G" : "2M", pool.path);
		return -ENODEV;
	}
	if (!read_number(&pool, "nr_hugepages", &pool.total) ||
	    !read_number(&pool, "free_hugepages", &pool.free) ||
	    !read_number(&pool, "resv_hugepages", &pool.reserved) || pool.reserved > pool.free)
		return 0;
	if (pool.free - pool.reserved >= needed)
		return 0;
	return refuse(&pool, page, needed, ret_why, why_size);
}
