/*
 * The SMBIOS tables: what dmidecode shows, and what Linux needs before it lets a PCIe port sleep (a
 * BIOS date of 2015 or later).
 */
#include <errno.h>
#include <string.h>

#include "acpi/header.h"
#include "acpi/tables.h"
#include "vmm/base/bits.h"

#define VENDOR "minivmm"
#define RELEASE_DATE "01/01/2026"
#define GPA_END (4 * GIB)
#define STRUCTURES_AT 32 /* 16-byte aligned, after the entry point */
#define NO_HANDLE 0xfffe
#define NO_CACHE 0xffff

/* SMBIOS 3.0, SMBIOS 3.0 (64-bit) Entry Point */
struct smbios_entry_point {
	char anchor[5];
	uint8_t checksum, length, major, minor, docrev, revision, reserved;
	uint32_t structures_max_size;
	uint64_t structures;
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_entry_point) == 24, "SMBIOS 3.0 entry point");

/* SMBIOS 3.0, Structure header format. The numbers of strings count from 1; 0: none. */
struct smbios_header {
	uint8_t type, length;
	uint16_t handle;
} __attribute__((packed));

/* SMBIOS 3.0, BIOS Information (Type 0) */
struct smbios_bios {
	struct smbios_header header;
	uint8_t vendor, version;
	uint16_t segment;
	uint8_t release_date, rom_size;
	uint64_t characteristics;
	uint8_t extension[2];
	uint8_t bios_major, bios_minor, ec_major, ec_minor;
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_bios) == 0x18, "SMBIOS type 0");
#define BIOS_CHARACTERISTICS_NOT_SUPPORTED (1U << 3)
#define BIOS_EXTENSION1_ACPI (1U << 0)
#define BIOS_EXTENSION2_VIRTUAL_MACHINE (1U << 4)
#define BIOS_NO_RELEASE 0xff

/* SMBIOS 3.0, System Information (Type 1) */
struct smbios_system {
	struct smbios_header header;
	uint8_t manufacturer, product, version, serial;
	uint8_t uuid[16];
	uint8_t wake_up_type, sku, family;
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_system) == 0x1b, "SMBIOS type 1");
#define WAKE_UP_POWER_SWITCH 6

/* SMBIOS 3.0, System Enclosure or Chassis (Type 3), no contained elements */
struct smbios_chassis {
	struct smbios_header header;
	uint8_t manufacturer, type, version, serial, asset_tag;
	uint8_t boot_up_state, power_supply_state, thermal_state, security_status;
	uint32_t oem;
	uint8_t height, power_cords, elements, element_length, sku;
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_chassis) == 0x16, "SMBIOS type 3");
/* Not one of the notebooks' types: those change what drivers do by themselves. */
#define CHASSIS_OTHER 1
#define CHASSIS_STATE_SAFE 3
#define CHASSIS_SECURITY_UNKNOWN 2

/* SMBIOS 3.0, Processor Information (Type 4) */
struct smbios_processor {
	struct smbios_header header;
	uint8_t socket, type, family, manufacturer;
	uint64_t id;
	uint8_t version, voltage;
	uint16_t external_clock, max_speed, current_speed;
	uint8_t status, upgrade;
	uint16_t cache[3];
	uint8_t serial, asset_tag, part_number;
	uint8_t core_count, core_enabled, thread_count;
	uint16_t characteristics, family2, core_count2, core_enabled2, thread_count2;
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_processor) == 0x30, "SMBIOS type 4");
#define PROCESSOR_CENTRAL 3
#define PROCESSOR_FAMILY_OTHER 1
#define PROCESSOR_POPULATED_ENABLED 0x41
#define PROCESSOR_UPGRADE_OTHER 1
#define PROCESSOR_64_BIT_MULTI_CORE (1U << 2 | 1U << 3)

/* SMBIOS 3.0, Physical Memory Array (Type 16) */
struct smbios_memory_array {
	struct smbios_header header;
	uint8_t location, use, error_correction;
	uint32_t max_capacity; /* KiB */
	uint16_t error_handle, devices;
	uint64_t extended_max_capacity; /* bytes */
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_memory_array) == 0x17, "SMBIOS type 16");
#define ARRAY_LOCATION_OTHER 1
#define ARRAY_USE_SYSTEM 3
#define ARRAY_CAPACITY_EXTENDED 0x80000000U

/* SMBIOS 3.0, Memory Device (Type 17) */
struct smbios_memory_device {
	struct smbios_header header;
	uint16_t array, error_handle, total_width, data_width, size; /* MiB */
	uint8_t form_factor, set, locator, bank, type;
	uint16_t detail, speed;
	uint8_t manufacturer, serial, asset_tag, part_number, attributes;
	uint32_t extended_size; /* MiB */
	uint16_t clock_speed, min_voltage, max_voltage, voltage;
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_memory_device) == 0x28, "SMBIOS type 17");
#define WIDTH_UNKNOWN 0xffff
#define DEVICE_SIZE_EXTENDED 0x7fff
#define FORM_FACTOR_OTHER 1
#define MEMORY_TYPE_RAM 7
#define MEMORY_DETAIL_OTHER (1U << 1)

/* SMBIOS 3.0, Memory Array Mapped Address (Type 19) */
struct smbios_mapped_address {
	struct smbios_header header;
	uint32_t start, end; /* KiB, of the first and the last */
	uint16_t array;
	uint8_t partition_width;
	uint64_t extended_start, extended_end; /* bytes, likewise */
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_mapped_address) == 0x1f, "SMBIOS type 19");
#define MAPPED_EXTENDED 0xffffffffU

/* SMBIOS 3.0, System Boot Information (Type 32): status 0, no errors detected */
struct smbios_boot {
	struct smbios_header header;
	uint8_t reserved[6], status;
} __attribute__((packed));
_Static_assert(sizeof(struct smbios_boot) == 11, "SMBIOS type 32");

enum {
	HANDLE_BIOS = 0x000,
	HANDLE_SYSTEM = 0x100,
	HANDLE_CHASSIS = 0x300,
	HANDLE_PROCESSOR = 0x400,
	HANDLE_MEMORY_ARRAY = 0x1000,
	HANDLE_MEMORY_DEVICE = 0x1100,
	HANDLE_MAPPED_ADDRESS = 0x1300,
	HANDLE_BOOT = 0x2000,
	HANDLE_END = 0x7f00,
};

/* SMBIOS 3.0, Text strings: after the formatted area each string ends with a zero, the set with
 * one more; an empty set is two zeros. `strings` ends with NULL; none may be empty. */
static void add(struct acpi_image *image, const void *formatted, size_t len,
		const char *const strings[])
{
	acpi_append(image, formatted, len);
	if (!strings[0])
		acpi_append(image, "", 1);
	for (; *strings; strings++)
		acpi_append(image, *strings, strlen(*strings) + 1);
	acpi_append(image, "", 1);
}

static struct smbios_header header(uint8_t type, size_t length, unsigned int handle)
{
	return (struct smbios_header){type, (uint8_t)length, (uint16_t)handle};
}

static void add_bios(struct acpi_image *image, const char *version)
{
	const struct smbios_bios bios = {
		.header = header(0, sizeof(bios), HANDLE_BIOS),
		.vendor = 1,
		.version = 2,
		.segment = 0xf000,
		.release_date = 3,
		.characteristics = BIOS_CHARACTERISTICS_NOT_SUPPORTED,
		.extension = {BIOS_EXTENSION1_ACPI, BIOS_EXTENSION2_VIRTUAL_MACHINE},
		.bios_major = BIOS_NO_RELEASE,
		.bios_minor = BIOS_NO_RELEASE,
		.ec_major = BIOS_NO_RELEASE,
		.ec_minor = BIOS_NO_RELEASE,
	};

	add(image, &bios, sizeof(bios), (const char *const[]){VENDOR, version, RELEASE_DATE, NULL});
}

static void add_system(struct acpi_image *image, const struct smbios_machine *machine,
		       const char *version)
{
	struct smbios_system system = {
		.header = header(1, sizeof(system), HANDLE_SYSTEM),
		.manufacturer = 1,
		.product = 2,
		.version = 3,
		.wake_up_type = WAKE_UP_POWER_SWITCH,
	};

	memcpy(system.uuid, machine->uuid, sizeof(system.uuid));
	add(image, &system, sizeof(system),
	    (const char *const[]){VENDOR, "Virtual Machine", version, NULL});
}

static void add_chassis(struct acpi_image *image)
{
	const struct smbios_chassis chassis = {
		.header = header(3, sizeof(chassis), HANDLE_CHASSIS),
		.manufacturer = 1,
		.type = CHASSIS_OTHER,
		.boot_up_state = CHASSIS_STATE_SAFE,
		.power_supply_state = CHASSIS_STATE_SAFE,
		.thermal_state = CHASSIS_STATE_SAFE,
		.security_status = CHASSIS_SECURITY_UNKNOWN,
	};

	add(image, &chassis, sizeof(chassis), (const char *const[]){VENDOR, NULL});
}

/* One socket with every CPU. */
static void add_processor(struct acpi_image *image, unsigned int cpus)
{
	const struct smbios_processor processor = {
		.header = header(4, sizeof(processor), HANDLE_PROCESSOR),
		.socket = 1,
		.type = PROCESSOR_CENTRAL,
		.family = PROCESSOR_FAMILY_OTHER,
		.family2 = PROCESSOR_FAMILY_OTHER,
		.manufacturer = 2,
		.status = PROCESSOR_POPULATED_ENABLED,
		.upgrade = PROCESSOR_UPGRADE_OTHER,
		.cache = {NO_CACHE, NO_CACHE, NO_CACHE},
		.core_count = (uint8_t)cpus,
		.core_enabled = (uint8_t)cpus,
		.thread_count = (uint8_t)cpus,
		.characteristics = PROCESSOR_64_BIT_MULTI_CORE,
		.core_count2 = (uint16_t)cpus,
		.core_enabled2 = (uint16_t)cpus,
		.thread_count2 = (uint16_t)cpus,
	};

	add(image, &processor, sizeof(processor), (const char *const[]){"CPU 0", VENDOR, NULL});
}

static void add_memory(struct acpi_image *image, uint64_t size)
{
	bool small_array = size / KIB < ARRAY_CAPACITY_EXTENDED;
	bool small_device = size / MIB < DEVICE_SIZE_EXTENDED;
	const struct smbios_memory_array array = {
		.header = header(16, sizeof(array), HANDLE_MEMORY_ARRAY),
		.location = ARRAY_LOCATION_OTHER,
		.use = ARRAY_USE_SYSTEM,
		.error_correction = 3, /* none */
		.max_capacity = small_array ? (uint32_t)(size / KIB) : ARRAY_CAPACITY_EXTENDED,
		.error_handle = NO_HANDLE,
		.devices = 1,
		.extended_max_capacity = small_array ? 0 : size,
	};
	const struct smbios_memory_device device = {
		.header = header(17, sizeof(device), HANDLE_MEMORY_DEVICE),
		.array = HANDLE_MEMORY_ARRAY,
		.error_handle = NO_HANDLE,
		.total_width = WIDTH_UNKNOWN,
		.data_width = WIDTH_UNKNOWN,
		.size = small_device ? (uint16_t)(size / MIB) : DEVICE_SIZE_EXTENDED,
		.form_factor = FORM_FACTOR_OTHER,
		.locator = 1,
		.type = MEMORY_TYPE_RAM,
		.detail = MEMORY_DETAIL_OTHER,
		.manufacturer = 2,
		.extended_size = small_device ? 0 : (uint32_t)(size / MIB),
	};

	add(image, &array, sizeof(array), (const char *const[]){NULL});
	add(image, &device, sizeof(device), (const char *const[]){"RAM 0", VENDOR, NULL});
}

static void add_mapped_address(struct acpi_image *image, unsigned int index, uint64_t start,
			       uint64_t size)
{
	uint64_t last = start + size - 1;
	bool small = last / KIB < MAPPED_EXTENDED;
	const struct smbios_mapped_address mapped = {
		.header = header(19, sizeof(mapped), HANDLE_MAPPED_ADDRESS + index),
		.start = small ? (uint32_t)(start / KIB) : MAPPED_EXTENDED,
		.end = small ? (uint32_t)(last / KIB) : MAPPED_EXTENDED,
		.array = HANDLE_MEMORY_ARRAY,
		.partition_width = 1,
		.extended_start = small ? 0 : start,
		.extended_end = small ? 0 : last,
	};

	add(image, &mapped, sizeof(mapped), (const char *const[]){NULL});
}

static void add_mapped_addresses(struct acpi_image *image, const struct smbios_machine *machine)
{
	uint64_t low = machine->memory_low ? machine->memory_low : machine->memory_size;

	add_mapped_address(image, 0, 0, low);
	if (machine->memory_size > low)
		add_mapped_address(image, 1, GPA_END, machine->memory_size - low);
}

static void add_boot_and_end(struct acpi_image *image)
{
	const struct smbios_boot boot = {.header = header(32, sizeof(boot), HANDLE_BOOT)};
	const struct smbios_header end = header(127, sizeof(end), HANDLE_END);

	add(image, &boot, sizeof(boot), (const char *const[]){NULL});
	add(image, &end, sizeof(end), (const char *const[]){NULL});
}

static void set_entry_point(const struct acpi_image *image, uint64_t gpa)
{
	struct smbios_entry_point entry = {
		.anchor = {'_', 'S', 'M', '3', '_'},
		.length = sizeof(entry),
		.major = 3,
		.revision = 1,
		.structures_max_size = (uint32_t)(image->used - STRUCTURES_AT),
		.structures = gpa + STRUCTURES_AT,
	};

	entry.checksum = acpi_checksum((const uint8_t *)&entry, sizeof(entry));
	memcpy(image->buffer, &entry, sizeof(entry));
}

long smbios_build(const struct smbios_machine *machine, uint8_t *buffer, size_t size,
		  uint64_t gpa)
{
	static const uint8_t place[STRUCTURES_AT];
	struct acpi_image image = {.buffer = buffer, .size = size};
	const char *version = machine->version && *machine->version ? machine->version : "unknown";

	if (!machine->cpus || machine->cpus > ACPI_CPU_MAX || !machine->memory_size || gpa % 16)
		return -EINVAL;
	acpi_append(&image, place, sizeof(place));
	add_bios(&image, version);
	add_system(&image, machine, version);
	add_chassis(&image);
	add_processor(&image, machine->cpus);
	add_memory(&image, machine->memory_size);
	add_mapped_addresses(&image, machine);
	add_boot_and_end(&image);
	if (image.error)
		return image.error;
	set_entry_point(&image, gpa);
	return (long)image.used;
}
