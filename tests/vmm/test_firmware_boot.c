/*
 * What firmware finds: files of fw_cfg, CMOS, the memory below 1 MiB; tables that follow ECAM.
 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "acpi/tables.h"
#include "devices/acpi_pm.h"
#include "devices/fw_cfg.h"
#include "devices/legacy.h"
#include "devices/pci.h"
#include "devices/q35.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_irq.h"
#include "tests/fake_mem.h"
#include "vfio/vfio.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/firmware_boot.h"
#include "vmm/kvm.h"
#include "vmm/layout.h"
#include "vmm/loop.h"
#include "vmm/mem.h"
#include "vmm/options.h"
#include "vmm/slots.h"

#define RAM (5 * GIB)
#define LOW (3 * GIB) /* what fake_mem.c puts below 4 GiB */
#define ROM_SIZE (192 * KIB)
#define CPUS 3
#define MCFG_ECAM 44
#define FILE_MAX 0x20000U

struct fixture {
	struct options options;
	struct kvm kvm;
	struct bus *port, *mmio;
	struct irq_chip *irq;
	struct mem *mem;
	struct loop *loop;
	struct rtc *rtc;
	struct acpi_pm *pm;
	struct pci_host *pci;
	struct q35 *q35;
	struct slots *slots;
	uint8_t *rom;
	struct firmware_boot *boot;
	uint8_t file[FILE_MAX]; /* the last one that was read */
};

static struct fixture fixture;

/* There is no KVM. */
int kvm_set_vfio_file(struct kvm *kvm, int vfio_fd, bool on)
{
	(void)kvm;
	(void)vfio_fd;
	(void)on;
	return 0;
}

static void no_request(void *opaque, enum machine_request request)
{
	(void)opaque;
	(void)request;
}

static void start_machine(struct fixture *f)
{
	struct pci_host_config pci = {.firmware = true, .mmio64 = {8 * GIB, 8 * GIB}};

	*f = (struct fixture){.port = bus_create("port"), .mmio = bus_create("mmio"),
			      .irq = fake_irq_create(), .mem = fake_mem_create(RAM),
			      .loop = loop_create(), .options = {.hotplug_ports = 1}};
	pci.port = f->port;
	pci.mmio = f->mmio;
	pci.irq = f->irq;
	f->pm = acpi_pm_create(f->port, f->irq, no_request, NULL);
	f->rtc = rtc_create(f->port, f->irq, f->pm);
	f->pci = pci_host_create(&pci);
	assert_true(f->rtc && f->pm && f->pci && f->loop);
	f->q35 = q35_create(f->pci, true);
	assert_non_null(f->q35);
}

static int setup(void **state)
{
	struct fixture *f = &fixture;
	struct vfio_machine machine;
	struct firmware_boot_config config;
	char why[256];

	start_machine(f);
	machine = (struct vfio_machine){.mem = f->mem, .mmio = f->mmio, .irq = f->irq,
					.pci = f->pci, .pm = f->pm};
	assert_int_equal(slots_create(&f->options, &f->kvm, f->loop, &machine, &f->slots, why,
				      sizeof(why)), 0);
	f->rom = malloc(ROM_SIZE);
	assert_non_null(f->rom);
	for (size_t i = 0; i < ROM_SIZE; i++)
		f->rom[i] = (uint8_t)(i >> 8 ^ i);
	config = (struct firmware_boot_config){
		.firmware = {.mem = f->mem, .cpus = CPUS, .mmio64 = {8 * GIB, 8 * GIB},
			     .slots = f->slots},
		.port = f->port, .rtc = f->rtc, .pci = f->pci, .disks = 9,
		.rom = f->rom, .rom_size = ROM_SIZE};
	assert_int_equal(firmware_boot_create(&config, &f->boot, why, sizeof(why)), 0);
	firmware_boot_reset(f->boot);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	firmware_boot_destroy(f->boot);
	slots_destroy(f->slots);
	q35_destroy(f->q35);
	pci_host_destroy(f->pci);
	acpi_pm_destroy(f->pm);
	rtc_destroy(f->rtc);
	loop_destroy(f->loop);
	fake_mem_destroy(f->mem);
	fake_irq_destroy(f->irq);
	bus_destroy(f->mmio);
	bus_destroy(f->port);
	free(f->rom);
	return 0;
}

static void read_item(struct fixture *f, uint16_t key, size_t len)
{
	assert_true(len <= sizeof(f->file));
	guest_out(f->port, PORT_FW_CFG, 2, key);
	for (size_t i = 0; i < len; i++)
		f->file[i] = (uint8_t)guest_in(f->port, PORT_FW_CFG + 1, 1);
}

/* Its size; the content is in f->file. */
static uint32_t read_file(struct fixture *f, const char *name)
{
	struct fw_cfg_file entry;

	for (unsigned int i = 0; i < 32; i++) {
		read_item(f, FW_CFG_FILE_DIR, 4 + (i + 1) * sizeof(entry));
		memcpy(&entry, f->file + 4 + i * sizeof(entry), sizeof(entry));
		if (strcmp(entry.name, name))
			continue;
		read_item(f, be16toh(entry.select), be32toh(entry.size));
		return be32toh(entry.size);
	}
	fail_msg("no file %s", name);
	return 0;
}

static uint64_t cmos(struct fixture *f, uint8_t index, unsigned int len)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < len; i++) {
		guest_out(f->port, PORT_RTC_INDEX, 1, index + i);
		value |= guest_in(f->port, PORT_RTC_INDEX + 1, 1) << 8 * i;
	}
	return value;
}

static void test_firmware_boot_describes_memory(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_file(f, "etc/e820"), 60);
	assert_int_equal(le64_get(f->file), KVM_IDENTITY_MAP_START);
	assert_int_equal(le64_get(f->file + 8), 4 * 4 * KIB);
	assert_int_equal(le32_get(f->file + 16), 2);
	assert_int_equal(le64_get(f->file + 20), 0);
	assert_int_equal(le64_get(f->file + 28), LOW);
	assert_int_equal(le32_get(f->file + 36), 1);
	assert_int_equal(le64_get(f->file + 40), 4 * GIB);
	assert_int_equal(le64_get(f->file + 48), RAM - LOW);
	assert_int_equal(cmos(f, 0x15, 2), 640);
	assert_int_equal(cmos(f, 0x17, 2), 0xffff);
	assert_int_equal(cmos(f, 0x34, 2), (LOW - 16 * MIB) / (64 * KIB));
	assert_int_equal(cmos(f, 0x5b, 3), (RAM - LOW) / (64 * KIB));
}

static void test_firmware_boot_describes_cpus_and_disks(void **state)
{
	struct fixture *f = *state;

	read_item(f, FW_CFG_NB_CPUS, 2);
	assert_int_equal(le16_get(f->file), CPUS);
	read_item(f, FW_CFG_MAX_CPUS, 2);
	assert_int_equal(le16_get(f->file), CPUS);
	assert_int_equal(cmos(f, 0x5f, 1), CPUS - 1);
	assert_int_equal(cmos(f, 0x0f, 1), 0);
	read_file(f, "bootorder");
	assert_non_null(strstr((char *)f->file, "/pci@i0cf8/scsi@18/disk@0,0\n"
						"/pci@i0cf8/scsi@18,1/disk@0,0\n"));
	/* The ninth is at the second device; the text ends there. */
	assert_string_equal(strrchr((char *)f->file, '\n'), "\n/pci@i0cf8/scsi@19/disk@0,0");
	assert_int_equal(read_file(f, "etc/sercon-port"), 8);
	assert_int_equal(le64_get(f->file), PORT_COM1);
}

static void test_firmware_boot_gives_smbios(void **state)
{
	struct fixture *f = *state;
	uint32_t tables = read_file(f, "etc/smbios/smbios-tables"), at = 0;

	assert_int_equal(f->file[0], 0);
	/* The last structure is the end-of-table. */
	for (uint32_t i = 0; i + 6 <= tables; i++)
		at = f->file[i] == 127 && f->file[i + 1] == 4 ? i : at;
	assert_int_equal(at, tables - 6);
	assert_int_equal(read_file(f, "etc/smbios/smbios-anchor"), 24);
	assert_memory_equal(f->file, "_SM3_", 5);
	assert_int_equal(le32_get(f->file + 12), tables);
}

/* Offset of the MCFG in f->file. */
static uint32_t find_mcfg(const struct fixture *f, uint32_t size)
{
	for (uint32_t i = 0; i + MCFG_ECAM + 8 <= size; i += 16)
		if (!memcmp(f->file + i, "MCFG", 4))
			return i;
	fail_msg("no MCFG");
	return 0;
}

static uint64_t ecam_of_tables(struct fixture *f)
{
	uint32_t size;

	read_file(f, ACPI_FILE_LOADER);
	size = read_file(f, ACPI_FILE_TABLES);
	return le64_get(f->file + find_mcfg(f, size) + MCFG_ECAM);
}

static void test_firmware_boot_tables_follow_ecam(void **state)
{
	static const uint32_t places[] = {0xb0000000, 0xe0000000, 0x80000000};
	struct fixture *f = *state;

	/* Nothing is placed: what there is was made for the usual place. */
	assert_int_equal(ecam_of_tables(f), ECAM_START);
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		pci_host_cfg_write(f->pci, 0, 0x60, 4, places[i] | 1);
		assert_int_equal(ecam_of_tables(f), places[i]);
	}
	assert_int_equal(read_file(f, ACPI_FILE_RSDP), ACPI_RSDP_SIZE);
	assert_memory_equal(f->file, "RSD PTR ", 8);
}

static void test_firmware_boot_offers_s3_and_resumes(void **state)
{
	static const uint8_t states[] = {0x80, 0, 0, 0x80 | ACPI_PM_SLP_TYP_S3, 0,
					 0x80 | ACPI_PM_SLP_TYP_S5};
	struct fixture *f = *state;
	uint8_t *last = mem_hva(f->mem, BIOS_AREA_END - 1, 1);

	assert_int_equal(read_file(f, "etc/system-states"), sizeof(states));
	assert_memory_equal(f->file, states, sizeof(states));
	*last = 0x5a;
	firmware_boot_resume(f->boot);
	assert_int_equal(cmos(f, 0x0f, 1), 0xfe);
	assert_int_equal(*last, 0x5a);
	/* Nothing is selected any more. */
	assert_int_equal(guest_in(f->port, PORT_FW_CFG + 1, 1), 0);
}

static void test_firmware_boot_reset_is_power_on(void **state)
{
	struct fixture *f = *state;
	uint8_t *area = mem_hva(f->mem, OPTION_ROM_START, BIOS_AREA_END - OPTION_ROM_START);

	memset(area, 0xee, BIOS_AREA_END - OPTION_ROM_START);
	rtc_set_memory(f->rtc, 0x0f, 0xfe);
	firmware_boot_reset(f->boot);
	for (uint32_t i = 0; i < 0x20000; i++)
		assert_int_equal(area[i], 0);
	assert_memory_equal(area + 0x20000, f->rom + ROM_SIZE - ROM_LOW_SIZE, ROM_LOW_SIZE);
	assert_int_equal(cmos(f, 0x0f, 1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_firmware_boot_describes_memory),
		TEST(test_firmware_boot_describes_cpus_and_disks),
		TEST(test_firmware_boot_gives_smbios),
		TEST(test_firmware_boot_tables_follow_ecam),
		TEST(test_firmware_boot_offers_s3_and_resumes),
		TEST(test_firmware_boot_reset_is_power_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
