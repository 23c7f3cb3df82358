/*
 * The machine's firmware tables in guest memory: ACPI and SMBIOS, from the one layout table.
 */
#ifndef VMM_FIRMWARE_H
#define VMM_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/range.h"

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

#endif
