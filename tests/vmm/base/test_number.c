#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/base/bits.h"
#include "vmm/base/number.h"

static void test_number_take(void **state)
{
	static const struct {
		const char *text;
		unsigned int max, number;
		const char *rest; /* NULL: no number */
	} cases[] = {
		{"0", 4, 0, ""},         {"6.12", 4, 6, ".12"},   {"007x", 9, 7, "x"},
		{"12345", 4, 1234, "5"}, {"999999999", 9, 999999999, ""},
		{"", 4, 77, NULL},       {"x1", 4, 77, NULL},     {"-1", 4, 77, NULL},
		{" 1", 4, 77, NULL},     {"+1", 4, 77, NULL},     {"1", 0, 77, NULL},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int number = 77;
		const char *rest = number_take(cases[i].text, cases[i].max, &number);

		assert_int_equal(number, cases[i].number);
		assert_int_equal(!rest, !cases[i].rest);
		if (rest)
			assert_string_equal(rest, cases[i].rest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_take),
	};

	return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
