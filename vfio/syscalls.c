#include "vfio/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 10000000L

static bool kernel_may_open(const char *path)
{
	return access(path, R_OK | W_OK) == 0;
}

static bool kernel_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static int kernel_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int kernel_ioctl(int fd, unsigned long request, void *argument)
{
	int r = ioctl(fd, (int)request, argument);

	return r < 0 ? -errno : r;
}

static void kernel_close(int fd)
{
	close(fd);
}

static void kernel_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

const struct vfio_syscalls vfio_kernel_syscalls = {
	.may_open = kernel_may_open,
	.exists = kernel_exists,
	.open = kernel_open,
	.ioctl = kernel_ioctl,
	.close = kernel_close,
	.pause = kernel_pause,
};
