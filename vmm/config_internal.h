/*
 * The binding: which nodes there are, which properties they have, and which options these mean.
 * Inside vmm/config*.c.
 */
#ifndef VMM_CONFIG_INTERNAL_H
#define VMM_CONFIG_INTERNAL_H

#include <stddef.h>

enum config_type {
	CONFIG_COMPAT, /* the binding's name; means no option */
	CONFIG_FLAG,   /* there or not, without a value */
	CONFIG_U32,
	CONFIG_STRING,
	CONFIG_TAIL,   /* a string that ends its option's value, so it may have commas */
	CONFIG_PATH,   /* of a file; "-" stays as it is */
	CONFIG_SLOT,   /* a PCI address, or CONFIG_SOCKET_PREFIX and a path */
};

#define CONFIG_SOCKET_PREFIX "vfio-user:"

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
	 * most. NULL: one at most, whose properties are options of their own. */
	const char *list;
	const struct config_property *property; /* no more than CONFIG_PROPERTIES_MAX */
};

extern const struct config_node config_nodes[];

#endif
