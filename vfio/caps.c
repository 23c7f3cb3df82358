/*
 * The standard list of capabilities, from the device to the guest; the extended one is that of
 * caps_ext.c. Offsets are kept, because drivers of GPUs know them; a capability that must not be
 * seen is unlinked. Most pass through as they are; the table of rules names the others.
 */
#include <string.h>

#include "vfio/caps_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define CAP_FIRST PCI_STD_HEADER_SIZEOF
#define CAP_OFF_MASK 0xfcU
#define CAP_HEADER_LEN 2U
#define CAPS_MAX ((PCI_CFG_SPACE_SIZE - CAP_FIRST) / 4)
#define PM_KEPT (PCI_PM_CAP_DSI | PCI_PM_CAP_AUX_POWER)
#define MSI_SHOWN (PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT)
#define MSI_ADDRESS_RW 0xfffffffcU
#define LINK_2_5GT_X1 (PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1)

/* `len` bytes at the capability's offset are its own. */
static int take(struct vfio_caps *caps, const struct vfio_cap *cap, unsigned int len)
{
	if (!range_fits(PCI_CFG_SPACE_SIZE, cap->off, len))
		return vfio_caps_refuse(caps, "capability %02x at 0x%02x is %u bytes long and "
					      "leaves config space", cap->id, cap->off, len);
	for (unsigned int i = 0; i < len; i++) {
		if (caps->taken[cap->off + i])
			return vfio_caps_refuse(caps, "capability %02x at 0x%02x meets another one",
						cap->id, cap->off);
		caps->taken[cap->off + i] = true;
	}
	return 0;
}

/*
 * PCI PM 1.2, 3.2.3 PMC - Power Management Capabilities: the host hides what the device says of
 * PME, and the guest's PME is this program's work; so the guest is offered PME from D3hot and
 * D3cold.
 */
static int build_pm(struct vfio_caps *caps, struct vfio_cap *cap)
{
	struct pci_dev *dev = &caps->function->dev;
	uint32_t kept = le16_get(caps->raw + cap->off + PCI_PM_PMC) & PM_KEPT;
	int error = take(caps, cap, PCI_PM_SIZEOF);

	if (error)
		return error;
	pci_dev_add_pm(dev, (uint8_t)cap->off, PCI_PM_CAP_PME_D3hot | PCI_PM_CAP_PME_D3cold,
		       false);
	pci_cfg_set(&dev->cfg, cap->off + PCI_PM_PMC, 2,
		    pci_cfg_read(&dev->cfg, cap->off + PCI_PM_PMC, 2) | kept);
	vfio_config_set_virtual(caps->function, cap->off, PCI_PM_SIZEOF);
	caps->function->identity.has_pm = true;
	return 0;
}

static unsigned int msi_len(uint16_t flags)
{
	unsigned int len = flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;

	return len + (flags & PCI_MSI_FLAGS_MASKBIT ? 12 : 2);
}

/* log2 of the messages that both the device and the host can do. */
static unsigned int msi_mmc(const struct vfio_caps *caps, uint16_t flags)
{
	struct vfio_backend *backend = caps->function->backend;
	int host = backend->ops->irq_count(backend, VFIO_PCI_MSI_IRQ_INDEX);
	unsigned int mmc = (flags & PCI_MSI_FLAGS_QMASK) >> 1;

	if (mmc > 5)
		mmc = 5; /* 6 and 7 are reserved. PCIe 5.0, 7.7.1 MSI Capability Structures */
	while (mmc && 1 << mmc > host)
		mmc--;
	return mmc;
}

static int build_msi(struct vfio_caps *caps, struct vfio_cap *cap)
{
	struct vfio_function *function = caps->function;
	struct vfio_backend *backend = function->backend;
	struct pci_cfg *cfg = &function->dev.cfg;
	uint16_t flags = le16_get(caps->raw + cap->off + PCI_MSI_FLAGS) & MSI_SHOWN;
	bool wide = flags & PCI_MSI_FLAGS_64BIT;
	unsigned int mmc = msi_mmc(caps, flags), len = msi_len(flags);
	uint16_t off = cap->off;
	int error = take(caps, cap, len);

	if (error)
		return error;
	if (backend->ops->irq_count(backend, VFIO_PCI_MSI_IRQ_INDEX) <= 0) {
		cap->hidden = true;
		return 0;
	}
	vfio_config_set_virtual(function, off, (unsigned int)align_up(len, 4));
	memset(cfg->value + off + PCI_MSI_FLAGS, 0, len - PCI_MSI_FLAGS);
	flags = (uint16_t)((flags & ~PCI_MSI_FLAGS_QMASK) | mmc << 1);
	pci_cfg_set(cfg, off + PCI_MSI_FLAGS, 2, flags);
	pci_cfg_set_rw(cfg, off + PCI_MSI_FLAGS, 2,
		       PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_cfg_set_rw(cfg, off + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS_RW);
	if (wide)
		pci_cfg_set_rw(cfg, off + PCI_MSI_ADDRESS_HI, 4, 0xffffffff);
	pci_cfg_set_rw(cfg, off + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2, 0xffff);
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		pci_cfg_set_rw(cfg, off + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4,
			       (uint32_t)BITS((1U << mmc) - 1, 0));
	function->dev.msi.cap = (uint8_t)off;
	function->irqs.msi_max = 1U << mmc;
	return 0;
}

/* A structure of MSI-X in the BAR that its register `reg` names. */
static int check_in_bar(struct vfio_caps *caps, const char *name, uint32_t reg, uint64_t size)
{
	unsigned int bir = reg & PCI_MSIX_TABLE_BIR;
	const struct pci_bar *bar = &caps->function->dev.bar[bir];

	if (bir >= PCI_BAR_COUNT || !bar->size || bar->flags & PCI_BASE_ADDRESS_SPACE_IO ||
	    !range_fits(bar->size, reg & PCI_MSIX_TABLE_OFFSET, size))
		return vfio_caps_refuse(caps, "the MSI-X %s (%llu bytes at 0x%x) is not inside BAR "
					      "%u", name, (unsigned long long)size,
					reg & PCI_MSIX_TABLE_OFFSET, bir);
	return 0;
}

static int build_msix(struct vfio_caps *caps, struct vfio_cap *cap)
{
	struct vfio_function *function = caps->function;
	struct vfio_backend *backend = function->backend;
	const uint8_t *raw = caps->raw + cap->off;
	uint32_t table = le32_get(raw + PCI_MSIX_TABLE), pba = le32_get(raw + PCI_MSIX_PBA);
	unsigned int size = (le16_get(raw + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1U;
	int host = backend->ops->irq_count(backend, VFIO_PCI_MSIX_IRQ_INDEX);
	int error = take(caps, cap, PCI_CAP_MSIX_SIZEOF);

	if (!error)
		error = check_in_bar(caps, "table", table, (uint64_t)size * PCI_MSIX_ENTRY_SIZE);
	if (!error)
		error = check_in_bar(caps, "pending bit array", pba, align_up(size, 64) / 8);
	if (error)
		return error;
	if (host <= 0) {
		cap->hidden = true;
		return 0;
	}
	function->dev.msix = (struct pci_msix){
		.cap = (uint8_t)cap->off,
		.table_size = (uint16_t)(size < (unsigned int)host ? size : (unsigned int)host),
		.table_bir = table & PCI_MSIX_TABLE_BIR,
		.table_off = table & PCI_MSIX_TABLE_OFFSET,
		.pba_bir = pba & PCI_MSIX_PBA_BIR,
		.pba_off = pba & PCI_MSIX_PBA_OFFSET,
		.pending = vfio_irqs_pending,
		.changed = vfio_irqs_msix_changed,
	};
	vfio_config_set_virtual(function, cap->off, PCI_CAP_MSIX_SIZEOF);
	error = pci_dev_add_msix(&function->dev, false);
	if (error)
		return vfio_function_say(function, error, caps->why, caps->why_size,
					 "out of memory");
	return 0;
}

/* A root complex integrated endpoint has no link, but the guest sees it below a root port, where
 * PCIe 5.0, 7.5.3.2 PCI Express Capabilities Register allows endpoints with one only. */
static void show_as_endpoint(struct vfio_function *function, unsigned int off, bool has_link2)
{
	struct pci_cfg *cfg = &function->dev.cfg;
	uint16_t flags = le16_get(cfg->value + off + PCI_EXP_FLAGS) & (uint16_t)~PCI_EXP_FLAGS_TYPE;

	le16_set(cfg->value + off + PCI_EXP_FLAGS, flags | PCI_EXP_TYPE_ENDPOINT << 4);
	vfio_config_set_virtual(function, off + PCI_EXP_LNKCAP, 8);
	le32_set(cfg->value + off + PCI_EXP_LNKCAP, LINK_2_5GT_X1);
	le16_set(cfg->value + off + PCI_EXP_LNKCTL, 0);
	le16_set(cfg->value + off + PCI_EXP_LNKSTA, LINK_2_5GT_X1);
	if (!has_link2)
		return;
	vfio_config_set_virtual(function, off + PCI_EXP_LNKCAP2, 8);
	le32_set(cfg->value + off + PCI_EXP_LNKCAP2, PCI_EXP_LNKCAP2_SLS_2_5GB);
	le32_set(cfg->value + off + PCI_EXP_LNKCTL2, PCI_EXP_LNKCAP_SLS_2_5GB);
}

/*
 * PCIe 5.0, 7.5.3 PCI Express Capability Structure. The first registers are of every version;
 * devices exist that call themselves version 2 and end there. The rest is claimed where link
 * registers are invented, up to Link Status 2.
 */
static int build_exp(struct vfio_caps *caps, struct vfio_cap *cap)
{
	struct vfio_function *function = caps->function;
	const uint8_t *raw = caps->raw + cap->off;
	uint16_t flags = le16_get(raw + PCI_EXP_FLAGS);
	unsigned int type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;
	bool is_integrated = type == PCI_EXP_TYPE_RC_END;
	bool has_link2 = is_integrated && (flags & PCI_EXP_FLAGS_VERS) >= 2;
	int error = take(caps, cap, has_link2 ? PCI_EXP_LNKSTA2 + 2U : PCI_EXP_LNKSTA + 2U);

	if (error)
		return error;
	if (type != PCI_EXP_TYPE_ENDPOINT && type != PCI_EXP_TYPE_LEG_END && !is_integrated)
		return vfio_caps_refuse(caps, "is PCI Express device type %u; only endpoints can "
					      "be passed through", type);
	vfio_config_set_virtual(function, cap->off, PCI_EXP_DEVCAP);
	function->dev.exp_cap = (uint8_t)cap->off;
	function->has_flr = le32_get(raw + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR;
	function->hw[cap->off + PCI_EXP_DEVCTL + 1] &= (uint8_t)~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
	if (is_integrated) {
		show_as_endpoint(function, cap->off, has_link2);
		return 0;
	}
	function->identity.link_speed = raw[PCI_EXP_LNKSTA] & PCI_EXP_LNKSTA_CLS;
	function->identity.link_width =
		(uint8_t)((le16_get(raw + PCI_EXP_LNKSTA) & PCI_EXP_LNKSTA_NLW) >> 4);
	return 0;
}

static int build_af(struct vfio_caps *caps, struct vfio_cap *cap)
{
	int error = take(caps, cap, PCI_CAP_AF_SIZEOF);

	if (!error && caps->raw[cap->off + PCI_AF_CAP] & PCI_AF_CAP_FLR) {
		caps->function->af_cap = (uint8_t)cap->off;
		caps->function->hw[cap->off + PCI_AF_CTRL] &= (uint8_t)~PCI_AF_CTRL_FLR;
	}
	return error;
}

/* PCIe 5.0, 7.8.5 Enhanced Allocation Capability Structure: addresses fixed on the host, which mean
 * other things in the guest. */
static int hide(struct vfio_caps *caps, struct vfio_cap *cap)
{
	cap->hidden = true;
	return take(caps, cap, CAP_HEADER_LEN);
}

/* Each at most once. All others, the vendor's included, pass through but for the header. */
static const struct {
	uint8_t id;
	int (*build)(struct vfio_caps *caps, struct vfio_cap *cap);
} cap_rules[] = {
	{PCI_CAP_ID_PM, build_pm},
	{PCI_CAP_ID_MSI, build_msi},
	{PCI_CAP_ID_EXP, build_exp},
	{PCI_CAP_ID_MSIX, build_msix},
	{PCI_CAP_ID_AF, build_af},
	{PCI_CAP_ID_EA, hide},
};

static int check_only(struct vfio_caps *caps, const struct vfio_cap *cap)
{
	for (const struct vfio_cap *other = caps->cap; other < cap; other++)
		if (other->id == cap->id)
			return vfio_caps_refuse(caps, "has capability %02x twice, at 0x%02x and "
						      "0x%02x", cap->id, other->off, cap->off);
	return 0;
}

static int build_cap(struct vfio_caps *caps, struct vfio_cap *cap)
{
	for (size_t i = 0; i < ARRAY_SIZE(cap_rules); i++) {
		int error;

		if (cap_rules[i].id != cap->id)
			continue;
		error = check_only(caps, cap);
		return error ? error : cap_rules[i].build(caps, cap);
	}
	return take(caps, cap, CAP_HEADER_LEN);
}

static int walk_caps(struct vfio_caps *caps)
{
	const uint8_t *raw = caps->raw;
	unsigned int off = raw[PCI_CAPABILITY_LIST] & CAP_OFF_MASK;

	caps->count = 0;
	if (!(le16_get(raw + PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	for (; off; off = raw[off + PCI_CAP_LIST_NEXT] & CAP_OFF_MASK) {
		if (off < CAP_FIRST)
			return vfio_caps_refuse(caps, "its capability list points to 0x%02x, into "
						      "the header", off);
		if (caps->count == CAPS_MAX)
			return vfio_caps_refuse(caps, "its capability list has a loop");
		caps->cap[caps->count++] = (struct vfio_cap){raw[off], (uint16_t)off, false};
	}
	return 0;
}

static void link_caps(struct vfio_caps *caps)
{
	struct pci_cfg *cfg = &caps->function->dev.cfg;
	uint16_t link = PCI_CAPABILITY_LIST;

	for (unsigned int i = 0; i < caps->count; i++) {
		const struct vfio_cap *cap = &caps->cap[i];

		vfio_config_set_virtual(caps->function, cap->off, CAP_HEADER_LEN);
		if (cap->hidden)
			continue;
		pci_cfg_set(cfg, link, 1, cap->off);
		link = cap->off + PCI_CAP_LIST_NEXT;
	}
	pci_cfg_set(cfg, link, 1, 0);
}

int vfio_caps_build(struct vfio_function *function, const uint8_t *raw, unsigned int cfg_size,
		    char *ret_why, size_t why_size)
{
	struct vfio_caps caps = {
		.function = function,
		.raw = raw,
		.cfg_size = cfg_size,
		.why = ret_why,
		.why_size = why_size,
	};
	int error = walk_caps(&caps);

	for (unsigned int i = 0; i < caps.count && !error; i++)
		error = build_cap(&caps, &caps.cap[i]);
	if (error)
		return error;
	link_caps(&caps);
	return vfio_caps_build_ext(&caps);
}
