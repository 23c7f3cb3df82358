#include "vfio/policy_words.h"

#include <stdbool.h>
#include <string.h>

#include "vfio/policy.h"

const struct policy_words policy_words[POLICY_KEYS] = {
	[POLICY_KEY_POWER] = {
		.key = "power",
		.takes = "auto, d3cold, d3hot or off",
		.word = {
			[POLICY_POWER_AUTO] = "auto",   [POLICY_POWER_D3COLD] = "d3cold",
			[POLICY_POWER_D3HOT] = "d3hot", [POLICY_POWER_OFF] = "off",
		},
	},
	[POLICY_KEY_REENTRY] = {
		.key = "reentry",
		.takes = "auto, guest or host",
		.word = {
			[POWER_REENTRY_AUTO] = "auto", [POWER_REENTRY_GUEST] = "guest",
			[POWER_REENTRY_HOST] = "host",
		},
	},
	[POLICY_KEY_RESET] = {
		.key = "reset",
		.takes = "auto, flr, bus or none",
		.word = {
			[POLICY_RESET_AUTO] = "auto", [POLICY_RESET_FLR] = "flr",
			[POLICY_RESET_BUS] = "bus",   [POLICY_RESET_NONE] = "none",
		},
	},
};

static bool is_word(const char *word, const char *text, size_t len)
{
	return word && strlen(word) == len && !memcmp(word, text, len);
}

int policy_key_find(const char *text, size_t len)
{
	for (unsigned int i = 0; i < POLICY_KEYS; i++)
		if (is_word(policy_words[i].key, text, len))
			return (int)i;
	return -1;
}

int policy_word_find(enum policy_key key, const char *text, size_t len)
{
	for (unsigned int i = 0; i < POLICY_WORDS_MAX; i++)
		if (is_word(policy_words[key].word[i], text, len))
			return (int)i;
	return -1;
}

static const char *word_of(enum policy_key key, unsigned int value)
{
	const char *word = value < POLICY_WORDS_MAX ? policy_words[key].word[value] : NULL;

	return word ? word : "unknown";
}

const char *policy_power_name(enum policy_power power)
{
	return word_of(POLICY_KEY_POWER, (unsigned int)power);
}

const char *policy_reset_name(enum policy_reset reset)
{
	return word_of(POLICY_KEY_RESET, (unsigned int)reset);
}
