/*
 * The chipset's registers as firmware uses them: ECAM goes where PCIEXBAR says.
 */
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/q35.h"
#include "devices/root_port.h"
#include "tests/fake_irq.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define PCIEXBAR 0x60
#define PAM0 0x90
#define LPC 0xf8
#define ID 0x29c08086U
#define PORT 0x40
#define CAP 0xa0 /* of what the port reserves */

struct fixture {
	struct fake_pci pci;
	struct q35 *q35;
};

static struct fixture fixture;

static int setup(void **state)
{
	struct fixture *f = &fixture;
	struct pci_host_config config;

	f->pci = (struct fake_pci){.mmio = bus_create("mmio"), .port = bus_create("port"),
				   .irq = fake_irq_create()};
	config = (struct pci_host_config){
		.mmio = f->pci.mmio, .port = f->pci.port, .irq = f->pci.irq, .firmware = true,
		.mmio64 = {FAKE_PCI_MMIO64_START, FAKE_PCI_MMIO64_SIZE}};
	f->pci.host = pci_host_create(&config);
	assert_non_null(f->pci.host);
	f->q35 = q35_create(f->pci.host, true);
	assert_non_null(f->q35);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	q35_destroy(f->q35);
	fake_pci_stop(&f->pci);
	return 0;
}

static uint32_t cfg(struct fixture *f, uint16_t bdf, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(f->pci.host, bdf, off, len);
}

/* In the order of SeaBIOS and OVMF: off, the upper half, the lower half with the enable bit. */
static void place(struct fixture *f, uint64_t bar)
{
	pci_host_cfg_write(f->pci.host, 0, PCIEXBAR, 4, 0);
	pci_host_cfg_write(f->pci.host, 0, PCIEXBAR + 4, 4, (uint32_t)(bar >> 32));
	pci_host_cfg_write(f->pci.host, 0, PCIEXBAR, 4, (uint32_t)bar);
}

static void test_q35_ecam_is_off_until_it_is_placed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pci_host_ecam(f->pci.host).size, 0);
	assert_int_equal(fake_pci_read(&f->pci, ECAM_START, 4), UINT32_MAX);
	assert_int_equal(cfg(f, 0, PCI_VENDOR_ID, 4), ID);
}

static void test_q35_ecam_moves(void **state)
{
	static const struct {
		uint64_t bar, start, size;
	} cases[] = {
		{0xb0000001, 0xb0000000, 256 * MIB}, /* SeaBIOS 1.16, OVMF 2022.11 */
		{0xe0000001, 0xe0000000, 256 * MIB}, /* OVMF since */
		{0xe8000003, 0xe8000000, 128 * MIB},
		{0xfc000001, 0xf0000000, 0},         /* would meet the IOAPIC */
		{0xec000005, 0xec000000, 64 * MIB},
		{0xec000007, 0, 0},                  /* a length that is reserved */
		{0x80000001, 0x80000000, 256 * MIB},
		{0x70000001, 0, 0},                  /* RAM may be there */
		{0x4b0000001, 0, 0},                 /* more than we decode */
		{0xb0000000, 0, 0},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct range ecam;

		place(f, cases[i].bar);
		ecam = pci_host_ecam(f->pci.host);
		assert_int_equal(ecam.size, cases[i].size);
		if (!ecam.size)
			continue;
		assert_int_equal(ecam.start, cases[i].start);
		assert_int_equal(fake_pci_read(&f->pci, ecam.start, 4), ID);
		assert_int_equal(fake_pci_read(&f->pci, ecam.start + (LPC << 12), 4), 0x29188086);
		/* Off, it would not hear what comes next. After a reset nothing answers. */
		place(f, 0);
		assert_int_equal(fake_pci_read(&f->pci, ecam.start, 4), ID);
		q35_reset(f->q35);
		assert_int_equal(fake_pci_read(&f->pci, ecam.start, 4), UINT32_MAX);
	}
}

/* As SeaBIOS does when it resumes: by ECAM, that is by what it moves. */
static void test_q35_ecam_is_placed_by_ecam(void **state)
{
	static const uint64_t start = 0xb0000000;
	struct fixture *f = *state;

	place(f, start | 1);
	fake_pci_write(&f->pci, start + PCIEXBAR, 4, 0);
	fake_pci_write(&f->pci, start + PCIEXBAR + 4, 4, 0);
	fake_pci_write(&f->pci, start + PCIEXBAR, 4, start | 1);
	assert_int_equal(cfg(f, 0, PCIEXBAR, 4), start | 1);
	assert_int_equal(pci_host_ecam(f->pci.host).start, start);
	fake_pci_write(&f->pci, start + PCIEXBAR, 4, 0xe0000001);
	assert_int_equal(fake_pci_read(&f->pci, start, 4), UINT32_MAX);
	assert_int_equal(fake_pci_read(&f->pci, 0xe0000000, 4), ID);
}

/* ECAM, and a function whose BAR is at `address`. */
static void add_bar(struct fixture *f, struct fake_pci_dev *fake, uint32_t address)
{
	fake_pci_dev_init(fake);
	pci_dev_set_bar(&fake->dev, 0, 0x1000, 0);
	assert_int_equal(pci_host_add(f->pci.host, &fake->dev, NULL, 0x30), 0);
	place(f, 0xb0000001);
	pci_host_cfg_write(f->pci.host, 0x30, PCI_BASE_ADDRESS_0, 4, address);
	pci_host_cfg_write(f->pci.host, 0x30, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void test_q35_bars_are_reached_beside_ecam_only(void **state)
{
	struct fixture *f = *state;
	struct fake_pci_dev fake;

	add_bar(f, &fake, 0xb0100000);
	assert_int_equal(fake_pci_dev_count(&fake, FAKE_MAPPED), 0);
	pci_host_cfg_write(f->pci.host, 0x30, PCI_BASE_ADDRESS_0, 4, 0xfebff000);
	assert_int_equal(fake_pci_dev_count(&fake, FAKE_MAPPED), 1);
	assert_int_equal(fake_pci_read(&f->pci, 0xfebff000, 4), 0x55667788);
	pci_host_remove(&fake.dev);
	pci_dev_finish(&fake.dev);
}

/* A passed device's BAR is a window that hides what traps: it must go with the write that moves
 * ECAM over it, and come back with the one that moves it away. */
static void test_q35_ecam_moves_over_bars(void **state)
{
	static const uint32_t address = 0xe8000000;
	struct fixture *f = *state;
	struct fake_pci_dev fake;

	add_bar(f, &fake, address);
	assert_true(fake.dev.bar[0].mapped);
	place(f, 0xe0000001);
	assert_false(fake.dev.bar[0].mapped);
	assert_int_equal(fake_pci_dev_count(&fake, FAKE_UNMAPPED), 1);
	assert_int_equal(fake_pci_read(&f->pci, address, 4), UINT32_MAX);
	/* By ECAM itself, too. */
	fake_pci_write(&f->pci, 0xe0000000 + PCIEXBAR, 4, 0xb0000001);
	assert_true(fake.dev.bar[0].mapped);
	assert_int_equal(fake_pci_read(&f->pci, address, 4), 0x55667788);
	pci_host_remove(&fake.dev);
	pci_dev_finish(&fake.dev);
}

/* As SeaBIOS and OVMF look for it. */
static void test_q35_ports_say_what_they_reserve(void **state)
{
	const struct root_port_config config = {.slot_number = 1};
	struct root_port *port = root_port_create(&config);
	const struct pci_need small = {2 * MIB, 2 * MIB}, large = {64 * MIB, 64 * MIB};
	struct fixture *f = *state;
	uint64_t room;

	assert_non_null(port);
	root_port_pci(port)->reserve[PCI_WINDOW_IO] = 4 * KIB;
	root_port_pci(port)->reserve[PCI_WINDOW_MEM] = 32 * MIB;
	root_port_pci(port)->reserve[PCI_WINDOW_PREFETCH] = 64 * GIB;
	root_port_show_reserve(port, f->pci.host, true);
	assert_int_equal(pci_host_add(f->pci.host, root_port_pci(port), NULL, PORT), 0);
	assert_int_equal(cfg(f, PORT, CAP, 1), PCI_CAP_ID_VNDR);
	assert_int_equal(cfg(f, PORT, CAP + 2, 2), 0x0120);
	assert_int_equal(cfg(f, PORT, CAP + 4, 4), 0);
	assert_int_equal(cfg(f, PORT, CAP + 8, 4), 4 * KIB);
	assert_int_equal(cfg(f, PORT, CAP + 16, 4), 32 * MIB);
	assert_int_equal(cfg(f, PORT, CAP + 20, 4), UINT32_MAX);
	/* The window above RAM has 256 GiB here. */
	assert_int_equal(cfg(f, PORT, CAP + 24, 4), 0);
	assert_int_equal(cfg(f, PORT, CAP + 28, 4), 8 * GIB >> 32);
	/* What counts is what firmware has given, also while the port does not forward. */
	pci_host_cfg_write(f->pci.host, PORT, PCI_MEMORY_BASE, 4, 0xc1f0c000);
	assert_true(pci_bridge_fits(root_port_pci(port), PCI_WINDOW_MEM, &small, &room));
	assert_int_equal(room, 32 * MIB);
	assert_false(pci_bridge_fits(root_port_pci(port), PCI_WINDOW_MEM, &large, &room));
	pci_host_remove(root_port_pci(port));
	root_port_destroy(port);
}

static void test_q35_reset_takes_ecam_away(void **state)
{
	struct fixture *f = *state;

	place(f, 0xb0000001);
	q35_reset(f->q35);
	assert_int_equal(pci_host_ecam(f->pci.host).size, 0);
	assert_int_equal(cfg(f, 0, PCIEXBAR, 4), 0xe0000000);
}

static void test_q35_pam_keeps_what_is_written(void **state)
{
	struct fixture *f = *state;

	for (uint16_t i = 0; i < 8; i++) {
		pci_host_cfg_write(f->pci.host, 0, PAM0 + i, 1, 0xff);
		assert_int_equal(cfg(f, 0, PAM0 + i, 1), i == 0 ? 0x30 : i < 7 ? 0x33 : 0);
	}
	q35_reset(f->q35);
	assert_int_equal(cfg(f, 0, PAM0, 4), 0);
}

/* As builds of OVMF with SMM do: a register that is not there stays as it was, and a line says what
 * that means. */
static void test_q35_has_no_smram(void **state)
{
	int saved = dup(STDERR_FILENO), file = memfd_create("stderr", MFD_CLOEXEC);
	struct fixture *f = *state;
	char text[512];
	ssize_t len;

	dup2(file, STDERR_FILENO);
	pci_host_cfg_write(f->pci.host, 0, 0x50, 2, 0xfffe);
	pci_host_cfg_write(f->pci.host, 0, 0x50, 1, 0xff);
	assert_int_equal(pread(file, text, sizeof(text), 0), 0);
	pci_host_cfg_write(f->pci.host, 0, 0x50, 2, 0xffff);
	len = pread(file, text, sizeof(text) - 1, 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(file);
	assert_true(len > 0);
	text[len] = '\0';
	assert_non_null(strstr(text, "the firmware asks for SMM"));
	assert_int_equal(cfg(f, 0, 0x50, 2), 0);
}

static void test_q35_lpc_says_where_pm_is(void **state)
{
	struct fixture *f = *state;

	/* What firmware programs is what there is. */
	pci_host_cfg_write(f->pci.host, LPC, 0x40, 4, 0xb001);
	assert_int_equal(cfg(f, LPC, 0x40, 4), PORT_PM_BASE | 1);
	assert_int_equal(cfg(f, LPC, 0x44, 1), 0x80);
}

static void test_q35_without_firmware_has_ecam_in_its_place(void **state)
{
	struct fake_pci pci;
	struct q35 *q35;

	(void)state;
	fake_pci_start(&pci);
	q35 = q35_create(pci.host, false);
	assert_non_null(q35);
	assert_int_equal(pci_host_ecam(pci.host).start, ECAM_START);
	assert_int_equal(pci_host_cfg_read(pci.host, 0, PCIEXBAR, 4), ECAM_START | 5);
	pci_host_set_ecam(pci.host, (struct range){0});
	q35_reset(q35);
	assert_int_equal(pci_host_ecam(pci.host).size, ECAM_SIZE);
	q35_destroy(q35);
	fake_pci_stop(&pci);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_q35_ecam_is_off_until_it_is_placed),
		TEST(test_q35_ecam_moves),
		TEST(test_q35_ecam_is_placed_by_ecam),
		TEST(test_q35_bars_are_reached_beside_ecam_only),
		TEST(test_q35_ecam_moves_over_bars),
		TEST(test_q35_ports_say_what_they_reserve),
		TEST(test_q35_reset_takes_ecam_away),
		TEST(test_q35_pam_keeps_what_is_written),
		TEST(test_q35_has_no_smram),
		TEST(test_q35_lpc_says_where_pm_is),
		cmocka_unit_test(test_q35_without_firmware_has_ecam_in_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
