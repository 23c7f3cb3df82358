/*
 * What is known of cards: one readable table (vfio/quirks.c), each line with its reason and its
 * source, and the lines of the user's own file (--quirks FILE) on top.
 *
 * The file: one rule a line, '#' begins a comment, empty lines are ignored.
 *
 *   VENDOR:DEVICE[:CLASS] KEY=VALUE... "REASON"
 *
 * VENDOR and DEVICE are four hexadecimal digits or *, CLASS two, four or six (a prefix of the class
 * code) or *. Keys: power, reentry, reset (the values of --gpu), external=yes (matches only cards
 * behind Thunderbolt or removable ones). A later match overrides an earlier one, key by key.
 */
#ifndef VFIO_QUIRKS_H
#define VFIO_QUIRKS_H

#include <stddef.h>

#include "vfio/policy.h"

struct quirks;

/* What the matching lines say; AUTO: nothing. */
struct quirk_verdict {
	enum policy_power power;
	enum policy_reset reset;
	enum power_reentry reentry;
	const char *power_reason, *reset_reason, *reentry_reason; /* NULL with AUTO */
};

/*
 * The built-in table, and after it the lines of `path` (NULL: none). On failure a sentence naming
 * line and word in `ret_why`, and -EINVAL (syntax), -EFBIG (more than 1 MiB) or what opening gave.
 */
int quirks_create(const char *path, struct quirks **ret_quirks, char *ret_why, size_t why_size);
void quirks_destroy(struct quirks *quirks); /* accepts NULL */

/* `quirks` NULL: the built-in table alone. Reasons live as long as `quirks`. */
void quirks_match(const struct quirks *quirks, const struct policy_facts *facts,
		  struct quirk_verdict *ret_verdict);

#endif
