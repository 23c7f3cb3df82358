#include "devices/block_io.h"

#include <stddef.h>
#include <string.h>

#include "vmm/base/log.h"

int block_io_create(int file, unsigned int depth, enum disk_io kind, struct block_io **ret_io)
{
	int error;

	if (kind == DISK_IO_THREADS)
		return block_io_create_threads(file, depth, ret_io);
	error = block_io_create_uring(file, depth, ret_io);
	if (!error || kind == DISK_IO_URING)
		return error;
	log_debug("disk: no io_uring: %s; using threads", strerror(-error));
	return block_io_create_threads(file, depth, ret_io);
}

void block_io_destroy(struct block_io *io)
{
	if (io)
		io->ops->destroy(io);
}

void block_io_add(struct block_io *io, struct block_op *op)
{
	io->ops->add(io, op);
}

bool block_io_submit(struct block_io *io)
{
	return io->ops->submit(io);
}

struct block_op *block_io_reap(struct block_io *io)
{
	return io->ops->reap(io);
}
