/*
 * A thread that only tells: the kernel may take a minute to wake a card, and the one who called it
 * cannot say so meanwhile.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tools/power_test.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"

#define TELL_S 10

struct watch {
	pthread_t thread;
	pthread_mutex_t lock;  /* protects the rest */
	pthread_cond_t changed;
	const char *what;      /* NULL: nothing goes on */
	uint64_t since_us;
	unsigned int number;   /* of what goes on */
	bool ending;
};

static void tell(const struct watch *watch)
{
	if (watch->what)
		log_info("%s: still waiting for the host, %u s", watch->what,
			 (unsigned int)((clock_us() - watch->since_us) / 1000000));
}

static void *watch_thread(void *opaque)
{
	struct watch *watch = opaque;
	struct timespec until;

	pthread_mutex_lock(&watch->lock);
	while (!watch->ending) {
		unsigned int number = watch->number;
		int r = 0;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += TELL_S;
		while (!watch->ending && watch->number == number && r != ETIMEDOUT)
			r = pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
		if (r == ETIMEDOUT)
			tell(watch);
	}
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

struct watch *watch_create(void)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	pthread_condattr_t attributes;

	if (!watch)
		return NULL;
	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (!thread_create(&watch->thread, "watch", watch_thread, watch))
		return watch;
	free(watch);
	return NULL;
}

void watch_set(struct watch *watch, const char *what)
{
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->what = what;
	watch->since_us = clock_us();
	watch->number++;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->lock);
}

void watch_destroy(struct watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->ending = true;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(watch->thread, NULL);
	pthread_cond_destroy(&watch->changed);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}
