/*
 * The host's side of a disk: an image file or a block device, taken as it is (raw) and never looked
 * into for what it might be: a guest that can write its first sector could make it another format's
 * header, and a VMM that believes in it opens any file which that header names.
 */
#ifndef DEVICES_BLOCK_IMAGE_H
#define DEVICES_BLOCK_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

#define DISK_MAX 16            /* option --disk is repeatable so often */
#define DISK_PATH_SIZE 1024
#define DISK_QUEUES_MAX 16U
#define DISK_SERIAL_SIZE 21    /* 20 characters, VIRTIO_BLK_ID_BYTES, and the NUL */
#define DISK_SECTOR 512U

enum disk_io {
	DISK_IO_AUTO,    /* io_uring where the kernel has and allows it */
	DISK_IO_URING,
	DISK_IO_THREADS,
};

/* Option --disk, parsed: FILE[,ro][,direct][,queues=N][,id=SERIAL][,io=KIND] */
struct disk_config {
	char path[DISK_PATH_SIZE];
	bool read_only;
	bool direct;           /* past the host's page cache */
	bool is_guest;         /* what firmware boots, given without --disk: sentences say so */
	unsigned int queues;   /* 1 to DISK_QUEUES_MAX */
	char serial[DISK_SERIAL_SIZE];
	enum disk_io io;
};

/* 0, or -EINVAL with a sentence in `ret_why`. */
int disk_config_parse(const char *text, struct disk_config *ret_config, char *ret_why,
		      size_t why_size);

/* Appends the option's value, which disk_config_parse() takes for the same. */
void disk_config_format(const struct disk_config *config, struct text *ret_text);

struct block_image {
	int fd;
	uint64_t size;         /* bytes, a multiple of block_size */
	uint32_t block_size;   /* what offsets and lengths of requests are multiples of */
	uint32_t memory_align; /* what buffers must be aligned to; 1: to nothing */
	bool read_only;
};

/*
 * Opens and checks, and locks it against other users that lock (open file description locks): one
 * who writes, or any number who read. On failure a sentence in `ret_why` and a negative errno.
 */
int block_image_open(const struct disk_config *config, struct block_image *ret_image, char *ret_why,
		     size_t why_size);
void block_image_close(struct block_image *image);

/* Says it, and no more, when the image begins like one of another format. */
void block_image_warn(const struct block_image *image, const struct disk_config *config);

/* What O_DIRECT wants of memory and of offsets on this file; 0 each: the kernel does not say.
 * (devices/block_dio.c) */
void block_dio_alignment(int fd, uint32_t *ret_memory, uint32_t *ret_offset);

#endif
