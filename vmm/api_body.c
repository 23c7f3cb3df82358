#include "vmm/api_body.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/json_read.h"

#define TOKENS_MAX 32U
#define TEXT_SIZE 512U /* of a value of --gpu */
#define WHY_SIZE 512U

/* Where the sentence goes. */
struct why {
	char *text;
	size_t size;
};

static int refuse(struct why why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct why why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why.text, why.size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int parse_object(const char *body, size_t len, jsmntok_t tokens[TOKENS_MAX],
			struct json_doc *ret_doc, struct why why)
{
	int error = len ? json_parse(body, len, tokens, TOKENS_MAX, ret_doc) : -EPROTO;

	if (error == -E2BIG)
		return refuse(why, "the body has more than %u values", TOKENS_MAX);
	if (error || ret_doc->token[0].type != JSMN_OBJECT)
		return refuse(why, "the body is no JSON object");
	return 0;
}

/* The text of member `name`, "" when there is no such member. */
static int get_text(const struct json_doc *doc, const char *name, char *ret_text, size_t size,
		    struct why why)
{
	unsigned int at = json_member(doc, 0, name);

	ret_text[0] = '\0';
	if (!at)
		return 0;
	if (!json_get_string(doc, at, ret_text, size) || !ret_text[0])
		return refuse(why, "%s is no string of 1 to %zu bytes", name, size - 1);
	return 0;
}

/* `slot` as for --gpu; `name` and `value` are what the client sent of it. */
static int parse_slot(const char *slot, const char *name, const char *value,
		      struct vfio_slot_config *ret_config, struct why why)
{
	char sentence[WHY_SIZE];

	if (!vfio_slot_parse(slot, ret_config, sentence, sizeof(sentence)))
		return 0;
	return refuse(why, "%s %s: %s", name, value, sentence);
}

/* The device at a path of sysfs; a slash at its end does no harm. */
static int parse_path(char *path, struct vfio_slot_config *ret_config, struct why why)
{
	size_t len = strlen(path);
	const char *name;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	name = strrchr(path, '/');
	if (!name || strcspn(name, ",") != strlen(name) || !strncmp(name + 1, "vfio-user:", 10))
		return refuse(why, "path %s is not that of a PCI device; for example "
			      "/sys/bus/pci/devices/0000:01:00.0", path);
	return parse_slot(name + 1, "path", path, ret_config, why);
}

int api_body_add(const char *body, size_t len, struct vfio_slot_config *ret_config,
		 char ret_id[API_ID_SIZE], char *ret_why, size_t why_size)
{
	struct why why = {ret_why, why_size};
	char path[TEXT_SIZE], gpu[TEXT_SIZE];
	jsmntok_t tokens[TOKENS_MAX];
	struct json_doc doc;
	int error = parse_object(body, len, tokens, &doc, why);

	if (!error)
		error = get_text(&doc, "path", path, sizeof(path), why);
	if (!error)
		error = get_text(&doc, "gpu", gpu, sizeof(gpu), why);
	if (!error)
		error = get_text(&doc, "id", ret_id, API_ID_SIZE, why);
	if (error)
		return error;
	if (!path[0] == !gpu[0])
		return refuse(why, "the body has to have either path or gpu");
	return path[0] ? parse_path(path, ret_config, why)
		       : parse_slot(gpu, "gpu", gpu, ret_config, why);
}

int api_body_remove(const char *body, size_t len, char ret_id[API_ID_SIZE], char *ret_why,
		    size_t why_size)
{
	struct why why = {ret_why, why_size};
	jsmntok_t tokens[TOKENS_MAX];
	struct json_doc doc;
	int error = parse_object(body, len, tokens, &doc, why);

	if (!error)
		error = get_text(&doc, "id", ret_id, API_ID_SIZE, why);
	if (!error && !ret_id[0])
		error = refuse(why, "the body has to have id");
	return error;
}
