/*
 * The config space of a root port: which registers there are, with which values and masks. What
 * changes in them is shown by root_port.c.
 */
#include <linux/pci_regs.h>

#include "devices/root_port_internal.h"
#include "vmm/base/bits.h"

/* The generic PCI Express root port of pci.ids, for which guests have no quirks. */
#define VENDOR_REDHAT 0x1b36
#define DEVICE_ROOT_PORT 0x000c
#define CLASS_PCI_BRIDGE 0x060400
#define PIN_INTA 1

#define EXP_VERSION 2U
#define EXP_TYPE_SHIFT 4
#define LNKCAP_WIDTH_SHIFT 4
#define LNKCAP_ASPM_OPTIONALITY 0x00400000U /* required since PCIe 3.0, with or without ASPM */
#define LNKCAP_PORT_SHIFT 24
#define SLTCAP_NUMBER_SHIFT 19

#define AER_VERSION 2
/* The errors that every port has to know, and those of flow control and of a completer. */
#define AER_UNCORRECTABLE                                                                    \
	(PCI_ERR_UNC_DLP | PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_FCP | PCI_ERR_UNC_COMP_TIME | \
	 PCI_ERR_UNC_COMP_ABORT | PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_RX_OVER |                \
	 PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_UNSUP)
#define AER_FATAL \
	(PCI_ERR_UNC_DLP | PCI_ERR_UNC_FCP | PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP)
#define AER_CORRECTABLE                                                              \
	(PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP | PCI_ERR_COR_BAD_DLLP |             \
	 PCI_ERR_COR_REP_ROLL | PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT)

struct register_init {
	uint8_t off; /* in the capability */
	uint8_t len;
	uint32_t value, rw, w1c;
};

static void init_registers(struct pci_dev *dev, uint16_t cap, const struct register_init *registers,
			   unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct register_init *reg = &registers[i];

		pci_cfg_set(&dev->cfg, cap + reg->off, reg->len, reg->value);
		pci_cfg_set_rw(&dev->cfg, cap + reg->off, reg->len, reg->rw);
		pci_cfg_set_w1c(&dev->cfg, cap + reg->off, reg->len, reg->w1c);
	}
}

/*
 * PCIe 5.0, 7.5.3 PCI Express Capability Structure. What is not listed is 0 and read-only; the
 * choices behind that:
 * - the slot has no retention latch, no interlock, detects no power fault, and completes commands
 *   at once, so that its enable bits for those events are 0, as they may or must be;
 * - a guest cannot disable or retrain the link (Deviation: Link Disable is read-only); no bandwidth
 *   notification, which would share the vector (Deviation: a link wider than x1 has it);
 * - Configuration RRS Software Visibility is not offered: functions never answer with retry, and
 *   with it Linux (pci_dev_wait()) takes a Vendor ID of ones for ready;
 * - 128-byte payload: fields that only larger ones need are 0.
 */
static void add_express(struct pci_dev *dev, const struct root_port_config *config)
{
	uint32_t speed = config->link_speed ? config->link_speed : 1;
	uint32_t width = config->link_width ? config->link_width : 1;
	uint32_t link = speed | width << LNKCAP_WIDTH_SHIFT;
	const struct register_init registers[] = {
		{PCI_EXP_FLAGS, 2,
		 EXP_VERSION | PCI_EXP_TYPE_ROOT_PORT << EXP_TYPE_SHIFT | PCI_EXP_FLAGS_SLOT, 0, 0},
		{PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER, 0, 0},
		{PCI_EXP_DEVCTL, 2, 0,
		 PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
			 PCI_EXP_DEVCTL_URRE, 0},
		{PCI_EXP_DEVSTA, 2, 0, 0,
		 PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED |
			 PCI_EXP_DEVSTA_URD},
		{PCI_EXP_LNKCAP, 4,
		 link | PCI_EXP_LNKCAP_DLLLARC | LNKCAP_ASPM_OPTIONALITY |
			 (uint32_t)config->slot_number << LNKCAP_PORT_SHIFT, 0, 0},
		{PCI_EXP_LNKCTL, 2, 0,
		 PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES, 0},
		{PCI_EXP_LNKSTA, 2, link | PCI_EXP_LNKSTA_SLC, 0, 0},
		{PCI_EXP_SLTCAP, 4,
		 PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_AIP | PCI_EXP_SLTCAP_PIP |
			 PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_NCCS |
			 (uint32_t)config->slot_number << SLTCAP_NUMBER_SHIFT, 0, 0},
		{PCI_EXP_SLTCTL, 2, 0,
		 PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE |
			 PCI_EXP_SLTCTL_AIC | PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC |
			 PCI_EXP_SLTCTL_DLLSCE, 0},
		{PCI_EXP_SLTSTA, 2, 0, 0,
		 PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC},
		{PCI_EXP_RTCTL, 2, 0,
		 PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE |
			 PCI_EXP_RTCTL_PMEIE, 0},
		{PCI_EXP_RTSTA, 4, 0, 0, PCI_EXP_RTSTA_PME},
		{PCI_EXP_LNKCAP2, 4, ((1U << speed) - 1) << 1, 0, 0},
		{PCI_EXP_LNKCTL2, 2, speed,
		 PCI_EXP_LNKCTL2_TLS | PCI_EXP_LNKCTL2_ENTER_COMP | PCI_EXP_LNKCTL2_HASD |
			 PCI_EXP_LNKCTL2_TX_MARGIN, 0},
	};

	pci_cfg_add_cap(&dev->cfg, PCI_CAP_ID_EXP, EXP_CAP);
	dev->exp_cap = EXP_CAP;
	init_registers(dev, EXP_CAP, registers, ARRAY_SIZE(registers));
}

/*
 * PCIe 5.0, 7.8.4 Advanced Error Reporting Extended Capability. The port itself never errs: its own
 * status bits stay 0, and masks and severities only hold what is written to them, from the defaults
 * of 6.2.7 Error Listing and Rules on. No ECRC, nothing logged.
 */
static void add_aer(struct pci_dev *dev)
{
	static const struct register_init registers[] = {
		{PCI_ERR_UNCOR_STATUS, 4, 0, 0, AER_UNCORRECTABLE},
		{PCI_ERR_UNCOR_MASK, 4, 0, AER_UNCORRECTABLE, 0},
		{PCI_ERR_UNCOR_SEVER, 4, AER_FATAL, AER_UNCORRECTABLE, 0},
		{PCI_ERR_COR_STATUS, 4, 0, 0, AER_CORRECTABLE},
		{PCI_ERR_COR_MASK, 4, PCI_ERR_COR_ADV_NFAT, AER_CORRECTABLE, 0},
		{PCI_ERR_ROOT_COMMAND, 4, 0,
		 PCI_ERR_ROOT_CMD_COR_EN | PCI_ERR_ROOT_CMD_NONFATAL_EN | PCI_ERR_ROOT_CMD_FATAL_EN,
		 0},
		{PCI_ERR_ROOT_STATUS, 4, 0, 0,
		 PCI_ERR_ROOT_COR_RCV | PCI_ERR_ROOT_MULTI_COR_RCV | PCI_ERR_ROOT_UNCOR_RCV |
			 PCI_ERR_ROOT_MULTI_UNCOR_RCV | PCI_ERR_ROOT_FIRST_FATAL |
			 PCI_ERR_ROOT_NONFATAL_RCV | PCI_ERR_ROOT_FATAL_RCV},
	};

	pci_cfg_add_ext_cap(&dev->cfg, PCI_EXT_CAP_ID_ERR, AER_VERSION, AER_CAP);
	init_registers(dev, AER_CAP, registers, ARRAY_SIZE(registers));
}

void root_port_init_registers(struct pci_dev *dev, const struct pci_dev_ops *ops,
			      const struct root_port_config *config)
{
	pci_dev_init(dev, ops, VENDOR_REDHAT, DEVICE_ROOT_PORT, CLASS_PCI_BRIDGE,
		     PCI_HEADER_TYPE_BRIDGE);
	pci_cfg_set(&dev->cfg, PCI_INTERRUPT_PIN, 1, PIN_INTA);
	pci_dev_add_pm(dev, PM_CAP,
		       PCI_PM_CAP_PME_D0 | PCI_PM_CAP_PME_D3hot | PCI_PM_CAP_PME_D3cold, true);
	add_express(dev, config);
	pci_dev_add_msi(dev, MSI_CAP);
	add_aer(dev);
}
