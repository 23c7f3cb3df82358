/*
 * An expansion ROM from a file, key rom=FILE of --gpu: read and checked once, whatever the file may
 * be. What the check is for is the owner, who has saved or downloaded it: the guest's firmware and
 * driver make what they like of what they read.
 */
#ifndef VFIO_ROM_FILE_H
#define VFIO_ROM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROM_FILE_MAX (16U << 20)

struct rom_file {
	uint8_t *bytes; /* whole pages; goes by free() */
	size_t size;    /* a power of two, 2 KiB to ROM_FILE_MAX; what is behind `len` is ones */
	size_t len;     /* of the file */
};

/*
 * PCI 3.0, 6.3.1 PCI Expansion ROM Contents: a chain of images, each of which says for which device
 * it is, and whether it is the last. Every header, data structure and image lies in `bytes`, and
 * there is a last one. 0, or -EINVAL with a sentence without the file's name.
 */
int rom_check(const uint8_t *bytes, size_t len, char *ret_why, size_t why_size);

/* Is one of its images for this device? */
bool rom_is_for(const struct rom_file *rom, uint16_t vendor, uint16_t device);

/* Reads and checks a file. On failure a sentence that begins with `path`, and a negative errno. */
int rom_file_read(const char *path, struct rom_file *ret_rom, char *ret_why, size_t why_size);

/* Memory for a ROM: whole pages of ones, at least `size` bytes, that go by free(). NULL: none. */
uint8_t *rom_alloc(size_t size);

#endif
