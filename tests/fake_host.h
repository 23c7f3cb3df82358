/*
 * A host for the tests of bind and unbind: a tree of sysfs and proc in a directory of its own, and
 * behind the writes a driver core that keeps Linux's rules: an override names the only driver that
 * binds, unbinding is undone by nothing but a probe or a driver's own bind, a device that is gone
 * has no files.
 */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/bind.h"
#include "vmm/base/text.h"

struct fake_host {
	struct bind_host host; /* give this one to the code under test */
	char *root;
	char sysfs[64], proc[64], state[64];

	/* What goes wrong; "" and 0: nothing. */
	char refused[16];      /* vfio-pci does not take this function */
	char vanishes[16];     /* is gone once it was unbound */
	char stuck[16];        /* cannot be unbound */
	char lost_driver[16];  /* its own driver does not take it back */
	int write_error;       /* of every write, and of the question whether one may be made */
	int load_error;
	bool by_ids;           /* vfio-pci takes every function, override or not */
	int busy_group;        /* somebody has it open; 0: none */
	bool no_groups;        /* VFIO has devices alone */
	char claimed[16];      /* a block device in exclusive use */

	/* What happened. */
	unsigned int writes, loads, held, let_go;
	struct text said;
};

struct fake_device {
	const char *name;   /* "0000:01:00.0" */
	const char *driver; /* bound now; NULL: none */
	int group;          /* -1: no IOMMU */
	uint32_t class;
	const char *own;    /* the driver that the kernel finds for it; NULL: as `driver` */
	const char *override;
};

/* For cmocka: `*state` is a struct fake_host without devices; vfio-pci is loaded. */
int fake_host_setup(void **state);
int fake_host_teardown(void **state);

void fake_host_add(struct fake_host *fake, const struct fake_device *device);

/* Somebody has taken its driver from a function. */
void fake_host_take_driver(struct fake_host *fake, const char *name);

/* A file or directory below the root, with those above it. */
void fake_host_file(struct fake_host *fake, const char *path, const char *text);
void fake_host_dir(struct fake_host *fake, const char *path);
/* A device of a class ("net", "eth0") below a PCI function; `*ret_dir` is where its files are,
 * below the root. */
void fake_host_child(struct fake_host *fake, const char *function, const char *class,
		     const char *name, char ret_dir[256]);

/* The driver of a function now, "" without; its override, "" without. */
const char *fake_host_driver(struct fake_host *fake, const char *name);
const char *fake_host_override(struct fake_host *fake, const char *name);
bool fake_host_exists(struct fake_host *fake, const char *path); /* below the root */

#endif
