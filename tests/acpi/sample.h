/*
 * The sample machine of the tests of acpi/: the numbers of vmm/layout.h, and slots as the machine
 * describes them. The golden files in tests/acpi/golden/ are of this machine with one slot.
 */
#ifndef TESTS_ACPI_SAMPLE_H
#define TESTS_ACPI_SAMPLE_H

#include "acpi/tables.h"
#include "devices/slot_power.h"
#include "devices/watchdog.h"
#include "vmm/base/bits.h"
#include "vmm/layout.h"

#define SAMPLE_GPA ACPI_TABLES_START
#define SAMPLE_SIZE ACPI_TABLES_SIZE

struct sample {
	struct acpi_machine machine;
	struct acpi_slot slot[ACPI_SLOT_MAX];
	uint32_t apic_ids[ACPI_CPU_MAX];
};

static inline void sample_init_slots(struct sample *sample, unsigned int slots)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sample->slot); i++)
		sample->slot[i] = (struct acpi_slot){
			.index = i,
			.port_dev = (uint8_t)(i + 1),
			.functions = 0x3,
			.d3cold = 1,
			.gpe = (uint8_t)(GPE_SLOT_FIRST + i),
			.controller = SLOT_POWER_START + i * SLOT_POWER_STRIDE,
		};
	sample->machine.slots = slots;
	sample->machine.slot = sample->slot;
}

static inline void sample_init(struct sample *sample, unsigned int cpus, unsigned int slots)
{
	*sample = (struct sample){.machine = {
		.cpus = cpus,
		.mmio32 = {MMIO32_START, MMIO32_SIZE},
		.mmio64 = {256 * GIB, 256 * GIB},
		.io = {PCI_IO_START, PCI_IO_SIZE},
		.ecam = {ECAM_START, ECAM_SIZE},
		.ioapic = IOAPIC_START,
		.lapic = LAPIC_START,
		.pm1a_evt = PORT_PM1A_EVT,
		.pm1a_cnt = PORT_PM1A_CNT,
		.pm_tmr = PORT_PM_TMR,
		.gpe0 = PORT_GPE0,
		.gpe0_size = GPE0_SIZE,
		.reset_port = PORT_RESET,
		.reset_value = 0x0e,
		.sci = GSI_SCI,
		.slp_typ_s3 = 1,
		.com1_port = PORT_COM1,
		.com1_irq = GSI_COM1,
		.rtc_port = PORT_RTC_INDEX,
		.rtc_irq = GSI_RTC,
		.pm_base = PORT_PM_BASE,
		.pm_size = PORT_PM_SIZE,
		.watchdog = {PORT_WATCHDOG, WATCHDOG_PERIOD_MS, WATCHDOG_COUNT_MAX},
	}};
	sample->machine.apic_ids = sample->apic_ids;
	for (unsigned int i = 0; i < ARRAY_SIZE(sample->apic_ids); i++)
		sample->apic_ids[i] = i;
	for (unsigned int dev = 0; dev < ARRAY_SIZE(sample->machine.prt); dev++)
		for (unsigned int pin = 0; pin < ARRAY_SIZE(sample->machine.prt[0]); pin++)
			sample->machine.prt[dev][pin] = layout_pci_gsi(dev, pin + 1);
	sample_init_slots(sample, slots);
}

#endif
