#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/range.h"

static void test_range_fits_at_the_edges(void **state)
{
	static const struct {
		uint64_t size, off, len;
		bool fits;
	} cases[] = {
		{16, 0, 16, true},  {16, 0, 17, false}, {16, 15, 1, true},  {16, 16, 0, true},
		{16, 16, 1, false}, {16, 17, 0, false}, {0, 0, 0, true},    {0, 0, 1, false},
		{16, UINT64_MAX, 1, false}, {16, 1, UINT64_MAX, false},
		{UINT64_MAX, UINT64_MAX - 1, 1, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(range_fits(cases[i].size, cases[i].off, cases[i].len),
				 cases[i].fits);
}

static void test_range_contains_up_to_the_top_of_the_space(void **state)
{
	static const struct {
		struct range r;
		uint64_t addr, len;
		bool contains;
	} cases[] = {
		{{0x1000, 0x1000}, 0x1000, 0x1000, true}, {{0x1000, 0x1000}, 0xfff, 1, false},
		{{0x1000, 0x1000}, 0x1fff, 1, true},      {{0x1000, 0x1000}, 0x1fff, 2, false},
		{{0x1000, 0}, 0x1000, 1, false},          {{UINT64_MAX, 1}, UINT64_MAX, 1, true},
		{{UINT64_MAX - 7, 8}, UINT64_MAX - 7, 8, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(range_contains(cases[i].r, cases[i].addr, cases[i].len),
				 cases[i].contains);
}

static void test_range_meets_agrees_with_counting(void **state)
{
	(void)state;
	for (uint64_t a = 0; a < 6; a++)
		for (uint64_t an = 0; an < 6; an++)
			for (uint64_t b = 0; b < 6; b++)
				for (uint64_t bn = 0; bn < 6; bn++) {
					bool shares = false;

					for (uint64_t x = a; x < a + an; x++)
						shares |= x >= b && x < b + bn;
					assert_int_equal(range_meets((struct range){a, an},
								     (struct range){b, bn}),
							 shares);
				}
	assert_true(range_meets((struct range){UINT64_MAX - 1, 2}, (struct range){UINT64_MAX, 1}));
}

static void test_bits_masks_and_alignment(void **state)
{
	(void)state;
	assert_int_equal(BITS(7, 0), 0xff);
	assert_int_equal(BITS(63, 63), 1ULL << 63);
	assert_int_equal(BITS(63, 0), UINT64_MAX);
	assert_int_equal(align_up(4097, 4096), 8192);
	assert_int_equal(align_down(4097, 4096), 4096);
	assert_int_equal(ones(1), 0xff);
	assert_int_equal(ones(8), UINT64_MAX);
	assert_false(is_power_of_two(0));
	assert_true(is_power_of_two(1ULL << 63));
	assert_false(is_power_of_two(3));
}

static void test_le_round_trips_unaligned(void **state)
{
	uint8_t bytes[16] = {0};

	(void)state;
	for (unsigned int len = 1; len <= 8; len++) {
		le_set(bytes + 3, len, 0x8877665544332211ULL);
		assert_int_equal(le_get(bytes + 3, len), 0x8877665544332211ULL & ones(len));
		assert_int_equal(bytes[3], 0x11);
	}
	assert_int_equal(bytes[11], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range_fits_at_the_edges),
		cmocka_unit_test(test_range_contains_up_to_the_top_of_the_space),
		cmocka_unit_test(test_range_meets_agrees_with_counting),
		cmocka_unit_test(test_bits_masks_and_alignment),
		cmocka_unit_test(test_le_round_trips_unaligned),
	};

	return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
