#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "tests/fake_function.h"
#include "tests/fake_irq.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSI VFIO_PCI_MSI_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define PMCSR 0x44
#define MSI_FLAGS 0x4a
#define MSIX_FLAGS 0xa2
#define ADDRESS 0xfee00000U

static int teardown(void **state)
{
	const struct fake_function *fake = *state;

	assert_int_equal(fake->device->violations, 0);
	return fake_function_teardown(state);
}

/* What the slot's thread does for the guest's _OFF and _ON. */
static void sleep_device(struct fake_function *fake)
{
	struct vfio_backend *backend = vfio_function_backend(fake->function);

	vfio_function_detach(fake->function);
	assert_int_equal(backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY, -1), 0);
	fake_backend_forget(fake->device);
}

static void wake_device(struct fake_function *fake)
{
	struct vfio_backend *backend = vfio_function_backend(fake->function);

	assert_int_equal(backend->ops->low_power(backend, VFIO_LOW_POWER_EXIT, -1), 0);
	assert_int_equal(vfio_function_check(fake->function), 0);
	fake_backend_forget(fake->device);
	vfio_function_attach(fake->function);
}

/* --- asleep: nothing that the guest does reaches the device --- */

static void touch_config(struct fake_function *fake)
{
	for (uint16_t off = 0; off < PCI_CFG_LEN; off += 4) {
		for (unsigned int len = 1; len <= 4; len *= 2) {
			uint32_t got = fake_function_read(fake, off, len);

			if (off != PMCSR)
				assert_int_equal(got, ones(len));
			fake_function_write(fake, off, len, (uint32_t)ones(len));
			fake_function_write(fake, off, len, 0);
		}
	}
}

static void touch_bars(struct fake_function *fake, const uint64_t *at, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (unsigned int len = 1; len <= 8; len *= 2) {
			assert_true(fake_function_mmio_read(fake, at[i], len) == ones(len));
			fake_function_mmio_write(fake, at[i], len, 0);
		}
	}
}

static void test_function_asleep_is_left_alone(void **state)
{
	struct fake_function *fake = *state;
	const uint64_t at[] = {
		fake_function_at(fake, 0, 0),      fake_function_at(fake, 2, 0x100),
		fake_function_at(fake, 5, 0x1000), fake_function_at(fake, 5, 0x100c),
		fake_function_at(fake, 5, 0x2000), fake_function_at(fake, PCI_BAR_ROM, 0),
	};

	fake_function_set_vector(fake, 0, ADDRESS, 0x60, false);
	fake_function_write(fake, MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	sleep_device(fake);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	touch_config(fake);
	touch_bars(fake, at, ARRAY_SIZE(at));
	vfio_function_set_pme_status(fake->function);
	assert_false(vfio_function_pme_enable(fake->function));
	assert_true(vfio_function_pme_status(fake->function));
	vfio_function_drop_windows(fake->function);
	assert_int_equal(fake->device->calls, 0);
	assert_int_equal(fake->device->violations, 0);
	assert_true(fake->device->engaged);
	assert_int_equal(fake->host_errors, 0);
	wake_device(fake);
}

/* A reset by the root port or the machine must not reach a device that sleeps either; what it
 * changed is applied by attach. */
static void test_function_asleep_survives_reset(void **state)
{
	struct fake_function *fake = *state;

	fake_function_write(fake, MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	sleep_device(fake);
	pci_dev_reset(vfio_function_pci(fake->function));
	assert_int_equal(fake->device->calls, 0);
	assert_int_equal(fake->device->irq[MSI].enabled, 1);
	wake_device(fake);
	assert_int_equal(fake->device->irq[MSI].enabled, 0);
	assert_int_equal(fake->device->irq[INTX].enabled, 1);
	assert_int_equal(le16_get(fake->device->cfg + PCI_COMMAND), 0);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
}

/* --- coming back --- */

static void test_function_attach_restores_windows_and_state(void **state)
{
	struct fake_function *fake = *state;

	fake_function_write(fake, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	sleep_device(fake);
	assert_int_equal(fake_function_read(fake, PMCSR, 2), 0x010b);
	vfio_function_set_pme_status(fake->function);
	assert_int_equal(fake_function_read(fake, PMCSR, 2), 0x810b);
	wake_device(fake);
	assert_int_equal(fake_function_read(fake, PMCSR, 2), 0x8108);
	assert_int_equal(fake_mem_windows(fake->mem), 4);
	assert_int_equal(fake_function_read(fake, PCI_COMMAND, 2), 7);
	/* nothing had changed, so nothing was written */
	assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_WRITE, 0, NULL), 0);
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 0);
}

/* Memory decoding off while the guest slept: no windows come back. */
static void test_function_attach_honours_command(void **state)
{
	struct fake_function *fake = *state;

	fake_function_write(fake, PCI_COMMAND, 2, 0);
	sleep_device(fake);
	wake_device(fake);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
}

static void test_function_pme_cleared_while_asleep(void **state)
{
	struct fake_function *fake = *state;

	fake_function_write(fake, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE | 3);
	sleep_device(fake);
	vfio_function_set_pme_status(fake->function);
	fake_function_write(fake, PMCSR, 2, PCI_PM_CTRL_PME_STATUS);
	assert_int_equal(fake->pme_cleared, 1);
	assert_false(vfio_function_pme_enable(fake->function));
	assert_false(vfio_function_pme_status(fake->function));
	wake_device(fake);
}

/* Windows go before the entry and come after the exit. */
static void assert_no_windows(struct fake_backend *device, const struct fake_call *call)
{
	struct fake_function *fake = device->hook_opaque;

	if (call->op == FAKE_ENTRY || call->op == FAKE_EXIT)
		assert_int_equal(fake_mem_windows(fake->mem), 0);
}

static void test_function_windows_never_while_engaged(void **state)
{
	struct fake_function *fake = *state;

	fake->device->hook_opaque = fake;
	fake->device->hook = assert_no_windows;
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(fake_mem_windows(fake->mem), 4);
		sleep_device(fake);
		wake_device(fake);
	}
	fake->device->hook = NULL;
}

/* --- interrupts over sleep --- */

static void test_function_intx_over_sleep(void **state)
{
	struct fake_function *fake = *state;
	int trigger = fake_function_trigger(fake, INTX, 0);
	struct irq_fd fd;

	assert_true(fake_irq_fd_by_trigger(fake->irq, trigger, &fd));
	vfio_function_detach(fake->function);
	/* before the entry: the guest's end of interrupt would make the host touch the device */
	assert_false(fake_irq_fd_by_trigger(fake->irq, trigger, &fd));
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_DISABLE, 0, NULL), 0);
	assert_true(fake_backend_fire(fake->device, INTX, 0)); /* stale by the time it is back */
	vfio_function_attach(fake->function);
	assert_true(fake_irq_fd_by_trigger(fake->irq, trigger, &fd));
	assert_int_equal(fake_backend_find(fake->device, FAKE_INTX_UNMASK, 0, NULL), 1);
	assert_int_equal(fake_irq_fire(fake->irq), 0);
}

static void test_function_messages_stay_over_sleep(void **state)
{
	struct fake_function *fake = *state;

	fake_function_set_vector(fake, 0, ADDRESS, 0x60, false);
	fake_function_write(fake, MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	sleep_device(fake);
	assert_int_equal(fake_irq_fd_count(fake->irq), 1);
	wake_device(fake);
	assert_int_equal(fake->device->calls, 0);
	assert_true(fake_backend_fire(fake->device, MSIX, 0));
	assert_int_equal(fake_irq_fire(fake->irq), 1);
}

/* What a guest restores after sleep: MSI off, written, on again. */
static void test_function_msi_restored_after_sleep(void **state)
{
	struct fake_function *fake = *state;

	fake_function_enable(fake, PCI_COMMAND_INTX_DISABLE);
	fake_function_write(fake, MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	sleep_device(fake);
	wake_device(fake);
	fake_function_write(fake, MSI_FLAGS, 2, 0);
	fake_function_write(fake, MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(fake->device->irq[MSI].enabled, 1);
	/* INTx, which is disabled, was not set up in between */
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_DISABLE, 0, NULL), 1);
	assert_int_equal(fake_backend_find(fake->device, FAKE_IRQ_SET_TRIGGERS, 0, NULL), 1);
}

/* --- lost --- */

static void test_function_gone_is_ones_for_ever(void **state)
{
	struct fake_function *fake = *state;

	vfio_function_gone(fake->function);
	fake_backend_forget(fake->device);
	assert_int_equal(fake_function_read(fake, PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(fake_function_read(fake, PMCSR, 2), 0xffff);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	fake_function_enable(fake, 0);
	assert_int_equal(fake->device->calls, 0);
	assert_int_equal(fake_irq_fd_count(fake->irq), 0);
}

static void test_function_check(void **state)
{
	struct fake_function *fake = *state;

	assert_int_equal(vfio_function_check(fake->function), 0);
	fake->device->dead = true;
	assert_int_equal(vfio_function_check(fake->function), -ENODEV);
	fake->device->dead = false;
	fake_backend_fail(fake->device, FAKE_REGION_READ, -EIO, 0, 1);
	assert_int_equal(vfio_function_check(fake->function), -EIO);
	assert_int_equal(fake->host_errors, 0);
}

/* --- reset --- */

/* While the host resets the device, nothing of it reaches the guest. */
static void assert_quiet_in_reset(struct fake_backend *device, const struct fake_call *call)
{
	struct fake_function *fake = device->hook_opaque;

	if (call->op != FAKE_RESET)
		return;
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	assert_int_equal(fake_irq_fd_count(fake->irq), 0);
	for (unsigned int i = 0; i <= MSIX; i++)
		assert_int_equal(device->irq[i].enabled, 0);
}

static void test_function_reset_is_quiet(void **state)
{
	struct fake_function *fake = *state;

	fake->device->hook_opaque = fake;
	fake->device->hook = assert_quiet_in_reset;
	assert_int_equal(vfio_function_reset(fake->function, true), 0); /* INTx before and after */
	fake_function_write(fake, MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	fake_function_enable(fake, 0);
	assert_int_equal(vfio_function_reset(fake->function, true), 0);
	assert_int_equal(fake->device->count[FAKE_RESET], 2);
	fake->device->hook = NULL;
}

static void test_function_reset_restores_image(void **state)
{
	struct fake_function *fake = *state;

	fake_function_write(fake, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE);
	vfio_function_set_pme_status(fake->function);
	fake_function_write(fake, PCI_INTERRUPT_LINE, 1, 11);
	fake_function_write(fake, MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(vfio_function_reset(fake->function, true), 0);
	assert_int_equal(fake->device->count[FAKE_RESET], 1);
	assert_int_equal(fake_function_read(fake, PCI_COMMAND, 2), 0);
	assert_int_equal(le16_get(fake->device->cfg + PCI_COMMAND), 0);
	assert_int_equal(fake_function_read(fake, PCI_INTERRUPT_LINE, 1), 0);
	assert_int_equal(fake_function_read(fake, PMCSR, 2), PCI_PM_CTRL_NO_SOFT_RESET);
	assert_int_equal(fake_function_read(fake, MSI_FLAGS, 2), 0x0184);
	assert_false(vfio_function_pme_enable(fake->function));
	assert_false(vfio_function_pme_status(fake->function));
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	assert_int_equal(fake->device->irq[MSI].enabled, 0);
}

static void test_function_reset_in_every_presence(void **state)
{
	static void (*const leave[])(struct vfio_function *function) = {
		vfio_function_detach, vfio_function_gone,
	};
	struct fake_function *fake = *state;

	for (size_t i = 0; i < ARRAY_SIZE(leave); i++) {
		leave[i](fake->function);
		assert_int_equal(vfio_function_reset(fake->function, true), 0);
		assert_int_equal(fake_function_read(fake, PCI_VENDOR_ID, 4), 0x12341002);
		pci_host_assign(fake->host);
		fake_function_enable(fake, 0);
		assert_int_equal(fake_mem_windows(fake->mem), 4);
		assert_int_equal(fake->device->irq[INTX].enabled, 1);
		assert_int_equal(fake_irq_fd_count(fake->irq), 1);
	}
}

static void test_function_reset_results(void **state)
{
	static const struct {
		bool can_reset;
		int error;
		int result;
		unsigned int resets;
	} cases[] = {
		{true, 0, 0, 1}, {false, 0, 0, 0}, {true, -EIO, -EIO, 1}, {true, 0, 0, 1},
	};
	struct fake_function *fake = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int before = fake->device->count[FAKE_RESET];

		fake->device->can_reset = cases[i].can_reset;
		fake_backend_fail(fake->device, FAKE_RESET, cases[i].error, 0, 1);
		assert_int_equal(vfio_function_reset(fake->function, true), cases[i].result);
		assert_int_equal(fake->device->count[FAKE_RESET] - before, cases[i].resets);
	}
	/* the caller has the result, no need to be told twice */
	assert_int_equal(fake->host_errors, 0);
}

/* Secondary Bus Reset in the root port's Bridge Control. */
static void test_function_reset_by_root_port(void **state)
{
	struct fake_function *fake = *state;
	const uint16_t port_bdf = 0x08;

	fake_function_write(fake, PMCSR, 2, PCI_PM_CTRL_PME_ENABLE);
	pci_host_cfg_write(fake->host, port_bdf, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	pci_host_cfg_write(fake->host, port_bdf, PCI_BRIDGE_CONTROL, 2, 0);
	assert_int_equal(fake->device->count[FAKE_RESET], 1);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	assert_int_equal(fake_function_read(fake, PCI_COMMAND, 2), 0);
	assert_int_equal(fake->pme_cleared, 1);
	fake_backend_fail(fake->device, FAKE_RESET, -EIO, 0, 1);
	pci_host_cfg_write(fake->host, port_bdf, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	pci_host_cfg_write(fake->host, port_bdf, PCI_BRIDGE_CONTROL, 2, 0);
	assert_int_equal(fake->host_errors, 1);
	assert_int_equal(fake->host_error, -EIO);
}

/* --- beginning and end --- */

static void test_function_plug_fails_when_taken(void **state)
{
	const struct vfio_function_listener listener = {0};
	struct fake_function *fake = *state;
	struct fake_backend *device = fake_backend_create_gpu("0000:02:00.0", true);
	struct vfio_function *second;
	char why[128] = "";

	assert_int_equal(vfio_function_create(&device->backend, 0, false, &listener, &second, why,
					      sizeof(why)), 0);
	assert_int_equal(vfio_function_plug(second, fake->mem, fake->irq, fake->host,
					    root_port_pci(fake->port), why, sizeof(why)), -EEXIST);
	assert_non_null(strstr(why, "0000:02:00.0: cannot be added"));
	vfio_function_destroy(second);
	assert_true(device->closed);
	assert_int_equal(device->maps, 0);
	assert_int_equal(device->violations, 0);
	fake_backend_destroy(device);
}

static void test_function_destroy(void **state)
{
	const struct vfio_function_listener listener = {0};
	struct fake_backend *device = fake_backend_create_gpu("0000:02:00.0", true);
	struct vfio_function *function;
	char why[128] = "";

	(void)state;
	vfio_function_destroy(NULL);
	assert_int_equal(vfio_function_create(&device->backend, 0, false, &listener, &function,
					      why, sizeof(why)), 0);
	vfio_function_destroy(function); /* never plugged */
	assert_true(device->closed);
	assert_int_equal(device->violations, 0);
	fake_backend_destroy(device);
}

static void count_touches(struct fake_backend *device, const struct fake_call *call)
{
	unsigned int *calls = device->hook_opaque;

	*calls += call->op != FAKE_REGION_UNMAP && call->op != FAKE_CLOSE;
}

/* A device whose exit from low power failed may be asleep still: to the end it is left alone. */
static void test_function_destroy_lost(void **state)
{
	struct fake_function fake;
	unsigned int calls;

	(void)state;
	fake_function_start(&fake, fake_backend_create_gpu("0000:02:00.0", true));
	fake_function_enable(&fake, 0);
	vfio_function_gone(fake.function);
	fake_backend_forget(fake.device);
	fake.device->hook_opaque = &calls;
	fake.device->hook = count_touches;
	calls = 0;
	fake_function_stop(&fake);
	assert_int_equal(calls, 0);
}

/* The device was given back: whatever the guest and a reset do to what remains is harmless. */
static void test_function_released_has_no_interrupts(void **state)
{
	struct fake_function *fake = *state;

	fake_function_set_vector(fake, 0, ADDRESS, 0x41, false);
	fake_function_write(fake, MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_function_release(fake->function);
	assert_true(fake->device->closed);
	assert_int_equal(fake_function_read(fake, PCI_VENDOR_ID, 4), 0xffffffff);
	vfio_function_reset(fake->function, true);
	fake_function_enable(fake, 0);
	fake_function_write(fake, MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	fake_function_write(fake, MSIX_FLAGS, 2, 0);
	fake_function_write(fake, MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	fake_function_read(fake, PCI_STATUS, 2);
	assert_int_equal(fake_irq_fd_count(fake->irq), 0);
}

/* A guest that does anything to its device, asleep and awake. The fakes abort on what must not be:
 * windows or irqfds left, unmapping twice; the device counts what reaches it asleep. */
static void test_function_random_guest(void **state)
{
	struct fake_function *fake = *state;
	uint64_t seed = 1;
	bool asleep = false;

	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int len, off;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		len = 1U << (seed >> 60) % 3;
		off = (unsigned int)(seed >> 40) % 0x200 & ~(len - 1);
		switch ((seed >> 33) % 16) {
		case 0:
			if (asleep)
				wake_device(fake);
			else
				sleep_device(fake);
			asleep = !asleep;
			break;
		case 1:
			fake_function_mmio_write(fake, fake_function_at(fake, 5, 0x1000 + off),
						 4, (uint32_t)(seed >> 8));
			break;
		case 2: /* BARs where they decode again */
			pci_host_assign(fake->host);
			fake_function_write(fake, PMCSR, 2, 0);
			fake_function_enable(fake, 0);
			break;
		case 3:
			fake_function_read(fake, (uint16_t)off, len);
			break;
		case 4:
			fake_function_mmio_read(fake, fake_function_at(fake, 5, off * 16), len);
			break;
		default:
			fake_function_write(fake, (uint16_t)off, len, (uint32_t)(seed >> 8));
			break;
		}
		assert_int_equal(fake->device->violations, 0);
	}
	if (asleep)
		wake_device(fake);
}

int main(void)
{
#define PLUGGED(name)                                                                              \
	cmocka_unit_test_setup_teardown(name, fake_function_setup_enabled, teardown)
	const struct CMUnitTest tests[] = {
		PLUGGED(test_function_asleep_is_left_alone),
		PLUGGED(test_function_asleep_survives_reset),
		PLUGGED(test_function_attach_restores_windows_and_state),
		PLUGGED(test_function_attach_honours_command),
		PLUGGED(test_function_pme_cleared_while_asleep),
		PLUGGED(test_function_windows_never_while_engaged),
		PLUGGED(test_function_intx_over_sleep),
		PLUGGED(test_function_messages_stay_over_sleep),
		PLUGGED(test_function_msi_restored_after_sleep),
		PLUGGED(test_function_gone_is_ones_for_ever),
		PLUGGED(test_function_check),
		PLUGGED(test_function_reset_is_quiet),
		PLUGGED(test_function_reset_restores_image),
		PLUGGED(test_function_reset_in_every_presence),
		PLUGGED(test_function_reset_results),
		PLUGGED(test_function_reset_by_root_port),
		PLUGGED(test_function_plug_fails_when_taken),
		PLUGGED(test_function_destroy),
		cmocka_unit_test(test_function_destroy_lost),
		PLUGGED(test_function_released_has_no_interrupts),
		PLUGGED(test_function_random_guest),
	};

	return cmocka_run_group_tests_name("function", tests, NULL, NULL);
}
