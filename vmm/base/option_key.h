/*
 * The words of an option between commas, and those that are KEY=VALUE, as "queues=4" of --net.
 */
#ifndef VMM_BASE_OPTION_KEY_H
#define VMM_BASE_OPTION_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/refusal.h"

struct option_key {
	const char *name;  /* with its "=" */
	const char *takes; /* for the sentence: "a number from 1 to 16" */
	const char *only;  /* the kind that alone has it; NULL: every one has */
	bool (*set)(const char *value, void *config);
};

struct option_keys {
	const struct option_key *key;
	size_t count;
	const char *known; /* for the sentence: "mac, queues, vhost" */
};

/* Gives `word` to its key's setter; `config` is of kind `kind`. 0, or -EINVAL with a sentence. */
int option_key_set(const struct option_keys *keys, const char *word, const char *kind,
		   void *config, struct refusal why);

/* For setters: `value` as a number from 1 to `max` (in decimal digits, nothing else), and which of
 * `count` words it is. False: it is none, and nothing is written. */
bool option_number(const char *value, unsigned int max, unsigned int *ret_number);
bool option_choice(const char *value, const char *const *words, unsigned int count,
		   unsigned int *ret_index);

/* Gives `set` the words of `text` in order, numbered from 0, until one is refused. 0, or what `set`
 * returned, or -EINVAL for a word of 160 bytes or more. */
int option_words(const char *text, int (*set)(const char *word, unsigned int index, void *config,
					      struct refusal why),
		 void *config, struct refusal why);

#endif
