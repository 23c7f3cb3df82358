#include "guest-tests/bare/lib.h"

#define PORT_INDEX 0x70
#define PORT_DATA 0x71
#define NVRAM_STAGE 0x50
#define NVRAM_CHECK 0x51 /* its complement */

uint8_t nvram_get(uint8_t index)
{
	outb(PORT_INDEX, index);
	return inb(PORT_DATA);
}

void nvram_set(uint8_t index, uint8_t value)
{
	outb(PORT_INDEX, index);
	outb(PORT_DATA, value);
}

unsigned int stage(void)
{
	uint8_t value = nvram_get(NVRAM_STAGE);

	return (nvram_get(NVRAM_CHECK) ^ value) == 0xff ? value : 0;
}

void stage_set(unsigned int number)
{
	nvram_set(NVRAM_STAGE, (uint8_t)number);
	nvram_set(NVRAM_CHECK, (uint8_t)~number);
}
