/* What a virtio function hears of its driver and says to it: kicks and interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/devices/virtio_pci_bench.h"

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

/* Before there is a driver, and after it: the line may be another function's, too. */
static void test_virtio_pci_intx_is_for_a_driver(void **state)
{
	struct fixture *f = *state;
	uint64_t isr = off_of(f, VIRTIO_PCI_CAP_ISR_CFG);

	virtio_dev_config_changed(&f->fake.dev);
	virtio_pci_service_line(f->transport);
	assert_false(line_is_readable(f));
	assert_false(fake_irq_level(f->pci.irq, GSI));
	assert_false(cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(get(f, isr, 1), 0);
	run(f);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	eventfd_write(f->fake.dev.queue[1].call_fd, 1); /* by another process */
	virtio_pci_service_line(f->transport);
	assert_false(fake_irq_level(f->pci.irq, GSI));
}

/* The main loop, while a device keeps its lock because it waits for others. (An assertion would end
 * the test with the lock held.) */
static void signal_all(void *opaque)
{
	struct fixture *f = opaque;

	eventfd_write(f->fake.dev.queue[1].call_fd, 1);
	virtio_dev_config_changed(&f->fake.dev);
	f->disturbed |= line_is_readable(f);
	virtio_pci_service_line(f->transport);
}

static void test_virtio_pci_intx_waits_for_the_device(void **state)
{
	struct fixture *f = *state;
	uint64_t config = off_of(f, VIRTIO_PCI_CAP_DEVICE_CFG);

	f->fake.in_op = signal_all;
	f->fake.in_op_opaque = f;
	run(f);
	assert_true(line_is_readable(f)); /* and nothing is forgotten */
	virtio_pci_service_line(f->transport);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	get(f, config, 1);
	assert_true(line_is_readable(f));
	virtio_pci_service_line(f->transport);
	set(f, config, 1, 1);
	assert_true(line_is_readable(f));
	pci_host_cfg_write(f->pci.host, DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->fake.stops, 1);
	assert_true(line_is_readable(f));
	pci_host_cfg_write(f->pci.host, DEVFN, PCI_COMMAND, 2,
			   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fake.starts, 2);
	pci_dev_reset(virtio_pci_dev(f->transport));
	assert_int_equal(f->fake.stops, 2);
	assert_int_equal(f->fake.resets, 1);
	assert_false(f->disturbed);
	f->fake.in_op = NULL;
}

/* A change that no driver has read of is told to the next one, once. */
static void test_virtio_pci_config_changes_without_a_driver(void **state)
{
	struct fixture *f = *state;
	uint64_t isr = off_of(f, VIRTIO_PCI_CAP_ISR_CFG);

	virtio_dev_config_changed(&f->fake.dev);
	virtio_pci_service_line(f->transport);
	run(f);
	assert_true(line_is_readable(f));
	virtio_pci_service_line(f->transport);
	assert_true(fake_irq_level(f->pci.irq, GSI));
	assert_int_equal(get(f, isr, 1), VIRTIO_PCI_ISR_CONFIG);
	get(f, off_of(f, VIRTIO_PCI_CAP_DEVICE_CFG), 1);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	negotiate(f, VERSION_1 | OWN_FEATURE);
	set(f, VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_false(line_is_readable(f));
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_virtio_pci_doorbells_follow_the_bar),
		TEST(test_virtio_pci_kicks_that_trap),
		TEST(test_virtio_pci_intx),
		TEST(test_virtio_pci_intx_is_for_a_driver),
		TEST(test_virtio_pci_intx_waits_for_the_device),
		TEST(test_virtio_pci_config_changes_without_a_driver),
		TEST(test_virtio_pci_msix),
		TEST(test_virtio_pci_vectors_out_of_range),
		TEST(test_virtio_pci_masked_is_pending),
		TEST(test_virtio_pci_between_msix_and_intx),
		TEST(test_virtio_pci_routes_run_out),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
