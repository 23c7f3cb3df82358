/*
 * For the tests of cards that come and go (tests/fake_slot.h): what Linux does with one. Included
 * after <cmocka.h>.
 */
#ifndef TESTS_VFIO_SLOT_PLUG_BENCH_H
#define TESTS_VFIO_SLOT_PLUG_BENCH_H

#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "tests/fake_backend.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "tests/fake_pci.h"
#include "tests/fake_slot.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define PORT_BDF 0x0008
#define REQUESTER_ID 0xffffU
#define D3HOT 3U
#define ONES 0xffffU
#define ROUNDS 100U
#define DECODE (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

static inline uint32_t slot_status(struct fake_slot *fake)
{
	return fake_slot_port_read(fake, PCI_EXP_SLTSTA, 2);
}

static inline bool link_active(struct fake_slot *fake)
{
	return fake_slot_port_read(fake, PCI_EXP_LNKSTA, 2) & PCI_EXP_LNKSTA_DLLLA;
}

/* --- what Linux does with a card that came --- */

static inline void change_control(struct fake_slot *fake, uint32_t clear, uint32_t set)
{
	uint32_t control = fake_slot_port_read(fake, PCI_EXP_SLTCTL, 2);

	fake_slot_port_write(fake, PCI_EXP_SLTCTL, 2, (control & ~clear) | set);
}

static inline void power_slot(struct fake_slot *fake, bool on)
{
	if (on)
		change_control(fake, PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC,
			       PCI_EXP_SLTCTL_PWR_IND_ON);
	else
		change_control(fake, PCI_EXP_SLTCTL_PIC,
			       PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PWR_IND_OFF);
}

/* BAR 2, prefetchable, at the beginning of the port's high window, and BAR 0 of the low one. */
static inline void enable_card(struct fake_slot *fake)
{
	const struct pci_dev *port = root_port_pci(fake->slot->port);
	uint64_t high = port->given[PCI_WINDOW_PREFETCH].start;

	fake_slot_port_write(fake, PCI_EXP_SLTSTA, 2, slot_status(fake));
	power_slot(fake, true);
	pci_host_cfg_write(fake->pci, FN_BDF(0), PCI_BASE_ADDRESS_0, 4,
			   (uint32_t)port->given[PCI_WINDOW_MEM].start);
	pci_host_cfg_write(fake->pci, FN_BDF(0), PCI_BASE_ADDRESS_2, 4, (uint32_t)high);
	pci_host_cfg_write(fake->pci, FN_BDF(0), PCI_BASE_ADDRESS_3, 4, (uint32_t)(high >> 32));
	pci_host_cfg_write(fake->pci, FN_BDF(0), PCI_COMMAND, 2, DECODE);
}

/* A guest that began without the card, in which it works now. */
static inline void start_with_new_card(struct fake_slot *fake)
{
	fake_slot_start_empty(fake);
	fake_slot_insert(fake);
	enable_card(fake);
}

static inline void await_button(struct fake_slot *fake)
{
	while (!(slot_status(fake) & PCI_EXP_SLTSTA_ABP))
		sched_yield();
	fake_slot_port_write(fake, PCI_EXP_SLTSTA, 2, PCI_EXP_SLTSTA_ABP);
}

static inline void await_empty(struct fake_slot *fake)
{
	while (!vfio_slot_is_empty(fake->slot))
		sched_yield();
}

static inline void remove_card(struct fake_slot *fake)
{
	vfio_slot_request_unplug(fake->slot);
	await_button(fake);
	power_slot(fake, false);
	await_empty(fake);
}

#endif
