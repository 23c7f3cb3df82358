/*
 * Sleeps in S3 whenever it can, for tests/program/check-suspend. Says "sleeping N" before each
 * sleep and "awake N" after it. With off=1 a press of the power button while it is awake, which it
 * awaits then, powers it off; a press that wakes it is no such press. With off=2 and off=3 it says
 * "waiting" first, and a press sends it to sleep, with off=3 each one. With novector=1 it sleeps
 * without a way back. The host ends it otherwise.
 */
#include "guest-tests/bare/lib_sleep.h"

static void say(const char *what, unsigned int number)
{
	print(what);
	print_number(number);
	print("\n");
}

static void await_press(void)
{
	while (!(pm1_status() & PM1_PWRBTN))
		;
}

void test(void)
{
	int off = option("off");

	if (off >= 2) {
		print("waiting\n");
		await_press();
	}
	if (option("novector") > 0) {
		sleep_set_vectors(0, 0);
		sleep_enter();
	}
	for (unsigned int sleep = 1;; sleep++) {
		pm1_clear(0xffff);
		say("sleeping ", sleep);
		if (!sleep_s3(SLEEP_REAL_MODE))
			return;
		say("awake ", sleep);
		if (off <= 0)
			continue;
		/* As firmware and an operating system do it: what woke it is over now. */
		pm1_clear(0xffff);
		await_press();
		if (off < 3)
			acpi_power_off();
	}
}
