/*
 * What firmware of a distribution (SeaBIOS, OVMF) finds in the machine besides its ROM: the fw_cfg
 * device with tables, memory map and boot order, the CMOS bytes, the memory below 1 MiB as it is
 * after power-on. The firmware, not we, gives PCI its addresses: the tables are made when it asks.
 */
#ifndef VMM_FIRMWARE_BOOT_H
#define VMM_FIRMWARE_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/firmware.h"

struct bus;
struct firmware_boot;
struct pci_host;
struct rtc;

struct firmware_boot_config {
	struct firmware_config firmware; /* its mmio64: what comes to PCI above RAM */
	struct bus *port;
	struct rtc *rtc;
	struct pci_host *pci;
	unsigned int disks;  /* to be booted from, in order */
	/* The ROM, which ends at 4 GiB. */
	const uint8_t *rom;
	size_t rom_size;
};

/* After every device there is. On failure a sentence, negative errno. */
int firmware_boot_create(const struct firmware_boot_config *config,
			 struct firmware_boot **ret_boot, char *ret_why, size_t why_size);
void firmware_boot_destroy(struct firmware_boot *boot); /* accepts NULL */

/* The state of power-on: before the first run, too. No CPU runs. */
void firmware_boot_reset(struct firmware_boot *boot);

/* The state in which firmware finds that the machine wakes from S3: memory is as it was. */
void firmware_boot_resume(struct firmware_boot *boot);

#endif
