/* PCI as a program in the guest sees it: config space and BARs through sysfs. */
#include "guest-tests/rig/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SYSFS_PCI "/sys/bus/pci/devices/"

/* cfg BDF OFFSET LENGTH: bytes in hexadecimal */
int do_cfg(char **arg, char *answer)
{
	unsigned char bytes[1024];
	char path[128];
	size_t len = strtoul(arg[2], NULL, 0);
	ssize_t got;
	int fd;

	if (len > sizeof(bytes))
		return -EINVAL;
	snprintf(path, sizeof(path), SYSFS_PCI "%s/config", arg[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = pread(fd, bytes, len, (off_t)strtoul(arg[1], NULL, 0));
	close(fd);
	if (got < 0)
		return -errno;
	for (ssize_t i = 0; i < got; i++)
		snprintf(answer + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* mem BDF BAR OFFSET: one 32-bit read of a memory BAR */
int do_mem(char **arg, char *answer)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned long off = strtoul(arg[2], NULL, 0);
	unsigned long start = off & ~((unsigned long)page - 1);
	const volatile uint32_t *word;
	char path[128];
	void *bar;
	int fd;

	snprintf(path, sizeof(path), SYSFS_PCI "%s/resource%s", arg[0], arg[1]);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	bar = mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, fd, (off_t)start);
	close(fd);
	if (bar == MAP_FAILED)
		return -errno;
	word = (const volatile uint32_t *)((const char *)bar + (off - start));
	snprintf(answer, ANSWER_MAX, "%08x", *word);
	munmap(bar, (size_t)page);
	return 0;
}
