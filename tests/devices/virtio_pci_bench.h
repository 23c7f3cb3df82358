/*
 * For the tests of virtio functions: a device that records what it is told, in a machine of fakes.
 * Included after <cmocka.h>.
 */
#ifndef TESTS_DEVICES_VIRTIO_PCI_BENCH_H
#define TESTS_DEVICES_VIRTIO_PCI_BENCH_H

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "devices/pci.h"
#include "devices/virtio.h"
#include "devices/virtio_pci.h"
#include "tests/fake_doorbell.h"
#include "tests/fake_driver.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"

#define DEVFN 0xc1
#define BAR 0xc8000000ULL
#define RINGS 0x10000U
#define QUEUES 2U
#define QUEUE_SIZE 16U
#define CONFIG_LEN 10U
#define VERSION_1 (1ULL << VIRTIO_F_VERSION_1)
#define OWN_FEATURE (1ULL << 5)
#define MSIX_CAP 0x40
#define TABLE_OFF 0x2000U
#define PBA_OFF 0x3000U
#define GSI (GSI_PCI_FIRST + (DEVFN / 8 + 1) % GSI_PCI_COUNT) /* function 1 has INTB */

struct fake_virtio {
	struct virtio_dev dev;
	unsigned int starts, stops, resets;
	int start_error;
	void (*in_op)(void *opaque); /* called within each op */
	void *in_op_opaque;
	uint8_t config[CONFIG_LEN];
};

struct fixture {
	struct fake_pci pci;
	struct mem *mem;
	struct doorbells *doorbells;
	struct fake_virtio fake;
	struct virtio_pci *transport;
	struct driver_ring ring;
	bool disturbed;
};

/* --- a device that records --- */

static inline struct fake_virtio *fake_of(struct virtio_dev *dev)
{
	return container_of(dev, struct fake_virtio, dev);
}

static inline void be_in_op(struct virtio_dev *dev)
{
	if (fake_of(dev)->in_op)
		fake_of(dev)->in_op(fake_of(dev)->in_op_opaque);
}

static inline void config_read(struct virtio_dev *dev, uint32_t off, uint32_t len,
			       uint8_t *ret_bytes)
{
	assert_true(off < CONFIG_LEN && len <= CONFIG_LEN - off);
	be_in_op(dev);
	memcpy(ret_bytes, fake_of(dev)->config + off, len);
}

static inline void config_write(struct virtio_dev *dev, uint32_t off, uint32_t len,
				const uint8_t *bytes)
{
	assert_true(off < CONFIG_LEN && len <= CONFIG_LEN - off);
	be_in_op(dev);
	memcpy(fake_of(dev)->config + off, bytes, len);
}

static inline int start(struct virtio_dev *dev)
{
	be_in_op(dev);
	fake_of(dev)->starts++;
	return fake_of(dev)->start_error;
}

static inline void stop(struct virtio_dev *dev)
{
	be_in_op(dev);
	fake_of(dev)->stops++;
}

static inline void reset(struct virtio_dev *dev)
{
	be_in_op(dev);
	fake_of(dev)->resets++;
}

static const struct virtio_ops fake_ops = {
	.type = "virtio-fake",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = 0x018000,
	.config_read = config_read,
	.config_write = config_write,
	.start = start,
	.stop = stop,
	.reset = reset,
};

/* --- the fixture --- */

static inline int setup(void **state)
{
	static struct fixture f;
	struct virtio_machine machine;

	f = (struct fixture){.mem = fake_mem_create(16 * MIB)};
	fake_pci_start(&f.pci);
	f.doorbells = fake_doorbells_create();
	machine = (struct virtio_machine){.mem = f.mem, .irq = f.pci.irq,
					  .doorbells = f.doorbells, .pci = f.pci.host};
	assert_int_equal(virtio_dev_init(&f.fake.dev, &fake_ops, OWN_FEATURE, QUEUES, QUEUE_SIZE),
			 0);
	f.fake.dev.config_size = CONFIG_LEN;
	for (unsigned int i = 0; i < CONFIG_LEN; i++)
		f.fake.config[i] = (uint8_t)(0x10 + i);
	assert_int_equal(virtio_pci_create(&f.fake.dev, &machine, DEVFN, false, &f.transport), 0);
	pci_host_cfg_write(f.pci.host, DEVFN, PCI_BASE_ADDRESS_0, 4, BAR);
	pci_host_cfg_write(f.pci.host, DEVFN, PCI_COMMAND, 2,
			   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	driver_ring_init(&f.ring, f.mem, RINGS, QUEUE_SIZE);
	*state = &f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_pci_destroy(f->transport);
	assert_int_equal(f->fake.starts, f->fake.stops + !!f->fake.start_error);
	virtio_dev_finish(&f->fake.dev);
	fake_doorbells_destroy(f->doorbells);
	fake_pci_stop(&f->pci);
	fake_mem_destroy(f->mem);
	return 0;
}

static inline uint32_t cfg(struct fixture *f, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(f->pci.host, DEVFN, off, len);
}

static inline uint64_t get(struct fixture *f, uint64_t off, unsigned int len)
{
	return fake_pci_read(&f->pci, BAR + off, len);
}

static inline void set(struct fixture *f, uint64_t off, unsigned int len, uint64_t value)
{
	fake_pci_write(&f->pci, BAR + off, len, value);
}

/* Where a structure is, by its capability. */
static inline uint32_t structure(struct fixture *f, uint8_t type, uint32_t *ret_len)
{
	for (uint32_t cap = cfg(f, PCI_CAPABILITY_LIST, 1); cap;
	     cap = cfg(f, (uint16_t)cap + 1, 1)) {
		if (cfg(f, (uint16_t)cap, 1) != PCI_CAP_ID_VNDR ||
		    cfg(f, (uint16_t)cap + VIRTIO_PCI_CAP_CFG_TYPE, 1) != type)
			continue;
		*ret_len = cfg(f, (uint16_t)cap + VIRTIO_PCI_CAP_LENGTH, 4);
		return cfg(f, (uint16_t)cap + VIRTIO_PCI_CAP_OFFSET, 4);
	}
	fail_msg("no capability of type %u", type);
	return 0;
}

static inline uint32_t off_of(struct fixture *f, uint8_t type)
{
	uint32_t len;

	return structure(f, type, &len);
}

static inline void negotiate(struct fixture *f, uint64_t features)
{
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (uint32_t word = 0; word < 2; word++) {
		set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		set(f, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * word)));
	}
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 11);
}

static inline void enable_queue(struct fixture *f, uint16_t index)
{
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, RINGS);
	set(f, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, RINGS + DRIVER_AVAIL);
	set(f, VIRTIO_PCI_COMMON_Q_USEDLO, 4, RINGS + DRIVER_USED);
	set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static inline void run(struct fixture *f)
{
	negotiate(f, VERSION_1 | OWN_FEATURE);
	enable_queue(f, 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 15);
	assert_int_equal(f->fake.starts, 1);
	eventfd_drain(f->fake.dev.queue[1].kick_fd); /* the one that every start gives */
}

static inline void set_vector(struct fixture *f, unsigned int vector, uint32_t control)
{
	set(f, TABLE_OFF + 16 * vector, 4, 0xfee00000);
	set(f, TABLE_OFF + 16 * vector + 8, 4, 0x40 + vector);
	set(f, TABLE_OFF + 16 * vector + 12, 4, control);
}

static inline void enable_msix(struct fixture *f, bool on)
{
	pci_host_cfg_write(f->pci.host, DEVFN, MSIX_CAP + PCI_MSIX_FLAGS, 2,
			   on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

static inline bool line_is_readable(struct fixture *f)
{
	struct pollfd fd = {.fd = virtio_pci_line_fd(f->transport), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

#endif
