#include <errno.h>
#include <stdio.h>

#include "devices/acpi_pm.h"
#include "vfio/vfio.h"
#include "vmm/api.h"
#include "vmm/machine_internal.h"
#include "vmm/notify.h"
#include "vmm/options.h"
#include "vmm/slots.h"

/* The guest could not see what comes or give back what is to go, and has its slots reset soon. */
static int refuse_suspended(char *why, size_t why_size)
{
	snprintf(why, why_size, "the guest is suspended; wake it first (vm.wake)");
	return -EBUSY;
}

int machine_add_device(struct machine *machine, const struct vfio_slot_config *config,
		       const char *id, machine_device_added done, void *opaque, char *ret_why,
		       size_t why_size)
{
	if (machine->is_suspended)
		return refuse_suspended(ret_why, why_size);
	return slots_add(machine->slots, config, id, done, opaque, ret_why, why_size);
}

int machine_remove_device(struct machine *machine, const char *id, char *ret_why, size_t why_size)
{
	if (machine->is_suspended)
		return refuse_suspended(ret_why, why_size);
	return slots_remove(machine->slots, id, ret_why, why_size);
}

const char *machine_device_id(struct machine *machine, unsigned int index)
{
	return slots_id(machine->slots, index);
}

static bool on_slot_asked(void *opaque, unsigned int index, struct vfio_slot_status *ret_status)
{
	struct machine *machine = opaque;
	struct vfio_slot *slot = slots_get(machine->slots, index);

	if (!slot)
		return false;
	vfio_slot_status(slot, ret_status);
	return ret_status->name[0];
}

static void on_reboot_asked(void *opaque)
{
	struct machine *machine = opaque;

	machine->reset_cause = "api";
	machine_ask_reset(machine);
}

static bool on_suspended_asked(void *opaque)
{
	struct machine *machine = opaque;

	return machine->is_suspended;
}

static bool on_wake(void *opaque)
{
	struct machine *machine = opaque;

	return acpi_pm_wake(machine->pm);
}

static void on_power_button(void *opaque)
{
	struct machine *machine = opaque;

	acpi_pm_power_button(machine->pm);
}

static void on_shutdown_asked(void *opaque)
{
	machine_end(opaque, "quit", EXIT_GUEST_POWERED_OFF);
}

static int on_add_device(void *opaque, const struct vfio_slot_config *config, const char *id,
			 api_device_added done, void *done_opaque, char *ret_why, size_t why_size)
{
	return machine_add_device(opaque, config, id, done, done_opaque, ret_why, why_size);
}

static int on_remove_device(void *opaque, const char *id, char *ret_why, size_t why_size)
{
	return machine_remove_device(opaque, id, ret_why, why_size);
}

int machine_create_api(struct machine *m, char *why, size_t why_size)
{
	const struct api_machine machine = {
		.opaque = m, .options = m->options, .slot = on_slot_asked,
		.is_suspended = on_suspended_asked, .power_button = on_power_button,
		.wake = on_wake, .reboot = on_reboot_asked, .shutdown = on_shutdown_asked,
		.add_device = on_add_device, .remove_device = on_remove_device};

	m->notify = notify_create(m->loop);
	if (!m->options->api)
		return 0;
	return api_create(m->loop, m->options->api, &machine, &m->api, why, why_size);
}
