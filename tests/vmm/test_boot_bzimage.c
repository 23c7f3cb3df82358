#include <asm/bootparam.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
#define CODE_SIZE 3072U

/* Offsets in the file: Linux boot.rst, "The Real-Mode Kernel Header". */
#define SETUP_SECTS 0x1f1
#define SYSSIZE 0x1f4
#define JUMP_LENGTH 0x201
#define VERSION 0x206
#define LOADFLAGS 0x211
#define KERNEL_ALIGNMENT 0x230
#define RELOCATABLE 0x234
#define XLOADFLAGS 0x236
#define CMDLINE_SIZE 0x238
#define PAYLOAD_OFFSET 0x248
#define PAYLOAD_LENGTH 0x24c
#define PREF_ADDRESS 0x258
#define INIT_SIZE 0x260

static struct boot_params *load(struct mem *mem, const char *initrd, const char *append,
				struct boot_entry *ret_entry)
{
	struct fake_kernel kernel;

	fake_kernel_bzimage(&kernel);
	fake_boot_load(&kernel, mem, initrd, append, ret_entry);
	return mem_hva(mem, BOOT_ZERO_PAGE_START, sizeof(struct boot_params));
}

static void test_boot_bzimage_fills_boot_params(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct fake_file initrd;
	struct boot_entry entry;
	struct boot_params *params;

	(void)state;
	memset(mem_hva(mem, 0, EBDA_START), 0x55, EBDA_START);
	fake_file_create(&initrd, NULL, 5000);
	params = load(mem, initrd.path, "console=ttyS0 quiet", &entry);
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_int_equal(params->hdr.loadflags, LOADED_HIGH);
	assert_int_equal(params->hdr.version, 0x20f);
	assert_int_equal(params->hdr.code32_start, 0x1000000);
	assert_int_equal(params->hdr.cmd_line_ptr, BOOT_CMDLINE_START);
	assert_string_equal(mem_hva(mem, BOOT_CMDLINE_START, 32), "console=ttyS0 quiet");
	assert_int_equal(params->hdr.ramdisk_image, RAM - 8192);
	assert_int_equal(params->hdr.ramdisk_size, 5000);
	assert_int_equal(params->ext_ramdisk_image, 0);
	assert_int_equal(params->ext_ramdisk_size, 0);
	assert_int_equal(params->hdr.setup_data, 0);
	assert_int_equal(params->acpi_rsdp_addr, 0xe0010);
	assert_int_equal(params->e820_entries, 4);
	assert_int_equal(params->e820_table[2].addr, 0x100000);
	assert_int_equal(params->e820_table[2].size, RAM - 0x100000);
	assert_int_equal(params->e820_table[2].type, 1);
	fake_file_destroy(&initrd);
	fake_mem_destroy(mem);
}

/* Nothing but the setup header comes from the file: the kernel would take the rest for real. */
static void test_boot_bzimage_copies_only_the_header(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct boot_entry entry;
	struct boot_params *params = load(mem, NULL, NULL, &entry);
	const uint8_t *bytes = (const uint8_t *)params;

	(void)state;
	assert_int_equal(params->sentinel, 0);
	for (size_t i = 0x78; i < 0x1f1; i++)
		assert_int_equal(bytes[i], i == 0x1e8 ? 4 : 0);
	for (size_t i = 0x26c; i < 0x2d0; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(params->hdr.ramdisk_image, 0);
	assert_int_equal(params->hdr.ramdisk_size, 0);
	assert_string_equal(mem_hva(mem, BOOT_CMDLINE_START, 1), "");
	fake_mem_destroy(mem);
}

static void test_boot_bzimage_enters_long_mode(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct fake_kernel kernel;
	struct boot_entry entry;
	const uint8_t *gdt = mem_hva(mem, BOOT_GDT_START, 32);

	(void)state;
	load(mem, NULL, NULL, &entry);
	assert_int_equal(entry.mode, BOOT_LONG_MODE);
	assert_int_equal(entry.rip, 0x1000200);
	assert_int_equal(entry.rsi, BOOT_ZERO_PAGE_START);
	assert_int_equal(entry.cr3, BOOT_PAGE_TABLES_START);
	assert_int_equal(entry.gdt, BOOT_GDT_START);
	assert_int_equal(entry.gdt_limit, 31);
	assert_int_equal(le64_get(gdt), 0);
	assert_int_equal(le64_get(gdt + 0x10), 0x00af9b000000ffff);
	assert_int_equal(le64_get(gdt + 0x18), 0x00cf93000000ffff);
	fake_kernel_bzimage(&kernel);
	assert_memory_equal(mem_hva(mem, 0x1000000, CODE_SIZE),
			    kernel.bytes + FAKE_BZIMAGE_CODE_OFF, CODE_SIZE);
	fake_mem_destroy(mem);
}

/* Walks the tables as the CPU does. */
static void test_boot_bzimage_maps_4_gib_one_to_one(void **state)
{
	static const uint64_t addresses[] = {0, 0x1000200, 0x3fffffff, 0x40000000, 0xbfffffff,
					     0xe0000000, 0xfee00000, 0xffffffff};
	struct mem *mem = fake_mem_create(RAM);
	struct boot_entry entry;

	(void)state;
	load(mem, NULL, NULL, &entry);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		uint64_t table = entry.cr3, pte = 0;

		for (unsigned int shift = 39; shift >= 21; shift -= 9) {
			const uint8_t *hva = mem_hva(mem, table, 4096);

			pte = le64_get(hva + 8 * (addresses[i] >> shift & 511));
			assert_int_equal(pte & 3, 3);
			table = pte & ~0xfffULL;
		}
		assert_int_equal(pte & 0x80, 0x80);
		assert_int_equal(table, align_down(addresses[i], 2 * MIB));
	}
	assert_int_equal(le64_get(mem_hva(mem, entry.cr3 + 8, 8)), 0);
	fake_mem_destroy(mem);
}

static void test_boot_bzimage_checks_command_line_length(void **state)
{
	static const struct {
		uint32_t cmdline_size;
		size_t len;
		int error;
	} cases[] = {
		{0, 0, 0}, {0, 1, -E2BIG}, {2047, 2047, 0}, {2047, 2048, -E2BIG},
		{0xffffffff, 65535, 0}, {0xffffffff, 65536, -E2BIG},
	};
	static char text[70000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mem *mem = fake_mem_create(RAM);
		struct boot *boot = NULL;
		struct boot_entry entry;
		struct fake_kernel kernel;
		struct fake_file file;
		struct boot_config config = {.kernel = file.path, .append = text};
		char why[WHY_SIZE] = "--append";

		fake_kernel_bzimage(&kernel);
		le32_set(kernel.bytes + CMDLINE_SIZE, cases[i].cmdline_size);
		memset(text, 'a', sizeof(text));
		text[cases[i].len] = 0;
		fake_file_create(&file, kernel.bytes, kernel.size);
		assert_int_equal(boot_open(&config, RAM, &boot, why, sizeof(why)), cases[i].error);
		assert_non_null(strstr(why, "--append"));
		if (boot) {
			assert_int_equal(boot_load(boot, mem, 0, &entry, why, sizeof(why)), 0);
			assert_string_equal(mem_hva(mem, BOOT_CMDLINE_START, BOOT_CMDLINE_MAX),
					    text);
		}
		boot_close(boot);
		fake_file_destroy(&file);
		fake_mem_destroy(mem);
	}
}

static void test_boot_bzimage_places_the_kernel(void **state)
{
	static const struct {
		uint64_t ram, pref_address;
		uint32_t init_size, alignment;
		uint8_t relocatable;
		uint64_t rip; /* 0: refused with -ENOSPC */
	} cases[] = {
		{64 * MIB, 0x1000000, 0x200000, 0x200000, 1, 0x1000200},
		{18 * MIB, 0x1000000, 0x200000, 0x200000, 1, 0x1000200},
		{18 * MIB, 0x1000000, 0x200001, 0x200000, 1, 0x200200},
		{18 * MIB, 0x1000000, 0x200001, 0x200000, 0, 0},
		{18 * MIB, 0x1000000, 0x1000000, 0x200000, 1, 0x200200},
		{18 * MIB, 0x1000000, 0x1000001, 0x200000, 1, 0},
		{64 * MIB, 0x1000000, 0, 0x200000, 1, 0x1000200},
		{64 * MIB, 0x1000000, 0xffffffff, 0x200000, 1, 0},
		{8 * GIB, 0x1000000, 0xffffffff, 0x200000, 1, 0},
		{64 * MIB, 0xe0000000, 0x200000, 0x200000, 1, 0x200200},
		{64 * MIB, 0xe0000000, 0x200000, 0x200000, 0, 0},
		{8 * GIB, 4 * GIB, 0x200000, 0x200000, 0, 0},
		{8 * GIB, 0xbfe00000, 0x200000, 0x200000, 0, 0xbfe00200},
		{64 * MIB, 0xfffffffffff00000, 0x200000, 0x100000, 0, 0},
		{64 * MIB, 0xffffffffffe00000, 0x200000, 0x200000, 1, 0x200200},
		{64 * MIB, 0x80000, 0x200000, 0x1000, 1, 0x100200},
		{64 * MIB, 0x80000, 0x200000, 0x1000, 0, 0},
		{64 * MIB, 0, 0x200000, 0x200000, 0, 0x100200},
		{64 * MIB, 0, 0x200000, 0x80000000, 1, 0x100200},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mem *mem = fake_mem_create(cases[i].ram);
		struct boot *boot = NULL;
		struct fake_kernel kernel;
		struct boot_entry entry = {0};
		char why[WHY_SIZE];
		int error;

		fake_kernel_bzimage(&kernel);
		le64_set(kernel.bytes + PREF_ADDRESS, cases[i].pref_address);
		le32_set(kernel.bytes + INIT_SIZE, cases[i].init_size);
		le32_set(kernel.bytes + KERNEL_ALIGNMENT, cases[i].alignment);
		kernel.bytes[RELOCATABLE] = cases[i].relocatable;
		error = fake_kernel_open(&kernel, kernel.size, cases[i].ram, &boot, why,
					 sizeof(why));
		if (error != (cases[i].rip ? 0 : -ENOSPC))
			fail_msg("case %zu: %d, %s", i, error, why);
		if (error) {
			assert_non_null(strstr(why, "MiB"));
		} else {
			assert_int_equal(boot_load(boot, mem, 0, &entry, why, sizeof(why)), 0);
			assert_int_equal(entry.rip, cases[i].rip);
		}
		boot_close(boot);
		fake_mem_destroy(mem);
	}
}

static void test_boot_bzimage_refuses_lies(void **state)
{
	static const struct {
		uint16_t off;
		uint8_t len;
		uint64_t value;
		const char *says;
	} cases[] = {
		{VERSION, 2, 0x20b, "boot protocol 2.11; 2.12 (Linux 3.8) or newer is needed"},
		{VERSION, 2, 0, "boot protocol 0.0"},
		{LOADFLAGS, 1, 0, "a zImage"},
		{XLOADFLAGS, 2, 0x7e, "a 32-bit Linux kernel"},
		{JUMP_LENGTH, 1, 0, "ends at 0x202; 0x264 to 0x290 is possible"},
		{JUMP_LENGTH, 1, 0x61, "ends at 0x263"},
		{JUMP_LENGTH, 1, 0x8f, "ends at 0x291"},
		{JUMP_LENGTH, 1, 0xff, "ends at 0x301"},
		{SETUP_SECTS, 1, 7, "starts at byte 4096, and the file has 4096"},
		{SETUP_SECTS, 1, 255, "starts at byte 131072"},
		{SETUP_SECTS, 1, 6, "truncated"},
		{SYSSIZE, 4, 193, "syssize says 3088 bytes of code, and the file has 3072"},
		{SYSSIZE, 4, 0xffffffff, "syssize says 68719476720 bytes"},
		{PAYLOAD_OFFSET, 4, 0x301, "its payload (2304 bytes at 769)"},
		{PAYLOAD_OFFSET, 4, 0xffffffff, "its payload"},
		{PAYLOAD_LENGTH, 4, 0xffffffff, "its payload"},
		{KERNEL_ALIGNMENT, 4, 0, "kernel_alignment 0x0 is not a power of two"},
		{KERNEL_ALIGNMENT, 4, 0x200001, "kernel_alignment 0x200001"},
		{KERNEL_ALIGNMENT, 4, 256, "kernel_alignment 0x100"},
		{PREF_ADDRESS, 8, 0x1000001, "pref_address 0x1000001 is not a multiple"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct boot *boot = NULL;
		struct fake_kernel kernel;
		char why[WHY_SIZE];
		int error;

		fake_kernel_bzimage(&kernel);
		le_set(kernel.bytes + cases[i].off, cases[i].len, cases[i].value);
		error = fake_kernel_open(&kernel, kernel.size, RAM, &boot, why, sizeof(why));
		if (error != -EINVAL || !strstr(why, cases[i].says))
			fail_msg("case %zu: %d, %s", i, error, why);
		assert_null(boot);
	}
}

/* Old setup code: 0 sectors means 4. */
static void test_boot_bzimage_takes_zero_sectors_for_four(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct boot *boot = NULL;
	struct boot_entry entry;
	struct fake_kernel kernel;
	char why[WHY_SIZE];

	(void)state;
	fake_kernel_bzimage(&kernel);
	kernel.bytes[SETUP_SECTS] = 0;
	le32_set(kernel.bytes + SYSSIZE, (4096 - 5 * 512) / 16);
	le32_set(kernel.bytes + PAYLOAD_LENGTH, 16);
	assert_int_equal(fake_kernel_open(&kernel, kernel.size, RAM, &boot, why, sizeof(why)), 0);
	assert_int_equal(boot_load(boot, mem, 0, &entry, why, sizeof(why)), 0);
	assert_memory_equal(mem_hva(mem, 0x1000000, 1536), kernel.bytes + 5 * 512, 1536);
	boot_close(boot);
	fake_mem_destroy(mem);
}

static void test_boot_bzimage_survives_every_truncation(void **state)
{
	struct fake_kernel kernel;

	(void)state;
	fake_kernel_bzimage(&kernel);
	assert_int_equal(fake_boot_first_taken_truncation(&kernel), kernel.size);
}

/* Refused, or loaded within RAM (ASan, UBSan). */
static void test_boot_bzimage_survives_every_header_byte(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct fake_boot_outcome outcome;
	struct fake_kernel kernel;

	(void)state;
	fake_kernel_bzimage(&kernel);
	outcome = fake_boot_try_bytes(&kernel, mem, SETUP_SECTS, 0x270);
	assert_true(outcome.loaded && outcome.refused);
	assert_int_equal(outcome.astray, 0);
	fake_mem_destroy(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_bzimage_fills_boot_params),
		cmocka_unit_test(test_boot_bzimage_copies_only_the_header),
		cmocka_unit_test(test_boot_bzimage_enters_long_mode),
		cmocka_unit_test(test_boot_bzimage_maps_4_gib_one_to_one),
		cmocka_unit_test(test_boot_bzimage_checks_command_line_length),
		cmocka_unit_test(test_boot_bzimage_places_the_kernel),
		cmocka_unit_test(test_boot_bzimage_refuses_lies),
		cmocka_unit_test(test_boot_bzimage_takes_zero_sectors_for_four),
		cmocka_unit_test(test_boot_bzimage_survives_every_truncation),
		cmocka_unit_test(test_boot_bzimage_survives_every_header_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
