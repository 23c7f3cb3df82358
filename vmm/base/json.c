#include "vmm/base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"

/* Bytes of the UTF-8 character at `text`, 0 when there is none (Unicode 15.0, table 3-7). */
static unsigned int utf8_length(const char *text)
{
	static const struct {
		uint8_t first, last; /* byte 0 */
		uint8_t low, high;   /* byte 1; those after it are 0x80 to 0xbf */
		unsigned int len;
	} forms[] = {
		{0x01, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	const uint8_t *byte = (const uint8_t *)text;
	unsigned int form = 0;

	while (form < ARRAY_SIZE(forms) && byte[0] > forms[form].last)
		form++;
	if (form == ARRAY_SIZE(forms) || byte[0] < forms[form].first)
		return 0;
	if (forms[form].len > 1 && (byte[1] < forms[form].low || byte[1] > forms[form].high))
		return 0;
	for (unsigned int i = 2; i < forms[form].len; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	return forms[form].len;
}

unsigned int json_escape(const char *text, char ret_escaped[JSON_ESCAPED_MAX])
{
	unsigned int len = utf8_length(text);

	if (*text == '"' || *text == '\\')
		snprintf(ret_escaped, JSON_ESCAPED_MAX, "\\%c", *text);
	else if ((unsigned char)*text < 0x20)
		snprintf(ret_escaped, JSON_ESCAPED_MAX, "\\u%04x", (unsigned int)*text);
	else if (len)
		snprintf(ret_escaped, JSON_ESCAPED_MAX, "%.*s", (int)len, text);
	else
		snprintf(ret_escaped, JSON_ESCAPED_MAX, "\\ufffd");
	return len ? len : 1;
}

static void put_string(struct text *out, const char *value)
{
	char escaped[JSON_ESCAPED_MAX];

	text_add_bytes(out, "\"", 1);
	while (*value) {
		value += json_escape(value, escaped);
		text_add_bytes(out, escaped, strlen(escaped));
	}
	text_add_bytes(out, "\"", 1);
}

/* What stands before a value. */
static void begin(struct json *json, const char *key)
{
	if (json->follows)
		text_add_bytes(json->out, ",", 1);
	if (key) {
		put_string(json->out, key);
		text_add_bytes(json->out, ":", 1);
	}
	json->follows = true;
}

static void open_with(struct json *json, const char *key, const char *bracket)
{
	begin(json, key);
	text_add_bytes(json->out, bracket, 1);
	json->follows = false;
}

static void close_with(struct json *json, const char *bracket)
{
	text_add_bytes(json->out, bracket, 1);
	json->follows = true;
}

void json_begin_object(struct json *json, const char *key)
{
	open_with(json, key, "{");
}

void json_begin_array(struct json *json, const char *key)
{
	open_with(json, key, "[");
}

void json_end_object(struct json *json)
{
	close_with(json, "}");
}

void json_end_array(struct json *json)
{
	close_with(json, "]");
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin(json, key);
	if (value)
		put_string(json->out, value);
	else
		text_add(json->out, "null");
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	begin(json, key);
	text_add(json->out, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	text_add(json->out, value ? "true" : "false");
}
