/*
 * Faults at once and has no handler, on all of up to four CPUs, again after every reset: for
 * tests/program/check-faults.
 */
#include "guest-tests/bare/lib.h"

static volatile bool may_fault;

static void fault(void)
{
	static const uint8_t nothing[10]; /* an empty descriptor table */

	while (!may_fault)
		__asm__ volatile("pause");
	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

void test(void)
{
	unsigned int others = 0;

	may_fault = false;
	interrupt_init();
	while (cpu_run(others, fault))
		others++;
	may_fault = true;
	fault();
}
