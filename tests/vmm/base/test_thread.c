#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/base/bits.h"
#include "vmm/base/thread.h"

static void *read_mask(void *opaque)
{
	pthread_sigmask(SIG_SETMASK, NULL, opaque);
	return NULL;
}

/* The mask of a thread that takes `signal` (0: none) besides its faults. */
static sigset_t mask_of_thread(int signal)
{
	pthread_t thread;
	sigset_t mask;

	sigemptyset(&mask);
	if (signal)
		assert_int_equal(
			thread_create_taking(&thread, "taking", read_mask, &mask, signal), 0);
	else
		assert_int_equal(thread_create(&thread, "mask", read_mask, &mask), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return mask;
}

static void test_thread_blocks_all_but_its_faults(void **state)
{
	static const struct {
		int signal;
		bool blocked;
	} cases[] = {
		{SIGTERM, true}, {SIGINT, true}, {SIGHUP, true}, {SIGCHLD, true}, {SIGPIPE, true},
		{SIGSEGV, false}, {SIGBUS, false}, {SIGABRT, false}, {SIGFPE, false},
		{SIGILL, false},
	};
	sigset_t mask = mask_of_thread(0);

	(void)state;
	assert_true(sigismember(&mask, SIGRTMIN));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(sigismember(&mask, cases[i].signal), cases[i].blocked);
}

static void test_thread_takes_one_more(void **state)
{
	sigset_t mask = mask_of_thread(SIGRTMIN);

	(void)state;
	assert_false(sigismember(&mask, SIGRTMIN));
	assert_true(sigismember(&mask, SIGRTMIN + 1));
	assert_true(sigismember(&mask, SIGTERM));
}

static void test_thread_leaves_the_mask_of_its_maker(void **state)
{
	sigset_t before, after;

	(void)state;
	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	mask_of_thread(SIGRTMIN);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_true(sigismember(&after, SIGUSR1));
	assert_false(sigismember(&after, SIGTERM));
}

struct shown {
	char name[16];
	cpu_set_t cpus, own;
};

static void *read_shown(void *opaque)
{
	struct shown *shown = opaque;

	assert_int_equal(sched_getaffinity(0, sizeof(shown->cpus), &shown->cpus), 0);
	/* Its maker names it when it runs already. */
	while (pthread_getname_np(pthread_self(), shown->name, sizeof(shown->name)) == 0 &&
	       strncmp(shown->name, "disk0", 5) != 0)
		sched_yield();
	return NULL;
}

/* As a vCPU: with a name, pinned to one CPU. */
static void *make_one(void *opaque)
{
	struct shown *shown = opaque;
	pthread_t thread;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pthread_setname_np(pthread_self(), "cpu 0"), 0);
	assert_int_equal(thread_create(&thread, "disk0 and more than fits", read_shown, shown), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(shown->own), &shown->own), 0);
	assert_true(CPU_EQUAL(&shown->own, &one));
	return NULL;
}

static void test_thread_has_neither_name_nor_cpu_of_its_maker(void **state)
{
	struct shown shown = {.name = ""};
	pthread_t maker;
	cpu_set_t all;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (CPU_COUNT(&all) < 2)
		skip(); /* one pinned is one like all */
	assert_int_equal(pthread_create(&maker, NULL, make_one, &shown), 0);
	assert_int_equal(pthread_join(maker, NULL), 0);
	assert_string_equal(shown.name, "disk0 and more ");
	assert_true(CPU_EQUAL(&shown.cpus, &all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread_blocks_all_but_its_faults),
		cmocka_unit_test(test_thread_takes_one_more),
		cmocka_unit_test(test_thread_leaves_the_mask_of_its_maker),
		cmocka_unit_test(test_thread_has_neither_name_nor_cpu_of_its_maker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
