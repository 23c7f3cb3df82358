/*
 * io_uring by liburing, io_uring(7).
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdlib.h>

#include "devices/block_io.h"
#include "vmm/base/bits.h"

/* No completion dropped (5.5), fallocate (5.6, as RW_CUR_POS). */
#define FEATURES (IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS)

struct uring {
	struct block_io io; /* event_fd is the ring's descriptor */
	struct io_uring ring;
};

static struct uring *uring_of(struct block_io *io)
{
	return container_of(io, struct uring, io);
}

static void uring_add(struct block_io *io, struct block_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring_of(io)->ring);

	assert(sqe); /* at most `depth` are ours */
	switch (op->type) {
	case BLOCK_READ:
		io_uring_prep_readv(sqe, io->file, op->iov, op->iovs, op->off);
		break;
	case BLOCK_WRITE:
		io_uring_prep_writev2(sqe, io->file, op->iov, op->iovs, op->off,
				      op->stable ? RWF_DSYNC : 0);
		break;
	case BLOCK_FLUSH:
		io_uring_prep_fsync(sqe, io->file, IORING_FSYNC_DATASYNC);
		break;
	case BLOCK_FALLOCATE:
		io_uring_prep_fallocate(sqe, io->file, op->mode, (off_t)op->off,
					(off_t)op->len);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
}

/* What the kernel did not take stays in the ring for the next time. */
static bool uring_submit(struct block_io *io)
{
	struct uring *uring = uring_of(io);

	while (io_uring_sq_ready(&uring->ring)) {
		int taken = io_uring_submit(&uring->ring);

		if (taken < 0 && taken != -EINTR)
			return false;
	}
	return true;
}

/* The completion queue has room for twice the requests, so it does not overflow. */
static struct block_op *uring_reap(struct block_io *io)
{
	struct uring *uring = uring_of(io);
	struct io_uring_cqe *cqe;
	struct block_op *op;

	if (io_uring_peek_cqe(&uring->ring, &cqe))
		return NULL;
	op = io_uring_cqe_get_data(cqe);
	op->result = cqe->res;
	io_uring_cqe_seen(&uring->ring, cqe);
	return op;
}

static void uring_destroy(struct block_io *io)
{
	struct uring *uring = uring_of(io);

	io_uring_queue_exit(&uring->ring);
	free(uring);
}

static const struct block_io_ops uring_ops = {
	.name = "io_uring",
	.destroy = uring_destroy,
	.add = uring_add,
	.submit = uring_submit,
	.reap = uring_reap,
};

int block_io_create_uring(int file, unsigned int depth, struct block_io **ret_io)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	int error;

	if (!uring)
		return -ENOMEM;
	error = io_uring_queue_init(depth, &uring->ring, 0);
	if (error) {
		free(uring);
		return error;
	}
	uring->io = (struct block_io){&uring_ops, file, uring->ring.ring_fd};
	if (~uring->ring.features & FEATURES) {
		uring_destroy(&uring->io);
		return -EOPNOTSUPP;
	}
	*ret_io = &uring->io;
	return 0;
}
