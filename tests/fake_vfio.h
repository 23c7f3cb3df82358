/*
 * The kernel's VFIO and iommufd behind vfio/syscalls.h, for unit tests: which calls come in which
 * order, with the kernel's rules where the code under test depends on them. Descriptors are real
 * (memfds), so that reading and mapping work, and a leak or a wrong one is found.
 *
 * One kernel, without a lock: tests use it from one thread. fake_vfio_begin() makes it new.
 */
#ifndef TESTS_FAKE_VFIO_H
#define TESTS_FAKE_VFIO_H

#include <stdbool.h>
#include <stddef.h>

#include "vfio/syscalls.h"

#define FAKE_VFIO_DEVICES 4
#define FAKE_VFIO_FILES 32
#define FAKE_VFIO_LOG 2048

struct fake_vfio_device {
	const char *name;   /* "0000:01:00.0"; NULL: none */
	int group, node;    /* node -1: none */
	bool can_reset;
};

struct fake_vfio_file {
	int fd;             /* 0: free place */
	char kind;          /* 'c'ontainer, 'g'roup, 'i'ommufd, 'n'ode, 'd'evice by group */
	int number;         /* of a group; index of a device */
	bool bound, attached; /* node: so far; group: it has the container */
};

struct fake_vfio {
	/* set by the test */
	struct fake_vfio_device device[FAKE_VFIO_DEVICES];
	bool no_groups, no_iommu, no_nodes; /* these files are not there */
	bool forbid_iommufd;                /* /dev/iommu and nodes may not be opened */
	int reset_devices;  /* so many, from the first, a hot reset takes along; -1: none can */
	const char *fail;   /* call that fails, as named in the log; NULL: none */
	int error;          /* with this negative errno */
	unsigned int skip, times; /* after so many that work; so often (0: for ever) */

	/* what happened */
	char log[FAKE_VFIO_LOG]; /* "open /dev/vfio/vfio; VERSION; open /dev/vfio/7; " ... */
	unsigned int pauses;
	struct fake_vfio_file file[FAKE_VFIO_FILES];
};

extern struct fake_vfio fake_vfio;
extern const struct vfio_syscalls fake_vfio_syscalls;

void fake_vfio_begin(void);
void fake_vfio_forget(void); /* empties the log */
/* Aborts when a file is still open. */
void fake_vfio_end(void);

#endif
