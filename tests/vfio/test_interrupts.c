#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "devices/pci.h"
#include "tests/fake_function.h"
#include "tests/fake_irq.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"

#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSI VFIO_PCI_MSI_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define MSI_CAP 0x48
#define MSIX_FLAGS (0xa0 + PCI_MSIX_FLAGS)
#define MSIX_PBA 0x2000
#define TABLE_SIZE 48U
#define AT_ONCE 32U /* messages that the host is asked for with MSI-X */
#define ADDRESS 0xfee00000U

/* Messages that the host delivers, of the one kind that may; the others must have none. */
static void assert_enabled(struct fake_function *fake, unsigned int kind, unsigned int count)
{
	for (unsigned int i = 0; i <= MSIX; i++)
		assert_int_equal(fake->device->irq[i].enabled, i == kind ? count : 0);
}

static bool is_attached(struct fake_function *fake, unsigned int kind, unsigned int vector)
{
	struct irq_fd fd;
	int trigger = fake_function_trigger(fake, kind, vector);

	return trigger >= 0 && fake_irq_fd_by_trigger(fake->irq, trigger, &fd);
}

/* The device signals; what arrives at the guest is `*ret_message`. False: nothing does. */
static bool fire(struct fake_function *fake, unsigned int kind, unsigned int vector,
		 struct msi_message *ret_message)
{
	fake_irq_forget_msis(fake->irq);
	assert_true(fake_backend_fire(fake->device, kind, vector));
	fake_irq_fire(fake->irq);
	if (!fake_irq_msi_count(fake->irq))
		return false;
	*ret_message = fake_irq_msi(fake->irq, 0);
	return true;
}

/* --- INTx --- */

static void test_interrupts_intx_at_start(void **state)
{
	struct fake_function *fake = *state;
	uint32_t gsi = vfio_function_pci(fake->function)->intx.gsi;
	struct irq_fd fd;

	assert_enabled(fake, INTX, 1);
	assert_true(fake_irq_fd_by_trigger(fake->irq, fake_function_trigger(fake, INTX, 0), &fd));
	assert_int_equal(fd.gsi, gsi);
	assert_true(gsi >= GSI_PCI_FIRST);
	assert_int_equal(fd.resample, fake->device->unmask_fd);
	assert_true(fd.resample >= 0);
	assert_true(fake_backend_fire(fake->device, INTX, 0));
	assert_int_equal(fake_irq_fire(fake->irq), 1);
	assert_int_equal(fake_irq_pulses(fake->irq, gsi), 1);
}

static void test_interrupts_intx_disable_bit(void **state)
{
	struct fake_function *fake = *state;

	fake_function_enable(fake, PCI_COMMAND_INTX_DISABLE);
	assert_enabled(fake, INTX, 0);
	assert_int_equal(fake_irq_fd_count(fake->irq), 0);
	fake_function_enable(fake, 0);
	assert_enabled(fake, INTX, 1);
	assert_int_equal(fake_irq_fd_count(fake->irq), 1);
}

static void test_interrupts_without_pin(void **state)
{
	struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
	struct fake_function fake;

	(void)state;
	device->cfg[PCI_INTERRUPT_PIN] = 0;
	fake_function_start(&fake, device);
	fake_function_enable(&fake, 0);
	assert_enabled(&fake, INTX, 0);
	assert_int_equal(device->count[FAKE_IRQ_SET_TRIGGERS], 0);
	fake_function_stop(&fake);
}

/* --- MSI --- */

static void enable_msi(struct fake_function *fake, unsigned int mme)
{
	fake_function_write(fake, MSI_CAP + PCI_MSI_ADDRESS_LO, 4, ADDRESS);
	fake_function_write(fake, MSI_CAP + PCI_MSI_ADDRESS_HI, 4, 0);
	fake_function_write(fake, MSI_CAP + PCI_MSI_DATA_64, 2, 0x4047);
	fake_function_write(fake, MSI_CAP + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | mme << 4);
}

static void test_interrupts_msi_messages(void **state)
{
	static const struct {
		unsigned int mme, count;
		unsigned int vector;
		uint32_t data;
	} cases[] = {
		{0, 1, 0, 0x4047},
		{1, 2, 0, 0x4046},
		{1, 2, 1, 0x4047},
		{2, 4, 1, 0x4045},
		{2, 4, 3, 0x4047},
		{3, 4, 2, 0x4046}, /* more than Multiple Message Capable */
		{7, 4, 3, 0x4047}, /* reserved */
	};
	struct fake_function *fake = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct msi_message message = {0};

		enable_msi(fake, cases[i].mme);
		assert_enabled(fake, MSI, cases[i].count);
		assert_true(fire(fake, MSI, cases[i].vector, &message));
		assert_int_equal(message.address, ADDRESS);
		assert_int_equal(message.data, cases[i].data);
		fake_function_write(fake, MSI_CAP + PCI_MSI_FLAGS, 2, 0);
		assert_enabled(fake, INTX, 1);
	}
	assert_int_equal(fake->host_errors, 0);
}

static void test_interrupts_msi_moves(void **state)
{
	struct fake_function *fake = *state;
	struct msi_message message;
	unsigned int before;

	enable_msi(fake, 0);
	before = fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL);
	fake_function_write(fake, MSI_CAP + PCI_MSI_ADDRESS_LO, 4, ADDRESS | 0x1000);
	fake_function_write(fake, MSI_CAP + PCI_MSI_DATA_64, 2, 0x31);
	assert_true(fire(fake, MSI, 0, &message));
	assert_int_equal(message.address, ADDRESS | 0x1000);
	assert_int_equal(message.data, 0x31);
	/* a route is all that changed */
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), before);
	assert_int_equal(fake_irq_route_count(fake->irq), 1);
}

static void test_interrupts_msi_mask_and_pending(void **state)
{
	struct fake_function *fake = *state;
	struct msi_message message;

	enable_msi(fake, 2);
	fake_function_write(fake, MSI_CAP + PCI_MSI_MASK_64, 4, 0xffffffff);
	assert_int_equal(fake_function_read(fake, MSI_CAP + PCI_MSI_MASK_64, 4), 0xf);
	assert_false(fire(fake, MSI, 2, &message));
	assert_int_equal(fake_function_read(fake, MSI_CAP + PCI_MSI_PENDING_64, 4), 4);
	assert_int_equal(fake_function_read(fake, MSI_CAP + PCI_MSI_PENDING_64, 1), 4);
	fake_function_write(fake, MSI_CAP + PCI_MSI_MASK_64, 4, 0);
	assert_int_equal(fake_irq_fire(fake->irq), 1);
	assert_int_equal(fake_irq_msi(fake->irq, 0).data, 0x4046);
	assert_int_equal(fake_function_read(fake, MSI_CAP + PCI_MSI_PENDING_64, 4), 0);
}

static void test_interrupts_msi_host_grants_fewer(void **state)
{
	struct fake_function *fake = *state;

	/* the kernel answers the number that it can do */
	fake_backend_fail(fake->device, FAKE_IRQ_SET_TRIGGERS, 2, 0, 1);
	enable_msi(fake, 2);
	assert_enabled(fake, MSI, 2);
	/* and is not asked again at every write */
	fake_backend_forget(fake->device);
	fake_function_write(fake, MSI_CAP + PCI_MSI_MASK_64, 4, 1);
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 0);
	assert_int_equal(fake->host_errors, 0);
}

/* --- MSI-X --- */

static void set_msix(struct fake_function *fake, uint16_t flags)
{
	fake_function_write(fake, MSIX_FLAGS, 2, flags);
}

/* The order of Linux: enabled and masked as a whole, the table filled, unmasked. */
static void test_interrupts_msix_like_linux(void **state)
{
	struct fake_function *fake = *state;
	struct msi_message message;

	set_msix(fake, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_enabled(fake, MSIX, AT_ONCE);
	fake_backend_forget(fake->device);
	for (unsigned int i = 0; i < 5; i++)
		fake_function_set_vector(fake, i, ADDRESS, 0x50 + i, true);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_irq_fd_count(fake->irq), 0);
	fake_function_set_vector(fake, 1, ADDRESS, 0x51, false);
	assert_int_equal(fake_irq_fd_count(fake->irq), 1);
	fake_function_set_vector(fake, 4, ADDRESS | 0x2000, 0x54, false);
	/* the host was asked once, so nothing was taken away and no message made up */
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 0);
	assert_enabled(fake, MSIX, AT_ONCE);
	assert_int_equal(fake_irq_fire(fake->irq), 0);
	assert_true(fire(fake, MSIX, 1, &message));
	assert_int_equal(message.data, 0x51);
	assert_true(fire(fake, MSIX, 4, &message));
	assert_int_equal(message.address, ADDRESS | 0x2000);
	assert_int_equal(message.data, 0x54);
	assert_false(fire(fake, MSIX, 0, &message)); /* masked */
	set_msix(fake, 0);
	assert_enabled(fake, INTX, 1);
	assert_int_equal(fake->host_errors, 0);
}

static void test_interrupts_msix_table_before_enable(void **state)
{
	struct fake_function *fake = *state;

	fake_function_set_vector(fake, 40, ADDRESS, 0x66, false);
	assert_enabled(fake, INTX, 1);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_enabled(fake, MSIX, 41);
	assert_true(is_attached(fake, MSIX, 40));
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 1);
}

/* What the host did not grant is asked for once, not for every message. */
static void test_interrupts_msix_host_grants_fewer(void **state)
{
	struct fake_function *fake = *state;

	for (unsigned int i = 0; i < 8; i++)
		fake_function_set_vector(fake, i, ADDRESS, 0x60 + i, false);
	fake_backend_forget(fake->device);
	fake_backend_fail(fake->device, FAKE_IRQ_SET_TRIGGERS, 2, 0, 1);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_enabled(fake, MSIX, 2);
	/* what is usual, then the two */
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 2);
	assert_true(is_attached(fake, MSIX, 1));
	assert_int_equal(fake_irq_fd_count(fake->irq), 2);
	fake_function_set_vector(fake, 7, ADDRESS, 0x77, false);
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 2);
	assert_int_equal(fake->host_errors, 0);
}

static void test_interrupts_msix_growth_loses_nothing(void **state)
{
	struct fake_function *fake = *state;
	int trigger;

	fake_function_set_vector(fake, 0, ADDRESS, 0x60, false);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_enabled(fake, MSIX, AT_ONCE);
	trigger = fake_function_trigger(fake, MSIX, 0);
	fake_function_set_vector(fake, 40, ADDRESS, 0x68, false);
	assert_enabled(fake, MSIX, 41);
	assert_int_equal(fake_function_trigger(fake, MSIX, 0), trigger);
	/* what may have been sent in between is sent again */
	assert_int_equal(fake_irq_fire(fake->irq), 1);
	assert_int_equal(fake_irq_msi(fake->irq, 0).data, 0x60);
	/* a vector that is in reach needs no growth */
	fake_backend_forget(fake->device);
	fake_function_set_vector(fake, 39, ADDRESS, 0x67, false);
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 0);
	assert_true(is_attached(fake, MSIX, 39));
}

static void test_interrupts_msix_mask_and_pending(void **state)
{
	struct fake_function *fake = *state;
	uint64_t pba = fake_function_at(fake, 5, MSIX_PBA);
	struct msi_message message;

	fake_function_set_vector(fake, 2, ADDRESS, 0x62, false);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	fake_function_set_vector(fake, 2, ADDRESS, 0x62, true);
	assert_false(is_attached(fake, MSIX, 2));
	assert_int_equal(fake_function_mmio_read(fake, pba, 8), 0);
	assert_false(fire(fake, MSIX, 2, &message));
	assert_int_equal(fake_function_mmio_read(fake, pba, 8), 4);
	/* moved while masked: goes to the new place */
	fake_function_set_vector(fake, 2, ADDRESS, 0x72, false);
	assert_int_equal(fake_irq_fire(fake->irq), 1);
	assert_int_equal(fake_irq_msi(fake->irq, 0).data, 0x72);
	assert_int_equal(fake_function_mmio_read(fake, pba, 8), 0);
}

static void test_interrupts_msix_function_mask(void **state)
{
	struct fake_function *fake = *state;

	fake_function_set_vector(fake, 0, ADDRESS, 0x60, false);
	fake_function_set_vector(fake, 1, ADDRESS, 0x61, false);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_irq_fd_count(fake->irq), 2);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(fake_irq_fd_count(fake->irq), 0);
	assert_enabled(fake, MSIX, AT_ONCE);
	assert_true(fake_backend_fire(fake->device, MSIX, 1));
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_irq_fire(fake->irq), 1);
	assert_int_equal(fake_irq_msi(fake->irq, 0).data, 0x61);
}

static void test_interrupts_msix_reroutes_while_unmasked(void **state)
{
	struct fake_function *fake = *state;
	struct msi_message message;

	fake_function_set_vector(fake, 0, ADDRESS, 0x60, false);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	fake_function_set_vector(fake, 0, ADDRESS, 0x99, false);
	assert_true(fire(fake, MSIX, 0, &message));
	assert_int_equal(message.data, 0x99);
	assert_int_equal(fake_irq_fds_ever(fake->irq), 2); /* INTx and this one */
}

static void test_interrupts_msix_over_msi(void **state)
{
	struct fake_function *fake = *state;

	enable_msi(fake, 1);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_enabled(fake, MSIX, AT_ONCE);
	set_msix(fake, 0);
	assert_enabled(fake, MSI, 2);
}

/* Every vector of the largest table, to see that numbers stay apart. */
static void test_interrupts_msix_whole_table(void **state)
{
	struct fake_function *fake = *state;
	struct msi_message message;

	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int i = TABLE_SIZE; i-- > 0;)
		fake_function_set_vector(fake, i, ADDRESS | i << 12, 0x40 + i, false);
	assert_enabled(fake, MSIX, TABLE_SIZE);
	fake_irq_fire(fake->irq);
	for (unsigned int i = 0; i < TABLE_SIZE; i++) {
		assert_true(fire(fake, MSIX, i, &message));
		assert_int_equal(message.address, ADDRESS | i << 12);
		assert_int_equal(message.data, 0x40 + i);
		assert_int_equal(fake_irq_msi_count(fake->irq), 1);
	}
	/* entries beyond the table are not there */
	assert_int_equal(fake_function_mmio_read(
				 fake, fake_function_at(fake, 5, 0x1000 + 16 * TABLE_SIZE), 4),
			 0);
}

/* --- failures --- */

static void test_interrupts_host_refuses(void **state)
{
	struct fake_function *fake = *state;

	fake_backend_fail(fake->device, FAKE_IRQ_SET_TRIGGERS, -ENOSPC, 0, 1);
	fake_function_set_vector(fake, 0, ADDRESS, 0x60, false);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_enabled(fake, MSIX, 0);
	assert_int_equal(fake->host_errors, 1);
	assert_int_equal(fake_irq_fd_count(fake->irq), 0);
	/* the next change tries again */
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	assert_enabled(fake, MSIX, AT_ONCE);
	assert_true(is_attached(fake, MSIX, 0));
}

static void test_interrupts_chip_refuses(void **state)
{
	static void (*const fail[])(struct irq_chip *chip, int error) = {
		fake_irq_fail_route_alloc, fake_irq_fail_route_set, fake_irq_fail_fd_attach,
	};
	struct fake_function *fake = *state;

	for (uint32_t i = 0; i < ARRAY_SIZE(fail); i++) {
		fake_function_set_vector(fake, 0, ADDRESS, 0x60 + i, false);
		fake_function_enable(fake, PCI_COMMAND_INTX_DISABLE);
		fail[i](fake->irq, -ENOSPC);
		set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
		assert_enabled(fake, MSIX, AT_ONCE);
		assert_int_equal(fake_irq_fd_count(fake->irq), 0);
		/* the next change tries again */
		fail[i](fake->irq, 0);
		fake_function_set_vector(fake, 0, ADDRESS, 0x60 + i, false);
		assert_true(is_attached(fake, MSIX, 0));
		set_msix(fake, 0);
		assert_int_equal(fake_irq_fd_count(fake->irq), 0);
	}
}

/* --- reset --- */

static void test_interrupts_reset_forgets(void **state)
{
	struct fake_function *fake = *state;
	struct msi_message message;

	fake_function_set_vector(fake, 1, ADDRESS, 0x61, false);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	fake_function_set_vector(fake, 1, ADDRESS, 0x61, true);
	assert_false(fire(fake, MSIX, 1, &message)); /* pending */
	assert_int_equal(vfio_function_reset(fake->function, true), 0);
	assert_enabled(fake, INTX, 1);
	assert_int_equal(fake_irq_fd_count(fake->irq), 1);
	pci_host_assign(fake->host);
	fake_function_enable(fake, 0);
	fake_function_set_vector(fake, 1, ADDRESS, 0x61, false);
	set_msix(fake, PCI_MSIX_FLAGS_ENABLE);
	fake_irq_forget_msis(fake->irq);
	fake_irq_fire(fake->irq);
	assert_int_equal(fake_irq_msi_count(fake->irq), 0);
}

int main(void)
{
#define PLUGGED(name)                                                                              \
	cmocka_unit_test_setup_teardown(name, fake_function_setup_enabled, fake_function_teardown)
	const struct CMUnitTest tests[] = {
		PLUGGED(test_interrupts_intx_at_start),
		PLUGGED(test_interrupts_intx_disable_bit),
		cmocka_unit_test(test_interrupts_without_pin),
		PLUGGED(test_interrupts_msi_messages),
		PLUGGED(test_interrupts_msi_moves),
		PLUGGED(test_interrupts_msi_mask_and_pending),
		PLUGGED(test_interrupts_msi_host_grants_fewer),
		PLUGGED(test_interrupts_msix_like_linux),
		PLUGGED(test_interrupts_msix_table_before_enable),
		PLUGGED(test_interrupts_msix_host_grants_fewer),
		PLUGGED(test_interrupts_msix_growth_loses_nothing),
		PLUGGED(test_interrupts_msix_mask_and_pending),
		PLUGGED(test_interrupts_msix_function_mask),
		PLUGGED(test_interrupts_msix_reroutes_while_unmasked),
		PLUGGED(test_interrupts_msix_over_msi),
		PLUGGED(test_interrupts_msix_whole_table),
		PLUGGED(test_interrupts_host_refuses),
		PLUGGED(test_interrupts_chip_refuses),
		PLUGGED(test_interrupts_reset_forgets),
	};

	return cmocka_run_group_tests_name("interrupts", tests, NULL, NULL);
}
