/*
 * The value of option --gpu: BDF[,key=value]...
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vfio/host.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"

#define VALUES_MAX 3
#define WORD_MAX 32U

static void set_low_power(struct vfio_slot_config *config, int value)
{
	config->forbid_low_power = !value;
}

static void set_entry_error(struct vfio_slot_config *config, int value)
{
	config->inject_entry_error = value;
}

static const struct key {
	const char *name;
	const char *takes; /* for the sentence */
	void (*set)(struct vfio_slot_config *config, int value);
	struct {
		const char *text;
		int number;
	} value[VALUES_MAX];
} keys[] = {
	{"low-power", "on or off", set_low_power, {{"on", 1}, {"off", 0}}},
	{"x-entry-error", "ENOTTY, EINVAL or EIO", set_entry_error,
	 {{"ENOTTY", -ENOTTY}, {"EINVAL", -EINVAL}, {"EIO", -EIO}}},
};

static const struct key *find_key(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].name) == len && !memcmp(keys[i].name, name, len))
			return &keys[i];
	return NULL;
}

static bool set_value(const struct key *key, const char *text, size_t len,
		      struct vfio_slot_config *config)
{
	for (unsigned int i = 0; i < VALUES_MAX && key->value[i].text; i++) {
		if (strlen(key->value[i].text) != len || memcmp(key->value[i].text, text, len))
			continue;
		key->set(config, key->value[i].number);
		return true;
	}
	return false;
}

/* One "key=value" of `len` bytes; `text` is the whole option. */
static int parse_pair(const char *text, const char *pair, size_t len,
		      struct vfio_slot_config *config, char *ret_why, size_t why_size)
{
	const char *equals = memchr(pair, '=', len);
	size_t name_len = equals ? (size_t)(equals - pair) : len;
	const struct key *key = find_key(pair, name_len);

	if (!key) {
		snprintf(ret_why, why_size,
			 "--gpu %s: no key \"%.*s\"; there are low-power=on|off and "
			 "x-entry-error=ENOTTY|EINVAL|EIO", text, (int)name_len, pair);
		return -EINVAL;
	}
	if (!equals || !set_value(key, equals + 1, len - name_len - 1, config)) {
		snprintf(ret_why, why_size, "--gpu %s: %s takes %s, not \"%.*s\"", text, key->name,
			 key->takes, equals ? (int)(len - name_len - 1) : 0,
			 equals ? equals + 1 : "");
		return -EINVAL;
	}
	return 0;
}

int vfio_slot_parse(const char *text, struct vfio_slot_config *ret_config, char *ret_why,
		    size_t why_size)
{
	struct vfio_slot_config config = {.forbid_low_power = false};
	size_t len = strcspn(text, ",");
	char bdf[WORD_MAX];
	int error = 0;

	snprintf(bdf, sizeof(bdf), "%.*s", len < sizeof(bdf) ? (int)len : 0, text);
	if (!host_parse_bdf(bdf, config.bdf)) {
		snprintf(ret_why, why_size,
			 "--gpu %s: \"%.*s\" is no PCI address; lspci -D prints them, as "
			 "0000:01:00.0 or short 01:00.0", text, (int)len, text);
		return -EINVAL;
	}
	for (const char *at = text + len; *at && !error; at += len) {
		at++; /* the comma */
		len = strcspn(at, ",");
		error = parse_pair(text, at, len, &config, ret_why, why_size);
	}
	if (!error)
		*ret_config = config;
	return error;
}
