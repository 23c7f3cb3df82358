#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdbool.h>

#include "devices/watchdog.h"
#include "tests/devices/guest_io.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define SOON_MS 10000 /* how long an expiry is awaited at most */

struct fixture {
	struct bus *port;
	struct watchdog *watchdog;
};

static int setup(void **state)
{
	static struct fixture f;

	f.port = bus_create("port");
	assert_non_null(f.port);
	f.watchdog = watchdog_create(f.port);
	assert_non_null(f.watchdog);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	watchdog_destroy(f->watchdog);
	bus_destroy(f->port);
	return 0;
}

static uint32_t get(const struct fixture *f, uint64_t reg)
{
	return (uint32_t)guest_in(f->port, PORT_WATCHDOG + reg, 4);
}

static void set(const struct fixture *f, uint64_t reg, uint32_t value)
{
	guest_out(f->port, PORT_WATCHDOG + reg, 4, value);
}

static void start(const struct fixture *f, uint32_t count)
{
	set(f, WATCHDOG_COUNT, count);
	set(f, WATCHDOG_CONTROL, WATCHDOG_CONTROL_RUN);
}

static bool is_ready(const struct fixture *f, int timeout_ms)
{
	struct pollfd fd = {.fd = watchdog_timer_fd(f->watchdog), .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

static void fire(const struct fixture *f)
{
	start(f, 1);
	assert_true(is_ready(f, SOON_MS));
	assert_true(watchdog_timer(f->watchdog));
}

static void test_watchdog_stands_at_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, WATCHDOG_CONTROL), 0);
	assert_int_equal(get(f, WATCHDOG_COUNT), WATCHDOG_COUNT_DEFAULT);
	assert_int_equal(get(f, WATCHDOG_CURRENT), WATCHDOG_COUNT_DEFAULT);
	assert_int_equal(get(f, WATCHDOG_STATUS), 0);
	set(f, WATCHDOG_COUNT, 1);
	set(f, WATCHDOG_CURRENT, 1);
	assert_false(is_ready(f, 3 * WATCHDOG_PERIOD_MS));
	assert_false(watchdog_timer(f->watchdog));
}

static void test_watchdog_counts_down_from_what_is_set(void **state)
{
	struct fixture *f = *state;

	start(f, 1000);
	assert_int_equal(get(f, WATCHDOG_CONTROL), WATCHDOG_CONTROL_RUN);
	assert_in_range(get(f, WATCHDOG_CURRENT), 1, 1000);
	/* A new count is for the next reload, and a start of one that runs is none. */
	set(f, WATCHDOG_COUNT, 5000);
	set(f, WATCHDOG_CONTROL, WATCHDOG_CONTROL_RUN);
	assert_in_range(get(f, WATCHDOG_CURRENT), 1, 1000);
	set(f, WATCHDOG_CURRENT, 0);
	assert_in_range(get(f, WATCHDOG_CURRENT), 1001, 5000);
	set(f, WATCHDOG_CONTROL, 0);
	assert_int_equal(get(f, WATCHDOG_CONTROL), 0);
	assert_int_equal(get(f, WATCHDOG_CURRENT), 5000);
}

static void test_watchdog_brings_counts_into_bounds(void **state)
{
	static const struct {
		uint32_t written, count;
	} cases[] = {
		{0, 1}, {1, 1}, {WATCHDOG_COUNT_MAX, WATCHDOG_COUNT_MAX},
		{WATCHDOG_COUNT_MAX + 1, WATCHDOG_COUNT_MAX}, {UINT32_MAX, WATCHDOG_COUNT_MAX},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set(f, WATCHDOG_COUNT, cases[i].written);
		assert_int_equal(get(f, WATCHDOG_COUNT), cases[i].count);
	}
}

static void test_watchdog_fires_once_and_stands(void **state)
{
	struct fixture *f = *state;

	fire(f);
	assert_int_equal(get(f, WATCHDOG_CONTROL), 0);
	assert_false(watchdog_timer(f->watchdog));
	assert_false(is_ready(f, 3 * WATCHDOG_PERIOD_MS));
}

/* The guest was late, but faster than the main loop. */
static void test_watchdog_takes_back_what_nobody_saw(void **state)
{
	struct fixture *f = *state;

	start(f, 1);
	assert_true(is_ready(f, SOON_MS));
	assert_int_equal(get(f, WATCHDOG_CURRENT), 0);
	set(f, WATCHDOG_COUNT, 1000);
	set(f, WATCHDOG_CURRENT, 1);
	assert_false(watchdog_timer(f->watchdog));
	assert_int_equal(get(f, WATCHDOG_CONTROL), WATCHDOG_CONTROL_RUN);
	start(f, 1);
	set(f, WATCHDOG_CURRENT, 1);
	assert_true(is_ready(f, SOON_MS));
	set(f, WATCHDOG_CONTROL, 0);
	assert_false(watchdog_timer(f->watchdog));
}

static void test_watchdog_status_is_of_the_last_reset(void **state)
{
	struct fixture *f = *state;

	fire(f);
	assert_int_equal(get(f, WATCHDOG_STATUS), 0);
	watchdog_reset(f->watchdog);
	assert_int_equal(get(f, WATCHDOG_STATUS), WATCHDOG_STATUS_FIRED);
	assert_int_equal(get(f, WATCHDOG_COUNT), WATCHDOG_COUNT_DEFAULT);
	set(f, WATCHDOG_STATUS, ~WATCHDOG_STATUS_FIRED);
	assert_int_equal(get(f, WATCHDOG_STATUS), WATCHDOG_STATUS_FIRED);
	set(f, WATCHDOG_STATUS, WATCHDOG_STATUS_FIRED);
	assert_int_equal(get(f, WATCHDOG_STATUS), 0);
	fire(f);
	watchdog_reset(f->watchdog);
	/* Another reset, for a reason of its own. */
	watchdog_reset(f->watchdog);
	assert_int_equal(get(f, WATCHDOG_STATUS), 0);
}

static void test_watchdog_status_outlives_a_sleep(void **state)
{
	struct fixture *f = *state;

	fire(f);
	watchdog_reset(f->watchdog);
	start(f, 1);
	watchdog_sleep(f->watchdog);
	assert_int_equal(get(f, WATCHDOG_CONTROL), 0);
	assert_int_equal(get(f, WATCHDOG_COUNT), WATCHDOG_COUNT_DEFAULT);
	assert_int_equal(get(f, WATCHDOG_STATUS), WATCHDOG_STATUS_FIRED);
	set(f, WATCHDOG_STATUS, WATCHDOG_STATUS_FIRED);
	watchdog_sleep(f->watchdog);
	assert_int_equal(get(f, WATCHDOG_STATUS), 0);
	/* It has fired, and the reset comes after the sleep that was under way. */
	fire(f);
	watchdog_sleep(f->watchdog);
	assert_int_equal(get(f, WATCHDOG_STATUS), 0);
	watchdog_reset(f->watchdog);
	assert_int_equal(get(f, WATCHDOG_STATUS), WATCHDOG_STATUS_FIRED);
}

static void test_watchdog_stops_at_a_reset(void **state)
{
	struct fixture *f = *state;

	start(f, 1);
	watchdog_reset(f->watchdog);
	assert_int_equal(get(f, WATCHDOG_CONTROL), 0);
	assert_false(is_ready(f, 3 * WATCHDOG_PERIOD_MS));
}

static void test_watchdog_has_dwords_only(void **state)
{
	struct fixture *f = *state;

	assert_int_equal((uint8_t)guest_in(f->port, PORT_WATCHDOG, 1), 0xff);
	assert_int_equal((uint16_t)guest_in(f->port, PORT_WATCHDOG + WATCHDOG_COUNT, 2), 0xffff);
	assert_int_equal(get(f, 1), UINT32_MAX);
	guest_out(f->port, PORT_WATCHDOG, 1, WATCHDOG_CONTROL_RUN);
	guest_out(f->port, PORT_WATCHDOG + 2, 4, UINT32_MAX);
	assert_int_equal(get(f, WATCHDOG_CONTROL), 0);
	assert_int_equal(get(f, WATCHDOG_COUNT), WATCHDOG_COUNT_DEFAULT);
}

static void test_watchdog_wants_its_ports(void **state)
{
	struct fixture *f = *state;

	assert_null(watchdog_create(f->port));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_watchdog_stands_at_first),
		CASE(test_watchdog_counts_down_from_what_is_set),
		CASE(test_watchdog_brings_counts_into_bounds),
		CASE(test_watchdog_fires_once_and_stands),
		CASE(test_watchdog_takes_back_what_nobody_saw),
		CASE(test_watchdog_status_is_of_the_last_reset),
		CASE(test_watchdog_status_outlives_a_sleep),
		CASE(test_watchdog_stops_at_a_reset),
		CASE(test_watchdog_has_dwords_only),
		CASE(test_watchdog_wants_its_ports),
	};

	return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
