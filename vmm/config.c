/*
 * The flattened device tree's reader, and the only user of libfdt. The tree is walked tag by tag,
 * because libfdt's functions that look something up find the first of two, and what they do not
 * find goes unseen: here everything that is in the file is either understood or an error.
 */
#include "vmm/config.h"

#include <errno.h>
#include <libfdt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/config_internal.h"
#include "vmm/options.h"

#define FDT_VERSION_MIN 17 /* what dtc writes; older ones say less of how long their parts are */
#define NAME_SHOWN 40      /* bytes of a name, in sentences */
#define WHY_MAX (PATH_MAX + 512) /* a value may be a path */

/* Of a property in the blob; `bytes` is NULL where it is not given. */
struct value {
	const char *bytes;
	int len;
};

struct reader {
	const void *blob;
	const char *path; /* of the file */
	struct options *options;
	unsigned int depth;
	int root; /* its offset; negative until it has come */
	const struct config_node *node; /* the one being read, NULL once its properties are over */
	const char *name;               /* its, in the blob */
	struct value value[CONFIG_PROPERTIES_MAX]; /* by its properties in config_nodes */
	char *ret_why;
	size_t why_size;
};

/* One line, whatever the blob has for names and values: what a terminal would not show, or obey,
 * becomes a question mark. -EINVAL. */
static int refuse(const struct reader *reader, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(const struct reader *reader, const char *fmt, ...)
{
	char problem[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(problem, sizeof(problem), fmt, ap);
	va_end(ap);
	text_make_printable(problem);
	snprintf(reader->ret_why, reader->why_size, "--config %s: %s", reader->path, problem);
	return -EINVAL;
}

static int refuse_damaged(const struct reader *reader, int fdt_error)
{
	return refuse(reader, "the device tree is damaged: %s", fdt_strerror(fdt_error));
}

static int refuse_memory(const struct reader *reader)
{
	refuse(reader, "out of memory");
	return -ENOMEM;
}

/* About the node being read. */
#define AT_NODE "/%.*s: "
#define NODE(reader) NAME_SHOWN, (reader)->name

/* --- values --- */

static bool is_string(const struct value *value)
{
	return value->len > 0 && memchr(value->bytes, 0, (size_t)value->len) ==
				 value->bytes + value->len - 1;
}

/* A path as it is meant in the file. */
static void add_path(const struct reader *reader, const char *path, struct text *text)
{
	const char *slash = strrchr(reader->path, '/');

	if (slash && *path != '/' && strcmp(path, "-"))
		text_add_bytes(text, reader->path, (size_t)(slash + 1 - reader->path));
	text_add(text, "%s", path);
}

static int add_u32(const struct reader *reader, const struct config_property *property,
		   const struct value *value, struct text *text)
{
	fdt32_t number;

	if (value->len != sizeof(number))
		return refuse(reader, AT_NODE "property \"%s\" has %d bytes and should be one "
			      "32-bit number%s%s, as in %s = <1>;", NODE(reader), property->name,
			      value->len, property->unit ? " of " : "",
			      property->unit ? property->unit : "", property->name);
	memcpy(&number, value->bytes, sizeof(number));
	text_add(text, "%u", fdt32_to_cpu(number));
	return 0;
}

static int add_string(const struct reader *reader, const struct config_property *property,
		      const struct value *value, struct text *text)
{
	size_t prefix = strlen(CONFIG_SOCKET_PREFIX), before = text->len;
	const char *string = value->bytes;

	if (!is_string(value))
		return refuse(reader, AT_NODE "property \"%s\" should be one string, as in "
			      "%s = \"...\";", NODE(reader), property->name, property->name);
	if ((property->type == CONFIG_PATH || property->type == CONFIG_FIRMWARE) && !*string)
		return refuse(reader, AT_NODE "property \"%s\" is empty and should be a path",
			      NODE(reader), property->name);
	if (property->type == CONFIG_SLOT && !strncmp(string, CONFIG_SOCKET_PREFIX, prefix)) {
		text_add(text, "%s", CONFIG_SOCKET_PREFIX);
		add_path(reader, string + prefix, text);
	} else if (property->type == CONFIG_PATH ||
		   (property->type == CONFIG_FIRMWARE && strcmp(string, CONFIG_UEFI) &&
		    strcmp(string, CONFIG_BIOS))) {
		add_path(reader, string, text);
	} else {
		text_add(text, "%s", string);
	}
	/* In the option's value a comma, also one of the folder, would begin the next key. */
	if (reader->node->list && property->type != CONFIG_TAIL && !text->failed &&
	    strchr(text->bytes + before, ','))
		return refuse(reader, AT_NODE "property \"%s\" has a comma (\"%s\"), and a value "
			      "of --%s cannot", NODE(reader), property->name,
			      text->bytes + before, reader->node->list);
	return 0;
}

static int check_compatible(const struct reader *reader, const struct value *value)
{
	if (value->len == sizeof(CONFIG_COMPATIBLE) &&
	    !memcmp(value->bytes, CONFIG_COMPATIBLE, sizeof(CONFIG_COMPATIBLE)))
		return 0;
	return refuse(reader, AT_NODE "property \"compatible\" is not \"" CONFIG_COMPATIBLE "\": "
		      "this describes no machine of minivmm's", NODE(reader));
}

/* Appends what the command line would have for the value. */
static int add_value(const struct reader *reader, const struct config_property *property,
		     const struct value *value, struct text *text)
{
	switch (property->type) {
	case CONFIG_COMPAT:
		return check_compatible(reader, value);
	case CONFIG_FLAG:
		if (!value->len)
			return 0;
		return refuse(reader, AT_NODE "property \"%s\" has a value and should have none: "
			      "it is there or it is not", NODE(reader), property->name);
	case CONFIG_U32:
		return add_u32(reader, property, value, text);
	default:
		return add_string(reader, property, value, text);
	}
}

/* --- a node, once all its properties are known --- */

static int set(const struct reader *reader, const char *property, const char *option,
	       const char *value)
{
	char why[WHY_MAX];
	int error = options_set(reader->options, option, value, why, sizeof(why));

	if (error && property)
		refuse(reader, AT_NODE "property \"%s\": %s", NODE(reader), property, why);
	else if (error)
		refuse(reader, AT_NODE "%s", NODE(reader), why);
	return error;
}

static int apply_property(const struct reader *reader, const struct config_property *property,
			  const struct value *value)
{
	struct text text = {0};
	int error = add_value(reader, property, value, &text);

	if (!error && text.failed)
		error = refuse_memory(reader);
	if (!error && property->means)
		error = set(reader, property->name, property->means,
			    property->type == CONFIG_FLAG ? NULL : text.bytes);
	text_finish(&text);
	return error;
}

static int apply_single(const struct reader *reader)
{
	const struct config_property *property = reader->node->property;
	int error = 0;

	for (size_t i = 0; property[i].name && !error; i++) {
		if (reader->value[i].bytes)
			error = apply_property(reader, &property[i], &reader->value[i]);
		else if (property[i].type == CONFIG_COMPAT)
			error = refuse(reader, AT_NODE "property \"compatible\" is missing; it is "
				       "\"" CONFIG_COMPATIBLE "\"", NODE(reader));
	}
	return error;
}

/* What the option has without being set, up to its keys. False: it has nothing. */
static bool add_default(const struct reader *reader, struct text *text)
{
	if (options_is_list(reader->node->list) ||
	    !options_get(reader->options, reader->node->list, 0, text))
		return false;
	if (!text->failed)
		text->len = strcspn(text->bytes, ",");
	return true;
}

/* "01:00.0,power=d3cold,..." from the properties, in the order of the binding. */
static int add_list_value(const struct reader *reader, struct text *text)
{
	const struct config_property *property = reader->node->property;
	int error = 0;

	if (!reader->value[0].bytes && !add_default(reader, text))
		return refuse(reader, AT_NODE "property \"%s\" is missing", NODE(reader),
			      property[0].name);
	for (size_t i = 0; property[i].name && !error; i++) {
		if (!reader->value[i].bytes)
			continue;
		if (property[i].means)
			text_add(text, ",%s%s", property[i].means,
				 property[i].type == CONFIG_FLAG ? "" : "=");
		error = add_value(reader, &property[i], &reader->value[i], text);
	}
	return error;
}

static int apply_list(const struct reader *reader)
{
	struct text text = {0};
	int error = add_list_value(reader, &text);

	if (!error && text.failed)
		error = refuse_memory(reader);
	if (!error)
		error = set(reader, NULL, reader->node->list, text.bytes);
	text_finish(&text);
	return error;
}

/* Properties come before nodes, so the first node below, too, ends them. */
static int end_properties(struct reader *reader)
{
	int error = 0;

	if (reader->node)
		error = reader->node->list ? apply_list(reader) : apply_single(reader);
	reader->node = NULL;
	return error;
}

/* --- the walk --- */

/* What a node or a property could have been. */
static void add_names(struct text *text, bool *first, const char *name, const char *more)
{
	text_add(text, "%s%s%s", *first ? "" : ", ", name, more);
	*first = false;
}

static int refuse_unknown_node(const struct reader *reader, const char *name)
{
	struct text names = {0};
	bool first = true;
	int error;

	for (const struct config_node *node = config_nodes + 1; node->name; node++) {
		add_names(&names, &first, node->name, "");
		if (node->list && options_is_list(node->list))
			add_names(&names, &first, node->name, "-NAME");
	}
	error = refuse(reader, "node /%.*s is unknown; there are %s", NAME_SHOWN, name,
		       names.failed ? "others" : names.bytes);
	text_finish(&names);
	return error;
}

static int refuse_unknown_property(const struct reader *reader, const char *name)
{
	const struct config_property *property = reader->node->property;
	struct text names = {0};
	bool first = true;
	int error;

	for (size_t i = 0; property[i].name; i++)
		add_names(&names, &first, property[i].name, "");
	error = refuse(reader, AT_NODE "property \"%.*s\" is unknown; there %s %s", NODE(reader),
		       NAME_SHOWN, name, property[1].name ? "are" : "is",
		       names.failed ? "others" : names.bytes);
	text_finish(&names);
	return error;
}

static bool is_node(const struct config_node *node, const char *name)
{
	size_t len = strlen(node->name);

	if (!strcmp(node->name, name))
		return true;
	return node->list && options_is_list(node->list) && !strncmp(node->name, name, len) &&
	       name[len] == '-' && name[len + 1] && !strchr(name, '@');
}

static int open_node(struct reader *reader, const struct config_node *node, const char *name)
{
	reader->node = node;
	reader->name = name;
	memset(reader->value, 0, sizeof(reader->value));
	return 0;
}

static int begin_node(struct reader *reader, int off)
{
	const struct config_node *node = config_nodes + 1;
	int len, error = end_properties(reader);
	const char *name = fdt_get_name(reader->blob, off, &len);

	if (error)
		return error;
	if (!name)
		return refuse_damaged(reader, len);
	if (reader->depth++ == 0) {
		if (*name || reader->root >= 0)
			return refuse(reader, "the device tree has no root, or more than one");
		reader->root = off;
		return open_node(reader, config_nodes, name);
	}
	if (reader->depth > 2)
		return refuse(reader, "node /%.*s/%.*s is unknown; there are none below /%.*s",
			      NODE(reader), NAME_SHOWN, name, NODE(reader));
	while (node->name && !is_node(node, name))
		node++;
	if (!node->name)
		return refuse_unknown_node(reader, name);
	if (fdt_subnode_offset(reader->blob, reader->root, name) != off)
		return refuse(reader, "node /%.*s is there twice", NAME_SHOWN, name);
	return open_node(reader, node, name);
}

static int take_property(struct reader *reader, int off)
{
	const struct config_property *property;
	const char *name;
	struct value value, *known;

	value.bytes = fdt_getprop_by_offset(reader->blob, off, &name, &value.len);
	if (!value.bytes)
		return refuse_damaged(reader, value.len);
	/* Devicetree Specification 0.4, 5.4.2 Tree structure: properties, then nodes. */
	if (!reader->node)
		return refuse(reader, "property \"%.*s\" stands behind a node", NAME_SHOWN, name);
	property = reader->node->property;
	while (property->name && strcmp(property->name, name))
		property++;
	if (!property->name)
		return refuse_unknown_property(reader, name);
	known = &reader->value[property - reader->node->property];
	if (known->bytes)
		return refuse(reader, AT_NODE "property \"%s\" is there twice", NODE(reader), name);
	*known = value;
	return 0;
}

static int take_tag(struct reader *reader, uint32_t tag, int off)
{
	switch (tag) {
	case FDT_BEGIN_NODE:
		return begin_node(reader, off);
	case FDT_END_NODE:
		reader->depth--;
		return end_properties(reader);
	case FDT_PROP:
		return take_property(reader, off);
	default:
		return 0;
	}
}

static int walk(struct reader *reader)
{
	int off, next = 0, error = 0;
	uint32_t tag;

	do {
		off = next;
		tag = fdt_next_tag(reader->blob, off, &next);
		error = next < 0 ? refuse_damaged(reader, next) : take_tag(reader, tag, off);
	} while (!error && tag != FDT_END);
	if (!error && reader->root < 0)
		error = refuse(reader, "the device tree is empty");
	return error;
}

/* What libfdt's functions rely on. fdt_check_full() itself (1.6.1) relies on a little: it follows a
 * NULL pointer in some trees of older versions, and takes blocks that are not aligned as Devicetree
 * Specification 0.4, 5.6 Alignment, has it. */
static int check_blob(const struct reader *reader, size_t size)
{
	const struct fdt_header *header = reader->blob;
	int error;

	if (size < sizeof(*header))
		return refuse_damaged(reader, -FDT_ERR_TRUNCATED);
	if (fdt_version(header) < FDT_VERSION_MIN)
		return refuse(reader, "the device tree has version %u; from %u on it can be read",
			      fdt_version(header), FDT_VERSION_MIN);
	if (fdt_off_dt_struct(header) % FDT_TAGSIZE ||
	    fdt_off_mem_rsvmap(header) % sizeof(fdt64_t))
		return refuse(reader, "the device tree is damaged: a block is not aligned");
	error = fdt_check_full(header, size);
	if (error)
		return refuse_damaged(reader, error);
	if (fdt_totalsize(header) != size)
		return refuse(reader, "the device tree has %u bytes and the file %zu",
			      fdt_totalsize(header), size);
	if (fdt_num_mem_rsv(header))
		return refuse(reader, "/memreserve/ means nothing here: where the guest's memory "
			      "is, minivmm decides");
	return 0;
}

int config_apply(const void *blob, size_t size, const char *path, struct options *options,
		 char *ret_why, size_t why_size)
{
	struct reader reader = {
		.blob = blob, .path = path, .options = options, .root = -1, .name = "",
		.ret_why = ret_why, .why_size = why_size};
	int error = check_blob(&reader, size);

	return error ? error : walk(&reader);
}
