/*
 * JSON that others wrote, split by jsmn, and how its values are found. A value is named by the
 * number of its token; 0 is the outermost value, and also "none" where a member is looked for.
 */
#ifndef VMM_BASE_JSON_READ_H
#define VMM_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSMN_PARENT_LINKS
#define JSMN_STRICT
#ifndef JSON_READ_WITH_JSMN /* json_read.c alone has its functions */
#define JSMN_HEADER
#endif
#include <jsmn.h>

struct json_doc {
	const char *bytes; /* the caller's, needs no NUL */
	const jsmntok_t *token;
	unsigned int tokens;
};

/* Splits `len` bytes into at most `max` values, which are the caller's. 0; -EPROTO: not JSON, or
 * not all of one; -E2BIG: more values. */
int json_parse(const char *bytes, size_t len, jsmntok_t *tokens, unsigned int max,
	       struct json_doc *ret_doc);

/* The value of member `name` of the object `object`; 0: none, or it is no object. */
unsigned int json_member(const struct json_doc *doc, unsigned int object, const char *name);

/* The name of the member of `object` after the one whose name is at `name`, of the first with 0.
 * Its value is at the next number. 0: there are no more, or it is no object. */
unsigned int json_next_member(const struct json_doc *doc, unsigned int object, unsigned int name);

/* Element number `index` of the array `array`; 0: none, or it is no array. */
unsigned int json_element(const struct json_doc *doc, unsigned int array, unsigned int index);

/* The string at `at`, unescaped, with a NUL. False: it is none, holds U+0000, or needs more than
 * `size` bytes; then `ret_text` is "". */
bool json_get_string(const struct json_doc *doc, unsigned int at, char *ret_text, size_t size);

/* A whole number without sign, fraction or exponent; those beyond `max` are `max`. False: none. */
bool json_get_number(const struct json_doc *doc, unsigned int at, uint64_t max,
		     uint64_t *ret_number);

bool json_get_bool(const struct json_doc *doc, unsigned int at, bool *ret_bool);

#endif
