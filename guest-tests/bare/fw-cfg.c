/*
 * In firmware's place: the machine as it is at the reset vector, what fw_cfg says of it, ECAM that
 * goes where PCIEXBAR says, and the ACPI tables by the loader's script, which then know of it.
 */
#include "guest-tests/bare/lib_pci.h"

#define SELECT 0x510
#define DATA 0x511
#define DMA_HIGH 0x514
#define DMA_LOW 0x518
#define DMA_ERROR 1U
#define DMA_READ 2U
#define DMA_SELECT 8U
#define DMA_WRITE 16U

#define KEY_SIGNATURE 0
#define KEY_DIRECTORY 0x19
#define NAME_SIZE 56

#define PCIEXBAR 0x60
#define ECAM 0xb0000000U
#define ECAM_MCFG 44 /* offset of its address in the MCFG */

/* Where this firmware puts things. */
#define SCRIPT_AT 0x400000U
#define TABLES_AT 0x500000U
#define RSDP_AT 0xf6000U
#define SCRIPT_MAX 0x10000U
#define ENTRY_SIZE 128

struct dma {
	uint32_t control, length; /* big-endian */
	uint64_t address;
};

struct entry {
	uint32_t size; /* big-endian */
	uint16_t select;
	uint16_t reserved;
	char name[NAME_SIZE];
};

struct file {
	const char *name;
	uint32_t address, key, size;
};

static struct file tables = {"etc/acpi/tables", TABLES_AT, 0, 0};
static struct file rsdp = {"etc/acpi/rsdp", RSDP_AT, 0, 0};
static struct file script = {"etc/table-loader", SCRIPT_AT, 0, 0};

/* --- the device --- */

static void read_data(void *buffer, size_t size)
{
	uint8_t *bytes = buffer;

	for (size_t i = 0; i < size; i++)
		bytes[i] = inb(DATA);
}

/* Returns what is left in the control word. */
static uint32_t transfer(uint32_t key, uint32_t command, uint32_t address, uint32_t length)
{
	static volatile struct dma request;

	request.control = __builtin_bswap32(key << 16 | DMA_SELECT | command);
	request.length = __builtin_bswap32(length);
	request.address = __builtin_bswap64(address);
	outl(DMA_HIGH, 0);
	outl(DMA_LOW, __builtin_bswap32((uint32_t)(uintptr_t)&request));
	return __builtin_bswap32(request.control);
}

static bool find_file(struct file *file)
{
	struct entry entry;
	uint32_t count;

	outw(SELECT, KEY_DIRECTORY);
	read_data(&count, sizeof(count));
	for (count = __builtin_bswap32(count); count; count--) {
		read_data(&entry, sizeof(entry));
		if (memcmp(entry.name, file->name, strlen(file->name) + 1))
			continue;
		file->key = __builtin_bswap16(entry.select);
		file->size = __builtin_bswap32(entry.size);
		return true;
	}
	return false;
}

static bool load(struct file *file)
{
	return find_file(file) && !transfer(file->key, DMA_READ, file->address, file->size);
}

/* --- checks --- */

static void check_device(void)
{
	uint32_t signature, byte = 0;

	outw(SELECT, KEY_SIGNATURE);
	read_data(&signature, sizeof(signature));
	report_equal("fw_cfg is there", signature, 0x554d4551);
	report_equal("it has DMA", inl(DMA_HIGH), 0x554d4551);
	report_equal("nothing can be written",
		     transfer(KEY_SIGNATURE, DMA_WRITE, (uint32_t)(uintptr_t)&byte, 1), DMA_ERROR);
	report_equal("the ROM is no RAM", transfer(KEY_SIGNATURE, DMA_READ, 0xfffff000, 4),
		     DMA_ERROR);
}

/* RAM is what the test says in its arguments: 32 MiB. */
static void check_memory_map(void)
{
	struct file map = {"etc/e820", 0, 0, 0};
	struct {
		uint64_t start, size;
		uint32_t type;
	} __attribute__((packed)) entry;
	uint64_t ram = 0;

	report("there is a memory map", find_file(&map) && map.size % sizeof(entry) == 0);
	outw(SELECT, (uint16_t)map.key);
	for (uint32_t i = 0; i < map.size; i += sizeof(entry)) {
		read_data(&entry, sizeof(entry));
		ram += entry.type == 1 ? entry.size : 0;
	}
	report_equal("of so much RAM", ram, 32U << 20);
}

static void check_power_on(void)
{
	const uint32_t *low = (const uint32_t *)0xf0000, *rom = (const uint32_t *)0xffff0000;
	bool same = true;

	for (unsigned int i = 0; i < 0x10000 / sizeof(*low); i++)
		same = same && low[i] == rom[i];
	report("the ROM's end is below 1 MiB, too", same);
	report_equal("PCI has no addresses", pci_port_read(BDF(0, 0x1e, 0), PCI_BASE_ADDRESS_0), 0);
	report_equal("ECAM is off", pci_port_read(BDF(0, 0, 0), PCIEXBAR) & 1, 0);
	report_equal("nothing is there", MMIO(uint32_t, ECAM), 0xffffffff);
}

static void place_ecam(void)
{
	pci_port_write(BDF(0, 0, 0), PCIEXBAR, ECAM | 1);
	for (unsigned int dev = 0; dev < 32; dev++)
		if (MMIO(uint32_t, ECAM + (dev << 15)) != pci_port_read(BDF(0, dev, 0), 0))
			report_equal("ECAM shows the same as the ports; device", dev, 0);
	report_equal("ECAM is where it was put", MMIO(uint32_t, ECAM), 0x29c08086);
}

/* --- the loader --- */

static struct file *named(const uint8_t *name)
{
	return memcmp(name, rsdp.name, strlen(rsdp.name) + 1) ? &tables : &rsdp;
}

static uint32_t get32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static void perform(const uint8_t *entry)
{
	struct file *file = named(entry + 4);
	uint8_t *bytes = (uint8_t *)(uintptr_t)file->address, sum = 0;
	uint64_t pointer = 0;

	switch (get32(entry)) {
	case 1:
		report(join("allocates ", file->name), load(file));
		break;
	case 2:
		bytes += get32(entry + 4 + 2 * NAME_SIZE);
		memcpy(&pointer, bytes, entry[8 + 2 * NAME_SIZE]);
		pointer += named(entry + 4 + NAME_SIZE)->address;
		memcpy(bytes, &pointer, entry[8 + 2 * NAME_SIZE]);
		break;
	default:
		for (uint32_t i = 0; i < get32(entry + 12 + NAME_SIZE); i++)
			sum = (uint8_t)(sum + bytes[get32(entry + 8 + NAME_SIZE) + i]);
		bytes[get32(entry + 4 + NAME_SIZE)] = (uint8_t)-sum;
		break;
	}
}

static void check_tables(void)
{
	const uint8_t *root = (const uint8_t *)RSDP_AT;
	const struct acpi_header *xsdt, *table;
	bool has_mcfg = false;

	report("the RSDP's checksums",
	       acpi_checksum_good(root, 20) && acpi_checksum_good(root, 36));
	xsdt = (const struct acpi_header *)(uintptr_t)get32(root + 24);
	report("the XSDT's", !memcmp(xsdt->signature, "XSDT", 4) &&
	       acpi_checksum_good(xsdt, xsdt->length));
	for (uint32_t off = sizeof(*xsdt); off < xsdt->length; off += 8) {
		table = (const struct acpi_header *)(uintptr_t)acpi_get64(xsdt, off);
		report("a table's", acpi_checksum_good(table, table->length));
		if (memcmp(table->signature, "MCFG", 4))
			continue;
		has_mcfg = true;
		report_equal("the MCFG knows where ECAM is", acpi_get64(table, ECAM_MCFG), ECAM);
	}
	report("there is an MCFG", has_mcfg);
}

void test(void)
{
	check_power_on();
	check_device();
	check_memory_map();
	place_ecam();
	report("there is a script", load(&script) && script.size % ENTRY_SIZE == 0 &&
	       script.size <= SCRIPT_MAX);
	for (uint32_t i = 0; i < script.size; i += ENTRY_SIZE)
		perform((const uint8_t *)(uintptr_t)SCRIPT_AT + i);
	check_tables();
}
