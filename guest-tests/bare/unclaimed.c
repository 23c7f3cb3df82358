/*
 * What nobody answers reads as ones and drops writes, in every size and across every edge, and the
 * VM lives on.
 */
#include "guest-tests/bare/lib.h"

#define WINDOW32 0xd0000000U /* in the PCI window, where no BAR is */
#define ONES32 0xffffffffU
#define ONES64 0xffffffffffffffffULL

/* Ports that no device of a small PC has. */
static const uint16_t ports[] = {0x0e0, 0x2e8, 0x378, 0x1000, 0x5554, 0xfff0};

/* 32-bit window, below the IOAPIC, between the chipset's blocks, the last page below 4 GiB. */
static const uint64_t addresses[] = {WINDOW32, WINDOW32 + 0xffffff8, 0xfeb00000, 0xfed00000,
				     0xff000000};

static void check_ports(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		uint16_t port = ports[i];

		outb(port, 0);
		outw(port, 0);
		outl(port, 0);
		report_equal("port, byte", inb(port), 0xff);
		report_equal("port, word", inw(port), 0xffff);
		report_equal("port, dword", inl(port), ONES32);
	}
}

/* Accesses that begin or end in a device, or are wider than it takes. */
static void check_port_edges(void)
{
	(void)inl(COM1 + 6);
	(void)inl(COM1 - 2);
	(void)inw(0x71);
	(void)inl(0x64);
	(void)inw(0xffff);
	(void)inl(0xfffd);
	(void)inl(0xcfa);
	(void)inw(0xcfb);
	report("edges of devices", true);
}

static void check_string(void)
{
	uint8_t bytes[16] = {0};
	uint16_t words[8] = {0};
	void *to = bytes;
	const void *from = bytes;
	size_t count = sizeof(bytes), wrong = 0;

	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x5554) : "memory");
	to = words;
	count = ARRAY_SIZE(words);
	__asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(0x5554) : "memory");
	count = sizeof(bytes);
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x5554) : "memory");
	for (size_t i = 0; i < sizeof(bytes); i++)
		wrong += bytes[i] != 0xff;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		wrong += words[i] != 0xffff;
	report_equal("string I/O", wrong, 0);
}

static void check_memory(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		uint64_t address = addresses[i];

		MMIO(uint8_t, address) = 0;
		MMIO(uint16_t, address) = 0;
		MMIO(uint32_t, address) = 0;
		MMIO(uint64_t, address) = 0;
		report_equal("memory, byte", MMIO(uint8_t, address), 0xff);
		report_equal("memory, word", MMIO(uint16_t, address), 0xffff);
		report_equal("memory, dword", MMIO(uint32_t, address), ONES32);
		report_equal("memory, qword", MMIO(uint64_t, address), ONES64);
	}
	report_equal("memory, unaligned", MMIO(uint32_t, WINDOW32 + 1), ONES32);
	report_equal("memory, across a page", MMIO(uint64_t, WINDOW32 + 0xffc), ONES64);
}

/* Right behind the RAM below 4 GiB. */
static void check_end_of_ram(void)
{
	const struct memory *map = (const struct memory *)(uintptr_t)boot_info()->memory_map;
	uint64_t end = 0;

	for (unsigned int i = 0; i < boot_info()->memory_map_entries; i++)
		if (map[i].type == MEMORY_RAM && map[i].address < WINDOW32)
			end = map[i].address + map[i].size;
	report_equal("end of RAM, qword", MMIO(uint64_t, end), ONES64);
	MMIO(uint32_t, end - 4) = 0x12345678;
	report_equal("end of RAM, last dword", MMIO(uint32_t, end - 4), 0x12345678);
	report_equal("end of RAM, half inside", MMIO(uint64_t, end - 4), 0xffffffff12345678ULL);
}

void test(void)
{
	check_ports();
	check_port_edges();
	check_string();
	check_memory();
	check_end_of_ram();
}
