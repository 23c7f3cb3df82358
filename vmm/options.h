/*
 * The command line: parsed and checked into plain data, before anything is opened.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/vfio.h"
#include "vmm/layout.h"

struct options {
	bool help, version;
	const char *kernel;      /* --kernel, or the positional guest image */
	const char *initrd, *append, *events;
	const char *quirks;      /* file of the user's own rules, or NULL */
	uint64_t memory;         /* bytes */
	unsigned int cpus;
	bool no_reboot, debug_exit;
	enum vfio_backend_kind vfio_backend;
	unsigned int slots;
	struct vfio_slot_config slot[SLOT_MAX];
};

/*
 * Fills `ret_options`; strings point into `argv`. Returns 0, or -EINVAL with a sentence in
 * `ret_why`: wrong usage.
 */
int options_parse(int argc, char *const argv[], struct options *ret_options, char *ret_why,
		  size_t why_size);

/* The text of --help. */
const char *options_help(void);

#endif
