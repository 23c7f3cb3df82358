/*
 * The value of option --gpu: BDF[,key=value]... or vfio-user:PATH[,key=value]...
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vfio/host.h"
#include "vfio/policy_words.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

#define QUOTED_MAX 100
#define SOCKET_PREFIX "vfio-user:"
#define BDF_MAX 16U
#define DIGITS_MAX 9U /* any such number fits in 32 bits */
#define KEYS "power, reentry, reset, min-sleep, max-wakes-per-hour, resume-timeout, rom, " \
	"x-entry-error"

struct word {
	const char *at; /* not terminated */
	size_t len;
};

/* One key=value, and where to say what is wrong with it. */
struct pair {
	struct word key, value;
	char *ret_why;
	size_t why_size;
};

static const struct number {
	const char *key, *unit;
	size_t off; /* of an uint32_t in the configuration */
	uint32_t min, max, preset;
} numbers[] = {
	{"min-sleep", " seconds", offsetof(struct vfio_slot_config, governor.min_sleep_s),
	 0, 86400, VFIO_MIN_SLEEP_S},
	{"max-wakes-per-hour", "", offsetof(struct vfio_slot_config, governor.max_wakes_per_hour),
	 0, GOVERNOR_WAKES_MAX, VFIO_MAX_WAKES_PER_HOUR},
	{"resume-timeout", " seconds", offsetof(struct vfio_slot_config, resume_timeout_s),
	 1, 3600, VFIO_RESUME_TIMEOUT_S},
};

static const struct entry_error {
	const char *name;
	int error;
} entry_errors[] = {
	{"ENOTTY", -ENOTTY}, {"EINVAL", -EINVAL}, {"EIO", -EIO},
};

static bool is(struct word text, const char *word)
{
	return strlen(word) == text.len && !memcmp(word, text.at, text.len);
}

/* How much of it a sentence quotes: the reason must fit behind. */
static int quoted(struct word text)
{
	return text.len < QUOTED_MAX ? (int)text.len : QUOTED_MAX;
}

static int refuse_value(const struct pair *pair, const char *takes)
{
	snprintf(pair->ret_why, pair->why_size, "%.*s takes %s, not \"%.*s\"",
		 quoted(pair->key), pair->key.at, takes, quoted(pair->value), pair->value.at);
	return -EINVAL;
}

static int set_word(const struct pair *pair, enum policy_key key, struct vfio_slot_config *config)
{
	int word = policy_word_find(key, pair->value.at, pair->value.len);

	if (word < 0)
		return refuse_value(pair, policy_words[key].takes);
	switch (key) {
	case POLICY_KEY_POWER:
		config->power = (enum policy_power)word;
		break;
	case POLICY_KEY_REENTRY:
		config->reentry = (enum power_reentry)word;
		break;
	case POLICY_KEY_RESET:
		config->reset = (enum policy_reset)word;
		break;
	}
	return 0;
}

static bool parse_number(struct word text, uint32_t *ret_number)
{
	uint32_t number = 0;

	if (!text.len || text.len > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		number = number * 10 + (uint32_t)(text.at[i] - '0');
	}
	*ret_number = number;
	return true;
}

static void store(struct vfio_slot_config *config, const struct number *key, uint32_t number)
{
	memcpy((char *)config + key->off, &number, sizeof(number));
}

static int set_number(const struct pair *pair, const struct number *key,
		      struct vfio_slot_config *config)
{
	char takes[64];
	uint32_t number;

	if (parse_number(pair->value, &number) && number >= key->min && number <= key->max) {
		store(config, key, number);
		return 0;
	}
	snprintf(takes, sizeof(takes), "a number%s%s from %u to %u", *key->unit ? " of" : "",
		 key->unit, key->min, key->max);
	return refuse_value(pair, takes);
}

static int set_entry_error(const struct pair *pair, struct vfio_slot_config *config)
{
	for (size_t i = 0; i < ARRAY_SIZE(entry_errors); i++) {
		if (!is(pair->value, entry_errors[i].name))
			continue;
		config->inject_entry_error = entry_errors[i].error;
		return 0;
	}
	return refuse_value(pair, "ENOTTY, EINVAL or EIO");
}

static int set_rom(const struct pair *pair, struct vfio_slot_config *config)
{
	if (!pair->value.len || pair->value.len >= sizeof(config->rom))
		return refuse_value(pair, "the path of a file, of 1 to 1023 bytes");
	memcpy(config->rom, pair->value.at, pair->value.len);
	config->rom[pair->value.len] = '\0';
	return 0;
}

static int set_pair(const struct pair *pair, struct vfio_slot_config *config)
{
	int key = policy_key_find(pair->key.at, pair->key.len);

	if (key >= 0)
		return set_word(pair, (enum policy_key)key, config);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (is(pair->key, numbers[i].key))
			return set_number(pair, &numbers[i], config);
	if (is(pair->key, "rom"))
		return set_rom(pair, config);
	if (is(pair->key, "x-entry-error"))
		return set_entry_error(pair, config);
	snprintf(pair->ret_why, pair->why_size, "no key \"%.*s\"%s; there are " KEYS,
		 quoted(pair->key), pair->key.at,
		 config->socket[0] ? " (a path cannot have a comma)" : "");
	return -EINVAL;
}

/* "key=value" of `len` bytes at `text`; without '=' the value is empty. */
static void split(const char *text, size_t len, struct pair *pair)
{
	const char *equals = memchr(text, '=', len);

	pair->key = (struct word) {text, equals ? (size_t)(equals - text) : len};
	pair->value = (struct word) {text + len, 0};
	if (equals)
		pair->value = (struct word) {equals + 1, len - pair->key.len - 1};
}

/* --- which slot --- */

static int parse_bdf(struct word text, struct vfio_slot_config *config, char *ret_why,
		     size_t why_size)
{
	char bdf[BDF_MAX] = "";

	if (text.len < sizeof(bdf))
		memcpy(bdf, text.at, text.len);
	if (host_parse_bdf(bdf, config->bdf))
		return 0;
	snprintf(ret_why, why_size,
		 "\"%.*s\" is no PCI address; lspci -D prints them, as 0000:01:00.0 or short "
		 "01:00.0; or give " SOCKET_PREFIX "PATH", quoted(text), text.at);
	return -EINVAL;
}

static int parse_socket(struct word text, struct vfio_slot_config *config, char *ret_why,
			size_t why_size)
{
	size_t prefix = strlen(SOCKET_PREFIX);
	size_t len = text.len - prefix;

	if (len && len < sizeof(config->socket)) {
		memcpy(config->socket, text.at + prefix, len);
		config->socket[len] = '\0';
		return 0;
	}
	snprintf(ret_why, why_size, "the path of a socket has 1 to %zu bytes, not %zu",
		 sizeof(config->socket) - 1, len);
	return -EINVAL;
}

static bool is_socket(struct word text)
{
	size_t prefix = strlen(SOCKET_PREFIX);

	return text.len >= prefix && !memcmp(text.at, SOCKET_PREFIX, prefix);
}

int vfio_slot_parse(const char *text, struct vfio_slot_config *ret_config, char *ret_why,
		    size_t why_size)
{
	struct vfio_slot_config config = {.bdf = ""};
	struct pair pair = {.ret_why = ret_why, .why_size = why_size};
	struct word slot = {text, strcspn(text, ",")};
	size_t len = slot.len;
	int error;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		store(&config, &numbers[i], numbers[i].preset);
	error = is_socket(slot) ? parse_socket(slot, &config, ret_why, why_size)
				: parse_bdf(slot, &config, ret_why, why_size);
	for (const char *at = text + len; *at && !error; at += len) {
		at++; /* the comma */
		len = strcspn(at, ",");
		split(at, len, &pair);
		error = set_pair(&pair, &config);
	}
	if (!error)
		*ret_config = config;
	return error;
}

void vfio_slot_format(const struct vfio_slot_config *config, struct text *ret_text)
{
	const unsigned int word[POLICY_KEYS] = {
		[POLICY_KEY_POWER] = config->power,
		[POLICY_KEY_REENTRY] = config->reentry,
		[POLICY_KEY_RESET] = config->reset,
	};
	uint32_t number;

	text_add(ret_text, "%s%s", config->socket[0] ? SOCKET_PREFIX : "",
		 config->socket[0] ? config->socket : config->bdf);
	for (size_t i = 0; i < POLICY_KEYS; i++)
		text_add(ret_text, ",%s=%s", policy_words[i].key, policy_words[i].word[word[i]]);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		memcpy(&number, (const char *)config + numbers[i].off, sizeof(number));
		text_add(ret_text, ",%s=%u", numbers[i].key, number);
	}
	if (config->rom[0])
		text_add(ret_text, ",rom=%s", config->rom);
	for (size_t i = 0; i < ARRAY_SIZE(entry_errors); i++)
		if (config->inject_entry_error == entry_errors[i].error)
			text_add(ret_text, ",x-entry-error=%s", entry_errors[i].name);
}

/* Two functions of a slot would be the same slot twice, and VFIO lets a program open its device as
 * often as it likes. A server has one client. */
bool vfio_slot_config_is_same(const struct vfio_slot_config *a, const struct vfio_slot_config *b)
{
	size_t len = strcspn(a->bdf, ".");

	if (a->socket[0] || b->socket[0])
		return !strcmp(a->socket, b->socket);
	return strcspn(b->bdf, ".") == len && !memcmp(a->bdf, b->bdf, len);
}
