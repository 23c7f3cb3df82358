/*
 * The SSDT of one passed slot: its root port, the functions below, and the one power resource that
 * port and function 0 share. The same in ASL, for reading: tests/acpi/golden/slot.asl.
 *
 * One resource for the slot: Linux counts its users, so _OFF runs once, after function 0 and the
 * port have both gone to sleep, and the port goes last. It stands in _PR0 and _PR3 of the port,
 * where amdgpu, xe, nouveau and snd_hda look, and of function 0, where NVIDIA's driver looks when
 * it sees a hypervisor; anywhere else it would be a user that never lets go.
 *
 * What is left out on purpose:
 * - _EJ0: with it Linux gives up ACPI power control of the node.
 * - _PRW: Linux resumes a device on Notify 2 without it.
 * - _S0W: Linux reads it only beside a valid _PRW or on a hotplug bridge; there is neither, and
 *   without it every state down to D3cold may be chosen.
 */
#include <errno.h>
#include <stdio.h>

#include "acpi/header.h"
#include "acpi/tables.h"
#include "vmm/base/bits.h"

#define FUNCTIONS 8
#define STATUS_ON 0x1
#define STATUS_BUSY 0x2
#define WAKE_FUNCTIONS 0xff

/* ACPI 6.3, Device Object Notifications: Device Wake */
#define NOTIFY_DEVICE_WAKE 2

#define PATH_SIZE sizeof("\\_SB.PCI0.RP00.PWRS")
#define NAME_SIZE sizeof("RP00")

/*
 * The waits for BUSY to fall, one after the other: milliseconds a step, steps a loop, loops. Quick
 * at first, so that a host that is ready soon costs little; 76 s in all, because a resume can take
 * a minute. ACPICA ends a method whose While lasts longer than ACPI_MAX_LOOP_TIMEOUT, 30 s: a loop
 * of nominal 5 s stays below that in a guest whose sleeps are much too long, too.
 */
static const struct {
	uint8_t sleep, steps, loops;
} waits[] = {{1, 20, 1}, {10, 100, 1}, {100, 50, 15}};

/* The full path of `name` below the slot's root port. */
static void slot_path(char path[PATH_SIZE], const struct acpi_slot *slot, const char *name)
{
	snprintf(path, PATH_SIZE, "\\_SB.PCI0.RP%02X.%s", slot->index & UINT8_MAX, name);
}

static void emit_controller(struct aml *aml, uint64_t gpa)
{
	aml_memory_region(aml, "SPWR", gpa, SLOT_CONTROLLER_SIZE);
	aml_begin_dword_field(aml, "SPWR");
	aml_field_unit(aml, "CTRL", 32);
	aml_field_unit(aml, "STAT", 32);
	aml_field_unit(aml, "WAKE", 32);
	aml_end(aml);
}

/* STAT & <mask> */
static void emit_status(struct aml *aml, uint64_t mask)
{
	aml_op(aml, AML_AND);
	aml_name_string(aml, "STAT");
	aml_integer(aml, mask);
	aml_op(aml, AML_NULL_TARGET);
}

/* SPOL (sleep, steps): polls BUSY, at once and then after each sleep. */
static void emit_poll(struct aml *aml)
{
	aml_begin_method(aml, "SPOL", 2, false);
	aml_op(aml, AML_STORE);
	aml_op(aml, AML_ARG1);
	aml_op(aml, AML_LOCAL0);
	aml_begin_while(aml);
	aml_op(aml, AML_LAND);
	emit_status(aml, STATUS_BUSY);
	aml_op(aml, AML_LOCAL0);
	aml_op(aml, AML_SLEEP);
	aml_op(aml, AML_ARG0);
	aml_op(aml, AML_DECREMENT);
	aml_op(aml, AML_LOCAL0);
	aml_end(aml);
	aml_end(aml);
}

/* SWAI (): waits until the controller is idle. */
static void emit_wait(struct aml *aml)
{
	aml_begin_method(aml, "SWAI", 0, false);
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		for (unsigned int loop = 0; loop < waits[i].loops; loop++) {
			aml_name_string(aml, "SPOL");
			aml_integer(aml, waits[i].sleep);
			aml_integer(aml, waits[i].steps);
		}
	}
	aml_end(aml);
}

static void emit_switch(struct aml *aml, const char *method, uint64_t control)
{
	aml_begin_method(aml, method, 0, true);
	aml_op(aml, AML_STORE);
	aml_integer(aml, control);
	aml_name_string(aml, "CTRL");
	aml_name_string(aml, "SWAI");
	aml_end(aml);
}

/* ACPI 6.3, Power Resources Operations. _ON comes back when the functions' config space answers:
 * Linux reads it right away and does not try twice. */
static void emit_power_resource(struct aml *aml)
{
	aml_begin_power_resource(aml, "PWRS");
	aml_begin_method(aml, "_STA", 0, false);
	aml_op(aml, AML_RETURN);
	emit_status(aml, STATUS_ON);
	aml_end(aml);
	emit_switch(aml, "_ON", 1);
	emit_switch(aml, "_OFF", 0);
	aml_end(aml);
}

/* ACPI 6.3, Device Power Management Objects. _PS0 and _PS3 do nothing: both run for D3hot as well,
 * which the function's own PM capability does. */
static void emit_power_states(struct aml *aml, const struct acpi_slot *slot)
{
	static const char *const lists[] = {"_PR0", "_PR3"};
	static const char *const methods[] = {"_PS0", "_PS3"};
	char resource[PATH_SIZE];

	slot_path(resource, slot, "PWRS");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		aml_name(aml, lists[i]);
		aml_begin_package(aml, 1);
		aml_name_string(aml, resource);
		aml_end(aml);
	}
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		aml_begin_method(aml, methods[i], 0, false);
		aml_end(aml);
	}
}

static void emit_functions(struct aml *aml, const struct acpi_slot *slot)
{
	for (unsigned int fn = 0; fn < FUNCTIONS; fn++) {
		char name[NAME_SIZE];

		if (!(slot->functions & 1U << fn))
			continue;
		snprintf(name, sizeof(name), "FN%02X", fn);
		aml_begin_device(aml, name);
		aml_name_integer(aml, "_ADR", fn);
		if (slot->d3cold && !fn)
			emit_power_states(aml, slot);
		aml_end(aml);
	}
}

static void emit_port(struct aml *aml, const struct acpi_slot *slot)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "RP%02X", slot->index & UINT8_MAX);
	aml_begin_device(aml, name);
	aml_name_integer(aml, "_ADR", (uint64_t)slot->port_dev << 16);
	if (slot->d3cold) {
		emit_controller(aml, slot->controller);
		emit_poll(aml);
		emit_wait(aml);
		emit_power_resource(aml);
		emit_power_states(aml, slot);
	}
	emit_functions(aml, slot);
	aml_end(aml);
}

/*
 * Tells function 0 that something in the slot was woken. WAKE is cleared before the Notify, so a
 * wake that comes in between is told by this Notify or by the next event.
 *
 * _Exx and not _Lxx: the event's status is a latched edge. ACPI 6.3, Queuing the Matching Control
 * Method for Execution: of an edge the status is cleared before the method runs, so an edge that
 * comes while it runs is seen; of a level it is cleared afterwards, and that edge would be lost.
 */
static void emit_event(struct aml *aml, const struct acpi_slot *slot)
{
	char method[NAME_SIZE], wake[PATH_SIZE], function[PATH_SIZE];

	snprintf(method, sizeof(method), "_E%02X", slot->gpe);
	slot_path(wake, slot, "WAKE");
	slot_path(function, slot, "FN00");
	aml_begin_method(aml, method, 0, false);
	aml_op(aml, AML_STORE);
	aml_name_string(aml, wake);
	aml_op(aml, AML_LOCAL0);
	aml_op(aml, AML_STORE);
	aml_op(aml, AML_LOCAL0);
	aml_name_string(aml, wake);
	aml_begin_if(aml);
	aml_op(aml, AML_AND);
	aml_op(aml, AML_LOCAL0);
	aml_integer(aml, WAKE_FUNCTIONS);
	aml_op(aml, AML_NULL_TARGET);
	aml_op(aml, AML_NOTIFY);
	aml_name_string(aml, function);
	aml_integer(aml, NOTIFY_DEVICE_WAKE);
	aml_end(aml);
	aml_end(aml);
}

long acpi_build_slot_ssdt(const struct acpi_slot *slot, uint8_t *buffer, size_t size)
{
	char table_id[sizeof("SLOT00  ")];
	struct aml aml;

	/* Every device has a function 0; here it carries the power. */
	if (slot->index > UINT8_MAX || slot->port_dev > 31 || !(slot->functions & 1))
		return -EINVAL;
	snprintf(table_id, sizeof(table_id), "SLOT%02X  ", slot->index & UINT8_MAX);
	acpi_block_start(&aml, buffer, size, "SSDT", table_id);
	aml_external_device(&aml, "\\_SB.PCI0");
	aml_begin_scope(&aml, "\\_SB.PCI0");
	emit_port(&aml, slot);
	aml_end(&aml);
	if (slot->d3cold) {
		aml_begin_scope(&aml, "\\_GPE");
		emit_event(&aml, slot);
		aml_end(&aml);
	}
	return acpi_block_finish(&aml);
}
