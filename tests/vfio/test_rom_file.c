/* Expansion ROMs from files. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfio/rom_file.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define VENDOR 0x10de
#define DEVICE 0x1b38
#define DATA 0x1c /* where the samples have their data structure */
#define LEN 1536  /* of the sample: images of 1024 and 512 bytes */

static char path[] = "/tmp/minivmm-rom-XXXXXX";

static void put_image(uint8_t *image, unsigned int units, bool last)
{
	uint8_t *data = image + DATA;

	le16_set(image, 0xaa55);
	le16_set(image + 0x18, DATA);
	memcpy(data, "PCIR", 4);
	le16_set(data + 4, VENDOR);
	le16_set(data + 6, DEVICE);
	le16_set(data + 0x0a, 0x1c);
	data[0x0c] = 3;
	le16_set(data + 0x10, (uint16_t)units);
	data[0x15] = last ? 0x80 : 0;
}

/* A legacy and a UEFI image, as a graphics card has. */
static void make_sample(uint8_t bytes[LEN])
{
	memset(bytes, 0, LEN);
	put_image(bytes, 2, false);
	put_image(bytes + 1024, 1, true);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd >= 0 ? close(fd) : -1;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_file(const uint8_t *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

/* --- the chain --- */

static void test_rom_good(void **state)
{
	uint8_t bytes[LEN];
	char why[256];

	(void)state;
	make_sample(bytes);
	assert_int_equal(rom_check(bytes, LEN, why, sizeof(why)), 0);
	bytes[DATA + 0x15] = 0x80; /* what is behind the last is not looked at */
	memset(bytes + 1024, 0x5a, 512);
	assert_int_equal(rom_check(bytes, LEN, why, sizeof(why)), 0);
	assert_int_equal(rom_check(bytes, 1024, why, sizeof(why)), 0);
}

static void test_rom_bad(void **state)
{
	static const struct {
		unsigned int off;
		uint16_t value;
		const char *says;
	} cases[] = {
		{0, 0x4e56, "no image of an expansion ROM (55 aa) at 0x0; a dump may have"},
		{1024, 0xffff, "(55 aa) at 0x400, and the one before is not marked as the last"},
		{0x18, LEN - 0x17, "the image at 0x0 has no PCI data structure"},
		{0x18, 0xffff, "the image at 0x0 has no PCI data structure"},
		{DATA + 2, 0x5252, "the image at 0x0 has no PCI data structure"},
		{DATA + 0x10, 0, "the image at 0x0 has no length"},
		{DATA + 0x10, 4, "the image at 0x0 has 2048 bytes, more than are in the file"},
		{DATA + 0x10, 0xffff, "the image at 0x0 has 33553920 bytes, more than"},
		{0x18, 1024 + DATA, "the image at 0x0 ends within its PCI data structure"},
		{1024 + DATA + 0x14, 0, "(55 aa) at 0x600, and the one before"}, /* no last */
	};
	uint8_t bytes[LEN];
	char why[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_sample(bytes);
		le16_set(bytes + cases[i].off, cases[i].value);
		assert_int_equal(rom_check(bytes, LEN, why, sizeof(why)), -EINVAL);
		if (!strstr(why, cases[i].says))
			fail_msg("case %zu says '%s', not '%s'", i, why, cases[i].says);
	}
}

/* Every length of the file but that with the whole chain. */
static void test_rom_cut_off_anywhere(void **state)
{
	uint8_t bytes[LEN];
	char why[256];

	(void)state;
	make_sample(bytes);
	for (size_t len = 0; len < LEN; len++) {
		uint8_t *exact = malloc(len ? len : 1); /* for the sanitizer */

		assert_non_null(exact);
		memcpy(exact, bytes, len);
		assert_int_equal(rom_check(exact, len, why, sizeof(why)), -EINVAL);
		free(exact);
	}
}

static void test_rom_is_for(void **state)
{
	uint8_t bytes[LEN];
	struct rom_file rom = {.bytes = bytes, .size = 2048, .len = LEN};

	(void)state;
	make_sample(bytes);
	assert_true(rom_is_for(&rom, VENDOR, DEVICE));
	assert_false(rom_is_for(&rom, VENDOR, 1));
	assert_false(rom_is_for(&rom, 0x1002, DEVICE));
	le16_set(bytes + 1024 + DATA + 6, 1); /* the second is for another */
	assert_true(rom_is_for(&rom, VENDOR, DEVICE));
	assert_true(rom_is_for(&rom, VENDOR, 1));
	/* a list of devices, which ends with 0 */
	le16_set(bytes + DATA + 8, 0x40);
	le16_set(bytes + DATA + 0x40, 7);
	le16_set(bytes + DATA + 0x42, 8);
	le16_set(bytes + DATA + 0x46, 9);
	assert_true(rom_is_for(&rom, VENDOR, 7));
	assert_true(rom_is_for(&rom, VENDOR, 8));
	assert_false(rom_is_for(&rom, VENDOR, 9));
	bytes[DATA + 0xc] = 0; /* older structures have vital product data there */
	assert_false(rom_is_for(&rom, VENDOR, 7));
	/* one without an end, or outside */
	bytes[DATA + 0xc] = 3;
	memset(bytes + DATA + 0x40, 0xee, 1024 - DATA - 0x40);
	assert_false(rom_is_for(&rom, VENDOR, 9));
	le16_set(bytes + DATA + 8, 0xfff0);
	assert_false(rom_is_for(&rom, VENDOR, 9));
}

/* --- the file --- */

static void test_rom_file_is_padded_with_ones(void **state)
{
	static const struct {
		size_t len, size;
	} cases[] = {
		{LEN, 2048}, {2048, 2048}, {2049, 4096}, {LEN + 4096, 8192}, {96 * KIB, 128 * KIB},
	};
	static uint8_t bytes[96 * KIB];
	struct rom_file rom;
	char why[256];

	(void)state;
	make_sample(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_file(bytes, cases[i].len);
		assert_int_equal(rom_file_read(path, &rom, why, sizeof(why)), 0);
		assert_int_equal(rom.len, cases[i].len);
		assert_int_equal(rom.size, cases[i].size);
		assert_int_equal((uintptr_t)rom.bytes % 4096, 0);
		assert_memory_equal(rom.bytes, bytes, rom.len);
		for (size_t at = rom.len; at < rom.size; at++)
			assert_int_equal(rom.bytes[at], 0xff);
		free(rom.bytes);
	}
}

static void test_rom_file_refuses(void **state)
{
	static const uint8_t zeroes[512];
	struct rom_file rom;
	char why[256];

	(void)state;
	assert_int_equal(rom_file_read("/nowhere/rom", &rom, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "/nowhere/rom: No such file or directory");
	assert_int_equal(rom_file_read("/tmp", &rom, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "/tmp: not a regular file"));
	write_file(zeroes, 0);
	assert_int_equal(rom_file_read(path, &rom, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "no image"));
	write_file(zeroes, sizeof(zeroes));
	assert_int_equal(rom_file_read(path, &rom, why, sizeof(why)), -EINVAL);
	assert_int_equal(truncate(path, ROM_FILE_MAX + 1), 0);
	assert_int_equal(rom_file_read(path, &rom, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "16777217 bytes; an expansion ROM has 16 MiB at most"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rom_good),
		cmocka_unit_test(test_rom_bad),
		cmocka_unit_test(test_rom_cut_off_anywhere),
		cmocka_unit_test(test_rom_is_for),
		cmocka_unit_test(test_rom_file_is_padded_with_ones),
		cmocka_unit_test(test_rom_file_refuses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
