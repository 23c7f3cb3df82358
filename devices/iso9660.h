/*
 * A CD-ROM's file system with a few files in its root, as bytes: ECMA-119 (ISO 9660), interchange
 * level 2, and Joliet beside it, which has the files' real names. Every operating system reads one
 * of the two. No state, no I/O, no clock: the same files are the same bytes.
 */
#ifndef DEVICES_ISO9660_H
#define DEVICES_ISO9660_H

#include <stddef.h>
#include <stdint.h>

#define ISO_FILES_MAX 16U
#define ISO_NAME_MAX 28U  /* characters of a name */
#define ISO_LABEL_MAX 16U /* ... of the volume's */

/* Names are of letters, digits, '-' and '_'. */
struct iso_file {
	const char *name;
	const void *bytes;
	uint32_t size;
};

/* Bytes of the volume with these files, a multiple of 2048. */
size_t iso9660_size(const struct iso_file *files, unsigned int count);

/*
 * Writes it, iso9660_size() bytes, all of which the caller has zeroed. Files are in the order of
 * their names as strcmp() sees them, ISO_FILES_MAX at most, and less than 4 GiB together.
 */
void iso9660_write(const char *label, const struct iso_file *files, unsigned int count,
		   uint8_t *ret_volume);

#endif
