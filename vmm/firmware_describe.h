/*
 * The machine as acpi/ takes it, for vmm/firmware*.c.
 */
#ifndef VMM_FIRMWARE_DESCRIBE_H
#define VMM_FIRMWARE_DESCRIBE_H

#include "acpi/tables.h"
#include "vmm/firmware.h"
#include "vmm/layout.h"

/* What `machine` points to, and itself. */
struct firmware_description {
	uint32_t apic_ids[VCPU_MAX];
	struct acpi_slot slot[ACPI_SLOT_MAX];
	struct acpi_machine machine;
	struct smbios_machine smbios;
};

/* All but the windows below 4 GiB and ECAM, which are as in a machine without firmware. */
void firmware_describe(const struct firmware_config *config,
		       struct firmware_description *ret_description);

#endif
