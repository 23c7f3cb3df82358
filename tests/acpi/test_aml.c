#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/aml.h"
#include "tests/acpi/whole_size.h"
#include "vmm/base/bits.h"

#define BYTES(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void test_aml_names(void **state)
{
	static const struct {
		const char *path;
		uint8_t bytes[24];
		size_t len;
	} cases[] = {
		{"PCI0", BYTES('P', 'C', 'I', '0')},
		{"_ON", BYTES('_', 'O', 'N', '_')},
		{"A", BYTES('A', '_', '_', '_')},
		{"\\", BYTES('\\', 0)},
		{"\\_SB", BYTES('\\', '_', 'S', 'B', '_')},
		{"^^AB", BYTES('^', '^', 'A', 'B', '_', '_')},
		{"_SB.PCI0", BYTES(0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0')},
		{"\\A.B.C", BYTES('\\', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_',
				  '_', '_')},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buffer[32];
		struct aml aml;

		aml_start(&aml, buffer, sizeof(buffer));
		aml_name_string(&aml, cases[i].path);
		assert_int_equal(aml_finish(&aml), cases[i].len);
		assert_memory_equal(buffer, cases[i].bytes, cases[i].len);
	}
}

static void test_aml_rejects_names_that_asl_has_not(void **state)
{
	static const char *const cases[] = {"PCI00", "0ABC", "abcd", "A..B", ".A", "A.", "A B",
					    "\\_SB.PCI0.", "A^B", "A\\", "PCI0.RP000"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buffer[64];
		struct aml aml;

		aml_start(&aml, buffer, sizeof(buffer));
		aml_name_string(&aml, cases[i]);
		assert_int_equal(aml_finish(&aml), -EINVAL);
	}
}

static void test_aml_integers_are_shortest(void **state)
{
	static const struct {
		uint64_t value;
		uint8_t bytes[9];
		size_t len;
	} cases[] = {
		{0, BYTES(0x00)},
		{1, BYTES(0x01)},
		{2, BYTES(0x0a, 0x02)},
		{0xff, BYTES(0x0a, 0xff)},
		{0x100, BYTES(0x0b, 0x00, 0x01)},
		{0xffff, BYTES(0x0b, 0xff, 0xff)},
		{0x10000, BYTES(0x0c, 0x00, 0x00, 0x01, 0x00)},
		{0xffffffff, BYTES(0x0c, 0xff, 0xff, 0xff, 0xff)},
		{0x100000000, BYTES(0x0e, 0, 0, 0, 0, 1, 0, 0, 0)},
		{UINT64_MAX - 1, BYTES(0x0e, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{UINT64_MAX, BYTES(0xff)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buffer[16];
		struct aml aml;

		aml_start(&aml, buffer, sizeof(buffer));
		aml_integer(&aml, cases[i].value);
		assert_int_equal(aml_finish(&aml), cases[i].len);
		assert_memory_equal(buffer, cases[i].bytes, cases[i].len);
	}
}

/* The identifiers' encodings are those of iasl 20200925. */
static void test_aml_identifiers(void **state)
{
	static const uint8_t expected[] = {
		0x0c, 0x41, 0xd0, 0x0a, 0x08,
		0x11, 0x13, 0x0a, 0x10, 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
		0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66,
		0x0d, 'V', 'M', 0};
	uint8_t buffer[64];
	struct aml aml;

	(void)state;
	aml_start(&aml, buffer, sizeof(buffer));
	aml_eisa_id(&aml, "PNP0A08");
	aml_uuid(&aml, "33DB4d5b-1FF7-401c-9657-7441C03DD766");
	aml_string(&aml, "VM");
	assert_int_equal(aml_finish(&aml), sizeof(expected));
	assert_memory_equal(buffer, expected, sizeof(expected));
}

static void test_aml_rejects_bad_identifiers(void **state)
{
	static const struct {
		void (*emit)(struct aml *aml, const char *text);
		const char *text;
	} cases[] = {
		{aml_eisa_id, ""},        {aml_eisa_id, "PNP0A0"},   {aml_eisa_id, "PNP0A088"},
		{aml_eisa_id, "PN00A08"}, {aml_eisa_id, "pnp0A08"},  {aml_eisa_id, "PNP0G08"},
		{aml_eisa_id, "P@P0A08"}, {aml_uuid, ""},            {aml_uuid, "33DB4D5B"},
		{aml_uuid, "33DB4D5B-1FF7-401C-9657-7441C03DD76"},
		{aml_uuid, "33DB4D5B-1FF7-401C-9657-7441C03DD7666"},
		{aml_uuid, "33DB4D5G-1FF7-401C-9657-7441C03DD766"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buffer[64];
		struct aml aml;

		aml_start(&aml, buffer, sizeof(buffer));
		cases[i].emit(&aml, cases[i].text);
		assert_int_equal(aml_finish(&aml), -EINVAL);
	}
}

/* PkgLength counts itself: the longest contents of each form, and one byte more. */
static void test_aml_pkg_length_is_shortest(void **state)
{
	static const struct {
		size_t contents;
		uint8_t bytes[4];
		size_t len;
	} cases[] = {
		{0, BYTES(0x01)},
		{62, BYTES(0x3f)},
		{63, BYTES(0x41, 0x04)},
		{64, BYTES(0x42, 0x04)},
		{4093, BYTES(0x4f, 0xff)},
		{4094, BYTES(0x81, 0x00, 0x01)},
		{0xfffff - 3, BYTES(0x8f, 0xff, 0xff)},
		{0xfffff - 2, BYTES(0xc1, 0x00, 0x00, 0x01)},
	};
	const size_t size = MIB + 16;
	uint8_t *buffer = malloc(size), *contents = malloc(size);

	(void)state;
	for (size_t i = 0; i < size; i++)
		contents[i] = (uint8_t)(i * 31 + 7);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct aml aml;

		aml_start(&aml, buffer, size);
		aml_begin_if(&aml);
		aml_raw(&aml, contents, cases[i].contents);
		aml_end(&aml);
		assert_int_equal(aml_finish(&aml), 1 + cases[i].len + cases[i].contents);
		assert_int_equal(buffer[0], 0xa0);
		assert_memory_equal(buffer + 1, cases[i].bytes, cases[i].len);
		if (cases[i].contents)
			assert_memory_equal(buffer + 1 + cases[i].len, contents, cases[i].contents);
	}
	free(contents);
	free(buffer);
}

static void test_aml_field_unit_counts_bits(void **state)
{
	static const struct {
		uint32_t bits;
		uint8_t bytes[4];
		size_t len;
	} cases[] = {
		{1, BYTES(0x01)},    {32, BYTES(0x20)},         {63, BYTES(0x3f)},
		{64, BYTES(0x40, 4)}, {4095, BYTES(0x4f, 0xff)}, {4096, BYTES(0x80, 0x00, 0x01)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buffer[32];
		struct aml aml;

		aml_start(&aml, buffer, sizeof(buffer));
		aml_field_unit(&aml, "STAT", cases[i].bits);
		assert_int_equal(aml_finish(&aml), 4 + cases[i].len);
		assert_memory_equal(buffer + 4, cases[i].bytes, cases[i].len);
	}
}

/* BufferSize is a byte up to 255, end tag included, then a word. */
static void test_aml_resource_template_size(void **state)
{
	static const struct {
		unsigned int irqs; /* descriptors of three bytes */
		uint8_t bytes[6];
		size_t len;
	} cases[] = {
		{0, BYTES(0x11, 0x05, 0x0a, 0x02)},
		{84, BYTES(0x11, 0x42, 0x10, 0x0a, 254)},
		{85, BYTES(0x11, 0x46, 0x10, 0x0b, 0x01, 0x01)},
	};
	static const uint8_t irq[] = {0x22, 0x10, 0x00}, end[] = {0x79, 0x00};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buffer[512];
		size_t len = cases[i].len + cases[i].irqs * sizeof(irq) + sizeof(end);
		struct aml aml;

		aml_start(&aml, buffer, sizeof(buffer));
		aml_begin_resources(&aml);
		for (unsigned int n = 0; n < cases[i].irqs; n++)
			aml_resource_irq(&aml, 4);
		aml_end(&aml);
		assert_int_equal(aml_finish(&aml), len);
		assert_memory_equal(buffer, cases[i].bytes, cases[i].len);
		for (unsigned int n = 0; n < cases[i].irqs; n++)
			assert_memory_equal(buffer + cases[i].len + n * sizeof(irq), irq,
					    sizeof(irq));
		assert_memory_equal(buffer + len - sizeof(end), end, sizeof(end));
	}
}

static void test_aml_windows_at_their_limits(void **state)
{
	static const struct {
		void (*emit)(struct aml *aml, uint64_t start, uint64_t size);
		uint64_t start, size;
		long len;
	} cases[] = {
		{aml_window_bus, 0, 256, 16},
		{aml_window_bus, 255, 1, 16},
		{aml_window_bus, 0, 257, -EINVAL},
		{aml_window_bus, 256, 1, -EINVAL},
		{aml_window_io, 0x1000, 0xf000, 16},
		{aml_window_io, 0, 0x10000, -EINVAL}, /* the length field has 16 bits */
		{aml_window_io, 0xffff, 2, -EINVAL},
		{aml_window_memory32, 0xffffffff, 1, 26},
		{aml_window_memory32, 0x80000000, 0x80000000, 26},
		{aml_window_memory32, 0x80000000, 0x80000001, -EINVAL},
		{aml_window_memory32, 0x80000000, 0, -EINVAL},
		{aml_window_memory64, 1ULL << 63, 1ULL << 63, 46},
		{aml_window_memory64, 1ULL << 63, (1ULL << 63) + 1, -EINVAL},
		{aml_resource_memory32, 0xfffff000, 0x1000, 12},
		{aml_resource_memory32, 0xfffff000, 0x1001, -EINVAL},
		{aml_resource_memory32, 0x100000000, 0x1000, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t buffer[64];
		struct aml aml;

		aml_start(&aml, buffer, sizeof(buffer));
		cases[i].emit(&aml, cases[i].start, cases[i].size);
		assert_int_equal(aml_finish(&aml), cases[i].len);
	}
}

static void test_aml_begin_and_end_must_pair(void **state)
{
	uint8_t buffer[256];
	struct aml aml;

	(void)state;
	aml_start(&aml, buffer, sizeof(buffer));
	aml_end(&aml);
	assert_int_equal(aml_finish(&aml), -EINVAL);

	aml_start(&aml, buffer, sizeof(buffer));
	aml_begin_if(&aml);
	assert_int_equal(aml_finish(&aml), -EINVAL);

	for (unsigned int depth = AML_DEPTH_MAX; depth <= AML_DEPTH_MAX + 1; depth++) {
		aml_start(&aml, buffer, sizeof(buffer));
		for (unsigned int i = 0; i < depth; i++)
			aml_begin_while(&aml);
		for (unsigned int i = 0; i < depth; i++)
			aml_end(&aml);
		assert_int_equal(aml_finish(&aml) > 0, depth == AML_DEPTH_MAX);
	}
}

/* One of each, in no meaningful order. */
static void emit_everything(struct aml *aml)
{
	static const uint8_t bytes[300] = {1, 2, 3};

	aml_external_device(aml, "\\_SB.PCI0");
	aml_begin_scope(aml, "\\_SB.PCI0");
	aml_begin_device(aml, "DEV0");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A08");
	aml_name_integer(aml, "_UID", 0x1234);
	aml_memory_region(aml, "REGN", 0xfed50000, 12);
	aml_begin_dword_field(aml, "REGN");
	aml_field_unit(aml, "FLD0", 100);
	aml_end(aml);
	aml_begin_power_resource(aml, "PWRS");
	aml_begin_method(aml, "_ON", 0, true);
	aml_begin_while(aml);
	aml_op(aml, AML_LOCAL0);
	aml_op(aml, AML_SLEEP);
	aml_integer(aml, 10);
	aml_end(aml);
	aml_begin_if(aml);
	aml_op(aml, AML_LEQUAL);
	aml_op(aml, AML_ARG0);
	aml_uuid(aml, "33db4d5b-1ff7-401c-9657-7441c03dd766");
	aml_op(aml, AML_RETURN);
	aml_buffer(aml, bytes, sizeof(bytes));
	aml_end(aml);
	aml_end(aml);
	aml_end(aml);
	aml_name(aml, "_CRS");
	aml_begin_resources(aml);
	aml_window_bus(aml, 0, 256);
	aml_window_io(aml, 0x1000, 0xf000);
	aml_window_memory32(aml, 0xc0000000, 0x1000);
	aml_window_memory64(aml, 1ULL << 40, 1ULL << 40);
	aml_resource_io(aml, 0x3f8, 8);
	aml_resource_irq(aml, 4);
	aml_resource_memory32(aml, 0xe0000000, 0x1000);
	aml_end(aml);
	aml_name(aml, "PKG0");
	aml_begin_package(aml, 2);
	aml_string(aml, "text");
	aml_integer(aml, UINT64_MAX - 1);
	aml_end(aml);
	aml_end(aml);
	aml_end(aml);
}

static long build_everything(uint8_t *bytes, size_t size)
{
	struct aml aml;

	aml_start(&aml, bytes, size);
	emit_everything(&aml);
	return aml_finish(&aml);
}

static void test_aml_needs_its_whole_size(void **state)
{
	uint8_t bytes[2048];

	(void)state;
	assert_in_range(build_everything(bytes, sizeof(bytes)), 300, sizeof(bytes));
	assert_needs_whole_size(build_everything);
}

/* After an error nothing more is written, and the first error is the one that is told. */
static void test_aml_first_error_sticks(void **state)
{
	uint8_t buffer[2048] = {0}, before[2048];
	struct aml aml;

	(void)state;
	aml_start(&aml, buffer, sizeof(buffer));
	aml_integer(&aml, 0x55);
	aml_resource_irq(&aml, 16);
	memcpy(before, buffer, sizeof(before));
	emit_everything(&aml);
	assert_int_equal(aml_finish(&aml), -EINVAL);
	assert_memory_equal(buffer, before, sizeof(before));

	aml_start(&aml, buffer, 1);
	aml_integer(&aml, 0x55);
	aml_integer(&aml, 0); /* would fit, but the integer before did not */
	aml_name_string(&aml, "bad");
	assert_int_equal(aml_finish(&aml), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aml_names),
		cmocka_unit_test(test_aml_rejects_names_that_asl_has_not),
		cmocka_unit_test(test_aml_integers_are_shortest),
		cmocka_unit_test(test_aml_identifiers),
		cmocka_unit_test(test_aml_rejects_bad_identifiers),
		cmocka_unit_test(test_aml_pkg_length_is_shortest),
		cmocka_unit_test(test_aml_field_unit_counts_bits),
		cmocka_unit_test(test_aml_resource_template_size),
		cmocka_unit_test(test_aml_windows_at_their_limits),
		cmocka_unit_test(test_aml_begin_and_end_must_pair),
		cmocka_unit_test(test_aml_needs_its_whole_size),
		cmocka_unit_test(test_aml_first_error_sticks),
	};

	return cmocka_run_group_tests_name("aml", tests, NULL, NULL);
}
