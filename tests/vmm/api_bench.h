/*
 * For the tests of the control socket as its clients see it: a real socket and loop, a machine that
 * is made up. The client is a thread of its own, the loop runs on the test's. Included after
 * <cmocka.h>.
 */
#ifndef TESTS_VMM_API_BENCH_H
#define TESTS_VMM_API_BENCH_H

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vfio/vfio.h"
#include "vmm/api.h"
#include "vmm/base/bits.h"
#include "vmm/events.h"
#include "vmm/http_server.h"
#include "vmm/loop.h"
#include "vmm/options.h"

#define HOST "Host: x\r\n"
#define ANSWER_MAX (1U << 20)

static struct {
	struct loop *loop;
	struct api *api;
	struct options options;
	unsigned int slots, presses, reboots, shutdowns, removals;
	bool suspended;
	api_device_added added; /* of the device that is being added */
	void *added_opaque;
	int added_fd;           /* eventfd: it is in its slot, or (2) it failed */
	int hold_fd;            /* eventfd: the loop is to stand still */
	sem_t held, release;    /* it does; it may go on */
	char path[64];
	const char *wrong; /* what the client found, for the test's own thread to say */
} fixture;

/* --- the machine --- */

static inline void must(bool good, const char *what)
{
	if (!good && !fixture.wrong)
		fixture.wrong = what;
}

static inline bool on_slot(void *opaque, unsigned int index, struct vfio_slot_status *ret_status)
{
	(void)opaque;
	if (index >= fixture.slots)
		return false;
	*ret_status = (struct vfio_slot_status){
		.id = "gpu0", .name = "0000:01:00", .path = "/sys/bus/pci/devices/0000:01:00.0",
		.policy = {.power = POLICY_POWER_D3COLD, .reset = POLICY_RESET_FLR,
			   .reasons = "power=auto: \"so\""},
		.hold_ms = 7};
	ret_status->fn[0] = (struct vfio_function_status){
		.exists = true, .name = "0000:01:00.0", .state = POWER_ENGAGED, .has_host = true,
		.host = {.power_state = "D3cold", .suspended = true, .suspended_us = 5},
		.stats = {.entries = 3, .wakes[POWER_CAUSE_HOST] = 1}};
	ret_status->fn[1] = (struct vfio_function_status){
		.exists = true, .name = "0000:01:00.1", .state = POWER_REFUSED, .error = -EIO};
	return true;
}

static inline void on_button(void *opaque)
{
	(void)opaque;
	fixture.presses++;
}

static inline bool is_suspended(void *opaque)
{
	(void)opaque;
	return fixture.suspended;
}

/* From then on it is awake. */
static inline bool on_wake(void *opaque)
{
	bool was_suspended = fixture.suspended;

	(void)opaque;
	fixture.suspended = false;
	return was_suspended;
}

static inline void on_reboot(void *opaque)
{
	(void)opaque;
	fixture.reboots++;
}

static inline void on_shutdown(void *opaque)
{
	(void)opaque;
	fixture.shutdowns++;
}

/* A device takes until the client says so; "busy" is refused at once. */
static inline int on_add_device(void *opaque, const struct vfio_slot_config *config,
				const char *id, api_device_added done, void *done_opaque,
				char *ret_why, size_t why_size)
{
	(void)opaque;
	if (id && !strcmp(id, "busy")) {
		snprintf(ret_why, why_size, "the name busy is in use");
		return -EEXIST;
	}
	must(!strcmp(config->bdf, "0000:02:00.0"), "another device");
	fixture.added = done;
	fixture.added_opaque = done_opaque;
	return 0;
}

static inline void on_added_signal(void *opaque, int fd)
{
	uint64_t count;

	(void)opaque;
	if (read(fd, &count, sizeof(count)) == sizeof(count) && count == 1)
		fixture.added(fixture.added_opaque, 0, NULL, "gpu1", "0000:05:00.0");
	else
		fixture.added(fixture.added_opaque, -EINVAL, "bound to nouveau", NULL, NULL);
}

static inline int on_remove_device(void *opaque, const char *id, char *ret_why, size_t why_size)
{
	(void)opaque;
	if (!strcmp(id, "gpu0")) {
		fixture.removals++;
		return 0;
	}
	snprintf(ret_why, why_size, "no device named %s; there are gpu0", id);
	return -ENOENT;
}

static inline void on_hold(void *opaque, int fd)
{
	uint64_t count;

	(void)opaque;
	must(read(fd, &count, sizeof(count)) == sizeof(count), "no signal");
	sem_post(&fixture.held);
	sem_wait(&fixture.release);
}

/* --- the client --- */

static inline int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture.path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fixture.wrong = "no connection";
	return fd;
}

static inline void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		fixture.wrong = "the server does not take what is said";
}

/* Reads until `end` was read, or (NULL) the server's end. */
static inline const char *hear(int fd, const char *end)
{
	static char text[ANSWER_MAX];
	size_t len = 0;
	ssize_t got = 1;

	text[0] = '\0';
	while (len < sizeof(text) - 1 && !(end && strstr(text, end)) &&
	       (got = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0) {
		len += (size_t)got;
		text[len] = '\0';
	}
	if (got < 0 && errno == EAGAIN)
		fixture.wrong = "no answer";
	return text;
}

/* The loop does nothing until release_loop(). epoll then has the descriptors in the order in which
 * something happened to them. */
static inline void hold_loop(void)
{
	const uint64_t one = 1;

	must(write(fixture.hold_fd, &one, sizeof(one)) == sizeof(one), "no signal");
	sem_wait(&fixture.held);
}

static inline void release_loop(void)
{
	sem_post(&fixture.release);
}

static inline const char *ask_once(const char *request)
{
	int fd = connect_client();
	const char *answer;

	say(fd, request);
	answer = hear(fd, NULL);
	close(fd);
	return answer;
}

static inline void *client(void *opaque)
{
	void (*run)(void) = *(void (**)(void))opaque;

	run();
	loop_stop(fixture.loop, 0);
	return NULL;
}

/* Runs `run` as the client. */
static inline void serve(void (*run)(void))
{
	pthread_t thread;

	fixture.wrong = NULL;
	assert_int_equal(pthread_create(&thread, NULL, client, &run), 0);
	loop_run(fixture.loop);
	pthread_join(thread, NULL);
	if (fixture.wrong)
		fail_msg("%s", fixture.wrong);
}

static inline int begin(void **state)
{
	const struct api_machine machine = {
		.options = &fixture.options, .slot = on_slot, .is_suspended = is_suspended,
		.power_button = on_button, .wake = on_wake,
		.reboot = on_reboot, .shutdown = on_shutdown, .add_device = on_add_device,
		.remove_device = on_remove_device};
	char why[256] = "";

	(void)state;
	memset(&fixture, 0, sizeof(fixture));
	fixture.options = (struct options){.kernel = "k", .append = "a b", .memory = MIB,
					   .cpus = 2};
	fixture.slots = 1;
	fixture.loop = loop_create();
	snprintf(fixture.path, sizeof(fixture.path), "/tmp/minivmm-api-%d", (int)getpid());
	events_open(NULL);
	fixture.added_fd = eventfd(0, EFD_CLOEXEC);
	loop_add(fixture.loop, fixture.added_fd, on_added_signal, NULL);
	sem_init(&fixture.held, 0, 0);
	sem_init(&fixture.release, 0, 0);
	fixture.hold_fd = eventfd(0, EFD_CLOEXEC);
	loop_add(fixture.loop, fixture.hold_fd, on_hold, NULL);
	return api_create(fixture.loop, fixture.path, &machine, &fixture.api, why, sizeof(why));
}

static inline int end(void **state)
{
	(void)state;
	api_stop(fixture.api);
	api_destroy(fixture.api);
	loop_destroy(fixture.loop);
	close(fixture.added_fd);
	close(fixture.hold_fd);
	sem_destroy(&fixture.held);
	sem_destroy(&fixture.release);
	return access(fixture.path, F_OK) ? 0 : -1;
}

#endif
