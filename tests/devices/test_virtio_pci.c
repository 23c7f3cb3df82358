#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

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
	uint8_t config[CONFIG_LEN];
};

struct fixture {
	struct fake_pci pci;
	struct mem *mem;
	struct doorbells *doorbells;
	struct fake_virtio fake;
	struct virtio_pci *transport;
	struct driver_ring ring;
};

/* --- a device that records --- */

static struct fake_virtio *fake_of(struct virtio_dev *dev)
{
	return container_of(dev, struct fake_virtio, dev);
}

static void config_read(struct virtio_dev *dev, uint32_t off, uint32_t len, uint8_t *ret_bytes)
{
	assert_true(off < CONFIG_LEN && len <= CONFIG_LEN - off);
	memcpy(ret_bytes, fake_of(dev)->config + off, len);
}

static void config_write(struct virtio_dev *dev, uint32_t off, uint32_t len, const uint8_t *bytes)
{
	assert_true(off < CONFIG_LEN && len <= CONFIG_LEN - off);
	memcpy(fake_of(dev)->config + off, bytes, len);
}

static int start(struct virtio_dev *dev)
{
	fake_of(dev)->starts++;
	return fake_of(dev)->start_error;
}

static void stop(struct virtio_dev *dev)
{
	fake_of(dev)->stops++;
}

static void reset(struct virtio_dev *dev)
{
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

static int setup(void **state)
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

static int teardown(void **state)
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

static uint32_t cfg(struct fixture *f, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(f->pci.host, DEVFN, off, len);
}

static uint64_t get(struct fixture *f, uint64_t off, unsigned int len)
{
	return fake_pci_read(&f->pci, BAR + off, len);
}

static void set(struct fixture *f, uint64_t off, unsigned int len, uint64_t value)
{
	fake_pci_write(&f->pci, BAR + off, len, value);
}

/* Where a structure is, by its capability. */
static uint32_t structure(struct fixture *f, uint8_t type, uint32_t *ret_len)
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

static uint32_t off_of(struct fixture *f, uint8_t type)
{
	uint32_t len;

	return structure(f, type, &len);
}

static void negotiate(struct fixture *f, uint64_t features)
{
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (uint32_t word = 0; word < 2; word++) {
		set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		set(f, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * word)));
	}
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 11);
}

static void enable_queue(struct fixture *f, uint16_t index)
{
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, RINGS);
	set(f, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, RINGS + DRIVER_AVAIL);
	set(f, VIRTIO_PCI_COMMON_Q_USEDLO, 4, RINGS + DRIVER_USED);
	set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void run(struct fixture *f)
{
	negotiate(f, VERSION_1 | OWN_FEATURE);
	enable_queue(f, 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 15);
	assert_int_equal(f->fake.starts, 1);
	eventfd_drain(f->fake.dev.queue[1].kick_fd); /* the one that every start gives */
}

static void set_vector(struct fixture *f, unsigned int vector, uint32_t control)
{
	set(f, TABLE_OFF + 16 * vector, 4, 0xfee00000);
	set(f, TABLE_OFF + 16 * vector + 8, 4, 0x40 + vector);
	set(f, TABLE_OFF + 16 * vector + 12, 4, control);
}

static void enable_msix(struct fixture *f, bool on)
{
	pci_host_cfg_write(f->pci.host, DEVFN, MSIX_CAP + PCI_MSIX_FLAGS, 2,
			   on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

static bool line_is_readable(struct fixture *f)
{
	struct pollfd fd = {.fd = virtio_pci_line_fd(f->transport), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

/* --- what the function is --- */

static void test_virtio_pci_identity(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	assert_int_equal(cfg(f, PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(cfg(f, PCI_REVISION_ID, 4), 0x01800001);
	assert_int_equal(cfg(f, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(cfg(f, PCI_INTERRUPT_PIN, 1), 2);
	assert_int_equal(cfg(f, MSIX_CAP + PCI_MSIX_FLAGS, 2), QUEUES); /* N - 1 */
	assert_int_equal(structure(f, VIRTIO_PCI_CAP_COMMON_CFG, &len) % 4, 0);
	assert_int_equal(len, sizeof(struct virtio_pci_common_cfg));
	structure(f, VIRTIO_PCI_CAP_NOTIFY_CFG, &len);
	assert_int_equal(len, 4 * QUEUES);
	structure(f, VIRTIO_PCI_CAP_ISR_CFG, &len);
	assert_int_equal(len, 1);
	assert_int_equal(structure(f, VIRTIO_PCI_CAP_DEVICE_CFG, &len) % 4, 0);
	assert_int_equal(len, 12);
	structure(f, VIRTIO_PCI_CAP_PCI_CFG, &len);
}

static void test_virtio_pci_features(void **state)
{
	struct fixture *f = *state;

	set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_DF, 4), 0x30000020);
	set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_DF, 4), 1);
	for (uint32_t word = 2; word; word *= 2) {
		set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, word);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
	}
	set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 7);
	set(f, VIRTIO_PCI_COMMON_GF, 4, UINT32_MAX);
	assert_int_equal(f->fake.dev.accepted, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
}

static void test_virtio_pci_refuses_features(void **state)
{
	static const uint64_t refused[] = {
		0, OWN_FEATURE, VERSION_1 | 1ULL << VIRTIO_F_RING_PACKED, VERSION_1 | 1,
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
		negotiate(f, refused[i]);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 3);
		set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	}
	negotiate(f, VERSION_1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 11);
	set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	set(f, VIRTIO_PCI_COMMON_GF, 4, OWN_FEATURE);
	assert_int_equal(f->fake.dev.accepted, VERSION_1);
}

/* --- the status machine --- */

static void test_virtio_pci_runs_between_driver_ok_and_reset(void **state)
{
	struct fixture *f = *state;

	run(f);
	assert_int_equal(f->fake.stops, 0);
	assert_non_null(f->fake.dev.queue[1].ring.desc);
	assert_null(f->fake.dev.queue[0].ring.desc);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 4); /* bits stay */
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 15);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0x8f);
	assert_int_equal(f->fake.starts, 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(f->fake.stops, 1);
	assert_int_equal(f->fake.resets, 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
}

static void expect_broken(struct fixture *f)
{
	assert_true(get(f, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(line_is_readable(f));
	virtio_pci_service_line(f->transport);
	assert_int_equal(get(f, off_of(f, VIRTIO_PCI_CAP_ISR_CFG), 1), VIRTIO_PCI_ISR_CONFIG);
}

static void test_virtio_pci_breaks_on_nonsense(void **state)
{
	struct fixture *f = *state;

	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 7);
	expect_broken(f);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);

	negotiate(f, VERSION_1);
	enable_queue(f, 0);
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	set(f, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x7fff);
	set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	expect_broken(f);
	assert_int_equal(f->fake.starts, 0);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);

	run(f);
	virtio_dev_break(&f->fake.dev, "a test");
	virtio_dev_break(&f->fake.dev, "a test");
	expect_broken(f);
	assert_int_equal(f->fake.stops, 0);
}

static void test_virtio_pci_start_fails(void **state)
{
	struct fixture *f = *state;

	f->fake.start_error = -ENOMEM;
	negotiate(f, VERSION_1);
	enable_queue(f, 0);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	expect_broken(f);
	assert_int_equal(fake_doorbells_count(f->doorbells), 0);
}

static void test_virtio_pci_needs_bus_master(void **state)
{
	struct fixture *f = *state;
	struct pci_host *host = f->pci.host;

	run(f);
	f->fake.dev.queue[1].ring.next_avail = 5;
	pci_host_cfg_write(host, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->fake.stops, 1);
	assert_int_equal(f->fake.resets, 0);
	pci_host_cfg_write(host, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fake.starts, 2);
	assert_int_equal(f->fake.dev.queue[1].ring.next_avail, 5);
	assert_true(eventfd_drain(f->fake.dev.queue[1].kick_fd));
}

static void test_virtio_pci_reset_of_the_function(void **state)
{
	struct fixture *f = *state;

	run(f);
	pci_dev_reset(virtio_pci_dev(f->transport));
	assert_int_equal(f->fake.stops, 1);
	assert_int_equal(f->fake.dev.status, 0);
	assert_int_equal(f->fake.dev.accepted, 0);
	assert_false(f->fake.dev.bus_master);
	assert_int_equal(fake_doorbells_count(f->doorbells), 0);
}

/* --- queue registers --- */

static void test_virtio_pci_absent_queues(void **state)
{
	static const uint16_t absent[] = {QUEUES, QUEUES + 1, 0x7fff, 0xffff};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++) {
		set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, absent[i]);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SELECT, 2), absent[i]);
		for (uint64_t off = VIRTIO_PCI_COMMON_Q_SIZE; off < 56; off += 2)
			set(f, off, 2, 1);
		for (uint64_t off = VIRTIO_PCI_COMMON_Q_DESCLO; off < 56; off += 4)
			set(f, off, 4, UINT32_MAX);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0);
	}
	assert_false(f->fake.dev.queue[0].enabled || f->fake.dev.queue[1].enabled);
}

static void test_virtio_pci_queue_sizes(void **state)
{
	static const struct {
		uint16_t written, read;
	} sizes[] = {{8, 8}, {0, 8}, {3, 8}, {1, 1}, {16, 16}, {32, 16}, {0x8000, 16},
		     {0xffff, 16}};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, sizes[i].written);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), sizes[i].read);
	}
}

/* Firecracker's CVE-2026-5747: the rings in use must not move. */
static void test_virtio_pci_registers_freeze(void **state)
{
	struct fixture *f = *state;

	run(f);
	for (uint16_t index = 0; index < QUEUES; index++) {
		struct virtio_queue before = f->fake.dev.queue[index];

		set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
		for (uint64_t off = VIRTIO_PCI_COMMON_Q_DESCLO; off < 56; off += 4)
			set(f, off, 4, 0x1000);
		for (uint64_t off = VIRTIO_PCI_COMMON_Q_DESCLO; off < 56; off += 8)
			set(f, off, 8, 0x1000);
		set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
		set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, index == 0);
		assert_memory_equal(&before, &f->fake.dev.queue[index], sizeof(before));
	}
}

/* Of an access that is no register nothing is written, and nothing falls over. */
static void test_virtio_pci_odd_accesses(void **state)
{
	struct fixture *f = *state;

	for (uint64_t off = 0; off < 0x4000; off += off < 0x300 ? 1 : 0x3f) {
		for (unsigned int len = 1; len <= 8; len *= 2) {
			if (off == VIRTIO_PCI_COMMON_Q_SELECT || off == VIRTIO_PCI_COMMON_STATUS)
				continue;
			get(f, off, len);
			set(f, off, len, 0xa5a5a5a5a5a5a5a5);
		}
	}
	assert_false(get(f, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_DRIVER_OK);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	set(f, VIRTIO_PCI_COMMON_STATUS, 2, 0xffff);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	run(f);
}

/* --- kicks --- */

static void test_virtio_pci_doorbells_follow_the_bar(void **state)
{
	struct fixture *f = *state;
	uint64_t bell = off_of(f, VIRTIO_PCI_CAP_NOTIFY_CFG) + 4;
	const uint64_t moved = 0xc9000000;

	assert_int_equal(fake_doorbells_count(f->doorbells), 0);
	run(f);
	assert_int_equal(fake_doorbells_count(f->doorbells), 1); /* queue 0 is not enabled */
	assert_true(fake_doorbells_ring(f->doorbells, BAR + bell));
	assert_true(eventfd_drain(f->fake.dev.queue[1].kick_fd));
	pci_host_cfg_write(f->pci.host, DEVFN, PCI_BASE_ADDRESS_0, 4, (uint32_t)moved);
	assert_false(fake_doorbells_ring(f->doorbells, BAR + bell));
	assert_true(fake_doorbells_ring(f->doorbells, moved + bell));
	pci_host_cfg_write(f->pci.host, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(fake_doorbells_count(f->doorbells), 0);
	assert_int_equal(f->fake.stops, 0);
	pci_host_cfg_write(f->pci.host, DEVFN, PCI_BASE_ADDRESS_0, 4, BAR);
	pci_host_cfg_write(f->pci.host, DEVFN, PCI_COMMAND, 2,
			   PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_int_equal(fake_doorbells_count(f->doorbells), 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(fake_doorbells_count(f->doorbells), 0);
}

static void test_virtio_pci_kicks_that_trap(void **state)
{
	struct fixture *f = *state;
	uint64_t notify = off_of(f, VIRTIO_PCI_CAP_NOTIFY_CFG);

	set(f, notify + 4, 2, 1);
	assert_false(eventfd_drain(f->fake.dev.queue[1].kick_fd));
	fake_doorbells_fail(f->doorbells, -ENOSPC);
	run(f);
	set(f, notify + 4, 2, 0); /* the address says which, the value does not */
	assert_true(eventfd_drain(f->fake.dev.queue[1].kick_fd));
	assert_false(eventfd_drain(f->fake.dev.queue[0].kick_fd));
	for (uint64_t off = notify + 4 * QUEUES; off < notify + 0x1000; off += 4)
		set(f, off, 4, off);
	assert_false(eventfd_drain(f->fake.dev.queue[0].kick_fd));
	assert_false(eventfd_drain(f->fake.dev.queue[1].kick_fd));
}

/* --- interrupts --- */

static void test_virtio_pci_intx(void **state)
{
	struct fixture *f = *state;
	uint64_t isr = off_of(f, VIRTIO_PCI_CAP_ISR_CFG);

	run(f);
	assert_false(line_is_readable(f));
	eventfd_write(f->fake.dev.queue[1].call_fd, 1);
	assert_true(line_is_readable(f));
	virtio_pci_service_line(f->transport);
	assert_false(line_is_readable(f));
	assert_true(fake_irq_level(f->pci.irq, GSI));
	assert_true(cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	virtio_dev_config_changed(&f->fake.dev);
	virtio_pci_service_line(f->transport);
	assert_int_equal(get(f, isr, 1), 1 | VIRTIO_PCI_ISR_CONFIG);
	assert_false(fake_irq_level(f->pci.irq, GSI));
	assert_false(cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(get(f, isr, 1), 0);
	eventfd_write(f->fake.dev.queue[1].call_fd, 1);
	virtio_pci_service_line(f->transport);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(fake_irq_level(f->pci.irq, GSI));
}

static void test_virtio_pci_msix(void **state)
{
	struct fixture *f = *state;
	struct irq_chip *irq = f->pci.irq;

	enable_msix(f, true);
	set_vector(f, 2, 0);
	assert_int_equal(fake_irq_fd_count(irq), 0);
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
	assert_int_equal(fake_irq_fd_count(irq), 1);
	run(f);
	eventfd_write(f->fake.dev.queue[1].call_fd, 1);
	assert_false(line_is_readable(f));
	assert_int_equal(fake_irq_fire(irq), 1);
	assert_int_equal(fake_irq_msi(irq, 0).data, 0x42);
	/* Two sources may share a vector; one may have none. */
	set_vector(f, 0, 0);
	set(f, VIRTIO_PCI_COMMON_MSIX, 2, 2);
	virtio_dev_config_changed(&f->fake.dev);
	assert_int_equal(fake_irq_fire(irq), 1);
	assert_int_equal(fake_irq_msi(irq, 1).data, 0x42);
	set(f, VIRTIO_PCI_COMMON_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	virtio_dev_config_changed(&f->fake.dev);
	assert_int_equal(fake_irq_fire(irq), 0);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(fake_irq_fd_count(irq), 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
}

static void test_virtio_pci_vectors_out_of_range(void **state)
{
	static const uint16_t vectors[] = {QUEUES + 1, 0x7ff, 0x800, 0xfffe, 0xffff};
	struct fixture *f = *state;

	enable_msix(f, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		set(f, VIRTIO_PCI_COMMON_MSIX, 2, vectors[i]);
		set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, vectors[i]);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
}

static void test_virtio_pci_masked_is_pending(void **state)
{
	struct fixture *f = *state;

	enable_msix(f, true);
	set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	set_vector(f, 1, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	eventfd_write(f->fake.dev.queue[1].call_fd, 1);
	assert_int_equal(get(f, PBA_OFF, 8), 2);
	assert_int_equal(fake_irq_fire(f->pci.irq), 0);
	set_vector(f, 1, 0);
	assert_int_equal(get(f, PBA_OFF, 8), 0);
	assert_int_equal(fake_irq_fire(f->pci.irq), 1);
	/* Without Bus Master no message leaves. */
	pci_host_cfg_write(f->pci.host, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(fake_irq_fd_count(f->pci.irq), 0);
}

static void test_virtio_pci_between_msix_and_intx(void **state)
{
	struct fixture *f = *state;

	run(f);
	enable_msix(f, true);
	eventfd_write(f->fake.dev.queue[1].call_fd, 1);
	assert_false(line_is_readable(f));
	enable_msix(f, false);
	assert_true(line_is_readable(f));
	virtio_pci_service_line(f->transport);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	enable_msix(f, true);
	assert_false(fake_irq_level(f->pci.irq, GSI));
}

static void test_virtio_pci_routes_run_out(void **state)
{
	struct fixture *f = *state;

	enable_msix(f, true);
	fake_irq_fail_route_alloc(f->pci.irq, -ENOSPC);
	set_vector(f, 1, 0);
	set(f, VIRTIO_PCI_COMMON_MSIX, 2, 1);
	assert_int_equal(fake_irq_fd_count(f->pci.irq), 0);
	fake_irq_fail_route_alloc(f->pci.irq, 0);
	fake_irq_fail_fd_attach(f->pci.irq, -ENOMEM);
	set_vector(f, 1, 0);
	assert_int_equal(fake_irq_fd_count(f->pci.irq), 0);
	fake_irq_fail_fd_attach(f->pci.irq, 0);
	set_vector(f, 1, 0);
	assert_int_equal(fake_irq_fd_count(f->pci.irq), 1);
}

/* --- configuration --- */

static void test_virtio_pci_configuration(void **state)
{
	struct fixture *f = *state;
	uint64_t at = off_of(f, VIRTIO_PCI_CAP_DEVICE_CFG);
	uint64_t generation = get(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	assert_int_equal(get(f, at, 4), 0x13121110);
	assert_int_equal(get(f, at + 8, 4), 0x1918);
	assert_int_equal(get(f, at + 4, 8), 0x191817161514);
	assert_int_equal(get(f, at + 0x100, 4), 0);
	set(f, at + 9, 1, 0x55);
	set(f, at + 8, 4, 0x66666666); /* over the end: dropped */
	assert_int_equal(f->fake.config[9], 0x55);
	assert_int_equal(f->fake.config[8], 0x18);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
	for (unsigned int i = 0; i < 300; i++)
		virtio_dev_config_changed(&f->fake.dev);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
	get(f, at, 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1), (generation + 1) & 0xff);
}

static void test_virtio_pci_config_window(void **state)
{
	struct fixture *f = *state;
	struct pci_host *host = f->pci.host;
	uint16_t cap = 0x84;

	assert_int_equal(cfg(f, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1), VIRTIO_PCI_CAP_PCI_CFG);
	run(f);
	pci_host_cfg_write(host, DEVFN, cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	pci_host_cfg_write(host, DEVFN, cap + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	assert_int_equal(cfg(f, cap + 16, 1), 15);
	pci_host_cfg_write(host, DEVFN, cap + 16, 1, 0);
	assert_int_equal(f->fake.stops, 1);
	/* Not a BAR, not a length, not aligned, not a structure: nothing happens. */
	for (uint32_t i = 0; i < 64; i++) {
		pci_host_cfg_write(host, DEVFN, cap + VIRTIO_PCI_CAP_BAR, 1, i % 7);
		pci_host_cfg_write(host, DEVFN, cap + VIRTIO_PCI_CAP_LENGTH, 4, i % 2 ? i : 8 * i);
		pci_host_cfg_write(host, DEVFN, cap + VIRTIO_PCI_CAP_OFFSET, 4,
				   i % 3 ? UINT32_MAX - i : 0x1fff + i);
		cfg(f, cap + 16, 4);
		pci_host_cfg_write(host, DEVFN, cap + 16, 4, i);
	}
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_virtio_pci_identity),
		TEST(test_virtio_pci_features),
		TEST(test_virtio_pci_refuses_features),
		TEST(test_virtio_pci_runs_between_driver_ok_and_reset),
		TEST(test_virtio_pci_breaks_on_nonsense),
		TEST(test_virtio_pci_start_fails),
		TEST(test_virtio_pci_needs_bus_master),
		TEST(test_virtio_pci_reset_of_the_function),
		TEST(test_virtio_pci_absent_queues),
		TEST(test_virtio_pci_queue_sizes),
		TEST(test_virtio_pci_registers_freeze),
		TEST(test_virtio_pci_odd_accesses),
		TEST(test_virtio_pci_doorbells_follow_the_bar),
		TEST(test_virtio_pci_kicks_that_trap),
		TEST(test_virtio_pci_intx),
		TEST(test_virtio_pci_msix),
		TEST(test_virtio_pci_vectors_out_of_range),
		TEST(test_virtio_pci_masked_is_pending),
		TEST(test_virtio_pci_between_msix_and_intx),
		TEST(test_virtio_pci_routes_run_out),
		TEST(test_virtio_pci_configuration),
		TEST(test_virtio_pci_config_window),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
