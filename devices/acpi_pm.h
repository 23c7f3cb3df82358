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

/* What a guest's write asks of the machine, on the vCPU's thread; the last is what wakes it, on any
 * thread, perhaps with a device's lock held. Must not block. */
enum machine_request { MACHINE_POWER_OFF, MACHINE_RESET, MACHINE_SUSPEND, MACHINE_WAKE };
typedef void (*machine_request_fn)(void *opaque, enum machine_request request);

/* SLP_TYP of \_S3 and \_S5 in the DSDT; firmware made for Q35 knows them as these. */
#define ACPI_PM_SLP_TYP_S3 1
#define ACPI_PM_SLP_TYP_S5 0

struct acpi_pm *acpi_pm_create(struct bus *port, struct irq_chip *irq, machine_request_fn request,
			       void *opaque);
void acpi_pm_destroy(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm);

/* Sets the status bit of general-purpose event `number` (0 to 63); SCI follows its enable bit. */
void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned int number);

/* The power button was pressed: PWRBTN_STS. It always wakes. Any thread, as the next two. */
void acpi_pm_power_button(struct acpi_pm *pm);

/* The clock raised its interrupt: RTC_STS, which wakes where RTC_EN is set. */
void acpi_pm_rtc(struct acpi_pm *pm);

/* A root port has a PME for which it would interrupt the guest. That wakes, unless PCIEXP_WAKE_DIS
 * is set; a guest that is awake learns nothing by it. */
void acpi_pm_pcie_wake(struct acpi_pm *pm);

/*
 * S3 lasts from the guest's SLP_EN, when MACHINE_SUSPEND is asked for, to acpi_pm_resume() or a
 * reset. These registers keep their values. MACHINE_WAKE is asked for once, unless the cause was
 * there when it began. Any thread.
 */
enum acpi_pm_wake {
	ACPI_PM_ASLEEP, /* nothing yet */
	ACPI_PM_BUTTON,
	ACPI_PM_RTC,
	ACPI_PM_PME,
	ACPI_PM_GPE,    /* a general-purpose event that the guest had enabled */
	ACPI_PM_USER,
};

/* The user wants the guest awake. False: it is. */
bool acpi_pm_wake(struct acpi_pm *pm);
bool acpi_pm_is_suspended(struct acpi_pm *pm);
enum acpi_pm_wake acpi_pm_woken_by(struct acpi_pm *pm);
void acpi_pm_resume(struct acpi_pm *pm); /* it runs again: WAK_STS */

#endif
