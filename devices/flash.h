/*
 * The firmware's flash memory that keeps its variables: a parallel NOR chip, 8 bits wide, with the
 * Intel command set, as UEFI's firmware for virtual machines drives it. It is programmed a byte at
 * a time (only from ones to zeros, as the cells of such memory are) and erased in blocks.
 *
 * While it shows its array the guest reads it, and executes from it, at the speed of memory: a
 * read-only window. A write leaves the window and is a command; until the array is shown again the
 * window is away, because what a read answers is then the status, the identity or the CFI tables.
 *
 * A byte is in the file before the guest can see that the chip has finished with it: then no kill
 * of this program takes it back. When the guest returns to the array after it has changed
 * something, the file is brought to the disk (fdatasync()): then no power cut of the host does. A
 * change that the file does not take is one that the chip failed to make: the status says so, as it
 * would of a worn-out cell.
 */
#ifndef DEVICES_FLASH_H
#define DEVICES_FLASH_H

#include <stdint.h>

#include "vmm/layout.h"

#define FLASH_BLOCK 4096U  /* what is erased at once, and a page of the window */
#define FLASH_BUFFER 32U   /* bytes that one buffered program takes */

struct bus;
struct flash;
struct mem;

struct flash_config {
	struct mem *mem;
	struct bus *mmio;
	gpa_t gpa;       /* like the size, a multiple of FLASH_BLOCK */
	uint64_t size;
	uint8_t *bytes;  /* what the array holds, on a page's boundary; outlives the flash */
	int fd;          /* file that holds the same from its start, the caller's; -1: none */
};

/*
 * The chip shows its array. Like every claim of a bus, its place is taken until the bus is
 * destroyed. 0; -EEXIST: something else is there; -ENOMEM; others as mem_window_map().
 */
int flash_create(const struct flash_config *config, struct flash **ret_flash);

/* Power-on state: the array is shown, an unfinished command is forgotten. Any thread. */
void flash_reset(struct flash *flash);

/* Brings what was written to the disk. No CPU runs. Accepts NULL. */
void flash_destroy(struct flash *flash);

#endif
