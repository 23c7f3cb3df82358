#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/duration.h"
#include "vmm/base/bits.h"

static void test_duration_is_what_people_read(void **state)
{
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = {
		{0, "0 s"},
		{1, "1 us"},
		{999, "999 us"},
		{1000, "1.00 ms"},
		{16251, "16.2 ms"},
		{999999, "999 ms"},
		{1000000, "1.00 s"},
		{2235771, "2.23 s"},
		{59999999, "59.9 s"},
		{60000000, "1 min 00 s"},
		{3599999999, "59 min 59 s"},
		{3600000000, "1 h 00 min"},
		{86399999999, "23 h 59 min"},
		{86400000000, "1 d 00 h"},
		{UINT64_MAX, "213503982 d 08 h"},
	};
	char text[DURATION_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(duration_text(cases[i].us, text), cases[i].text);
}

/* Nothing that is not all says 100 %, nothing that is not nothing says 0 %. */
static void test_percent_is_exact_at_its_ends(void **state)
{
	static const struct {
		uint64_t part, whole;
		const char *text;
	} cases[] = {
		{0, 0, "-"},
		{0, 10, "0 %"},
		{10, 10, "100 %"},
		{1, 1000000, "0.1 %"},
		{999999, 1000000, "99.9 %"},
		{3, 1000, "0.3 %"},
		{99, 1000, "9.9 %"},
		{100, 1000, "10 %"},
		{989, 1000, "98 %"},
		{990, 1000, "99.0 %"},
		{997, 1000, "99.7 %"},
		{UINT64_MAX / 2, UINT64_MAX, "50 %"},
		{UINT64_MAX - 1, UINT64_MAX, "99.9 %"},
		{UINT64_MAX, UINT64_MAX, "100 %"},
	};
	char text[DURATION_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(percent_text(cases[i].part, cases[i].whole, text),
				    cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration_is_what_people_read),
		cmocka_unit_test(test_percent_is_exact_at_its_ends),
	};

	return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
