/*
 * Which bits of config space can be written, of the root port and of every function below it: the
 * complement of each register is written, read back, compared with what the specifications allow,
 * and the register restored. Of the root port all that is not in a table must be read-only. Of a
 * function only what the VMM emulates is looked at; the rest is the device's.
 */
#include "guest-tests/bare/lib_slot.h"

/* Bytes of the root port's config space that have been looked at. */
static bool known[PCI_CFG_SPACE_EXP_SIZE];

/* A register at `off` of a structure, and the bits of it that can be written. */
struct mask {
	const char *name;
	uint16_t off;
	uint8_t len;
	uint32_t rw;
};

/*
 * PCIe 5.0, 7.5.1.1 Type 0/1 Common Configuration Space. Command: I/O, Memory, Bus Master, Parity
 * Error Response, SERR# Enable, Interrupt Disable.
 */
static const struct mask common[] = {
	{"Vendor ID, Device ID", PCI_VENDOR_ID, 4, 0},
	{"Command", PCI_COMMAND, 2, 0x0547},
	{"Revision ID, Class Code", PCI_REVISION_ID, 4, 0},
	{"Cache Line Size", PCI_CACHE_LINE_SIZE, 1, 0xff},
	{"Latency Timer", PCI_LATENCY_TIMER, 1, 0},
	{"Header Type", PCI_HEADER_TYPE, 1, 0},
	{"Capabilities Pointer", PCI_CAPABILITY_LIST, 4, 0},
	{"Interrupt Line", PCI_INTERRUPT_LINE, 1, 0xff},
	{"Interrupt Pin", PCI_INTERRUPT_PIN, 1, 0},
};

/* PCIe 5.0, 7.5.1.2 Type 0 Configuration Space Header; the BARs are looked at below. */
static const struct mask type0[] = {
	{"Cardbus CIS Pointer", PCI_CARDBUS_CIS, 4, 0},
	{"Subsystem IDs", PCI_SUBSYSTEM_VENDOR_ID, 4, 0},
	{"Min_Gnt, Max_Lat", PCI_MIN_GNT, 2, 0},
};

/*
 * PCIe 5.0, 7.5.1.3 Type 1 Configuration Space Header. I/O is 16 bits, prefetchable memory 64. Bus
 * numbers and Bridge Control have functions of their own below.
 */
static const struct mask type1[] = {
	{"BAR 0 and 1 of the bridge", PCI_BASE_ADDRESS_0, 4, 0},
	{"Primary Bus Number", PCI_PRIMARY_BUS, 1, 0xff},
	{"Secondary Latency Timer", PCI_SEC_LATENCY_TIMER, 1, 0},
	{"I/O Base", PCI_IO_BASE, 1, 0xf0},
	{"I/O Limit", PCI_IO_LIMIT, 1, 0xf0},
	{"Memory Base", PCI_MEMORY_BASE, 2, 0xfff0},
	{"Memory Limit", PCI_MEMORY_LIMIT, 2, 0xfff0},
	{"Prefetchable Memory Base", PCI_PREF_MEMORY_BASE, 2, 0xfff0},
	{"Prefetchable Memory Limit", PCI_PREF_MEMORY_LIMIT, 2, 0xfff0},
	{"Prefetchable Base Upper 32 Bits", PCI_PREF_BASE_UPPER32, 4, 0xffffffff},
	{"Prefetchable Limit Upper 32 Bits", PCI_PREF_LIMIT_UPPER32, 4, 0xffffffff},
	{"I/O Base and Limit Upper 16 Bits", PCI_IO_BASE_UPPER16, 4, 0},
};

/*
 * PCIe 5.0, 7.5.2 PCI Power Management Capability Structure. PME_En; PowerState and PME_Status are
 * looked at below.
 */
static const struct mask power_management[] = {
	{"PM header, PMC", 0, 4, 0},
	{"PMCSR: PME_En", PCI_PM_CTRL + 1, 1, 0x01},
	{"PMCSR: bridge extensions, data", PCI_PM_PPB_EXTENSIONS, 2, 0},
};

/*
 * PCIe 5.0, 7.5.3 PCI Express Capability Structure, of a root port. What it has not: larger
 * payloads and read requests, extended tags, ASPM latencies; Link Disable and Retrain Link.
 * Slot Control and the status registers have functions of their own below.
 */
static const struct mask express[] = {
	{"PCI Express header, Capabilities", 0, 4, 0},
	{"Device Capabilities", PCI_EXP_DEVCAP, 4, 0},
	{"Device Control", PCI_EXP_DEVCTL, 2, 0x000f},
	{"Link Capabilities", PCI_EXP_LNKCAP, 4, 0},
	{"Link Control", PCI_EXP_LNKCTL, 2, 0x00c3},
	{"Slot Capabilities", PCI_EXP_SLTCAP, 4, 0},
	{"Root Control", PCI_EXP_RTCTL, 2, 0x000f},
	{"Root Capabilities", PCI_EXP_RTCAP, 2, 0},
	{"Device Capabilities 2", PCI_EXP_DEVCAP2, 4, 0},
	{"Device Control 2, Status 2", PCI_EXP_DEVCTL2, 4, 0},
	{"Link Capabilities 2", PCI_EXP_LNKCAP2, 4, 0},
	{"Link Control 2", PCI_EXP_LNKCTL2, 2, 0x03bf},
	{"Slot Capabilities 2", PCI_EXP_SLTCAP2, 4, 0},
	{"Slot Control 2, Status 2", PCI_EXP_SLTCTL2, 4, 0},
};

/* PCIe 5.0, 7.7.1 MSI Capability Structures: one message, 64-bit, no masking. */
static const struct mask msi[] = {
	{"MSI header", 0, 2, 0},
	{"Message Control", PCI_MSI_FLAGS, 2, 0x0071},
	{"Message Address", PCI_MSI_ADDRESS_LO, 4, 0xfffffffc},
	{"Message Upper Address", PCI_MSI_ADDRESS_HI, 4, 0xffffffff},
	{"Message Data", PCI_MSI_DATA_64, 2, 0xffff},
};

/* PCIe 5.0, 7.7.2 MSI-X Capability and Table Structure: MSI-X Enable, Function Mask. */
static const struct mask msix[] = {
	{"MSI-X header", 0, 2, 0},
	{"MSI-X Message Control", PCI_MSIX_FLAGS, 2, 0xc000},
	{"MSI-X Table", PCI_MSIX_TABLE, 4, 0},
	{"MSI-X PBA", PCI_MSIX_PBA, 4, 0},
};

static void know(unsigned int off, unsigned int len)
{
	memset(known + off, true, len);
}

static void check_one(const char *where, uint16_t bdf, unsigned int base,
		      const struct mask *mask)
{
	unsigned int off = base + mask->off;
	uint32_t before = pci_read(bdf, off, mask->len), after;

	know(off, mask->len);
	pci_write(bdf, off, mask->len, ~before);
	after = pci_read(bdf, off, mask->len);
	pci_write(bdf, off, mask->len, before);
	report_equal(join(where, mask->name), before ^ after, mask->rw);
	report_equal("  and it comes back", pci_read(bdf, off, mask->len), before);
}

static void check(const char *where, uint16_t bdf, unsigned int base, const struct mask *masks,
		  size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_one(where, bdf, base, &masks[i]);
}

#define CHECK(where, bdf, base, masks) check(where, bdf, base, masks, ARRAY_SIZE(masks))

/* Writing a one to a status bit that is not set sets nothing; a zero clears nothing. */
static void check_status(const char *name, uint16_t bdf, unsigned int off, unsigned int len,
			 uint32_t w1c)
{
	uint32_t before = pci_read(bdf, off, len), after;

	know(off, len);
	pci_write(bdf, off, len, 0);
	report_equal(join(name, "zeroes clear nothing"), pci_read(bdf, off, len), before);
	pci_write(bdf, off, len, 0xffffffff);
	after = pci_read(bdf, off, len);
	report_equal("  ones clear, and set nothing", after, before & ~w1c);
}

/* PCI PM 1.2, 3.2.4 PMCSR: D1 and D2 are not supported, a write of them changes
 * nothing; D3hot and D0 are. */
static void check_power_states(uint16_t bdf)
{
	static const uint8_t states[][2] = {{1, 0}, {3, 3}, {2, 3}, {1, 3}, {0, 0}, {2, 0}};
	unsigned int off = pci_cap(bdf, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	know(off, 1);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		pci_change(bdf, off, 2, PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_STATUS,
			   states[i][0]);
		report_equal("PMCSR: PowerState after a write",
			     pci_read(bdf, off, 2) & PCI_PM_CTRL_STATE_MASK, states[i][1]);
	}
}

static void check_msi(const char *where, uint16_t bdf)
{
	unsigned int off = pci_cap(bdf, PCI_CAP_ID_MSI);

	report("it has MSI", off != 0);
	if (off)
		CHECK(where, bdf, off, msi);
}

/* --- the root port --- */

static void check_port_slot(uint16_t port, unsigned int off)
{
	/* PCIe 5.0, 7.5.3.9 Slot Capabilities Register to 7.5.3.11 Slot Status Register. */
	uint32_t cap = pci_read(port, off + PCI_EXP_SLTCAP, 4);

	report("it has a slot", pci_read(port, off + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_SLOT);
	report_equal("Slot Capabilities: what the slot has",
		     cap & (PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_MRLSP |
			    PCI_EXP_SLTCAP_AIP | PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_HPS |
			    PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_EIP | PCI_EXP_SLTCAP_NCCS),
		     PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_AIP |
			     PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC |
			     PCI_EXP_SLTCAP_NCCS);
	check_status("Slot Status", port, off + PCI_EXP_SLTSTA, 2,
		     PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
}

/* Each bit of Slot Control alone, so that Power Controller Control can be left out: it ejects.
 * There is no MRL sensor, no electromechanical interlock and no Command Completed. */
static void check_slot_control(uint16_t port, unsigned int off)
{
	const uint32_t allowed = PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE |
				 PCI_EXP_SLTCTL_AIC | PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_DLLSCE;
	uint32_t before, after, writable = 0;

	know(off + PCI_EXP_SLTCTL, 2);
	before = pci_read(port, off + PCI_EXP_SLTCTL, 2);
	for (unsigned int bit = 0; bit < 16; bit++) {
		if (1U << bit == PCI_EXP_SLTCTL_PCC)
			continue;
		pci_write(port, off + PCI_EXP_SLTCTL, 2, before ^ 1U << bit);
		after = pci_read(port, off + PCI_EXP_SLTCTL, 2);
		writable |= before ^ after;
		pci_write(port, off + PCI_EXP_SLTCTL, 2, before);
	}
	report_equal("Slot Control: the bits that must be writable", writable & allowed, allowed);
	report_equal("Slot Control: reserved bits are read-only",
		     writable & ~(allowed | PCI_EXP_SLTCTL_PFDE | PCI_EXP_SLTCTL_MRLSCE |
				  PCI_EXP_SLTCTL_CCIE | PCI_EXP_SLTCTL_ASPL_DISABLE), 0);
	report_equal("Slot Control comes back", pci_read(port, off + PCI_EXP_SLTCTL, 2), before);
}

/*
 * PCIe 5.0, 7.8.4 Advanced Error Reporting Extended Capability. `must` are the errors that every
 * root port knows, `may` those that are defined at all (<linux/pci_regs.h>).
 */
static const struct {
	const char *name;
	uint16_t off;
	uint32_t must, may;
} aer_masks[] = {
	{"Uncorrectable Error Mask", PCI_ERR_UNCOR_MASK,
	 PCI_ERR_UNC_DLP | PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_MALF_TLP |
		 PCI_ERR_UNC_UNSUP, 0x07fff030},
	{"Uncorrectable Error Severity", PCI_ERR_UNCOR_SEVER,
	 PCI_ERR_UNC_DLP | PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_MALF_TLP |
		 PCI_ERR_UNC_UNSUP, 0x07fff030},
	{"Correctable Error Mask", PCI_ERR_COR_MASK,
	 PCI_ERR_COR_BAD_TLP | PCI_ERR_COR_BAD_DLLP | PCI_ERR_COR_REP_ROLL |
		 PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT, 0x0000f1c1},
	{"Root Error Command", PCI_ERR_ROOT_COMMAND, 0x7, 0x7},
};

static void check_aer(uint16_t port)
{
	unsigned int off = pci_ext_cap(port, PCI_EXT_CAP_ID_ERR);

	report("root port: it has AER", off != 0);
	for (size_t i = 0; i < ARRAY_SIZE(aer_masks); i++) {
		unsigned int reg = off + aer_masks[i].off;
		uint32_t before = pci_read(port, reg, 4), changed;

		know(reg, 4);
		pci_write(port, reg, 4, ~before);
		changed = before ^ pci_read(port, reg, 4);
		pci_write(port, reg, 4, before);
		report_equal(join("AER", aer_masks[i].name), changed & aer_masks[i].must,
			     aer_masks[i].must);
		report_equal("  reserved bits are read-only", changed & ~aer_masks[i].may, 0);
		report_equal("  and it comes back", pci_read(port, reg, 4), before);
	}
	check_status("Uncorrectable Error Status", port, off + PCI_ERR_UNCOR_STATUS, 4,
		     0xffffffff);
	check_status("Correctable Error Status", port, off + PCI_ERR_COR_STATUS, 4, 0xffffffff);
	check_status("Root Error Status", port, off + PCI_ERR_ROOT_STATUS, 4, 0x7f);
}

/* Everything else, by bytes: neither the complement nor ones change it. */
static void check_rest(uint16_t port)
{
	unsigned int wrong = 0;

	know(PCI_STATUS, 2);
	know(PCI_BRIDGE_CONTROL, 2);
	know(PCI_SECONDARY_BUS, 2);
	for (unsigned int off = 0; off < PCI_CFG_SPACE_EXP_SIZE; off++) {
		uint32_t before;

		if (known[off])
			continue;
		before = pci_read(port, off, 1);
		pci_write(port, off, 1, ~before);
		if (pci_read(port, off, 1) == before)
			continue;
		note("writable, and in no table: offset", off);
		pci_write(port, off, 1, before);
		wrong++;
	}
	report_equal("root port: all else is read-only", wrong, 0);
}

static void check_port(const struct slot *slot)
{
	uint16_t port = slot->port;
	unsigned int exp = slot->port_exp;

	CHECK("root port", port, 0, common);
	check_status("Status", port, PCI_STATUS, 2, 0xf900);
	CHECK("root port", port, 0, type1);
	check_status("Secondary Status", port, PCI_SEC_STATUS, 2, 0xf900);
	CHECK("root port", port, slot->port_pm, power_management);
	check_power_states(port);
	report_equal("it is a root port",
		     pci_read(port, exp + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE,
		     PCI_EXP_TYPE_ROOT_PORT << 4);
	CHECK("root port", port, exp, express);
	check_status("Device Status", port, exp + PCI_EXP_DEVSTA, 2, 0xf);
	check_status("Link Status", port, exp + PCI_EXP_LNKSTA, 2, 0xc000);
	check_status("Root Status", port, exp + PCI_EXP_RTSTA, 4,
		     PCI_EXP_RTSTA_PME);
	check_port_slot(port, exp);
	check_slot_control(port, exp);
	check_msi("root port", port);
	check_aer(port);
	check_rest(port);
}

/* PCIe 5.0, 7.5.1.3.15 Bridge Control Register. A secondary bus reset belongs to it; it comes last,
 * and nobody has set up anything below. */
static void check_bridge_control(uint16_t port)
{
	static const struct mask mask = {
		"Bridge Control", PCI_BRIDGE_CONTROL, 2,
		PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR | PCI_BRIDGE_CTL_BUS_RESET,
	};

	check_one("root port", port, 0, &mask);
}

/* Bus numbers: the functions must answer again afterwards. */
static void check_bus_numbers(const struct slot *slot)
{
	static const struct mask buses[] = {
		{"Secondary Bus Number", PCI_SECONDARY_BUS, 1, 0xff},
		{"Subordinate Bus Number", PCI_SUBORDINATE_BUS, 1, 0xff},
	};
	uint32_t id = pci_read(slot->fn[0], PCI_VENDOR_ID, 4);

	CHECK("root port", slot->port, 0, buses);
	report_equal("function 0 answers as before", pci_read(slot->fn[0], PCI_VENDOR_ID, 4), id);
}

/* --- functions --- */

/* A BAR gives back the bits of its size: PCIe 5.0, 7.5.1.2.1 Base Address Registers. */
static void check_bars(uint16_t bdf)
{
	for (unsigned int i = 0; i < 6; i++) {
		unsigned int off = PCI_BASE_ADDRESS_0 + 4 * i;
		uint32_t before = pci_read(bdf, off, 4), low, high = 0, high_before = 0;
		bool wide = before & PCI_BASE_ADDRESS_MEM_TYPE_64;
		uint64_t size;

		if (wide) {
			high_before = pci_read(bdf, off + 4, 4);
			pci_write(bdf, off + 4, 4, 0xffffffff);
			high = pci_read(bdf, off + 4, 4);
		}
		pci_write(bdf, off, 4, 0xffffffff);
		low = pci_read(bdf, off, 4);
		pci_write(bdf, off, 4, before);
		if (wide)
			pci_write(bdf, off + 4, 4, high_before);
		report_equal("BAR comes back", pci_read(bdf, off, 4), before);
		if (!low) {
			report_equal("an absent BAR is zero", before, 0);
			continue;
		}
		report_equal("type bits are read-only", low & 0xf, before & 0xf);
		size = -(((uint64_t)(wide ? high : 0xffffffffU) << 32) | (low & ~0xfULL));
		report("its size is a power of two", size >= 16 && !(size & (size - 1)));
		i += wide;
	}
}

static void check_function(uint16_t bdf)
{
	unsigned int exp = pci_cap(bdf, PCI_CAP_ID_EXP), off = pci_cap(bdf, PCI_CAP_ID_MSIX);

	/* Without Memory Space: no window of a BAR moves about. */
	pci_change(bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO, 0);
	CHECK("function", bdf, 0, common);
	CHECK("function", bdf, 0, type0);
	check_bars(bdf);
	report("it has PM", pci_cap(bdf, PCI_CAP_ID_PM) != 0);
	CHECK("function", bdf, pci_cap(bdf, PCI_CAP_ID_PM), power_management);
	check_power_states(bdf);
	report("it has PCI Express", exp != 0);
	report_equal("it is an endpoint",
		     pci_read(bdf, exp + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE,
		     PCI_EXP_TYPE_ENDPOINT << 4);
	check_msi("function", bdf);
	if (off)
		CHECK("function", bdf, off, msix);
}

void test(void)
{
	struct slot slot;

	slot_find(&slot);
	check_port(&slot);
	check_bridge_control(slot.port);
	check_bus_numbers(&slot);
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		if (slot.fn[fn])
			check_function(slot.fn[fn]);
}
