/*
 * The two lists of capabilities, from the device to the guest. Offsets are kept, because drivers of
 * GPUs know them; a capability that must not be seen is unlinked. Most pass through as they are;
 * the table of rules names the others.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "vfio/function_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"

#define CAP_FIRST PCI_STD_HEADER_SIZEOF
#define CAP_OFF_MASK 0xfcU
#define EXT_OFF_MASK 0xffcU
#define CAP_HEADER_LEN 2U
#define EXT_HEADER_LEN 4U
#define CAPS_MAX ((PCI_CFG_SPACE_SIZE - CAP_FIRST) / 4)
#define EXT_CAPS_MAX ((PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 4)
#define PM_KEPT (PCI_PM_CAP_DSI | PCI_PM_CAP_AUX_POWER)
#define MSI_SHOWN (PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT)
#define MSI_ADDRESS_RW 0xfffffffcU
#define LINK_2_5GT_X1 (PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1)

struct cap {
	uint16_t id, off;
	bool hidden;
};

/* One build. */
struct caps {
	struct vfio_function *function;
	const uint8_t *raw;
	unsigned int cfg_size;
	bool taken[PCI_CFG_SPACE_SIZE]; /* bytes that belong to a capability already */
	unsigned int count;
	struct cap cap[EXT_CAPS_MAX]; /* of the list being walked, in its order */
	char *why;
	size_t why_size;
};

#define refuse(caps, ...) \
	vfio_function_say((caps)->function, -EINVAL, (caps)->why, (caps)->why_size, __VA_ARGS__)

/* --- standard capabilities --- */

/* `len` bytes at the capability's offset are its own. */
static int take(struct caps *caps, const struct cap *cap, unsigned int len)
{
	if (!range_fits(PCI_CFG_SPACE_SIZE, cap->off, len))
		return refuse(caps, "capability %02x at 0x%02x is %u bytes long and leaves config "
				    "space", cap->id, cap->off, len);
	for (unsigned int i = 0; i < len; i++) {
		if (caps->taken[cap->off + i])
			return refuse(caps, "capability %02x at 0x%02x meets another one", cap->id,
				      cap->off);
		caps->taken[cap->off + i] = true;
	}
	return 0;
}

/*
 * PCI PM 1.2, 3.2.3 PMC - Power Management Capabilities: the host hides what the device says of
 * PME, and the guest's PME is this program's work; so the guest is offered PME from D3hot and
 * D3cold.
 */
static int build_pm(struct caps *caps, struct cap *cap)
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
static unsigned int msi_mmc(const struct caps *caps, uint16_t flags)
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

static int build_msi(struct caps *caps, struct cap *cap)
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
static int check_in_bar(struct caps *caps, const char *name, uint32_t reg, uint64_t size)
{
	unsigned int bir = reg & PCI_MSIX_TABLE_BIR;
	const struct pci_bar *bar = &caps->function->dev.bar[bir];

	if (bir >= PCI_BAR_COUNT || !bar->size || bar->flags & PCI_BASE_ADDRESS_SPACE_IO ||
	    !range_fits(bar->size, reg & PCI_MSIX_TABLE_OFFSET, size))
		return refuse(caps, "the MSI-X %s (%llu bytes at 0x%x) is not inside BAR %u", name,
			      (unsigned long long)size, reg & PCI_MSIX_TABLE_OFFSET, bir);
	return 0;
}

static int build_msix(struct caps *caps, struct cap *cap)
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
static int build_exp(struct caps *caps, struct cap *cap)
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
		return refuse(caps, "is PCI Express device type %u; only endpoints can be passed "
				    "through", type);
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

static int build_af(struct caps *caps, struct cap *cap)
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
static int hide(struct caps *caps, struct cap *cap)
{
	cap->hidden = true;
	return take(caps, cap, CAP_HEADER_LEN);
}

/* Each at most once. All others, the vendor's included, pass through but for the header. */
static const struct {
	uint8_t id;
	int (*build)(struct caps *caps, struct cap *cap);
} cap_rules[] = {
	{PCI_CAP_ID_PM, build_pm},
	{PCI_CAP_ID_MSI, build_msi},
	{PCI_CAP_ID_EXP, build_exp},
	{PCI_CAP_ID_MSIX, build_msix},
	{PCI_CAP_ID_AF, build_af},
	{PCI_CAP_ID_EA, hide},
};

static int build_cap(struct caps *caps, struct cap *cap)
{
	for (size_t i = 0; i < ARRAY_SIZE(cap_rules); i++) {
		if (cap_rules[i].id != cap->id)
			continue;
		for (const struct cap *other = caps->cap; other < cap; other++)
			if (other->id == cap->id)
				return refuse(caps, "has capability %02x twice, at 0x%02x and "
						    "0x%02x", cap->id, other->off, cap->off);
		return cap_rules[i].build(caps, cap);
	}
	return take(caps, cap, CAP_HEADER_LEN);
}

static int walk_caps(struct caps *caps)
{
	const uint8_t *raw = caps->raw;
	unsigned int off = raw[PCI_CAPABILITY_LIST] & CAP_OFF_MASK;

	caps->count = 0;
	if (!(le16_get(raw + PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	for (; off; off = raw[off + PCI_CAP_LIST_NEXT] & CAP_OFF_MASK) {
		if (off < CAP_FIRST)
			return refuse(caps, "its capability list points to 0x%02x, into the header",
				      off);
		if (caps->count == CAPS_MAX)
			return refuse(caps, "its capability list has a loop");
		caps->cap[caps->count++] = (struct cap){raw[off], (uint16_t)off, false};
	}
	return 0;
}

static void link_caps(struct caps *caps)
{
	struct pci_cfg *cfg = &caps->function->dev.cfg;
	uint16_t link = PCI_CAPABILITY_LIST;

	for (unsigned int i = 0; i < caps->count; i++) {
		const struct cap *cap = &caps->cap[i];

		vfio_config_set_virtual(caps->function, cap->off, CAP_HEADER_LEN);
		if (cap->hidden)
			continue;
		pci_cfg_set(cfg, link, 1, cap->off);
		link = cap->off + PCI_CAP_LIST_NEXT;
	}
	pci_cfg_set(cfg, link, 1, 0);
}

/* --- extended capabilities --- */

/* What the guest must not see, with the bytes of its registers at most. */
static const struct {
	uint16_t id;
	uint16_t len;
	const char *reason;
} ext_hidden[] = {
	{PCI_EXT_CAP_ID_RCLD, PCI_CFG_SPACE_EXP_SIZE, "it describes the host's root complex"},
	{PCI_EXT_CAP_ID_RCILC, 12, "it describes the host's root complex"},
	{PCI_EXT_CAP_ID_RCEC, 12, "it describes the host's root complex"},
	{PCI_EXT_CAP_ID_RCRB, 20, "it describes the host's root complex"},
	{PCI_EXT_CAP_ID_ARI, 8, "function numbers are the guest's own"},
	{PCI_EXT_CAP_ID_ATS, 8, "the guest has no IOMMU to translate for it"},
	{PCI_EXT_CAP_ID_SRIOV, 64, "its virtual functions would appear on the host"},
	{PCI_EXT_CAP_ID_MRIOV, PCI_CFG_SPACE_EXP_SIZE, "it is for fabrics shared by hosts"},
	{PCI_EXT_CAP_ID_MCAST, 48, "its addresses would be those of the host's fabric"},
	{PCI_EXT_CAP_ID_PRI, 16, "the guest has no IOMMU to take page requests"},
	{PCI_EXT_CAP_ID_REBAR, 52, "the host fixes the sizes of BARs"},
	{PCI_EXT_CAP_ID_PASID, 8, "the guest has no IOMMU to know address spaces"},
	{0x24 /* VF Resizable BAR */, 52, "virtual functions are hidden"},
};

static const char *reason_to_hide(uint16_t id, unsigned int *ret_len)
{
	for (size_t i = 0; i < ARRAY_SIZE(ext_hidden); i++) {
		if (ext_hidden[i].id != id)
			continue;
		*ret_len = ext_hidden[i].len;
		return ext_hidden[i].reason;
	}
	return NULL;
}

static int walk_ext_caps(struct caps *caps)
{
	unsigned int off = PCI_CFG_SPACE_SIZE;

	caps->count = 0;
	if (caps->cfg_size < PCI_CFG_SPACE_EXP_SIZE)
		return 0;
	/* No extended capability at all: zeroes, or ones from what is not really PCI Express. */
	if (!le32_get(caps->raw + off) || le32_get(caps->raw + off) == UINT32_MAX)
		return 0;
	while (off) {
		uint32_t header = le32_get(caps->raw + off);

		if (off < PCI_CFG_SPACE_SIZE)
			return refuse(caps, "its extended capability list points to 0x%03x, below "
					    "0x%03x", off, PCI_CFG_SPACE_SIZE);
		if (caps->count == EXT_CAPS_MAX)
			return refuse(caps, "its extended capability list has a loop");
		caps->cap[caps->count++] =
			(struct cap){PCI_EXT_CAP_ID(header), (uint16_t)off, false};
		off = PCI_EXT_CAP_NEXT(header) & EXT_OFF_MASK;
	}
	return 0;
}

/* The registers of a hidden capability, up to the next one that follows it, read as zero. */
static void blank(struct caps *caps, const struct cap *cap, unsigned int len)
{
	unsigned int end = cap->off + len;

	if (end > PCI_CFG_SPACE_EXP_SIZE)
		end = PCI_CFG_SPACE_EXP_SIZE;
	for (unsigned int i = 0; i < caps->count; i++)
		if (caps->cap[i].off > cap->off && caps->cap[i].off < end)
			end = caps->cap[i].off;
	vfio_config_set_virtual(caps->function, cap->off, end - cap->off);
	memset(caps->function->dev.cfg.value + cap->off, 0, end - cap->off);
}

static void hide_ext_caps(struct caps *caps)
{
	for (unsigned int i = 0; i < caps->count; i++) {
		struct cap *cap = &caps->cap[i];
		unsigned int len;
		const char *reason = reason_to_hide(cap->id, &len);

		if (!reason)
			continue;
		cap->hidden = true;
		blank(caps, cap, len);
		log_debug("vfio %s: extended capability %04x at 0x%03x is hidden: %s",
			  caps->function->backend->name, cap->id, cap->off, reason);
	}
}

/*
 * The list begins at 0x100 whatever is there. A hidden capability there becomes a Null one, with
 * version 0 (PCI Code and ID Assignment 1.11, Extended Capability IDs: 0000h Null Capability);
 * alone in the list, that is the all-zero header which means "none" (PCIe 5.0, 7.6.3 PCI Express
 * Extended Capability Header).
 */
static void link_ext_caps(struct caps *caps)
{
	uint8_t *value = caps->function->dev.cfg.value;
	uint32_t next = 0;

	for (unsigned int i = caps->count; i-- > 0;) {
		const struct cap *cap = &caps->cap[i];
		uint32_t header = le32_get(caps->raw + cap->off) & 0xfffffU;

		vfio_config_set_virtual(caps->function, cap->off, EXT_HEADER_LEN);
		if (cap->hidden && cap->off != PCI_CFG_SPACE_SIZE)
			continue;
		le32_set(value + cap->off, (cap->hidden ? 0 : header) | next << 20);
		next = cap->off;
	}
}

int vfio_caps_build(struct vfio_function *function, const uint8_t *raw, unsigned int cfg_size,
		    char *ret_why, size_t why_size)
{
	struct caps caps = {
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
	error = walk_ext_caps(&caps);
	if (error)
		return error;
	hide_ext_caps(&caps);
	link_ext_caps(&caps);
	return 0;
}
