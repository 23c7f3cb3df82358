/*
 * Sleeps in S3 whenever it can, for tests/program/check-suspend. Says "sleeping N" before each
 * sleep and "awake N" after it. With off=1 a press of the power button while it is awake, which it
 * awaits then, powers it off; a press that wakes it is no such press. The host ends it otherwise.
 */
#include "guest-tests/bare/lib_sleep.h"

static void say(const char *what, unsigned int number)
{
	print(what);
	print_number(number);
	print("\n");
}

/* As firmware and an operating system do it: what woke it is over once it is awake. */
static void await_press(void)
{
	pm1_clear(0xffff);
	while (!(pm1_status() & PM1_PWRBTN))
		;
	acpi_power_off();
}

void test(void)
{
	for (unsigned int sleep = 1;; sleep++) {
		pm1_clear(0xffff);
		say("sleeping ", sleep);
		if (!sleep_s3(SLEEP_REAL_MODE))
			return;
		say("awake ", sleep);
		if (option("off") > 0)
			await_press();
	}
}
