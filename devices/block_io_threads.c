/*
 * Requests done by a few threads with blocking system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/block_io.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/thread.h"

#define WORKERS 4U

/* First in, first out. */
struct op_list {
	struct block_op *first, **end;
};

struct pool {
	struct block_io io;
	struct op_list added;   /* the owner's; not yet begun */
	unsigned int workers;
	pthread_t worker[WORKERS];

	pthread_mutex_t lock;   /* protects the following */
	pthread_cond_t work;    /* `waiting` is not empty, or `ending` */
	struct op_list waiting, done;
	bool ending;
};

static struct pool *pool_of(struct block_io *io)
{
	return container_of(io, struct pool, io);
}

static void list_init(struct op_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_add(struct op_list *list, struct block_op *op)
{
	op->next = NULL;
	*list->end = op;
	list->end = &op->next;
}

static struct block_op *list_take(struct op_list *list)
{
	struct block_op *op = list->first;

	if (!op)
		return NULL;
	list->first = op->next;
	if (!list->first)
		list->end = &list->first;
	return op;
}

/* --- the workers --- */

/* By their numbers: the libc has no flags for vectors. The offset is one 64-bit argument here, of
 * which the second half is not used. */
static long perform(int file, const struct block_op *op)
{
	switch (op->type) {
	case BLOCK_READ:
		return syscall(SYS_preadv2, file, op->iov, op->iovs, op->off, 0L, 0);
	case BLOCK_WRITE:
		return syscall(SYS_pwritev2, file, op->iov, op->iovs, op->off, 0L,
			       op->stable ? RWF_DSYNC : 0);
	case BLOCK_FLUSH:
		return fdatasync(file);
	case BLOCK_FALLOCATE:
		return fallocate(file, op->mode, (off_t)op->off, (off_t)op->len);
	}
	return 0;
}

static void *work(void *opaque)
{
	struct pool *pool = opaque;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct block_op *op = list_take(&pool->waiting);

		if (!op && pool->ending)
			break;
		if (!op) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		op->result = perform(pool->io.file, op);
		if (op->result < 0)
			op->result = -errno;
		pthread_mutex_lock(&pool->lock);
		list_add(&pool->done, op);
		eventfd_write(pool->io.event_fd, 1);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* --- the owner --- */

static void pool_add(struct block_io *io, struct block_op *op)
{
	list_add(&pool_of(io)->added, op);
}

static bool pool_submit(struct block_io *io)
{
	struct pool *pool = pool_of(io);
	struct block_op *op;

	pthread_mutex_lock(&pool->lock);
	while ((op = list_take(&pool->added))) {
		list_add(&pool->waiting, op);
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	return true;
}

/* Drained when the list is empty, under the lock with which it is filled: no signal is lost. */
static struct block_op *pool_reap(struct block_io *io)
{
	struct pool *pool = pool_of(io);
	struct block_op *op;

	pthread_mutex_lock(&pool->lock);
	op = list_take(&pool->done);
	if (!op)
		eventfd_drain(io->event_fd);
	pthread_mutex_unlock(&pool->lock);
	return op;
}

static void pool_destroy(struct block_io *io)
{
	struct pool *pool = pool_of(io);

	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->workers; i++)
		pthread_join(pool->worker[i], NULL);
	if (io->event_fd >= 0)
		close(io->event_fd);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static const struct block_io_ops pool_ops = {
	.name = "threads",
	.destroy = pool_destroy,
	.add = pool_add,
	.submit = pool_submit,
	.reap = pool_reap,
};

int block_io_create_threads(int file, unsigned int depth, struct block_io **ret_io)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	unsigned int workers = depth < WORKERS ? depth : WORKERS;
	int error = 0;

	if (!pool)
		return -ENOMEM;
	pool->io = (struct block_io){&pool_ops, file, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	list_init(&pool->added);
	list_init(&pool->waiting);
	list_init(&pool->done);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	if (pool->io.event_fd < 0)
		error = -errno;
	while (!error && pool->workers < workers) {
		error = thread_create(&pool->worker[pool->workers], "disk worker", work, pool);
		pool->workers += !error;
	}
	/* One is enough. */
	if (error && !pool->workers) {
		pool_destroy(&pool->io);
		return error;
	}
	*ret_io = &pool->io;
	return 0;
}
