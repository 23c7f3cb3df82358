/*
 * The guest's view of config space: dev.cfg holds what is ours, `hw` says which bits are the
 * device's. Reads fetch exactly the bytes with such bits, in the guest's own alignment, because
 * some registers of vendors act on being read; writes forward those alone.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vfio/function_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"

#define HEADER_TYPE_MASK 0x7fU
#define HEADER_MULTIFUNCTION 0x80U
#define PIN_MAX 4U /* INTD */

/* Status bits that the device raises at run time: errors, which are cleared by writing one, and
 * Interrupt Status. PCIe 5.0, 7.5.1.1.4 Status Register. */
#define STATUS_HW                                                                              \
	(PCI_STATUS_INTERRUPT | PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT |              \
	 PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT |                           \
	 PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)
#define STATUS_FIXED                                                                           \
	(PCI_STATUS_CAP_LIST | PCI_STATUS_66MHZ | PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MASK)

/* Registers of the header that are shown as they were read at the start, besides the IDs. */
static const struct {
	uint8_t off, len;
} header_copied[] = {
	{PCI_REVISION_ID, 1},
	{PCI_CARDBUS_CIS, 4},
	{PCI_SUBSYSTEM_VENDOR_ID, 4},
	{PCI_MIN_GNT, 2}, /* and Max_Lat */
};

void vfio_config_set_virtual(struct vfio_function *function, unsigned int off, unsigned int len)
{
	memset(function->hw + off, 0, len);
}

/* --- set-up --- */

/* Bytes of config space read (256 or 4096), or negative errno. A device whose extended space does
 * not answer is shown without. */
static int read_raw(struct vfio_function *function, uint8_t raw[PCI_CFG_LEN])
{
	struct vfio_backend *backend = function->backend;
	const unsigned int index = VFIO_PCI_CONFIG_REGION_INDEX;
	struct vfio_region region;
	const size_t extended = PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE;
	ssize_t n;
	int error = backend->ops->region_info(backend, index, &region);

	if (error)
		return error;
	n = backend->ops->region_read(backend, index, 0, raw, PCI_CFG_SPACE_SIZE);
	if (n != PCI_CFG_SPACE_SIZE)
		return n < 0 ? (int)n : -EIO;
	if (region.size < PCI_CFG_SPACE_EXP_SIZE)
		return PCI_CFG_SPACE_SIZE;
	n = backend->ops->region_read(backend, index, PCI_CFG_SPACE_SIZE, raw + PCI_CFG_SPACE_SIZE,
				      extended);
	if (n == (ssize_t)extended)
		return PCI_CFG_SPACE_EXP_SIZE;
	log_warn("vfio %s: extended config space cannot be read, hiding it",
		 function->backend->name);
	memset(raw + PCI_CFG_SPACE_SIZE, 0, extended);
	return PCI_CFG_SPACE_SIZE;
}

static int check_header(const struct vfio_function *function, const uint8_t *raw, char *ret_why,
			size_t why_size)
{
	unsigned int type = raw[PCI_HEADER_TYPE] & HEADER_TYPE_MASK;
	unsigned int pin = raw[PCI_INTERRUPT_PIN];

	/* The kernel's VFIO answers for the vendor by itself, as in vfio/function.c. */
	if (le16_get(raw + PCI_VENDOR_ID) == 0xffff ||
	    le32_get(raw + PCI_CLASS_REVISION) == UINT32_MAX)
		return vfio_function_say(function, -ENODEV, ret_why, why_size,
					 "does not answer, its config space reads as ones; a cold "
					 "boot of the host may bring it back");
	if (type != PCI_HEADER_TYPE_NORMAL)
		return vfio_function_say(function, -EINVAL, ret_why, why_size,
					 "is a bridge (header type %u); only endpoints (type 0) "
					 "can be passed through",
					 type);
	if (pin > PIN_MAX)
		return vfio_function_say(function, -EINVAL, ret_why, why_size,
					 "has Interrupt Pin %u; 0 to %u are valid", pin, PIN_MAX);
	return 0;
}

static void identify(struct vfio_function *function, const uint8_t *raw)
{
	function->identity = (struct vfio_identity){
		.vendor = le16_get(raw + PCI_VENDOR_ID),
		.device = le16_get(raw + PCI_DEVICE_ID),
		.class = (uint32_t)le_get(raw + PCI_CLASS_PROG, 3),
	};
}

static void fill_header(struct vfio_function *function, const uint8_t *raw, bool multifunction)
{
	struct vfio_backend *backend = function->backend;
	struct pci_cfg *cfg = &function->dev.cfg;
	bool has_intx = backend->ops->irq_count(backend, VFIO_PCI_INTX_IRQ_INDEX) > 0;

	for (size_t i = 0; i < ARRAY_SIZE(header_copied); i++)
		pci_cfg_set(cfg, header_copied[i].off, header_copied[i].len,
			    (uint32_t)le_get(raw + header_copied[i].off, header_copied[i].len));
	pci_cfg_set(cfg, PCI_STATUS, 2, le16_get(raw + PCI_STATUS) & STATUS_FIXED);
	le16_set(function->hw + PCI_STATUS, STATUS_HW);
	pci_cfg_set(cfg, PCI_HEADER_TYPE, 1, multifunction ? HEADER_MULTIFUNCTION : 0);
	/* The host says whether the pin is good for anything. */
	pci_cfg_set(cfg, PCI_INTERRUPT_PIN, 1, has_intx ? raw[PCI_INTERRUPT_PIN] : 0);
	function->command = le16_get(raw + PCI_COMMAND);
}

int vfio_config_build(struct vfio_function *function, bool multifunction, char *ret_why,
		      size_t why_size)
{
	uint8_t raw[PCI_CFG_LEN] = {0};
	struct pci_dev *dev = &function->dev;
	int cfg_size = read_raw(function, raw);
	int error;

	if (cfg_size < 0)
		return vfio_function_say(function, cfg_size, ret_why, why_size,
					 "its config space cannot be read: %s",
					 strerror(-cfg_size));
	error = check_header(function, raw, ret_why, why_size);
	if (error)
		return error;
	identify(function, raw);
	pci_cfg_set(&dev->cfg, PCI_VENDOR_ID, 2, function->identity.vendor);
	pci_cfg_set(&dev->cfg, PCI_DEVICE_ID, 2, function->identity.device);
	pci_cfg_set(&dev->cfg, PCI_CLASS_PROG, 3, function->identity.class);
	fill_header(function, raw, multifunction);

	/* Beyond the header all is the device's, until a rule says otherwise; drivers find
	 * registers of the vendor outside of capabilities too. */
	memcpy(dev->cfg.value + PCI_STD_HEADER_SIZEOF, raw + PCI_STD_HEADER_SIZEOF,
	       PCI_CFG_LEN - PCI_STD_HEADER_SIZEOF);
	memset(function->hw + PCI_STD_HEADER_SIZEOF, 0xff,
	       (unsigned int)cfg_size - PCI_STD_HEADER_SIZEOF);

	error = vfio_bars_init(function, raw, ret_why, why_size);
	if (!error)
		error = vfio_caps_build(function, raw, (unsigned int)cfg_size, ret_why, why_size);
	return error;
}

/* --- the device's bits --- */

/* Bytes of the longest aligned access that starts at byte `i` of [off, off + len) and has bits of
 * the device in every byte; 0: the byte has none. */
static unsigned int hw_run(const struct vfio_function *function, uint16_t off, unsigned int len,
			   unsigned int i)
{
	const uint8_t *hw = function->hw + off;
	unsigned int run = hw[i] != 0;

	while (run && i + 2 * run <= len && (off + i) % (2 * run) == 0) {
		for (unsigned int j = run; j < 2 * run; j++)
			if (!hw[i + j])
				return run;
		run *= 2;
	}
	return run;
}

/* Replaces the device's bits of `value`; ones where it does not answer. */
static uint32_t overlay(struct vfio_function *function, uint16_t off, unsigned int len,
			uint32_t value)
{
	uint8_t bytes[4], from[4];
	unsigned int run;

	le32_set(bytes, value);
	for (unsigned int i = 0; i < len; i += run ? run : 1) {
		run = hw_run(function, off, len, i);
		if (!run)
			continue;
		if (vfio_function_read(function, VFIO_PCI_CONFIG_REGION_INDEX, off + i, from, run))
			memset(from, 0xff, sizeof(from));
		for (unsigned int j = 0; j < run; j++) {
			uint8_t hw = function->hw[off + i + j];

			bytes[i + j] = (uint8_t)((bytes[i + j] & ~hw) | (from[j] & hw));
		}
	}
	return le32_get(bytes);
}

static void forward(struct vfio_function *function, uint16_t off, unsigned int len, uint32_t value)
{
	uint8_t bytes[4];
	unsigned int run;

	le32_set(bytes, value);
	for (unsigned int i = 0; i < len; i += run ? run : 1) {
		run = hw_run(function, off, len, i);
		if (!run)
			continue;
		for (unsigned int j = 0; j < run; j++)
			bytes[i + j] &= function->hw[off + i + j];
		vfio_function_write(function, VFIO_PCI_CONFIG_REGION_INDEX, off + i, bytes + i,
				    run);
	}
}

static bool meets(uint16_t off, unsigned int len, unsigned int reg, unsigned int reg_len)
{
	return range_meets((struct range){off, len}, (struct range){reg, reg_len});
}

static uint16_t msi_pending_register(const struct pci_dev *dev)
{
	uint16_t cap = dev->msi.cap;
	uint32_t flags = pci_cfg_read(&dev->cfg, cap + PCI_MSI_FLAGS, 2);

	return cap + (flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_PENDING_64 : PCI_MSI_PENDING_32);
}

static bool has_msi_pending(const struct pci_dev *dev)
{
	return dev->msi.cap &&
	       pci_cfg_read(&dev->cfg, dev->msi.cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_MASKBIT;
}

void vfio_config_read(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t *value)
{
	struct vfio_function *function = vfio_function_of(dev);

	*value = overlay(function, off, len, *value);
	if (has_msi_pending(dev) && meets(off, len, msi_pending_register(dev), 4))
		*value = vfio_irqs_msi_pending(function) >> (8 * (off % 4));
}

/* --- the guest's writes --- */

/*
 * The core calls bar_mapped(off), cfg_changed and bar_mapped(on) in this order; so memory decoding
 * ends on the device after its windows are gone, and begins before they come. This function does
 * not rely on it: it is called by bar_mapped(on) too, and unmaps what is left itself. The device
 * keeps decoding in the guest's D3hot, which is virtual; there the core alone unmaps.
 */
void vfio_config_sync_command(struct vfio_function *function)
{
	uint16_t command = (uint16_t)pci_cfg_read(&function->dev.cfg, PCI_COMMAND, 2);
	uint8_t bytes[2];

	if (!function->awake || command == function->command)
		return;
	if (function->command & ~command & PCI_COMMAND_MEMORY)
		vfio_bars_unmap_windows(function);
	le16_set(bytes, command);
	if (!vfio_function_write(function, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, bytes, 2))
		function->command = command;
}

/* The host's kernel puts a device into D3hot on a write of PMCSR by VFIO, which takes ten
 * milliseconds, and shuts its BARs until it is back (Linux, vfio_pci_config.c,
 * vfio_pm_config_write()). */
void vfio_config_sync_power(struct vfio_function *function)
{
	struct pci_dev *dev = &function->dev;
	/* One that is away from the guest, and awake, is about to be shown in D0. */
	bool shown = dev->presence == PCI_PRESENT;
	uint8_t state = shown ? (uint8_t)pci_dev_power_state(dev) : 0;
	uint8_t bytes[2];

	if (!function->forwards_d3hot || !function->awake || state == function->power_state)
		return;
	le16_set(bytes, state);
	if (!vfio_function_write(function, VFIO_PCI_CONFIG_REGION_INDEX,
				 dev->pm_cap + PCI_PM_CTRL, bytes, sizeof(bytes)))
		function->power_state = state;
}

static void note_pme(struct vfio_function *function)
{
	uint32_t pmcsr = pci_cfg_read(&function->dev.cfg, function->dev.pm_cap + PCI_PM_CTRL, 2);
	uint16_t pme = pmcsr & (PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);
	uint16_t cleared = function->pme & (uint16_t)~pme;

	function->pme = pme;
	if (cleared && function->listener.pme_cleared)
		function->listener.pme_cleared(function->listener.opaque, function->fn);
}

/* Was bit `bit` of the byte at `reg` written as one? */
static bool wrote_one(uint16_t off, unsigned int len, uint32_t value, unsigned int reg,
		      uint8_t bit)
{
	return meets(off, len, reg, 1) && (value >> (8 * (reg - off))) & bit;
}

/* Both ways to ask for a Function Level Reset. They are kept from the device: the host must reset
 * it, to restore what the guest cannot. */
static bool asks_flr(const struct vfio_function *function, uint16_t off, unsigned int len,
		     uint32_t value)
{
	uint8_t exp = function->dev.exp_cap;
	uint8_t af = function->af_cap;

	if (function->has_flr && wrote_one(off, len, value, exp + PCI_EXP_DEVCTL + 1U,
					   PCI_EXP_DEVCTL_BCR_FLR >> 8))
		return true;
	return af && wrote_one(off, len, value, af + PCI_AF_CTRL, PCI_AF_CTRL_FLR);
}

void vfio_config_changed(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value)
{
	struct vfio_function *function = vfio_function_of(dev);
	bool irqs = meets(off, len, PCI_COMMAND, 2);

	if (dev->pm_cap && meets(off, len, dev->pm_cap + PCI_PM_CTRL, 2))
		note_pme(function);
	if (!function->awake)
		return;
	if (asks_flr(function, off, len, value)) {
		vfio_function_level_reset(function);
		return;
	}
	forward(function, off, len, value);
	if (dev->pm_cap && meets(off, len, dev->pm_cap + PCI_PM_CTRL, 2)) {
		vfio_config_sync_power(function);
		irqs |= function->forwards_d3hot; /* the host enables none in D3hot */
	}
	if (meets(off, len, PCI_COMMAND, 2))
		vfio_config_sync_command(function);
	if (dev->msi.cap && meets(off, len, dev->msi.cap, PCI_MSI_PENDING_64))
		irqs = true;
	if (dev->msix.cap && meets(off, len, dev->msix.cap + PCI_MSIX_FLAGS, 2))
		irqs = true;
	if (irqs)
		vfio_irqs_sync(function);
}
