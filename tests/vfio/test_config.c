#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci.h"
#include "tests/fake_function.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define SAMPLE_PM 0x40
#define SAMPLE_MSI 0x48
#define SAMPLE_EXP 0x60
#define SAMPLE_MSIX 0xa0
#define SAMPLE_VENDOR 0xb0

/* --- the view --- */

static void test_config_shows_registers(void **state)
{
	static const struct {
		uint16_t off;
		uint8_t len;
		uint32_t value;
	} cases[] = {
		{PCI_VENDOR_ID, 4, 0x12341002},
		{PCI_CLASS_REVISION, 4, 0x030000a1},
		{PCI_SUBSYSTEM_VENDOR_ID, 4, 0x12341043},
		{PCI_HEADER_TYPE, 1, 0},
		{PCI_STATUS, 2, PCI_STATUS_CAP_LIST},
		{PCI_CAPABILITY_LIST, 1, SAMPLE_PM},
		{PCI_INTERRUPT_PIN, 1, 1},
		/* PMC: version 3, PME from D3hot and D3cold; PMCSR: D0, No_Soft_Reset */
		{SAMPLE_PM, 4, 0xc0034801},
		{SAMPLE_PM + PCI_PM_CTRL, 4, PCI_PM_CTRL_NO_SOFT_RESET},
		{SAMPLE_MSI, 4, 0x01846005},
		{SAMPLE_EXP, 4, 0x0002a010},
		{SAMPLE_EXP + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR | 1},
		{SAMPLE_EXP + PCI_EXP_LNKSTA, 2, 0x1103},
		{SAMPLE_MSIX, 4, 0x002fb011},
		{SAMPLE_MSIX + PCI_MSIX_TABLE, 4, 0x1005},
		{SAMPLE_VENDOR, 4, 0xab100009},
		{SAMPLE_VENDOR + 4, 4, 0xcafef00d},
		/* AER links past the hidden Resizable BAR to LTR, the last: SR-IOV is hidden */
		{0x100, 4, 0x18020001},
		{0x150, 4, 0},
		{0x158, 4, 0},
		{0x180, 4, 0x00010018},
		{0x184, 4, 0x10031003},
		{0x1a0, 4, 0},
		{0x1ac, 4, 0},
	};
	struct fake_function *fake = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t got = fake_function_read(fake, cases[i].off, cases[i].len);

		if (got != cases[i].value)
			print_message("at 0x%03x\n", cases[i].off);
		assert_int_equal(got, cases[i].value);
	}
	assert_int_equal(fake->host_errors, 0);
}

static void test_config_identity(void **state)
{
	struct fake_function *fake = *state;
	struct vfio_identity identity = vfio_function_identity(fake->function);

	assert_int_equal(identity.vendor, 0x1002);
	assert_int_equal(identity.device, 0x1234);
	assert_int_equal(identity.class, 0x030000);
	assert_true(identity.has_pm);
	assert_int_equal(identity.link_speed, 3);
	assert_int_equal(identity.link_width, 16);
	assert_string_equal(vfio_function_name(fake->function), "0000:01:00.0");
	assert_ptr_equal(vfio_function_backend(fake->function), &fake->device->backend);
}

/* A read asks the device for the bytes that live there, no others, in the guest's alignment. */
static void test_config_reads_exact_bytes(void **state)
{
	static const struct {
		uint16_t off;
		uint8_t len;
		unsigned int calls;
		uint16_t last_off;
		uint8_t last_len;
	} cases[] = {
		{PCI_VENDOR_ID, 4, 0, 0, 0},
		{PCI_COMMAND, 2, 0, 0, 0},
		{PCI_COMMAND, 4, 1, PCI_STATUS, 2},
		{PCI_BASE_ADDRESS_0, 4, 0, 0, 0},
		{SAMPLE_PM + PCI_PM_CTRL, 2, 0, 0, 0},
		{SAMPLE_MSI + PCI_MSI_ADDRESS_LO, 4, 0, 0, 0},
		{SAMPLE_MSIX, 4, 0, 0, 0},
		{SAMPLE_EXP + PCI_EXP_DEVCTL, 2, 1, SAMPLE_EXP + PCI_EXP_DEVCTL, 2},
		{SAMPLE_EXP + PCI_EXP_DEVCTL, 4, 1, SAMPLE_EXP + PCI_EXP_DEVCTL, 4},
		{SAMPLE_VENDOR, 4, 1, SAMPLE_VENDOR + 2, 2},
		{SAMPLE_VENDOR + 1, 1, 0, 0, 0},
		{SAMPLE_VENDOR + 5, 1, 1, SAMPLE_VENDOR + 5, 1},
		{0xe0, 4, 1, 0xe0, 4},
		{0x100, 4, 0, 0, 0},
		{0x104, 4, 1, 0x104, 4},
		{0x1a4, 4, 0, 0, 0},
	};
	struct fake_function *fake = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_call call = {0};
		unsigned int calls;

		fake_backend_forget(fake->device);
		fake_function_read(fake, cases[i].off, cases[i].len);
		calls = fake_backend_find(fake->device, FAKE_REGION_READ, 0, &call);
		if (calls != cases[i].calls)
			print_message("at 0x%03x\n", cases[i].off);
		assert_int_equal(calls, cases[i].calls);
		assert_int_equal(call.off, cases[i].last_off);
		assert_int_equal(call.len, cases[i].last_len);
	}
}

static void test_config_forwards_writes(void **state)
{
	static const struct {
		uint16_t off;
		uint8_t len;
		uint32_t value;
		unsigned int calls;
		uint16_t to;
		uint8_t to_len;
		uint32_t to_value;
	} cases[] = {
		{PCI_INTERRUPT_LINE, 1, 11, 0, 0, 0, 0},
		{PCI_BASE_ADDRESS_2, 4, 0xffffffff, 0, 0, 0, 0},
		{SAMPLE_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_ENABLE, 0, 0, 0, 0},
		{SAMPLE_EXP + PCI_EXP_DEVCTL, 2, 0x2810, 1, SAMPLE_EXP + PCI_EXP_DEVCTL, 2, 0x2810},
		{SAMPLE_VENDOR, 4, 0x11223344, 1, SAMPLE_VENDOR + 2, 2, 0x1122},
		{SAMPLE_VENDOR + 8, 4, 0x11223344, 1, SAMPLE_VENDOR + 8, 4, 0x11223344},
		{PCI_STATUS, 2, 0xffff, 1, PCI_STATUS, 2, 0xf908},
		{0x104, 4, 0xffffffff, 1, 0x104, 4, 0xffffffff},
		{0x158, 4, 0xffffffff, 0, 0, 0, 0},
	};
	struct fake_function *fake = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_call call = {0};

		fake_backend_forget(fake->device);
		fake_function_write(fake, cases[i].off, cases[i].len, cases[i].value);
		assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_WRITE, 0, &call),
				 cases[i].calls);
		assert_int_equal(call.off, cases[i].to);
		assert_int_equal(call.len, cases[i].to_len);
		assert_int_equal(call.value, cases[i].to_value);
	}
}

static void test_config_shows_device_changes(void **state)
{
	struct fake_function *fake = *state;

	le16_set(fake->device->cfg + SAMPLE_EXP + PCI_EXP_DEVSTA, 0x000f);
	assert_int_equal(fake_function_read(fake, SAMPLE_EXP + PCI_EXP_DEVSTA, 2), 0x000f);
	/* IDs are read once */
	le16_set(fake->device->cfg + PCI_DEVICE_ID, 0x4321);
	assert_int_equal(fake_function_read(fake, PCI_DEVICE_ID, 2), 0x1234);
}

/* Whatever is written, the bits of the device's registers never reach our array, and virtual ones
 * never reach the device. */
static void test_config_command_reaches_device(void **state)
{
	struct fake_function *fake = *state;
	struct fake_call call;

	fake_function_enable(fake, PCI_COMMAND_SERR);
	assert_int_equal(le16_get(fake->device->cfg + PCI_COMMAND), 0x0107);
	assert_int_equal(fake_function_read(fake, PCI_COMMAND, 2), 0x0107);
	/* the same again: no need to ask */
	fake_backend_forget(fake->device);
	fake_function_enable(fake, PCI_COMMAND_SERR);
	assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_WRITE, 0, &call), 0);
	/* in D3hot, which is virtual, the device keeps decoding */
	fake_function_write(fake, SAMPLE_PM + PCI_PM_CTRL, 2, 3);
	assert_int_equal(le16_get(fake->device->cfg + PCI_COMMAND), 0x0107);
	assert_int_equal(fake_function_read(fake, SAMPLE_PM + PCI_PM_CTRL, 2) & 3, 3);
	assert_int_equal(le16_get(fake->device->cfg + SAMPLE_PM + PCI_PM_CTRL) & 3, 0);
}

static void test_config_virtual_bits_stay_off_device(void **state)
{
	struct fake_function *fake = *state;
	uint8_t before[4096];

	memset(before, 0, sizeof(before));
	memcpy(before, fake->device->cfg, sizeof(before));
	for (uint16_t off = 0; off < 0x40; off += 4)
		if (off != PCI_COMMAND)
			fake_function_write(fake, off, 4, 0xffffffff);
	for (uint16_t off = SAMPLE_PM; off < SAMPLE_EXP + 4; off += 4)
		fake_function_write(fake, off, 4, 0x0000ffff);
	for (uint16_t off = SAMPLE_MSIX; off < SAMPLE_MSIX + 12; off += 4)
		fake_function_write(fake, off, 4, 0x7fffffff);
	assert_memory_equal(before, fake->device->cfg, sizeof(before));
}

/*
 * An independent reading of our bytes: lspci decodes the guest's view. To change the golden text,
 * run this test from the project's root, read what it leaves in build/function.lspci, and copy it
 * to tests/vfio/golden/ when it is right.
 */
static void test_config_lspci_agrees(void **state)
{
	static const char dump[] = "build/function.dump", text[] = "build/function.lspci";
	static const char golden[] = "tests/vfio/golden/function.lspci";
	struct fake_function *fake = *state;
	char command[256];
	FILE *file = fopen(dump, "w");

	assert_non_null(file);
	fprintf(file, "01:00.0 sample");
	for (uint16_t off = 0; off < PCI_CFG_LEN; off++)
		fprintf(file, off % 16 ? " %02x" : "\n%03x: %02x",
			off % 16 ? fake_function_read(fake, off, 1) : off,
			fake_function_read(fake, off, 1));
	fprintf(file, "\n");
	assert_int_equal(fclose(file), 0);
	snprintf(command, sizeof(command),
		 "lspci -n -vv -F %s >%s && diff -u %s %s", dump, text, golden, text);
	assert_int_equal(system(command), 0);
}

/* --- power management --- */

static void test_config_pme_bits(void **state)
{
	static const struct {
		uint16_t write;
		bool raise; /* the device's PME comes before the write */
		bool enable, status;
		unsigned int cleared;
	} steps[] = {
		{PCI_PM_CTRL_PME_ENABLE, false, true, false, 0},
		{PCI_PM_CTRL_PME_ENABLE, true, true, true, 0},
		{PCI_PM_CTRL_PME_ENABLE | 3, false, true, true, 0},
		{PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS, false, true, false, 1},
		{PCI_PM_CTRL_PME_ENABLE, true, true, true, 1},
		{0, false, false, true, 2},
		{PCI_PM_CTRL_PME_STATUS, false, false, false, 3},
		{0, false, false, false, 3},
	};
	struct fake_function *fake = *state;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].raise)
			vfio_function_set_pme_status(fake->function);
		fake_function_write(fake, SAMPLE_PM + PCI_PM_CTRL, 2, steps[i].write);
		assert_int_equal(vfio_function_pme_enable(fake->function), steps[i].enable);
		assert_int_equal(vfio_function_pme_status(fake->function), steps[i].status);
		assert_int_equal(fake->pme_cleared, steps[i].cleared);
		assert_int_equal(!!(fake_function_read(fake, SAMPLE_PM + PCI_PM_CTRL, 2) &
				    PCI_PM_CTRL_PME_STATUS), steps[i].status);
	}
}

/* --- Function Level Reset --- */

static void test_config_flr_resets(void **state)
{
	struct fake_function *fake = *state;
	const uint16_t devctl = SAMPLE_EXP + PCI_EXP_DEVCTL;

	fake_function_enable(fake, 0);
	fake_function_write(fake, SAMPLE_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_ENABLE);
	vfio_function_set_pme_status(fake->function);
	fake_function_write(fake, SAMPLE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_true(fake_mem_windows(fake->mem) > 0);
	fake_backend_forget(fake->device);

	fake_function_write(fake, devctl, 2, 0x2910 | PCI_EXP_DEVCTL_BCR_FLR);

	assert_int_equal(fake->device->count[FAKE_RESET], 1);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	assert_int_equal(fake_function_read(fake, PCI_COMMAND, 2), 0);
	assert_int_equal(le16_get(fake->device->cfg + PCI_COMMAND), 0);
	assert_int_equal(fake_function_read(fake, SAMPLE_MSI + PCI_MSI_FLAGS, 2), 0x0184);
	assert_int_equal(fake->device->irq[VFIO_PCI_MSI_IRQ_INDEX].enabled, 0);
	assert_int_equal(fake->device->irq[VFIO_PCI_INTX_IRQ_INDEX].enabled, 1);
	/* the bit itself went nowhere, and reads as zero */
	assert_int_equal(le16_get(fake->device->cfg + devctl), 0x2910);
	assert_int_equal(fake_function_read(fake, devctl, 2), 0x2910);
	/* sticky */
	assert_true(vfio_function_pme_enable(fake->function));
	assert_true(vfio_function_pme_status(fake->function));
	assert_int_equal(fake_function_read(fake, SAMPLE_PM + PCI_PM_CTRL, 2) & 0x8100, 0x8100);
}

/* --- what a device can be made of --- */

static void test_config_refuses_unreadable_devices(void **state)
{
	static const struct {
		enum fake_op op;
		unsigned int skip;
		int error;
	} cases[] = {
		{FAKE_REGION_INFO, 0, -EIO},
		{FAKE_REGION_READ, 0, -EIO},
		{FAKE_REGION_INFO, 1, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
		struct fake_variant variant;

		fake_backend_fail(device, cases[i].op, cases[i].error, cases[i].skip, UINT32_MAX);
		fake_variant_build(&variant, device, false);
		assert_int_equal(variant.error, cases[i].error);
		assert_non_null(strstr(variant.why, "cannot be read"));
		fake_variant_destroy(&variant);
	}
}

static void test_config_without_extended_space(void **state)
{
	struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
	struct fake_variant variant;

	(void)state;
	device->region[VFIO_PCI_CONFIG_REGION_INDEX].info.size = 256;
	fake_variant_build(&variant, device, false);
	assert_int_equal(variant.error, 0);
	assert_int_equal(fake_variant_read(&variant, 0x100, 4), 0);
	assert_int_equal(fake_variant_read(&variant, PCI_CAPABILITY_LIST, 1), SAMPLE_PM);
	fake_variant_destroy(&variant);
}

static void test_config_shows_plain_device(void **state)
{
	struct fake_variant variant;

	(void)state;
	fake_variant_build(&variant, fake_backend_create("0000:02:00.0"), false);
	assert_int_equal(variant.error, 0);
	assert_false(vfio_function_identity(variant.function).has_pm);
	assert_int_equal(fake_variant_read(&variant, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, 0);
	/* no PMCSR: the calls do nothing */
	vfio_function_set_pme_status(variant.function);
	assert_false(vfio_function_pme_enable(variant.function));
	fake_variant_destroy(&variant);
}

static void test_config_multifunction_bit(void **state)
{
	struct fake_variant variant;

	(void)state;
	fake_variant_build(&variant, fake_backend_create_gpu("0000:01:00.1", false), true);
	assert_int_equal(fake_variant_read(&variant, PCI_HEADER_TYPE, 1), 0x80);
	fake_variant_destroy(&variant);
}

/* --- a device that fails --- */

static void test_config_reports_failing_reads(void **state)
{
	struct fake_function *fake = *state;

	fake_backend_fail(fake->device, FAKE_REGION_READ, -EIO, 0, 1);
	assert_int_equal(fake_function_read(fake, SAMPLE_EXP + PCI_EXP_DEVSTA, 2), 0xffff);
	assert_int_equal(fake->host_errors, 1);
	assert_int_equal(fake->host_error, -EIO);
	/* once, until it is seen well */
	fake_backend_fail(fake->device, FAKE_REGION_READ, -EIO, 0, 1);
	fake_function_read(fake, SAMPLE_EXP + PCI_EXP_DEVSTA, 2);
	assert_int_equal(fake->host_errors, 1);
	assert_int_equal(vfio_function_check(fake->function), 0);
	fake->device->dead = true;
	assert_int_equal(fake_function_read(fake, SAMPLE_EXP + PCI_EXP_DEVSTA, 2), 0xffff);
	assert_int_equal(fake->host_errors, 2);
	assert_int_equal(fake->host_error, -ENODEV);
	assert_int_equal(vfio_function_check(fake->function), -ENODEV);
}

static void test_config_ones_are_no_failure(void **state)
{
	struct fake_function *fake = *state;

	le32_set(fake->device->cfg + SAMPLE_VENDOR + 8, 0xffffffff);
	assert_int_equal(fake_function_read(fake, SAMPLE_VENDOR + 8, 4), 0xffffffff);
	assert_int_equal(fake->host_errors, 0);
}

int main(void)
{
#define PLUGGED(name)                                                                              \
	cmocka_unit_test_setup_teardown(name, fake_function_setup, fake_function_teardown)
	const struct CMUnitTest tests[] = {
		PLUGGED(test_config_shows_registers),
		PLUGGED(test_config_identity),
		PLUGGED(test_config_reads_exact_bytes),
		PLUGGED(test_config_forwards_writes),
		PLUGGED(test_config_shows_device_changes),
		PLUGGED(test_config_command_reaches_device),
		PLUGGED(test_config_virtual_bits_stay_off_device),
		PLUGGED(test_config_lspci_agrees),
		PLUGGED(test_config_pme_bits),
		PLUGGED(test_config_flr_resets),
		cmocka_unit_test(test_config_refuses_unreadable_devices),
		cmocka_unit_test(test_config_without_extended_space),
		cmocka_unit_test(test_config_shows_plain_device),
		cmocka_unit_test(test_config_multifunction_bit),
		PLUGGED(test_config_reports_failing_reads),
		PLUGGED(test_config_ones_are_no_failure),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
