/*
 * The firmware's flash, driven as edk2 does. Offsets are from its start: the variables of a machine
 * whose code is a ROM of FLASH_CODE_SIZE (guest-tests/bare/rom.S).
 */
#ifndef GUEST_TESTS_BARE_LIB_FLASH_H
#define GUEST_TESTS_BARE_LIB_FLASH_H

#include "guest-tests/bare/lib.h"

#define FLASH_SIZE 0x4000U
#define FLASH_BLOCK 0x1000U
#define FLASH_CODE_SIZE 0x3c000U
#define FLASH_CODE (0x100000000ULL - FLASH_CODE_SIZE)
#define FLASH (FLASH_CODE - FLASH_SIZE)

#define FLASH_PROGRAM 0x10
#define FLASH_ERASE 0x20
#define FLASH_CLEAR_STATUS 0x50
#define FLASH_READ_STATUS 0x70
#define FLASH_READ_CFI 0x98
#define FLASH_CONFIRM 0xd0
#define FLASH_BUFFERED 0xe8
#define FLASH_READ_ARRAY 0xff
#define FLASH_READY 0x80

/* One byte, one bus cycle. */
uint8_t flash_get(uint32_t off);
void flash_put(uint32_t off, uint8_t value);

/* Is there a flash? As edk2's QemuFlashDetected() finds out, with the byte at `off`, which is none
 * of 0x50, 0x70 and 0. */
bool flash_detect(uint32_t off);

/* Programs byte by byte, then shows the array. */
void flash_write(uint32_t off, const void *bytes, uint32_t len);

/* Without showing the array afterwards. */
void flash_erase(uint32_t off);

/* Are these bytes there? */
bool flash_holds(uint32_t off, const void *bytes, uint32_t len);
bool flash_is_erased(uint32_t off, uint32_t len);

#endif
