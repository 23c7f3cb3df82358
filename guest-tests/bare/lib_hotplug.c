#include "guest-tests/bare/lib_hotplug.h"

#include "guest-tests/bare/lib_irq.h"

struct awaited {
	const struct slot *slot;
	uint32_t bits;
};

uint32_t hotplug_status(const struct slot *slot)
{
	return pci_read(slot->port, slot->port_exp + PCI_EXP_SLTSTA, 2);
}

void hotplug_clear(const struct slot *slot, uint32_t bits)
{
	pci_write(slot->port, slot->port_exp + PCI_EXP_SLTSTA, 2, bits);
}

void hotplug_change_control(const struct slot *slot, uint32_t clear, uint32_t set)
{
	pci_change(slot->port, slot->port_exp + PCI_EXP_SLTCTL, 2, clear, set);
}

bool hotplug_link_active(const struct slot *slot)
{
	return pci_read(slot->port, slot->port_exp + PCI_EXP_LNKSTA, 2) & PCI_EXP_LNKSTA_DLLLA;
}

static bool has_status(void *opaque)
{
	const struct awaited *awaited = opaque;

	return (hotplug_status(awaited->slot) & awaited->bits) == awaited->bits;
}

bool hotplug_await(const struct slot *slot, uint32_t bits, unsigned int ms)
{
	struct awaited awaited = {slot, bits};

	return wait_until(has_status, &awaited, ms);
}
