/*
 * Inside vfio/: a rule of the quirk table, built in (vfio/quirks.c) or read from the user's file
 * (vfio/quirks_file.c).
 */
#ifndef VFIO_QUIRKS_INTERNAL_H
#define VFIO_QUIRKS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/policy_words.h"

#define QUIRK_TAKEN_BACK (-1) /* the file says auto: earlier rules say nothing any more */

struct quirk_rule {
	uint16_t vendor;              /* 0: any */
	uint16_t device, device_last; /* 0 and 0xffff: any */
	uint32_t class, class_mask;   /* of 24 bits */
	bool external;                /* only cards behind Thunderbolt, or removable ones */
	int word[POLICY_KEYS];        /* enumerator by key; 0: nothing is said of it */
	const char *reason;
};

struct quirk_rules {
	struct quirk_rule *rule;
	unsigned int count;
	char *text; /* the file, in which the reasons lie */
};

/*
 * Reads the rules of the file `path` into `ret_rules`, which the caller frees (rule, text) also
 * when it fails. Errors and sentence as quirks_create().
 */
int quirks_file_read(const char *path, struct quirk_rules *ret_rules, char *ret_why,
		     size_t why_size);

#endif
