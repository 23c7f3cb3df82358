/*
 * What a cloud tells its guests, for cloud-init: option --cloud-init. The files of a directory
 * become a volume in memory, once, at the start, which the guest has as a disk that it can only
 * read. cloud-init 22.4, documentation "NoCloud": a file system iso9660 or vfat that is labelled
 * "cidata".
 */
#ifndef DEVICES_NOCLOUD_H
#define DEVICES_NOCLOUD_H

#include <stddef.h>

#define NOCLOUD_FILE_MAX (1U << 20) /* bytes of each file */
#define NOCLOUD_LABEL "cidata"

struct block_image;

/*
 * Reads the four files of `dir` that there may be (user-data must be there; meta-data is made where
 * it is not), by name and below `dir` alone, and makes the volume: the same files, the same bytes.
 * On failure a sentence in `ret_why` and a negative errno. block_image_close() gives it back.
 */
int nocloud_open(const char *dir, struct block_image *ret_image, char *ret_why, size_t why_size);

#endif
