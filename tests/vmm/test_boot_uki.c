#include <asm/bootparam.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fake_boot.h"
#include "tests/fake_kernel.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/boot.h"

#define RAM FAKE_BOOT_RAM
#define WHY_SIZE 512

#define SECTION(index, off) (FAKE_UKI_SECTIONS + 40U * (index) + (off))
#define NAME 0U
#define VIRTUAL_SIZE 8U
#define RAW_SIZE 16U
#define RAW_OFFSET 20U
#define MACHINE 0x44U
#define SECTIONS 0x46U

static void assert_loaded(struct mem *mem, const struct boot_entry *entry, const char *cmdline)
{
	const struct boot_params *params = mem_hva(mem, BOOT_ZERO_PAGE_START, sizeof(*params));
	struct fake_kernel image;
	const uint8_t *initrd;

	fake_kernel_uki(&image);
	assert_int_equal(entry->mode, BOOT_LONG_MODE);
	assert_int_equal(entry->rip, 0x1000200);
	assert_memory_equal(mem_hva(mem, 0x1000000, 3072),
			    image.bytes + FAKE_UKI_LINUX_OFF + FAKE_BZIMAGE_CODE_OFF, 3072);
	assert_string_equal(mem_hva(mem, BOOT_CMDLINE_START, 64), cmdline);
	assert_int_equal(params->hdr.ramdisk_size, FAKE_UKI_INITRD_SIZE);
	initrd = mem_hva(mem, params->hdr.ramdisk_image, FAKE_UKI_INITRD_SIZE);
	assert_memory_equal(initrd, image.bytes + FAKE_UKI_INITRD_OFF, FAKE_UKI_INITRD_SIZE);
}

static void test_boot_uki_parts(void **state)
{
	static const struct {
		const char *append, *cmdline;
	} cases[] = {{NULL, "console=uki"}, {"mine", "mine"}, {"", ""}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mem *mem = fake_mem_create(RAM);
		struct fake_kernel image;
		struct boot_entry entry;

		fake_kernel_uki(&image);
		fake_boot_load(&image, mem, NULL, cases[i].append, &entry);
		assert_loaded(mem, &entry, cases[i].cmdline);
		fake_mem_destroy(mem);
	}
}

static void put_cmdline(struct fake_kernel *image, unsigned int index, const char *text)
{
	uint8_t *section = image->bytes + SECTION(index, 0);
	uint32_t off = 0x300 + 0x20 * index;

	memcpy(section, ".cmdline", 8);
	le32_set(section + VIRTUAL_SIZE, (uint32_t)strlen(text));
	le32_set(section + RAW_SIZE, (uint32_t)strlen(text));
	le32_set(section + RAW_OFFSET, off);
	memcpy(image->bytes + off, text, strlen(text));
}

/* What the first profile has overrides the base; the second one does not count. */
static void test_boot_uki_profiles(void **state)
{
	static const char *const expected[] = {"first", "console=uki"};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(expected); i++) {
		struct mem *mem = fake_mem_create(RAM);
		struct fake_kernel image;
		struct boot_entry entry;

		fake_kernel_uki(&image);
		memcpy(image.bytes + SECTION(4, NAME), ".profile", 8);
		put_cmdline(&image, 5, "first");
		memcpy(image.bytes + SECTION(6, NAME), ".profile", 8);
		put_cmdline(&image, 7, "second");
		le16_set(image.bytes + SECTIONS, 8);
		if (i == 1) /* the first profile is empty */
			memcpy(image.bytes + SECTION(5, NAME), ".profile", 8);
		fake_boot_load(&image, mem, NULL, NULL, &entry);
		assert_loaded(mem, &entry, expected[i]);
		fake_mem_destroy(mem);
	}
}

static void test_boot_uki_with_initrd_given(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct fake_kernel image;
	struct fake_file file, initrd;
	struct boot_config config = {.kernel = file.path, .initrd = initrd.path};
	const struct boot_params *params = mem_hva(mem, BOOT_ZERO_PAGE_START, sizeof(*params));
	struct boot *boot = NULL;
	struct boot_entry entry;
	char why[WHY_SIZE];

	(void)state;
	fake_file_create(&initrd, NULL, 100);
	fake_kernel_uki(&image);
	fake_file_create(&file, image.bytes, image.size);
	assert_int_equal(boot_open(&config, RAM, &boot, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "brings an initial RAM disk of its own"));
	assert_null(boot);
	fake_file_destroy(&file);
	/* an image without one takes it */
	memcpy(image.bytes + SECTION(FAKE_UKI_INITRD, NAME), ".other", 7);
	fake_boot_load(&image, mem, initrd.path, NULL, &entry);
	assert_int_equal(params->hdr.ramdisk_size, 100);
	fake_file_destroy(&initrd);
	fake_mem_destroy(mem);
}

static void test_boot_uki_refuses(void **state)
{
	static const struct {
		uint32_t off;
		uint8_t len;
		uint32_t value;
		int error;
		const char *says;
	} cases[] = {
		{MACHINE, 2, 0xaa64, -EINVAL, "another machine (0xaa64, not x86-64)"},
		{SECTION(FAKE_UKI_LINUX, RAW_OFFSET), 4, 0x1000, -EINVAL, "truncated: its section "
		 ".linux says 4096 bytes at 4096"},
		{SECTION(FAKE_UKI_LINUX, RAW_OFFSET), 4, 0xffffffff, -EINVAL, "truncated"},
		{SECTION(FAKE_UKI_LINUX, RAW_SIZE), 4, 4095, -EINVAL, "truncated"},
		{SECTION(FAKE_UKI_INITRD, VIRTUAL_SIZE), 4, 0xffffffff, -EINVAL, ".initrd says"},
		{SECTION(FAKE_UKI_LINUX, VIRTUAL_SIZE), 4, 0, -EINVAL, "without a Linux kernel"},
		{SECTION(FAKE_UKI_LINUX, NAME), 4, 0x756e692e, -EINVAL, "without a Linux kernel"},
		{SECTION(FAKE_UKI_LINUX, RAW_OFFSET), 4, 0x600, -EINVAL, "neither a kernel"},
		{SECTIONS, 2, 97, -EINVAL, "without a Linux kernel"},
		{SECTIONS, 2, 0, -EINVAL, "without a Linux kernel"},
		{0x40, 4, 0, -EINVAL, "without a Linux kernel"},
		{0x3c, 4, 0xfffffff0, -EINVAL, "without a Linux kernel"},
		{0x54, 2, 0xffff, -EINVAL, "without a Linux kernel"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_kernel image;
		struct boot *boot = NULL;
		char why[WHY_SIZE] = "";
		int error;

		fake_kernel_uki(&image);
		le_set(image.bytes + cases[i].off, cases[i].len, cases[i].value);
		error = fake_kernel_open(&image, image.size, RAM, &boot, why, sizeof(why));
		if (error != cases[i].error || !strstr(why, cases[i].says))
			print_message("%zu: %d, %s\n", i, error, why);
		assert_int_equal(error, cases[i].error);
		assert_non_null(strstr(why, cases[i].says));
		assert_null(boot);
	}
}

static void test_boot_uki_command_line_too_long(void **state)
{
	struct fake_file file;
	struct boot_config config = {.kernel = file.path};
	const size_t size = FAKE_KERNEL_MAX + 0x20000;
	struct fake_kernel image;
	struct boot *boot = NULL;
	char why[WHY_SIZE];
	uint8_t *bytes = calloc(1, size);

	(void)state;
	assert_non_null(bytes);
	fake_kernel_uki(&image);
	le32_set(image.bytes + SECTION(FAKE_UKI_CMDLINE, VIRTUAL_SIZE), 0x10001);
	le32_set(image.bytes + SECTION(FAKE_UKI_CMDLINE, RAW_SIZE), 0x10001);
	memcpy(bytes, image.bytes, image.size);
	fake_file_create(&file, bytes, size);
	assert_int_equal(boot_open(&config, RAM, &boot, why, sizeof(why)), -E2BIG);
	assert_non_null(strstr(why, "its command line has 65537 bytes"));
	fake_file_destroy(&file);
	/* shorter, but more than its kernel takes */
	memcpy(bytes + FAKE_KERNEL_MAX, image.bytes + FAKE_UKI_LINUX_OFF, 4096);
	le32_set(bytes + SECTION(FAKE_UKI_LINUX, RAW_OFFSET), FAKE_KERNEL_MAX);
	memcpy(bytes + SECTION(FAKE_UKI_INITRD, NAME), ".other", 7);
	memset(bytes + 0x400, 'x', 3000);
	le32_set(bytes + SECTION(FAKE_UKI_CMDLINE, VIRTUAL_SIZE), 3000);
	fake_file_create(&file, bytes, size);
	assert_int_equal(boot_open(&config, RAM, &boot, why, sizeof(why)), -E2BIG);
	assert_non_null(strstr(why, "its command line has 3000 characters"));
	fake_file_destroy(&file);
	free(bytes);
}

static void test_boot_uki_truncated(void **state)
{
	struct fake_kernel image;

	(void)state;
	fake_kernel_uki(&image);
	assert_int_equal(fake_boot_first_taken_truncation(&image), image.size);
}

static void test_boot_uki_any_byte(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct fake_kernel image;
	struct fake_boot_outcome outcome;

	(void)state;
	fake_kernel_uki(&image);
	outcome = fake_boot_try_bytes(&image, mem, 0, SECTION(4, 0));
	assert_true(outcome.loaded && outcome.refused);
	assert_int_equal(outcome.astray, 0);
	fake_mem_destroy(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_uki_parts),
		cmocka_unit_test(test_boot_uki_profiles),
		cmocka_unit_test(test_boot_uki_with_initrd_given),
		cmocka_unit_test(test_boot_uki_refuses),
		cmocka_unit_test(test_boot_uki_command_line_too_long),
		cmocka_unit_test(test_boot_uki_truncated),
		cmocka_unit_test(test_boot_uki_any_byte),
	};

	return cmocka_run_group_tests_name("boot_uki", tests, NULL, NULL);
}
