#include "vmm/prefault.h"

#include <errno.h>
#include <linux/mman.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"

#define PIECE_MIN (64 * MIB)
#define HELPERS_MAX 15U
#define TELL_NS 3000000000ULL
#define SMALL_PAGE 4096U

struct job {
	uint8_t *hva;
	uint64_t size, piece;
	_Atomic uint64_t next;  /* offset of the first piece that nobody has taken */
	_Atomic uint64_t done;  /* bytes */
	atomic_int error;       /* of the first that failed; all stop then */
};

/* Before Linux 5.14: a write that changes nothing, to every page. */
static void touch(uint8_t *at, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += SMALL_PAGE)
		__atomic_fetch_or(at + off, 0, __ATOMIC_RELAXED);
}

static int populate(uint8_t *at, uint64_t size)
{
	int result;

	do
		result = madvise(at, size, MADV_POPULATE_WRITE);
	while (result && (errno == EAGAIN || errno == EINTR));
	if (!result)
		return 0;
	if (errno != EINVAL)
		return -errno;
	touch(at, size);
	return 0;
}

/* False: there is nothing left to do. */
static bool do_piece(struct job *job)
{
	uint64_t off = atomic_fetch_add(&job->next, job->piece);
	uint64_t size;
	int error, none = 0;

	if (off >= job->size || job->error)
		return false;
	size = job->size - off < job->piece ? job->size - off : job->piece;
	error = populate(job->hva + off, size);
	if (error)
		atomic_compare_exchange_strong(&job->error, &none, error);
	atomic_fetch_add(&job->done, size);
	return !error;
}

static void *help(void *opaque)
{
	while (do_piece(opaque))
		;
	return NULL;
}

/* What the program blocks is what it wants to end by. */
static bool is_signal_waiting(void)
{
	sigset_t pending;

	return !sigpending(&pending) && !sigisemptyset(&pending);
}

/* The caller's share, which also looks after the whole. */
static void lead(struct job *job)
{
	uint64_t told_ns = clock_ns();
	int none = 0;

	while (do_piece(job)) {
		if (is_signal_waiting())
			atomic_compare_exchange_strong(&job->error, &none, -EINTR);
		if (clock_ns() - told_ns < TELL_NS)
			continue;
		told_ns = clock_ns();
		log_info("guest memory: %llu of %llu MiB are there",
			 (unsigned long long)(job->done / MIB),
			 (unsigned long long)(job->size / MIB));
	}
}

/* One for every CPU that we may use, and no more than there is work for. */
static unsigned int count_helpers(const struct job *job)
{
	uint64_t pieces = (job->size + job->piece - 1) / job->piece;
	cpu_set_t set;
	int cpus = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
	unsigned int helpers = cpus > 1 ? (unsigned int)cpus - 1 : 0;

	if (helpers >= pieces)
		helpers = (unsigned int)pieces - 1;
	return helpers < HELPERS_MAX ? helpers : HELPERS_MAX;
}

int prefault(void *hva, uint64_t size, uint64_t page)
{
	struct job job = {.hva = hva, .size = size, .piece = page > PIECE_MIN ? page : PIECE_MIN};
	unsigned int wanted = count_helpers(&job), helpers = 0;
	pthread_t helper[HELPERS_MAX];

	while (helpers < wanted && !thread_create(&helper[helpers], "prefault", help, &job))
		helpers++;
	lead(&job);
	while (helpers > 0)
		pthread_join(helper[--helpers], NULL);
	return job.error;
}
