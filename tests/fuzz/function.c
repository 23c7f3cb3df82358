#include "tests/fuzz/function.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "devices/pci.h"
#include "devices/virtio.h"
#include "devices/virtio_pci.h"
#include "tests/fake_doorbell.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"

#define RINGS(queue) (FUZZ_RINGS + (queue) * DRIVER_RING_LEN)
#define DEVFN 0x88
#define BAR 0xc8000000ULL
#define BAR_LEN 0x4000U
#define NOTIFY 0x1000U

static unsigned int len_of(const struct fuzz_step *step)
{
	return 1U << step->len % 4;
}

static unsigned int dword_len(const struct fuzz_step *step)
{
	return len_of(step) > 4 ? 4 : len_of(step);
}

static void write_bar(struct fuzz_function *function, const struct fuzz_step *step)
{
	fake_pci_write(&function->pci, BAR + step->off % BAR_LEN, len_of(step), step->value);
}

static void read_bar(struct fuzz_function *function, const struct fuzz_step *step)
{
	fake_pci_read(&function->pci, BAR + step->off % BAR_LEN, len_of(step));
}

static void write_common(struct fuzz_function *function, const struct fuzz_step *step)
{
	fake_pci_write(&function->pci, BAR + step->off % 64, len_of(step), step->value);
}

static void write_cfg(struct fuzz_function *function, const struct fuzz_step *step)
{
	pci_host_cfg_write(function->pci.host, DEVFN, step->off % 256, dword_len(step),
			   step->value);
}

static void read_cfg(struct fuzz_function *function, const struct fuzz_step *step)
{
	pci_host_cfg_read(function->pci.host, DEVFN, step->off % 256, dword_len(step));
}

struct write {
	uint8_t off, len;
	uint32_t value;
};

static void write_all(struct fuzz_function *function, const struct write *write, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fake_pci_write(&function->pci, BAR + write[i].off, write[i].len, write[i].value);
}

static void enable_queue(struct fuzz_function *function, unsigned int queue)
{
	const struct write writes[] = {
		{VIRTIO_PCI_COMMON_Q_SELECT, 2, queue},
		{VIRTIO_PCI_COMMON_Q_SIZE, 2, FUZZ_RING_SIZE},
		{VIRTIO_PCI_COMMON_Q_DESCLO, 4, RINGS(queue)},
		{VIRTIO_PCI_COMMON_Q_AVAILLO, 4, RINGS(queue) + DRIVER_AVAIL},
		{VIRTIO_PCI_COMMON_Q_USEDLO, 4, RINGS(queue) + DRIVER_USED},
		{VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1},
	};

	write_all(function, writes, ARRAY_SIZE(writes));
}

/* What a good driver does, so that the others meet a device that runs. `value` says which of its
 * features it takes, `off` which queues it leaves out. */
static void bring_up(struct fuzz_function *function, const struct fuzz_step *step)
{
	const struct write first[] = {
		{VIRTIO_PCI_COMMON_STATUS, 1, 0},  {VIRTIO_PCI_COMMON_STATUS, 1, 3},
		{VIRTIO_PCI_COMMON_GFSELECT, 4, 0},
		{VIRTIO_PCI_COMMON_GF, 4, (uint32_t)function->dev->features & step->value},
		{VIRTIO_PCI_COMMON_GFSELECT, 4, 1}, {VIRTIO_PCI_COMMON_GF, 4, 1},
		{VIRTIO_PCI_COMMON_STATUS, 1, 11},
	};
	const struct write last = {VIRTIO_PCI_COMMON_STATUS, 1, 15};

	pci_host_cfg_write(function->pci.host, DEVFN, PCI_BASE_ADDRESS_0, 4, BAR);
	pci_host_cfg_write(function->pci.host, DEVFN, PCI_COMMAND, 2,
			   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	write_all(function, first, ARRAY_SIZE(first));
	for (unsigned int i = 0; i < function->queues; i++)
		if (!(step->off & 1U << i))
			enable_queue(function, i);
	write_all(function, &last, 1);
}

/* A descriptor: bits [6:4] of `len` are its flags, bit 7 says that `value` is its address, bits
 * [3:2] the queue. */
static void offer(struct fuzz_function *function, const struct fuzz_step *step)
{
	struct driver_ring *ring = &function->ring[(step->len >> 2 & 3U) % function->queues];
	uint16_t head = step->off % ring->size;

	driver_ring_set(ring, head, step->len & 0x80 ? step->value : FUZZ_BUFFERS + step->off,
			step->value % 5000, (uint16_t)(step->len >> 4 & 7), (uint16_t)(head + 1));
	driver_ring_offer(ring, head);
}

static void kick(struct fuzz_function *function, const struct fuzz_step *step)
{
	uint64_t at = BAR + NOTIFY + 4U * (step->off % function->queues);

	if (!fake_doorbells_ring(function->doorbells, at))
		fake_pci_write(&function->pci, at, len_of(step), 0);
}

static void service(struct fuzz_function *function, const struct fuzz_step *step)
{
	(void)step;
	virtio_pci_service_line(function->transport);
	fake_irq_fire(function->pci.irq);
}

static void reset(struct fuzz_function *function, const struct fuzz_step *step)
{
	const struct virtio_dev *dev = function->dev;

	(void)step;
	pci_dev_reset(virtio_pci_dev(function->transport));
	fuzz_must(!virtio_dev_status(dev) && !dev->running && !dev->accepted &&
		  !dev->queue[0].enabled && !dev->queue[0].desc, "a reset that forgets not all");
	fuzz_must(!fake_doorbells_count(function->doorbells), "a doorbell after a reset");
	fuzz_must(!fake_irq_fd_count(function->pci.irq), "an interrupt after a reset");
}

void fuzz_function_step(struct fuzz_function *function, const struct fuzz_step *step)
{
	static void (*const verbs[FUZZ_VERBS])(struct fuzz_function *function,
					       const struct fuzz_step *step) = {
		[FUZZ_BRING_UP] = bring_up,	    [FUZZ_OFFER] = offer,
		[FUZZ_KICK] = kick,		    [FUZZ_WRITE_BAR] = write_bar,
		[FUZZ_READ_BAR] = read_bar,	    [FUZZ_WRITE_COMMON] = write_common,
		[FUZZ_WRITE_CFG] = write_cfg,	    [FUZZ_READ_CFG] = read_cfg,
		[FUZZ_SERVICE] = service,	    [FUZZ_RESET] = reset,
	};

	verbs[step->verb % FUZZ_VERBS](function, step);
}

void fuzz_function_run(struct fuzz_function *function, const uint8_t *data, size_t size,
		       unsigned int verbs, void (*own)(const struct fuzz_step *step))
{
	struct fuzz_step step;

	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		step.verb = (uint8_t)(step.verb % verbs);
		if (step.verb < FUZZ_VERBS)
			fuzz_function_step(function, &step);
		else
			own(&step);
	}
}

void fuzz_function_start(struct fuzz_function *function, struct mem *mem, struct virtio_dev *dev,
			 unsigned int queues)
{
	struct virtio_machine machine;

	*function = (struct fuzz_function){.doorbells = fake_doorbells_create(), .dev = dev,
					   .queues = queues};
	fake_pci_start(&function->pci);
	for (unsigned int i = 0; i < queues; i++)
		driver_ring_init(&function->ring[i], mem, RINGS(i), FUZZ_RING_SIZE);
	machine = (struct virtio_machine){.mem = mem, .irq = function->pci.irq,
					  .doorbells = function->doorbells,
					  .pci = function->pci.host};
	fuzz_must(!virtio_pci_create(dev, &machine, DEVFN, false, &function->transport), "set-up");
}

void fuzz_function_stop(struct fuzz_function *function)
{
	reset(function, NULL);
	virtio_pci_destroy(function->transport);
	fake_pci_stop(&function->pci);
	fake_doorbells_destroy(function->doorbells);
}
