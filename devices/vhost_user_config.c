#include "devices/vhost_user_config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/number.h"
#include "vmm/base/option_key.h"
#include "vmm/base/refusal.h"
#include "vmm/base/text.h"

/* Other programs say "blk" for the same. */
static const struct {
	const char *word;
	enum vhost_user_type type;
} types[] = {
	{"block", VHOST_USER_BLOCK},
	{"fs", VHOST_USER_FS},
	{"blk", VHOST_USER_BLOCK},
};

const char *vhost_user_type_name(enum vhost_user_type type)
{
	return types[type].word;
}

static bool set_text(char *field, size_t size, const char *value)
{
	size_t len = strlen(value);

	if (!len || len >= size)
		return false;
	memcpy(field, value, len + 1);
	return true;
}

static bool set_socket(const char *value, void *opaque)
{
	struct vhost_user_config *config = opaque;

	return set_text(config->socket, sizeof(config->socket), value);
}

static bool set_tag(const char *value, void *opaque)
{
	struct vhost_user_config *config = opaque;

	return set_text(config->tag, sizeof(config->tag), value);
}

static bool set_queues(const char *value, void *opaque)
{
	struct vhost_user_config *config = opaque;
	unsigned int queues = 0;
	const char *end = number_take(value, 2, &queues);

	config->queues = queues;
	return end && !*end && queues && queues <= VHOST_USER_QUEUES_MAX;
}

static const struct option_key key[] = {
	{"socket=", "a path of 1 to 107 bytes", NULL, set_socket},
	{"tag=", "a name of 1 to 36 bytes", "fs", set_tag},
	{"queues=", "a number from 1 to 16", NULL, set_queues},
};

static const struct option_keys keys = {key, ARRAY_SIZE(key), "socket, tag, queues"};

static int set_type(const char *word, struct vhost_user_config *config, struct refusal why)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].word, word))
			continue;
		config->type = types[i].type;
		return 0;
	}
	return refuse(why, -EINVAL, "no type \"%s\"; there are block, fs", word);
}

/* Number `index` of the words: the second needs no key. */
static int set_word(const char *word, unsigned int index, void *opaque, struct refusal why)
{
	struct vhost_user_config *config = opaque;

	if (!index)
		return set_type(word, config, why);
	if (index > 1 || !strncmp(word, key[0].name, strlen(key[0].name)))
		return option_key_set(&keys, word, vhost_user_type_name(config->type), config, why);
	if (set_socket(word, config))
		return 0;
	return refuse(why, -EINVAL, "the path of a socket has 1 to %u bytes",
		      VHOST_USER_SOCKET_SIZE - 1U);
}

static int check(const struct vhost_user_config *config, struct refusal why)
{
	if (!config->socket[0])
		return refuse(why, -EINVAL, "no socket; as in --vhost-user %s,PATH",
			      vhost_user_type_name(config->type));
	if (config->type == VHOST_USER_FS && !config->tag[0])
		return refuse(why, -EINVAL, "no tag=NAME, by which the guest mounts it");
	return 0;
}

int vhost_user_config_parse(const char *text, struct vhost_user_config *ret_config, char *ret_why,
			    size_t why_size)
{
	struct refusal why = {"--vhost-user ", text, ret_why, why_size};
	struct vhost_user_config config = {.queues = 1};
	int error = option_words(text, set_word, &config, why);

	if (!error)
		error = check(&config, why);
	if (!error)
		*ret_config = config;
	return error;
}

void vhost_user_config_format(const struct vhost_user_config *config, struct text *ret_text)
{
	text_add(ret_text, "%s,socket=%s", vhost_user_type_name(config->type), config->socket);
	if (config->tag[0])
		text_add(ret_text, ",tag=%s", config->tag);
	text_add(ret_text, ",queues=%u", config->queues);
}
