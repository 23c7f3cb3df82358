/*
 * A passed-through slot in the guest's machine: plugged behind a root port of its own, and taken
 * apart again. How it is made: slot_build.c.
 */
#include "vfio/slot.h"

#include <errno.h>
#include <linux/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"

int slot_explain(int error, char *ret_why, size_t why_size, const char *name, const char *what)
{
	snprintf(ret_why, why_size, "vfio %s: %s: %s", name, what, strerror(-error));
	return error;
}

static int plug_port(struct vfio_slot *slot, const struct vfio_machine *machine, char *ret_why,
		     size_t why_size)
{
	struct vfio_identity identity = vfio_function_identity(slot->fn[0].function);
	const struct root_port_config config = {
		.slot_number = (uint8_t)(slot->index + 1),
		.link_speed = identity.link_speed,
		.link_width = identity.link_width,
		.ejected = vfio_slot_ejected,
		.opaque = slot,
	};
	int error;

	slot->port = root_port_create(&config);
	if (!slot->port)
		return slot_explain(-ENOMEM, ret_why, why_size, slot->name, "root port");
	error = pci_host_add(machine->pci, root_port_pci(slot->port), NULL,
			     PCI_DEVFN(slot->index + 1, 0));
	if (error)
		return slot_explain(error, ret_why, why_size, slot->name, "root port");
	slot->controller = slot_power_create(machine->mmio, slot->index, vfio_slot_request_power,
					     slot);
	if (!slot->controller)
		return slot_explain(-ENOMEM, ret_why, why_size, slot->name,
				    "slot power controller");
	slot->pm = machine->pm;
	return 0;
}

/* Lets the host signal an error, or its wish to have the device back. Without them it is the same
 * machine, which learns of these things later. */
static void listen_to_host(struct slot_function *fn)
{
	static const struct {
		unsigned int index;
		enum slot_signal signal;
	} signals[] = {
		{VFIO_PCI_ERR_IRQ_INDEX, SLOT_ERROR}, {VFIO_PCI_REQ_IRQ_INDEX, SLOT_REQUEST},
	};
	struct vfio_backend *backend = vfio_function_backend(fn->function);

	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++) {
		int error;

		if (backend->ops->irq_count(backend, signals[i].index) <= 0)
			continue;
		error = backend->ops->irq_set_triggers(backend, signals[i].index, 0, 1,
						       &fn->signal_fd[signals[i].signal]);
		if (error)
			log_warn("vfio %s: the host does not signal %s: %s, ignoring",
				 backend->name,
				 signals[i].signal == SLOT_ERROR ? "errors" : "unplug requests",
				 strerror(error < 0 ? -error : EINVAL));
	}
}

static int plug_function(struct vfio_slot *slot, unsigned int i,
			 const struct vfio_machine *machine, char *ret_why, size_t why_size)
{
	struct vfio_function *function = slot->fn[i].function;
	struct vfio_backend *backend = vfio_function_backend(function);
	int error = backend->ops->map_ram(backend, machine->mem, ret_why, why_size);

	if (!error)
		error = vfio_function_plug(function, machine->mem, machine->irq, machine->pci,
					   root_port_pci(slot->port), ret_why, why_size);
	if (!error)
		listen_to_host(&slot->fn[i]);
	return error;
}

int vfio_slot_plug(struct vfio_slot *slot, const struct vfio_machine *machine, char *ret_why,
		   size_t why_size)
{
	int error = plug_port(slot, machine, ret_why, why_size);

	for (unsigned int i = 0; i < HOST_FUNCTIONS && !error; i++)
		if (slot->fn[i].function)
			error = plug_function(slot, i, machine, ret_why, why_size);
	slot->plugged = !error;
	return error;
}

void vfio_slot_info(const struct vfio_slot *slot, struct vfio_slot_info *ret_info)
{
	*ret_info = (struct vfio_slot_info) {
		.port_dev = (uint8_t)(slot->index + 1),
		.d3cold = slot->policy.power == POLICY_POWER_D3COLD,
	};
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->fn[i].function)
			ret_info->functions |= (uint8_t)(1U << i);
}

bool vfio_slot_drop_windows(struct vfio_slot *slot)
{
	bool dropped = false;

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->fn[i].function)
			dropped |= vfio_function_drop_windows(slot->fn[i].function);
	return dropped;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vfio_slot_destroy(struct vfio_slot *slot)
{
	if (!slot)
		return;
	vfio_slot_stop(slot);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (slot->fn[i].function && slot->port)
			stats_emit(vfio_function_name(slot->fn[i].function), &slot->fn[i].stats);
		vfio_function_destroy(slot->fn[i].function);
		for (unsigned int kind = 0; kind < SLOT_SIGNALS; kind++)
			close_fd(slot->fn[i].signal_fd[kind]);
	}
	if (slot->controller)
		slot_power_destroy(slot->controller);
	if (slot->port)
		root_port_destroy(slot->port);
	close_fd(slot->command_fd);
	close_fd(slot->timer_fd);
	close_fd(slot->hold_fd);
	pthread_cond_destroy(&slot->answered);
	pthread_mutex_destroy(&slot->lock);
	free(slot);
}
