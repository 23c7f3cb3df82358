#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/eventfd.h"

static void test_eventfd_drain_reads_all(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	assert_false(eventfd_drain(fd));
	eventfd_write(fd, 3);
	assert_true(eventfd_drain(fd));
	assert_false(eventfd_drain(fd));
	assert_false(eventfd_drain(-1));
	close(fd);
}

/* Another holder of the file description may have made it block; the alarm would end the test. */
static void test_eventfd_drain_never_waits(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int other = dup(fd);

	(void)state;
	assert_int_equal(fcntl(other, F_SETFL, 0), 0);
	alarm(10);
	assert_false(eventfd_drain(fd));
	alarm(0);
	close(other);
	close(fd);
}

static void test_eventfd_drain_takes_timers(void **state)
{
	const struct itimerspec now = {.it_value = {.tv_nsec = 1}};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	(void)state;
	assert_false(eventfd_drain(fd));
	assert_int_equal(timerfd_settime(fd, 0, &now, NULL), 0);
	while (!eventfd_drain(fd))
		;
	assert_false(eventfd_drain(fd));
	close(fd);
}

static void test_eventfd_signal_counts(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count;

	(void)state;
	eventfd_signal(fd);
	eventfd_signal(fd);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 2);
	eventfd_signal(-1);
	close(fd);
}

/* As above: it is full, and would block. */
static void test_eventfd_signal_never_waits(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	eventfd_write(fd, UINT64_MAX - 1);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	alarm(10);
	eventfd_signal(fd);
	alarm(0);
	assert_true(eventfd_drain(fd));
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eventfd_drain_reads_all),
		cmocka_unit_test(test_eventfd_drain_never_waits),
		cmocka_unit_test(test_eventfd_drain_takes_timers),
		cmocka_unit_test(test_eventfd_signal_counts),
		cmocka_unit_test(test_eventfd_signal_never_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
