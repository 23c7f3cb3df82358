#include "tests/fake_slot.h"

#include <linux/pci_regs.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/acpi_pm.h"
#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/bus.h"
#include "vmm/events.h"

#define PORT_BDF 0x0008
#define MMIO64_START 0x4000000000ULL
#define MMIO64_SIZE 0x4000000000ULL
#define DEADLINE_US 10000000ULL

/* --- the machine --- */

static void on_request(void *opaque, enum machine_request request)
{
	struct fake_slot *fake = opaque;

	if (request == MACHINE_WAKE)
		atomic_fetch_add(&fake->wakes, 1);
	else if (request != MACHINE_SUSPEND)
		fail_msg("the machine was asked for %d", request);
}

static void build_machine(struct fake_slot *fake)
{
	struct pci_host_config config = {.mmio64 = {MMIO64_START, MMIO64_SIZE}};

	config.mmio = fake->mmio = bus_create("mmio");
	config.port = fake->port = bus_create("port");
	config.irq = fake->irq = fake_irq_create();
	fake->pci = pci_host_create(&config);
	fake->mem = fake_mem_create(64 * MIB);
	fake->pm = acpi_pm_create(fake->port, fake->irq, on_request, fake);
	assert_true(fake->pci && fake->pm);
}

static void begin(struct fake_slot *fake)
{
	memset(fake, 0, sizeof(*fake));
	strcpy(fake->log, "/tmp/test_slot.XXXXXX");
	close(mkstemp(fake->log));
	assert_int_equal(events_open(fake->log), 0);
	build_machine(fake);
}

static void create_devices(struct fake_slot *fake, bool nvidia)
{
	fake->device[0] = fake_backend_create_gpu("0000:01:00.0", nvidia);
	fake->device[1] = fake_backend_create_gpu("0000:01:00.1", false);
}

void fake_slot_prepare(struct fake_slot *fake, bool nvidia)
{
	begin(fake);
	create_devices(fake, nvidia);
}

void fake_slot_build(struct fake_slot *fake, const char *option)
{
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct vfio_slot_config config;
	char why[256] = "";

	assert_int_equal(vfio_slot_parse(option, &config, why, sizeof(why)), 0);
	backend[0] = &fake->device[0]->backend;
	backend[1] = &fake->device[1]->backend;
	if (vfio_slot_build("0000:01:00", NULL, &config, NULL, 0, backend, &fake->slot, why,
			    sizeof(why)))
		fail_msg("%s", why);
}

static void plug(struct fake_slot *fake)
{
	const struct vfio_machine machine = {
		.mem = fake->mem, .mmio = fake->mmio, .irq = fake->irq, .pci = fake->pci,
		.pm = fake->pm,
	};
	char why[256] = "";

	if (vfio_slot_plug(fake->slot, &machine, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(vfio_slot_start(fake->slot), 0);
	fake_slot_boot(fake);
}

void fake_slot_await(struct fake_slot *fake, void (*ask)(struct vfio_slot *slot, int done_fd))
{
	int done_fd = eventfd(0, EFD_CLOEXEC);
	eventfd_t count;

	assert_true(done_fd >= 0);
	ask(fake->slot, done_fd);
	assert_int_equal(eventfd_read(done_fd, &count), 0);
	assert_int_equal(count, 1);
	close(done_fd);
}

void fake_slot_reset(struct fake_slot *fake)
{
	fake_slot_await(fake, vfio_slot_reset);
}

void fake_slot_boot(struct fake_slot *fake)
{
	struct vfio_slot_info info;

	assert_int_equal(pci_host_assign(fake->pci), 0);
	vfio_slot_info(fake->slot, &info);
}

void fake_slot_plug(struct fake_slot *fake)
{
	plug(fake);
	/* What a driver does: decode memory. */
	for (unsigned int fn = 0; fn < 2; fn++)
		pci_host_cfg_write(fake->pci, (uint16_t)FN_BDF(fn), PCI_COMMAND, 2,
				   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void fake_slot_start_empty(struct fake_slot *fake)
{
	begin(fake);
	assert_int_equal(vfio_slot_create_empty(0, &fake->slot), 0);
	plug(fake);
}

static void destroy_devices(struct fake_slot *fake)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (!fake->device[i])
			continue;
		if (fake->device[i]->violations)
			fail_msg("function %u: %s while engaged", i,
				 fake_op_name(fake->device[i]->violation.op));
		assert_true(fake->device[i]->closed);
		fake_backend_destroy(fake->device[i]);
		fake->device[i] = NULL;
	}
}

struct vfio_card *fake_slot_card(struct fake_slot *fake, const char *option)
{
	struct vfio_backend *backend[HOST_FUNCTIONS] = {NULL};
	struct vfio_slot_config config;
	struct vfio_card *card;
	char why[256] = "";

	destroy_devices(fake);
	create_devices(fake, false);
	assert_int_equal(vfio_slot_parse(option, &config, why, sizeof(why)), 0);
	backend[0] = &fake->device[0]->backend;
	backend[1] = &fake->device[1]->backend;
	if (vfio_card_build("0000:01:00", NULL, &config, NULL, fake->slot, backend, &card, why,
			    sizeof(why)) ||
	    vfio_card_map_ram(card, fake->mem, why, sizeof(why)))
		fail_msg("%s", why);
	return card;
}

void fake_slot_insert(struct fake_slot *fake)
{
	char why[512] = "";

	if (vfio_slot_insert(fake->slot, fake_slot_card(fake, "01:00.0"), why, sizeof(why)))
		fail_msg("%s", why);
}

void fake_slot_start_with(struct fake_slot *fake, const char *option, bool nvidia)
{
	fake_slot_prepare(fake, nvidia);
	fake_slot_build(fake, option);
	fake_slot_plug(fake);
}

void fake_slot_start(struct fake_slot *fake)
{
	fake_slot_start_with(fake, "01:00.0", false);
}

void fake_slot_finish(struct fake_slot *fake)
{
	vfio_slot_destroy(fake->slot);
	destroy_devices(fake);
	acpi_pm_destroy(fake->pm);
	pci_host_destroy(fake->pci);
	fake_irq_destroy(fake->irq);
	bus_destroy(fake->port);
	bus_destroy(fake->mmio);
	fake_mem_destroy(fake->mem);
	events_open(NULL);
	unlink(fake->log);
}

/* --- the guest --- */

uint64_t fake_slot_controller(struct fake_slot *fake, unsigned int off)
{
	struct bus_access access = {.len = 4};

	bus_access(fake->mmio, SLOT_POWER_START + off, &access);
	return access.value;
}

void fake_slot_ring(struct fake_slot *fake, bool on)
{
	struct bus_access access = {.len = 4, .is_write = true, .value = on};

	bus_access(fake->mmio, SLOT_POWER_START + SLOT_POWER_CONTROL, &access);
}

void fake_slot_await_status(struct fake_slot *fake, uint64_t status)
{
	uint64_t end = clock_us() + DEADLINE_US;

	while (fake_slot_controller(fake, SLOT_POWER_STATUS) != status) {
		if (clock_us() > end)
			fail_msg("slot power status stays 0x%llx, expected 0x%llx",
				 (unsigned long long)fake_slot_controller(fake, SLOT_POWER_STATUS),
				 (unsigned long long)status);
		sched_yield();
	}
}

void fake_slot_switch(struct fake_slot *fake, bool on)
{
	fake_slot_ring(fake, on);
	fake_slot_await_status(fake, on ? SLOT_POWER_STATUS_ON : 0);
}

static uint16_t pmcsr_off(struct fake_slot *fake, unsigned int fn)
{
	return vfio_function_pci(fake->slot->card.fn[fn].function)->pm_cap + PCI_PM_CTRL;
}

uint32_t fake_slot_pmcsr(struct fake_slot *fake, unsigned int fn)
{
	return pci_host_cfg_read(fake->pci, (uint16_t)FN_BDF(fn), pmcsr_off(fake, fn), 2);
}

void fake_slot_set_pmcsr(struct fake_slot *fake, unsigned int fn, uint32_t value)
{
	pci_host_cfg_write(fake->pci, (uint16_t)FN_BDF(fn), pmcsr_off(fake, fn), 2, value);
}

uint32_t fake_slot_vendor(struct fake_slot *fake, unsigned int fn)
{
	return pci_host_cfg_read(fake->pci, (uint16_t)FN_BDF(fn), PCI_VENDOR_ID, 2);
}

uint32_t fake_slot_root_status(struct fake_slot *fake)
{
	return fake_slot_port_read(fake, PCI_EXP_RTSTA, 4);
}

void fake_slot_await_pme(struct fake_slot *fake)
{
	uint64_t end = clock_us() + DEADLINE_US;

	while (!(fake_slot_root_status(fake) & PCI_EXP_RTSTA_PME)) {
		assert_true(clock_us() < end);
		sched_yield();
	}
}

/* --- what was logged and called --- */

unsigned int fake_slot_logged(struct fake_slot *fake, const char *text)
{
	static char lines[262144];
	unsigned int count = 0;
	FILE *file = fopen(fake->log, "r");

	assert_non_null(file);
	lines[fread(lines, 1, sizeof(lines) - 1, file)] = '\0';
	fclose(file);
	for (const char *at = lines; (at = strstr(at, text)); at++)
		count++;
	return count;
}

void fake_slot_await_logged(struct fake_slot *fake, const char *text)
{
	uint64_t end = clock_us() + DEADLINE_US;

	while (!fake_slot_logged(fake, text)) {
		if (clock_us() > end)
			fail_msg("not in the event log: %s", text);
		sched_yield();
	}
}

/* --- the port --- */

uint32_t fake_slot_port_read(struct fake_slot *fake, unsigned int off, unsigned int len)
{
	unsigned int cap = root_port_pci(fake->slot->port)->exp_cap;

	return pci_host_cfg_read(fake->pci, PORT_BDF, (uint16_t)(cap + off), len);
}

void fake_slot_port_write(struct fake_slot *fake, unsigned int off, unsigned int len,
			  uint32_t value)
{
	unsigned int cap = root_port_pci(fake->slot->port)->exp_cap;

	pci_host_cfg_write(fake->pci, PORT_BDF, (uint16_t)(cap + off), len, value);
}
