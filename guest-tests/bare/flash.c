/*
 * The firmware's flash, from a ROM that a CPU begins in: found, programmed and erased as edk2 does;
 * what is written survives a reboot in place, and the end of the program. How often it began is
 * kept in the flash, a zero bit each; every beginning ends with one more, and the first with a
 * reboot.
 */
#include "guest-tests/bare/lib_flash.h"

#define TEXT_AT (FLASH_BLOCK + 77)   /* a variable */
#define TORN_AT (2 * FLASH_BLOCK)    /* a block that is erased, and not left in peace */
#define BUFFERED_AT (3 * FLASH_BLOCK + 100)
#define PORT_RESET 0xcf9
#define RESET_SYSTEM 0x06

static const char first[] = "Boot0000: the first", second[] = "Boot0001: written after a reboot";

static unsigned int beginnings(void)
{
	unsigned int count = 0;

	for (uint8_t bits = flash_get(0); !(bits & 0x80); bits = (uint8_t)(bits << 1))
		count++;
	return count;
}

static void count_beginning(unsigned int before)
{
	uint8_t bits = (uint8_t)(0x7f >> before);

	flash_write(0, &bits, 1);
	report_equal("this beginning is noted", beginnings(), before + 1);
}

static void check_program(void)
{
	uint8_t and = 0x0f;

	flash_write(TEXT_AT, first, sizeof(first));
	report("what was programmed is there", flash_holds(TEXT_AT, first, sizeof(first)));
	report("and nothing around it", flash_is_erased(TEXT_AT - 1, 1) &&
					flash_is_erased(TEXT_AT + sizeof(first), 1));
	flash_write(FLASH_BLOCK, &and, 1);
	and = 0xf8;
	flash_write(FLASH_BLOCK, &and, 1);
	report_equal("programming makes zeros only", flash_get(FLASH_BLOCK), 0x08);
}

static void check_erase(void)
{
	flash_write(TORN_AT, first, sizeof(first));
	flash_erase(TORN_AT + 5);
	report_equal("an erased block says ready", flash_get(TORN_AT), FLASH_READY);
	report_equal("wherever it is read", flash_get(0), FLASH_READY);
	report_equal("and however wide", MMIO(uint32_t, FLASH), 0x80808080);
	flash_put(TORN_AT, FLASH_READ_ARRAY);
	report("it is erased", flash_is_erased(TORN_AT, FLASH_BLOCK));
	report("its neighbour is not", flash_holds(TEXT_AT, first, sizeof(first)));
}

static void check_buffered(void)
{
	flash_put(BUFFERED_AT, FLASH_BUFFERED);
	report_equal("the buffer is free", flash_get(BUFFERED_AT), FLASH_READY);
	flash_put(BUFFERED_AT, 3);
	for (uint32_t i = 0; i < 4; i++)
		flash_put(BUFFERED_AT + i, (uint8_t)second[i]);
	flash_put(BUFFERED_AT, FLASH_CONFIRM);
	report_equal("a buffered program says ready", flash_get(BUFFERED_AT), FLASH_READY);
	flash_put(BUFFERED_AT, FLASH_READ_ARRAY);
	report("and is there", flash_holds(BUFFERED_AT, second, 4));
}

static void check_queries(void)
{
	flash_put(0x55, FLASH_READ_CFI);
	report("CFI answers QRY", flash_get(0x10) == 'Q' && flash_get(0x11) == 'R' &&
				  flash_get(0x12) == 'Y');
	report_equal("CFI knows the blocks", flash_get(0x2d) + 1, FLASH_SIZE / FLASH_BLOCK);
	flash_put(0, 0x60);
	report_equal("an unknown command is a sequence error", flash_get(0), 0xb0);
	flash_put(0, FLASH_CLEAR_STATUS);
	report_equal("which is cleared", flash_get(0), 0);
	flash_put(0, FLASH_READ_ARRAY);
}

static void check_code(void)
{
	uint32_t before = MMIO(uint32_t, FLASH_CODE);

	MMIO(uint8_t, FLASH_CODE) = FLASH_READ_STATUS;
	MMIO(uint32_t, FLASH_CODE) = ~before;
	report_equal("the code cannot be written", MMIO(uint32_t, FLASH_CODE), before);
}

/* With the flash showing its status: a reset shows the array. */
static _Noreturn void reboot(void)
{
	flash_put(0, FLASH_READ_STATUS);
	outb(PORT_RESET, RESET_SYSTEM & ~4);
	outb(PORT_RESET, RESET_SYSTEM);
	for (;;)
		__asm__ volatile("hlt");
}

void test(void)
{
	unsigned int before = beginnings();

	report("the flash is found", flash_detect(FLASH_SIZE - 1));
	switch (before) {
	case 0:
		check_program();
		check_erase();
		check_buffered();
		check_queries();
		check_code();
		count_beginning(before);
		reboot();
	case 1:
		report("after a reboot in place all is there",
		       flash_holds(TEXT_AT, first, sizeof(first)) &&
		       flash_holds(BUFFERED_AT, second, 4));
		flash_erase(FLASH_BLOCK);
		flash_write(TEXT_AT, second, sizeof(second));
		count_beginning(before);
		break;
	default:
		report("in a new run all is there",
		       flash_holds(TEXT_AT, second, sizeof(second)) &&
		       flash_holds(BUFFERED_AT, second, 4) &&
		       flash_is_erased(FLASH_BLOCK, TEXT_AT - FLASH_BLOCK) &&
		       flash_is_erased(TORN_AT, FLASH_BLOCK));
		report_equal("which is the third beginning", before, 2);
		count_beginning(before);
	}
}
