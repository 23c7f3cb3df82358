/*
 * The ACPI fixed hardware of the machine: PM1 event and control blocks, PM timer, GPE0 block, SCI,
 * and the reset register. ACPI 6.3, 4.8.3 Fixed Hardware Registers. Offsets as in ICH9.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include <stdbool.h>

struct acpi_pm;
struct bus;
struct irq_chip;

/* What a guest's write asks of the machine. Called on the vCPU's thread; must not block. */
enum machine_request { MACHINE_POWER_OFF, MACHINE_RESET };
typedef void (*machine_request_fn)(void *opaque, enum machine_request request);

/* SLP_TYP of \_S5 in the DSDT. */
#define ACPI_PM_SLP_TYP_S5 0

struct acpi_pm *acpi_pm_create(struct bus *port, struct irq_chip *irq, machine_request_fn request,
			       void *opaque);
void acpi_pm_destroy(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm);

/* Sets the status bit of general-purpose event `number` (0 to 63); SCI follows its enable bit. */
void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned int number);

/* The power button was pressed: PWRBTN_STS. */
void acpi_pm_power_button(struct acpi_pm *pm);

#endif
