#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/acpi/golden.h"
#include "tests/acpi/sample.h"
#include "tests/acpi/whole_size.h"

/* The AML names the registers by their place; devices/slot_power.h must agree with the golden
 * file: CTRL, STAT and WAKE are dwords 0, 1 and 2, on is bit 0 and busy bit 1. */
_Static_assert(SLOT_POWER_CONTROL == 0x0 && SLOT_POWER_STATUS == 0x4 && SLOT_POWER_WAKE == 0x8 &&
	       SLOT_POWER_STATUS_ON == 0x1 && SLOT_POWER_STATUS_BUSY == 0x2,
	       "slot power controller");
_Static_assert(SLOT_CONTROLLER_SIZE == SLOT_POWER_WAKE + 4 &&
	       SLOT_CONTROLLER_SIZE <= SLOT_POWER_STRIDE, "slot power controller");

static struct acpi_slot sample_slot(unsigned int index, uint8_t functions, uint8_t d3cold)
{
	struct sample sample;

	sample_init(&sample, 1, ACPI_SLOT_MAX);
	sample.slot[index].functions = functions;
	sample.slot[index].d3cold = d3cold;
	return sample.slot[index];
}

static size_t count(const uint8_t *table, long len, const char *text)
{
	const uint8_t *at = table, *end = table + len;
	size_t found = 0;

	while ((at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
		found++;
		at++;
	}
	return found;
}

static void test_ssdt_slot_is_what_iasl_makes(void **state)
{
	static uint8_t table[GOLDEN_MAX];
	const struct acpi_slot slot = sample_slot(0, 0x3, 1);

	(void)state;
	assert_golden("tests/acpi/golden/slot.aml", table,
		      acpi_build_slot_ssdt(&slot, table, sizeof(table)));
}

/* Nodes for exactly the functions that exist; power only on the port and function 0; never what
 * would take the power control away. */
static void test_ssdt_slot_gives_power_to_port_and_function_0_only(void **state)
{
	static const char *const never[] = {"_EJ0", "_PRW", "_S0W", "_PR2", "_L"};
	static uint8_t table[GOLDEN_MAX];

	(void)state;
	for (unsigned int functions = 1; functions < 0x100; functions += 2) {
		for (unsigned int d3cold = 0; d3cold < 2; d3cold++) {
			const struct acpi_slot slot =
				sample_slot(3, (uint8_t)functions, (uint8_t)d3cold);
			long len = acpi_build_slot_ssdt(&slot, table, sizeof(table));
			size_t nodes = d3cold ? 2 : 0;

			assert_true(len > 0);
			for (unsigned int fn = 0; fn < 8; fn++) {
				char name[sizeof("FN00\b_ADR")];

				snprintf(name, sizeof(name), "FN%02X\b_ADR", fn);
				assert_int_equal(count(table, len, name) != 0,
						 (functions >> fn) & 1);
			}
			assert_int_equal(count(table, len, "_PR0"), nodes);
			assert_int_equal(count(table, len, "_PR3"), nodes);
			assert_int_equal(count(table, len, "_PS0"), nodes);
			assert_int_equal(count(table, len, "_PS3"), nodes);
			assert_int_equal(count(table, len, "_ON_"), d3cold);
			assert_int_equal(count(table, len, "_OFF"), d3cold);
			assert_int_equal(count(table, len, "_GPE"), d3cold);
			for (size_t i = 0; i < ARRAY_SIZE(never); i++)
				assert_int_equal(count(table, len, never[i]), 0);
		}
	}
}

/* Everything a slot defines lies below its own port or is its own event. */
static void test_ssdt_slot_names_are_its_own(void **state)
{
	static uint8_t table[GOLDEN_MAX];

	(void)state;
	for (unsigned int index = 0; index < ACPI_SLOT_MAX; index++) {
		const struct acpi_slot slot = sample_slot(index, 0x3, 1);
		long len = acpi_build_slot_ssdt(&slot, table, sizeof(table));

		assert_true(len > 0);
		for (unsigned int other = 0; other < ACPI_SLOT_MAX; other++) {
			char port[sizeof("RP00")], event[sizeof("_E10")], id[sizeof("SLOT00  ")];

			snprintf(port, sizeof(port), "RP%02X", other);
			snprintf(event, sizeof(event), "_E%02X", GPE_SLOT_FIRST + other);
			snprintf(id, sizeof(id), "SLOT%02X  ", other);
			assert_int_equal(count(table, len, port) != 0, other == index);
			assert_int_equal(count(table, len, event), other == index);
			assert_int_equal(count(table, len, id), other == index);
		}
	}
}

static void test_ssdt_slot_rejects_what_cannot_be(void **state)
{
	static const struct acpi_slot cases[] = {
		{.index = 0x100, .port_dev = 1, .functions = 1},
		{.index = 0, .port_dev = 32, .functions = 1},
		{.index = 0, .port_dev = 1, .functions = 0},
		{.index = 0, .port_dev = 1, .functions = 2},
	};
	static uint8_t table[GOLDEN_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(acpi_build_slot_ssdt(&cases[i], table, sizeof(table)), -EINVAL);
}

static long build_sample(uint8_t *bytes, size_t size)
{
	const struct acpi_slot slot = sample_slot(0, 0xff, 1);

	return acpi_build_slot_ssdt(&slot, bytes, size);
}

static void test_ssdt_slot_needs_its_whole_size(void **state)
{
	(void)state;
	assert_needs_whole_size(build_sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ssdt_slot_is_what_iasl_makes),
		cmocka_unit_test(test_ssdt_slot_gives_power_to_port_and_function_0_only),
		cmocka_unit_test(test_ssdt_slot_names_are_its_own),
		cmocka_unit_test(test_ssdt_slot_rejects_what_cannot_be),
		cmocka_unit_test(test_ssdt_slot_needs_its_whole_size),
	};

	return cmocka_run_group_tests_name("ssdt_slot", tests, NULL, NULL);
}
