/*
 * What of config space must come back from a sleep: the header and every register of a capability
 * whose meaning is public, but for bits by which the device or the host tells what happened. The
 * bodies of vendors' capabilities, and bytes that belong to none, are live registers of the vendor:
 * nobody else can say what they should be.
 */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "tools/power_test.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/range.h"

#define CAP_OFF_MASK 0xfcU
#define EXT_OFF_MASK 0xffcU
#define CAPS_MAX 48
#define EXT_CAPS_MAX 960
#define VOLATILES 6
#define ALL 0xffff

/* Bits of the 16-bit words of [off, off + len) in a capability that change by themselves. */
struct volatile_bits {
	uint16_t off, len, bits;
};

struct cap_rule {
	uint16_t id;
	uint16_t len; /* of the registers that are looked at */
	struct volatile_bits changes[VOLATILES];
};

static const struct cap_rule header = {
	.len = PCI_STD_HEADER_SIZEOF,
	/* PCIe 5.0, 7.5.1.1.4 Status Register: errors that were seen, and Interrupt Status. */
	.changes = {{PCI_STATUS, 2, PCI_STATUS_INTERRUPT | PCI_STATUS_PARITY |
		     PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
		     PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |
		     PCI_STATUS_DETECTED_PARITY}},
};

static const struct cap_rule caps[] = {
	/* PCI PM 1.2, 3.2.4 PMCSR - Power Management Control/Status: PME, the host's own; Data. */
	{PCI_CAP_ID_PM, PCI_PM_SIZEOF,
	 {{PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS},
	  {PCI_PM_PPB_EXTENSIONS, 2, ALL}}},
	/* PCIe 5.0, 7.7.1 MSI Capability Structures: up to the message of the short form. */
	{PCI_CAP_ID_MSI, PCI_MSI_DATA_32, {{0}}},
	{PCI_CAP_ID_SSVID, 8, {{0}}},
	/* PCIe 5.0, 7.5.3 PCI Express Capability Structure: up to Link Status, for what follows
	 * depends on the kind of device and the version. Device Status tells what happened; of Link
	 * Status the width must come back, while the speed changes with the load. */
	{PCI_CAP_ID_EXP, PCI_EXP_LNKSTA + 2,
	 {{PCI_EXP_DEVSTA, 2, ALL}, {PCI_EXP_LNKSTA, 2, (uint16_t)~PCI_EXP_LNKSTA_NLW}}},
	{PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF, {{0}}},
	/* PCI 3.0, Advanced Capabilities ECN: AF Status is the last byte. */
	{PCI_CAP_ID_AF, PCI_AF_CTRL + 1, {{0}}},
};

static const struct cap_rule ext_caps[] = {
	/* PCIe 5.0, 7.8.4 Advanced Error Reporting Extended Capability: both statuses, First Error
	 * Pointer, Header Log. */
	{PCI_EXT_CAP_ID_ERR, PCI_ERR_HEADER_LOG + 16,
	 {{PCI_ERR_UNCOR_STATUS, 4, ALL}, {PCI_ERR_COR_STATUS, 4, ALL}, {PCI_ERR_CAP, 2, 0x001f},
	  {PCI_ERR_HEADER_LOG, 16, ALL}}},
	{PCI_EXT_CAP_ID_DSN, PCI_EXT_CAP_DSN_SIZEOF, {{0}}},
	{PCI_EXT_CAP_ID_ACS, 8, {{0}}},
	{PCI_EXT_CAP_ID_ARI, PCI_EXT_CAP_ARI_SIZEOF, {{0}}},
	{PCI_EXT_CAP_ID_ATS, PCI_EXT_CAP_ATS_SIZEOF, {{0}}},
	/* PCIe 5.0, 10.5.2 Page Request Extended Capability Structure: its status. */
	{PCI_EXT_CAP_ID_PRI, PCI_EXT_CAP_PRI_SIZEOF, {{PCI_PRI_STATUS, 2, ALL}}},
	/* PCIe 5.0, 7.8.6 Resizable BAR Extended Capability: of the first BAR. */
	{PCI_EXT_CAP_ID_REBAR, 12, {{0}}},
	{PCI_EXT_CAP_ID_LTR, PCI_EXT_CAP_LTR_SIZEOF, {{0}}},
	{PCI_EXT_CAP_ID_PASID, PCI_EXT_CAP_PASID_SIZEOF, {{0}}},
	{PCI_EXT_CAP_ID_L1SS, PCI_L1SS_CTL2 + 4, {{0}}},
	{PCI_EXT_CAP_ID_PTM, 12, {{0}}},
};

/* A bit set: it must come back. */
struct mask {
	uint8_t bytes[CONFIG_MAX];
};

static void apply(struct mask *mask, unsigned int at, const struct cap_rule *rule)
{
	if (!range_fits(CONFIG_MAX, at, rule->len))
		return;
	memset(mask->bytes + at, 0xff, rule->len);
	for (unsigned int i = 0; i < VOLATILES; i++) {
		const struct volatile_bits *changes = &rule->changes[i];

		for (unsigned int k = 0; k + 1 < changes->len; k += 2) {
			uint8_t *word = mask->bytes + at + changes->off + k;

			le16_set(word, le16_get(word) & (uint16_t)~changes->bits);
		}
	}
}

/* What is not in the table has its header looked at, `header_len` bytes. */
static void apply_cap(struct mask *mask, unsigned int at, uint16_t id,
		      const struct cap_rule *rules, size_t count, uint16_t header_len)
{
	const struct cap_rule other = {.len = header_len};

	for (size_t i = 0; i < count; i++) {
		if (rules[i].id == id) {
			apply(mask, at, &rules[i]);
			return;
		}
	}
	apply(mask, at, &other);
}

/* Lists of a device that lies end somewhere, too. */
static void build_mask(const struct config_image *image, struct mask *ret_mask)
{
	const uint8_t *bytes = image->bytes;
	unsigned int at = 0;

	memset(ret_mask, 0, sizeof(*ret_mask));
	apply(ret_mask, 0, &header);
	if (le16_get(bytes + PCI_STATUS) & PCI_STATUS_CAP_LIST)
		at = bytes[PCI_CAPABILITY_LIST] & CAP_OFF_MASK;
	for (unsigned int i = 0; i < CAPS_MAX && at >= PCI_STD_HEADER_SIZEOF; i++) {
		apply_cap(ret_mask, at, bytes[at], caps, ARRAY_SIZE(caps), 2);
		at = bytes[at + PCI_CAP_LIST_NEXT] & CAP_OFF_MASK;
	}
	at = PCI_CFG_SPACE_SIZE;
	for (unsigned int i = 0; i < EXT_CAPS_MAX && at >= PCI_CFG_SPACE_SIZE; i++) {
		uint32_t cap = le32_get(bytes + at);

		if (!cap)
			break;
		apply_cap(ret_mask, at, (uint16_t)PCI_EXT_CAP_ID(cap), ext_caps,
			  ARRAY_SIZE(ext_caps), 4);
		at = PCI_EXT_CAP_NEXT(cap) & EXT_OFF_MASK;
	}
	if (image->len < CONFIG_MAX)
		memset(ret_mask->bytes + image->len, 0, CONFIG_MAX - image->len);
}

/* PCIe 5.0, 7.5.1 PCI-Compatible Configuration Registers, by the aligned four bytes. */
static const char *register_name(unsigned int at)
{
	static const char *const names[] = {
		"Vendor ID, Device ID", "Command, Status", "Revision ID, Class Code",
		"Cache Line Size to BIST", "Base Address Register 0", "Base Address Register 1",
		"Base Address Register 2", "Base Address Register 3", "Base Address Register 4",
		"Base Address Register 5", "Cardbus CIS Pointer", "Subsystem IDs",
		"Expansion ROM Base Address", "Capabilities Pointer", "reserved",
		"Interrupt Line, Interrupt Pin",
	};

	if (at / 4 < ARRAY_SIZE(names))
		return names[at / 4];
	return at < PCI_CFG_SPACE_SIZE ? "in a capability" : "in an extended capability";
}

bool config_equal(const struct config_image *was, const struct config_image *now, char *ret_what,
		  size_t size)
{
	struct mask mask;

	if (was->len != now->len) {
		snprintf(ret_what, size, "config space had %u bytes, has %u", was->len, now->len);
		return false;
	}
	build_mask(was, &mask);
	for (unsigned int at = 0; at < CONFIG_MAX; at += 4) {
		uint32_t a = le32_get(was->bytes + at), b = le32_get(now->bytes + at);

		if (!((a ^ b) & le32_get(mask.bytes + at)))
			continue;
		snprintf(ret_what, size, "config space at 0x%02x (%s) was %08x, is %08x", at,
			 register_name(at), a, b);
		return false;
	}
	return true;
}

/* VFIO answers for vendor and device by itself (Linux 6.1, vfio_pci_config.c,
 * init_pci_cap_basic_perm()); the class comes from the device. */
bool config_is_gone(const struct config_image *image)
{
	return image->len >= PCI_CLASS_REVISION + 4 &&
	       le32_get(image->bytes + PCI_CLASS_REVISION) == UINT32_MAX;
}
