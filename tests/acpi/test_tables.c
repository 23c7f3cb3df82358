#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "acpi/structs.h"
#include "tests/acpi/sample.h"
#include "tests/acpi/whole_size.h"

static const struct {
	unsigned int cpus, slots;
} machines[] = {{1, 0}, {2, 1}, {4, 2}, {64, 16}};

static uint8_t image[SAMPLE_SIZE];

/* Builds machine `i` of the table into `image`. Returns the bytes used. */
static long build(size_t i)
{
	struct sample sample;
	long len;

	sample_init(&sample, machines[i].cpus, machines[i].slots);
	memset(image, 0xaa, sizeof(image));
	len = acpi_build(&sample.machine, image, sizeof(image), SAMPLE_GPA);
	assert_true(len > 0);
	return len;
}

/* A table that a guest finds: inside, aligned, its checksum right. */
static const void *table_at(uint64_t gpa, long used, const char *signature)
{
	const struct acpi_header *header;

	assert_in_range(gpa, SAMPLE_GPA, SAMPLE_GPA + (uint64_t)used - sizeof(*header));
	assert_int_equal(gpa % 16, 0);
	header = (const struct acpi_header *)(const void *)(image + (gpa - SAMPLE_GPA));
	assert_in_range(header->length, sizeof(*header), SAMPLE_GPA + (uint64_t)used - gpa);
	assert_int_equal(acpi_checksum((const uint8_t *)header, header->length), 0);
	assert_memory_equal(header->signature, signature, 4);
	assert_memory_equal(header->oem_id, "MINIVM", 6);
	return header;
}

static const struct acpi_xsdt *xsdt_of_image(long used)
{
	const struct acpi_rsdp *rsdp = (const void *)image;

	return table_at(rsdp->xsdt, used, "XSDT");
}

static void test_tables_rsdp_comes_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		long used = build(i);
		const struct acpi_rsdp *rsdp = (const void *)image;

		assert_memory_equal(rsdp->signature, "RSD PTR ", 8);
		assert_int_equal(rsdp->revision, 2);
		assert_int_equal(rsdp->length, 36);
		assert_int_equal(rsdp->rsdt, 0);
		assert_int_equal(acpi_checksum(image, 20), 0);
		assert_int_equal(acpi_checksum(image, 36), 0);
		xsdt_of_image(used);
	}
}

static void test_tables_xsdt_lists_every_table(void **state)
{
	static const char *const signatures[] = {"FACP", "APIC", "MCFG", "WDAT"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		long used = build(i);
		const struct acpi_xsdt *xsdt = xsdt_of_image(used);
		unsigned int entries = ARRAY_SIZE(signatures) + machines[i].slots;

		assert_int_equal(xsdt->header.length, sizeof(xsdt->header) + 8 * entries);
		for (unsigned int n = 0; n < entries; n++) {
			uint64_t gpa = xsdt->entry[n];

			table_at(gpa, used, n < ARRAY_SIZE(signatures) ? signatures[n]
								   : "SSDT");
		}
	}
}

static void test_tables_without_a_watchdog(void **state)
{
	const struct acpi_xsdt *xsdt;
	struct sample sample;
	long used;

	(void)state;
	sample_init(&sample, 1, 1);
	sample.machine.watchdog.port = 0;
	used = acpi_build(&sample.machine, image, sizeof(image), SAMPLE_GPA);
	xsdt = xsdt_of_image(used);
	assert_int_equal(xsdt->header.length, sizeof(xsdt->header) + 8 * 4);
	table_at(xsdt->entry[2], used, "MCFG");
	table_at(xsdt->entry[3], used, "SSDT");
}

/* What Linux acpi_watchdog.c and wdat_wdt.c, and the actions that are required, want of it. */
static void test_tables_wdat(void **state)
{
	static const uint8_t required[] = {1, 4, 5, 6, 8, 9, 10, 11, 32, 33};
	long used = build(0);
	const struct acpi_wdat *wdat = table_at(xsdt_of_image(used)->entry[3], used, "WDAT");
	const struct wdat_entry *entry = (const void *)(wdat + 1);

	(void)state;
	assert_int_equal(wdat->header_length, 32);
	assert_int_equal(wdat->pci_segment, 0xff);
	assert_int_equal(wdat->pci_bus, 0xff);
	assert_int_equal(wdat->flags, 0x81);
	assert_int_equal(wdat->timer_period, WATCHDOG_PERIOD_MS);
	assert_int_equal(wdat->max_count, WATCHDOG_COUNT_MAX);
	assert_int_equal(wdat->entries, ARRAY_SIZE(required));
	assert_int_equal(wdat->header.length,
			 sizeof(*wdat) + wdat->entries * sizeof(*entry));
	for (unsigned int i = 0; i < wdat->entries; i++, entry++) {
		assert_int_equal(entry->action, required[i]);
		assert_int_equal(entry->reg.space, GAS_SYSTEM_IO);
		assert_int_equal(entry->reg.access_size, 3);
		assert_in_range(entry->reg.address, PORT_WATCHDOG,
				PORT_WATCHDOG + WATCHDOG_SIZE - 4);
	}
}

static const struct acpi_fadt *fadt_of_image(long used)
{
	return table_at(xsdt_of_image(used)->entry[0], used, "FACP");
}

static void test_tables_fadt_points_to_facs_and_dsdt(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		long used = build(i);
		const struct acpi_fadt *fadt = fadt_of_image(used);
		const struct acpi_facs *facs;

		assert_int_equal(fadt->x_dsdt, fadt->dsdt);
		table_at(fadt->dsdt, used, "DSDT");
		assert_int_equal(fadt->x_firmware_ctrl, 0);
		assert_int_equal(fadt->firmware_ctrl % 64, 0);
		assert_in_range(fadt->firmware_ctrl, SAMPLE_GPA,
				SAMPLE_GPA + (uint64_t)used - sizeof(*facs));
		facs = (const void *)(image + (fadt->firmware_ctrl - SAMPLE_GPA));
		assert_int_equal(fadt->firmware_ctrl, SAMPLE_GPA + ACPI_FACS_OFFSET);
		assert_memory_equal(facs->signature, "FACS", 4);
		assert_int_equal(facs->length, 64);
	}
}

static void test_tables_fadt_describes_the_fixed_hardware(void **state)
{
	const struct acpi_fadt *fadt = fadt_of_image(build(1));
	const struct {
		struct acpi_gas extended;
		uint32_t block;
		uint8_t len, port_len;
		uint16_t port;
	} registers[] = {
		{fadt->x_pm1a_evt_blk, fadt->pm1a_evt_blk, fadt->pm1_evt_len, 4, PORT_PM1A_EVT},
		{fadt->x_pm1a_cnt_blk, fadt->pm1a_cnt_blk, fadt->pm1_cnt_len, 2, PORT_PM1A_CNT},
		{fadt->x_pm_tmr_blk, fadt->pm_tmr_blk, fadt->pm_tmr_len, 4, PORT_PM_TMR},
		{fadt->x_gpe0_blk, fadt->gpe0_blk, fadt->gpe0_blk_len, GPE0_SIZE, PORT_GPE0},
		{fadt->reset_reg, PORT_RESET, 1, 1, PORT_RESET},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		assert_int_equal(registers[i].block, registers[i].port);
		assert_int_equal(registers[i].len, registers[i].port_len);
		assert_int_equal(registers[i].extended.space, GAS_SYSTEM_IO);
		assert_int_equal(registers[i].extended.address, registers[i].port);
		assert_int_equal(registers[i].extended.bit_width, 8 * registers[i].port_len);
		assert_int_equal(registers[i].extended.bit_offset, 0);
	}
	assert_int_equal(fadt->header.revision, 6);
	assert_int_equal(fadt->sci_int, GSI_SCI);
	assert_int_equal(fadt->smi_cmd, 0);
	assert_int_equal(fadt->reset_value, 0x0e);
}

/* Bits of ACPI 6.3, Fixed ACPI Description Table Fixed Feature Flags, and of IA-PC Boot
 * Architecture Flags, by their numbers. */
static void test_tables_fadt_flags(void **state)
{
	static const struct {
		unsigned int bit;
		bool set;
	} flags[] = {
		{4, false},  /* power button is fixed */
		{5, true},   /* no fixed sleep button */
		{6, false},  /* the clock's alarm has a fixed event */
		{7, false},  /* ... which does not wake from S4: there is none */
		{8, true},   /* 32-bit timer */
		{10, true},  /* reset register */
		{14, true},  /* PCI Express wakes */
		{20, false}, /* not hardware-reduced */
		{21, false}, /* no low-power idle instead of S3 */
	}, boot[] = {
		{1, false}, /* no 8042 */
		{2, true},  /* no VGA */
		{3, false}, /* MSI allowed */
		{4, false}, /* ASPM allowed */
	};
	const struct acpi_fadt *fadt = fadt_of_image(build(1));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		assert_int_equal(fadt->flags >> flags[i].bit & 1, flags[i].set);
	for (size_t i = 0; i < ARRAY_SIZE(boot); i++)
		assert_int_equal(fadt->iapc_boot_arch >> boot[i].bit & 1, boot[i].set);
}

static void test_tables_madt_has_every_cpu(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		long used = build(i);
		const struct acpi_madt *madt =
			table_at(xsdt_of_image(used)->entry[1], used, "APIC");
		const uint8_t *bytes = (const uint8_t *)madt;
		unsigned int found[256] = {0};
		size_t at = sizeof(*madt);

		assert_int_equal(madt->lapic, LAPIC_START);
		while (at < madt->header.length) {
			uint8_t type = bytes[at], len = bytes[at + 1];

			assert_true(len >= 2 && len <= madt->header.length - at);
			if (type == 0)
				assert_int_equal(bytes[at + 3], found[0]);
			found[type]++;
			at += len;
		}
		assert_int_equal(at, madt->header.length);
		assert_int_equal(found[0], machines[i].cpus);
		assert_int_equal(found[1], 1);
		assert_int_equal(found[2], 2);
		assert_int_equal(found[9], 0);
	}
}

/* Local APIC structures name IDs to 254; the rest needs an x2APIC structure. */
static void test_tables_madt_uses_x2apic_for_large_ids(void **state)
{
	static const uint8_t lapic[] = {0, 8, 0, 254, 1, 0, 0, 0};
	static const uint8_t x2apic[] = {9, 16, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
	struct sample sample;
	const uint8_t *madt;
	long used;

	(void)state;
	sample_init(&sample, 2, 0);
	sample.apic_ids[0] = 254;
	sample.apic_ids[1] = 255;
	used = acpi_build(&sample.machine, image, sizeof(image), SAMPLE_GPA);
	assert_true(used > 0);
	madt = table_at(xsdt_of_image(used)->entry[1], used, "APIC");
	madt += sizeof(struct acpi_madt);
	assert_memory_equal(madt, lapic, sizeof(lapic));
	assert_memory_equal(madt + sizeof(lapic), x2apic, sizeof(x2apic));
}

static void test_tables_mcfg_covers_the_ecam(void **state)
{
	static const struct {
		uint64_t size;
		uint8_t last_bus;
	} cases[] = {{256 * MIB, 255}, {64 * MIB, 63}, {MIB, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sample sample;
		const struct acpi_mcfg *mcfg;
		long used;

		sample_init(&sample, 1, 0);
		sample.machine.ecam.size = cases[i].size;
		used = acpi_build(&sample.machine, image, sizeof(image), SAMPLE_GPA);
		mcfg = table_at(xsdt_of_image(used)->entry[2], used, "MCFG");
		assert_int_equal(mcfg->ecam, ECAM_START);
		assert_int_equal(mcfg->segment, 0);
		assert_int_equal(mcfg->first_bus, 0);
		assert_int_equal(mcfg->last_bus, cases[i].last_bus);
	}
}

static void test_tables_reject_what_cannot_be(void **state)
{
	static const struct {
		unsigned int cpus, slots;
		uint64_t ecam_size, gpa;
	} cases[] = {
		{0, 0, ECAM_SIZE, SAMPLE_GPA},
		{ACPI_CPU_MAX + 1, 0, ECAM_SIZE, SAMPLE_GPA},
		{1, ACPI_SLOT_MAX + 1, ECAM_SIZE, SAMPLE_GPA},
		{1, 0, 0, SAMPLE_GPA},
		{1, 0, 257 * MIB, SAMPLE_GPA},
		{1, 0, ECAM_SIZE, SAMPLE_GPA + 32},
		{1, 0, ECAM_SIZE, 4 * GIB},
		{1, 0, ECAM_SIZE, 4 * GIB - SAMPLE_SIZE + 64},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sample sample;

		sample_init(&sample, cases[i].cpus, cases[i].slots);
		sample.machine.ecam.size = cases[i].ecam_size;
		assert_int_equal(acpi_build(&sample.machine, image, sizeof(image), cases[i].gpa),
				 -EINVAL);
	}
}

static long build_sample(uint8_t *bytes, size_t size)
{
	struct sample sample;

	sample_init(&sample, machines[1].cpus, machines[1].slots);
	return acpi_build(&sample.machine, bytes, size, SAMPLE_GPA);
}

static void test_tables_need_their_whole_size(void **state)
{
	(void)state;
	assert_needs_whole_size(build_sample);
}

static void test_tables_fit_where_the_layout_has_them(void **state)
{
	struct sample sample;

	(void)state;
	sample_init(&sample, ACPI_CPU_MAX, ACPI_SLOT_MAX);
	for (unsigned int i = 0; i < ACPI_SLOT_MAX; i++)
		sample.slot[i].functions = 0xff;
	assert_in_range(acpi_build(&sample.machine, image, sizeof(image), SAMPLE_GPA), 1,
			ACPI_TABLES_SIZE);
	assert_int_equal(ACPI_SLOT_MAX, SLOT_MAX);
	assert_int_equal(ACPI_CPU_MAX, VCPU_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_rsdp_comes_first),
		cmocka_unit_test(test_tables_xsdt_lists_every_table),
		cmocka_unit_test(test_tables_without_a_watchdog),
		cmocka_unit_test(test_tables_wdat),
		cmocka_unit_test(test_tables_fadt_points_to_facs_and_dsdt),
		cmocka_unit_test(test_tables_fadt_describes_the_fixed_hardware),
		cmocka_unit_test(test_tables_fadt_flags),
		cmocka_unit_test(test_tables_madt_has_every_cpu),
		cmocka_unit_test(test_tables_madt_uses_x2apic_for_large_ids),
		cmocka_unit_test(test_tables_mcfg_covers_the_ecam),
		cmocka_unit_test(test_tables_reject_what_cannot_be),
		cmocka_unit_test(test_tables_need_their_whole_size),
		cmocka_unit_test(test_tables_fit_where_the_layout_has_them),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
