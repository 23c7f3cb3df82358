#include "devices/watchdog.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define PERIODS_PER_S (1000U / WATCHDOG_PERIOD_MS)
#define PERIOD_NS (WATCHDOG_PERIOD_MS * 1000000L)

struct watchdog {
	/* Of CLOCK_MONOTONIC, which stands while the host sleeps, as the guest does. */
	int timer_fd;

	pthread_mutex_t lock; /* protects everything below; a leaf */
	bool running;
	bool fired;     /* since the last reset */
	bool was_fired; /* WATCHDOG_STATUS */
	uint32_t count;
};

static void arm_locked(const struct watchdog *watchdog, uint32_t periods)
{
	const struct itimerspec when = {
		.it_value = {.tv_sec = periods / PERIODS_PER_S,
			     .tv_nsec = periods % PERIODS_PER_S * PERIOD_NS}};

	if (timerfd_settime(watchdog->timer_fd, 0, &when, NULL))
		log_warn("watchdog: the timer cannot be set, it will not fire");
}

static void run_locked(struct watchdog *watchdog, bool run)
{
	if (watchdog->running == run)
		return;
	watchdog->running = run;
	arm_locked(watchdog, run ? watchdog->count : 0);
}

static uint32_t periods_left_locked(const struct watchdog *watchdog)
{
	struct itimerspec left;

	if (!watchdog->running)
		return watchdog->count;
	if (timerfd_gettime(watchdog->timer_fd, &left))
		return 0;
	return (uint32_t)((uint64_t)left.it_value.tv_sec * PERIODS_PER_S +
			  ((uint64_t)left.it_value.tv_nsec + PERIOD_NS - 1) / PERIOD_NS);
}

static uint32_t read_locked(const struct watchdog *watchdog, uint64_t off)
{
	switch (off) {
	case WATCHDOG_CONTROL:
		return watchdog->running ? WATCHDOG_CONTROL_RUN : 0;
	case WATCHDOG_COUNT:
		return watchdog->count;
	case WATCHDOG_CURRENT:
		return periods_left_locked(watchdog);
	default: /* WATCHDOG_STATUS */
		return watchdog->was_fired ? WATCHDOG_STATUS_FIRED : 0;
	}
}

static void write_locked(struct watchdog *watchdog, uint64_t off, uint32_t value)
{
	switch (off) {
	case WATCHDOG_CONTROL:
		run_locked(watchdog, value & WATCHDOG_CONTROL_RUN);
		return;
	case WATCHDOG_COUNT:
		if (value > WATCHDOG_COUNT_MAX)
			value = WATCHDOG_COUNT_MAX;
		watchdog->count = value ? value : 1;
		return;
	case WATCHDOG_CURRENT:
		if (watchdog->running)
			arm_locked(watchdog, watchdog->count);
		return;
	default: /* WATCHDOG_STATUS */
		if (value & WATCHDOG_STATUS_FIRED)
			watchdog->was_fired = false;
	}
}

static void watchdog_access(void *opaque, struct bus_access *access)
{
	struct watchdog *watchdog = opaque;

	if (access->off % 4)
		return; /* between two registers there is nothing */
	pthread_mutex_lock(&watchdog->lock);
	if (access->is_write)
		write_locked(watchdog, access->off, (uint32_t)access->value);
	else
		access->value = read_locked(watchdog, access->off);
	pthread_mutex_unlock(&watchdog->lock);
}

int watchdog_timer_fd(const struct watchdog *watchdog)
{
	return watchdog->timer_fd;
}

bool watchdog_timer(struct watchdog *watchdog)
{
	uint64_t expirations;
	bool fired;

	/* Under the lock: a reload takes back an expiry that nobody has read yet. */
	pthread_mutex_lock(&watchdog->lock);
	fired = read(watchdog->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations);
	if (fired) {
		watchdog->running = false;
		watchdog->fired = true;
	}
	pthread_mutex_unlock(&watchdog->lock);
	return fired;
}

static void stop_locked(struct watchdog *watchdog)
{
	run_locked(watchdog, false);
	watchdog->count = WATCHDOG_COUNT_DEFAULT;
}

/* As chipsets' own: ICH9, TCO2_STS - TCO2 Status Register, whose SECOND_TO_STS is in a well that
 * has power while the machine sleeps, and ends when software clears it. */
void watchdog_sleep(struct watchdog *watchdog)
{
	pthread_mutex_lock(&watchdog->lock);
	stop_locked(watchdog);
	pthread_mutex_unlock(&watchdog->lock);
}

void watchdog_reset(struct watchdog *watchdog)
{
	pthread_mutex_lock(&watchdog->lock);
	stop_locked(watchdog);
	watchdog->was_fired = watchdog->fired;
	watchdog->fired = false;
	pthread_mutex_unlock(&watchdog->lock);
}

struct watchdog *watchdog_create(struct bus *port)
{
	static const struct bus_ops ops = {4, watchdog_access};
	struct watchdog *watchdog = calloc(1, sizeof(*watchdog));

	if (!watchdog)
		return NULL;
	watchdog->count = WATCHDOG_COUNT_DEFAULT;
	pthread_mutex_init(&watchdog->lock, NULL);
	watchdog->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (watchdog->timer_fd < 0 ||
	    bus_add(port, (struct range){PORT_WATCHDOG, WATCHDOG_SIZE}, &ops, watchdog)) {
		watchdog_destroy(watchdog);
		return NULL;
	}
	return watchdog;
}

void watchdog_destroy(struct watchdog *watchdog)
{
	if (!watchdog)
		return;
	if (watchdog->timer_fd >= 0)
		close(watchdog->timer_fd);
	pthread_mutex_destroy(&watchdog->lock);
	free(watchdog);
}
