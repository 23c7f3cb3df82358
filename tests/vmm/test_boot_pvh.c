#include <elf.h>
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
#define NOTES 0x200
#define NOTE_XEN (NOTES + 24)

static void load(struct mem *mem, bool is_64, const char *initrd, const char *append,
		 struct boot_entry *ret_entry)
{
	struct fake_kernel kernel;

	fake_kernel_pvh(&kernel, is_64);
	fake_boot_load(&kernel, mem, initrd, append, ret_entry);
}

static void test_boot_pvh_loads_segments(void **state)
{
	(void)state;
	for (int is_64 = 0; is_64 < 2; is_64++) {
		struct mem *mem = fake_mem_create(RAM);
		uint8_t *ram = mem_hva(mem, 0, RAM);
		struct fake_kernel kernel;
		struct boot_entry entry;

		fake_kernel_pvh(&kernel, is_64);
		memset(ram + 0x100000, 0x55, 0x200000);
		load(mem, is_64, NULL, NULL, &entry);
		assert_memory_equal(ram + 0x100000, kernel.bytes + 0x300, 0x80);
		assert_int_equal(ram[0x100080], 0x55);
		assert_memory_equal(ram + 0x200000, kernel.bytes + 0x380, 0x80);
		for (size_t i = 0x80; i < FAKE_PVH_DATA_SIZE; i++)
			assert_int_equal(ram[0x200000 + i], 0);
		assert_int_equal(ram[0x200000 + FAKE_PVH_DATA_SIZE], 0x55);
		assert_int_equal(entry.mode, BOOT_PROTECTED_MODE);
		assert_int_equal(entry.rip, FAKE_PVH_ENTRY);
		assert_int_equal(entry.rbx, BOOT_PVH_INFO_START);
		assert_int_equal(le64_get(ram + BOOT_GDT_START + 0x10), 0x00cf9b000000ffff);
		fake_mem_destroy(mem);
	}
}

/* Offsets: Xen PVH, start_info.h, "struct hvm_start_info". */
static void test_boot_pvh_fills_start_info(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	uint8_t *ram = mem_hva(mem, 0, RAM);
	const uint8_t *info = ram + BOOT_PVH_INFO_START, *map;
	struct boot_entry entry;
	struct fake_file initrd;

	(void)state;
	load(mem, true, NULL, NULL, &entry);
	assert_int_equal(le32_get(info), 0x336ec578);
	assert_int_equal(le32_get(info + 4), 1);
	assert_int_equal(le32_get(info + 8), 0);
	assert_int_equal(le32_get(info + 12), 0);
	assert_int_equal(le64_get(info + 16), 0);
	assert_string_equal(ram + le64_get(info + 24), "");
	assert_int_equal(le64_get(info + 32), 0xe0010);
	map = ram + le64_get(info + 40);
	assert_int_equal(le32_get(info + 48), 4);
	assert_int_equal(le64_get(map + 2 * 24), 0x100000);
	assert_int_equal(le64_get(map + 2 * 24 + 8), RAM - 0x100000);
	assert_int_equal(le32_get(map + 2 * 24 + 16), 1);

	fake_file_create(&initrd, NULL, 5000);
	load(mem, true, initrd.path, "a=b", &entry);
	assert_int_equal(le32_get(info + 12), 1);
	assert_int_equal(le64_get(ram + le64_get(info + 16)), RAM - 8192);
	assert_int_equal(le64_get(ram + le64_get(info + 16) + 8), 5000);
	assert_string_equal(ram + le64_get(info + 24), "a=b");
	fake_file_destroy(&initrd);
	fake_mem_destroy(mem);
}

/* Fields of the ELF header, and of one program header when `header` is not -1. */
#define EHDR(field) -1, offsetof(Elf64_Ehdr, field), sizeof(((Elf64_Ehdr *)0)->field)
#define PHDR(index, field) index, offsetof(Elf64_Phdr, field), sizeof(((Elf64_Phdr *)0)->field)
#define AT(off, len) -1, off, len

static void test_boot_pvh_refuses_lies(void **state)
{
	static const struct {
		int header;
		size_t off, len;
		uint64_t value;
		int error;
		const char *says;
	} cases[] = {
		{AT(EI_CLASS, 1), 3, -EINVAL, "class 3"},
		{AT(EI_DATA, 1), ELFDATA2MSB, -EINVAL, "byte order 2"},
		{EHDR(e_machine), EM_AARCH64, -EINVAL, "machine 183; one for x86 is needed"},
		{EHDR(e_phentsize), 55, -EINVAL, "have 55 bytes each; 56 is right"},
		{EHDR(e_phnum), 0, -EINVAL, "0 ELF program headers"},
		{EHDR(e_phnum), 65, -EINVAL, "65 ELF program headers (e_phnum); 1 to 64"},
		{EHDR(e_phnum), PN_XNUM, -EINVAL, "65535 ELF program headers"},
		{EHDR(e_phnum), 1, -EINVAL, "in none of its 0 loaded segments"},
		{EHDR(e_phoff), 0x400 - 100, -EINVAL, "truncated"},
		{EHDR(e_phoff), UINT64_MAX, -EINVAL, "truncated"},
		{EHDR(e_phoff), 0x400, -EINVAL, "truncated"},
		{PHDR(FAKE_PVH_NOTES, p_type), PT_NULL, -EINVAL, "without a PVH entry point"},
		{PHDR(FAKE_PVH_NOTES, p_filesz), 0, -EINVAL, "without a PVH entry point"},
		{PHDR(FAKE_PVH_NOTES, p_filesz), 24 + 19, -EINVAL, "without a PVH entry point"},
		{PHDR(FAKE_PVH_NOTES, p_filesz), 24 + 11, -EINVAL, "without a PVH entry point"},
		{PHDR(FAKE_PVH_NOTES, p_filesz), 0x201, -EINVAL, "not in the file of 1024"},
		{PHDR(FAKE_PVH_NOTES, p_filesz), UINT64_MAX, -EINVAL, "its ELF notes"},
		{PHDR(FAKE_PVH_NOTES, p_offset), UINT64_MAX, -EINVAL, "its ELF notes"},
		{PHDR(FAKE_PVH_NOTES, p_align), 8, -EINVAL, "without a PVH entry point"},
		{AT(NOTES, 4), 0xffffffff, -EINVAL, "without a PVH entry point"},
		{AT(NOTES + 4, 4), 0xffffffff, -EINVAL, "without a PVH entry point"},
		{AT(NOTE_XEN, 4), 3, -EINVAL, "without a PVH entry point"},
		{AT(NOTE_XEN + 4, 4), 5, -EINVAL, "without a PVH entry point"},
		{AT(NOTE_XEN + 8, 4), 19, -EINVAL, "without a PVH entry point"},
		{AT(NOTE_XEN + 12, 1), 'x', -EINVAL, "without a PVH entry point"},
		{AT(NOTE_XEN + 16, 4), 0xfffff, -EINVAL, "0xfffff is in none of its 2 loaded"},
		{AT(NOTE_XEN + 16, 4), 0x100080, -EINVAL, "0x100080 is in none"},
		{PHDR(FAKE_PVH_CODE, p_filesz), 0x81, -EINVAL, "more bytes in the file (129)"},
		{PHDR(FAKE_PVH_CODE, p_offset), 0x381, -EINVAL, "truncated: a segment has 128"},
		{PHDR(FAKE_PVH_CODE, p_offset), UINT64_MAX, -EINVAL, "truncated: a segment"},
		{PHDR(FAKE_PVH_CODE, p_paddr), 0xff000, -EINVAL, "linked at 0xff000; from 1 MiB"},
		{PHDR(FAKE_PVH_CODE, p_paddr), 0, -EINVAL, "linked at 0x0"},
		{PHDR(FAKE_PVH_DATA, p_paddr), RAM, -ENOSPC, "the guest has 64 MiB of RAM"},
		{PHDR(FAKE_PVH_DATA, p_paddr), RAM - 0x2fff, -ENOSPC, "needs 1 MiB from 63 MiB"},
		{PHDR(FAKE_PVH_DATA, p_paddr), UINT64_MAX, -ENOSPC, "MiB"},
		{PHDR(FAKE_PVH_DATA, p_paddr), ECAM_START, -ENOSPC, "MiB"},
		{PHDR(FAKE_PVH_DATA, p_memsz), RAM, -ENOSPC, "needs 64 MiB from 2 MiB on"},
		{PHDR(FAKE_PVH_DATA, p_memsz), UINT64_MAX, -ENOSPC, "MiB"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t headers = cases[i].header < 0 ? 0 : sizeof(Elf64_Ehdr) +
				 (size_t)cases[i].header * sizeof(Elf64_Phdr);
		struct boot *boot = NULL;
		struct fake_kernel kernel;
		char why[WHY_SIZE];
		int error;

		fake_kernel_pvh(&kernel, true);
		le_set(kernel.bytes + headers + cases[i].off, (unsigned int)cases[i].len,
		       cases[i].value);
		error = fake_kernel_open(&kernel, kernel.size, RAM, &boot, why, sizeof(why));
		if (error != cases[i].error || !strstr(why, cases[i].says))
			fail_msg("case %zu: %d, %s", i, error, why);
		assert_null(boot);
	}
}

/* The entry may have eight bytes, and notes of an eight-byte-aligned segment are padded to it. */
static void test_boot_pvh_reads_wide_notes(void **state)
{
	struct boot *boot = NULL;
	struct fake_kernel kernel;
	char why[WHY_SIZE];
	uint8_t *note = kernel.bytes + NOTES;

	(void)state;
	fake_kernel_pvh(&kernel, true);
	memset(note, 0, 56);
	le32_set(note, 4);            /* a first note of 12 + 4 + 4 bytes, padded to 24 */
	le32_set(note + 4, 4);
	memcpy(note + 12, "GNU", 4);
	le32_set(note + 24, 4);
	le32_set(note + 28, 8);
	le32_set(note + 32, 18);
	memcpy(note + 36, "Xen", 4);
	le64_set(note + 40, FAKE_PVH_ENTRY);
	kernel.bytes[sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_align)] = 8;
	assert_int_equal(fake_kernel_open(&kernel, kernel.size, RAM, &boot, why, sizeof(why)), 0);
	boot_close(boot);
	le64_set(note + 40, FAKE_PVH_ENTRY + (1ULL << 32));
	assert_int_equal(fake_kernel_open(&kernel, kernel.size, RAM, &boot, why, sizeof(why)),
			 -EINVAL);
}

static void test_boot_pvh_survives_every_truncation(void **state)
{
	struct fake_kernel kernel;

	(void)state;
	for (int is_64 = 0; is_64 < 2; is_64++) {
		fake_kernel_pvh(&kernel, is_64);
		assert_int_equal(fake_boot_first_taken_truncation(&kernel), kernel.size);
	}
}

/* Headers and notes: refused, or loaded within RAM (ASan, UBSan). */
static void test_boot_pvh_survives_every_header_byte(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	struct fake_kernel kernel;

	(void)state;
	for (int is_64 = 0; is_64 < 2; is_64++) {
		struct fake_boot_outcome outcome;

		fake_kernel_pvh(&kernel, is_64);
		outcome = fake_boot_try_bytes(&kernel, mem, 0, 0x240);
		assert_true(outcome.loaded && outcome.refused);
		assert_int_equal(outcome.astray, 0);
	}
	fake_mem_destroy(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_pvh_loads_segments),
		cmocka_unit_test(test_boot_pvh_fills_start_info),
		cmocka_unit_test(test_boot_pvh_refuses_lies),
		cmocka_unit_test(test_boot_pvh_reads_wide_notes),
		cmocka_unit_test(test_boot_pvh_survives_every_truncation),
		cmocka_unit_test(test_boot_pvh_survives_every_header_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
