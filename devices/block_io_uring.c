/*
 * io_uring by its system calls, io_uring(7). liburing links with musl, but most of its 6 KiB would
 * be code that nobody calls.
 */
#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/block_io.h"
#include "vmm/base/bits.h"

/* One mapping for both rings (5.4), no completion dropped (5.5), fallocate (5.6, as RW_CUR_POS). */
#define FEATURES (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS)

/* The kernel advances sq_head and cq_tail, we the other two. */
struct uring {
	struct block_io io;       /* event_fd is the ring's descriptor */
	unsigned int entries;     /* of the submission queue, a power of two */
	uint8_t *rings;
	size_t rings_len;
	uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
	uint32_t cq_mask;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
};

static struct uring *uring_of(struct block_io *io)
{
	return container_of(io, struct uring, io);
}

static uint32_t load(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* --- requests --- */

static struct io_uring_sqe entry_of(int file, const struct block_op *op)
{
	struct io_uring_sqe sqe = {.fd = file, .off = op->off, .user_data = (uintptr_t)op,
				   .addr = (uintptr_t)op->iov, .len = op->iovs};

	switch (op->type) {
	case BLOCK_READ:
		sqe.opcode = IORING_OP_READV;
		break;
	case BLOCK_WRITE:
		sqe.opcode = IORING_OP_WRITEV;
		sqe.rw_flags = op->stable ? RWF_DSYNC : 0;
		break;
	case BLOCK_FLUSH:
		/* Of the whole file, whatever an earlier use of the request has left in it. */
		sqe = (struct io_uring_sqe){.opcode = IORING_OP_FSYNC, .fd = file,
					    .fsync_flags = IORING_FSYNC_DATASYNC,
					    .user_data = (uintptr_t)op};
		break;
	case BLOCK_FALLOCATE:
		sqe.opcode = IORING_OP_FALLOCATE;
		sqe.addr = op->len;
		sqe.len = (uint32_t)op->mode;
		break;
	}
	return sqe;
}

static void uring_add(struct block_io *io, struct block_op *op)
{
	struct uring *uring = uring_of(io);
	uint32_t tail = *uring->sq_tail;

	assert(tail - load(uring->sq_head) < uring->entries); /* at most `depth` are ours */
	uring->sqe[tail & (uring->entries - 1)] = entry_of(io->file, op);
	store(uring->sq_tail, tail + 1);
}

/* What the kernel did not take stays in the ring for the next time. */
static bool uring_submit(struct block_io *io)
{
	struct uring *uring = uring_of(io);
	uint32_t waiting;

	while ((waiting = *uring->sq_tail - load(uring->sq_head)))
		if (syscall(SYS_io_uring_enter, io->event_fd, waiting, 0, 0, NULL, 0) < 0 &&
		    errno != EINTR)
			return false;
	return true;
}

/* The completion queue has room for twice the requests, so it does not overflow. */
static struct block_op *uring_reap(struct block_io *io)
{
	struct uring *uring = uring_of(io);
	uint32_t head = *uring->cq_head;
	const struct io_uring_cqe *cqe = &uring->cqe[head & uring->cq_mask];
	struct block_op *op;

	if (head == load(uring->cq_tail))
		return NULL;
	op = (struct block_op *)(uintptr_t)cqe->user_data;
	op->result = cqe->res;
	store(uring->cq_head, head + 1);
	return op;
}

/* --- set-up --- */

static void uring_destroy(struct block_io *io)
{
	struct uring *uring = uring_of(io);

	if (uring->sqe)
		munmap(uring->sqe, uring->entries * sizeof(*uring->sqe));
	if (uring->rings)
		munmap(uring->rings, uring->rings_len);
	if (io->event_fd >= 0)
		close(io->event_fd);
	free(uring);
}

static void *map(const struct uring *uring, size_t len, uint64_t what)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			uring->io.event_fd, (off_t)what);

	return at == MAP_FAILED ? NULL : at;
}

static int map_rings(struct uring *uring, const struct io_uring_params *params)
{
	const struct io_sqring_offsets *sq = &params->sq_off;
	const struct io_cqring_offsets *cq = &params->cq_off;
	size_t sq_len = sq->array + params->sq_entries * sizeof(uint32_t);
	size_t cq_len = cq->cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	uint32_t *array;

	uring->entries = params->sq_entries;
	uring->rings_len = sq_len > cq_len ? sq_len : cq_len;
	uring->rings = map(uring, uring->rings_len, IORING_OFF_SQ_RING);
	uring->sqe = map(uring, uring->entries * sizeof(*uring->sqe), IORING_OFF_SQES);
	if (!uring->rings || !uring->sqe)
		return -ENOMEM;
	uring->sq_head = (uint32_t *)(void *)(uring->rings + sq->head);
	uring->sq_tail = (uint32_t *)(void *)(uring->rings + sq->tail);
	uring->cq_head = (uint32_t *)(void *)(uring->rings + cq->head);
	uring->cq_tail = (uint32_t *)(void *)(uring->rings + cq->tail);
	uring->cq_mask = params->cq_entries - 1;
	uring->cqe = (struct io_uring_cqe *)(void *)(uring->rings + cq->cqes);
	/* Entries are used in the order of the ring. */
	array = (uint32_t *)(void *)(uring->rings + sq->array);
	for (uint32_t i = 0; i < uring->entries; i++)
		array[i] = i;
	return 0;
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
	struct io_uring_params params = {.flags = 0};
	struct uring *uring = calloc(1, sizeof(*uring));
	int error = 0;

	if (!uring)
		return -ENOMEM;
	uring->io = (struct block_io){&uring_ops, file,
				      (int)syscall(SYS_io_uring_setup, depth, &params)};
	if (uring->io.event_fd < 0)
		error = -errno;
	else if (~params.features & FEATURES)
		error = -EOPNOTSUPP;
	else
		error = map_rings(uring, &params);
	if (error) {
		uring_destroy(&uring->io);
		return error;
	}
	*ret_io = &uring->io;
	return 0;
}
