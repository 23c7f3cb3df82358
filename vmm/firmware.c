#include "vmm/firmware.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/watchdog.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/boot.h"
#include "vmm/firmware_describe.h"
#include "vmm/layout.h"
#include "vmm/mem.h"
#include "vmm/slots.h"

#define RESET_VALUE 0x0e /* ICH9 Datasheet, 13.7.5 RST_CNT: full reset, system reset, reset CPU */
#define PINS 4

/* Returns how many there are. */
static unsigned int describe_slots(const struct firmware_config *config,
				   struct acpi_slot slots[ACPI_SLOT_MAX])
{
	struct vfio_slot *slot;
	unsigned int i;

	for (i = 0; (slot = slots_get(config->slots, i)); i++) {
		struct vfio_slot_info info;

		vfio_slot_info(slot, &info);
		slots[i] = (struct acpi_slot){
			.index = i,
			.port_dev = info.port_dev,
			.functions = info.functions,
			.d3cold = info.d3cold,
			.gpe = (uint8_t)(GPE_SLOT_FIRST + i),
			.controller = SLOT_POWER_START + i * SLOT_POWER_STRIDE,
		};
	}
	return i;
}

static struct acpi_machine plain_machine(const struct firmware_config *config)
{
	return (struct acpi_machine){
		.cpus = config->cpus,
		.mmio32 = {MMIO32_START, MMIO32_SIZE},
		.mmio64 = {config->mmio64.start, config->mmio64.size},
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
		.reset_value = RESET_VALUE,
		.sci = GSI_SCI,
		.slp_typ_s3 = ACPI_PM_SLP_TYP_S3,
		.slp_typ_s5 = ACPI_PM_SLP_TYP_S5,
		.com1_port = PORT_COM1,
		.com1_irq = GSI_COM1,
		.rtc_port = PORT_RTC_INDEX,
		.rtc_irq = GSI_RTC,
		.pm_base = PORT_PM_BASE,
		.pm_size = PORT_PM_SIZE,
		.watchdog = {config->watchdog ? PORT_WATCHDOG : 0, WATCHDOG_PERIOD_MS,
			     WATCHDOG_COUNT_MAX},
	};
}

void firmware_describe(const struct firmware_config *config,
		       struct firmware_description *ret_description)
{
	struct acpi_machine *machine = &ret_description->machine;
	struct mem_block low;

	*machine = plain_machine(config);
	machine->apic_ids = ret_description->apic_ids;
	machine->slot = ret_description->slot;
	for (unsigned int i = 0; i < config->cpus; i++)
		ret_description->apic_ids[i] = i;
	for (unsigned int dev = 0; dev < ARRAY_SIZE(machine->prt); dev++)
		for (unsigned int pin = 0; pin < PINS; pin++)
			machine->prt[dev][pin] = layout_pci_gsi(dev, pin + 1);
	machine->slots = describe_slots(config, ret_description->slot);
	ret_description->smbios = (struct smbios_machine){
		.version = MINIVMM_VERSION, .cpus = config->cpus,
		.memory_size = mem_size(config->mem)};
	if (mem_block_get(config->mem, 0, &low))
		ret_description->smbios.memory_low = low.size;
}

int firmware_write(const struct firmware_config *config, char *ret_why, size_t why_size)
{
	struct firmware_description description;
	uint8_t *bios = mem_hva(config->mem, BIOS_AREA_START, BIOS_AREA_END - BIOS_AREA_START);
	uint8_t *acpi_tables = bios + (ACPI_TABLES_START - BIOS_AREA_START);
	uint8_t *smbios_tables = bios + (SMBIOS_START - BIOS_AREA_START);
	long size;

	firmware_describe(config, &description);
	/* The smallest machine has RAM there (RAM_MIN_SIZE). */
	memset(bios, 0, BIOS_AREA_END - BIOS_AREA_START);
	size = acpi_build(&description.machine, acpi_tables, ACPI_TABLES_SIZE, ACPI_TABLES_START);
	if (size < 0) {
		snprintf(ret_why, why_size, "no ACPI tables for these slots (room: %llu KiB): %s",
			 (unsigned long long)(ACPI_TABLES_SIZE / KIB),
			 strerror((int)-size));
		return (int)size;
	}
	size = smbios_build(&description.smbios, smbios_tables, SMBIOS_SIZE, SMBIOS_START);
	if (size < 0)
		snprintf(ret_why, why_size, "the SMBIOS tables do not fit");
	return size < 0 ? (int)size : 0;
}

bool firmware_waking_entry(const struct mem *mem, struct boot_entry *ret_entry)
{
	struct acpi_waking waking = acpi_waking_vector(
		mem_hva(mem, ACPI_TABLES_START + ACPI_FACS_OFFSET, ACPI_FACS_SIZE));

	*ret_entry = (struct boot_entry){
		.mode = waking.mode == ACPI_WAKING_REAL ? BOOT_REAL_MODE : BOOT_PROTECTED_MODE,
		.rip = waking.vector};
	return waking.mode != ACPI_WAKING_NONE;
}
