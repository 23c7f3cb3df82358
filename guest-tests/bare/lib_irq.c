#include "guest-tests/bare/lib_irq.h"
#include "guest-tests/bare/lib_pci.h"

/* Intel SDM vol. 3A, APIC Timer. */
#define VECTOR_TIMER (VECTOR_LAST + 1)
#define LAPIC_TIMER 0x320
#define LAPIC_TIMER_COUNT 0x380
#define LAPIC_TIMER_DIVIDE 0x3e0
#define TIMER_PERIODIC 0x20000U
#define TIMER_DIVIDE_BY_1 0xbU
#define TIMER_TICKS 2000000U /* some milliseconds, whatever the clock is */

/* ICH9, REDIR_TBL - Redirection Table. */
#define IOAPIC_LEVEL 0x8000U
#define IOAPIC_MASKED 0x10000U

#define MSI_ADDRESS 0xfee00000U
#define APIC_ID_SHIFT_MSI 12
#define APIC_ID_SHIFT 24

static volatile unsigned int counts[VECTORS];
static interrupt_handler handlers[VECTORS];

/* --- waits --- */

static void tick(unsigned int vector)
{
	(void)vector;
}

void irq_init(void)
{
	interrupt_init();
	interrupt_set(VECTOR_TIMER, tick);
	MMIO(uint32_t, LAPIC + LAPIC_TIMER_DIVIDE) = TIMER_DIVIDE_BY_1;
	MMIO(uint32_t, LAPIC + LAPIC_TIMER) = TIMER_PERIODIC | VECTOR_TIMER;
	MMIO(uint32_t, LAPIC + LAPIC_TIMER_COUNT) = TIMER_TICKS;
}

/* An interrupt that is pending comes between STI and HLT's end, or wakes the HLT. */
bool wait_until(bool (*done)(void *opaque), void *opaque, unsigned int ms)
{
	struct stopwatch watch;

	stopwatch_start(&watch);
	while (!done(opaque)) {
		if (stopwatch_us(&watch) >= 1000ULL * ms)
			return false;
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
	return true;
}

static void take(unsigned int vector)
{
	counts[vector]++;
	if (handlers[vector])
		handlers[vector](vector);
}

/* What is pending is taken at the latest when the CPU comes back from an access to a device; an
 * emulated CPU does not look after every instruction. */
unsigned int irq_count(unsigned int vector)
{
	__asm__ volatile("sti" : : : "memory");
	inb(COM1 + 5);
	inb(COM1 + 5);
	__asm__ volatile("cli" : : : "memory");
	return counts[vector];
}

void irq_take(unsigned int vector, interrupt_handler handler)
{
	handlers[vector] = handler;
	interrupt_set(vector, take);
	irq_count(vector);
	counts[vector] = 0;
}

struct awaited {
	unsigned int vector, count;
};

static bool was_taken(void *opaque)
{
	const struct awaited *awaited = opaque;

	return counts[awaited->vector] >= awaited->count;
}

bool irq_wait(unsigned int vector, unsigned int count, unsigned int ms)
{
	struct awaited awaited = {vector, count};

	return wait_until(was_taken, &awaited, ms);
}

/* --- messages --- */

static uint32_t message_address(void)
{
	uint32_t id = MMIO(uint32_t, LAPIC + LAPIC_ID) >> APIC_ID_SHIFT;

	return MSI_ADDRESS | id << APIC_ID_SHIFT_MSI;
}

void msi_route(uint16_t bdf, unsigned int vector)
{
	unsigned int cap = pci_cap(bdf, PCI_CAP_ID_MSI);
	uint32_t flags = pci_read(bdf, cap + PCI_MSI_FLAGS, 2);
	bool wide = flags & PCI_MSI_FLAGS_64BIT;

	pci_write(bdf, cap + PCI_MSI_ADDRESS_LO, 4, message_address());
	if (wide)
		pci_write(bdf, cap + PCI_MSI_ADDRESS_HI, 4, 0);
	pci_write(bdf, cap + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2, vector);
	pci_change(bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
	pci_change(bdf, cap + PCI_MSI_FLAGS, 2, 0, PCI_MSI_FLAGS_ENABLE);
}

void msi_disable(uint16_t bdf)
{
	pci_change(bdf, pci_cap(bdf, PCI_CAP_ID_MSI) + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE, 0);
}

void msix_route(uint16_t bdf, unsigned int entry, unsigned int vector)
{
	unsigned int cap = pci_cap(bdf, PCI_CAP_ID_MSIX);
	uint32_t table = pci_read(bdf, cap + PCI_MSIX_TABLE, 4);
	uint64_t at = pci_bar(bdf, table & PCI_MSIX_TABLE_BIR) + (table & PCI_MSIX_TABLE_OFFSET) +
		      (uint64_t)entry * PCI_MSIX_ENTRY_SIZE;

	MMIO(uint32_t, at + PCI_MSIX_ENTRY_LOWER_ADDR) = message_address();
	MMIO(uint32_t, at + PCI_MSIX_ENTRY_UPPER_ADDR) = 0;
	MMIO(uint32_t, at + PCI_MSIX_ENTRY_DATA) = vector;
	MMIO(uint32_t, at + PCI_MSIX_ENTRY_VECTOR_CTRL) = 0;
}

void msix_enable(uint16_t bdf)
{
	unsigned int cap = pci_cap(bdf, PCI_CAP_ID_MSIX);

	pci_change(bdf, PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
	pci_change(bdf, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_MASKALL, PCI_MSIX_FLAGS_ENABLE);
}

void msix_disable(uint16_t bdf)
{
	pci_change(bdf, pci_cap(bdf, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE,
		   0);
}

/* --- lines --- */

/* Firmware wrote the GSI to Interrupt Line. */
static uint8_t redirection_entry(uint16_t bdf)
{
	return (uint8_t)(0x10 + 2 * pci_read(bdf, PCI_INTERRUPT_LINE, 1));
}

void intx_route(uint16_t bdf, unsigned int vector)
{
	uint8_t entry = redirection_entry(bdf);

	ioapic_write((uint8_t)(entry + 1), MMIO(uint32_t, LAPIC + LAPIC_ID));
	ioapic_write(entry, IOAPIC_LEVEL | vector);
}

/* The vector stays: the end of an interrupt is for the entry that has its vector. */
void intx_mask(uint16_t bdf)
{
	uint8_t entry = redirection_entry(bdf);

	ioapic_write(entry, ioapic_read(entry) | IOAPIC_MASKED);
}
