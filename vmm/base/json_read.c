#define JSON_READ_WITH_JSMN
#define JSMN_STATIC
#include "vmm/base/json_read.h"

#include <errno.h>
#include <string.h>

#define UTF16_HIGH 0xd800U /* first of the high surrogates, of the low ones, and after these */
#define UTF16_LOW 0xdc00U
#define UTF16_END 0xe000U

/* RFC 8259, section 7 Strings: control characters are escaped; and between tokens, of them all, are
 * only these (section 2 JSON Grammar). jsmn takes any, which a terminal would obey. */
static bool has_control(const char *bytes, size_t len)
{
	for (; len; len--, bytes++)
		if ((unsigned char)*bytes < ' ' && *bytes != '\t' && *bytes != '\n' &&
		    *bytes != '\r')
			return true;
	return false;
}

int json_parse(const char *bytes, size_t len, jsmntok_t *tokens, unsigned int max,
	       struct json_doc *ret_doc)
{
	jsmn_parser parser;
	int count;

	jsmn_init(&parser);
	count = jsmn_parse(&parser, bytes, len, tokens, max);
	if (count == JSMN_ERROR_NOMEM)
		return -E2BIG;
	if (count < 1 || has_control(bytes, len) ||
	    (tokens[0].type != JSMN_OBJECT && tokens[0].type != JSMN_ARRAY))
		return -EPROTO;
	*ret_doc = (struct json_doc){bytes, tokens, (unsigned int)count};
	return 0;
}

static bool is(const struct json_doc *doc, unsigned int at, jsmntype_t type)
{
	return at < doc->tokens && doc->token[at].type == type;
}

static bool reads(const struct json_doc *doc, unsigned int at, const char *text)
{
	size_t len = (size_t)(doc->token[at].end - doc->token[at].start);

	return strlen(text) == len && !memcmp(doc->bytes + doc->token[at].start, text, len);
}

unsigned int json_member(const struct json_doc *doc, unsigned int object, const char *name)
{
	if (!is(doc, object, JSMN_OBJECT))
		return 0;
	for (unsigned int i = object + 1; i + 1 < doc->tokens; i++)
		if (doc->token[i].parent == (int)object && doc->token[i].type == JSMN_STRING &&
		    doc->token[i + 1].parent == (int)i && reads(doc, i, name))
			return i + 1;
	return 0;
}

unsigned int json_next_member(const struct json_doc *doc, unsigned int object, unsigned int name)
{
	if (!is(doc, object, JSMN_OBJECT))
		return 0;
	for (unsigned int i = (name ? name : object) + 1; i + 1 < doc->tokens; i++)
		if (doc->token[i].parent == (int)object && doc->token[i].type == JSMN_STRING &&
		    doc->token[i + 1].parent == (int)i)
			return i;
	return 0;
}

unsigned int json_element(const struct json_doc *doc, unsigned int array, unsigned int index)
{
	if (!is(doc, array, JSMN_ARRAY))
		return 0;
	for (unsigned int i = array + 1; i < doc->tokens; i++)
		if (doc->token[i].parent == (int)array && !index--)
			return i;
	return 0;
}

/* --- strings: RFC 8259, section 7 Strings --- */

struct reader {
	const char *at, *end;
};

static bool read_hex4(struct reader *reader, unsigned int *ret_unit)
{
	unsigned int unit = 0;

	if (reader->end - reader->at < 4)
		return false;
	for (unsigned int i = 0; i < 4; i++) {
		char c = *reader->at++;
		unsigned int digit = c >= '0' && c <= '9' ? (unsigned int)(c - '0')
				   : c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10
				   : c >= 'A' && c <= 'F' ? (unsigned int)(c - 'A') + 10 : 16;

		if (digit > 15)
			return false;
		unit = unit << 4 | digit;
	}
	*ret_unit = unit;
	return true;
}

/* After "\\u"; halves of a pair that stand alone become U+FFFD. */
static bool read_unicode(struct reader *reader, unsigned int *ret_code)
{
	unsigned int code, low;

	if (!read_hex4(reader, &code))
		return false;
	if (code >= UTF16_HIGH && code < UTF16_END) {
		struct reader next = *reader;

		if (code < UTF16_LOW && next.end - next.at >= 6 && next.at[0] == '\\' &&
		    next.at[1] == 'u') {
			next.at += 2;
			if (read_hex4(&next, &low) && low >= UTF16_LOW && low < UTF16_END) {
				*reader = next;
				*ret_code = 0x10000 + ((code - UTF16_HIGH) << 10) +
					    (low - UTF16_LOW);
				return true;
			}
		}
		code = 0xfffd;
	}
	*ret_code = code;
	return true;
}

/* Bytes of `code` in UTF-8. */
static unsigned int put_utf8(unsigned int code, char bytes[4])
{
	unsigned int len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (unsigned int i = len; i-- > 1; code >>= 6)
		bytes[i] = (char)(0x80 | (code & 0x3f));
	bytes[0] = (char)(first[len] | code);
	return len;
}

/* The next character of a string, as its bytes; 0: it is none. */
static unsigned int read_character(struct reader *reader, char bytes[4])
{
	static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *escape;
	unsigned int code;

	bytes[0] = *reader->at++;
	if (bytes[0] != '\\')
		return bytes[0] ? 1 : 0;
	if (reader->at == reader->end)
		return 0;
	bytes[0] = *reader->at++;
	if (bytes[0] == 'u')
		return read_unicode(reader, &code) && code ? put_utf8(code, bytes) : 0;
	escape = bytes[0] ? strchr(escapes, bytes[0]) : NULL;
	if (!escape)
		return 0;
	bytes[0] = meant[escape - escapes];
	return 1;
}

bool json_get_string(const struct json_doc *doc, unsigned int at, char *ret_text, size_t size)
{
	struct reader reader;
	size_t used = 0;

	ret_text[0] = '\0';
	if (!is(doc, at, JSMN_STRING))
		return false;
	reader = (struct reader){doc->bytes + doc->token[at].start,
				 doc->bytes + doc->token[at].end};
	while (reader.at < reader.end) {
		char bytes[4];
		unsigned int len = read_character(&reader, bytes);

		if (!len || used + len >= size) {
			ret_text[0] = '\0';
			return false;
		}
		memcpy(ret_text + used, bytes, len);
		used += len;
	}
	ret_text[used] = '\0';
	return true;
}

/* --- others --- */

bool json_get_number(const struct json_doc *doc, unsigned int at, uint64_t max,
		     uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!is(doc, at, JSMN_PRIMITIVE) || doc->token[at].start == doc->token[at].end)
		return false;
	for (int i = doc->token[at].start; i < doc->token[at].end; i++) {
		unsigned int digit = (unsigned int)(doc->bytes[i] - '0');

		if (digit > 9)
			return false;
		number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
	}
	if (number > max)
		number = max;
	*ret_number = number;
	return true;
}

bool json_get_bool(const struct json_doc *doc, unsigned int at, bool *ret_bool)
{
	if (!is(doc, at, JSMN_PRIMITIVE) || !(reads(doc, at, "true") || reads(doc, at, "false")))
		return false;
	*ret_bool = reads(doc, at, "true");
	return true;
}
