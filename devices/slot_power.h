/*
 * The slot power controllers: the register blocks behind the ACPI power resource of every passed
 * slot (acpi/ssdt_slot.c). A write of CONTROL is a doorbell; the work is done elsewhere, and STATUS
 * says busy until it is.
 *
 *   0x0 CONTROL  W: 0 switch off, 1 switch on (idempotent)        R: last value written
 *   0x4 STATUS   R: bit 0 power is on, config space answers; bit 1 busy
 *   0x8 WAKE     R: functions (bit per function number) that ask for Notify; write one clears
 *
 * Accesses are dwords; a controller takes SLOT_POWER_STRIDE bytes from SLOT_POWER_START.
 */
#ifndef DEVICES_SLOT_POWER_H
#define DEVICES_SLOT_POWER_H

#include <stdbool.h>
#include <stdint.h>

#define SLOT_POWER_CONTROL 0x0
#define SLOT_POWER_STATUS 0x4
#define   SLOT_POWER_STATUS_ON 0x1
#define   SLOT_POWER_STATUS_BUSY 0x2
#define SLOT_POWER_WAKE 0x8

struct bus;
struct slot_power;

/* The guest rang: switch `on` or off. Runs on the vCPU's thread; must not block. The controller has
 * already set BUSY, which stays until slot_power_done(). */
typedef void (*slot_power_request)(void *opaque, bool on);

/* Controller number `index` (0 to SLOT_MAX - 1), powered on. NULL: no memory or range taken. */
struct slot_power *slot_power_create(struct bus *mmio, unsigned int index,
				     slot_power_request request, void *opaque);
void slot_power_destroy(struct slot_power *power);

/* The work that was asked for is done and the slot's power is now `on`. Any thread. A request that
 * came meanwhile keeps BUSY: only the answer to the last one clears it. `sequence` is the number
 * that slot_power_sequence() gave when the work was begun; with one from before a reset this does
 * nothing. */
void slot_power_done(struct slot_power *power, unsigned int sequence, bool on);
unsigned int slot_power_sequence(struct slot_power *power);

/* What the guest asked for last. */
bool slot_power_wanted(struct slot_power *power);

/* Back to the state after create: on, idle, no wake. */
void slot_power_reset(struct slot_power *power);

/* Sets bits of WAKE. The caller then raises the slot's GPE (devices/acpi_pm.h). */
void slot_power_set_wake(struct slot_power *power, uint8_t functions);

#endif
