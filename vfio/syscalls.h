/*
 * Inside vfio/: the system calls that reach the kernel's VFIO and iommufd. There is one table with
 * the real ones; tests bring a kernel of their own (tests/fake_vfio.h). Reads, writes and mappings
 * of a device's file are made directly.
 */
#ifndef VFIO_SYSCALLS_H
#define VFIO_SYSCALLS_H

#include <stdbool.h>

struct vfio_syscalls {
	/* May the file be opened for reading and writing? And: is it there at all? */
	bool (*may_open)(const char *path);
	bool (*exists)(const char *path);
	int (*open)(const char *path); /* read and write; descriptor or negative errno */
	int (*ioctl)(int fd, unsigned long request, void *argument); /* result or negative errno */
	void (*close)(int fd);
	/* Before a call is made again that the host was too busy for. */
	void (*pause)(void);
};

extern const struct vfio_syscalls vfio_kernel_syscalls;

#endif
