/* Config space, as vfio-pci shows it: bytes and the mask of those bits that can be written. */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>

enum {
	CAP_PM = 0x40,
	CAP_EXPRESS = 0x60,
	CAP_MSIX = 0xa0,
	CAP_MSI = 0xb0,
	CAP_AER = 0x100,
	CAP_VENDOR = 0x150, /* only for ext-cap-loop */
};

#define BAR_MSIX 4U
#define HEADER_TYPE_MULTIFUNCTION 0x80U /* newer headers: PCI_HEADER_TYPE_MFD */
#define PBA_OFF 0x2000U

static void set16(struct function *fn, unsigned int off, uint16_t value, uint16_t writable)
{
	put_le16(fn->config + off, value);
	put_le16(fn->writable + off, writable);
}

static void set32(struct function *fn, unsigned int off, uint32_t value, uint32_t writable)
{
	put_le32(fn->config + off, value);
	put_le32(fn->writable + off, writable);
}

/* --- the image --- */

static void init_header(struct function *fn)
{
	bool nvidia = fn->slot->nvidia;
	uint16_t device = (uint16_t)((nvidia ? 0x2bf0 : 0x00f0) + fn->number);

	set16(fn, PCI_VENDOR_ID, nvidia ? 0x10de : 0x1b36, 0);
	set16(fn, PCI_DEVICE_ID, device, 0);
	/* vfio-pci enables the device when it is opened: it decodes memory from the start. */
	set16(fn, PCI_COMMAND, PCI_COMMAND_MEMORY,
	      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
	      PCI_COMMAND_INTX_DISABLE);
	set16(fn, PCI_STATUS, PCI_STATUS_CAP_LIST, 0);
	set32(fn, PCI_CLASS_REVISION, fn->kind->class_code << 8 | 0xa1, 0);
	fn->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	fn->config[PCI_HEADER_TYPE] = fn->slot->count > 1 ? HEADER_TYPE_MULTIFUNCTION : 0;
	set16(fn, PCI_SUBSYSTEM_VENDOR_ID, nvidia ? 0x10de : 0x1b36, 0);
	set16(fn, PCI_SUBSYSTEM_ID, device, 0);
	fn->config[PCI_CAPABILITY_LIST] = CAP_PM;
	fn->writable[PCI_INTERRUPT_LINE] = 0xff;
	fn->config[PCI_INTERRUPT_PIN] = (uint8_t)(1 + fn->number);
}

static void init_bar(struct function *fn, unsigned int bar, uint32_t flags, uint64_t size)
{
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * bar;

	fn->region[bar] = (struct region){size, size, false};
	set32(fn, off, flags, (uint32_t)~(size - 1));
	if (flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		set32(fn, off + 4, 0, (uint32_t)(~(size - 1) >> 32));
}

static void init_bars(struct function *fn)
{
	init_bar(fn, 0, 0, fn->kind->bar0_size);
	init_bar(fn, BAR_MSIX, 0, MSIX_BAR_SIZE);
	if (fn->kind->vram) {
		init_bar(fn, 2, PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
			 fn->slot->vram_size);
		fn->region[2].mappable = true;
	}
	fn->region[VFIO_PCI_CONFIG_REGION_INDEX] = (struct region){CONFIG_SIZE, CONFIG_SIZE, false};
}

static void init_cap(struct function *fn, unsigned int off, uint8_t id, uint8_t next)
{
	fn->config[off] = id;
	fn->config[off + 1] = next;
}

/* PME bits read 0: vfio-pci hides them. */
static void init_pm(struct function *fn)
{
	init_cap(fn, CAP_PM, PCI_CAP_ID_PM, CAP_EXPRESS);
	set16(fn, CAP_PM + PCI_PM_PMC, 3, 0);
	set16(fn, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK);
}

static void init_express(struct function *fn)
{
	const unsigned int cap = CAP_EXPRESS;

	init_cap(fn, cap, PCI_CAP_ID_EXP, CAP_MSIX);
	set16(fn, cap + PCI_EXP_FLAGS, PCI_EXP_TYPE_ENDPOINT << 4 | 2, 0);
	set32(fn, cap + PCI_EXP_DEVCAP,
	      PCI_EXP_DEVCAP_RBER | (fn->slot->reset ? PCI_EXP_DEVCAP_FLR : 0), 0);
	set16(fn, cap + PCI_EXP_DEVCTL, 0x2810, 0x7fff);
	set32(fn, cap + PCI_EXP_LNKCAP,
	      PCI_EXP_LNKCAP_SLS_16_0GB | 16 << 4 | PCI_EXP_LNKCAP_CLKPM, 0);
	set16(fn, cap + PCI_EXP_LNKCTL, 0, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC);
	set16(fn, cap + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_CLS_16_0GB | 16 << 4, 0);
	set32(fn, cap + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS, 0);
	set16(fn, cap + PCI_EXP_DEVCTL2, 0, 0x1f);
	set32(fn, cap + PCI_EXP_LNKCAP2, 0x1e, 0);
	set16(fn, cap + PCI_EXP_LNKCTL2, 4, 0x0f);
}

static void init_msi(struct function *fn)
{
	init_cap(fn, CAP_MSIX, PCI_CAP_ID_MSIX, CAP_MSI);
	set16(fn, CAP_MSIX + PCI_MSIX_FLAGS, (uint16_t)(fn->kind->vectors - 1),
	      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	set32(fn, CAP_MSIX + PCI_MSIX_TABLE, BAR_MSIX, 0);
	set32(fn, CAP_MSIX + PCI_MSIX_PBA, PBA_OFF | BAR_MSIX, 0);
	init_cap(fn, CAP_MSI, PCI_CAP_ID_MSI, 0);
	set16(fn, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT, PCI_MSI_FLAGS_ENABLE);
	set32(fn, CAP_MSI + PCI_MSI_ADDRESS_LO, 0, 0xfffffffc);
	set32(fn, CAP_MSI + PCI_MSI_ADDRESS_HI, 0, 0xffffffff);
	set16(fn, CAP_MSI + PCI_MSI_DATA_64, 0, 0xffff);
}

static uint32_t ext_header(unsigned int id, unsigned int version, unsigned int next)
{
	return id | version << 16 | next << 20;
}

static void init_aer(struct function *fn)
{
	const uint32_t uncorrectable = 0x0ff1f030; /* DLP .. bits that PCIe defines up to 27 */

	set32(fn, CAP_AER, ext_header(PCI_EXT_CAP_ID_ERR, 2, 0), 0);
	set32(fn, CAP_AER + PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_INTN, uncorrectable);
	set32(fn, CAP_AER + PCI_ERR_UNCOR_SEVER,
	      PCI_ERR_UNC_DLP | PCI_ERR_UNC_FCP | PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP |
	      PCI_ERR_UNC_INTN, uncorrectable);
	set32(fn, CAP_AER + PCI_ERR_COR_MASK, PCI_ERR_COR_ADV_NFAT, 0x0000f1c1);
	set32(fn, CAP_AER + PCI_ERR_CAP, 0, 0);
}

/* --- hostile images --- */

static unsigned int big_bar(const struct function *fn)
{
	return fn->kind->vram ? 2 : 0;
}

static void fault_cap_loop(struct function *fn)
{
	fn->config[CAP_MSI + 1] = CAP_PM;
}

static void fault_ext_cap_loop(struct function *fn)
{
	set32(fn, CAP_AER, ext_header(PCI_EXT_CAP_ID_ERR, 2, CAP_VENDOR), 0);
	set32(fn, CAP_VENDOR, ext_header(PCI_EXT_CAP_ID_VNDR, 1, CAP_AER), 0);
	set32(fn, CAP_VENDOR + PCI_VNDR_HEADER, 0x10 << 20, 0);
}

static void fault_cap_in_header(struct function *fn)
{
	fn->config[PCI_CAPABILITY_LIST] = PCI_BASE_ADDRESS_0;
}

static void fault_bar_zero(struct function *fn)
{
	fn->region[big_bar(fn)].size = 0;
}

static void fault_bar_huge(struct function *fn)
{
	fn->region[big_bar(fn)].size = 1ULL << 62;
}

static void fault_bar_odd(struct function *fn)
{
	fn->region[big_bar(fn)].size -= 0x1234;
}

static void fault_msix_outside(struct function *fn)
{
	set32(fn, CAP_MSIX + PCI_MSIX_TABLE, 2 * MSIX_BAR_SIZE | BAR_MSIX, 0);
}

static void fault_msix_huge(struct function *fn)
{
	set16(fn, CAP_MSIX + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_QSIZE,
	      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
}

static void fault_pin_ff(struct function *fn)
{
	fn->config[PCI_INTERRUPT_PIN] = 0xff;
}

static void fault_cap_overlap(struct function *fn)
{
	fn->config[CAP_MSIX + 1] = CAP_MSIX + 8;
	init_cap(fn, CAP_MSIX + 8, PCI_CAP_ID_MSI, 0);
	set16(fn, CAP_MSIX + 8 + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT, PCI_MSI_FLAGS_ENABLE);
}

static void fault_bridge(struct function *fn)
{
	fn->config[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_BRIDGE;
}

static void fault_ones(struct function *fn)
{
	memset(fn->config, 0xff, sizeof(fn->config));
	memset(fn->writable, 0, sizeof(fn->writable));
}

static const struct {
	const char *name;
	void (*apply)(struct function *fn);
} faults[] = {
	{"cap-loop", fault_cap_loop},
	{"ext-cap-loop", fault_ext_cap_loop},
	{"cap-in-header", fault_cap_in_header},
	{"bar-zero", fault_bar_zero},
	{"bar-huge", fault_bar_huge},
	{"bar-odd", fault_bar_odd},
	{"msix-outside", fault_msix_outside},
	{"msix-huge", fault_msix_huge},
	{"pin-ff", fault_pin_ff},
	{"cap-overlap", fault_cap_overlap},
	{"bridge", fault_bridge},
	{"ones", fault_ones},
};

static void apply_fault(struct function *fn)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (fn->config_fault && !strcmp(faults[i].name, fn->config_fault))
			faults[i].apply(fn);
}

int config_fault(struct function *fn, const char *name)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (strcmp(faults[i].name, name))
			continue;
		fn->config_fault = faults[i].name;
		config_init(fn);
		return 0;
	}
	return -EINVAL;
}

void config_init(struct function *fn)
{
	memset(fn->config, 0, sizeof(fn->config));
	memset(fn->writable, 0, sizeof(fn->writable));
	memset(fn->region, 0, sizeof(fn->region));
	init_header(fn);
	init_bars(fn);
	init_pm(fn);
	init_express(fn);
	init_msi(fn);
	init_aer(fn);
	apply_fault(fn);
}

void config_reset(struct function *fn)
{
	const unsigned int control = CAP_PM + PCI_PM_CTRL;

	fn->config[control] &= (uint8_t)~(fn->writable[control] & PCI_PM_CTRL_STATE_MASK);
}

/* --- access --- */

bool config_memory_enabled(const struct function *fn)
{
	return get_le16(fn->config + PCI_COMMAND) & PCI_COMMAND_MEMORY &&
	       !(fn->config[CAP_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK);
}

bool config_master_enabled(const struct function *fn)
{
	return get_le16(fn->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

bool config_intx_enabled(const struct function *fn)
{
	return !(get_le16(fn->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}

void config_forget(struct function *fn)
{
	for (size_t i = 0; i < PCI_STD_HEADER_SIZEOF; i++)
		fn->config[i] &= (uint8_t)~fn->writable[i];
}

void config_read(struct function *fn, size_t off, uint8_t *data, size_t len)
{
	memcpy(data, fn->config + off, len);
	if (off <= PCI_STATUS && off + len > PCI_STATUS && fn->registers.irq_status)
		data[PCI_STATUS - off] |= PCI_STATUS_INTERRUPT;
}

void config_write(struct function *fn, size_t off, const uint8_t *data, size_t len)
{
	const size_t control = CAP_EXPRESS + PCI_EXP_DEVCTL + 1;

	for (size_t i = 0; i < len; i++) {
		uint8_t *byte = &fn->config[off + i], mask = fn->writable[off + i];

		*byte = (uint8_t)((*byte & ~mask) | (data[i] & mask));
	}
	if (fn->slot->reset && off <= control && off + len > control &&
	    data[control - off] & PCI_EXP_DEVCTL_BCR_FLR >> 8)
		power_reset(fn);
	interrupts_update_intx(fn);
}
