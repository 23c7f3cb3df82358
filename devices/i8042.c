/*
 * The keyboard controller of which only the reset line is left. Status and data read zero: nothing
 * to read, ready for a command, no keyboard that answers.
 */
#include "devices/legacy.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define COMMAND_PULSE_RESET 0xfe

/* Not allocated, because nothing tells when its ports are gone: it lives as long as the bus. Does
 * not change while vCPUs run. */
static struct {
	machine_request_fn request;
	void *opaque;
} controller;

static void data_access(void *opaque, struct bus_access *access)
{
	(void)opaque;
	if (!access->is_write)
		access->value = 0;
}

static void command_access(void *opaque, struct bus_access *access)
{
	(void)opaque;
	if (!access->is_write)
		access->value = 0;
	else if (access->value == COMMAND_PULSE_RESET)
		controller.request(controller.opaque, MACHINE_RESET);
}

int i8042_create(struct bus *port, machine_request_fn request, void *opaque)
{
	static const struct bus_ops data_ops = {1, data_access};
	static const struct bus_ops command_ops = {1, command_access};
	int error = bus_add(port, (struct range){PORT_I8042_DATA, 1}, &data_ops, NULL);

	controller.request = request;
	controller.opaque = opaque;
	if (!error)
		error = bus_add(port, (struct range){PORT_I8042_COMMAND, 1}, &command_ops, NULL);
	return error;
}
