/*
 * The input is what a guest and its host do to a root port and the passed-through function below
 * it: eight bytes each, a verb, a length, an offset and a value. Nothing that is read-only changes,
 * no call reaches a device that sleeps, no window is left where none may be.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "tests/fake_function.h"
#include "tests/fake_irq.h"
#include "tests/fuzz/fuzz.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/bus.h"

#define PORT_BDF 0x08 /* where fake_function_start() puts the port */

struct step {
	uint8_t verb, len; /* len: log2, of the bytes */
	uint16_t off;
	uint32_t value;
};
_Static_assert(sizeof(struct step) == 8, "a step of the seeds");

struct world {
	struct fake_function fake;
	bool asleep;
	uint8_t image[2][PCI_CFG_LEN]; /* of the port and the function, at the start */
};

static void out(struct world *world, uint16_t port, unsigned int len, uint32_t value)
{
	struct bus_access access = {.len = len, .is_write = true, .value = value};

	bus_access(world->fake.ports, port, &access);
}

/* --- verbs --- */

static void write_port(struct world *world, const struct step *step, unsigned int len)
{
	pci_host_cfg_write(world->fake.host, PORT_BDF, step->off, len, step->value);
}

static void read_port(struct world *world, const struct step *step, unsigned int len)
{
	pci_host_cfg_read(world->fake.host, PORT_BDF, step->off, len);
}

static void write_function(struct world *world, const struct step *step, unsigned int len)
{
	fake_function_write(&world->fake, step->off, len, step->value);
}

static void read_function(struct world *world, const struct step *step, unsigned int len)
{
	fake_function_read(&world->fake, step->off, len);
}

/* By ECAM, and so to any bus number, in any width. */
static void write_ecam(struct world *world, const struct step *step, unsigned int len)
{
	uint64_t bus = world->fake.bdf >> 8 ? (step->value >> 24) % 4 : 0;

	fake_function_mmio_write(&world->fake, ECAM_START + (bus << 20) + step->off, len,
				 step->value);
}

static void write_cf8(struct world *world, const struct step *step, unsigned int len)
{
	uint32_t address = 0x80000000U | (step->value >> 24) % 4 << 16 |
			   (step->value >> 24 & 0x80) << 4 | (step->off & 0xfc);

	out(world, PORT_PCI_ADDRESS, 4, address);
	out(world, (uint16_t)(PORT_PCI_DATA + step->off % 4), len, step->value);
}

static void touch_bar(struct world *world, const struct step *step, unsigned int len)
{
	static const unsigned int bars[] = {0, 2, 5, PCI_BAR_ROM};
	uint64_t at = fake_function_at(&world->fake, bars[step->value % ARRAY_SIZE(bars)],
				       step->off);

	fake_function_mmio_write(&world->fake, at, len, step->value);
	fake_function_mmio_read(&world->fake, at, len);
}

/* A word of the MSI-X table, in the BAR of the sample. */
static void write_vector(struct world *world, const struct step *step, unsigned int len)
{
	fake_function_mmio_write(&world->fake,
				 fake_function_at(&world->fake, 5, 0x1000 + step->off % 0x90), len,
				 step->value);
}

static void sleep_or_wake(struct world *world, const struct step *step, unsigned int len)
{
	struct vfio_backend *backend = vfio_function_backend(world->fake.function);

	(void)step;
	(void)len;
	if (world->asleep) {
		backend->ops->low_power(backend, VFIO_LOW_POWER_EXIT, -1);
		vfio_function_attach(world->fake.function);
	} else {
		vfio_function_detach(world->fake.function);
		backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY, -1);
	}
	world->asleep = !world->asleep;
}

static void reset(struct world *world, const struct step *step, unsigned int len)
{
	(void)len;
	if (!world->asleep)
		vfio_function_reset(world->fake.function, step->value & 1);
}

static void fail(struct world *world, const struct step *step, unsigned int len)
{
	static const enum fake_op ops[] = {
		FAKE_REGION_READ, FAKE_REGION_WRITE, FAKE_IRQ_SET_TRIGGERS, FAKE_IRQ_DISABLE,
		FAKE_INTX_SET_UNMASK, FAKE_INTX_UNMASK, FAKE_RESET,
	};

	fake_backend_fail(world->fake.device, ops[step->value % ARRAY_SIZE(ops)], -EIO, 0, len);
}

static void fire(struct world *world, const struct step *step, unsigned int len)
{
	unsigned int kind = len % 3;

	if (!world->asleep)
		fake_backend_fire(world->fake.device, kind, step->value % 8);
	fake_irq_fire(world->fake.irq);
}

static void signal_pme(struct world *world, const struct step *step, unsigned int len)
{
	(void)step;
	(void)len;
	vfio_function_set_pme_status(world->fake.function);
	root_port_pme(world->fake.port, 0);
}

/* What comes to the port from elsewhere than a guest's write. */
static void signal_port(struct world *world, const struct step *step, unsigned int len)
{
	struct root_port *port = world->fake.port;

	switch (step->value % 3) {
	case 0:
		root_port_set_present(port, len > 1);
		break;
	case 1:
		root_port_press_attention(port);
		break;
	default:
		root_port_report_error(port, 0, step->off % (ROOT_PORT_FATAL + 1));
		break;
	}
}

static void drop_windows(struct world *world, const struct step *step, unsigned int len)
{
	(void)step;
	(void)len;
	vfio_function_drop_windows(world->fake.function);
}

static void (*const verbs[])(struct world *world, const struct step *step, unsigned int len) = {
	write_port, read_port, write_function, read_function, write_ecam, write_cf8, touch_bar,
	write_vector, sleep_or_wake, reset, fail, fire, signal_pme, signal_port, drop_windows,
};
enum verb {
	WRITE_PORT, READ_PORT, WRITE_FUNCTION, READ_FUNCTION, WRITE_ECAM, WRITE_CF8, TOUCH_BAR,
	WRITE_VECTOR, SLEEP_OR_WAKE,
};

/* --- what always holds --- */

/* Where a device changes registers by itself, besides their guest's writes. */
static bool is_device_side(const struct pci_dev *dev, unsigned int off)
{
	unsigned int status_end = PCI_STATUS + 2U;

	if (off >= PCI_STATUS && off < status_end)
		return true;
	if (dev->exp_cap && off >= dev->exp_cap && off < dev->exp_cap + 0x3cU)
		return true;
	return off >= PCI_CFG_SPACE_SIZE;
}

static void check_read_only(const struct pci_dev *dev, const uint8_t *image)
{
	for (unsigned int off = 0; off < PCI_CFG_LEN; off++) {
		uint8_t fixed = (uint8_t)~(dev->cfg.rw[off] | dev->cfg.w1c[off]);

		if (!is_device_side(dev, off))
			fuzz_must(!((dev->cfg.value[off] ^ image[off]) & fixed),
				  "a read-only bit changed");
	}
}

static void check(struct world *world)
{
	struct fake_function *fake = &world->fake;
	const struct pci_dev *dev = vfio_function_pci(fake->function);
	bool decodes = pci_cfg_read(&dev->cfg, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;

	fuzz_must(!fake->device->violations, "the device was touched in its sleep");
	if (world->asleep || !decodes || pci_dev_power_state(dev))
		fuzz_must(!fake_mem_windows(fake->mem), "a window without decoding");
}

/* --- seeds --- */

static void write_seeds(int argc, char **argv)
{
	static const struct step linux_like[] = {
		{WRITE_FUNCTION, 1, PCI_COMMAND, 0x7},
		{WRITE_VECTOR, 2, 0x0, 0xfee00000},
		{WRITE_VECTOR, 2, 0x8, 0x41},
		{WRITE_VECTOR, 2, 0xc, 0},
		{WRITE_FUNCTION, 1, 0xa2, 0x8000},
		{WRITE_FUNCTION, 1, 0x44, 0x0103},
		{SLEEP_OR_WAKE, 0, 0, 0},
		{READ_FUNCTION, 2, 0x44, 0},
		{SLEEP_OR_WAKE, 0, 0, 0},
		{TOUCH_BAR, 2, 0x1000, 2},
	};
	static const struct step sizing[] = {
		{WRITE_FUNCTION, 2, PCI_BASE_ADDRESS_0, 0xffffffff},
		{READ_FUNCTION, 2, PCI_BASE_ADDRESS_0, 0},
		{WRITE_PORT, 2, PCI_PRIMARY_BUS, 0x00030200},
		{WRITE_ECAM, 2, PCI_COMMAND, 0x02000007},
		{WRITE_CF8, 1, PCI_COMMAND, 0x02000406},
		{WRITE_PORT, 1, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET},
		{WRITE_PORT, 1, PCI_BRIDGE_CONTROL, 0},
		{WRITE_FUNCTION, 1, 0x68, 0x8000},
		{WRITE_FUNCTION, 1, 0x4a, 0x0021},
		{READ_PORT, 2, PCI_COMMAND, 0},
	};

	fuzz_write_seed(argc, argv, "linux", linux_like, sizeof(linux_like));
	fuzz_write_seed(argc, argv, "sizing", sizing, sizeof(sizing));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	const struct pci_dev *port, *function;
	struct step step;

	world = (struct world){0};
	fake_function_start(&world.fake, fake_backend_create_gpu("0000:01:00.0", false));
	port = root_port_pci(world.fake.port);
	function = vfio_function_pci(world.fake.function);
	memcpy(world.image[0], port->cfg.value, PCI_CFG_LEN);
	memcpy(world.image[1], function->cfg.value, PCI_CFG_LEN);
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		verbs[step.verb % ARRAY_SIZE(verbs)](&world, &step, 1U << step.len % 4);
		check(&world);
	}
	check_read_only(port, world.image[0]);
	check_read_only(function, world.image[1]);
	if (world.asleep)
		sleep_or_wake(&world, &step, 0);
	fake_function_stop(&world.fake);
	return 0;
}
