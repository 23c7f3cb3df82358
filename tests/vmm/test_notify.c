/* What a service manager hears, by either kind of address; and that the environment is cleaned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/bits.h"
#include "vmm/loop.h"
#include "vmm/notify.h"

struct manager {
	int fd;
	struct loop *loop;
	unsigned int pings;
};

/* `name` as in NOTIFY_SOCKET. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = offsetof(struct sockaddr_un, sun_path) + strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address, (socklen_t)len), 0);
	return fd;
}

static void hear(int fd, const char *expected)
{
	char text[512];
	ssize_t len = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(len >= 0);
	text[len] = '\0';
	assert_string_equal(text, expected);
}

static void assert_environment_is_clean(void)
{
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
}

static void test_notify_without_a_manager(void **state)
{
	static const char *const names[] = {NULL, "", "@", "/", "vsock:2:1", "/nowhere/at/all"};
	struct loop *loop = loop_create();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i])
			setenv("NOTIFY_SOCKET", names[i], 1);
		setenv("WATCHDOG_USEC", "1000", 1);
		assert_null(notify_create(loop));
		assert_environment_is_clean();
	}
	notify_ready(NULL, "x");
	notify_stopping(NULL);
	notify_destroy(NULL);
	loop_destroy(loop);
}

static void test_notify_ready_and_stopping(void **state)
{
	char names[2][64];
	struct loop *loop = loop_create();

	(void)state;
	snprintf(names[0], sizeof(names[0]), "@minivmm-test-%d", (int)getpid());
	snprintf(names[1], sizeof(names[1]), "/tmp/minivmm-notify-%d", (int)getpid());
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd = listen_at(names[i]);
		struct notify *notify;

		setenv("NOTIFY_SOCKET", names[i], 1);
		notify = notify_create(loop);
		assert_non_null(notify);
		assert_environment_is_clean();
		notify_ready(notify, "The guest runs");
		hear(fd, "READY=1\nSTATUS=The guest runs");
		notify_stopping(notify);
		hear(fd, "STOPPING=1");
		notify_destroy(notify);
		close(fd);
	}
	unlink(names[1]);
	loop_destroy(loop);
}

static void on_message(void *opaque, int fd)
{
	struct manager *manager = opaque;

	hear(fd, "WATCHDOG=1");
	if (++manager->pings == 3)
		loop_stop(manager->loop, 0);
}

static void test_notify_pings_the_watchdog(void **state)
{
	struct manager manager = {.loop = loop_create()};
	struct notify *notify;
	char pid[16];

	(void)state;
	manager.fd = listen_at("@minivmm-test-watchdog");
	assert_int_equal(loop_add(manager.loop, manager.fd, on_message, &manager), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", "@minivmm-test-watchdog", 1);
	setenv("WATCHDOG_USEC", "2000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify = notify_create(manager.loop);
	assert_int_equal(loop_run(manager.loop), 0);
	assert_int_equal(manager.pings, 3);
	notify_destroy(notify);
	close(manager.fd);
	loop_destroy(manager.loop);
}

static void stop(void *opaque, int fd)
{
	(void)fd;
	loop_stop(opaque, 0);
}

/* Another process' watchdog, or none that can be understood: nobody is told. */
static void test_notify_leaves_other_watchdogs(void **state)
{
	static const struct {
		const char *us, *pid;
	} cases[] = {{"2000", "1"}, {"2000", "x"}, {"2000", ""}, {"0", NULL}, {"1", NULL},
		     {"x", NULL}, {"-5", NULL}, {"99999999999999999999999", NULL}};
	const struct itimerspec later = {.it_value = {.tv_nsec = 5000000}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = listen_at("@minivmm-test-other");
		int timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
		struct loop *loop = loop_create();
		struct notify *notify;
		char byte;

		setenv("NOTIFY_SOCKET", "@minivmm-test-other", 1);
		setenv("WATCHDOG_USEC", cases[i].us, 1);
		if (cases[i].pid)
			setenv("WATCHDOG_PID", cases[i].pid, 1);
		notify = notify_create(loop);
		assert_non_null(notify);
		/* Comes after what a watchdog of 2 ms would have sent. */
		assert_int_equal(timerfd_settime(timer_fd, 0, &later, NULL), 0);
		assert_int_equal(loop_add(loop, timer_fd, stop, loop), 0);
		loop_run(loop);
		assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
		notify_destroy(notify);
		close(fd);
		close(timer_fd);
		loop_destroy(loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify_without_a_manager),
		cmocka_unit_test(test_notify_ready_and_stopping),
		cmocka_unit_test(test_notify_pings_the_watchdog),
		cmocka_unit_test(test_notify_leaves_other_watchdogs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
