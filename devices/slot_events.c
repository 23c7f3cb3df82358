#include "devices/slot_events.h"

#include <linux/pci_regs.h>

#include "vmm/base/bits.h"

static const struct {
	uint16_t status, enable;
} events[] = {
	{PCI_EXP_SLTSTA_ABP, PCI_EXP_SLTCTL_ABPE},
	{PCI_EXP_SLTSTA_PDC, PCI_EXP_SLTCTL_PDCE},
	{PCI_EXP_SLTSTA_DLLSC, PCI_EXP_SLTCTL_DLLSCE},
};

/* Those events of `status` that the guest has enabled. */
static uint16_t enabled(const struct slot_events *slot, uint16_t status)
{
	uint16_t mask = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++)
		if (slot->control & events[i].enable)
			mask |= events[i].status;
	return status & mask;
}

/* An event that is pending already is not seen again before it is cleared. */
static bool happen(struct slot_events *slot, uint16_t status)
{
	uint16_t fresh = status & (uint16_t)~slot->status;

	slot->status |= status;
	return enabled(slot, fresh);
}

void slot_events_reset(struct slot_events *slot)
{
	slot->present |= slot->coming;
	slot->coming = false;
	slot->status = 0;
	slot->control = PCI_EXP_SLTCTL_ATTN_IND_OFF;
	slot->control |= slot->present ? PCI_EXP_SLTCTL_PWR_IND_ON | PCI_EXP_SLTCTL_PWR_ON
				       : PCI_EXP_SLTCTL_PWR_IND_OFF | PCI_EXP_SLTCTL_PWR_OFF;
}

/* The guest has switched the power off, and is not done with that. */
static bool is_going_off(const struct slot_events *slot)
{
	return slot->control & PCI_EXP_SLTCTL_PWR_OFF &&
	       (slot->control & PCI_EXP_SLTCTL_PIC) != PCI_EXP_SLTCTL_PWR_IND_OFF;
}

bool slot_events_set_present(struct slot_events *slot, bool present)
{
	slot->coming = present && !slot->present && is_going_off(slot);
	if (slot->present == present || slot->coming)
		return false;
	slot->present = present;
	happen(slot, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	return true;
}

bool slot_events_settle(struct slot_events *slot)
{
	if (!slot->coming)
		return false;
	slot->coming = false;
	slot->present = true;
	happen(slot, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	return true;
}

bool slot_events_press_attention(struct slot_events *slot)
{
	return happen(slot, PCI_EXP_SLTSTA_ABP);
}

bool slot_events_write(struct slot_events *slot, uint16_t control, uint16_t status)
{
	bool was_off = slot->control & PCI_EXP_SLTCTL_PWR_OFF;

	slot->control = control;
	slot->status &= status;
	if (!is_going_off(slot))
		slot_events_settle(slot);
	return control & PCI_EXP_SLTCTL_PWR_OFF && !was_off;
}

bool slot_events_asserted(const struct slot_events *slot)
{
	return slot->control & PCI_EXP_SLTCTL_HPIE && enabled(slot, slot->status);
}

uint16_t slot_events_status(const struct slot_events *slot)
{
	return slot->status | (slot->present ? PCI_EXP_SLTSTA_PDS : 0);
}
