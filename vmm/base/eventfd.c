#include "vmm/base/eventfd.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008 /* Linux, include/uapi/linux/fs.h (4.14) */
#endif

/* Not by O_NONBLOCK alone: who shares the file description, as a vfio-user server does, may clear
 * it. Timers, which nobody shares, know no such flag before Linux 6.10. */
bool eventfd_drain(int fd)
{
	uint64_t count;
	const struct iovec into = {.iov_base = &count, .iov_len = sizeof(count)};
	long n = syscall(SYS_preadv2, fd, &into, 1, -1L, -1L, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP)
		n = read(fd, &count, sizeof(count));
	return n == (long)sizeof(count);
}

void eventfd_signal(int fd)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	if (poll(&room, 1, 0) == 1)
		eventfd_write(fd, 1);
}
