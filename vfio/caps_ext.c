/*
 * The extended list of capabilities, from the device to the guest: all pass through, but for those
 * that the table names, which are unlinked and read as zeroes.
 */
#include <string.h>

#include "vfio/caps_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"

#define EXT_OFF_MASK 0xffcU
#define EXT_HEADER_LEN 4U

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

static int walk_ext_caps(struct vfio_caps *caps)
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
			return vfio_caps_refuse(caps, "its extended capability list points to "
						      "0x%03x, below 0x%03x", off,
						PCI_CFG_SPACE_SIZE);
		if (caps->count == VFIO_EXT_CAPS_MAX)
			return vfio_caps_refuse(caps, "its extended capability list has a loop");
		caps->cap[caps->count++] =
			(struct vfio_cap){PCI_EXT_CAP_ID(header), (uint16_t)off, false};
		off = PCI_EXT_CAP_NEXT(header) & EXT_OFF_MASK;
	}
	return 0;
}

/* The registers of a hidden capability, up to the next one that follows it, read as zero. */
static void blank(struct vfio_caps *caps, const struct vfio_cap *cap, unsigned int len)
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

static void hide_ext_caps(struct vfio_caps *caps)
{
	for (unsigned int i = 0; i < caps->count; i++) {
		struct vfio_cap *cap = &caps->cap[i];
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
static void link_ext_caps(struct vfio_caps *caps)
{
	uint8_t *value = caps->function->dev.cfg.value;
	uint32_t next = 0;

	for (unsigned int i = caps->count; i-- > 0;) {
		const struct vfio_cap *cap = &caps->cap[i];
		uint32_t header = le32_get(caps->raw + cap->off) & 0xfffffU;

		vfio_config_set_virtual(caps->function, cap->off, EXT_HEADER_LEN);
		if (cap->hidden && cap->off != PCI_CFG_SPACE_SIZE)
			continue;
		le32_set(value + cap->off, (cap->hidden ? 0 : header) | next << 20);
		next = cap->off;
	}
}

int vfio_caps_build_ext(struct vfio_caps *caps)
{
	int error = walk_ext_caps(caps);

	if (error)
		return error;
	hide_ext_caps(caps);
	link_ext_caps(caps);
	return 0;
}
