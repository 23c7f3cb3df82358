#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <misc/pvpanic.h>
#include <poll.h>

#include "devices/pvpanic.h"
#include "tests/fake_pci.h"

#define BOTH (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)
#define BDF (PVPANIC_SLOT << 3)

struct fixture {
	struct fake_pci pci;
	struct pvpanic *pvpanic;
	uint64_t address;
};

/* As firmware and a driver leave it. */
static void decode(struct fixture *f)
{
	assert_int_equal(pci_host_assign(f->pci.host), 0);
	pci_host_cfg_write(f->pci.host, BDF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	f->address = pci_host_cfg_read(f->pci.host, BDF, PCI_BASE_ADDRESS_0, 4) & ~0xfU;
}

static int setup(void **state)
{
	static struct fixture f;

	fake_pci_start(&f.pci);
	f.pvpanic = pvpanic_create(f.pci.host);
	assert_non_null(f.pvpanic);
	decode(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pvpanic_destroy(f->pvpanic);
	fake_pci_stop(&f->pci);
	return 0;
}

static void say(struct fixture *f, uint64_t off, unsigned int len, uint64_t value)
{
	fake_pci_write(&f->pci, f->address + off, len, value);
}

static bool is_ready(const struct fixture *f)
{
	struct pollfd fd = {.fd = pvpanic_fd(f->pvpanic), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void test_pvpanic_is_found_and_offers_both(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pci_host_cfg_read(f->pci.host, BDF, PCI_VENDOR_ID, 4), 0x00111b36);
	assert_int_equal(fake_pci_read(&f->pci, f->address, 1), BOTH);
	assert_int_equal(fake_pci_read(&f->pci, f->address + 1, 1), 0);
	assert_int_equal(pvpanic_take(f->pvpanic), 0);
}

static void test_pvpanic_tells_each_once(void **state)
{
	struct fixture *f = *state;

	say(f, 0, 1, PVPANIC_CRASH_LOADED);
	assert_true(is_ready(f));
	assert_int_equal(pvpanic_take(f->pvpanic), PVPANIC_CRASH_LOADED);
	assert_false(is_ready(f));
	say(f, 0, 1, BOTH);
	say(f, 0, 4, PVPANIC_PANICKED);
	assert_int_equal(pvpanic_take(f->pvpanic), PVPANIC_PANICKED);
	for (unsigned int i = 0; i < 1000; i++)
		say(f, 0, 1, BOTH);
	assert_false(is_ready(f));
}

static void test_pvpanic_ignores_what_it_does_not_offer(void **state)
{
	struct fixture *f = *state;

	say(f, 0, 1, 0);
	say(f, 0, 1, (uint8_t)~BOTH);
	say(f, 1, 1, BOTH);
	say(f, 8, 8, BOTH);
	assert_false(is_ready(f));
	assert_int_equal(pvpanic_take(f->pvpanic), 0);
}

/* What was said before a reset and not taken yet is still told. */
static void test_pvpanic_may_be_told_again_after_a_reset(void **state)
{
	struct fixture *f = *state;

	say(f, 0, 1, PVPANIC_PANICKED);
	pvpanic_reset(f->pvpanic);
	assert_int_equal(pvpanic_take(f->pvpanic), PVPANIC_PANICKED);
	decode(f);
	say(f, 0, 1, PVPANIC_PANICKED);
	assert_int_equal(pvpanic_take(f->pvpanic), PVPANIC_PANICKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pvpanic_is_found_and_offers_both, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_pvpanic_tells_each_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pvpanic_ignores_what_it_does_not_offer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_pvpanic_may_be_told_again_after_a_reset,
						setup, teardown),
	};

	return cmocka_run_group_tests_name("pvpanic", tests, NULL, NULL);
}
