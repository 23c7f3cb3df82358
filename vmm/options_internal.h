/*
 * The table of options, inside vmm/options*.c.
 */
#ifndef VMM_OPTIONS_INTERNAL_H
#define VMM_OPTIONS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/options.h"

struct text;

/* Where a sentence on what is wrong goes. */
struct why {
	char *text;
	size_t size;
};

enum option_kind {
	OPTION_FLAG,  /* a bool; alone, or with =on or =off */
	OPTION_TEXT,  /* a text, as it is; an empty one is none */
	OPTION_PATH,  /* likewise; an empty one is no path, and takes a config's away */
	OPTION_WORD,  /* an enum, one of `words` */
	OPTION_VALUE, /* has functions of its own */
	OPTION_LIST,  /* likewise, and can be repeated */
	/* These say what to do, not with what machine: they are looked at before the others, and no
	 * config has them. */
	OPTION_FIRST_FLAG,
	OPTION_FIRST_TEXT,
};

struct option_spec {
	const char *name;
	enum option_kind kind;
	size_t off; /* of the flag, text or enum in struct options, where a function is missing */
	const char *const *words; /* by the enum's value; ends with NULL */
	/* `value` must live as long as `options`. 0, or negative errno and a sentence. */
	int (*set)(struct options *options, const char *value, struct why why);
	/* Appends the value (of a list, number `index`) as people write it; false: none. */
	bool (*get)(const struct options *options, unsigned int index, struct text *ret_text);
};

#define OPTIONS_MAX 31

/* Every option, once; the last has no name. */
extern const struct option_spec option_specs[OPTIONS_MAX + 1];

/* The setter of --kernel, which is also what a positional argument is. */
int options_set_kernel(struct options *options, const char *path, struct why why);

/*
 * Setters and getters, as in the table.
 */

/* Of what gives the machine devices (options_devices.c). */
int options_add_slot(struct options *options, const char *text, struct why why);
bool options_get_slot(const struct options *options, unsigned int index, struct text *ret_text);
int options_set_hotplug_ports(struct options *options, const char *text, struct why why);
bool options_get_hotplug_ports(const struct options *options, unsigned int index,
			       struct text *ret_text);
int options_add_disk(struct options *options, const char *text, struct why why);
bool options_get_disk(const struct options *options, unsigned int index, struct text *ret_text);
int options_add_net(struct options *options, const char *text, struct why why);
bool options_get_net(const struct options *options, unsigned int index, struct text *ret_text);
int options_add_vhost_user(struct options *options, const char *text, struct why why);
bool options_get_vhost_user(const struct options *options, unsigned int index,
			    struct text *ret_text);
int options_set_vsock(struct options *options, const char *text, struct why why);
bool options_get_vsock(const struct options *options, unsigned int index, struct text *ret_text);

/* Of --memory and --cpus (options_machine.c). */
int options_set_memory(struct options *options, const char *text, struct why why);
bool options_get_memory(const struct options *options, unsigned int index, struct text *ret_text);
int options_set_cpus(struct options *options, const char *text, struct why why);
bool options_get_cpus(const struct options *options, unsigned int index, struct text *ret_text);

bool option_is_flag(const struct option_spec *spec);

/* Looked at before the others. */
bool option_is_first(const struct option_spec *spec);

/* spec->set and spec->get, or what the kind does without them. */
int option_set(const struct option_spec *spec, struct options *options, const char *value,
	       struct why why);
bool option_get(const struct option_spec *spec, const struct options *options, unsigned int index,
		struct text *ret_text);

#endif
