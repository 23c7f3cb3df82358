/*
 * The binding against what it stands for: the table of options, docs/config.md, the man page. Runs
 * in the project's folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/config.h"
#include "vmm/config_internal.h"
#include "vmm/options.h"

#define FILE_MAX 65536

static bool is_repeated(const struct config_node *node)
{
	return node->list && options_is_list(node->list);
}

/* The options that say what to do, not with what machine. */
static bool is_no_part_of_a_machine(const char *option)
{
	static const char *const names[] = {"config", "print-config", "help", "version"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], option))
			return true;
	return false;
}

static unsigned int count_properties(const char *option)
{
	unsigned int count = 0;

	for (const struct config_node *node = config_nodes; node->name; node++) {
		count += node->list && !strcmp(node->list, option);
		for (size_t i = 0; !node->list && node->property[i].name; i++)
			count += node->property[i].means &&
				 !strcmp(node->property[i].means, option);
	}
	return count;
}

static void test_binding_has_every_option_once(void **state)
{
	const char *option;

	(void)state;
	for (unsigned int i = 0; (option = options_name(i)); i++) {
		unsigned int expected = is_no_part_of_a_machine(option) ? 0 : 1;

		if (count_properties(option) != expected)
			fail_msg("--%s has %u properties, not %u: see vmm/config_binding.c",
				 option, count_properties(option), expected);
	}
}

static bool is_option(const char *name)
{
	unsigned int i = 0;

	while (options_name(i) && strcmp(options_name(i), name))
		i++;
	return options_name(i);
}

static void test_binding_means_options_that_there_are(void **state)
{
	(void)state;
	for (const struct config_node *node = config_nodes; node->name; node++) {
		size_t i = 0;

		assert_true(!node->list || is_option(node->list));
		assert_true(!node->list || !node->property[0].means);
		for (; node->property[i].name; i++)
			if (!node->list && node->property[i].type != CONFIG_COMPAT)
				assert_true(is_option(node->property[i].means));
		assert_in_range(i, 1, CONFIG_PROPERTIES_MAX);
	}
}

/* --- keys of options --- */

static const struct config_property *find_key(const struct config_node *node, const char *key,
					      size_t len)
{
	const struct config_property *property = node->property + 1;

	for (; property->name; property++)
		if (strlen(property->means) == len && !memcmp(property->means, key, len))
			return property;
	return NULL;
}

/* How each option names all its keys: in what it says to one that it does not have, after "there
 * are" or "there is". */
static const struct {
	const char *option, *wrong;
} lists[] = {
	{"gpu", "01:00.0,nosuchkey=1"},
	{"disk", "a.img,nosuchkey=1"},
	{"net", "tap=vm0,nosuchkey=1"},
	{"vhost-user", "fs,/run/a,nosuchkey=1"},
	{"memory", "512,nosuchkey"},
	{"cpus", "1,nosuchkey"},
	{"firmware", "uefi,nosuchkey=1"},
};

static const char *wrong_value(const char *option)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (!strcmp(lists[i].option, option))
			return lists[i].wrong;
	fail_msg("--%s: its keys are not tested; see lists[]", option);
	return NULL;
}

static void test_binding_has_every_key_of_a_list(void **state)
{
	(void)state;
	for (const struct config_node *node = config_nodes; node->name; node++) {
		struct options options = {.cpus = 1};
		unsigned int keys = 0, properties = 0;
		char why[512] = "";
		const char *key;

		if (!node->list)
			continue;
		assert_true(options_set(&options, node->list, wrong_value(node->list), why,
					sizeof(why)) < 0);
		key = strstr(why, "there ");
		assert_non_null(key);
		key += strlen("there ");
		key += strcspn(key, " ") + 1;
		for (; *key; keys++) {
			size_t len = strcspn(key, ", ");

			if (!find_key(node, key, len))
				fail_msg("--%s has key %.*s and /%s has no property for it",
					 node->list, (int)len, key, node->name);
			key += len;
			key += strspn(key, ", ");
		}
		while (node->property[properties + 1].name)
			properties++;
		assert_int_equal(keys, properties);
		options_finish(&options);
	}
}

/* --- what is written about it --- */

/* As the Devicetree Specification 0.4, 2.2.4 Properties, names them. */
static const char *type_name(enum config_type type)
{
	static const char *const names[] = {
		[CONFIG_COMPAT] = "string", [CONFIG_FLAG] = "empty",  [CONFIG_U32] = "u32",
		[CONFIG_STRING] = "string", [CONFIG_PATH] = "string", [CONFIG_SLOT] = "string",
		[CONFIG_TAIL] = "string",   [CONFIG_FIRMWARE] = "string",
	};

	return names[type];
}

static void read_file(const char *path, char ret_text[FILE_MAX])
{
	FILE *file = fopen(path, "r");
	size_t len;

	if (!file)
		fail_msg("%s cannot be opened", path);
	len = fread(ret_text, 1, FILE_MAX - 1, file);
	assert_in_range(len, 1, FILE_MAX - 2);
	ret_text[len] = '\0';
	fclose(file);
}

/* Of the machine with one slot of which nothing is said. */
static void print_defaults(struct text *text)
{
	char *argv[] = {(char[]){"minivmm"}, (char[]){"--gpu=01:00.0"}, (char[]){"--disk=a.img"},
			(char[]){"--net=tap=vm0"}, (char[]){"--vhost-user=block,/a"},
			(char[]){"--print-config"}, NULL};
	struct options options;
	char why[256];

	assert_int_equal(options_parse(6, argv, &options, why, sizeof(why)), 0);
	assert_int_equal(config_print(&options, text), 0);
	options_finish(&options);
}

/* What a node must have, besides its first property. */
static bool is_required(const struct config_node *node, const struct config_property *property)
{
	if (property->type == CONFIG_COMPAT || (is_repeated(node) && !property->means))
		return true;
	return !strcmp(node->name, "vhost-user") && !strcmp(property->name, "socket");
}

/* The value in what is printed, without what it is enclosed in. */
static void find_default(const char *printed, const struct config_node *node,
			 const struct config_property *property, char *ret_value, size_t size)
{
	char start[64];
	const char *at = printed, *end;

	snprintf(ret_value, size, "absent");
	if (is_required(node, property)) {
		snprintf(ret_value, size, "required");
		return;
	}
	if (*node->name) {
		snprintf(start, sizeof(start), "\n\t%s%s {\n", node->name,
			 is_repeated(node) ? "-0" : "");
		at = strstr(printed, start);
	}
	if (!at && node->list && !property->means)
		snprintf(ret_value, size, "required");
	if (!at)
		return;
	end = strstr(at, "\t};\n");
	snprintf(start, sizeof(start), "\t%s = ", property->name);
	at = strstr(at, start);
	if (!at || at > end)
		return;
	at += strlen(start) + 1;
	snprintf(ret_value, size, "%.*s", (int)strcspn(at, "\">"), at);
}

/* "| `count` | u32 | | 1 | `--cpus` |", what docs/config.md's row begins with */
static void format_row(const char *printed, const struct config_node *node,
		       const struct config_property *property, char *ret_row, size_t size)
{
	char preset[64], option[80] = "", unit[32] = "";

	find_default(printed, node, property, preset, sizeof(preset));
	if (node->list && property->means)
		snprintf(option, sizeof(option), "`--%s ...,%s%s` ", node->list, property->means,
			 property->type == CONFIG_FLAG ? "" : "=");
	else if (node->list || property->means)
		snprintf(option, sizeof(option), "`--%s` ",
			 node->list ? node->list : property->means);
	if (property->unit)
		snprintf(unit, sizeof(unit), "%s ", property->unit);
	snprintf(ret_row, size, "| `%s` | %s | %s| %s | %s| ", property->name,
		 type_name(property->type), unit, preset, option);
}

static unsigned int count_rows(const char *docs, const char *end)
{
	unsigned int count = 0;

	for (const char *row = docs; (row = strstr(row + 1, "\n| `")) && (!end || row < end);)
		count++;
	return count;
}

static const char *find_section(const char *docs, const char *fmt, const struct config_node *node)
{
	char heading[64];
	const char *section;

	snprintf(heading, sizeof(heading), fmt, node->name, is_repeated(node) ? ", /" : "",
		 is_repeated(node) ? node->name : "", is_repeated(node) ? "-NAME" : "");
	section = strstr(docs, heading);
	if (!section)
		fail_msg("there is no heading \"%s\"", heading);
	return section + 1;
}

static void test_binding_is_documented_row_by_row(void **state)
{
	static char docs[FILE_MAX];
	struct text printed = {0};
	unsigned int all = 0;

	(void)state;
	read_file("docs/config.md", docs);
	print_defaults(&printed);
	for (const struct config_node *node = config_nodes; node->name; node++) {
		const char *section = find_section(docs, is_repeated(node)
						   ? "\n### `/%s`%.0s%.0s%.0s, `/"
						   : "\n### `/%s`\n", node);
		unsigned int i = 0;

		for (; node->property[i].name; i++) {
			char row[256];
			const char *found;

			format_row(printed.bytes, node, &node->property[i], row, sizeof(row));
			found = strstr(section, row);
			if (!found || found > strstr(section, "\n#") + 1)
				fail_msg("docs/config.md, /%s: there is no \"%s\"", node->name,
					 row);
		}
		assert_int_equal(count_rows(section, strstr(section, "\n#")), i);
		all += i;
	}
	assert_int_equal(count_rows(docs, NULL), all); /* none of a node that there is not */
	text_finish(&printed);
}

static void test_binding_is_in_the_man_page(void **state)
{
	static char page[FILE_MAX];

	(void)state;
	read_file("docs/man/minivmm-config.5.scd", page);
	for (const struct config_node *node = config_nodes; node->name; node++) {
		const char *section = find_section(page, "\n## /%s%s%s%s\n", node);
		const char *end = strstr(section, "\n#");
		unsigned int i = 0, entries = 0;

		for (; node->property[i].name; i++) {
			char entry[64];
			const char *found;

			snprintf(entry, sizeof(entry), "\n*%s* (_%s_)\n\t", node->property[i].name,
				 type_name(node->property[i].type));
			found = strstr(section, entry);
			if (!found || found > end)
				fail_msg("the man page has no%s in /%s", entry, node->name);
		}
		for (const char *at = section; (at = strstr(at + 1, "* (_")) && at < end;)
			entries++;
		assert_int_equal(entries, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_binding_has_every_option_once),
		cmocka_unit_test(test_binding_means_options_that_there_are),
		cmocka_unit_test(test_binding_has_every_key_of_a_list),
		cmocka_unit_test(test_binding_is_documented_row_by_row),
		cmocka_unit_test(test_binding_is_in_the_man_page),
	};

	return cmocka_run_group_tests_name("config_binding", tests, NULL, NULL);
}
