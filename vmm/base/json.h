/*
 * JSON as the program writes it: RFC 8259, without white space but between lines.
 */
#ifndef VMM_BASE_JSON_H
#define VMM_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/text.h"

/* Bytes that json_escape() makes of one character at most, and the NUL. */
#define JSON_ESCAPED_MAX 7

/*
 * The first character of `text` (not empty) as it stands in a JSON string: escaped where RFC 8259,
 * section 7 Strings, wants it; what is not UTF-8 (the name of a file may be anything) is U+FFFD.
 * Returns how many bytes of `text` that was.
 */
unsigned int json_escape(const char *text, char ret_escaped[JSON_ESCAPED_MAX]);

/* A value in the making. Starts as {.out = TEXT}; commas are its own business. */
struct json {
	struct text *out;
	bool follows; /* a value of the same object or array came before */
};

/* Each writes a value: under `key` inside an object, with `key` NULL inside an array and at the
 * outermost. Objects and arrays go on until their end. `value` NULL is null. */
void json_begin_object(struct json *json, const char *key);
void json_begin_array(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_end_array(struct json *json);
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);

#endif
