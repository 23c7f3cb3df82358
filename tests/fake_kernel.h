/*
 * Kernel images for tests of the boot loader: small synthetic ones that are right, to be made wrong
 * by the test, and files without a place in the file system.
 */
#ifndef TESTS_FAKE_KERNEL_H
#define TESTS_FAKE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boot;

#define FAKE_KERNEL_MAX 8192U
struct fake_kernel {
	uint8_t bytes[FAKE_KERNEL_MAX];
	size_t size;
};

/* 4 KiB: one setup sector, 3 KiB of code; prefers 16 MiB, unpacks in 2 MiB, relocatable. */
#define FAKE_BZIMAGE_CODE_OFF 1024U
void fake_kernel_bzimage(struct fake_kernel *kernel);

/*
 * ELF of either class. Program headers: notes (of another owner, then the PVH entry), code at
 * 1 MiB, data at 2 MiB with more bytes in memory than in the file. The file ends with the data.
 */
#define FAKE_PVH_NOTES 0 /* indices of the program headers */
#define FAKE_PVH_CODE 1
#define FAKE_PVH_DATA 2
#define FAKE_PVH_ENTRY 0x100010U
#define FAKE_PVH_DATA_SIZE 0x3000U
void fake_kernel_pvh(struct fake_kernel *kernel, bool is_64);

/*
 * A unified kernel image: a section nobody asks for, then .cmdline ("console=uki", a newline),
 * .initrd (500 bytes), and .linux, the bzImage above.
 */
#define FAKE_UKI_SECTIONS 0x158U /* the section table, entries of 40 bytes */
#define FAKE_UKI_OTHER 0         /* indices in it */
#define FAKE_UKI_CMDLINE 1
#define FAKE_UKI_INITRD 2
#define FAKE_UKI_LINUX 3
#define FAKE_UKI_INITRD_OFF 0x600U
#define FAKE_UKI_INITRD_SIZE 500U
#define FAKE_UKI_LINUX_OFF 0x800U
void fake_kernel_uki(struct fake_kernel *kernel);

/* A file that lives as long as `fd` is open; boot_open() can take its path. */
struct fake_file {
	int fd;
	char path[32];
};

/* `bytes` may be NULL: zeros. */
void fake_file_create(struct fake_file *file, const void *bytes, uint64_t size);
void fake_file_destroy(struct fake_file *file);

/* boot_open() of a file with the first `size` bytes of `kernel`, which stays open until the boot is
 * closed. On failure the sentence must have been written and be one line. */
int fake_kernel_open(const struct fake_kernel *kernel, size_t size, uint64_t ram_size,
		     struct boot **ret_boot, char *ret_why, size_t why_size);

#endif
