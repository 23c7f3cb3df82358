/*
 * Writes numbered records to the firmware's flash for ever, as edk2 writes variables, and says each
 * time how far it got: "acked 0xN" means that record N is written. The host (host/flash_cut.c) ends
 * the VMM in the middle and looks. A block is erased before its first record.
 */
#include "guest-tests/bare/lib_flash.h"

#define RECORD 16U
#define RECORDS (FLASH_SIZE / RECORD)
#define RECORDS_IN_BLOCK (FLASH_BLOCK / RECORD)

void test(void)
{
	for (uint64_t number = 1; ; number++) {
		uint64_t record[RECORD / 8] = {number, ~number};
		uint32_t at = (uint32_t)(number % RECORDS) * RECORD;

		if (number % RECORDS_IN_BLOCK == 0)
			flash_erase(at);
		flash_write(at, record, sizeof(record));
		if (!flash_holds(at, record, sizeof(record)))
			break;
		print("acked ");
		print_hex(number);
		print("\n");
	}
	report("a record is there", false);
}
