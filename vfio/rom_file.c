#include "vfio/rom_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/range.h"

#define PAGE_LEN 4096U
#define SIZE_MIN 2048U
#define UNIT 512U

/* PCI 3.0, 6.3.1.1 PCI Expansion ROM Header Format */
#define HEADER_SIGNATURE 0x00
#define   SIGNATURE 0xaa55
#define HEADER_DATA 0x18 /* where the data structure is, from the image's start */
#define HEADER_LEN 0x1aU

/* PCI 3.0, 6.3.1.2 PCI Data Structure Format; the list: PCI Firmware 3.0, PCI Data Structure */
#define DATA_VENDOR 0x04
#define DATA_DEVICE 0x06
#define DATA_DEVICE_LIST 0x08 /* from the structure's start; 0: none. From revision 3 on */
#define DATA_REVISION 0x0c
#define   REVISION_WITH_LIST 3
#define DATA_IMAGE_LENGTH 0x10 /* units of 512 bytes */
#define DATA_INDICATOR 0x15
#define   INDICATOR_LAST 0x80
#define DATA_LEN 0x18U

struct image {
	size_t off, size; /* in the file */
	size_t data;      /* its data structure, in the file */
};

/* --- the chain --- */

static int refuse(char *ret_why, size_t why_size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(char *ret_why, size_t why_size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ret_why, why_size, fmt, args);
	va_end(args);
	return -EINVAL;
}

static int find_image(const uint8_t *bytes, size_t size, size_t off, struct image *ret_image,
		      char *ret_why, size_t why_size)
{
	size_t data, len;

	if (!range_fits(size, off, HEADER_LEN) ||
	    le16_get(bytes + off + HEADER_SIGNATURE) != SIGNATURE)
		return refuse(ret_why, why_size, "no image of an expansion ROM (55 aa) at 0x%zx%s",
			      off, off ? ", and the one before is not marked as the last" : "; a "
			      "dump may have a header of its tool's, to be cut off");
	data = off + le16_get(bytes + off + HEADER_DATA);
	if (!range_fits(size, data, DATA_LEN) || memcmp(bytes + data, "PCIR", 4))
		return refuse(ret_why, why_size, "the image at 0x%zx has no PCI data structure "
			      "(PCIR): this is no ROM of a PCI device", off);
	len = (size_t)UNIT * le16_get(bytes + data + DATA_IMAGE_LENGTH);
	if (!len)
		return refuse(ret_why, why_size, "the image at 0x%zx has no length", off);
	if (!range_fits(size, off, len))
		return refuse(ret_why, why_size, "the image at 0x%zx has %zu bytes, more than are "
			      "in the file: it was cut off", off, len);
	if (!range_fits(off + len, data, DATA_LEN))
		return refuse(ret_why, why_size, "the image at 0x%zx ends within its PCI data "
			      "structure", off);
	*ret_image = (struct image){.off = off, .size = len, .data = data};
	return 0;
}

static bool is_last(const uint8_t *bytes, const struct image *image)
{
	return bytes[image->data + DATA_INDICATOR] & INDICATOR_LAST;
}

int rom_check(const uint8_t *bytes, size_t len, char *ret_why, size_t why_size)
{
	struct image image = {.size = 0};
	int error;

	do {
		error = find_image(bytes, len, image.off + image.size, &image, ret_why, why_size);
	} while (!error && !is_last(bytes, &image));
	return error;
}

static bool image_is_for(const uint8_t *bytes, const struct image *image, uint16_t vendor,
			 uint16_t device)
{
	const uint8_t *data = bytes + image->data;
	size_t end = image->off + image->size;
	uint16_t list = le16_get(data + DATA_DEVICE_LIST);

	if (le16_get(data + DATA_VENDOR) != vendor)
		return false;
	if (le16_get(data + DATA_DEVICE) == device)
		return true;
	if (data[DATA_REVISION] < REVISION_WITH_LIST || !list)
		return false;
	for (size_t at = image->data + list; range_fits(end, at, 2); at += 2) {
		if (!le16_get(bytes + at))
			return false;
		if (le16_get(bytes + at) == device)
			return true;
	}
	return false;
}

bool rom_is_for(const struct rom_file *rom, uint16_t vendor, uint16_t device)
{
	struct image image = {.size = 0};
	char why[128];

	do {
		if (find_image(rom->bytes, rom->len, image.off + image.size, &image, why,
			       sizeof(why)))
			return false;
		if (image_is_for(rom->bytes, &image, vendor, device))
			return true;
	} while (!is_last(rom->bytes, &image));
	return false;
}

/* --- the file --- */

uint8_t *rom_alloc(size_t size)
{
	void *bytes;

	size = align_up(size, PAGE_LEN);
	if (posix_memalign(&bytes, PAGE_LEN, size))
		return NULL;
	memset(bytes, 0xff, size);
	return bytes;
}

/* A FIFO must not make us wait. */
static int open_file(const char *path, size_t *ret_size, char *ret_why, size_t why_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	int error = 0;

	if (fd < 0 || fstat(fd, &status)) {
		error = -errno;
		refuse(ret_why, why_size, "%s: %s", path, strerror(errno));
	} else if (!S_ISREG(status.st_mode)) {
		error = refuse(ret_why, why_size, "%s: not a regular file; \"cat .../rom\" of a "
			       "device in sysfs makes one", path);
	} else if (status.st_size > ROM_FILE_MAX) {
		error = refuse(ret_why, why_size, "%s: %lld bytes; an expansion ROM has 16 MiB at "
			       "most", path, (long long)status.st_size);
	}
	if (!error) {
		*ret_size = (size_t)status.st_size;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return error;
}

static int read_file(const char *path, int fd, uint8_t *bytes, size_t size, char *ret_why,
		     size_t why_size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, bytes + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int error = n ? -errno : -EIO;

			refuse(ret_why, why_size, "%s: cannot be read: %s", path,
			       n ? strerror(-error) : "it became shorter meanwhile");
			return error;
		}
		done += (size_t)n;
	}
	return 0;
}

static int check_file(const char *path, const struct rom_file *rom, char *ret_why, size_t why_size)
{
	char why[192];
	int error = rom_check(rom->bytes, rom->len, why, sizeof(why));

	return error ? refuse(ret_why, why_size, "%s: %s", path, why) : 0;
}

int rom_file_read(const char *path, struct rom_file *ret_rom, char *ret_why, size_t why_size)
{
	struct rom_file rom = {.size = SIZE_MIN};
	int fd = open_file(path, &rom.len, ret_why, why_size);
	int error;

	if (fd < 0)
		return fd;
	while (rom.size < rom.len)
		rom.size *= 2;
	rom.bytes = rom_alloc(rom.size);
	if (rom.bytes) {
		error = read_file(path, fd, rom.bytes, rom.len, ret_why, why_size);
	} else {
		refuse(ret_why, why_size, "%s: out of memory", path);
		error = -ENOMEM;
	}
	close(fd);
	if (!error)
		error = check_file(path, &rom, ret_why, why_size);
	if (error)
		free(rom.bytes);
	else
		*ret_rom = rom;
	return error;
}
