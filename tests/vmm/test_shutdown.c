#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/loop.h"
#include "vmm/shutdown.h"

#define AT 12345ULL
#define LATER SHUTDOWN_ONE_REQUEST_NS

struct fixture {
	struct loop *loop;
	struct shutdown *shutdown;
	unsigned int presses, ends;
	unsigned int sleeps; /* presses that wake */
	char cause[32]; /* of the last end */
};

static bool press(void *opaque)
{
	struct fixture *f = opaque;

	return f->presses++ < f->sleeps;
}

static void end(void *opaque, const char *cause)
{
	struct fixture *f = opaque;

	f->ends++;
	strncpy(f->cause, cause, sizeof(f->cause) - 1);
	loop_stop(f->loop, 0);
}

static void start(struct fixture *f, unsigned int timeout_ms)
{
	const struct shutdown_listener listener = {f, press, end};

	memset(f, 0, sizeof(*f));
	f->loop = loop_create();
	assert_non_null(f->loop);
	f->shutdown = shutdown_create(f->loop, timeout_ms, &listener);
	assert_non_null(f->shutdown);
}

static void finish(struct fixture *f)
{
	shutdown_destroy(f->shutdown);
	loop_destroy(f->loop);
}

static void test_shutdown_signals(void **state)
{
	static const struct {
		unsigned int timeout_ms;
		int signal[3]; /* the first at AT, then after `gap_ns` each */
		uint64_t gap_ns;
		unsigned int presses, ends;
		bool asked;
	} cases[] = {
		{3600000, {SIGTERM}, LATER, 1, 0, true},
		{3600000, {SIGHUP}, LATER, 1, 0, true},
		{3600000, {SIGTERM, SIGTERM}, LATER, 1, 1, true},
		{3600000, {SIGHUP, SIGTERM}, LATER, 1, 1, true},
		{3600000, {SIGTERM, SIGTERM, SIGTERM}, LATER / 4, 1, 0, true},
		{3600000, {SIGTERM, SIGTERM, SIGTERM}, LATER / 2, 1, 1, true},
		{3600000, {SIGTERM, SIGHUP, SIGHUP}, LATER, 1, 0, true},
		{3600000, {SIGTERM, SIGINT}, LATER, 1, 1, true},
		{3600000, {SIGINT}, LATER, 0, 1, false},
		{3600000, {SIGQUIT}, LATER, 0, 1, false},
		{0, {SIGTERM}, LATER, 0, 1, false},
		{0, {SIGHUP}, LATER, 0, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f;

		start(&f, cases[i].timeout_ms);
		for (size_t k = 0; k < 3 && cases[i].signal[k]; k++)
			shutdown_signal(f.shutdown, cases[i].signal[k],
					AT + k * cases[i].gap_ns);
		assert_int_equal(f.presses, cases[i].presses);
		assert_int_equal(f.ends, cases[i].ends);
		assert_int_equal(shutdown_is_asked(f.shutdown), cases[i].asked);
		finish(&f);
	}
}

static void test_shutdown_cause_is_the_signal_that_ends(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 3600000);
	shutdown_signal(f.shutdown, SIGTERM, AT);
	shutdown_signal(f.shutdown, SIGINT, AT);
	assert_string_equal(f.cause, strsignal(SIGINT));
	finish(&f);
}

static void test_shutdown_deadline_ends(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 1);
	shutdown_signal(f.shutdown, SIGTERM, AT);
	assert_int_equal(f.ends, 0);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.presses, 1);
	assert_int_equal(f.ends, 1);
	assert_string_equal(f.cause, "shutdown-timeout");
	finish(&f);
}

/* The first press only wakes the guest: there is another one, though it says that it is awake. */
static void test_shutdown_presses_again_after_a_wake(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, SHUTDOWN_PRESS_AGAIN_MS + 1);
	f.sleeps = 1;
	shutdown_signal(f.shutdown, SIGTERM, AT);
	assert_int_equal(f.presses, 1);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.presses, 2);
	assert_int_equal(f.ends, 1);
	assert_string_equal(f.cause, "shutdown-timeout");
	finish(&f);
}

/* The press came while it fell asleep, and was lost on it. */
static void test_shutdown_presses_again_a_guest_that_sleeps(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, SHUTDOWN_PRESS_AGAIN_MS + 1);
	shutdown_guest_sleeps(f.shutdown); /* before anybody asked: its own affair */
	assert_int_equal(f.presses, 0);
	shutdown_signal(f.shutdown, SIGTERM, AT);
	shutdown_guest_sleeps(f.shutdown);
	assert_int_equal(f.presses, 1);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.presses, 2);
	assert_int_equal(f.ends, 1);
	finish(&f);
}

/* Its button means sleep: the press that wakes it is followed by one that has it sleep again, and
 * that is enough. */
static void test_shutdown_leaves_a_guest_asleep_that_wants_to(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, SHUTDOWN_PRESS_AGAIN_MS + 1);
	shutdown_signal(f.shutdown, SIGTERM, AT);
	for (unsigned int i = 0; i < SHUTDOWN_SLEEPS_MAX; i++)
		shutdown_guest_sleeps(f.shutdown);
	assert_int_equal(f.presses, 1);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.presses, 1);
	assert_int_equal(f.ends, 1);
	assert_string_equal(f.cause, "shutdown-timeout");
	finish(&f);
}

/* One that does not sleep has heard it: a second press would be another wish. */
static void test_shutdown_presses_once_where_nobody_sleeps(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, SHUTDOWN_PRESS_AGAIN_MS + 1);
	shutdown_guest_sleeps(f.shutdown);
	shutdown_signal(f.shutdown, SIGTERM, AT);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.presses, 1);
	assert_int_equal(f.ends, 1);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shutdown_signals),
		cmocka_unit_test(test_shutdown_cause_is_the_signal_that_ends),
		cmocka_unit_test(test_shutdown_deadline_ends),
		cmocka_unit_test(test_shutdown_presses_again_after_a_wake),
		cmocka_unit_test(test_shutdown_presses_again_a_guest_that_sleeps),
		cmocka_unit_test(test_shutdown_leaves_a_guest_asleep_that_wants_to),
		cmocka_unit_test(test_shutdown_presses_once_where_nobody_sleeps),
	};

	return cmocka_run_group_tests_name("shutdown", tests, NULL, NULL);
}
