/*
 * The input is what a driver does to a virtio function on PCI, of which the entropy device is the
 * simplest: eight bytes a step, a verb, a length, an offset and a value. The device's own thread
 * serves it. After a reset it is as new, and nothing of it is left at the end.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "devices/pci.h"
#include "devices/virtio.h"
#include "devices/virtio_entropy.h"
#include "devices/virtio_pci.h"
#include "tests/fake_doorbell.h"
#include "tests/fake_driver.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "tests/fake_pci.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"

#define RAM (16 * MIB)
#define RINGS 0x10000U
#define BUFFERS 0x20000U
#define DEVFN 0x88
#define BAR 0xc8000000ULL
#define BAR_LEN 0x4000U

struct step {
	uint8_t verb, len; /* len: log2, of the bytes */
	uint16_t off;
	uint32_t value;
};

struct world {
	struct fake_pci pci;
	struct doorbells *doorbells;
	struct virtio_entropy *entropy;
	struct virtio_pci *transport;
	struct driver_ring ring;
};

static struct mem *mem;

/* --- verbs --- */

static void write_bar(struct world *world, const struct step *step, unsigned int len)
{
	fake_pci_write(&world->pci, BAR + step->off % BAR_LEN, len, step->value);
}

static void read_bar(struct world *world, const struct step *step, unsigned int len)
{
	fake_pci_read(&world->pci, BAR + step->off % BAR_LEN, len);
}

static void write_common(struct world *world, const struct step *step, unsigned int len)
{
	fake_pci_write(&world->pci, BAR + step->off % 64, len, step->value);
}

static void write_cfg(struct world *world, const struct step *step, unsigned int len)
{
	pci_host_cfg_write(world->pci.host, DEVFN, step->off % 256, len > 4 ? 4 : len,
			   step->value);
}

static void read_cfg(struct world *world, const struct step *step, unsigned int len)
{
	pci_host_cfg_read(world->pci.host, DEVFN, step->off % 256, len > 4 ? 4 : len);
}

/* What a good driver does, so that the others meet a device that runs. */
static void bring_up(struct world *world, const struct step *step, unsigned int len)
{
	static const struct {
		uint8_t off, len;
		uint32_t value;
	} writes[] = {
		{VIRTIO_PCI_COMMON_STATUS, 1, 0}, {VIRTIO_PCI_COMMON_STATUS, 1, 3},
		{VIRTIO_PCI_COMMON_GFSELECT, 4, 1}, {VIRTIO_PCI_COMMON_GF, 4, 1},
		{VIRTIO_PCI_COMMON_STATUS, 1, 11}, {VIRTIO_PCI_COMMON_Q_SELECT, 2, 0},
		{VIRTIO_PCI_COMMON_Q_DESCLO, 4, RINGS},
		{VIRTIO_PCI_COMMON_Q_AVAILLO, 4, RINGS + DRIVER_AVAIL},
		{VIRTIO_PCI_COMMON_Q_USEDLO, 4, RINGS + DRIVER_USED},
		{VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1}, {VIRTIO_PCI_COMMON_STATUS, 1, 15},
	};

	(void)step;
	(void)len;
	pci_host_cfg_write(world->pci.host, DEVFN, PCI_BASE_ADDRESS_0, 4, BAR);
	pci_host_cfg_write(world->pci.host, DEVFN, PCI_COMMAND, 2,
			   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++)
		fake_pci_write(&world->pci, BAR + writes[i].off, writes[i].len, writes[i].value);
}

static void offer(struct world *world, const struct step *step, unsigned int len)
{
	struct driver_ring *ring = &world->ring;
	uint16_t head = step->off % ring->size;

	(void)len;
	driver_ring_set(ring, head, step->len & 0x80 ? step->value : BUFFERS + step->off,
			step->value % 5000, (uint16_t)(step->len >> 4 & 7),
			(uint16_t)(head + 1));
	driver_ring_offer(ring, head);
}

static void kick(struct world *world, const struct step *step, unsigned int len)
{
	(void)step;
	if (!fake_doorbells_ring(world->doorbells, BAR + 0x1000))
		fake_pci_write(&world->pci, BAR + 0x1000, len, 0);
}

static void service(struct world *world, const struct step *step, unsigned int len)
{
	(void)step;
	(void)len;
	virtio_pci_service_line(world->transport);
	fake_irq_fire(world->pci.irq);
}

static void reset(struct world *world, const struct step *step, unsigned int len)
{
	const struct virtio_dev *dev = virtio_entropy_dev(world->entropy);

	(void)step;
	(void)len;
	pci_dev_reset(virtio_pci_dev(world->transport));
	fuzz_must(!virtio_dev_status(dev) && !dev->running && !dev->accepted &&
		  !dev->queue[0].enabled && !dev->queue[0].desc, "a reset that forgets not all");
	fuzz_must(!fake_doorbells_count(world->doorbells), "a doorbell after a reset");
	fuzz_must(!fake_irq_fd_count(world->pci.irq), "an interrupt after a reset");
}

static void (*const verbs[])(struct world *world, const struct step *step, unsigned int len) = {
	bring_up, offer, kick, write_bar, read_bar, write_common, write_cfg, read_cfg, service,
	reset,
};

static void write_seeds(int argc, char **argv)
{
	static const struct step steps[] = {
		{0, 0, 0, 0}, {1, 0x20, 0, 64}, {2, 1, 0, 0}, {8, 0, 0, 0}, {4, 0, 0x100, 0},
		{1, 0x20, 1, 4000}, {5, 1, VIRTIO_PCI_COMMON_Q_MSIX, 1}, {6, 1, 0x42, 0x8000},
		{3, 2, 0x2010, 0xfee00000}, {3, 2, 0x201c, 0}, {2, 1, 0, 0}, {9, 0, 0, 0},
	};

	fuzz_write_seed(argc, argv, "driver", steps, sizeof(steps));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	mem = fake_mem_create(RAM);
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	struct virtio_machine machine;
	struct step step = {0};

	world = (struct world){.doorbells = fake_doorbells_create()};
	fake_pci_start(&world.pci);
	driver_ring_init(&world.ring, mem, RINGS, 8);
	machine = (struct virtio_machine){.mem = mem, .irq = world.pci.irq,
					  .doorbells = world.doorbells, .pci = world.pci.host};
	fuzz_must(!virtio_entropy_create(&world.entropy) &&
		  !virtio_pci_create(virtio_entropy_dev(world.entropy), &machine, DEVFN, false,
				     &world.transport), "set-up");
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		verbs[step.verb % ARRAY_SIZE(verbs)](&world, &step, 1U << step.len % 4);
	}
	reset(&world, &step, 0);
	virtio_pci_destroy(world.transport);
	virtio_entropy_destroy(world.entropy);
	fake_pci_stop(&world.pci);
	fake_doorbells_destroy(world.doorbells);
	return 0;
}
