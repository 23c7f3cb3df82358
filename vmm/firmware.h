/*
 * The machine's firmware tables in guest memory: ACPI and SMBIOS, from the one layout table.
 */
#ifndef VMM_FIRMWARE_H
#define VMM_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/range.h"

struct boot_entry;
struct mem;
struct slots;

struct firmware_config {
	struct mem *mem;
	unsigned int cpus;
	struct range mmio64;
	struct slots *slots;
	bool watchdog;
};

/* Writes the tables; the RSDP is at ACPI_TABLES_START. On failure a sentence, negative errno. */
int firmware_write(const struct firmware_config *config, char *ret_why, size_t why_size);

/* Where the guest wants to begin when it is woken from S3, as it wrote into the FACS; it may be
 * anywhere. False: it did not say. */
bool firmware_waking_entry(const struct mem *mem, struct boot_entry *ret_entry);

#endif
