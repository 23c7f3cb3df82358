#include "guest-tests/bare/lib_flash.h"

#define ERASED 0xff

uint8_t flash_get(uint32_t off)
{
	return MMIO(uint8_t, FLASH + off);
}

void flash_put(uint32_t off, uint8_t value)
{
	MMIO(uint8_t, FLASH + off) = value;
}

bool flash_detect(uint32_t off)
{
	uint8_t before = flash_get(off), cleared, status;

	flash_put(off, FLASH_CLEAR_STATUS);
	cleared = flash_get(off);
	flash_put(off, FLASH_READ_STATUS);
	status = flash_get(off);
	flash_put(off, FLASH_READ_ARRAY);
	return cleared == before && status == 0 && flash_get(off) == before;
}

void flash_write(uint32_t off, const void *bytes, uint32_t len)
{
	const uint8_t *from = bytes;

	for (uint32_t i = 0; i < len; i++) {
		flash_put(off + i, FLASH_PROGRAM);
		flash_put(off + i, from[i]);
	}
	flash_put(off + len - 1, FLASH_READ_ARRAY);
}

void flash_erase(uint32_t off)
{
	flash_put(off, FLASH_ERASE);
	flash_put(off, FLASH_CONFIRM);
}

bool flash_holds(uint32_t off, const void *bytes, uint32_t len)
{
	return !memcmp((const void *)(uintptr_t)(FLASH + off), bytes, len);
}

bool flash_is_erased(uint32_t off, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (flash_get(off + i) != ERASED)
			return false;
	return true;
}
