/*
 * The user's file of quirks; its form is in vfio/quirks.h. Read whole, then cut up in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio/quirks.h"
#include "vfio/quirks_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

#define FILE_MAX MIB
#define REASON_MAX 160U
#define SHOWN_MAX 40 /* bytes of a word, in sentences */
#define CLASS_DIGITS 6U

struct word {
	char *text; /* not terminated */
	size_t len;
};

struct parser {
	const char *path;
	unsigned int line;
	char *at, *end; /* what is left of the line */
	char *ret_why;
	size_t why_size;
};

/* Says what is wrong with the present line; -EINVAL. Bytes that a terminal would not show, or obey,
 * are question marks: a byte order mark, escape sequences. */
static int wrong(const struct parser *parser, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(const struct parser *parser, const char *fmt, ...)
{
	char problem[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(problem, sizeof(problem), fmt, ap);
	va_end(ap);
	text_make_printable(problem);
	snprintf(parser->ret_why, parser->why_size, "--quirks %s: line %u: %s", parser->path,
		 parser->line, problem);
	return -EINVAL;
}

static int shown(struct word word)
{
	return word.len < SHOWN_MAX ? (int)word.len : SHOWN_MAX;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Skips blanks; false when nothing but a comment is left of the line. */
static bool has_more(struct parser *parser)
{
	while (parser->at < parser->end && is_blank(*parser->at))
		parser->at++;
	return parser->at < parser->end && *parser->at != '#';
}

/* Up to the next blank or the end of the line. */
static struct word take_word(struct parser *parser)
{
	struct word word = {.text = parser->at};

	while (parser->at < parser->end && !is_blank(*parser->at))
		parser->at++;
	word.len = (size_t)(parser->at - word.text);
	return word;
}

/* The part of `word` before the first `separator`, which is dropped; all of it without one. */
static struct word take_part(struct word *word, char separator)
{
	struct word part = *word;
	char *found = memchr(word->text, separator, word->len);

	if (!found) {
		word->text += word->len;
		word->len = 0;
		return part;
	}
	part.len = (size_t)(found - word->text);
	word->text += part.len + 1;
	word->len -= part.len + 1;
	return part;
}

static bool is_any(struct word word)
{
	return word.len == 1 && *word.text == '*';
}

/* Hexadecimal digits and nothing else. */
static bool parse_hex(struct word word, uint32_t *ret_value)
{
	uint32_t value = 0;

	for (size_t i = 0; i < word.len; i++) {
		char c = word.text[i];
		int digit = c >= '0' && c <= '9' ? c - '0'
			  : c >= 'a' && c <= 'f' ? c - 'a' + 10
			  : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (digit < 0)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*ret_value = value;
	return true;
}

static bool parse_class(struct word word, struct quirk_rule *rule)
{
	unsigned int rest = 4 * (CLASS_DIGITS - (unsigned int)word.len); /* bits not given */
	uint32_t class;

	if (word.len != 2 && word.len != 4 && word.len != CLASS_DIGITS)
		return false;
	if (!parse_hex(word, &class))
		return false;
	rule->class = class << rest;
	rule->class_mask = 0xffffff >> rest << rest;
	return true;
}

/* VENDOR:DEVICE[:CLASS]. Vendor 0 would mean any, and no device has it. */
static bool parse_id(struct word word, struct quirk_rule *rule)
{
	bool has_class = word.len && memchr(word.text, ':', word.len) !=
			 memrchr(word.text, ':', word.len);
	struct word vendor = take_part(&word, ':');
	struct word device = take_part(&word, ':');
	uint32_t number;

	if (!is_any(vendor)) {
		if (vendor.len != 4 || !parse_hex(vendor, &number) || !number)
			return false;
		rule->vendor = (uint16_t)number;
	}
	rule->device_last = 0xffff;
	if (!is_any(device)) {
		if (device.len != 4 || !parse_hex(device, &number))
			return false;
		rule->device = rule->device_last = (uint16_t)number;
	}
	return has_class ? is_any(word) || parse_class(word, rule) : !word.len;
}

static int parse_external(const struct parser *parser, struct word value, struct quirk_rule *rule)
{
	if (value.len != 3 || memcmp(value.text, "yes", 3))
		return wrong(parser, "external takes yes, not \"%.*s\"", shown(value), value.text);
	rule->external = true;
	return 0;
}

/* KEY=VALUE */
static int parse_pair(const struct parser *parser, struct word value, struct quirk_rule *rule)
{
	struct word key = take_part(&value, '=');
	int index = policy_key_find(key.text, key.len);
	int word;

	if (key.len == strlen("external") && !memcmp(key.text, "external", key.len))
		return parse_external(parser, value, rule);
	if (index < 0)
		return wrong(parser, "no key \"%.*s\"; there are power, reentry, reset and "
			     "external, then the reason in \"quotes\"", shown(key), key.text);
	word = policy_word_find((enum policy_key)index, value.text, value.len);
	if (word < 0)
		return wrong(parser, "%s takes %s, not \"%.*s\"", policy_words[index].key,
			     policy_words[index].takes, shown(value), value.text);
	if (rule->word[index])
		return wrong(parser, "%s is given twice", policy_words[index].key);
	rule->word[index] = word ? word : QUIRK_TAKEN_BACK;
	return 0;
}

/* "REASON": printable ASCII, as it goes to the terminal and to the event log. */
static int parse_reason(struct parser *parser, struct quirk_rule *rule)
{
	char *start = parser->at + 1;
	char *quote = memchr(start, '"', (size_t)(parser->end - start));

	if (!quote)
		return wrong(parser, "the reason has no closing quote");
	if (quote == start || quote - start > (ptrdiff_t)REASON_MAX)
		return wrong(parser, "the reason has not 1 to %u characters", REASON_MAX);
	for (const char *c = start; c < quote; c++)
		if (*c < ' ' || *c > '~')
			return wrong(parser, "the reason has a character that is not printable "
				     "ASCII");
	*quote = '\0';
	rule->reason = start;
	parser->at = quote + 1;
	if (has_more(parser))
		return wrong(parser, "nothing but a comment may follow the reason");
	return 0;
}

static int parse_rule(struct parser *parser, struct quirk_rule *rule)
{
	struct word id = take_word(parser);
	bool says = false;
	int error = 0;

	if (!parse_id(id, rule))
		return wrong(parser, "\"%.*s\" is not VENDOR:DEVICE or VENDOR:DEVICE:CLASS, as in "
			     "10de:1b38 or 1002:*:03", shown(id), id.text);
	while (!error && has_more(parser) && *parser->at != '"')
		error = parse_pair(parser, take_word(parser), rule);
	if (error)
		return error;
	for (unsigned int key = 0; key < POLICY_KEYS; key++)
		says |= rule->word[key] != 0;
	if (!says)
		return wrong(parser, "none of power, reentry and reset is given");
	if (!has_more(parser))
		return wrong(parser, "a reason in quotes is missing at the end");
	return parse_reason(parser, rule);
}

static struct quirk_rule *add_rule(struct quirk_rules *rules)
{
	size_t size = (rules->count + 1) * sizeof(*rules->rule);
	struct quirk_rule *grown = realloc(rules->rule, size);

	if (!grown)
		return NULL;
	rules->rule = grown;
	grown += rules->count++;
	*grown = (struct quirk_rule) {.vendor = 0};
	return grown;
}

static int parse(struct parser *parser, struct quirk_rules *rules, char *end)
{
	char *next = rules->text;
	int error = 0;

	while (next < end && !error) {
		struct quirk_rule *rule;
		char *newline = memchr(next, '\n', (size_t)(end - next));

		parser->line++;
		parser->at = next;
		parser->end = newline ? newline : end;
		next = newline ? newline + 1 : end;
		if (!has_more(parser))
			continue;
		rule = add_rule(rules);
		error = rule ? parse_rule(parser, rule) : -ENOMEM;
	}
	return error;
}

/* Bytes read, or negative errno. One byte more than is allowed is asked for. */
static ssize_t read_all(const char *path, char *buffer)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t got = 1;

	if (fd < 0)
		return -errno;
	while (got && len <= FILE_MAX) {
		got = read(fd, buffer + len, FILE_MAX + 1 - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		len += (size_t)got;
	}
	got = got < 0 ? -errno : len > FILE_MAX ? -EFBIG : (ssize_t)len;
	close(fd);
	return got;
}

static int explain(const char *path, int error, char *ret_why, size_t why_size)
{
	snprintf(ret_why, why_size, "--quirks %s: %s", path,
		 error == -EFBIG ? "more than 1 MiB" : strerror(-error));
	return error;
}

int quirks_file_read(const char *path, struct quirk_rules *ret_rules, char *ret_why,
		     size_t why_size)
{
	struct parser parser = {.path = path, .ret_why = ret_why, .why_size = why_size};
	ssize_t len;
	int error;

	ret_rules->text = malloc(FILE_MAX + 1);
	len = ret_rules->text ? read_all(path, ret_rules->text) : -ENOMEM;
	if (len < 0)
		return explain(path, (int)len, ret_why, why_size);
	error = parse(&parser, ret_rules, ret_rules->text + len);
	return error == -ENOMEM ? explain(path, error, ret_why, why_size) : error;
}
