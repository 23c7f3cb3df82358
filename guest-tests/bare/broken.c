/*
 * Faults at once and has no handler, again after every reset: for tests/program/check-faults.
 */
#include "guest-tests/bare/lib.h"

void test(void)
{
	static const uint8_t nothing[10]; /* an empty descriptor table */

	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}
