/*
 * What the files of the boot loader share among themselves; others include "vmm/boot.h" only.
 *
 * A format's parse() reads and checks the headers once, at boot_open(), and keeps what boot_load()
 * needs: all numbers used there were checked, whatever becomes of the file later. The image itself
 * is never held in memory nor mapped (a file that shrinks would then kill the program): it is read
 * straight into guest RAM.
 */
#ifndef VMM_BOOT_INTERNAL_H
#define VMM_BOOT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/bits.h"
#include "vmm/base/range.h"
#include "vmm/boot.h"
#include "vmm/layout.h"

#define BOOT_HEAD_SIZE 1024U /* a format is recognised in so many bytes */
#define BOOT_SEGMENTS_MAX 64U
#define BOOT_SETUP_HEADER_MAX 0x9fU /* 0x1f1 to 0x290 of boot_params: all the room that there is */

struct mem;

/* Where the sentence for the user goes. */
struct boot_why {
	char *text;
	size_t size;
};

/* For "%llu" and "%llx". */
static inline unsigned long long ull(uint64_t value)
{
	return value;
}

/* Rounded up: that much is needed. */
static inline unsigned long long mib(uint64_t size)
{
	return size / MIB + (size % MIB != 0);
}

/* --- boot_file.c --- */

struct boot_file {
	const char *role; /* "kernel" or "initrd", for messages */
	char *path;
	int fd;           /* -1: no file */
	uint64_t start;   /* where what counts begins in the file, see boot_uki.c */
	uint64_t size;    /* of what counts, when it was opened */
};

/* Writes the sentence, which begins with the file it is about (NULL: none), returns `error`. */
int boot_refuse(const struct boot_file *file, struct boot_why why, int error, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Opens a regular file that is not empty. 0, or negative errno and a sentence. */
int boot_file_open(struct boot_file *file, const char *role, const char *path,
		   struct boot_why why);
void boot_file_close(struct boot_file *file);

/* `part` of `whole`, inside which it lies, as a file of its own. 0, or negative errno and a
 * sentence. */
int boot_file_part(const struct boot_file *whole, const char *role, struct range part,
		   struct boot_file *ret_part, struct boot_why why);

/* Reads exactly `size` bytes. -EIO (a sentence is written) when the file became shorter. */
int boot_file_read(const struct boot_file *file, void *buffer, uint64_t size, uint64_t off,
		   struct boot_why why);
/* The same, into guest RAM. */
int boot_file_load(const struct boot_file *file, struct mem *mem, gpa_t gpa, uint64_t size,
		   uint64_t off, struct boot_why why);

/* Refuses a kernel of no format that we boot; says what it seems to be. Returns -EINVAL, or the
 * error of a failed read. */
int boot_file_refuse_foreign(const struct boot_file *file, struct boot_why why);

/* What a refusal ends with. */
#define BOOT_SUPPORTED                                                                            \
	"supported are a Linux bzImage, a PVH ELF kernel, a unified kernel image and a raw disk " \
	"image with a boot sector"

/* --- formats --- */

struct boot_segment {
	uint64_t off, file_size; /* in the kernel file */
	gpa_t gpa;
	uint64_t size;           /* >= file_size; the rest is zero */
};

struct boot_format {
	bool (*recognise)(const uint8_t head[BOOT_HEAD_SIZE]);
	/* Fills boot->segment, span, initrd_end, cmdline_max and the format's own fields. */
	int (*parse)(struct boot *boot, const uint8_t head[BOOT_HEAD_SIZE], struct boot_why why);
	/* Writes what the kernel is told into low RAM, at whose first byte `low` points; image,
	 * initrd and command line are in place already. Fills mode, rip and rsi or rbx. */
	void (*inform)(const struct boot *boot, uint8_t *low, gpa_t rsdp,
		       struct boot_entry *ret_entry);
};

extern const struct boot_format boot_bzimage, boot_pvh;

/*
 * boot_uki.c: if the kernel's file is a unified kernel image (`*ret_opened`), makes its parts the
 * kernel, the initrd, and the command line if the user gave none. 0, or negative errno and a
 * sentence.
 */
int boot_uki_open(struct boot *boot, const uint8_t head[BOOT_HEAD_SIZE], bool *ret_opened,
		  struct boot_why why);

struct boot {
	const struct boot_format *format;
	struct boot_file kernel, initrd;
	char *append;               /* never NULL once it is open */
	bool own_append;            /* it is the unified image's own */
	uint64_t ram_size;
	gpa_t low_end;              /* of RAM below the MMIO hole */

	struct range span;          /* what the kernel occupies, or needs to unpack itself */
	gpa_t initrd_end;           /* the initrd must lie below */
	uint64_t cmdline_max;       /* longest command line, without its zero */
	gpa_t initrd_gpa;
	unsigned int segments;
	struct boot_segment segment[BOOT_SEGMENTS_MAX];

	uint32_t entry;                                /* PVH: gpa of the first instruction */
	uint8_t setup_header[BOOT_SETUP_HEADER_MAX];   /* bzImage, from offset 0x1f1 */
	size_t setup_header_size;
};

#endif
