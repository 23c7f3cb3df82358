#include "vmm/base/option_key.h"

#include <errno.h>
#include <string.h>

#define WORD_SIZE 160

int option_key_set(const struct option_keys *keys, const char *word, const char *kind,
		   void *config, struct refusal why)
{
	for (size_t i = 0; i < keys->count; i++) {
		const struct option_key *key = &keys->key[i];
		size_t len = strlen(key->name);

		if (strncmp(word, key->name, len))
			continue;
		if (key->only && strcmp(key->only, kind))
			return refuse(why, -EINVAL, "%.*s is for %s alone", (int)len - 1, key->name,
				      key->only);
		if (key->set(word + len, config))
			return 0;
		return refuse(why, -EINVAL, "%.*s takes %s, not \"%s\"", (int)len - 1, key->name,
			      key->takes, word + len);
	}
	return refuse(why, -EINVAL, "no key \"%s\"; there are %s", word, keys->known);
}

bool option_number(const char *value, unsigned int max, unsigned int *ret_number)
{
	unsigned int number = 0;

	for (; *value >= '0' && *value <= '9' && number <= max; value++)
		number = 10 * number + (unsigned int)(*value - '0');
	if (*value || !number || number > max)
		return false;
	*ret_number = number;
	return true;
}

bool option_choice(const char *value, const char *const *words, unsigned int count,
		   unsigned int *ret_index)
{
	for (unsigned int i = 0; i < count; i++) {
		if (strcmp(words[i], value))
			continue;
		*ret_index = i;
		return true;
	}
	return false;
}

int option_words(const char *text, int (*set)(const char *word, unsigned int index, void *config,
					      struct refusal why),
		 void *config, struct refusal why)
{
	for (unsigned int index = 0;; index++, text++) {
		size_t len = strcspn(text, ",");
		char word[WORD_SIZE];
		int error;

		if (len >= sizeof(word))
			return refuse(why, -EINVAL, "a word of %zu bytes", len);
		memcpy(word, text, len);
		word[len] = '\0';
		error = set(word, index, config, why);
		text += len;
		if (error || !*text)
			return error;
	}
}
