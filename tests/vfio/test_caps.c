#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
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

static void test_caps_refuses_hostile_devices(void **state)
{
	static const struct {
		const char *name;
		uint16_t off;
		uint8_t len;
		uint32_t value;
		int error;
		const char *why; /* a part of the sentence */
	} cases[] = {
		{"ones", PCI_VENDOR_ID, 4, 0xffffffff, -ENODEV, "does not answer"},
		{"bridge", PCI_HEADER_TYPE, 1, 1, -EINVAL, "is a bridge (header type 1)"},
		{"cardbus", PCI_HEADER_TYPE, 1, 0x82, -EINVAL, "is a bridge (header type 2)"},
		{"pin", PCI_INTERRUPT_PIN, 1, 5, -EINVAL, "Interrupt Pin 5"},
		{"first in header", PCI_CAPABILITY_LIST, 1, 0x30, -EINVAL, "points to 0x30"},
		{"next in header", SAMPLE_PM + 1, 1, 0x04, -EINVAL, "points to 0x04"},
		{"loop to self", SAMPLE_PM + 1, 1, SAMPLE_PM, -EINVAL, "loop"},
		{"loop back", SAMPLE_VENDOR + 1, 1, SAMPLE_EXP, -EINVAL, "loop"},
		{"two PM", SAMPLE_VENDOR, 1, PCI_CAP_ID_PM, -EINVAL, "01 twice"},
		{"overlap", SAMPLE_PM + 1, 1, SAMPLE_PM + 4, -EINVAL, "meets another"},
		{"MSI over PCIe", SAMPLE_PM + 1, 1, SAMPLE_EXP - 8, -EINVAL, "meets another"},
		{"switch port", SAMPLE_EXP + 2, 1, 0x52, -EINVAL, "device type 5"},
		{"table in I/O", SAMPLE_MSIX + 4, 4, 0x4, -EINVAL, "BAR 4"},
		{"table nowhere", SAMPLE_MSIX + 4, 4, 0x7, -EINVAL, "BAR 7"},
		{"table outside", SAMPLE_MSIX + 4, 4, 0x3f85 + 0x80, -EINVAL, "table (768 bytes"},
		{"PBA outside", SAMPLE_MSIX + 8, 4, 0x4005, -EINVAL, "pending bit array"},
		{"ext below", 0x100, 4, 0x04020001, -EINVAL, "points to 0x040"},
		{"ext loop", 0x1a0, 4, 0x10010010, -EINVAL, "loop"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
		struct fake_variant variant;

		le_set(device->cfg + cases[i].off, cases[i].len, cases[i].value);
		/* what "MSI over PCIe" finds there */
		le16_set(device->cfg + SAMPLE_EXP - 8, PCI_CAP_ID_MSI | SAMPLE_EXP << 8);
		fake_variant_build(&variant, device, false);
		if (variant.error != cases[i].error || !strstr(variant.why, cases[i].why))
			print_message("%s: %d, %s\n", cases[i].name, variant.error, variant.why);
		assert_int_equal(variant.error, cases[i].error);
		assert_non_null(strstr(variant.why, cases[i].why));
		assert_ptr_equal(strstr(variant.why, "0000:01:00.0: "), variant.why);
		assert_false(device->closed); /* stays the caller's */
		fake_variant_destroy(&variant);
	}
}

/* An integrated endpoint gets a link, because it is seen below a port. */
static void test_caps_integrated_endpoint(void **state)
{
	struct fake_backend *device = fake_backend_create_gpu("0000:00:02.0", false);
	struct fake_variant variant;

	(void)state;
	device->cfg[SAMPLE_EXP + PCI_EXP_FLAGS] = 0x92;
	memset(device->cfg + SAMPLE_EXP + PCI_EXP_LNKCAP, 0, 8);
	fake_variant_build(&variant, device, false);
	assert_int_equal(variant.error, 0);
	assert_int_equal(fake_variant_read(&variant, SAMPLE_EXP + PCI_EXP_FLAGS, 2), 0x0002);
	assert_int_equal(fake_variant_read(&variant, SAMPLE_EXP + PCI_EXP_LNKCAP, 4), 0x11);
	assert_int_equal(fake_variant_read(&variant, SAMPLE_EXP + PCI_EXP_LNKSTA, 2), 0x11);
	assert_int_equal(fake_variant_read(&variant, SAMPLE_EXP + PCI_EXP_LNKCAP2, 4), 2);
	assert_int_equal(vfio_function_identity(variant.function).link_width, 0);
	fake_variant_destroy(&variant);
}

static void test_caps_hides_capabilities(void **state)
{
	static const struct {
		const char *name;
		uint16_t off;
		uint32_t value;
		uint16_t at;
		uint32_t expected;
	} cases[] = {
		{"EA unlinked", SAMPLE_VENDOR, PCI_CAP_ID_EA, SAMPLE_MSIX, 0x002f0011},
		{"first hidden", 0x100, 0x1801000e, 0x100, 0x18000000},
		{"first hidden, alone", 0x100, 0x0001000f, 0x100, 0},
		{"ATS", 0x180, 0x0001000f, 0x100, 0x00020001},
		{"PRI", 0x180, 0x00010013, 0x100, 0x00020001},
		{"PASID", 0x180, 0x0001001b, 0x100, 0x00020001},
		{"Multicast", 0x180, 0x00010012, 0x100, 0x00020001},
		{"VF Resizable BAR", 0x180, 0x00010024, 0x100, 0x00020001},
		{"DSN is kept", 0x180, 0x00010003, 0x100, 0x18020001},
		{"none", 0x100, 0, 0x100, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
		struct fake_variant variant;

		le_set(device->cfg + cases[i].off, 4, cases[i].value);
		fake_variant_build(&variant, device, false);
		if (variant.error ||
		    fake_variant_read(&variant, cases[i].at, 4) != cases[i].expected)
			print_message("%s: %s\n", cases[i].name, variant.why);
		assert_int_equal(variant.error, 0);
		assert_int_equal(fake_variant_read(&variant, cases[i].at, 4), cases[i].expected);
		fake_variant_destroy(&variant);
	}
}

/* What the host cannot deliver is not offered. */
static void test_caps_hides_interrupts(void **state)
{
	struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
	struct fake_variant variant;

	(void)state;
	device->irq[VFIO_PCI_INTX_IRQ_INDEX].count = 0;
	device->irq[VFIO_PCI_MSI_IRQ_INDEX].count = 0;
	device->irq[VFIO_PCI_MSIX_IRQ_INDEX].count = 0;
	fake_variant_build(&variant, device, false);
	assert_int_equal(variant.error, 0);
	assert_int_equal(fake_variant_read(&variant, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(fake_variant_read(&variant, SAMPLE_PM + 1, 1), SAMPLE_EXP);
	assert_int_equal(fake_variant_read(&variant, SAMPLE_EXP + 1, 1), SAMPLE_VENDOR);
	fake_variant_destroy(&variant);
}

static void test_caps_limits_messages_to_host(void **state)
{
	struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
	struct fake_variant variant;

	(void)state;
	device->irq[VFIO_PCI_MSI_IRQ_INDEX].count = 3;
	device->irq[VFIO_PCI_MSIX_IRQ_INDEX].count = 5;
	fake_variant_build(&variant, device, false);
	assert_int_equal(variant.error, 0);
	assert_int_equal(fake_variant_read(&variant, SAMPLE_MSI + 2, 2), 0x0182); /* two */
	assert_int_equal(fake_variant_read(&variant, SAMPLE_MSIX + 2, 2), 4);     /* five */
	fake_variant_destroy(&variant);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caps_refuses_hostile_devices),
		cmocka_unit_test(test_caps_integrated_endpoint),
		cmocka_unit_test(test_caps_hides_capabilities),
		cmocka_unit_test(test_caps_hides_interrupts),
		cmocka_unit_test(test_caps_limits_messages_to_host),
	};

	return cmocka_run_group_tests_name("caps", tests, NULL, NULL);
}
