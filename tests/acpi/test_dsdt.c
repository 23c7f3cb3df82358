#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/acpi/golden.h"
#include "tests/acpi/sample.h"
#include "tests/acpi/whole_size.h"

static void test_dsdt_is_what_iasl_makes(void **state)
{
	static uint8_t table[GOLDEN_MAX];
	struct sample sample;

	(void)state;
	sample_init(&sample, 2, 1);
	assert_golden("tests/acpi/golden/dsdt.aml", table,
		      acpi_build_dsdt(&sample.machine, table, sizeof(table)));
}

static bool contains(const uint8_t *table, long len, const void *bytes, size_t bytes_len)
{
	return memmem(table, (size_t)len, bytes, bytes_len) != NULL;
}

/* A window of size 0 is absent; the tags are those of DWord and QWord address space. */
static void test_dsdt_leaves_out_absent_windows(void **state)
{
	static const uint8_t dword[] = {0x87, 0x17, 0x00}, qword[] = {0x8a, 0x2b, 0x00};
	static const struct {
		uint64_t mmio32, mmio64;
	} cases[] = {{MIB, GIB}, {MIB, 0}, {0, GIB}, {0, 0}};
	static uint8_t table[GOLDEN_MAX];
	struct sample sample;

	(void)state;
	sample_init(&sample, 1, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		long len;

		sample.machine.mmio32.size = cases[i].mmio32;
		sample.machine.mmio64.size = cases[i].mmio64;
		len = acpi_build_dsdt(&sample.machine, table, sizeof(table));
		assert_true(len > 0);
		assert_int_equal(contains(table, len, dword, sizeof(dword)), cases[i].mmio32 != 0);
		assert_int_equal(contains(table, len, qword, sizeof(qword)), cases[i].mmio64 != 0);
	}
}

/* Memory32Fixed (ReadWrite, controller, 12) exactly for the slots that have a power resource. */
static void test_dsdt_reserves_the_controllers_of_d3cold_slots(void **state)
{
	static uint8_t table[GOLDEN_MAX];
	struct sample sample;
	long len;

	(void)state;
	sample_init(&sample, 1, ACPI_SLOT_MAX);
	for (unsigned int i = 0; i < ACPI_SLOT_MAX; i += 2)
		sample.slot[i].d3cold = 0;
	len = acpi_build_dsdt(&sample.machine, table, sizeof(table));
	assert_true(len > 0);
	for (unsigned int i = 0; i < ACPI_SLOT_MAX; i++) {
		const uint8_t fixed[] = {0x86, 0x09, 0x00, 0x01, (uint8_t)(i * SLOT_POWER_STRIDE),
					 (uint8_t)(i * SLOT_POWER_STRIDE >> 8), 0xd5, 0xfe,
					 SLOT_POWER_WAKE + 4, 0, 0, 0};

		assert_int_equal(contains(table, len, fixed, sizeof(fixed)), i % 2);
	}
}

static void test_dsdt_rejects_what_a_descriptor_cannot_say(void **state)
{
	static const struct {
		struct acpi_window mmio32, io, ecam;
		uint16_t pm_size;
	} cases[] = {
		{{0xc0000000, 0x40000001}, {0x1000, 0xf000}, {0xe0000000, MIB}, 0x80},
		{{0xc0000000, 0x20000000}, {0x1000, 0xf001}, {0xe0000000, MIB}, 0x80},
		{{0xc0000000, 0x20000000}, {0x1000, 0xf000}, {GIB * 4, MIB}, 0x80},
		{{0xc0000000, 0x20000000}, {0x1000, 0xf000}, {0xe0000000, 0}, 0x80},
		{{0xc0000000, 0x20000000}, {0x1000, 0xf000}, {0x80000000, 257 * MIB}, 0x80},
		{{0xc0000000, 0x20000000}, {0x1000, 0xf000}, {0xe0000000, MIB}, 0x100},
		{{0xc0000000, 0x20000000}, {0x1000, 0xf000}, {0xe0000000, MIB}, 0},
	};
	static uint8_t table[GOLDEN_MAX];
	struct sample sample;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		sample_init(&sample, 1, 0);
		sample.machine.mmio32 = cases[i].mmio32;
		sample.machine.io = cases[i].io;
		sample.machine.ecam = cases[i].ecam;
		sample.machine.pm_size = cases[i].pm_size;
		assert_int_equal(acpi_build_dsdt(&sample.machine, table, sizeof(table)), -EINVAL);
	}
}

static long build_sample(uint8_t *bytes, size_t size)
{
	struct sample sample;

	sample_init(&sample, 2, 1);
	return acpi_build_dsdt(&sample.machine, bytes, size);
}

static void test_dsdt_needs_its_whole_size(void **state)
{
	(void)state;
	assert_needs_whole_size(build_sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dsdt_is_what_iasl_makes),
		cmocka_unit_test(test_dsdt_leaves_out_absent_windows),
		cmocka_unit_test(test_dsdt_reserves_the_controllers_of_d3cold_slots),
		cmocka_unit_test(test_dsdt_rejects_what_a_descriptor_cannot_say),
		cmocka_unit_test(test_dsdt_needs_its_whole_size),
	};

	return cmocka_run_group_tests_name("dsdt", tests, NULL, NULL);
}
