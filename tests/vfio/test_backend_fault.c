/* The fault back end in front of tests/fake_backend.h: what it keeps from the device, what it hands
 * on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "tests/fake_backend.h"
#include "vfio/host.h"
#include "vmm/base/bits.h"

static const enum vfio_low_power features[] = {
	VFIO_LOW_POWER_ENTRY, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP, VFIO_LOW_POWER_EXIT,
};

static void test_backend_fault_refuses_low_power(void **state)
{
	static const int errors[] = {-ENOTTY, -EINVAL, -EIO};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		struct fake_backend *fake = fake_backend_create("0000:01:00.0");
		struct vfio_backend *fault = vfio_fault_backend_wrap(&fake->backend, errors[i]);

		assert_non_null(fault);
		assert_string_equal(fault->name, "0000:01:00.0");
		assert_int_equal(fault->ops->low_power(fault, VFIO_LOW_POWER_ENTRY, -1), errors[i]);
		assert_int_equal(fault->ops->low_power(fault, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP, 0),
				 errors[i]);
		assert_int_equal(fake->calls, 0);
		assert_int_equal(fault->ops->low_power(fault, VFIO_LOW_POWER_EXIT, -1), 0);
		assert_int_equal(fake->count[FAKE_EXIT], 1);
		for (unsigned int j = 0; j < ARRAY_SIZE(features); j++)
			assert_int_equal(fault->ops->low_power_probe(fault, features[j]),
					 errors[i] == -ENOTTY ? -ENOTTY : 0);
		fault->ops->close(fault);
		assert_true(fake->closed);
		fake_backend_destroy(fake);
	}
}

/* Calls every op but low power and close once, with arguments that tell them apart. */
static void call_all(struct vfio_backend *backend)
{
	const struct vfio_backend_ops *ops = backend->ops;
	struct vfio_observation observation = {0};
	struct vfio_region region;
	int fds[2] = {-1, -1};
	char why[64];
	uint8_t byte = 0x5a;
	void *hva = NULL;

	assert_int_equal(ops->region_info(backend, 5, &region), 0);
	assert_int_equal(region.size, 16 * KIB);
	assert_int_equal(ops->region_read(backend, VFIO_PCI_CONFIG_REGION_INDEX, 2, &byte, 1), 1);
	assert_int_equal(ops->region_write(backend, VFIO_PCI_CONFIG_REGION_INDEX, 0x3c, &byte, 1),
			 1);
	assert_int_equal(ops->region_map(backend, 0, 0x1000, 0x2000, &hva), 0);
	assert_non_null(hva);
	ops->region_unmap(backend, hva, 0x2000);
	assert_int_equal(ops->irq_count(backend, VFIO_PCI_MSIX_IRQ_INDEX), 48);
	assert_int_equal(ops->irq_set_triggers(backend, VFIO_PCI_MSIX_IRQ_INDEX, 0, 2, fds), 0);
	assert_int_equal(ops->irq_disable(backend, VFIO_PCI_MSIX_IRQ_INDEX), 0);
	assert_int_equal(ops->irq_set_triggers(backend, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, fds), 0);
	assert_int_equal(ops->intx_set_unmask(backend, -1), 0);
	assert_int_equal(ops->intx_unmask(backend), 0);
	assert_int_equal(ops->irq_disable(backend, VFIO_PCI_INTX_IRQ_INDEX), 0);
	assert_int_equal(ops->reset(backend), 0);
	assert_true(ops->can_reset(backend));
	assert_true(ops->can_slot_reset(backend));
	assert_int_equal(ops->slot_reset(backend), 0);
	assert_int_equal(ops->map_ram(backend, NULL, why, sizeof(why)), 0);
	assert_int_equal(ops->observe(backend, &observation), 0);
	assert_string_equal(observation.power_state, "D3hot");
}

/* The device sees the same calls as without the wrapper. */
static void test_backend_fault_hands_on(void **state)
{
	struct fake_backend *plain = fake_backend_create_gpu("0000:01:00.0", true);
	struct fake_backend *wrapped = fake_backend_create_gpu("0000:01:00.0", true);
	struct vfio_backend *fault = vfio_fault_backend_wrap(&wrapped->backend, -ENOTTY);

	(void)state;
	assert_non_null(fault);
	plain->can_slot_reset = wrapped->can_slot_reset = true;
	plain->tells = wrapped->tells = true;
	plain->observation = wrapped->observation =
		(struct vfio_observation){.power_state = "D3hot"};
	call_all(&plain->backend);
	call_all(fault);
	assert_int_equal(plain->calls, wrapped->calls);
	assert_true(plain->calls >= 18);
	for (unsigned int i = 0; i < plain->calls; i++) {
		assert_int_equal(plain->call[i].op, wrapped->call[i].op);
		assert_int_equal(plain->call[i].index, wrapped->call[i].index);
		assert_int_equal(plain->call[i].off, wrapped->call[i].off);
		assert_int_equal(plain->call[i].len, wrapped->call[i].len);
		assert_int_equal(plain->call[i].result, wrapped->call[i].result);
	}
	plain->backend.ops->close(&plain->backend);
	fault->ops->close(fault);
	assert_true(wrapped->closed);
	fake_backend_destroy(plain);
	fake_backend_destroy(wrapped);
}

/* An error of the device stays the device's own. */
static void test_backend_fault_hands_errors_back(void **state)
{
	struct fake_backend *fake = fake_backend_create_gpu("0000:01:00.0", false);
	struct vfio_backend *fault = vfio_fault_backend_wrap(&fake->backend, -ENOTTY);
	struct vfio_observation observation;
	uint32_t id;

	(void)state;
	assert_non_null(fault);
	fake_backend_fail(fake, FAKE_REGION_READ, -EIO, 0, 1);
	assert_int_equal(fault->ops->region_read(fault, VFIO_PCI_CONFIG_REGION_INDEX, 0, &id, 4),
			 -EIO);
	fake_backend_fail(fake, FAKE_RESET, -EAGAIN, 0, 1);
	assert_int_equal(fault->ops->reset(fault), -EAGAIN);
	assert_false(fault->ops->can_slot_reset(fault));
	assert_int_equal(fault->ops->slot_reset(fault), -ENOTTY);
	assert_int_equal(fault->ops->observe(fault, &observation), -ENOTSUP);
	fault->ops->close(fault);
	fake_backend_destroy(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backend_fault_refuses_low_power),
		cmocka_unit_test(test_backend_fault_hands_on),
		cmocka_unit_test(test_backend_fault_hands_errors_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
