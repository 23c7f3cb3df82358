#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fake_irq.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"

#define CAP 0x50
#define BDF 0x0020
#define ADDRESS 0xfee01000U
#define PIN_INTB 2

struct fixture {
	struct fake_pci pci;
	struct fake_pci_dev fake;
};

static struct fixture fixture;

static int setup(void **state)
{
	fake_pci_start(&fixture.pci);
	fake_pci_dev_init(&fixture.fake);
	pci_cfg_set(&fixture.fake.dev.cfg, PCI_INTERRUPT_PIN, 1, PIN_INTB);
	pci_dev_add_msi(&fixture.fake.dev, CAP);
	*state = &fixture;
	return pci_host_add(fixture.pci.host, &fixture.fake.dev, NULL, BDF);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_dev_finish(&f->fake.dev);
	fake_pci_stop(&f->pci);
	return 0;
}

static void write_cfg(struct fixture *f, uint16_t off, unsigned int len, uint32_t value)
{
	pci_host_cfg_write(f->pci.host, BDF, off, len, value);
}

static uint32_t read_cfg(struct fixture *f, uint16_t off, unsigned int len)
{
	return pci_host_cfg_read(f->pci.host, BDF, off, len);
}

static void test_pci_msi_writable_bits(void **state)
{
	static const struct {
		uint16_t off;
		uint32_t ones;
	} cases[] = {
		{CAP, 0x00f10005}, /* 64-bit, one vector; Multiple Message Enable and MSI Enable */
		{CAP + PCI_MSI_ADDRESS_LO, 0xfffffffc},
		{CAP + PCI_MSI_ADDRESS_HI, 0xffffffff},
		{CAP + PCI_MSI_DATA_64, 0x0000ffff},
	};
	struct fixture *f = *state;

	assert_int_equal(read_cfg(f, CAP, 4), 0x00800005);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		write_cfg(f, cases[i].off, 4, 0xffffffff);
		assert_int_equal(read_cfg(f, cases[i].off, 4), cases[i].ones);
	}
}

static void send(struct fixture *f)
{
	pthread_mutex_lock(&f->fake.dev.lock);
	pci_dev_send_msi(&f->fake.dev);
	pthread_mutex_unlock(&f->fake.dev.lock);
}

static void test_pci_msi_needs_enable_and_bus_master(void **state)
{
	static const struct {
		uint32_t command, flags;
		unsigned int sent;
	} cases[] = {
		{0, 0, 0},
		{PCI_COMMAND_MASTER, 0, 0},
		{0, PCI_MSI_FLAGS_ENABLE, 0},
		{PCI_COMMAND_MASTER, PCI_MSI_FLAGS_ENABLE, 1},
		{PCI_COMMAND_MASTER, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 1},
	};
	struct fixture *f = *state;

	write_cfg(f, CAP + PCI_MSI_ADDRESS_LO, 4, ADDRESS);
	write_cfg(f, CAP + PCI_MSI_ADDRESS_HI, 4, 0x12);
	write_cfg(f, CAP + PCI_MSI_DATA_64, 4, 0xdead4041);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_irq_forget_msis(f->pci.irq);
		write_cfg(f, PCI_COMMAND, 2, cases[i].command);
		write_cfg(f, CAP + PCI_MSI_FLAGS, 2, cases[i].flags);
		send(f);
		assert_int_equal(fake_irq_msi_count(f->pci.irq), cases[i].sent);
	}
	assert_int_equal(fake_irq_msi(f->pci.irq, 0).address, 0x1200000000ULL + ADDRESS);
	assert_int_equal(fake_irq_msi(f->pci.irq, 0).data, 0x4041);
}

/* A passed-through function keeps the layout of its device, which may have 32-bit addresses. */
static void test_pci_msi_32bit_layout(void **state)
{
	struct fixture *f = *state;
	struct pci_cfg *cfg = &f->fake.dev.cfg;

	pci_cfg_set(cfg, CAP + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	pci_cfg_set(cfg, CAP + PCI_MSI_ADDRESS_LO, 4, ADDRESS);
	pci_cfg_set(cfg, CAP + PCI_MSI_DATA_32, 4, 0x99994042);
	assert_true(pci_msi_active(&f->fake.dev));
	assert_int_equal(pci_msi_message(&f->fake.dev).address, ADDRESS);
	assert_int_equal(pci_msi_message(&f->fake.dev).data, 0x4042);
}

static void test_pci_msi_none_without_capability(void **state)
{
	struct fixture *f = *state;

	f->fake.dev.msi.cap = 0;
	write_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_false(pci_msi_active(&f->fake.dev));
	assert_int_equal(pci_msi_message(&f->fake.dev).address, 0);
	send(f);
	assert_int_equal(fake_irq_msi_count(f->pci.irq), 0);
}

static void set_intx(struct fixture *f, bool level)
{
	pthread_mutex_lock(&f->fake.dev.lock);
	pci_dev_set_intx(&f->fake.dev, level);
	pthread_mutex_unlock(&f->fake.dev.lock);
}

static void test_pci_intx_level_follows_registers(void **state)
{
	static const struct {
		uint16_t off;
		uint32_t value;
		bool level;
	} cases[] = {
		{PCI_COMMAND, 0, true},
		{PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, false},
		{CAP + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, false},
		{PCI_COMMAND, 0, false},
		{CAP + PCI_MSI_FLAGS, 0, true},
	};
	struct fixture *f = *state;
	const uint32_t gsi = layout_pci_gsi(BDF >> 3, PIN_INTB);

	assert_int_equal(f->fake.dev.intx.gsi, gsi);
	set_intx(f, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		write_cfg(f, cases[i].off, 2, cases[i].value);
		assert_int_equal(fake_irq_level(f->pci.irq, gsi), cases[i].level);
		assert_int_equal(read_cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT,
				 PCI_STATUS_INTERRUPT);
	}
	set_intx(f, false);
	assert_false(fake_irq_level(f->pci.irq, gsi));
	assert_int_equal(read_cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	set_intx(f, true);
	pci_dev_reset(&f->fake.dev);
	assert_false(fake_irq_level(f->pci.irq, gsi));
	assert_int_equal(read_cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
}

static void test_pci_intx_pins_are_swizzled(void **state)
{
	static const struct {
		uint8_t port, devfn, pin;
		uint32_t gsi;
	} cases[] = {
		{0x08, 0x00, 1, 17}, {0x08, 0x01, 4, 20}, {0x40, 0x01, 2, 17},
		{0x08, 0x10, 3, 17}, {0x08, 0x02, 0, 0},  {0x08, 0x03, 5, 0},
	};
	static struct fake_pci_dev below[ARRAY_SIZE(cases)];
	static struct pci_dev ports[2];
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pci_dev *port = &ports[cases[i].port == 0x40];

		port->devfn = cases[i].port;
		fake_pci_dev_init(&below[i]);
		pci_cfg_set(&below[i].dev.cfg, PCI_INTERRUPT_PIN, 1, cases[i].pin);
		assert_int_equal(pci_host_add(f->pci.host, &below[i].dev, port, cases[i].devfn), 0);
		assert_int_equal(below[i].dev.intx.gsi, cases[i].gsi);
		pci_dev_finish(&below[i].dev);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_pci_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(msi_writable_bits),
		CASE(msi_needs_enable_and_bus_master),
		CASE(msi_32bit_layout),
		CASE(msi_none_without_capability),
		CASE(intx_level_follows_registers),
		CASE(intx_pins_are_swizzled),
	};

	return cmocka_run_group_tests_name("pci_msi", tests, NULL, NULL);
}
