#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/header.h"
#include "acpi/tables.h"
#include "tests/acpi/whole_size.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/layout.h"

#define ENTRY_POINT_SIZE 24
#define STRUCTURES_MAX 16

static const struct smbios_machine sample = {
	.version = "0.1.0",
	.cpus = 4,
	.memory_size = 8 * GIB,
	.memory_low = 3 * GIB,
	.uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
};

static uint8_t image[SMBIOS_SIZE];

/* The structures of `image` as a reader walks them. */
struct walk {
	size_t count;
	const uint8_t *structure[STRUCTURES_MAX];
};

/* String number `n` (from 1) after the formatted area; NULL: the set has no such. */
static const char *string_of(const uint8_t *structure, unsigned int n)
{
	const char *text = (const char *)structure + structure[1];

	for (; n > 1 && *text; n--)
		text += strlen(text) + 1;
	return *text ? text : NULL;
}

static const uint8_t *after(const uint8_t *structure)
{
	const uint8_t *p = structure + structure[1];

	while (p[0] || p[1])
		p++;
	return p + 2;
}

static struct walk build(const struct smbios_machine *machine)
{
	struct walk walk = {0};
	long used;
	const uint8_t *p, *end;

	memset(image, 0xaa, sizeof(image));
	used = smbios_build(machine, image, sizeof(image), SMBIOS_START);
	assert_true(used > ENTRY_POINT_SIZE);
	assert_memory_equal(image, "_SM3_", 5);
	assert_int_equal(image[6], ENTRY_POINT_SIZE);
	assert_int_equal(acpi_checksum(image, ENTRY_POINT_SIZE), 0);
	assert_int_equal(image[7], 3); /* major version */
	assert_in_range(le64_get(image + 16), SMBIOS_START + ENTRY_POINT_SIZE,
			SMBIOS_START + (uint64_t)used);
	p = image + (le64_get(image + 16) - SMBIOS_START);
	end = p + le32_get(image + 12);
	assert_ptr_equal(end, image + used);
	while (p < end) {
		assert_true(walk.count < STRUCTURES_MAX);
		assert_true(p[1] >= 4 && p[1] <= end - p);
		walk.structure[walk.count++] = p;
		p = after(p);
	}
	assert_ptr_equal(p, end);
	return walk;
}

static const uint8_t *find(const struct walk *walk, uint8_t type)
{
	for (size_t i = 0; i < walk->count; i++)
		if (walk->structure[i][0] == type)
			return walk->structure[i];
	fail_msg("no structure of type %u", type);
	return NULL;
}

static void test_smbios_has_the_structures_in_order(void **state)
{
	static const uint8_t types[] = {0, 1, 3, 4, 16, 17, 19, 19, 32, 127};
	/* Lengths of SMBIOS 3.0.0. */
	static const uint8_t lengths[] = {0x18, 0x1b, 0x16, 0x30, 0x17, 0x28, 0x1f, 0x1f, 11, 4};
	struct walk walk = build(&sample);

	(void)state;
	assert_int_equal(walk.count, ARRAY_SIZE(types));
	for (size_t i = 0; i < walk.count; i++) {
		assert_int_equal(walk.structure[i][0], types[i]);
		assert_int_equal(walk.structure[i][1], lengths[i]);
		for (size_t j = 0; j < i; j++) /* handles differ */
			assert_true(le16_get(walk.structure[i] + 2) !=
				    le16_get(walk.structure[j] + 2));
	}
}

static void test_smbios_strings(void **state)
{
	static const struct {
		uint8_t type, offset;
		const char *text;
	} cases[] = {
		{0, 0x04, "minivmm"}, {0, 0x05, "0.1.0"}, {1, 0x04, "minivmm"},
		{1, 0x05, "Virtual Machine"}, {1, 0x06, "0.1.0"}, {3, 0x04, "minivmm"},
		{4, 0x04, "CPU 0"}, {17, 0x10, "RAM 0"},
	};
	struct walk walk = build(&sample);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint8_t *structure = find(&walk, cases[i].type);

		assert_string_equal(string_of(structure, structure[cases[i].offset]),
				    cases[i].text);
	}
}

/* Linux lets no PCIe port sleep below a BIOS older than 2015; it wants mm/dd/yyyy. */
static void test_smbios_bios_date_lets_ports_sleep(void **state)
{
	struct walk walk = build(&sample);
	const uint8_t *bios = find(&walk, 0);
	unsigned int month, day, year;
	const char *date = string_of(bios, bios[0x08]);

	(void)state;
	assert_int_equal(strlen(date), 10);
	assert_int_equal(sscanf(date, "%2u/%2u/%4u", &month, &day, &year), 3);
	assert_in_range(month, 1, 12);
	assert_in_range(day, 1, 31);
	assert_in_range(year, 2015, 2099);
}

static void test_smbios_says_virtual_machine_and_no_notebook(void **state)
{
	struct walk walk = build(&sample);

	(void)state;
	assert_true(find(&walk, 0)[0x13] & 1 << 4);
	assert_int_equal(find(&walk, 3)[0x05], 1);
	assert_memory_equal(find(&walk, 1) + 8, sample.uuid, sizeof(sample.uuid));
	assert_int_equal(find(&walk, 4)[0x23], sample.cpus);
}

static void test_smbios_memory_sizes(void **state)
{
	static const struct {
		uint64_t size, low;
		uint32_t array;          /* KiB */
		uint16_t device;         /* MiB */
		uint32_t extended;       /* MiB */
		uint32_t low_end, high_end; /* KiB; 0: no second range */
	} cases[] = {
		{16 * MIB, 16 * MIB, 16384, 16, 0, 16383, 0},
		{3 * GIB, 3 * GIB, 3 << 20, 3072, 0, (3 << 20) - 1, 0},
		{8 * GIB, 3 * GIB, 8 << 20, 8192, 0, (3 << 20) - 1, (9 << 20) - 1},
		{2 * GIB, 0, 2 << 20, 2048, 0, (2 << 20) - 1, 0},
		{32 * GIB, 3 * GIB, 32 << 20, 0x7fff, 32 << 10, (3 << 20) - 1, (33 << 20) - 1},
		{2048 * GIB, 3 * GIB, 0x80000000, 0x7fff, 2048 << 10, (3 << 20) - 1, 0x800fffff},
		{8192 * GIB, 3 * GIB, 0x80000000, 0x7fff, 8192 << 10, (3 << 20) - 1, 0xffffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct smbios_machine machine = sample;
		struct walk walk;
		const uint8_t *low;

		machine.memory_size = cases[i].size;
		machine.memory_low = cases[i].low;
		walk = build(&machine);
		assert_int_equal(le32_get(find(&walk, 16) + 0x07), cases[i].array);
		assert_int_equal(le16_get(find(&walk, 17) + 0x0c), cases[i].device);
		assert_int_equal(le32_get(find(&walk, 17) + 0x1c), cases[i].extended);
		low = find(&walk, 19);
		assert_int_equal(le32_get(low + 0x04), 0);
		assert_int_equal(le32_get(low + 0x08), cases[i].low_end);
		if (cases[i].high_end)
			assert_int_equal(le32_get(after(low) + 0x08), cases[i].high_end);
		else
			assert_int_equal(after(low)[0], 32);
	}
}

/* An empty string would end its set early. */
static void test_smbios_empty_version_is_no_empty_string(void **state)
{
	static const char *const versions[] = {"", NULL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct smbios_machine machine = sample;
		struct walk walk;

		machine.version = versions[i];
		walk = build(&machine);
		assert_string_equal(string_of(find(&walk, 0), 2), "unknown");
		assert_string_equal(string_of(find(&walk, 0), 3), "01/01/2026");
	}
}

static void test_smbios_rejects_what_cannot_be(void **state)
{
	static const struct {
		unsigned int cpus;
		uint64_t memory_size, gpa;
	} cases[] = {
		{0, GIB, SMBIOS_START}, {ACPI_CPU_MAX + 1, GIB, SMBIOS_START},
		{1, 0, SMBIOS_START}, {1, GIB, SMBIOS_START + 8},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct smbios_machine machine = sample;

		machine.cpus = cases[i].cpus;
		machine.memory_size = cases[i].memory_size;
		assert_int_equal(smbios_build(&machine, image, sizeof(image), cases[i].gpa),
				 -EINVAL);
	}
}

static long build_sample(uint8_t *bytes, size_t size)
{
	return smbios_build(&sample, bytes, size, SMBIOS_START);
}

static void test_smbios_needs_its_whole_size(void **state)
{
	(void)state;
	assert_needs_whole_size(build_sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smbios_has_the_structures_in_order),
		cmocka_unit_test(test_smbios_strings),
		cmocka_unit_test(test_smbios_bios_date_lets_ports_sleep),
		cmocka_unit_test(test_smbios_says_virtual_machine_and_no_notebook),
		cmocka_unit_test(test_smbios_memory_sizes),
		cmocka_unit_test(test_smbios_empty_version_is_no_empty_string),
		cmocka_unit_test(test_smbios_rejects_what_cannot_be),
		cmocka_unit_test(test_smbios_needs_its_whole_size),
	};

	return cmocka_run_group_tests_name("smbios", tests, NULL, NULL);
}
