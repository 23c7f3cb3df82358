/*
 * Inside the root port: what root_port.c, which lives, and root_port_registers.c, which lays out
 * its config space, share.
 */
#ifndef DEVICES_ROOT_PORT_INTERNAL_H
#define DEVICES_ROOT_PORT_INTERNAL_H

#include <stdbool.h>

#include "devices/aer.h"
#include "devices/pci.h"
#include "devices/pme.h"
#include "devices/root_port.h"
#include "devices/slot_events.h"

/* Offsets of the capabilities. */
#define PM_CAP 0x40
#define EXP_CAP 0x50
#define MSI_CAP 0x90
#define RESERVE_CAP 0xa0 /* with firmware, see root_port_show_reserve() */
#define AER_CAP 0x100

/* What interrupts: one vector for all, one INTx. */
enum root_port_source { SOURCE_PME, SOURCE_SLOT, SOURCE_AER, SOURCE_COUNT };

struct root_port {
	struct pci_dev dev;
	void (*ejected)(void *opaque);
	void *opaque;
	/* protected by dev.lock */
	struct pme pme;
	struct slot_events slot;
	uint16_t link; /* Link Status: speed and width of what is in the slot */
	struct aer aer;
	/* An interrupt is due and MSI can carry it; each edge sends one. */
	bool condition[SOURCE_COUNT];
};

/* Lays out the config space of a zeroed device. */
void root_port_init_registers(struct pci_dev *dev, const struct pci_dev_ops *ops,
			      const struct root_port_config *config);

#endif
