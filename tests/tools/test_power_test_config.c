/* What of config space must come back from a sleep, and what may change. */
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tools/power_test.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define PM 0x40
#define MSI 0x50
#define VENDOR 0x60
#define EXP 0x70
#define AER 0x100
#define VSEC 0x140
#define LTR 0x180

static void add_cap(struct config_image *image, unsigned int at, uint8_t id, unsigned int next)
{
	image->bytes[at] = id;
	image->bytes[at + 1] = (uint8_t)next;
}

static void add_ext_cap(struct config_image *image, unsigned int at, uint16_t id, unsigned int next)
{
	le32_set(image->bytes + at, id | 1U << 16 | next << 20);
}

/* Every byte has a value of its own, so that none is equal by chance. */
static void make(struct config_image *image)
{
	image->len = CONFIG_MAX;
	for (unsigned int i = 0; i < CONFIG_MAX; i++)
		image->bytes[i] = (uint8_t)(i * 7 + 1);
	le16_set(image->bytes + PCI_STATUS, PCI_STATUS_CAP_LIST);
	image->bytes[PCI_CAPABILITY_LIST] = PM;
	add_cap(image, PM, PCI_CAP_ID_PM, MSI);
	add_cap(image, MSI, PCI_CAP_ID_MSI, VENDOR);
	add_cap(image, VENDOR, PCI_CAP_ID_VNDR, EXP);
	add_cap(image, EXP, PCI_CAP_ID_EXP, 0);
	add_ext_cap(image, AER, PCI_EXT_CAP_ID_ERR, VSEC);
	add_ext_cap(image, VSEC, PCI_EXT_CAP_ID_VNDR, LTR);
	add_ext_cap(image, LTR, PCI_EXT_CAP_ID_LTR, 0);
}

static void test_config_equal(void **state)
{
	static const struct {
		const char *what;
		unsigned int at;
		uint8_t bits;
		const char *says; /* NULL: may change */
	} cases[] = {
		{"nothing", 0, 0, NULL},
		{"device", PCI_DEVICE_ID, 0xff, "config space at 0x00 (Vendor ID, Device ID)"},
		{"command", PCI_COMMAND, 0x02, "config space at 0x04 (Command, Status)"},
		{"status: an error was seen", PCI_STATUS + 1, 0xf9, NULL},
		{"status: a signalled interrupt", PCI_STATUS, PCI_STATUS_INTERRUPT, NULL},
		{"status: no capabilities", PCI_STATUS, PCI_STATUS_CAP_LIST, "0x04 (Command"},
		{"a BAR", PCI_BASE_ADDRESS_1 + 3, 0x80, "at 0x14 (Base Address Register 1)"},
		{"the interrupt line", PCI_INTERRUPT_LINE, 1, "at 0x3c (Interrupt Line"},
		{"power state", PM + PCI_PM_CTRL, 3, "at 0x44 (in a capability)"},
		{"PME", PM + PCI_PM_CTRL + 1, 0x81, NULL},
		{"PM data", PM + PCI_PM_DATA_REGISTER, 0xff, NULL},
		{"MSI enable", MSI + PCI_MSI_FLAGS, 1, "at 0x50 (in a capability)"},
		{"a vendor's body", VENDOR + 4, 0xff, NULL},
		{"device status", EXP + PCI_EXP_DEVSTA, 0x0f, NULL},
		{"device control", EXP + PCI_EXP_DEVCTL, 0x01, "at 0x78 (in a capability)"},
		{"link speed", EXP + PCI_EXP_LNKSTA, 0x0f, NULL},
		{"link width", EXP + PCI_EXP_LNKSTA, 0x10, "at 0x80 (in a capability)"},
		{"AER status", AER + PCI_ERR_UNCOR_STATUS, 0xff, NULL},
		{"AER mask", AER + PCI_ERR_UNCOR_MASK, 0x10, "at 0x108 (in an extended"},
		{"AER log", AER + PCI_ERR_HEADER_LOG + 15, 0xff, NULL},
		{"first error", AER + PCI_ERR_CAP, 0x1f, NULL},
		{"ECRC", AER + PCI_ERR_CAP, 0x40, "at 0x118 (in an extended"},
		{"a vendor's extended body", VSEC + 8, 0xff, NULL},
		{"its header", VSEC, 0x01, "at 0x140 (in an extended"},
		{"LTR", LTR + 4, 0x01, "at 0x184 (in an extended"},
		{"what no capability has", 0xc0, 0xff, NULL},
		{"nor an extended one", 0x800, 0xff, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_image was, now;
		char what[160] = "";
		bool equal;

		make(&was);
		now = was;
		now.bytes[cases[i].at] ^= cases[i].bits;
		equal = config_equal(&was, &now, what, sizeof(what));
		if (equal != !cases[i].says || (cases[i].says && !strstr(what, cases[i].says)))
			fail_msg("%s: '%s'", cases[i].what, what);
	}
}

static void test_config_equal_says_both(void **state)
{
	struct config_image was, now;
	char what[160];

	(void)state;
	make(&was);
	le32_set(was.bytes + PCI_BASE_ADDRESS_0, 0xf0000008);
	now = was;
	le32_set(now.bytes + PCI_BASE_ADDRESS_0, 8);
	assert_false(config_equal(&was, &now, what, sizeof(what)));
	assert_string_equal(what, "config space at 0x10 (Base Address Register 0) was f0000008, is "
			    "00000008");
}

/* Who is not root sees 64 bytes; a device without extended space has 256. */
static void test_config_equal_short(void **state)
{
	static const unsigned int lens[] = {0, 64, 256};
	struct config_image was, now;
	char what[160] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		make(&was);
		memset(was.bytes + lens[i], 0, CONFIG_MAX - lens[i]);
		was.len = lens[i];
		now = was;
		assert_true(config_equal(&was, &now, what, sizeof(what)));
		now.bytes[PCI_COMMAND] ^= 2;
		assert_int_equal(config_equal(&was, &now, what, sizeof(what)), lens[i] == 0);
		now = was;
		now.len = CONFIG_MAX;
		assert_false(config_equal(&was, &now, what, sizeof(what)));
		assert_non_null(strstr(what, "bytes, has 4096"));
	}
}

/* Lists of a device that lies: loops, into the header, at the very end. */
static void test_config_hostile_lists(void **state)
{
	static const struct {
		unsigned int at;
		uint8_t value;
	} cases[] = {
		{PM + 1, PM}, {EXP + 1, PM}, {PM + 1, 0x10}, {PM + 1, 0xff}, {0x34, 0xff},
		{AER + 2, 0x11}, {AER + 3, 0xff}, {AER + 3, 0x10}, {AER + 3, 0x00},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_image was, now;
		char what[160];

		make(&was);
		add_cap(&was, 0xfc, PCI_CAP_ID_EXP, 0xfc);
		add_ext_cap(&was, 0xffc, PCI_EXT_CAP_ID_ERR, 0xffc);
		was.bytes[cases[i].at] = cases[i].value;
		now = was;
		assert_true(config_equal(&was, &now, what, sizeof(what)));
		now.bytes[PCI_BASE_ADDRESS_0] ^= 0xff;
		assert_false(config_equal(&was, &now, what, sizeof(what)));
	}
}

static void test_config_is_gone(void **state)
{
	struct config_image image;

	(void)state;
	make(&image);
	assert_false(config_is_gone(&image));
	/* VFIO answers for the first register itself */
	memset(image.bytes + 4, 0xff, CONFIG_MAX - 4);
	assert_true(config_is_gone(&image));
	image.len = 0;
	assert_false(config_is_gone(&image));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_equal),
		cmocka_unit_test(test_config_equal_says_both),
		cmocka_unit_test(test_config_equal_short),
		cmocka_unit_test(test_config_hostile_lists),
		cmocka_unit_test(test_config_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
