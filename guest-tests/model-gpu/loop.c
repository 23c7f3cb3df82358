#include "guest-tests/model-gpu/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd = -1;
static bool stopped;
static struct timer *timers;
static struct watch timer_watch = {.fd = -1};
static struct watch signal_watch = {.fd = -1};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Lets the timerfd expire with the earliest timer, or never. */
static void set_timerfd(void)
{
	struct itimerspec when = {0};
	uint64_t due = UINT64_MAX;

	for (struct timer *timer = timers; timer; timer = timer->next)
		if (timer->armed && timer->due_us < due)
			due = timer->due_us;
	if (due != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(due / 1000000);
		when.it_value.tv_nsec = (long)(due % 1000000) * 1000;
	}
	timerfd_settime(timer_watch.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void timer_arm(struct timer *timer, uint64_t in_us)
{
	if (!timer->listed) {
		timer->next = timers;
		timer->listed = true;
		timers = timer;
	}
	timer->armed = true;
	timer->due_us = now_us() + in_us;
	set_timerfd();
}

void timer_cancel(struct timer *timer)
{
	if (!timer->armed)
		return;
	timer->armed = false;
	set_timerfd();
}

static void timer_ready(struct watch *watch, uint32_t events)
{
	uint64_t count, now;

	(void)events;
	if (read(watch->fd, &count, sizeof(count)) < 0)
		return;
	now = now_us();
	/* What fires may arm and cancel timers, but the list only grows at its head. */
	for (struct timer *timer = timers; timer; timer = timer->next) {
		if (!timer->armed || timer->due_us > now)
			continue;
		timer->armed = false;
		timer->fire(timer);
	}
	set_timerfd();
}

static void signal_ready(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	stopped = true;
}

int watch_add(struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) ? -errno : 0;
}

void watch_change(struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void watch_remove(struct watch *watch)
{
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

int loop_init(void)
{
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_watch.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timer_watch.ready = timer_ready;
	signal_watch.fd = signalfd(-1, &ending, SFD_CLOEXEC);
	signal_watch.ready = signal_ready;
	if (epoll_fd < 0 || timer_watch.fd < 0 || signal_watch.fd < 0)
		return -errno;
	return watch_add(&timer_watch, EPOLLIN) || watch_add(&signal_watch, EPOLLIN) ? -EIO : 0;
}

void loop_stop(void)
{
	stopped = true;
}

void loop_run(void)
{
	while (!stopped) {
		struct epoll_event event;
		/* One at a time: what one handler closes can be no other event of the batch. */
		int n = epoll_wait(epoll_fd, &event, 1, -1);
		struct watch *watch = event.data.ptr;

		if (n == 1)
			watch->ready(watch, event.events);
		else if (n < 0 && errno != EINTR)
			break;
	}
}
