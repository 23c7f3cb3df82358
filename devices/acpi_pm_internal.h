/*
 * The PM timer's arithmetic, and the hook by which unit tests move it; devices include
 * "devices/acpi_pm.h" only.
 */
#ifndef DEVICES_ACPI_PM_INTERNAL_H
#define DEVICES_ACPI_PM_INTERNAL_H

#include <stdint.h>

#include "devices/acpi_pm.h"

/* ACPI 6.3, 4.8.2.1 Power Management Timer: 3.579545 MHz. */
#define ACPI_PM_TIMER_HZ 3579545ULL

/* Ticks since the host started, of which the guest sees the low 32 bits. Seconds and the rest
 * apart, because the product of nanoseconds and frequency passes 64 bits after 86 minutes. */
static inline uint64_t acpi_pm_ticks(uint64_t ns)
{
	const uint64_t second = 1000000000ULL;

	return ns / second * ACPI_PM_TIMER_HZ + ns % second * ACPI_PM_TIMER_HZ / second;
}

/* The time is `now_ns` of CLOCK_MONOTONIC: sets TMR_STS when bit 31 of the timer has changed.
 * Called by every access of the guest. */
void acpi_pm_advance(struct acpi_pm *pm, uint64_t now_ns);

#endif
