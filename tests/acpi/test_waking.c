#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/tables.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

/* ACPI 6.3, Firmware ACPI Control Structure (FACS): offsets. */
#define VECTOR 12
#define X_VECTOR 24

static void test_waking_vector(void **state)
{
	static const struct {
		uint64_t vector, x_vector;
		enum acpi_waking_mode mode;
		uint32_t result;
	} cases[] = {
		{0, 0, ACPI_WAKING_NONE, 0},
		{0x12345, 0, ACPI_WAKING_REAL, 0x12345},
		{0xffffffff, 0, ACPI_WAKING_REAL, 0xffffffff},
		{0, 0x100000, ACPI_WAKING_PROTECTED, 0x100000},
		{0x12345, 0x100000, ACPI_WAKING_PROTECTED, 0x100000},
		{0x12345, 0xffffffff00001000, ACPI_WAKING_PROTECTED, 0x1000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t facs[ACPI_FACS_SIZE];
		struct acpi_waking waking;

		memset(facs, 0xff, sizeof(facs)); /* the rest may be anything */
		le_set(facs + VECTOR, 4, cases[i].vector);
		le_set(facs + X_VECTOR, 8, cases[i].x_vector);
		waking = acpi_waking_vector(facs);
		assert_int_equal(waking.mode, cases[i].mode);
		assert_int_equal(waking.vector, cases[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waking_vector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
