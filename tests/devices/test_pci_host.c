#include <errno.h>
#include <linux/pci.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/q35.h"
#include "devices/root_port.h"
#include "tests/fake_pci.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"

#define PORT_BDF 0x0010
#define CHILD_BUS 3
#define CHILD_BDF (CHILD_BUS << 8)
#define BAR_ADDRESS 0xc2000000ULL

struct fixture {
	struct fake_pci pci;
	struct q35 *q35;
	struct root_port *port;
	struct fake_pci_dev fake;
};

static struct fixture fixture;

static int setup(void **state)
{
	struct fake_pci *pci = &fixture.pci;

	fake_pci_start(pci);
	fixture.q35 = q35_create(pci->host, false);
	fixture.port = fake_pci_add_port(pci, PORT_BDF);
	fake_pci_dev_init(&fixture.fake);
	pci_dev_set_bar(&fixture.fake.dev, 0, 0x1000, 0);
	if (!fixture.q35 ||
	    pci_host_add(pci->host, &fixture.fake.dev, root_port_pci(fixture.port), 0))
		return -1;
	pci_host_cfg_write(pci->host, PORT_BDF, PCI_PRIMARY_BUS, 4,
			   CHILD_BUS << 16 | CHILD_BUS << 8);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_dev_finish(&f->fake.dev);
	root_port_destroy(f->port);
	q35_destroy(f->q35);
	fake_pci_stop(&f->pci);
	return 0;
}

static uint64_t ecam(uint16_t bdf, uint16_t off)
{
	return ECAM_START + ((uint64_t)bdf << 12) + off;
}

static void select_cf8(struct fixture *f, uint16_t bdf, uint16_t off)
{
	fake_pci_out(&f->pci, PORT_PCI_ADDRESS, 4,
		     0x80000000U | (uint32_t)bdf << 8 | (off & 0xfc));
}

static uint32_t cf8_read(struct fixture *f, uint16_t bdf, uint16_t off, unsigned int len)
{
	select_cf8(f, bdf, off);
	return fake_pci_in(&f->pci, PORT_PCI_DATA + (off & 3), len);
}

static void test_pci_host_ways_into_config_space_agree(void **state)
{
	static const uint16_t bdfs[] = {0, 0xf8, PORT_BDF, CHILD_BDF, 8, CHILD_BDF + 1, 0xff00};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(bdfs); i++) {
		for (uint16_t off = 0; off < 0x100; off++) {
			for (unsigned int len = 1; len <= 4U - off % 4U; len *= 2) {
				uint32_t value =
					pci_host_cfg_read(f->pci.host, bdfs[i], off, len);

				assert_int_equal(cf8_read(f, bdfs[i], off, len), value);
				assert_int_equal(fake_pci_read(&f->pci, ecam(bdfs[i], off), len),
						 value);
			}
		}
	}
}

static void test_pci_host_writes_by_either_way(void **state)
{
	struct fixture *f = *state;

	fake_pci_write(&f->pci, ecam(CHILD_BDF, PCI_INTERRUPT_LINE), 1, 0x5a);
	assert_int_equal(cf8_read(f, CHILD_BDF, PCI_INTERRUPT_LINE, 1), 0x5a);
	select_cf8(f, CHILD_BDF, PCI_COMMAND);
	fake_pci_out(&f->pci, PORT_PCI_DATA + 1, 1, 0x04);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_COMMAND, 2), 0x0400);
	/* A quadword is two dwords: Command and Status, then Class and Revision. */
	assert_int_equal(fake_pci_read(&f->pci, ecam(CHILD_BDF, 0), 8), 0x0010040056781234ULL);
}

static void test_pci_host_address_register(void **state)
{
	struct fixture *f = *state;

	fake_pci_out(&f->pci, PORT_PCI_ADDRESS, 4, 0xffffffff);
	assert_int_equal(fake_pci_in(&f->pci, PORT_PCI_ADDRESS, 4), 0x80fffffc);
	/* Smaller accesses are other devices' ports; without the enable bit nothing answers. */
	fake_pci_out(&f->pci, PORT_PCI_ADDRESS, 1, 0);
	fake_pci_out(&f->pci, PORT_PCI_ADDRESS, 2, 0);
	assert_int_equal(fake_pci_in(&f->pci, PORT_PCI_ADDRESS, 4), 0x80fffffc);
	assert_int_equal(fake_pci_in(&f->pci, PORT_PCI_ADDRESS, 2), 0xffff);
	fake_pci_out(&f->pci, PORT_PCI_ADDRESS, 4, 0);
	assert_int_equal(fake_pci_in(&f->pci, PORT_PCI_DATA, 4), 0xffffffff);
	fake_pci_out(&f->pci, PORT_PCI_DATA, 4, 0xffffffff);
	assert_int_equal(pci_host_cfg_read(f->pci.host, 0, PCI_COMMAND, 2), 0);
}

static void test_pci_host_absent_functions_read_ones(void **state)
{
	static const uint16_t absent[] = {0x01, 0x08, 0xf9, CHILD_BDF + 1, CHILD_BDF + 8,
					  0x0100, (CHILD_BUS + 1) << 8, 0xff00, 0xffff};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++) {
		fake_pci_write(&f->pci, ecam(absent[i], PCI_COMMAND), 2, 7);
		for (unsigned int len = 1; len <= 8; len *= 2)
			assert_int_equal(fake_pci_read(&f->pci, ecam(absent[i], 0), len),
					 ones(len));
		assert_int_equal(fake_pci_read(&f->pci, ecam(absent[i], 0xffc), 4), 0xffffffff);
	}
	assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_CFG_CHANGED), 0);
}

/* Not a request that a root complex forms: ones, and nothing is written. */
static void test_pci_host_accesses_across_dwords(void **state)
{
	static const struct {
		uint16_t off;
		unsigned int len;
		uint32_t ones;
	} cases[] = {
		{1, 4, 0xffffffff}, {2, 4, 0xffffffff},     {3, 4, 0xffffffff}, {3, 2, 0xffff},
		{7, 2, 0xffff},     {0xffd, 4, 0xffffffff}, {0, 3, 0xffffff},   {0, 0, 0},
		{4, 8, 0xffffffff}, {0xffff, 1, 0xff},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		pci_host_cfg_write(f->pci.host, CHILD_BDF, cases[i].off, cases[i].len, 0xffffffff);
		assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, cases[i].off,
						   cases[i].len),
				 cases[i].ones);
	}
	assert_int_equal(fake_pci_read(&f->pci, ecam(CHILD_BDF, 2), 4), 0xffffffff);
	assert_int_equal(fake_pci_read(&f->pci, ecam(CHILD_BDF, 0xfff), 2), 0xffff);
	/* The bus cuts off what lies beyond the data port. */
	select_cf8(f, CHILD_BDF, 0);
	assert_int_equal(fake_pci_in(&f->pci, PORT_PCI_DATA + 3, 2), 0xff56);
	assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_CFG_CHANGED), 0);
}

static void test_pci_host_look_up_by_bus_numbers(void **state)
{
	static const struct {
		uint8_t secondary, subordinate;
		uint16_t bdf;
		bool found;
	} cases[] = {
		{3, 3, 0x0300, true},  {3, 7, 0x0300, true}, {3, 7, 0x0400, false},
		{255, 255, 0xff00, true}, {4, 3, 0x0400, false}, {0, 0, 0x0000, false},
		{0, 255, 0x0100, false},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t vendor;

		pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_SECONDARY_BUS, 2,
				   (uint32_t)cases[i].subordinate << 8 | cases[i].secondary);
		vendor = pci_host_cfg_read(f->pci.host, cases[i].bdf, PCI_VENDOR_ID, 2);
		assert_int_equal(vendor == 0x1234, cases[i].found);
	}
}

/* Two bridges that claim one bus: the first has it. */
static void test_pci_host_first_bridge_wins(void **state)
{
	struct fixture *f = *state;
	struct root_port *second = fake_pci_add_port(&f->pci, 0x18);
	struct fake_pci_dev other;

	fake_pci_dev_init(&other);
	pci_cfg_set(&other.dev.cfg, PCI_VENDOR_ID, 2, 0x4321);
	assert_int_equal(pci_host_add(f->pci.host, &other.dev, root_port_pci(second), 0), 0);
	pci_host_cfg_write(f->pci.host, 0x18, PCI_SECONDARY_BUS, 2, CHILD_BUS << 8 | CHILD_BUS);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_VENDOR_ID, 2), 0x1234);
	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_SECONDARY_BUS, 2, 0x0909);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_VENDOR_ID, 2), 0x4321);
	assert_int_equal(pci_host_cfg_read(f->pci.host, 0x0900, PCI_VENDOR_ID, 2), 0x1234);
	pci_dev_finish(&other.dev);
	root_port_destroy(second);
}

static void test_pci_host_places_are_unique(void **state)
{
	struct fixture *f = *state;
	struct fake_pci_dev other;

	fake_pci_dev_init(&other);
	assert_int_equal(pci_host_add(f->pci.host, &other.dev, NULL, PORT_BDF), -EEXIST);
	assert_int_equal(pci_host_add(f->pci.host, &other.dev, root_port_pci(f->port), 0), -EEXIST);
	assert_int_equal(pci_host_add(f->pci.host, &other.dev, NULL, PORT_BDF + 1), 0);
	pci_dev_finish(&other.dev);
}

/* --- while the guest runs --- */

static void test_pci_host_remove_frees_the_place(void **state)
{
	struct fixture *f = *state;
	struct fake_pci_dev other;

	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_MEMORY_BASE, 4, 0xc200c200);
	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pci_host_cfg_write(f->pci.host, CHILD_BDF, PCI_BASE_ADDRESS_0, 4, BAR_ADDRESS);
	pci_host_cfg_write(f->pci.host, CHILD_BDF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_not_equal(fake_pci_read(&f->pci, BAR_ADDRESS, 4), 0xffffffff);
	pci_host_remove(&f->fake.dev);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(fake_pci_read(&f->pci, BAR_ADDRESS, 4), 0xffffffff);
	/* What the port does no longer reaches it. */
	fake_pci_dev_forget(&f->fake);
	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_BRIDGE_CONTROL, 2, 0);
	assert_int_equal(f->fake.calls, 0);

	fake_pci_dev_init(&other);
	pci_cfg_set(&other.dev.cfg, PCI_VENDOR_ID, 2, 0x4321);
	assert_int_equal(pci_host_add(f->pci.host, &other.dev, root_port_pci(f->port), 0), 0);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_VENDOR_ID, 2), 0x4321);
	pci_dev_finish(&other.dev);
}

/* A CPU that reads a function all the time while it comes and goes. */
struct reader {
	struct pci_host *host;
	atomic_bool stop;
};

static void *read_on(void *opaque)
{
	struct reader *reader = opaque;

	while (!reader->stop) {
		uint32_t id = pci_host_cfg_read(reader->host, CHILD_BDF, PCI_VENDOR_ID, 4);

		if (id != 0x56781234 && id != 0xffffffff)
			return reader; /* neither there nor away */
		pci_host_cfg_write(reader->host, PORT_BDF, PCI_BRIDGE_CONTROL, 2, 0);
	}
	return NULL;
}

static void test_pci_host_remove_waits_for_who_is_inside(void **state)
{
	struct fixture *f = *state;
	struct reader reader = {.host = f->pci.host, .stop = false};
	pthread_t thread[2];
	void *result;

	pci_host_remove(&f->fake.dev);
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_on, &reader), 0);
	for (unsigned int i = 0; i < 2000; i++) {
		struct fake_pci_dev *fake = malloc(sizeof(*fake));

		assert_non_null(fake);
		fake_pci_dev_init(fake);
		assert_int_equal(pci_host_add(f->pci.host, &fake->dev, root_port_pci(f->port), 0),
				 0);
		pci_host_remove(&fake->dev);
		pci_dev_finish(&fake->dev);
		free(fake); /* the sanitizer sees who is still inside */
	}
	reader.stop = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++) {
		pthread_join(thread[i], &result);
		assert_null(result);
	}
}

static void set_secondary_reset(struct fixture *f, bool on)
{
	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_BRIDGE_CONTROL, 2,
			   on ? PCI_BRIDGE_CTL_BUS_RESET : 0);
}

static void test_pci_host_secondary_bus_reset(void **state)
{
	struct fixture *f = *state;

	pci_host_cfg_write(f->pci.host, CHILD_BDF, PCI_INTERRUPT_LINE, 1, 0x5a);
	set_secondary_reset(f, true);
	set_secondary_reset(f, true);
	assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_DEV_RESET), 1);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_VENDOR_ID, 4), 0xffffffff);
	set_secondary_reset(f, false);
	assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_DEV_RESET), 1);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(pci_host_cfg_read(f->pci.host, CHILD_BDF, PCI_INTERRUPT_LINE, 1), 0);
	pthread_mutex_lock(&f->fake.dev.lock);
	pci_dev_set_presence_locked(&f->fake.dev, PCI_COLD);
	pthread_mutex_unlock(&f->fake.dev.lock);
	set_secondary_reset(f, true);
	assert_int_equal(fake_pci_dev_count(&f->fake, FAKE_DEV_RESET), 1);
}

static void test_pci_host_q35_identity(void **state)
{
	static const struct {
		uint16_t bdf, off;
		unsigned int len;
		uint32_t value;
	} cases[] = {
		{0x00, PCI_VENDOR_ID, 4, 0x29c08086}, {0x00, PCI_CLASS_REVISION, 4, 0x06000000},
		{0xf8, PCI_VENDOR_ID, 4, 0x29188086}, {0xf8, PCI_CLASS_REVISION, 4, 0x06010000},
		{0xf8, 0x40, 4, PORT_PM_BASE | 1},    {0xf8, 0x44, 1, 0x80},
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		pci_host_cfg_write(f->pci.host, cases[i].bdf, cases[i].off, cases[i].len, 0);
		assert_int_equal(pci_host_cfg_read(f->pci.host, cases[i].bdf, cases[i].off,
						   cases[i].len),
				 cases[i].value);
	}
	pci_host_cfg_write(f->pci.host, 0xf8, PCI_COMMAND, 2, 7);
	q35_reset(f->q35);
	assert_int_equal(pci_host_cfg_read(f->pci.host, 0xf8, PCI_COMMAND, 2), 0);
}

static void no_access(void *opaque, struct bus_access *access)
{
	(void)opaque, (void)access;
}

static void test_pci_host_taken_range_is_an_error(void **state)
{
	static const struct bus_ops nothing = {4, no_access};
	struct fake_pci pci = {.mmio = bus_create("mmio"), .port = bus_create("port")};
	const struct pci_host_config config = {.mmio = pci.mmio, .port = pci.port};

	(void)state;
	assert_int_equal(bus_add(pci.mmio, (struct range){MMIO32_START, 4}, &nothing, NULL), 0);
	assert_null(pci_host_create(&config));
	pci_host_destroy(NULL);
	bus_destroy(pci.mmio);
	bus_destroy(pci.port);
}

/* --- several CPUs at once --- */

#define ROUNDS 3000

static void stress_read(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
			uint64_t *value)
{
	(void)dev, (void)bar;
	assert_true(off + len <= 0x1000);
	*value = off;
}

static const struct pci_dev_ops stress_ops = {.name = "stress", .bar_read = stress_read};

static void *move_bar(void *opaque)
{
	struct fixture *f = opaque;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		pci_host_cfg_write(f->pci.host, CHILD_BDF, PCI_BASE_ADDRESS_0, 4,
				   (uint32_t)BAR_ADDRESS + (i % 2 ? 0x1000 : 0));
		pci_host_cfg_write(f->pci.host, CHILD_BDF, PCI_COMMAND, 2, i % 5 ? 2 : 0);
	}
	return NULL;
}

static void *move_window(void *opaque)
{
	struct fixture *f = opaque;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_MEMORY_BASE, 4,
				   i % 2 ? 0xc200c200 : 0xc200c300);
		set_secondary_reset(f, i % 7 == 0);
	}
	return NULL;
}

static void test_pci_host_changes_from_several_cpus(void **state)
{
	struct fixture *f = *state;
	pthread_t cpu[2];

	f->fake.dev.ops = &stress_ops;
	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(pthread_create(&cpu[0], NULL, move_bar, f), 0);
	assert_int_equal(pthread_create(&cpu[1], NULL, move_window, f), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t value = fake_pci_read(&f->pci, BAR_ADDRESS + 0x1010, 4);

		assert_true(value == 0x10 || value == 0x1010 || value == 0xffffffff);
	}
	pthread_join(cpu[0], NULL);
	pthread_join(cpu[1], NULL);
	/* Whatever happened, the last state of the registers is what decodes. */
	set_secondary_reset(f, false);
	pci_host_cfg_write(f->pci.host, PORT_BDF, PCI_MEMORY_BASE, 4, 0xc200c200);
	pci_host_cfg_write(f->pci.host, CHILD_BDF, PCI_BASE_ADDRESS_0, 4, (uint32_t)BAR_ADDRESS);
	pci_host_cfg_write(f->pci.host, CHILD_BDF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(fake_pci_read(&f->pci, BAR_ADDRESS + 0x10, 4), 0x10);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_pci_host_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(ways_into_config_space_agree),
		CASE(writes_by_either_way),
		CASE(address_register),
		CASE(absent_functions_read_ones),
		CASE(accesses_across_dwords),
		CASE(look_up_by_bus_numbers),
		CASE(first_bridge_wins),
		CASE(places_are_unique),
		CASE(remove_frees_the_place),
		CASE(remove_waits_for_who_is_inside),
		CASE(secondary_bus_reset),
		CASE(q35_identity),
		cmocka_unit_test(test_pci_host_taken_range_is_an_error),
		CASE(changes_from_several_cpus),
	};

	return cmocka_run_group_tests_name("pci_host", tests, NULL, NULL);
}
