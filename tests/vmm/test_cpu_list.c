#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/base/text.h"
#include "vmm/cpu_list.h"

static void test_cpu_list_is_what_was_written(void **state)
{
	static const struct {
		const char *text, *formatted;
		unsigned int count, last;
	} cases[] = {
		{"0", "0", 1, 0},
		{"1023", "1023", 1, 1023},
		{"2-5", "2-5", 4, 5},
		{"0,5,8-11", "0,5,8-11", 6, 11},
		{"3,2,1,0", "3,2,1,0", 4, 0},
		{"0-6:2", "0,2,4,6", 4, 6},
		{"0-7:2", "0,2,4,6", 4, 6},
		{"0,1,2", "0-2", 3, 2},
		{"7-7", "7", 1, 7},
		{"0-63", "0-63", 64, 63},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct text text = {.bytes = NULL};
		struct cpu_list list;

		assert_int_equal(cpu_list_parse(cases[i].text, &list), 0);
		assert_int_equal(list.count, cases[i].count);
		assert_int_equal(list.cpu[list.count - 1], cases[i].last);
		cpu_list_format(&list, &text);
		assert_string_equal(text.bytes, cases[i].formatted);
		text_finish(&text);
	}
}

static void test_cpu_list_refuses(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{"", -EINVAL},      {",", -EINVAL},       {"1,", -EINVAL},    {"1,,2", -EINVAL},
		{"-1", -EINVAL},    {"1-", -EINVAL},      {"5-2", -EINVAL},   {"1 ", -EINVAL},
		{" 1", -EINVAL},    {"1-3:", -EINVAL},    {"1-3:0", -EINVAL}, {"1:2", -EINVAL},
		{"0x1", -EINVAL},   {"1-2-3", -EINVAL},   {"a", -EINVAL},     {"+1", -EINVAL},
		{"1024", -ERANGE},  {"0-1024", -ERANGE},  {"18446744073709551616", -ERANGE},
		{"1,1", -EEXIST},   {"0-3,2", -EEXIST},   {"0-64", -E2BIG},
		{"0-1023", -E2BIG}, {"0-9:4294967296", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_list list = {.count = 77};

		assert_int_equal(cpu_list_parse(cases[i].text, &list), cases[i].error);
		assert_int_equal(list.count, 77);
	}
}

static void test_cpu_list_names_the_cpu_that_may_not_be_used(void **state)
{
	struct cpu_list list = {.count = 1};
	char why[256] = "", says[64];
	cpu_set_t set;
	unsigned int first = 0, missing = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(first, &set))
		first++;
	while (CPU_ISSET(missing, &set))
		missing++;
	list.cpu[0] = (uint16_t)first;
	assert_int_equal(cpu_list_check(&list, why, sizeof(why)), 0);
	list.cpu[list.count++] = (uint16_t)missing;
	assert_int_equal(cpu_list_check(&list, why, sizeof(why)), -EINVAL);
	snprintf(says, sizeof(says), "the host's CPU %u is not there", missing);
	assert_non_null(strstr(why, says));
	snprintf(says, sizeof(says), "there are %u", first);
	assert_non_null(strstr(why, says));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu_list_is_what_was_written),
		cmocka_unit_test(test_cpu_list_refuses),
		cmocka_unit_test(test_cpu_list_names_the_cpu_that_may_not_be_used),
	};

	return cmocka_run_group_tests_name("cpu_list", tests, NULL, NULL);
}
