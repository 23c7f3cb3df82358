/*
 * The functions on bus 0 by which guests and firmware recognise the chipset: the Q35 host bridge at
 * 00:00.0, whose PCIEXBAR places ECAM, and the ICH9 LPC bridge at 00:1f.0, which says where the
 * ACPI block is. Nothing behind them is emulated that no one reads: docs/firmware.md says what
 * firmware does read.
 */
#ifndef DEVICES_Q35_H
#define DEVICES_Q35_H

#include <stdbool.h>

struct pci_host;
struct q35;

/* Adds both to `host`. ECAM is where vmm/layout.h says, or with `firmware` off until that places
 * it. NULL: out of memory, or a place is taken. */
struct q35 *q35_create(struct pci_host *host, bool firmware);

void q35_reset(struct q35 *q35);

/* After the last access to `host`. Accepts NULL. */
void q35_destroy(struct q35 *q35);

#endif
