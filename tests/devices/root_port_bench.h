/*
 * For the tests of the root port: a port on a bus of fakes, its registers, its messages. Included
 * after <cmocka.h>.
 */
#ifndef TESTS_DEVICES_ROOT_PORT_BENCH_H
#define TESTS_DEVICES_ROOT_PORT_BENCH_H

#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "tests/fake_irq.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"

#define BDF 0x0008
#define PM 0x40
#define EXP 0x50
#define MSI 0x90
#define RTCTL (EXP + PCI_EXP_RTCTL)
#define RTSTA (EXP + PCI_EXP_RTSTA)
#define SLTCTL (EXP + PCI_EXP_SLTCTL)
#define SLTSTA (EXP + PCI_EXP_SLTSTA)
#define LNKSTA (EXP + PCI_EXP_LNKSTA)
#define PMCSR (PM + PCI_PM_CTRL)
#define AER 0x100
#define ROOT_COMMAND (AER + PCI_ERR_ROOT_COMMAND)
#define ROOT_STATUS (AER + PCI_ERR_ROOT_STATUS)
#define ERROR_SOURCE (AER + PCI_ERR_ROOT_ERR_SRC)
#define GSI 17 /* INTA of device 1 */
#define MSI_ADDRESS 0xfee02000U
#define MSI_DATA 0x4051U

struct fixture {
	struct fake_pci pci;
	struct root_port *port;
	unsigned int ejected;
};

/* Slot Control: what Linux' pciehp enables, and an occupied slot in working order. */
#define HOTPLUG (PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_DLLSCE)
#define POWERED (PCI_EXP_SLTCTL_ATTN_IND_OFF | PCI_EXP_SLTCTL_PWR_IND_ON)

static struct fixture fixture;

static inline void ejected(void *opaque)
{
	struct fixture *f = opaque;

	f->ejected++;
}

static inline int setup(void **state)
{
	const struct root_port_config config = {
		.slot_number = 1, .link_speed = 3, .link_width = 16,
		.ejected = ejected, .opaque = &fixture,
	};

	fixture = (struct fixture){0};
	fake_pci_start(&fixture.pci);
	fixture.port = root_port_create(&config);
	assert_int_equal(pci_host_add(fixture.pci.host, root_port_pci(fixture.port), NULL, BDF), 0);
	pci_host_cfg_write(fixture.pci.host, BDF, PCI_SECONDARY_BUS, 2, 0x0505);
	*state = &fixture;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	root_port_destroy(f->port);
	fake_pci_stop(&f->pci);
	return 0;
}

static inline void write_cfg(struct fixture *f, uint16_t off, unsigned int len, uint32_t value)
{
	pci_host_cfg_write(f->pci.host, BDF, off, len, value);
}

static inline uint32_t read_cfg(struct fixture *f, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(f->pci.host, BDF, off, len);
}

static inline void use_msi(struct fixture *f)
{
	write_cfg(f, MSI + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS);
	write_cfg(f, MSI + PCI_MSI_DATA_64, 2, MSI_DATA);
	write_cfg(f, MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	write_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
}

/* Messages since the last call; each must be the one that the guest programmed. */
static inline unsigned int take_msis(struct fixture *f)
{
	unsigned int count = fake_irq_msi_count(f->pci.irq);

	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(fake_irq_msi(f->pci.irq, i).address, MSI_ADDRESS);
		assert_int_equal(fake_irq_msi(f->pci.irq, i).data, MSI_DATA);
	}
	fake_irq_forget_msis(f->pci.irq);
	return count;
}

#endif
