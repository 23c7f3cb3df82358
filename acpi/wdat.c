/*
 * The Watchdog Action Table: which registers a driver has to read and write for what it wants, so
 * that one driver serves every watchdog.
 */
#include "acpi/header.h"
#include "acpi/structs.h"
#include "acpi/tables.h"
#include "vmm/base/bits.h"

/* devices/watchdog.h */
#define REG_CONTROL 0x0
#define REG_COUNT 0x4
#define REG_CURRENT 0x8
#define REG_STATUS 0xc
#define RUN 0x1
#define FIRED 0x1
#define ALL 0xffffffffU

/* Microsoft WDT 1.01, Watchdog Actions */
enum {
	RESET = 1,
	QUERY_CURRENT_COUNTDOWN = 4,
	QUERY_COUNTDOWN = 5,
	SET_COUNTDOWN = 6,
	QUERY_RUNNING = 8,
	SET_RUNNING = 9,
	QUERY_STOPPED = 10,
	SET_STOPPED = 11,
	QUERY_STATUS = 32,
	SET_STATUS = 33,
};

/* Microsoft WDT 1.01, Watchdog Instructions. READ_VALUE is true where the masked register is the
 * value; COUNTDOWN is a number from or for the driver. */
enum {
	READ_VALUE = 0,
	READ_COUNTDOWN = 1,
	WRITE_VALUE = 2,
	WRITE_COUNTDOWN = 3,
};

/* That it resets the machine when it fires is not for the guest to choose, so there are no actions
 * for that; those for a shutdown instead are optional. */
static const struct {
	uint8_t action, instruction, off;
	uint32_t value, mask;
} actions[] = {
	{RESET, WRITE_VALUE, REG_CURRENT, 1, ALL},
	{QUERY_CURRENT_COUNTDOWN, READ_COUNTDOWN, REG_CURRENT, 0, ALL},
	{QUERY_COUNTDOWN, READ_COUNTDOWN, REG_COUNT, 0, ALL},
	{SET_COUNTDOWN, WRITE_COUNTDOWN, REG_COUNT, 0, ALL},
	{QUERY_RUNNING, READ_VALUE, REG_CONTROL, RUN, RUN},
	{SET_RUNNING, WRITE_VALUE, REG_CONTROL, RUN, RUN},
	{QUERY_STOPPED, READ_VALUE, REG_CONTROL, 0, RUN},
	{SET_STOPPED, WRITE_VALUE, REG_CONTROL, 0, RUN},
	{QUERY_STATUS, READ_VALUE, REG_STATUS, FIRED, FIRED},
	{SET_STATUS, WRITE_VALUE, REG_STATUS, FIRED, FIRED},
};

void acpi_append_wdat(struct acpi_image *image, const struct acpi_watchdog *watchdog)
{
	const struct acpi_wdat wdat = {
		.header = acpi_header("WDAT", WDAT_REVISION, ACPI_TABLE_ID_MACHINE),
		.header_length = sizeof(wdat) - sizeof(wdat.header),
		.pci_segment = WDAT_NO_PCI,
		.pci_bus = WDAT_NO_PCI,
		.pci_device = WDAT_NO_PCI,
		.pci_function = WDAT_NO_PCI,
		.timer_period = watchdog->period_ms,
		.max_count = watchdog->max_count,
		.min_count = 1,
		.flags = WDAT_ENABLED | WDAT_STOPPED_IN_SLEEP,
		.entries = ARRAY_SIZE(actions),
	};

	acpi_append(image, &wdat, sizeof(wdat));
	for (unsigned int i = 0; i < ARRAY_SIZE(actions); i++) {
		const struct wdat_entry entry = {
			.action = actions[i].action,
			.instruction = actions[i].instruction,
			.reg = {.space = GAS_SYSTEM_IO, .bit_width = 32, .access_size = 3,
				.address = (uint64_t)watchdog->port + actions[i].off},
			.value = actions[i].value,
			.mask = actions[i].mask,
		};

		acpi_append(image, &entry, sizeof(entry));
	}
}
