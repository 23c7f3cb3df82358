/*
 * Writes to the serial port without end, by string instructions: for tests/program/check_stalled.c.
 */
#include "guest-tests/bare/lib.h"

void test(void)
{
	static const uint8_t bytes[1024] = {'f', 'l', 'o', 'o', 'd'};

	for (;;) {
		const uint8_t *from = bytes;
		uint64_t count = sizeof(bytes);

		__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(COM1) : "memory");
	}
}
