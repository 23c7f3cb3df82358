#include "guest-tests/bare/lib_pci.h"

#define CF8 0xcf8
#define CFC 0xcfc
#define CF8_ENABLE 0x80000000U
#define MCFG_BASE 44 /* PCI Firmware 3.2, 4.1.2 MCFG Table Description */
#define CAPS_MAX 48
#define EXT_CAPS_MAX 960
#define TABLES 32
#define TABLE_ENTRIES 512U
#define PAGE_SIZE_2M 0x200000ULL
#define PRESENT_WRITABLE 0x3ULL
#define LARGE_UNCACHED 0x9bULL /* present, writable, write-through, uncached, 2 MiB */
#define ADDRESS_MASK 0xffffffffff000ULL

static uint64_t ecam_address(uint16_t bdf, unsigned int off)
{
	static uint64_t ecam;

	if (!ecam)
		ecam = acpi_get64(acpi_find("MCFG"), MCFG_BASE);
	return ecam + ((uint64_t)bdf << 12) + off;
}

uint32_t pci_read(uint16_t bdf, unsigned int off, unsigned int len)
{
	uint64_t address = ecam_address(bdf, off);

	switch (len) {
	case 1:
		return MMIO(uint8_t, address);
	case 2:
		return MMIO(uint16_t, address);
	default:
		return MMIO(uint32_t, address);
	}
}

void pci_write(uint16_t bdf, unsigned int off, unsigned int len, uint32_t value)
{
	uint64_t address = ecam_address(bdf, off);

	switch (len) {
	case 1:
		MMIO(uint8_t, address) = (uint8_t)value;
		break;
	case 2:
		MMIO(uint16_t, address) = (uint16_t)value;
		break;
	default:
		MMIO(uint32_t, address) = value;
		break;
	}
}

void pci_change(uint16_t bdf, unsigned int off, unsigned int len, uint32_t clear, uint32_t set)
{
	pci_write(bdf, off, len, (pci_read(bdf, off, len) & ~clear) | set);
}

uint32_t pci_port_read(uint16_t bdf, unsigned int off)
{
	outl(CF8, CF8_ENABLE | (uint32_t)bdf << 8 | (off & 0xfc));
	return inl(CFC);
}

void pci_port_write(uint16_t bdf, unsigned int off, uint32_t value)
{
	outl(CF8, CF8_ENABLE | (uint32_t)bdf << 8 | (off & 0xfc));
	outl(CFC, value);
}

/* --- capabilities --- */

unsigned int pci_cap(uint16_t bdf, uint8_t id)
{
	unsigned int off = pci_read(bdf, PCI_CAPABILITY_LIST, 1);

	for (unsigned int i = 0; i < CAPS_MAX && off >= PCI_STD_HEADER_SIZEOF && off != 0xff; i++) {
		if (pci_read(bdf, off, 1) == id)
			return off;
		off = pci_read(bdf, off + PCI_CAP_LIST_NEXT, 1);
	}
	return 0;
}

unsigned int pci_ext_cap(uint16_t bdf, uint16_t id)
{
	unsigned int off = PCI_CFG_SPACE_SIZE;

	for (unsigned int i = 0; i < EXT_CAPS_MAX && off >= PCI_CFG_SPACE_SIZE; i++) {
		uint32_t header = pci_read(bdf, off, 4);

		if (!header || header == 0xffffffff)
			break;
		if (PCI_EXT_CAP_ID(header) == id)
			return off;
		off = PCI_EXT_CAP_NEXT(header);
	}
	return 0;
}

/* --- memory windows --- */

static uint64_t tables[TABLES][TABLE_ENTRIES] __attribute__((aligned(4096)));

/* The table that `entry` names; a new one when it names none. */
static uint64_t *table_below(uint64_t *entry)
{
	static unsigned int used;

	if (!(*entry & 1)) {
		if (used == TABLES) {
			report("page tables for windows", false);
			finish();
		}
		*entry = (uintptr_t)tables[used++] | PRESENT_WRITABLE;
	}
	return (uint64_t *)(uintptr_t)(*entry & ADDRESS_MASK);
}

void mmio_map(uint64_t address)
{
	uint64_t *table;

	if (address < 1ULL << 32)
		return;
	__asm__ volatile("mov %%cr3, %0" : "=r"(table));
	table = table_below(&table[address >> 39 & (TABLE_ENTRIES - 1)]);
	table = table_below(&table[address >> 30 & (TABLE_ENTRIES - 1)]);
	table += address >> 21 & (TABLE_ENTRIES - 1);
	*table = (address & ~(PAGE_SIZE_2M - 1)) | LARGE_UNCACHED;
}

uint64_t pci_bar(uint16_t bdf, unsigned int index)
{
	unsigned int off = PCI_BASE_ADDRESS_0 + 4 * index;
	uint32_t low = pci_read(bdf, off, 4);
	uint64_t address = low & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;

	if ((low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64)
		address |= (uint64_t)pci_read(bdf, off + 4, 4) << 32;
	mmio_map(address);
	return address;
}
