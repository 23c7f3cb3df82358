/*
 * What the guest left in the FACS before it went to sleep.
 */
#include <string.h>

#include "acpi/structs.h"
#include "acpi/tables.h"

_Static_assert(sizeof(struct acpi_facs) == ACPI_FACS_SIZE, "one size");

/*
 * ACPI 6.3, Firmware ACPI Control Structure (FACS): the extended vector counts where it is not
 * zero. It begins in protected mode, where an address has 32 bits; in 64-bit mode only if both
 * sides say so in the flags, and ours does not. The other one begins in real mode.
 */
struct acpi_waking acpi_waking_vector(const uint8_t facs[ACPI_FACS_SIZE])
{
	struct acpi_facs copy;

	memcpy(&copy, facs, sizeof(copy));
	if (copy.x_firmware_waking_vector)
		return (struct acpi_waking){ACPI_WAKING_PROTECTED,
					    (uint32_t)copy.x_firmware_waking_vector};
	if (copy.firmware_waking_vector)
		return (struct acpi_waking){ACPI_WAKING_REAL, copy.firmware_waking_vector};
	return (struct acpi_waking){ACPI_WAKING_NONE, 0};
}
