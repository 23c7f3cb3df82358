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
#include "tests/fake_function.h"
#include "vfio/function.h"
#include "vfio/rom_file.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"

#define PM 0x40
#define PAGE 4096U

static bool has_window(struct fake_function *fake, unsigned int bar, uint64_t off, uint64_t size)
{
	struct fake_window window;
	uint64_t at = fake_function_at(fake, bar, off);

	return fake_mem_window_at(fake->mem, at, &window) && window.gpa == at &&
	       window.size == size;
}

/* --- declaration --- */

static void test_bars_declared_from_regions(void **state)
{
	static const struct {
		unsigned int bar;
		uint64_t size;
		uint32_t flags;
	} cases[] = {
		{0, 64 * KIB, 0},
		{1, 0, 0},
		{2, 16 * MIB, PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH},
		{3, 0, 0},
		{4, 256, PCI_BASE_ADDRESS_SPACE_IO},
		{5, 16 * KIB, 0},
		{PCI_BAR_ROM, 64 * KIB, 0},
	};
	struct fake_function *fake = *state;
	const struct pci_dev *dev = vfio_function_pci(fake->function);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(dev->bar[cases[i].bar].size, cases[i].size);
		assert_int_equal(dev->bar[cases[i].bar].flags, cases[i].flags);
	}
}

static void test_bars_refuse_impossible_regions(void **state)
{
	static const struct {
		unsigned int index;
		uint64_t size;
		uint32_t flags;
	} cases[] = {
		{0, 3 * PAGE, 0},
		{0, 8, 0},
		{0, 4 * GIB, 0},
		{0, 2, PCI_BASE_ADDRESS_SPACE_IO},
		{5, 64 * KIB, PCI_BASE_ADDRESS_MEM_TYPE_64},
	};
	const struct vfio_function_listener listener = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_backend *device = fake_backend_create("0000:03:00.0");
		struct vfio_function *function;
		char why[128] = "";

		device->region[cases[i].index].info.size = cases[i].size;
		le32_set(device->cfg + PCI_BASE_ADDRESS_0 + 4 * cases[i].index, cases[i].flags);
		assert_int_equal(vfio_function_create(&device->backend, 0, false, &listener,
						      &function, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, "BAR "));
		fake_backend_destroy(device);
	}
}

/* --- windows --- */

static void test_bars_windows_follow_command(void **state)
{
	struct fake_function *fake = *state;
	struct fake_window window;

	assert_int_equal(fake_mem_windows(fake->mem), 0);
	fake_function_enable(fake, 0);
	assert_true(has_window(fake, 0, 0, 64 * KIB));
	assert_true(has_window(fake, 2, 0, 16 * MIB));
	/* around the pages of MSI-X */
	assert_true(has_window(fake, 5, 0, PAGE));
	assert_false(fake_mem_window_at(fake->mem, fake_function_at(fake, 5, 0x1000), &window));
	assert_false(fake_mem_window_at(fake->mem, fake_function_at(fake, 5, 0x2000), &window));
	assert_true(has_window(fake, 5, 0x3000, PAGE));
	assert_int_equal(fake_mem_windows(fake->mem), 4);
	fake_function_write(fake, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
}

/* The host answers accesses to mapped BARs with SIGBUS while Memory Space is off. */
static void assert_memory_on(struct fake_backend *device, const struct fake_call *call)
{
	struct fake_function *fake = device->hook_opaque;
	bool is_command = call->op == FAKE_REGION_WRITE && call->off == PCI_COMMAND &&
			  call->index == VFIO_PCI_CONFIG_REGION_INDEX;

	if (is_command && !(call->value & PCI_COMMAND_MEMORY))
		assert_int_equal(fake_mem_windows(fake->mem), 0);
	if (is_command && call->value & PCI_COMMAND_MEMORY &&
	    !(device->cfg[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		assert_int_equal(fake_mem_windows(fake->mem), 0);
}

static void test_bars_windows_only_while_device_decodes(void **state)
{
	struct fake_function *fake = *state;

	fake->device->hook_opaque = fake;
	fake->device->hook = assert_memory_on;
	for (unsigned int i = 0; i < 3; i++) {
		fake_function_enable(fake, 0);
		assert_int_equal(fake_mem_windows(fake->mem), 4);
		fake_function_write(fake, PCI_COMMAND, 2, 0);
		assert_int_equal(fake_mem_windows(fake->mem), 0);
	}
	fake_function_enable(fake, 0);
	assert_int_equal(vfio_function_reset(fake->function, true), 0);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	fake->device->hook = NULL;
}

static void test_bars_windows_unmapped_in_d3hot(void **state)
{
	struct fake_function *fake = *state;

	fake_function_enable(fake, 0);
	fake_function_write(fake, PM + PCI_PM_CTRL, 2, 3);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	fake_function_write(fake, PM + PCI_PM_CTRL, 2, 0);
	assert_int_equal(fake_mem_windows(fake->mem), 4);
}

static void test_bars_windows_move(void **state)
{
	struct fake_function *fake = *state;
	uint32_t before = fake_function_read(fake, PCI_BASE_ADDRESS_0, 4);
	struct fake_window window;

	fake_function_enable(fake, 0);
	/* the place of another BAR of the same bridge window is free while that one is away */
	fake_function_write(fake, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(fake_function_read(fake, PCI_BASE_ADDRESS_0, 4), 0xffff0000);
	assert_false(fake_mem_window_at(fake->mem, before, &window));
	fake_function_write(fake, PCI_BASE_ADDRESS_0, 4, before);
	assert_true(has_window(fake, 0, 0, 64 * KIB));
}

/* What the window shows is the device's memory. */
static void test_bars_window_is_device_memory(void **state)
{
	struct fake_function *fake = *state;
	struct fake_window window;

	fake_function_enable(fake, 0);
	fake->device->region[5].mem[0x3008] = 0x5a;
	assert_true(fake_mem_window_at(fake->mem, fake_function_at(fake, 5, 0x3000), &window));
	assert_int_equal(((uint8_t *)window.hva)[8], 0x5a);
	assert_false(window.read_only);
}

static void test_bars_trap_where_no_window_fits(void **state)
{
	struct fake_function *fake = *state;

	fake_mem_fail_windows(fake->mem, -EEXIST);
	fake_function_enable(fake, 0);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	le32_set(fake->device->region[0].mem + 0x10, 0xdeadbeef);
	assert_int_equal(fake_function_mmio_read(fake, fake_function_at(fake, 0, 0x10), 4),
			 0xdeadbeef);
	assert_int_equal(fake->host_errors, 0);
}

/* Which areas become windows, for one BAR of 64 KiB. */
static void test_bars_honour_sparse_areas(void **state)
{
	static const struct {
		const char *name;
		unsigned int areas;
		struct range area[3];
		struct range window[3]; /* size 0 ends */
	} cases[] = {
		{"none", 0, {{0, 0}}, {{0, 0}}},
		{"whole", 1, {{0, 0x10000}}, {{0, 0x10000}}},
		{"two", 2, {{0, 0x1000}, {0x8000, 0x2000}}, {{0, 0x1000}, {0x8000, 0x2000}}},
		{"parts of pages", 2, {{0x10, 0x1000}, {0x2800, 0x2000}}, {{0x3000, 0x1000}}},
		{"beyond the end", 2, {{0xf000, 0x2000}, {0x1000, 0x1000}}, {{0x1000, 0x1000}}},
		{"overflowing", 1, {{0x1000, UINT64_MAX}}, {{0, 0}}},
		{"overlapping", 2, {{0, 0x2000}, {0x1000, 0x2000}}, {{0, 0x2000}}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_backend *device = fake_backend_create("0000:04:00.0");
		struct fake_function fake;
		unsigned int windows = 0;

		fake_backend_add_region(device, 0, 64 * KIB, 0, true);
		device->region[0].info.areas = cases[i].areas;
		memcpy(device->region[0].info.area, cases[i].area, sizeof(cases[i].area));
		fake_function_start(&fake, device);
		fake_function_enable(&fake, 0);
		for (; windows < 3 && cases[i].window[windows].size; windows++)
			assert_true(has_window(&fake, 0, cases[i].window[windows].start,
					       cases[i].window[windows].size));
		assert_int_equal(fake_mem_windows(fake.mem), windows);
		fake_function_stop(&fake);
	}
}

/* Which pages of a BAR with MSI-X become windows. */
static void test_bars_leave_msix_out(void **state)
{
	static const struct {
		const char *name;
		uint32_t table, pba; /* offsets in BAR5 */
		uint16_t vectors;
		struct range window[3];
	} cases[] = {
		{"first page", 0, 0x800, 8, {{0x1000, 0x3000}}},
		{"last pages", 0x2000, 0x3000, 8, {{0, 0x2000}}},
		{"both ends", 0x3000, 0, 8, {{0x1000, 0x2000}}},
		{"over a page's end", 0x0f80, 0x3000, 16, {{0x2000, 0x1000}}},
		{"end of a page", 0x1f80, 0x3000, 16, {{0, 0x1000}}},
		{"all", 0, 0x3000, 768, {{0, 0}}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
		struct fake_function fake;
		unsigned int windows = 2; /* BAR0 and BAR2 */

		le16_set(device->cfg + 0xa2, cases[i].vectors - 1);
		le32_set(device->cfg + 0xa4, cases[i].table | 5);
		le32_set(device->cfg + 0xa8, cases[i].pba | 5);
		device->irq[VFIO_PCI_MSIX_IRQ_INDEX].count = cases[i].vectors;
		fake_function_start(&fake, device);
		fake_function_enable(&fake, 0);
		for (unsigned int j = 0; j < 3 && cases[i].window[j].size; j++, windows++)
			assert_true(has_window(&fake, 5, cases[i].window[j].start,
					       cases[i].window[j].size));
		assert_int_equal(fake_mem_windows(fake.mem), windows);
		fake_function_stop(&fake);
	}
}

static void test_bars_unmappable_regions_trap(void **state)
{
	struct fake_backend *device = fake_backend_create_gpu("0000:01:00.0", false);
	struct fake_function fake;

	(void)state;
	fake_backend_fail(device, FAKE_REGION_MAP, -ENOMEM, 0, 1); /* BAR0 */
	fake_function_start(&fake, device);
	fake_function_enable(&fake, 0);
	assert_int_equal(fake_mem_windows(fake.mem), 3);
	device->region[0].mem[0] = 0x77;
	assert_int_equal(fake_function_mmio_read(&fake, fake_function_at(&fake, 0, 0), 1), 0x77);
	fake_function_stop(&fake);
}

/* --- traps --- */

static void test_bars_small_bar_traps(void **state)
{
	struct fake_backend *device = fake_backend_create("0000:05:00.0");
	struct fake_function fake;

	(void)state;
	fake_backend_add_region(device, 1, 256, 0, true);
	fake_function_start(&fake, device);
	fake_function_enable(&fake, 0);
	assert_int_equal(fake_mem_windows(fake.mem), 0);
	fake_function_mmio_write(&fake, fake_function_at(&fake, 1, 0x20), 4, 0x01020304);
	assert_int_equal(le32_get(device->region[1].mem + 0x20), 0x01020304);
	fake_function_stop(&fake);
}

/* The guest's size and offset arrive as they are. */
static void test_bars_trapped_accesses_keep_size(void **state)
{
	static const unsigned int lens[] = {1, 2, 4, 8};
	struct fake_function *fake = *state;
	uint64_t at;

	fake_mem_fail_windows(fake->mem, -ENOSPC);
	fake_function_enable(fake, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct fake_call call;
		uint64_t value = 0x1122334455667788 & ones(lens[i]);

		at = fake_function_at(fake, 2, 0x1000 + 8 * i);
		fake_backend_forget(fake->device);
		fake_function_mmio_write(fake, at, lens[i], value);
		assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_WRITE, 0, &call), 1);
		assert_int_equal(call.index, 2);
		assert_int_equal(call.off, 0x1000 + 8 * i);
		assert_int_equal(call.len, lens[i]);
		assert_int_equal(call.value, value);
		assert_int_equal(fake_function_mmio_read(fake, at, lens[i]), value);
		assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_READ, 0, &call), 1);
		assert_int_equal(call.len, lens[i]);
	}
}

static void test_bars_failing_access_reads_ones(void **state)
{
	static const struct {
		int error; /* 0: the device is dead */
		int told;
	} cases[] = {{-EIO, -EIO}, {0, -ENODEV}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_function fake;

		fake_function_start(&fake, fake_backend_create_gpu("0000:01:00.0", false));
		fake_mem_fail_windows(fake.mem, -EEXIST);
		fake_function_enable(&fake, 0);
		if (cases[i].error)
			fake_backend_fail(fake.device, FAKE_REGION_READ, cases[i].error, 0, 1);
		else
			fake.device->dead = true;
		assert_int_equal(fake_function_mmio_read(&fake, fake_function_at(&fake, 0, 0), 4),
				 0xffffffff);
		assert_int_equal(fake.host_errors, 1);
		assert_int_equal(fake.host_error, cases[i].told);
		fake_function_stop(&fake);
	}
}

static void test_bars_failing_write_is_told(void **state)
{
	struct fake_function *fake = *state;

	fake_mem_fail_windows(fake->mem, -EEXIST);
	fake_function_enable(fake, 0);
	fake_backend_fail(fake->device, FAKE_REGION_WRITE, -EIO, 0, 1);
	fake_function_mmio_write(fake, fake_function_at(fake, 0, 0), 4, 1);
	assert_int_equal(fake->host_errors, 1);
}

/* --- ROM --- */

static void test_bars_rom_is_read_once(void **state)
{
	struct fake_function *fake = *state;
	uint64_t at;

	le16_set(fake->device->region[VFIO_PCI_ROM_REGION_INDEX].mem, 0xaa55);
	assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_READ, 0, NULL), 0);
	fake_function_enable(fake, 0);
	fake_function_write(fake, PCI_ROM_ADDRESS, 4,
			    fake_function_read(fake, PCI_ROM_ADDRESS, 4) | PCI_ROM_ADDRESS_ENABLE);
	at = fake_function_at(fake, PCI_BAR_ROM, 0);
	fake_backend_forget(fake->device);
	assert_int_equal(fake_function_mmio_read(fake, at, 2), 0xaa55);
	assert_int_equal(fake_function_mmio_read(fake, at + 4, 4), 0);
	fake_function_mmio_write(fake, at, 2, 0x1234);
	assert_int_equal(fake_function_mmio_read(fake, at, 2), 0xaa55);
	assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_READ, 0, NULL), 1);
	assert_int_equal(fake_backend_find(fake->device, FAKE_REGION_WRITE, 0, NULL), 0);
}

static void test_bars_unreadable_rom_is_ones(void **state)
{
	struct fake_function *fake = *state;

	fake_function_enable(fake, 0);
	fake_function_write(fake, PCI_ROM_ADDRESS, 4,
			    fake_function_read(fake, PCI_ROM_ADDRESS, 4) | PCI_ROM_ADDRESS_ENABLE);
	fake_backend_fail(fake->device, FAKE_REGION_READ, -EIO, 0, UINT32_MAX);
	assert_int_equal(fake_function_mmio_read(fake, fake_function_at(fake, PCI_BAR_ROM, 0), 4),
			 0xffffffff);
	/* a device without a good ROM is no device that failed */
	assert_int_equal(fake->host_errors, 0);
	fake_backend_fail(fake->device, FAKE_REGION_READ, 0, 0, 0);
}

static void test_bars_rom_sizes(void **state)
{
	static const struct {
		uint64_t region, bar;
	} cases[] = {
		{512, 2 * KIB}, {2 * KIB, 2 * KIB}, {3 * KIB, 4 * KIB}, {96 * KIB, 128 * KIB},
		{16 * MIB, 16 * MIB}, {17 * MIB, 0},
	};
	const struct vfio_function_listener listener = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_backend *device = fake_backend_create("0000:06:00.0");
		struct vfio_function *function;
		char why[128] = "";

		fake_backend_add_region(device, VFIO_PCI_ROM_REGION_INDEX, cases[i].region, 0,
					false);
		assert_int_equal(vfio_function_create(&device->backend, 0, false, &listener,
						      &function, why, sizeof(why)), 0);
		assert_int_equal(vfio_function_pci(function)->bar[PCI_BAR_ROM].size, cases[i].bar);
		vfio_function_destroy(function);
		fake_backend_destroy(device);
	}
}

/* --- a window that the CPU cannot reach --- */

static void test_bars_dropped_windows_trap_until_reset(void **state)
{
	struct fake_function *fake = *state;
	unsigned int late = 0;

	assert_false(vfio_function_drop_windows(fake->function));
	fake_function_enable(fake, 0);
	assert_true(vfio_function_drop_windows(fake->function));
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	/* the guest goes on by traps, whatever it does to the BARs */
	fake_function_write(fake, PCI_COMMAND, 2, 0);
	fake_function_enable(fake, 0);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	fake->device->region[0].mem[3] = 9;
	assert_int_equal(fake_function_mmio_read(fake, fake_function_at(fake, 0, 3), 1), 9);
	/* other vCPUs may be late, but not for ever */
	while (vfio_function_drop_windows(fake->function) && late <= VCPU_MAX)
		late++;
	assert_int_equal(late, VCPU_MAX);
	assert_int_equal(vfio_function_reset(fake->function, true), 0);
	fake_function_enable(fake, 0);
	assert_int_equal(fake_mem_windows(fake->mem), 0); /* BARs lost their addresses */
	assert_int_equal(pci_host_assign(fake->host), 0);
	fake_function_enable(fake, 0);
	assert_int_equal(fake_mem_windows(fake->mem), 4);
}

static void test_bars_dropped_windows_return_after_a_sleep(void **state)
{
	struct fake_function *fake = *state;

	fake_function_enable(fake, 0);
	assert_true(vfio_function_drop_windows(fake->function));
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	vfio_function_detach(fake->function);
	assert_int_equal(fake_mem_windows(fake->mem), 0);
	vfio_function_attach(fake->function);
	assert_int_equal(fake_mem_windows(fake->mem), 4);
}

/* A ROM that is not the device's own: memory of ours, which the guest has as long as it decodes. */
static void test_bars_rom_from_a_file(void **state)
{
	static const uint64_t sizes[] = {2 * KIB, 4 * KIB, 128 * KIB};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fake_function fake;
		uint8_t *bytes = rom_alloc(sizes[i]);
		unsigned int windows = sizes[i] >= 4 * KIB;
		struct fake_window window;
		uint64_t at;

		le16_set(bytes, 0xaa55);
		fake_function_prepare(&fake, fake_backend_create_gpu("0000:01:00.0", false));
		vfio_function_set_rom(fake.function, bytes, sizes[i]);
		fake_function_plug(&fake);
		at = fake_function_at(&fake, PCI_BAR_ROM, 0);
		fake_function_write(&fake, PCI_ROM_ADDRESS, 4, 0xfffff800);
		assert_int_equal(fake_function_read(&fake, PCI_ROM_ADDRESS, 4),
				 (uint32_t)-sizes[i]);
		fake_function_write(&fake, PCI_ROM_ADDRESS, 4, (uint32_t)at);
		fake_function_enable(&fake, 0);
		fake_backend_forget(fake.device);
		assert_int_equal(fake_function_mmio_read(&fake, at, 2), 0xffff);
		fake_function_write(&fake, PCI_ROM_ADDRESS, 4,
				    (uint32_t)at | PCI_ROM_ADDRESS_ENABLE);
		assert_int_equal(fake_mem_window_at(fake.mem, at, &window), windows);
		if (windows) {
			assert_ptr_equal(window.hva, bytes);
			assert_int_equal(window.size, sizes[i]);
			assert_true(window.read_only);
		}
		fake_function_mmio_write(&fake, at, 2, 0);
		assert_int_equal(fake_function_mmio_read(&fake, at, 2), 0xaa55);
		assert_int_equal(fake_function_mmio_read(&fake, at + sizes[i] - 4, 4), 0xffffffff);
		vfio_function_drop_windows(fake.function);
		assert_int_equal(fake_mem_window_at(fake.mem, at, &window), windows);
		vfio_function_detach(fake.function);
		assert_int_equal(fake_mem_windows(fake.mem), 0);
		assert_int_equal(fake_function_mmio_read(&fake, at, 2), 0xffff);
		vfio_function_attach(fake.function);
		assert_int_equal(fake_mem_window_at(fake.mem, at, &window), windows);
		fake_function_write(&fake, PCI_ROM_ADDRESS, 4, (uint32_t)at);
		assert_false(fake_mem_window_at(fake.mem, at, &window));
		assert_int_equal(fake_backend_find(fake.device, FAKE_REGION_READ, 0, NULL), 0);
		fake_function_stop(&fake);
	}
}

int main(void)
{
#define PLUGGED(name)                                                                              \
	cmocka_unit_test_setup_teardown(name, fake_function_setup, fake_function_teardown)
	const struct CMUnitTest tests[] = {
		PLUGGED(test_bars_declared_from_regions),
		cmocka_unit_test(test_bars_refuse_impossible_regions),
		PLUGGED(test_bars_windows_follow_command),
		PLUGGED(test_bars_windows_only_while_device_decodes),
		PLUGGED(test_bars_windows_unmapped_in_d3hot),
		PLUGGED(test_bars_windows_move),
		PLUGGED(test_bars_window_is_device_memory),
		PLUGGED(test_bars_trap_where_no_window_fits),
		cmocka_unit_test(test_bars_honour_sparse_areas),
		cmocka_unit_test(test_bars_leave_msix_out),
		cmocka_unit_test(test_bars_unmappable_regions_trap),
		cmocka_unit_test(test_bars_small_bar_traps),
		PLUGGED(test_bars_trapped_accesses_keep_size),
		cmocka_unit_test(test_bars_failing_access_reads_ones),
		PLUGGED(test_bars_failing_write_is_told),
		PLUGGED(test_bars_rom_is_read_once),
		PLUGGED(test_bars_unreadable_rom_is_ones),
		cmocka_unit_test(test_bars_rom_sizes),
		cmocka_unit_test(test_bars_rom_from_a_file),
		PLUGGED(test_bars_dropped_windows_trap_until_reset),
		PLUGGED(test_bars_dropped_windows_return_after_a_sleep),
	};

	return cmocka_run_group_tests_name("bars", tests, NULL, NULL);
}
