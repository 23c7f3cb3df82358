/*
 * --print-config: the machine as source. The values are those that the options would have on a
 * command line, taken apart again by the binding.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/text.h"
#include "vmm/config.h"
#include "vmm/config_internal.h"
#include "vmm/options.h"

struct printer {
	const struct options *options;
	struct text *out;
	char cwd[PATH_MAX];
};

/* Devicetree Specification 0.4, 6.3 Node and property definitions: escapes as in C, where \x takes
 * at most two digits. */
static void print_escaped(struct text *out, const char *at, const char *end)
{
	for (; at < end; at++) {
		unsigned char c = (unsigned char)*at;

		if (c == '"' || c == '\\')
			text_add(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			text_add(out, "\\x%02x", c);
		else
			text_add_bytes(out, at, 1);
	}
}

static bool is_word(const char *word, const char *at, const char *end)
{
	return strlen(word) == (size_t)(end - at) && !memcmp(word, at, strlen(word));
}

static bool is_path(enum config_type type, const char *at, const char *end)
{
	if (type == CONFIG_FIRMWARE)
		return !is_word(CONFIG_UEFI, at, end) && !is_word(CONFIG_BIOS, at, end);
	return type == CONFIG_PATH && !is_word("-", at, end);
}

/* A relative path is one of the current folder here, and would be one of the config's there. */
static void print_string(const struct printer *printer, enum config_type type, const char *at,
			 const char *end)
{
	size_t prefix = strlen(CONFIG_SOCKET_PREFIX);
	bool has_path = is_path(type, at, end);

	text_add(printer->out, "\"");
	if (type == CONFIG_SLOT && !strncmp(at, CONFIG_SOCKET_PREFIX, prefix)) {
		text_add(printer->out, "%s", CONFIG_SOCKET_PREFIX);
		at += prefix;
		has_path = true;
	}
	if (has_path && *at != '/') {
		print_escaped(printer->out, printer->cwd, strchr(printer->cwd, 0));
		text_add(printer->out, "/");
	}
	print_escaped(printer->out, at, end);
	text_add(printer->out, "\"");
}

static void print_property(const struct printer *printer, const struct config_property *property,
			   const char *indent, const char *at, const char *end)
{
	text_add(printer->out, "%s%s", indent, property->name);
	if (property->type != CONFIG_FLAG)
		text_add(printer->out, " = ");
	if (property->type == CONFIG_U32)
		text_add(printer->out, "<%.*s>", (int)(end - at), at);
	else if (property->type != CONFIG_FLAG)
		print_string(printer, property->type, at, end);
	text_add(printer->out, ";\n");
}

static void begin_node(const struct printer *printer, const struct config_node *node,
		       unsigned int index)
{
	text_add(printer->out, "\n\t%s", node->name);
	if (node->list && options_is_list(node->list))
		text_add(printer->out, "-%u", index);
	text_add(printer->out, " {\n");
}

/* --- nodes whose properties are options --- */

static void print_single(const struct printer *printer, const struct config_node *node)
{
	const struct config_property *property = node->property;
	bool is_root = !*node->name, is_open = is_root;
	struct text value = {0};

	for (; property->name; property++) {
		value.len = 0;
		text_add_bytes(&value, "", 0); /* terminated, also when it is empty */
		if (property->type == CONFIG_COMPAT)
			text_add(&value, "%s", CONFIG_COMPATIBLE);
		else if (!options_get(printer->options, property->means, 0, &value))
			continue;
		if (value.failed)
			break;
		if (!is_open)
			begin_node(printer, node, 0);
		is_open = true;
		print_property(printer, property, is_root ? "\t" : "\t\t", value.bytes,
			       value.bytes + value.len);
	}
	if (is_open && !is_root)
		text_add(printer->out, "\t};\n");
	printer->out->failed |= value.failed;
	text_finish(&value);
}

/* --- nodes that are one value of an option --- */

static const struct config_property *find_key(const struct config_node *node, const char *key,
					      size_t len)
{
	const struct config_property *property = node->property + 1;

	while (property->name && (strlen(property->means) != len ||
				  memcmp(property->means, key, len)))
		property++;
	assert(property->name); /* tests/vmm/test_config_binding.c */
	return property;
}

/* "FIRST,key=value,flag" */
static void print_list_value(const struct printer *printer, const struct config_node *node,
			     const char *at)
{
	const char *end = strchrnul(at, ',');

	print_property(printer, node->property, "\t\t", at, end);
	while (*end) {
		const struct config_property *property;
		size_t key;

		at = end + 1;
		key = strcspn(at, "=,");
		property = find_key(node, at, key);
		end = strchrnul(at, property->type == CONFIG_TAIL ? '\0' : ',');
		print_property(printer, property, "\t\t", at + key + (at[key] == '='), end);
	}
}

static void print_list(const struct printer *printer, const struct config_node *node)
{
	struct text value = {0};

	for (unsigned int i = 0; options_get(printer->options, node->list, i, &value); i++) {
		if (value.failed)
			break;
		begin_node(printer, node, i);
		print_list_value(printer, node, value.bytes);
		text_add(printer->out, "\t};\n");
		value.len = 0;
	}
	printer->out->failed |= value.failed;
	text_finish(&value);
}

int config_print(const struct options *options, struct text *ret_text)
{
	struct printer printer = {.options = options, .out = ret_text};

	if (!getcwd(printer.cwd, sizeof(printer.cwd)))
		return -errno;
	text_add(ret_text, "/dts-v1/;\n\n/ {\n");
	for (const struct config_node *node = config_nodes; node->name; node++)
		if (node->list)
			print_list(&printer, node);
		else
			print_single(&printer, node);
	text_add(ret_text, "};\n");
	return ret_text->failed ? -ENOMEM : 0;
}
