#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/json.h"
#include "vmm/base/json_read.h"

#define TOKENS 32

static void test_json_writes_commas_where_they_belong(void **state)
{
	struct text text = {0};
	struct json json = {.out = &text};

	(void)state;
	json_begin_object(&json, NULL);
	json_begin_array(&json, "a");
	json_end_array(&json);
	json_begin_array(&json, "b");
	json_number(&json, NULL, 0);
	json_number(&json, NULL, UINT64_MAX);
	json_begin_object(&json, NULL);
	json_end_object(&json);
	json_end_array(&json);
	json_string(&json, "c", "x");
	json_string(&json, "d", NULL);
	json_bool(&json, "e", true);
	json_end_object(&json);
	assert_false(text.failed);
	assert_string_equal(text.bytes, "{\"a\":[],\"b\":[0,18446744073709551615,{}],"
					"\"c\":\"x\",\"d\":null,\"e\":true}");
	assert_int_equal(text.len, strlen(text.bytes));
	text_finish(&text);
	assert_null(text.bytes);
}

static void test_json_string_comes_back(void **state)
{
	static const char *const strings[] = {
		"", "plain", "quote \" backslash \\ slash /", "\n\t\r\b\f\x01\x1f\x7f",
		"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		struct text text = {0};
		struct json json = {.out = &text};
		jsmntok_t tokens[TOKENS];
		struct json_doc doc;
		char back[64];

		json_begin_array(&json, NULL);
		json_string(&json, NULL, strings[i]);
		json_end_array(&json);
		assert_int_equal(json_parse(text.bytes, text.len, tokens, TOKENS, &doc), 0);
		assert_true(json_get_string(&doc, json_element(&doc, 0, 0), back, sizeof(back)));
		assert_string_equal(back, strings[i]);
		text_finish(&text);
	}
}

static void parse(const char *bytes, jsmntok_t tokens[TOKENS], struct json_doc *doc)
{
	assert_int_equal(json_parse(bytes, strlen(bytes), tokens, TOKENS, doc), 0);
}

static void test_json_reads_escapes(void **state)
{
	static const struct {
		const char *json, *text; /* NULL: refused */
	} cases[] = {
		{"[\"\\u0041\\u00e9\\u20AC\"]", "A\xc3\xa9\xe2\x82\xac"},
		{"[\"\\ud83d\\ude00\"]", "\xf0\x9f\x98\x80"},
		{"[\"\\ud83dx\"]", "\xef\xbf\xbdx"},
		{"[\"\\ude00\\ud83d\"]", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"[\"\\ud83d\\u0041\"]", "\xef\xbf\xbd" "A"},
		{"[\"a\\u0000b\"]", NULL},
		{"[\"123456789\"]", NULL}, /* no room for the NUL */
		{"[\"12345678\"]", "12345678"},
		{"[1]", NULL},
	};
	jsmntok_t tokens[TOKENS];
	struct json_doc doc;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[9] = "before";
		bool good;

		parse(cases[i].json, tokens, &doc);
		good = json_get_string(&doc, json_element(&doc, 0, 0), text, sizeof(text));
		assert_int_equal(good, cases[i].text != NULL);
		assert_string_equal(text, good ? cases[i].text : "");
	}
}

static void test_json_finds_members_of_the_object_alone(void **state)
{
	jsmntok_t tokens[TOKENS];
	struct json_doc doc;
	uint64_t number;
	bool truth;

	(void)state;
	parse("{\"in\":{\"x\":1},\"x\":2,\"y\":\"x\",\"t\":true,\"f\":false,\"list\":[7,[8],9]}",
	      tokens, &doc);
	assert_true(json_get_number(&doc, json_member(&doc, 0, "x"), 10, &number));
	assert_int_equal(number, 2);
	assert_true(json_get_number(&doc, json_member(&doc, json_member(&doc, 0, "in"), "x"), 10,
				    &number));
	assert_int_equal(number, 1);
	assert_int_equal(json_member(&doc, 0, "z"), 0);
	assert_int_equal(json_member(&doc, json_member(&doc, 0, "x"), "x"), 0);
	assert_true(json_get_bool(&doc, json_member(&doc, 0, "t"), &truth) && truth);
	assert_true(json_get_bool(&doc, json_member(&doc, 0, "f"), &truth) && !truth);
	assert_false(json_get_bool(&doc, json_member(&doc, 0, "x"), &truth));
	assert_true(json_get_number(&doc, json_element(&doc, json_member(&doc, 0, "list"), 2), 10,
				    &number));
	assert_int_equal(number, 9);
	assert_int_equal(json_element(&doc, json_member(&doc, 0, "list"), 3), 0);
	assert_int_equal(json_element(&doc, 0, 0), 0);
}

static void test_json_numbers(void **state)
{
	static const struct {
		const char *json;
		bool good;
		uint64_t number; /* at most 100 */
	} cases[] = {
		{"[0]", true, 0}, {"[100]", true, 100}, {"[101]", true, 100},
		{"[99999999999999999999999]", true, 100}, {"[-1]", false, 0},
		{"[1.5]", false, 0}, {"[1e3]", false, 0}, {"[true]", false, 0},
		{"[\"1\"]", false, 0}, {"[[1]]", false, 0},
	};
	jsmntok_t tokens[TOKENS];
	struct json_doc doc;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t number = 0;

		parse(cases[i].json, tokens, &doc);
		assert_int_equal(json_get_number(&doc, 1, 100, &number), cases[i].good);
		assert_int_equal(number, cases[i].number);
	}
}

static void test_json_refuses(void **state)
{
	static const struct {
		const char *json;
		int error;
	} cases[] = {
		{"", -EPROTO}, {"{", -EPROTO}, {"[1", -EPROTO}, {"]", -EPROTO},
		{"{\"a\":\"\033[2J\"}", -EPROTO}, {"[\a]", -EPROTO}, {"[\t\r\n1]", 0},
		{"{\"a\":\"\\x\"}", -EPROTO}, {"17", -EPROTO}, {"\"text\"", -EPROTO},
		{"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
		 "30,31,32]", -E2BIG},
	};
	jsmntok_t tokens[TOKENS];
	struct json_doc doc;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(json_parse(cases[i].json, strlen(cases[i].json), tokens, TOKENS,
					    &doc), cases[i].error);
}

static void test_text_grows(void **state)
{
	struct text text = {0};

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		text_add(&text, "%u,", i);
	assert_int_equal(text.len, 10 * 2 + 90 * 3 + 900 * 4);
	assert_memory_equal(text.bytes + text.len - 5, ",999,", 6);
	text_add_bytes(&text, "\0x", 2);
	assert_memory_equal(text.bytes + text.len - 2, "\0x", 3);
	text_finish(&text);
}

static void test_json_members_come_one_by_one(void **state)
{
	static const char text[] = "{\"a\":{\"x\":1},\"b\":[{\"y\":2}],\"a\":3}";
	jsmntok_t tokens[TOKENS];
	struct json_doc doc;
	char names[16] = "";
	unsigned int name = 0;

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), tokens, TOKENS, &doc), 0);
	while ((name = json_next_member(&doc, 0, name))) {
		char one[4];

		assert_true(json_get_string(&doc, name, one, sizeof(one)));
		strcat(names, one);
	}
	assert_string_equal(names, "aba");
	name = json_next_member(&doc, json_member(&doc, 0, "a"), 0);
	assert_true(name && !json_next_member(&doc, json_member(&doc, 0, "a"), name));
	assert_int_equal(json_next_member(&doc, json_member(&doc, 0, "b"), 0), 0);
	assert_int_equal(json_next_member(&doc, 999, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_writes_commas_where_they_belong),
		cmocka_unit_test(test_json_string_comes_back),
		cmocka_unit_test(test_json_members_come_one_by_one),
		cmocka_unit_test(test_json_reads_escapes),
		cmocka_unit_test(test_json_finds_members_of_the_object_alone),
		cmocka_unit_test(test_json_numbers),
		cmocka_unit_test(test_json_refuses),
		cmocka_unit_test(test_text_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
