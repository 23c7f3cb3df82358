/*
 * What both kernel formats share: memory map, recognition, files that are no kernel, the initrd's
 * place, files that change. The formats' own tests are in test_boot_bzimage.c and test_boot_pvh.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake_kernel.h"
#include "tests/fake_mem.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/boot.h"

#define RAM (64 * MIB)
#define WHY_SIZE 512

static void test_boot_memory_map_follows_ram_size(void **state)
{
	static const struct {
		uint64_t ram;
		unsigned int count;
		struct boot_map_entry map[5];
	} cases[] = {
		{16 * MIB, 4, {{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2},
			       {0x100000, 15 * MIB, 1}, {0xe0000000, 64 * MIB, 2}}},
		{512 * MIB, 4, {{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2},
				{0x100000, 511 * MIB, 1}, {0xe0000000, 64 * MIB, 2}}},
		{3 * GIB, 4, {{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2},
			      {0x100000, 3071 * MIB, 1}, {0xe0000000, 64 * MIB, 2}}},
		{3 * GIB + 2 * MIB, 5, {{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2},
					{0x100000, 3071 * MIB, 1}, {0xe0000000, 64 * MIB, 2},
					{4 * GIB, 2 * MIB, 1}}},
		{4 * GIB, 5, {{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2}, {0x100000, 3071 * MIB, 1},
			      {0xe0000000, 64 * MIB, 2}, {4 * GIB, 1 * GIB, 1}}},
		{8 * GIB, 5, {{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2}, {0x100000, 3071 * MIB, 1},
			      {0xe0000000, 64 * MIB, 2}, {4 * GIB, 5 * GIB, 1}}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct boot_map_entry map[BOOT_E820_MAX];

		assert_int_equal(boot_memory_map(cases[i].ram, map), cases[i].count);
		for (unsigned int k = 0; k < cases[i].count; k++) {
			assert_int_equal(map[k].start, cases[i].map[k].start);
			assert_int_equal(map[k].size, cases[i].map[k].size);
			assert_int_equal(map[k].type, cases[i].map[k].type);
		}
	}
}

static void assert_refused(const struct boot_config *config, int error, const char *says)
{
	struct boot *boot = NULL;
	char why[WHY_SIZE] = "";
	int result = boot_open(config, RAM, &boot, why, sizeof(why));

	if (result != error || !strstr(why, says))
		fail_msg("returned %d (expected %d), said \"%s\" (expected \"%s\")", result, error,
			 why, says);
	assert_null(boot);
}

static void test_boot_names_what_is_no_kernel(void **state)
{
	static const struct {
		size_t size, off, len;
		const char *bytes, *says;
	} cases[] = {
		{64 * KIB, 32769, 5, "CD001", "a CD image"},
		{64 * KIB, 512, 8, "EFI PART", "a disk image (GPT) without"},
		{64 * KIB, 0, 4, "QFI\xfb", "a disk image (qcow2; qemu-img convert -O raw)"},
		{64 * KIB, 0, 4, "KDMV", "a disk image (VMDK;"},
		{64 * KIB, 0, 8, "vhdxfile", "a disk image (VHDX;"},
		{64 * KIB, 0, 8, "conectix", "a disk image (VHD;"},
		{64 * KIB, 1080, 2, "\x53\xef", "a file system image (ext2, ext3 or ext4)"},
		{64, 0, 2, "\x1f\x8b", "compressed with gzip (unpack it first)"},
		{64, 0, 4, "\x28\xb5\x2f\xfd", "compressed with zstd"},
		{64, 0, 5, "\xfd" "7zXZ", "compressed with xz"},
		{64, 0, 2, "MZ", "an EFI application without a Linux kernel in it"},
		{64, 56, 4, "ARM\x64", "a Linux kernel for arm64"},
		{64, 0, 6, "070701", "--initrd"},
		{64, 0, 4, "#!/b", "neither a kernel nor a disk that boots"},
		{1, 0, 1, "x", "neither a kernel nor a disk that boots"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t *bytes = calloc(1, cases[i].size);
		struct fake_file file;
		struct boot_config config = {.kernel = file.path};

		assert_non_null(bytes);
		memcpy(bytes + cases[i].off, cases[i].bytes, cases[i].len);
		fake_file_create(&file, bytes, cases[i].size);
		assert_refused(&config, -EINVAL, cases[i].says);
		assert_refused(&config, -EINVAL,
			       "supported are a Linux bzImage, a PVH ELF kernel, a unified");
		fake_file_destroy(&file);
		free(bytes);
	}
}

static void test_boot_kind_of_goes_by_content(void **state)
{
	static const struct {
		size_t size, off, len;
		const char *bytes;
		enum boot_kind kind;
	} cases[] = {
		{64 * KIB, 510, 2, "\x55\xaa", BOOT_KIND_DISK},
		{512, 510, 2, "\x55\xaa", BOOT_KIND_DISK},
		{64 * KIB, 0, 2, "MZ", BOOT_KIND_KERNEL},
		{511, 510, 1, "\x55", BOOT_KIND_UNKNOWN},
		{64 * KIB, 512, 8, "EFI PART", BOOT_KIND_UNKNOWN},
		{64 * KIB, 0, 4, "QFI\xfb", BOOT_KIND_UNKNOWN},
	};
	struct fake_kernel kernel;
	struct fake_file image;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t bytes[64 * KIB] = {0};

		memcpy(bytes + cases[i].off, cases[i].bytes, cases[i].len);
		fake_file_create(&image, bytes, cases[i].size);
		assert_int_equal(boot_kind_of(image.path), cases[i].kind);
		fake_file_destroy(&image);
	}
	/* A bzImage has the signature of a boot sector, too. */
	fake_kernel_bzimage(&kernel);
	fake_file_create(&image, kernel.bytes, kernel.size);
	assert_int_equal(boot_kind_of(image.path), BOOT_KIND_KERNEL);
	fake_file_destroy(&image);
	assert_int_equal(boot_kind_of("/nonexistent/image"), BOOT_KIND_UNKNOWN);
	assert_int_equal(boot_kind_of("/"), BOOT_KIND_UNKNOWN);
}

static void test_boot_refuses_what_is_no_file(void **state)
{
	char fifo[] = "/tmp/minivmm-test-boot-XXXXXX";
	struct fake_kernel kernel;
	struct fake_file good, empty;
	const struct {
		const char *path;
		int error;
		const char *says;
	} cases[] = {
		{"/nonexistent/kernel", -ENOENT, "/nonexistent/kernel: it cannot be opened"},
		{"/", -EINVAL, "it is a directory"},
		{"/dev/null", -EINVAL, "not a regular file"},
		{fifo, -EINVAL, "not a regular file"},
		{empty.path, -EINVAL, "the file is empty"},
	};

	(void)state;
	assert_non_null(mkdtemp(fifo));
	assert_int_equal(rmdir(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fake_file_create(&empty, NULL, 0);
	fake_kernel_pvh(&kernel, true);
	fake_file_create(&good, kernel.bytes, kernel.size);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct boot_config as_kernel = {.kernel = cases[i].path};
		struct boot_config as_initrd = {.kernel = good.path, .initrd = cases[i].path};

		assert_refused(&as_kernel, cases[i].error, cases[i].says);
		assert_refused(&as_kernel, cases[i].error, "guest ");
		assert_refused(&as_initrd, cases[i].error, cases[i].says);
		assert_refused(&as_initrd, cases[i].error, "initrd ");
	}
	unlink(fifo);
	fake_file_destroy(&good);
	fake_file_destroy(&empty);
}

/* The bzImage takes 16 to 18 MiB, the PVH kernel 1 MiB to 2 MiB + 12 KiB. */
static void test_boot_places_initrd_high_and_aligned(void **state)
{
	static const struct {
		bool is_pvh;
		uint64_t ram, size, initrd_addr_max;
		gpa_t gpa; /* 0: refused */
	} cases[] = {
		{false, 64 * MIB, 1, 0x7fffffff, 64 * MIB - 4096},
		{false, 64 * MIB, 4097, 0x7fffffff, 64 * MIB - 8192},
		{false, 64 * MIB, 46 * MIB, 0x7fffffff, 18 * MIB},
		{false, 64 * MIB, 46 * MIB + 1, 0x7fffffff, 0},
		{false, 32 * MIB, 15 * MIB, 0x7fffffff, 1 * MIB},
		{false, 32 * MIB, 15 * MIB + 1, 0x7fffffff, 0},
		{false, 4 * GIB, MIB, 0x7fffffff, 2 * GIB - MIB},
		{false, 8 * GIB, MIB, 0xffffffff, 3 * GIB - MIB},
		{false, 64 * MIB, MIB, 0x1ffffff, 31 * MIB},
		{false, 64 * MIB, MIB, 0x1ff0fff, 30 * MIB + 0xf1000},
		{false, 64 * MIB, MIB, 0x7fffff, 7 * MIB},
		{false, 64 * MIB, MIB, 0x1fffff, 1 * MIB},
		{false, 64 * MIB, MIB, 0x1ffffe, 0},
		{false, 64 * MIB, 4096, 0, 0},
		{false, 64 * MIB, 70 * MIB, 0x7fffffff, 0},
		{false, 64 * MIB, 1ULL << 62, 0x7fffffff, 0},
		{true, 64 * MIB, 4096, 0, 64 * MIB - 4096},
		{true, 8 * GIB, 5, 0, 3 * GIB - 4096},
		{true, 16 * MIB, 14 * MIB - 0x3000, 0, 2 * MIB + 0x3000},
		{true, 16 * MIB, 14 * MIB - 0x2fff, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mem *mem = fake_mem_create(cases[i].ram);
		struct boot *boot = NULL;
		struct boot_entry entry;
		struct fake_kernel image;
		struct fake_file kernel, initrd;
		struct boot_config config = {.kernel = kernel.path, .initrd = initrd.path};
		char why[WHY_SIZE] = "";
		int error;

		if (cases[i].is_pvh)
			fake_kernel_pvh(&image, true);
		else
			fake_kernel_bzimage(&image);
		if (!cases[i].is_pvh)
			le32_set(image.bytes + 0x22c, (uint32_t)cases[i].initrd_addr_max);
		fake_file_create(&kernel, image.bytes, image.size);
		fake_file_create(&initrd, NULL, cases[i].size);
		assert_int_equal(pwrite(initrd.fd, "initrd", 1, 0), 1);
		error = boot_open(&config, cases[i].ram, &boot, why, sizeof(why));
		assert_int_equal(error, cases[i].gpa ? 0 : -ENOSPC);
		if (error) {
			assert_non_null(strstr(why, initrd.path));
			assert_non_null(strstr(why, " MiB do not fit"));
		} else {
			error = boot_load(boot, mem, 0xe0000, &entry, why, sizeof(why));
			assert_int_equal(error, 0);
			assert_int_equal(*(char *)mem_hva(mem, cases[i].gpa, 1), 'i');
		}
		boot_close(boot);
		fake_file_destroy(&initrd);
		fake_file_destroy(&kernel);
		fake_mem_destroy(mem);
	}
}

static void test_boot_loads_again_after_reset(void **state)
{
	struct mem *mem = fake_mem_create(RAM);
	uint8_t *ram = mem_hva(mem, 0, RAM);
	struct boot_entry first, second;
	struct boot *boot = NULL;
	struct fake_kernel kernel;
	uint8_t *copy = malloc(4 * MIB);
	char why[WHY_SIZE];

	(void)state;
	fake_kernel_pvh(&kernel, true);
	assert_int_equal(fake_kernel_open(&kernel, kernel.size, RAM, &boot, why, sizeof(why)), 0);
	memset(ram + 0x200000, 0x55, FAKE_PVH_DATA_SIZE);
	assert_int_equal(boot_load(boot, mem, 0xe0000, &first, why, sizeof(why)), 0);
	memcpy(copy, ram, 4 * MIB);
	memset(ram + 0x6000, 0x55, 0x1000);
	memset(ram + 0x100000, 0x55, 0x80);
	memset(ram + 0x200000, 0x55, FAKE_PVH_DATA_SIZE);
	assert_int_equal(boot_load(boot, mem, 0xe0000, &second, why, sizeof(why)), 0);
	assert_memory_equal(ram + 0x6000, copy + 0x6000, sizeof(uint64_t) * 8);
	assert_memory_equal(ram + 0x100000, copy + 0x100000, 4 * MIB - 0x100000);
	assert_int_equal(second.rip, first.rip);
	assert_int_equal(second.rbx, first.rbx);
	boot_close(boot);
	free(copy);
	fake_mem_destroy(mem);
}

/* The file is cut between opening and loading: at any point it is an error, not a crash. */
static void test_boot_reports_a_file_that_shrank(void **state)
{
	static const size_t sizes[] = {0, 1, 0x2ff, 0x300, 0x3ff};
	struct mem *mem = fake_mem_create(RAM);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct boot_entry entry = {.rip = 42};
		struct boot *boot = NULL;
		struct fake_kernel kernel;
		struct fake_file file;
		struct boot_config config = {.kernel = file.path};
		char why[WHY_SIZE];

		fake_kernel_pvh(&kernel, true);
		fake_file_create(&file, kernel.bytes, kernel.size);
		assert_int_equal(boot_open(&config, RAM, &boot, why, sizeof(why)), 0);
		assert_int_equal(ftruncate(file.fd, (off_t)sizes[i]), 0);
		assert_int_equal(boot_load(boot, mem, 0xe0000, &entry, why, sizeof(why)), -EIO);
		assert_non_null(strstr(why, "the file changed"));
		assert_int_equal(entry.rip, 42);
		boot_close(boot);
		fake_file_destroy(&file);
	}
	fake_mem_destroy(mem);
}

static void test_boot_close_accepts_null(void **state)
{
	(void)state;
	boot_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_memory_map_follows_ram_size),
		cmocka_unit_test(test_boot_names_what_is_no_kernel),
		cmocka_unit_test(test_boot_kind_of_goes_by_content),
		cmocka_unit_test(test_boot_refuses_what_is_no_file),
		cmocka_unit_test(test_boot_places_initrd_high_and_aligned),
		cmocka_unit_test(test_boot_loads_again_after_reset),
		cmocka_unit_test(test_boot_reports_a_file_that_shrank),
		cmocka_unit_test(test_boot_close_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
