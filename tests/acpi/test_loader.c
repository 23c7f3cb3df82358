/*
 * The table loader's script, carried out as firmware does it: what comes out at an address must be,
 * byte for byte, what acpi_build() makes for that address.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/acpi/sample.h"
#include "vmm/base/le.h"

#define NAME 56
#define RSDP_GPA 0xf5000U

struct file {
	const char *name;
	uint8_t *bytes;
	size_t size;
	uint64_t gpa;
	bool allocated;
};

struct loader {
	struct file file[2];
};

static struct file *find(struct loader *loader, const uint8_t *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(loader->file); i++)
		if (!strncmp((const char *)name, loader->file[i].name, NAME))
			return &loader->file[i];
	fail_msg("no file %.56s", (const char *)name);
	return NULL;
}

static void allocate(struct loader *loader, const uint8_t *entry)
{
	struct file *file = find(loader, entry);
	uint32_t align = le32_get(entry + NAME);

	assert_false(file->allocated);
	assert_true(is_power_of_two(align));
	assert_int_equal(file->gpa % align, 0);
	assert_int_equal(entry[NAME + 4], file->gpa == RSDP_GPA ? 2 : 1);
	file->allocated = true;
}

static void add_pointer(struct loader *loader, const uint8_t *entry)
{
	struct file *file = find(loader, entry), *target = find(loader, entry + NAME);
	uint32_t off = le32_get(entry + 2 * NAME);
	uint8_t size = entry[2 * NAME + 4];

	assert_true(file->allocated && target->allocated);
	assert_true(size == 4 || size == 8);
	assert_true(off + size <= file->size);
	assert_true(le_get(file->bytes + off, size) < target->size);
	le_set(file->bytes + off, size, le_get(file->bytes + off, size) + target->gpa);
}

/* As OVMF: the sum replaces what is there, so that must be 0. */
static void add_checksum(struct loader *loader, const uint8_t *entry)
{
	struct file *file = find(loader, entry);
	uint32_t off = le32_get(entry + NAME), start = le32_get(entry + NAME + 4);
	uint32_t len = le32_get(entry + NAME + 8);
	uint8_t sum = 0;

	assert_true(start + len <= file->size);
	assert_in_range(off, start, start + len - 1);
	assert_int_equal(file->bytes[off], 0);
	for (uint32_t i = 0; i < len; i++)
		sum += file->bytes[start + i];
	file->bytes[off] = (uint8_t)-sum;
}

static void carry_out(struct loader *loader, const uint8_t *script, long size)
{
	assert_int_equal(size % ACPI_LOADER_ENTRY_SIZE, 0);
	for (long i = 0; i < size; i += ACPI_LOADER_ENTRY_SIZE) {
		switch (le32_get(script + i)) {
		case 1:
			allocate(loader, script + i + 4);
			break;
		case 2:
			add_pointer(loader, script + i + 4);
			break;
		case 3:
			add_checksum(loader, script + i + 4);
			break;
		default:
			fail_msg("command %u", le32_get(script + i));
		}
	}
}

static void check(unsigned int slots, uint64_t gpa)
{
	static uint8_t linked[SAMPLE_SIZE], direct[SAMPLE_SIZE];
	uint8_t rsdp[ACPI_RSDP_SIZE], script[ACPI_LOADER_SIZE_MAX];
	struct acpi_links links;
	struct sample sample;
	struct loader loader = {{
		{.name = "etc/acpi/tables", .bytes = linked, .size = sizeof(linked), .gpa = gpa},
		{.name = "etc/acpi/rsdp", .bytes = rsdp, .size = sizeof(rsdp), .gpa = RSDP_GPA},
	}};
	long size, script_size;

	sample_init(&sample, 4, slots);
	memset(linked, 0, sizeof(linked));
	size = acpi_build_linked(&sample.machine, linked, sizeof(linked), &links);
	assert_true(size > 0);
	script_size = acpi_build_loader(&links, linked, rsdp, script, sizeof(script));
	assert_true(script_size > 0);
	carry_out(&loader, script, script_size);
	assert_int_equal(acpi_build(&sample.machine, direct, sizeof(direct), gpa), size);
	assert_memory_equal(rsdp, direct, sizeof(rsdp));
	assert_memory_equal(linked + sizeof(rsdp), direct + sizeof(rsdp),
			    (size_t)size - sizeof(rsdp));
}

static void test_loader_makes_what_is_built_in_place(void **state)
{
	(void)state;
	check(0, 0x7fff0000);
	check(1, 0x1fff0040);
	check(ACPI_SLOT_MAX, 0x7ffe0000);
}

static void test_loader_needs_its_whole_size(void **state)
{
	static uint8_t tables[SAMPLE_SIZE];
	uint8_t rsdp[ACPI_RSDP_SIZE], script[ACPI_LOADER_SIZE_MAX];
	struct acpi_links links;
	struct sample sample;
	long size;

	(void)state;
	sample_init(&sample, 1, ACPI_SLOT_MAX);
	assert_int_equal(acpi_build_linked(&sample.machine, tables, 100, &links), -ENOSPC);
	assert_true(acpi_build_linked(&sample.machine, tables, sizeof(tables), &links) > 0);
	size = acpi_build_loader(&links, tables, rsdp, script, sizeof(script));
	assert_int_equal(size, sizeof(script));
	assert_int_equal(acpi_build_loader(&links, tables, rsdp, script, (size_t)size - 1),
			 -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loader_makes_what_is_built_in_place),
		cmocka_unit_test(test_loader_needs_its_whole_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
