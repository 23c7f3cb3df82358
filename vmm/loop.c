#include "vmm/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WATCHES_MAX 128

struct watch {
	int fd;               /* -1: free */
	loop_handler handler;
	void *opaque;
};

struct loop {
	int epoll_fd;
	int stop_fd;
	atomic_bool stopping; /* the first loop_stop() sets it and owns status */
	int status;           /* written before stop_fd is signalled, read after */
	pthread_mutex_t lock; /* protects watch[] */
	struct watch watch[WATCHES_MAX];
};

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event event = {.events = EPOLLIN, .data.fd = -1};

	if (!loop)
		return NULL;
	pthread_mutex_init(&loop->lock, NULL);
	for (size_t i = 0; i < WATCHES_MAX; i++)
		loop->watch[i].fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->stop_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->stop_fd, &event) < 0) {
		loop_destroy(loop);
		return NULL;
	}
	return loop;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->stop_fd >= 0)
		close(loop->stop_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

static struct watch *find_locked(struct loop *loop, int fd)
{
	for (size_t i = 0; i < WATCHES_MAX; i++)
		if (loop->watch[i].fd == fd)
			return &loop->watch[i];
	return NULL;
}

static struct epoll_event event_of(int fd, unsigned int wanted)
{
	return (struct epoll_event){.events = (wanted & LOOP_READ ? EPOLLIN : 0U) |
					      (wanted & LOOP_WRITE ? EPOLLOUT : 0U),
				    .data.fd = fd};
}

int loop_add(struct loop *loop, int fd, loop_handler handler, void *opaque)
{
	struct epoll_event event = event_of(fd, LOOP_READ);
	struct watch *watch;
	int error = -ENOSPC;

	pthread_mutex_lock(&loop->lock);
	watch = find_locked(loop, -1);
	if (watch) {
		error = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
		if (!error)
			*watch = (struct watch){fd, handler, opaque};
	}
	pthread_mutex_unlock(&loop->lock);
	return error;
}

void loop_want(struct loop *loop, int fd, unsigned int wanted)
{
	struct epoll_event event = event_of(fd, wanted);
	bool changed;

	/* epoll has a lock of its own, and a watched descriptor it knows already. */
	changed = !epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	assert(changed);
	(void)changed;
}

void loop_remove(struct loop *loop, int fd)
{
	struct watch *watch;

	if (fd < 0)
		return;
	pthread_mutex_lock(&loop->lock);
	watch = find_locked(loop, fd);
	if (watch) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		watch->fd = -1;
	}
	pthread_mutex_unlock(&loop->lock);
}

int loop_run(struct loop *loop)
{
	for (;;) {
		struct epoll_event event; /* one at a time: a handler may remove any other */
		struct watch watch = {.fd = -1};
		struct watch *found;

		if (epoll_wait(loop->epoll_fd, &event, 1, -1) != 1)
			continue;
		if (event.data.fd < 0)
			return loop->status;
		pthread_mutex_lock(&loop->lock);
		found = find_locked(loop, event.data.fd);
		if (found)
			watch = *found;
		pthread_mutex_unlock(&loop->lock);
		if (watch.fd >= 0)
			watch.handler(watch.opaque, watch.fd);
	}
}

bool loop_stop(struct loop *loop, int status)
{
	uint64_t one = 1;

	if (atomic_exchange(&loop->stopping, true))
		return false;
	loop->status = status;
	/* A fresh eventfd cannot overflow. */
	return write(loop->stop_fd, &one, sizeof(one)) == sizeof(one);
}

bool loop_is_stopping(const struct loop *loop)
{
	return loop->stopping;
}
