#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/boot_internal.h"
#include "vmm/mem.h"
#include "vmm/mem_fault.h"

#define READ_CHUNK (64 * MIB)
#define MAGIC_MAX 8
#define NO_MBR "a disk image (GPT) without the boot sector that protects it"
#define CONVERT "qemu-img convert -O raw)"

/*
 * What people hand over that is no kernel, by its first match. An image can carry several marks
 * (a CD image also has a partition table), so the more telling ones come first.
 */
static const struct {
	uint64_t off;
	size_t len;
	char magic[MAGIC_MAX];
	const char *what; /* and what would work, where there is something */
} foreign[] = {
	{32769, 5, "CD001", "a CD image (ISO 9660)"},
	{512, 8, {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'}, NO_MBR},
	{4096, 8, {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'}, NO_MBR},
	{0, 4, "QFI\xfb", "a disk image (qcow2; " CONVERT},
	{0, 4, "KDMV", "a disk image (VMDK; " CONVERT},
	{0, 8, {'v', 'h', 'd', 'x', 'f', 'i', 'l', 'e'}, "a disk image (VHDX; " CONVERT},
	{0, 8, {'c', 'o', 'n', 'e', 'c', 't', 'i', 'x'}, "a disk image (VHD; " CONVERT},
	{56, 4, "ARM\x64", "a Linux kernel for arm64"},
	{0, 2, "\x1f\x8b", "a file compressed with gzip (unpack it first)"},
	{0, 4, "\x28\xb5\x2f\xfd", "a file compressed with zstd (unpack it first)"},
	{0, 5, "\xfd" "7zXZ", "a file compressed with xz (unpack it first)"},
	{0, 4, "\x04\x22\x4d\x18", "a file compressed with lz4 (unpack it first)"},
	{0, 3, "BZh", "a file compressed with bzip2 (unpack it first)"},
	{0, 6, "070701", "an initial RAM disk (give it with --initrd)"},
	{0, 2, "MZ", "an EFI application without a Linux kernel in it"},
	{1080, 2, "\x53\xef", "a file system image (ext2, ext3 or ext4)"},
	{0, 4, "hsqs", "a file system image (squashfs)"},
};

int boot_refuse(const struct boot_file *file, struct boot_why why, int error, const char *fmt, ...)
{
	char sentence[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	if (file)
		snprintf(why.text, why.size, "%s %s: %s", file->role, file->path, sentence);
	else
		snprintf(why.text, why.size, "%s", sentence);
	return error;
}

static const char *kind_of(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISBLK(mode))
		return "a disk";
	return "not a regular file";
}

/* A FIFO must not make us wait for its writer, nor a terminal become ours. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int check_kind(struct boot_file *file, struct boot_why why)
{
	struct stat status;

	if (fstat(file->fd, &status) < 0) {
		int error = errno;

		return boot_refuse(file, why, -error, "%s", strerror(error));
	}
	if (!S_ISREG(status.st_mode))
		return boot_refuse(file, why, -EINVAL, "it is %s, and only a file can be loaded",
				   kind_of(status.st_mode));
	if (!status.st_size)
		return boot_refuse(file, why, -EINVAL, "the file is empty");
	file->size = (uint64_t)status.st_size;
	return 0;
}

int boot_file_open(struct boot_file *file, const char *role, const char *path,
		   struct boot_why why)
{
	int error;

	*file = (struct boot_file){.role = role, .path = strdup(path), .fd = -1};
	if (!file->path)
		return boot_refuse(NULL, why, -ENOMEM, "out of memory");
	file->fd = open(path, OPEN_FLAGS);
	if (file->fd < 0) {
		error = errno;
		boot_refuse(file, why, -error, "it cannot be opened: %s", strerror(error));
		error = -error;
	} else {
		error = check_kind(file, why);
	}
	if (error)
		boot_file_close(file);
	return error;
}

int boot_file_part(const struct boot_file *whole, const char *role, struct range part,
		   struct boot_file *ret_part, struct boot_why why)
{
	struct boot_file file = {
		.role = role, .path = strdup(whole->path),
		.fd = fcntl(whole->fd, F_DUPFD_CLOEXEC, 0),
		.start = whole->start + part.start, .size = part.size,
	};

	if (!file.path || file.fd < 0) {
		boot_file_close(&file);
		return boot_refuse(NULL, why, -ENOMEM, "out of memory or file descriptors");
	}
	*ret_part = file;
	return 0;
}

void boot_file_close(struct boot_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	*file = (struct boot_file){.fd = -1};
}

int boot_file_read(const struct boot_file *file, void *buffer, uint64_t size, uint64_t off,
		   struct boot_why why)
{
	uint8_t *bytes = buffer;

	while (size) {
		ssize_t got = pread(file->fd, bytes, size < READ_CHUNK ? size : READ_CHUNK,
				    (off_t)(file->start + off));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int error = errno;

			/* Straight into the guest's memory. */
			return boot_refuse(file, why, -error, "it cannot be read: %s",
					   error == EFAULT ? MEM_FAULT_SENTENCE
							   : strerror(error));
		}
		if (!got)
			return boot_refuse(file, why, -EIO, "the file changed: it ends at byte "
					   "%llu, and had %llu bytes when it was opened", ull(off),
					   ull(file->size));
		bytes += got;
		off += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return 0;
}

int boot_file_load(const struct boot_file *file, struct mem *mem, gpa_t gpa, uint64_t size,
		   uint64_t off, struct boot_why why)
{
	void *hva = mem_hva(mem, gpa, size);

	if (!hva)
		return boot_refuse(file, why, -ENOSPC, "0x%llx bytes at 0x%llx are not all RAM",
				   ull(size), ull(gpa));
	return boot_file_read(file, hva, size, off, why);
}

int boot_file_refuse_foreign(const struct boot_file *file, struct boot_why why)
{
	const char *what = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(foreign) && !what; i++) {
		char magic[MAGIC_MAX];
		int error;

		if (!range_fits(file->size, foreign[i].off, foreign[i].len))
			continue;
		error = boot_file_read(file, magic, foreign[i].len, foreign[i].off, why);
		if (error)
			return error;
		if (!memcmp(magic, foreign[i].magic, foreign[i].len))
			what = foreign[i].what;
	}
	return boot_refuse(file, why, -EINVAL, "it seems to be %s; " BOOT_SUPPORTED,
			   what ? what : "neither a kernel nor a disk that boots");
}
