#include "vmm/firmware_boot.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/tables.h"
#include "devices/acpi_pm.h"
#include "devices/fw_cfg.h"
#include "devices/legacy.h"
#include "devices/pci.h"
#include "devices/virtio_devices.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/base/text.h"
#include "vmm/firmware_describe.h"
#include "vmm/layout.h"
#include "vmm/mem.h"

#define ANCHOR_SIZE 24   /* SMBIOS 3.0, SMBIOS 3.0 (64-bit) Entry Point */
#define STATE_EXISTS 0x80
#define STRUCTURES_AT 32 /* where smbios_build() puts them */

/* ACPI 6.3, Address Range Types, of the file etc/e820. */
#define E820_RAM 1U
#define E820_RESERVED 2U
struct e820_entry {
	uint64_t start, size;
	uint32_t type;
} __attribute__((packed));

struct firmware_boot {
	struct firmware_boot_config config;
	struct fw_cfg *fw_cfg;
	/* Tables under way to the guest; the fw_cfg device's lock. */
	uint8_t tables[ACPI_TABLES_SIZE], rsdp[ACPI_RSDP_SIZE], script[ACPI_LOADER_SIZE_MAX];
	long script_size;
};

/* --- ACPI --- */

/* Builds all for ECAM at `ecam`. 0, or negative errno. */
static int build_acpi(struct firmware_boot *boot, struct range ecam)
{
	struct firmware_description description;
	struct acpi_machine *machine = &description.machine;
	struct acpi_links links;
	long size;

	firmware_describe(&boot->config.firmware, &description);
	machine->ecam = (struct acpi_window){ecam.start, ecam.size};
	machine->mmio32.start = FIRMWARE_MMIO32_START;
	machine->mmio32.size = ecam.start - FIRMWARE_MMIO32_START;
	machine->mmio32_more.start = ecam.start + ecam.size;
	machine->mmio32_more.size = IOAPIC_START - machine->mmio32_more.start;
	memset(boot->tables, 0, sizeof(boot->tables));
	size = acpi_build_linked(machine, boot->tables, sizeof(boot->tables), &links);
	if (size < 0)
		return (int)size;
	boot->script_size = acpi_build_loader(&links, boot->tables, boot->rsdp, boot->script,
					      sizeof(boot->script));
	return boot->script_size < 0 ? (int)boot->script_size : 0;
}

/* The firmware is about to install the tables: it has placed ECAM by now. */
static void refresh_acpi(void *opaque)
{
	struct firmware_boot *boot = opaque;
	struct range ecam = pci_host_ecam(boot->config.pci);
	long script_size = boot->script_size;

	if (!ecam.size || build_acpi(boot, ecam) || boot->script_size != script_size) {
		log_guest("firmware: it asks for ACPI tables with ECAM at 0x%llx (%llu MiB), "
			  "giving those of before", (unsigned long long)ecam.start,
			  (unsigned long long)(ecam.size / MIB));
		boot->script_size = script_size;
		return;
	}
	fw_cfg_replace(boot->fw_cfg, ACPI_FILE_TABLES, boot->tables, sizeof(boot->tables));
	fw_cfg_replace(boot->fw_cfg, ACPI_FILE_RSDP, boot->rsdp, sizeof(boot->rsdp));
	fw_cfg_replace(boot->fw_cfg, ACPI_FILE_LOADER, boot->script, (size_t)boot->script_size);
}

/* What is there before the firmware has placed anything is of the right size. */
static int add_acpi(struct firmware_boot *boot)
{
	int error = build_acpi(boot, (struct range){ECAM_START, ECAM_SIZE});

	if (!error)
		error = fw_cfg_add_file(boot->fw_cfg, ACPI_FILE_TABLES, boot->tables,
					sizeof(boot->tables));
	if (!error)
		error = fw_cfg_add_file(boot->fw_cfg, ACPI_FILE_RSDP, boot->rsdp,
					sizeof(boot->rsdp));
	if (!error)
		error = fw_cfg_add_file(boot->fw_cfg, ACPI_FILE_LOADER, boot->script,
					(size_t)boot->script_size);
	if (!error)
		fw_cfg_watch(boot->fw_cfg, ACPI_FILE_LOADER, refresh_acpi, boot);
	return error;
}

/* --- the other files --- */

/* The firmware puts the structures where it likes, and their address into the anchor. */
static int add_smbios(struct firmware_boot *boot)
{
	struct firmware_description description;
	uint8_t *buffer = boot->tables;
	long size;
	int error;

	firmware_describe(&boot->config.firmware, &description);
	size = smbios_build(&description.smbios, buffer, sizeof(boot->tables), 0);
	if (size < 0)
		return (int)size;
	error = fw_cfg_add_file(boot->fw_cfg, "etc/smbios/smbios-anchor", buffer, ANCHOR_SIZE);
	if (error)
		return error;
	return fw_cfg_add_file(boot->fw_cfg, "etc/smbios/smbios-tables", buffer + STRUCTURES_AT,
			       (size_t)size - STRUCTURES_AT);
}

static int add_memory_map(struct firmware_boot *boot)
{
	struct e820_entry map[3] = {{KVM_IDENTITY_MAP_START, KVM_PAGES_SIZE, E820_RESERVED}};
	struct mem_block block;
	unsigned int count = 0;

	while (count + 1 < ARRAY_SIZE(map) &&
	       mem_block_get(boot->config.firmware.mem, count, &block))
		map[++count] = (struct e820_entry){block.gpa, block.size, E820_RAM};
	return fw_cfg_add_file(boot->fw_cfg, "etc/e820", map, (count + 1) * sizeof(map[0]));
}

/* Device paths in the words of Open Firmware, one a line, the last one ends with a zero. */
static int add_boot_order(struct firmware_boot *boot)
{
	struct text text = {0};
	int error;

	if (!boot->config.disks)
		return 0;
	for (unsigned int i = 0; i < boot->config.disks; i++) {
		uint8_t devfn = virtio_devices_disk_devfn(i);

		text_add(&text, "%s/pci@i0cf8/scsi@%x", i ? "\n" : "", devfn >> 3);
		if (devfn & 7)
			text_add(&text, ",%x", devfn & 7);
		text_add(&text, "/disk@0,0");
	}
	error = text.failed ? -ENOMEM : fw_cfg_add_file(boot->fw_cfg, "bootorder", text.bytes,
							text.len + 1);
	text_finish(&text);
	return error;
}

static int add_items(struct firmware_boot *boot)
{
	const uint16_t cpus = htole16((uint16_t)boot->config.firmware.cpus);
	const uint16_t nographic = htole16(1);
	const uint64_t serial = htole64(PORT_COM1);
	const uint8_t irq0_override = 1;
	const struct {
		uint16_t key;
		const void *data;
		size_t size;
	} items[] = {
		{FW_CFG_NB_CPUS, &cpus, sizeof(cpus)},
		{FW_CFG_MAX_CPUS, &cpus, sizeof(cpus)},
		{FW_CFG_NOGRAPHIC, &nographic, sizeof(nographic)},
		{FW_CFG_IRQ0_OVERRIDE, &irq0_override, sizeof(irq0_override)},
	};
	int error = fw_cfg_add_file(boot->fw_cfg, "etc/sercon-port", &serial, sizeof(serial));

	for (size_t i = 0; i < ARRAY_SIZE(items) && !error; i++)
		error = fw_cfg_add_item(boot->fw_cfg, items[i].key, items[i].data, items[i].size);
	return error;
}

/* A byte for each of S0 to S5: is it there, and the type that PM1_CNT takes for it. Without the
 * file OVMF prepares for no S3. */
static int add_states(struct firmware_boot *boot)
{
	static const uint8_t states[] = {
		STATE_EXISTS, 0, 0, STATE_EXISTS | ACPI_PM_SLP_TYP_S3, 0,
		STATE_EXISTS | ACPI_PM_SLP_TYP_S5,
	};

	return fw_cfg_add_file(boot->fw_cfg, "etc/system-states", states, sizeof(states));
}

static int fill(struct firmware_boot *boot)
{
	static int (*const add[])(struct firmware_boot *boot) = {
		add_items, add_states, add_memory_map, add_smbios, add_acpi, add_boot_order,
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(add) && !error; i++)
		error = add[i](boot);
	return error;
}

/* --- power-on --- */

/* What both firmwares take for a resume from S3 that QEMU says. */
#define CMOS_SHUTDOWN 0x0f
#define SHUTDOWN_S3_RESUME 0xfe

/* SeaBIOS 1.16, src/hw/rtc.h, and OVMF, OvmfPkg/Library/PlatformInitLib/MemDetect.c: the memory in
 * KiB from 1 MiB on (twice), in 64 KiB from 16 MiB and from 4 GiB on, the CPUs after the first, and
 * the kind of disk that is booted first. */
static void set_cmos(const struct firmware_boot *boot)
{
	const struct firmware_config *config = &boot->config.firmware;
	struct mem_block low = {0}, high = {0};
	uint64_t from_1m, from_16m;

	mem_block_get(config->mem, 0, &low);
	mem_block_get(config->mem, 1, &high);
	from_1m = low.size / KIB - KIB;
	from_16m = (low.size - 16 * MIB) / (64 * KIB);
	if (from_1m > UINT16_MAX)
		from_1m = UINT16_MAX;

	const struct {
		uint8_t index, len;
		uint64_t value;
	} bytes[] = {
		{CMOS_SHUTDOWN, 1, 0},
		{0x15, 2, 640}, {0x17, 2, from_1m}, {0x30, 2, from_1m}, {0x34, 2, from_16m},
		{0x5b, 3, high.size / (64 * KIB)}, {0x5f, 1, config->cpus - 1}, {0x3d, 1, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
		for (uint8_t j = 0; j < bytes[i].len; j++)
			rtc_set_memory(boot->config.rtc, bytes[i].index + j,
				       (uint8_t)(bytes[i].value >> 8 * j));
}

/* The end of the ROM is seen below 1 MiB, too. It is a copy in RAM, which the firmware changes. */
static void set_low_memory(const struct firmware_boot *boot)
{
	uint8_t *area = mem_hva(boot->config.firmware.mem, OPTION_ROM_START,
				BIOS_AREA_END - OPTION_ROM_START);
	size_t size = boot->config.rom_size < ROM_LOW_SIZE ? boot->config.rom_size : ROM_LOW_SIZE;
	uint8_t *end = area + (BIOS_AREA_END - OPTION_ROM_START);

	/* The smallest machine has RAM there (RAM_MIN_SIZE). */
	memset(area, 0, BIOS_AREA_END - OPTION_ROM_START);
	memcpy(end - size, boot->config.rom + boot->config.rom_size - size, size);
}

void firmware_boot_resume(struct firmware_boot *boot)
{
	rtc_set_memory(boot->config.rtc, CMOS_SHUTDOWN, SHUTDOWN_S3_RESUME);
	fw_cfg_reset(boot->fw_cfg);
}

void firmware_boot_reset(struct firmware_boot *boot)
{
	set_cmos(boot);
	set_low_memory(boot);
	fw_cfg_reset(boot->fw_cfg);
}

int firmware_boot_create(const struct firmware_boot_config *config,
			 struct firmware_boot **ret_boot, char *ret_why, size_t why_size)
{
	struct firmware_boot *boot = calloc(1, sizeof(*boot));
	int error = -ENOMEM;

	if (boot) {
		boot->config = *config;
		boot->fw_cfg = fw_cfg_create(config->port, config->firmware.mem);
		if (boot->fw_cfg)
			error = fill(boot);
	}
	if (error) {
		snprintf(ret_why, why_size, "the tables for the firmware: %s", strerror(-error));
		firmware_boot_destroy(boot);
		return error;
	}
	*ret_boot = boot;
	return 0;
}

void firmware_boot_destroy(struct firmware_boot *boot)
{
	if (!boot)
		return;
	fw_cfg_destroy(boot->fw_cfg);
	free(boot);
}
