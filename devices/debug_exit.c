/*
 * The port through which test guests end the program with a verdict.
 */
#include "devices/legacy.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define PORTS 4

/* Not allocated: see devices/i8042.c. Does not change while vCPUs run. */
static struct {
	debug_exit_fn exit;
	void *opaque;
} port_exit;

static void exit_access(void *opaque, struct bus_access *access)
{
	(void)opaque;
	if (access->is_write && !access->off)
		port_exit.exit(port_exit.opaque, (int)(access->value & 0xff) << 1 | 1);
}

int debug_exit_create(struct bus *port, debug_exit_fn exit, void *opaque)
{
	static const struct bus_ops ops = {1 | 2 | 4, exit_access};

	port_exit.exit = exit;
	port_exit.opaque = opaque;
	return bus_add(port, (struct range){PORT_DEBUG_EXIT, PORTS}, &ops, NULL);
}
