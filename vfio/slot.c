/*
 * A passed-through slot: made from the functions of one host slot, plugged behind a root port of
 * its own, and taken apart again.
 */
#include "vfio/slot.h"

#include <errno.h>
#include <linux/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "vfio/backend.h"
#include "vfio/function.h"
#include "vmm/base/log.h"

#define SYSFS "/sys"

#define VENDOR_NVIDIA 0x10de
/* Base class and sub-class: VGA compatible controller, 3D controller. */
#define CLASS_VGA 0x0300
#define CLASS_3D 0x0302

static int explain(int error, char *ret_why, size_t why_size, const char *name, const char *what)
{
	snprintf(ret_why, why_size, "vfio %s: %s: %s", name, what, strerror(-error));
	return error;
}

/* --- creation --- */

static struct vfio_slot *slot_alloc(struct vfio_container *container,
				    const struct vfio_slot_config *config, unsigned int index)
{
	struct vfio_slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->container = container;
	slot->config = *config;
	slot->index = index;
	snprintf(slot->name, sizeof(slot->name), "%.*s", (int)strcspn(config->bdf, "."),
		 config->bdf);
	slot->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	slot->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		slot->fn[i].wakeup_fd = -1;
	pthread_mutex_init(&slot->lock, NULL);
	pthread_cond_init(&slot->answered, NULL);
	return slot;
}

/* Which low-power features the host offers for the function; wakes it. */
static void probe_power(struct vfio_slot *slot, unsigned int i)
{
	struct vfio_backend *backend = vfio_function_backend(slot->fn[i].function);
	struct vfio_identity identity = vfio_function_identity(slot->fn[i].function);
	struct power_function *power = &slot->power.fn[i];
	int plain, wakeup, leave;

	power->exists = true;
	power->needs_driver =
		identity.vendor == VENDOR_NVIDIA &&
		(identity.class >> 8 == CLASS_VGA || identity.class >> 8 == CLASS_3D);
	if (slot->config.forbid_low_power) {
		power->refuse_error = -EPERM;
		return;
	}
	plain = backend->ops->low_power_probe(backend, VFIO_LOW_POWER_ENTRY);
	wakeup = backend->ops->low_power_probe(backend, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP);
	leave = backend->ops->low_power_probe(backend, VFIO_LOW_POWER_EXIT);
	power->can_enter = !plain && !leave;
	power->can_enter_wakeup = !wakeup && !leave;
	power->refuse_error = plain ? plain : leave;
	if (!power->can_enter)
		log_warn("vfio %s: the host offers no low power (%s): a guest that switches it off "
			 "will believe so, but it stays powered",
			 vfio_function_name(slot->fn[i].function), strerror(-power->refuse_error));
}

/* Makes function `i` of `backend`, which it owns in any case. */
static int add_function(struct vfio_slot *slot, unsigned int i, struct vfio_backend *backend,
			bool multifunction, char *ret_why, size_t why_size)
{
	const struct vfio_function_listener listener = {
		.opaque = slot,
		.host_error = vfio_slot_host_error,
		.pme_cleared = vfio_slot_pme_cleared,
	};
	struct slot_function *fn = &slot->fn[i];
	struct vfio_backend *wrapped = backend;
	int error = -ENOMEM;

	if (slot->config.inject_entry_error)
		wrapped = vfio_fault_backend_wrap(backend, slot->config.inject_entry_error);
	if (!wrapped) {
		explain(error, ret_why, why_size, backend->name, "fault injection");
		goto err_close;
	}
	backend = wrapped;
	/* Without a reset of its own it is taken as it is; vfio/function.c says so once. */
	error = backend->ops->can_reset(backend) ? backend->ops->reset(backend) : 0;
	if (error) {
		explain(error, ret_why, why_size, backend->name, "the function reset failed");
		goto err_close;
	}
	fn->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fn->wakeup_fd < 0) {
		error = explain(-errno, ret_why, why_size, backend->name, "eventfd");
		goto err_close;
	}
	error = vfio_function_create(backend, i, multifunction, &listener, &fn->function, ret_why,
				     why_size);
	if (error)
		goto err_close;
	probe_power(slot, i);
	return 0;

err_close:
	backend->ops->close(backend);
	return error;
}

static int add_functions(struct vfio_slot *slot, struct vfio_backend *const backend[HOST_FUNCTIONS],
			 char *ret_why, size_t why_size)
{
	unsigned int count = 0;
	int error = 0;

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		count += backend[i] != NULL;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!backend[i])
			continue;
		if (error) /* an earlier one failed: this one is not used */
			backend[i]->ops->close(backend[i]);
		else
			error = add_function(slot, i, backend[i], count > 1, ret_why, why_size);
	}
	return error;
}

int vfio_slot_build(struct vfio_container *container, const struct vfio_slot_config *config,
		    unsigned int index, struct vfio_backend *const backend[HOST_FUNCTIONS],
		    struct vfio_slot **ret_slot, char *ret_why, size_t why_size)
{
	struct vfio_slot *slot = slot_alloc(container, config, index);
	int error;

	if (!slot) {
		for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
			if (backend[i])
				backend[i]->ops->close(backend[i]);
		return explain(-ENOMEM, ret_why, why_size, config->bdf, "slot");
	}
	error = add_functions(slot, backend, ret_why, why_size);
	if (!error && (slot->command_fd < 0 || slot->timer_fd < 0))
		error = explain(-EMFILE, ret_why, why_size, slot->name, "eventfd or timerfd");
	if (error) {
		vfio_slot_destroy(slot);
		return error;
	}
	slot->d3cold = true;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->fn[i].function)
			slot->d3cold &= vfio_function_identity(slot->fn[i].function).has_pm;
	power_init(&slot->power);
	*ret_slot = slot;
	return 0;
}

static int open_backends(struct vfio_container *container, const struct host_slot *host,
			 struct vfio_backend *ret_backend[HOST_FUNCTIONS], char *ret_why,
			 size_t why_size)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		int error;

		if (!host->fn[i].exists)
			continue;
		error = vfio_group_backend_open(container, &host->fn[i], &ret_backend[i], ret_why,
						why_size);
		if (!error)
			continue;
		while (i-- > 0)
			if (ret_backend[i])
				ret_backend[i]->ops->close(ret_backend[i]);
		return error;
	}
	return 0;
}

int vfio_slot_create(struct vfio_container *container, const struct vfio_slot_config *config,
		     unsigned int index, struct vfio_slot **ret_slot, char *ret_why,
		     size_t why_size)
{
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct host_slot host;
	int error = host_slot_read(SYSFS, config->bdf, &host, ret_why, why_size);

	if (error)
		return error;
	error = open_backends(container, &host, backend, ret_why, why_size);
	if (error)
		return error;
	return vfio_slot_build(container, config, index, backend, ret_slot, ret_why, why_size);
}

/* --- in the machine --- */

static int plug_port(struct vfio_slot *slot, const struct vfio_machine *machine, char *ret_why,
		     size_t why_size)
{
	struct vfio_identity identity = vfio_function_identity(slot->fn[0].function);
	const struct root_port_config config = {
		.slot_number = (uint8_t)(slot->index + 1),
		.link_speed = identity.link_speed,
		.link_width = identity.link_width,
	};
	int error;

	slot->port = root_port_create(&config);
	if (!slot->port)
		return explain(-ENOMEM, ret_why, why_size, slot->name, "root port");
	error = pci_host_add(machine->pci, root_port_pci(slot->port), NULL,
			     PCI_DEVFN(slot->index + 1, 0));
	if (error)
		return explain(error, ret_why, why_size, slot->name, "root port");
	slot->controller = slot_power_create(machine->mmio, slot->index, vfio_slot_request_power,
					     slot);
	if (!slot->controller)
		return explain(-ENOMEM, ret_why, why_size, slot->name, "slot power controller");
	slot->pm = machine->pm;
	return 0;
}

int vfio_slot_plug(struct vfio_slot *slot, const struct vfio_machine *machine, char *ret_why,
		   size_t why_size)
{
	int error = 0;

	if (slot->container)
		error = vfio_container_map_ram(slot->container, machine->mem, ret_why, why_size);
	if (!error)
		error = plug_port(slot, machine, ret_why, why_size);
	for (unsigned int i = 0; i < HOST_FUNCTIONS && !error; i++)
		if (slot->fn[i].function)
			error = vfio_function_plug(slot->fn[i].function, machine->mem,
						   machine->irq, machine->pci,
						   root_port_pci(slot->port), ret_why, why_size);
	slot->plugged = !error;
	return error;
}

void vfio_slot_info(const struct vfio_slot *slot, struct vfio_slot_info *ret_info)
{
	*ret_info = (struct vfio_slot_info) {
		.port_dev = (uint8_t)(slot->index + 1), .d3cold = slot->d3cold,
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
		vfio_function_destroy(slot->fn[i].function);
		close_fd(slot->fn[i].wakeup_fd);
	}
	if (slot->controller)
		slot_power_destroy(slot->controller);
	if (slot->port)
		root_port_destroy(slot->port);
	close_fd(slot->command_fd);
	close_fd(slot->timer_fd);
	pthread_cond_destroy(&slot->answered);
	pthread_mutex_destroy(&slot->lock);
	free(slot);
}
