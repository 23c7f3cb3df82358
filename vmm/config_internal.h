/*
 * Inside vmm/config*.c. The binding: which nodes there are, which properties they have, and which
 * options these mean; and the compiler of source.
 */
#ifndef VMM_CONFIG_INTERNAL_H
#define VMM_CONFIG_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

enum config_type {
	CONFIG_COMPAT, /* the binding's name; means no option */
	CONFIG_FLAG,   /* there or not, without a value */
	CONFIG_U32,
	CONFIG_STRING,
	CONFIG_TAIL,   /* a string that ends its option's value, so it may have commas */
	CONFIG_PATH,   /* of a file; "-" stays as it is */
	CONFIG_SLOT,   /* a PCI address, or CONFIG_SOCKET_PREFIX and a path */
	CONFIG_FIRMWARE, /* CONFIG_UEFI or CONFIG_BIOS, or a path */
};

#define CONFIG_SOCKET_PREFIX "vfio-user:"
#define CONFIG_UEFI "uefi"
#define CONFIG_BIOS "bios"

struct config_property {
	const char *name; /* NULL after the last */
	enum config_type type;
	/* Without the dashes, the option with the same meaning. In a node that is one value: the
	 * key in its option's value, NULL for what the value begins with. */
	const char *means;
	const char *unit; /* of a number, for people; NULL: it has none */
};

#define CONFIG_PROPERTIES_MAX 12

struct config_node {
	const char *name; /* "cpus", "" is the root, which is the first; NULL after the last */
	/* The option of which such a node is one value. If it can be repeated, nodes are named
	 * "gpu", or "gpu-" and anything, and must have the first property; else there is one at
	 * most, which must have it where the option has no default. NULL: one at most, whose
	 * properties are options of their own. */
	const char *list;
	const struct config_property *property; /* no more than CONFIG_PROPERTIES_MAX */
};

extern const struct config_node config_nodes[];

struct dtc_limits {
	uint64_t memory;          /* bytes of address space */
	unsigned int cpu_s;
	unsigned int deadline_ms; /* until it must have ended */
};

extern const struct dtc_limits config_dtc_limits; /* the usual ones */

/*
 * Has dtc compile the file `path`, which it reads itself: so it finds what is included, and its
 * messages, on standard error, have the file's name. `ret_bytes` has CONFIG_SIZE_MAX + 1 bytes. 0,
 * or negative errno and a sentence without the path: -ENOENT there is no dtc, -ETIMEDOUT it was
 * ended, -EFBIG the result has more than CONFIG_SIZE_MAX bytes, -EINVAL it cannot compile this.
 */
int config_dtc(const char *path, const struct dtc_limits *limits, uint8_t *ret_bytes,
	       size_t *ret_size, char *ret_why, size_t why_size);

#endif
