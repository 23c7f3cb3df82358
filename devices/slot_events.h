/*
 * The hot-plug controller of a root port's slot, pure: Slot Control, Slot Status and what is in the
 * slot.
 *
 * PCIe 5.0, 6.7.3 PCI Express Hot-Plug Events; 7.5.3.10 Slot Control Register; 7.5.3.11 Slot Status
 * Register. Three events can happen: attention button, presence and link. Interrupts are one
 * condition over all of them, slot_events_asserted(); its rising edge is a message, its level is
 * INTx. Of each event the functions say whether it is one that wakes a sleeping port: its status
 * became set while its own enable was, whatever Hot-Plug Interrupt Enable says. Deviation: a change
 * of presence wakes in any case. Linux (pciehp) enables only the button of a port that sleeps, and
 * would not see before its next use that the slot was filled or emptied.
 *
 * Presence and link are told here and change for nothing else. Deviation: a slot whose power
 * controller is off keeps its link until its device is taken away.
 *
 * Linux waits for a second after it has switched the power off, ignores what happened meanwhile,
 * and switches the power indicator off (drivers/pci/hotplug/pciehp_ctrl.c, remove_board()). A
 * device that comes in between is shown when the indicator is off, or when the owner's patience is
 * over.
 *
 * Locks: none; the owner (devices/root_port.c) holds its device lock.
 */
#ifndef DEVICES_SLOT_EVENTS_H
#define DEVICES_SLOT_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct slot_events {
	bool present;     /* Presence Detect State, and Data Link Layer Link Active */
	bool coming;      /* a device is there, and is not shown yet */
	uint16_t control; /* Slot Control */
	uint16_t status;  /* Slot Status: its events */
};

/* Keeps what is in the slot. An empty one has its power off, which is what software makes of it. */
void slot_events_reset(struct slot_events *slot);

/* A device was brought or taken away. True, wakes: that is to be seen; else nothing happens. */
bool slot_events_set_present(struct slot_events *slot, bool present);

/* Shows a device that is coming. True, wakes: there is one. */
bool slot_events_settle(struct slot_events *slot);

/* True: wakes. */
bool slot_events_press_attention(struct slot_events *slot);

/* The guest wrote: what the two registers hold now. True: the power controller went off. */
bool slot_events_write(struct slot_events *slot, uint16_t control, uint16_t status);

bool slot_events_asserted(const struct slot_events *slot);

/* The word of Slot Status. */
uint16_t slot_events_status(const struct slot_events *slot);

#endif
