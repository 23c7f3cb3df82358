/* The one place where the model waits: file descriptors, timers, and the signals that end it. */
#ifndef GUEST_TESTS_MODEL_GPU_LOOP_H
#define GUEST_TESTS_MODEL_GPU_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

/* A descriptor that is watched while fd >= 0. Embedded in what it belongs to. */
struct watch {
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
};

/* Zeroed but for `fire` it is a timer that is not armed. */
struct timer {
	void (*fire)(struct timer *timer);
	bool armed;
	uint64_t due_us;
	struct timer *next; /* in the list of those that were ever armed */
	bool listed;
};

/* 0 or negative errno. */
int loop_init(void);
/* Runs until loop_stop(), SIGTERM or SIGINT. */
void loop_run(void);
void loop_stop(void);

/* Events are of <sys/epoll.h>. watch_remove() does not close the descriptor. */
int watch_add(struct watch *watch, uint32_t events);
void watch_change(struct watch *watch, uint32_t events);
void watch_remove(struct watch *watch);

void timer_arm(struct timer *timer, uint64_t in_us);
void timer_cancel(struct timer *timer);

#endif
