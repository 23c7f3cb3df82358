/*
 * Carries requests to an open file and says when each is done, in any order: by io_uring, or by
 * threads where the kernel has or allows no io_uring. One instance belongs to one thread.
 */
#ifndef DEVICES_BLOCK_IO_H
#define DEVICES_BLOCK_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/block_image.h"

struct block_io;

enum block_op_type {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,     /* fdatasync() */
	BLOCK_FALLOCATE, /* fallocate() */
};

/* The caller's, from block_io_add() until block_io_reap() gives it back. */
struct block_op {
	enum block_op_type type;
	bool stable;            /* a write: on the medium when it is done, as with RWF_DSYNC */
	int mode;               /* of fallocate() */
	uint64_t off, len;      /* `len` of fallocate() alone */
	const struct iovec *iov;
	unsigned int iovs;
	int64_t result;         /* bytes moved, 0, or a negative errno */
	struct block_op *next;  /* whoever has it, may chain it */
};

struct block_io_ops {
	const char *name;
	void (*destroy)(struct block_io *io);
	void (*add)(struct block_io *io, struct block_op *op);
	bool (*submit)(struct block_io *io);
	struct block_op *(*reap)(struct block_io *io);
};

struct block_io {
	const struct block_io_ops *ops;
	int file;     /* the image */
	int event_fd; /* readable while block_io_reap() may have something */
};

/*
 * For at most `depth` requests at a time on `file`. DISK_IO_AUTO tries io_uring, then threads.
 * 0 or negative errno.
 */
int block_io_create(int file, unsigned int depth, enum disk_io kind, struct block_io **ret_io);
int block_io_create_uring(int file, unsigned int depth, struct block_io **ret_io);
int block_io_create_threads(int file, unsigned int depth, struct block_io **ret_io);

/* Nothing may be in flight. Accepts NULL. */
void block_io_destroy(struct block_io *io);

/* Takes a request; it begins at the latest with the next block_io_submit(). */
void block_io_add(struct block_io *io, struct block_op *op);

/* Begins what was added. False: the kernel is short of something, ask again a little later. */
bool block_io_submit(struct block_io *io);

/* A request that is done, or NULL. */
struct block_op *block_io_reap(struct block_io *io);

#endif
