/*
 * The native hot-plug slot of a root port, as its driver (pciehp) uses it: Slot Status, Slot
 * Control, and whether the link is up. PCIe 5.0, 7.5.3.10 Slot Control Register; 7.5.3.11 Slot
 * Status Register.
 */
#ifndef GUEST_TESTS_BARE_LIB_HOTPLUG_H
#define GUEST_TESTS_BARE_LIB_HOTPLUG_H

#include "guest-tests/bare/lib_slot.h"

uint32_t hotplug_status(const struct slot *slot);

/* Clears those of the events `bits` that are set. */
void hotplug_clear(const struct slot *slot, uint32_t bits);

void hotplug_change_control(const struct slot *slot, uint32_t clear, uint32_t set);
bool hotplug_link_active(const struct slot *slot);

/* Waits until every bit of `bits` is in Slot Status. False: not within `ms`. */
bool hotplug_await(const struct slot *slot, uint32_t bits, unsigned int ms);

#endif
