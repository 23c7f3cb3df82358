#include "devices/net_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/option_key.h"
#include "vmm/base/refusal.h"
#include "vmm/base/text.h"

static const char *const vhost_words[] = {
	[NET_VHOST_AUTO] = "auto", [NET_VHOST_ON] = "on", [NET_VHOST_OFF] = "off",
};

/* --- what it is connected to --- */

/* dev_valid_name() of Linux: not "." or "..", no slash, colon or blank; and % is no name but a
 * pattern to the driver. */
static int set_tap(const char *value, struct net_config *config)
{
	size_t len = strlen(value);

	if (!len || len >= sizeof(config->tap) || !strcmp(value, ".") || !strcmp(value, ".."))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (value[i] <= ' ' || value[i] > '~' || strchr("/:%", value[i]))
			return -EINVAL;
	memcpy(config->tap, value, len + 1);
	config->kind = NET_TAP;
	return 0;
}

static int set_socket(const char *value, struct net_config *config)
{
	size_t len = strlen(value);

	if (!len || len >= sizeof(config->socket))
		return -EINVAL;
	memcpy(config->socket, value, len + 1);
	config->kind = NET_PASST;
	return 0;
}

/* --- keys --- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) % 16 : -1;
}

/* Of one interface: no group's (bit 0 of the first byte), and not all zeroes. */
static bool set_mac(const char *value, void *opaque)
{
	struct net_config *config = opaque;
	uint8_t mac[NET_MAC_LEN], any = 0;

	if (strlen(value) != 3 * NET_MAC_LEN - 1)
		return false;
	for (unsigned int i = 0; i < NET_MAC_LEN; i++, value += 3) {
		int high = hex_digit(value[0]), low = hex_digit(value[1]);

		if (high < 0 || low < 0 || value[2] != (i + 1 < NET_MAC_LEN ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
		any |= mac[i];
	}
	if (mac[0] & 1 || !any)
		return false;
	memcpy(config->mac, mac, sizeof(mac));
	config->has_mac = true;
	return true;
}

static bool set_queues(const char *value, void *opaque)
{
	struct net_config *config = opaque;

	return option_number(value, NET_PAIRS_MAX, &config->pairs);
}

static bool set_vhost(const char *value, void *opaque)
{
	struct net_config *config = opaque;
	unsigned int word = config->vhost;
	bool known = option_choice(value, vhost_words, ARRAY_SIZE(vhost_words), &word);

	config->vhost = (enum net_vhost)word;
	return known;
}

static const struct option_key key[] = {
	{"mac=", "an address of one interface, as 02:00:00:00:00:01", NULL, set_mac},
	{"queues=", "a number from 1 to 16", "tap", set_queues},
	{"vhost=", "auto, on or off", "tap", set_vhost},
};

static const struct option_keys keys = {key, ARRAY_SIZE(key), "mac, queues, vhost"};

static int set_kind(const char *word, struct net_config *config, struct refusal why)
{
	if (!strcmp(word, "passt")) {
		config->kind = NET_PASST;
		return 0;
	}
	if (!strncmp(word, "passt=", 6)) {
		if (!set_socket(word + 6, config))
			return 0;
		return refuse(why, -EINVAL, "the path of a socket has 1 to %u bytes",
			      NET_SOCKET_SIZE - 1U);
	}
	if (!strncmp(word, "tap=", 4)) {
		if (!set_tap(word + 4, config))
			return 0;
		return refuse(why, -EINVAL, "no name of an interface (1 to %u characters, no "
			      "blank, slash, colon or %%)", IFNAMSIZ - 1U);
	}
	return refuse(why, -EINVAL, "neither tap=NAME nor passt[=SOCKET]");
}

static int set_word(const char *word, unsigned int index, void *opaque, struct refusal why)
{
	struct net_config *config = opaque;

	if (!index)
		return set_kind(word, config, why);
	return option_key_set(&keys, word, config->kind == NET_TAP ? "tap" : "passt", config, why);
}

int net_config_parse(const char *text, struct net_config *ret_config, char *ret_why,
		     size_t why_size)
{
	struct refusal why = {"--net ", text, ret_why, why_size};
	struct net_config config = {.pairs = 1};
	int error = option_words(text, set_word, &config, why);

	if (!error)
		*ret_config = config;
	return error;
}

/* --- as text --- */

void net_config_format(const struct net_config *config, struct text *ret_text)
{
	const uint8_t *m = config->mac;

	if (config->kind == NET_TAP)
		text_add(ret_text, "tap=%s,queues=%u,vhost=%s", config->tap, config->pairs,
			 vhost_words[config->vhost]);
	else
		text_add(ret_text, "passt%s%s", config->socket[0] ? "=" : "", config->socket);
	if (config->has_mac)
		text_add(ret_text, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
			 m[4], m[5]);
}
