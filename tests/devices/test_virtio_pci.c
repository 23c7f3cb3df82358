/* A virtio function: what it is, its status, its registers, its configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/devices/virtio_pci_bench.h"

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
		TEST(test_virtio_pci_configuration),
		TEST(test_virtio_pci_config_window),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
