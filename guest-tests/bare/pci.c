/*
 * Configuration space of bus 0 by both ways, CF8/CFC and ECAM: the same contents, the chipset that
 * guests look for, ones where nothing is, and that only writable bits can be written.
 */
#include "guest-tests/bare/lib.h"

#define CF8 0xcf8
#define CFC 0xcfc
#define CF8_ENABLE 0x80000000U
#define DEVICES 32
#define COMPARED 64 /* bytes of each function */
#define ONES 0xffffffffU
#define HOST_BRIDGE 0
#define LPC 0x1f

static uint64_t ecam;

static uint32_t port_read(unsigned int bus, unsigned int dev, unsigned int off)
{
	outl(CF8, CF8_ENABLE | bus << 16 | dev << 11 | (off & ~3U));
	return inl(CFC);
}

static uint64_t ecam_address(unsigned int bus, unsigned int dev, unsigned int off)
{
	return ecam + ((uint64_t)bus << 20 | (uint64_t)dev << 15 | off);
}

static uint32_t ecam_read(unsigned int bus, unsigned int dev, unsigned int off)
{
	return MMIO(uint32_t, ecam_address(bus, dev, off));
}

static void check_identity(void)
{
	report_equal("host bridge is Q35's", port_read(0, HOST_BRIDGE, 0), 0x29c08086);
	report_equal("host bridge has its class", port_read(0, HOST_BRIDGE, 8) >> 8, 0x060000);
	report_equal("LPC bridge is ICH9's", port_read(0, LPC, 0), 0x29188086);
	report_equal("LPC bridge has its class", port_read(0, LPC, 8) >> 8, 0x060100);
}

static void check_both_ways(void)
{
	unsigned int present = 0, different = 0;

	for (unsigned int dev = 0; dev < DEVICES; dev++) {
		if (ecam_read(0, dev, 0) == ONES) {
			different += port_read(0, dev, 0) != ONES;
			continue;
		}
		present++;
		for (unsigned int off = 0; off < COMPARED; off += 4)
			different += port_read(0, dev, off) != ecam_read(0, dev, off);
	}
	report("bus 0 has devices", present >= 2);
	report_equal("CF8 and ECAM agree", different, 0);
}

static void check_absent(void)
{
	unsigned int dev = 0;

	while (dev < DEVICES && port_read(0, dev, 0) != ONES)
		dev++;
	report_equal("absent device: dword", ecam_read(0, dev, 0x10), ONES);
	report_equal("absent device: word", MMIO(uint16_t, ecam_address(0, dev, 2)), 0xffff);
	report_equal("absent device: byte", MMIO(uint8_t, ecam_address(0, dev, 0xe)), 0xff);
	MMIO(uint32_t, ecam_address(0, dev, 4)) = 7;
	report_equal("absent device: writes are dropped", ecam_read(0, dev, 4), ONES);
	report_equal("absent bus", ecam_read(0xff, 0, 0), ONES);
	report_equal("absent function", MMIO(uint32_t, ecam_address(0, LPC, 0x7000)), ONES);
	report_equal("past the legacy space", ecam_read(0, LPC, 0xffc) == ONES ||
		     ecam_read(0, LPC, 0xffc) == 0, 1);
	outl(CF8, 0);
	report_equal("CFC without the enable bit", inl(CFC), ONES);
}

/* Parts of a dword by CFC + n and by ECAM are that dword's. */
static void check_small_accesses(void)
{
	uint32_t id = port_read(0, LPC, 0);

	outl(CF8, CF8_ENABLE | LPC << 11);
	report_equal("CF8 reads back", inl(CF8), CF8_ENABLE | LPC << 11);
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t expected = (uint8_t)(id >> (8 * i));

		report_equal("byte of CFC", inb((uint16_t)(CFC + i)), expected);
		report_equal("byte of ECAM", MMIO(uint8_t, ecam_address(0, LPC, i)), expected);
	}
	report_equal("word of CFC", inw(CFC + 2), id >> 16);
	report_equal("word of ECAM", MMIO(uint16_t, ecam_address(0, LPC, 2)), id >> 16);
}

/* PCI 3.0, 6.1 Configuration Space Organization: what may be writable in a type 0 header. */
static const struct {
	const char *name;
	uint16_t off;
	uint32_t writable;
} registers[] = {
	{"vendor and device ID are read-only", 0x00, 0},
	{"command: only its bits are writable, status is not", 0x04, 0x00000547},
	{"revision and class are read-only", 0x08, 0},
	{"cache line size and latency: header type is read-only", 0x0c, 0x0000ffff},
	{"subsystem IDs are read-only", 0x2c, 0},
	{"capability pointer is read-only", 0x34, 0},
	{"interrupt line: the pin is read-only", 0x3c, 0x000000ff},
};

static void check_masks(unsigned int dev)
{
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		uint64_t address = ecam_address(0, dev, registers[i].off);
		uint32_t before = MMIO(uint32_t, address), after;

		MMIO(uint32_t, address) = ~before;
		after = MMIO(uint32_t, address);
		MMIO(uint32_t, address) = before;
		report_equal(registers[i].name, (before ^ after) & ~registers[i].writable, 0);
		report_equal("and comes back", MMIO(uint32_t, address), before);
	}
}

void test(void)
{
	const struct acpi_header *mcfg = acpi_find("MCFG");

	ecam = acpi_get64(mcfg, 44);
	check_identity();
	check_both_ways();
	check_absent();
	check_small_accesses();
	check_masks(HOST_BRIDGE);
	check_masks(LPC);
}
