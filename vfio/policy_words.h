/*
 * The words for power, reentry and reset as people write and read them: in --gpu, in a file of
 * quirks, in the event log. Inside vfio/.
 */
#ifndef VFIO_POLICY_WORDS_H
#define VFIO_POLICY_WORDS_H

#include <stddef.h>

enum policy_key { POLICY_KEY_POWER, POLICY_KEY_REENTRY, POLICY_KEY_RESET };
#define POLICY_KEYS 3U

#define POLICY_WORDS_MAX 4U

struct policy_words {
	const char *key;                    /* "power" */
	const char *takes;                  /* all words, for a sentence */
	const char *word[POLICY_WORDS_MAX]; /* by enumerator; 0 is auto; NULL: none */
};

extern const struct policy_words policy_words[POLICY_KEYS]; /* by enum policy_key */

/* The enum policy_key whose name is the `len` bytes at `text`; -1: none. */
int policy_key_find(const char *text, size_t len);

/* The enumerator that the `len` bytes at `text` mean under `key`; -1: none. */
int policy_word_find(enum policy_key key, const char *text, size_t len);

#endif
