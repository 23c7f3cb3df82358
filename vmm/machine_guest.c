#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/block_image.h"
#include "devices/pci.h"
#include "vmm/boot.h"
#include "vmm/firmware.h"
#include "vmm/firmware_boot.h"
#include "vmm/firmware_files.h"
#include "vmm/layout.h"
#include "vmm/machine_internal.h"
#include "vmm/options.h"

static struct firmware_config firmware_config(const struct machine *m)
{
	return (struct firmware_config){
		.mem = m->mem, .cpus = m->options->cpus, .mmio64 = machine_mmio64_window(m),
		.slots = m->slots, .watchdog = m->watchdog};
}

/* --- what is booted --- */

/* The options of kernels would be dropped in silence. */
static int check_options(const struct options *options, char *why, size_t why_size)
{
	const char *option = options->initrd ? "--initrd" : options->append ? "--append" : NULL;

	if (!option)
		return 0;
	snprintf(why, why_size, "%s is for kernels, and %s%s is booted by firmware, as what is "
		 "on the disk says", option, options->kernel ? "the disk image " : "a disk",
		 options->kernel ? options->kernel : "");
	return -EINVAL;
}

/* The image is the first disk. What is wrong with it is found before variables are made beside it;
 * as a device it is opened again. */
static int add_image(struct machine *m, const char *path, char *why, size_t why_size)
{
	struct disk_config *disk = &m->disk[0];
	struct block_image image;
	int error;

	*disk = (struct disk_config){.queues = 1, .is_guest = true};
	if (strlen(path) >= sizeof(disk->path)) {
		snprintf(why, why_size, "the disk image's path is longer than %zu characters",
			 sizeof(disk->path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(disk->path, path);
	m->disks = 1;
	error = block_image_open(disk, &image, why, why_size);
	if (!error)
		block_image_close(&image);
	return error;
}

/* Those of --disk. */
static int add_disks(struct machine *m, char *why, size_t why_size)
{
	if (m->disks + m->options->disks > DISK_MAX) {
		snprintf(why, why_size, "%s and those of --disk are more than the %u disks that "
			 "there can be", m->disk[0].path, DISK_MAX);
		return -EINVAL;
	}
	memcpy(&m->disk[m->disks], m->options->disk,
	       m->options->disks * sizeof(m->options->disk[0]));
	m->disks += m->options->disks;
	return 0;
}

static int open_firmware(struct machine *m, const struct firmware_option *option, char *why,
			 size_t why_size)
{
	const char *image = m->options->kernel;
	int error = check_options(m->options, why, why_size);

	if (!error && image)
		error = add_image(m, image, why, why_size);
	if (!error)
		error = firmware_files_open(option, image, &m->firmware_files, why, why_size);
	return error;
}

int machine_open_guest(struct machine *m, char *why, size_t why_size)
{
	const struct options *options = m->options;
	const struct boot_config boot = {.kernel = options->kernel, .initrd = options->initrd,
					 .append = options->append};
	const struct firmware_option uefi = {.kind = FIRMWARE_UEFI};
	enum boot_kind kind = options->kernel ? boot_kind_of(options->kernel) : BOOT_KIND_DISK;
	bool has_option = options->firmware.kind != FIRMWARE_NONE;
	int error;

	if (has_option && kind == BOOT_KIND_KERNEL) {
		snprintf(why, why_size, "--firmware boots disks, and %s is a kernel, which needs "
			 "none: leave --firmware out", options->kernel);
		return -EINVAL;
	}
	if (has_option)
		error = open_firmware(m, &options->firmware, why, why_size);
	else if (kind == BOOT_KIND_DISK)
		error = open_firmware(m, &uefi, why, why_size);
	else
		error = boot_open(&boot, options->memory, &m->boot, why, why_size);
	return error ? error : add_disks(m, why, why_size);
}

/* --- how --- */

int machine_plug_firmware(struct machine *m, char *why, size_t why_size)
{
	struct firmware_boot_config config = {
		.firmware = firmware_config(m), .port = m->port, .rtc = m->rtc, .pci = m->pci,
		.disks = m->disks};
	int error;

	if (!m->firmware_files)
		return 0;
	config.rom = firmware_files_code(m->firmware_files, &config.rom_size);
	error = firmware_files_map(m->firmware_files, m->mem, m->mmio, why, why_size);
	if (!error)
		error = firmware_boot_create(&config, &m->firmware_boot, why, why_size);
	return error;
}

int machine_load(struct machine *m, struct boot_entry *ret_entry, char *why, size_t why_size)
{
	const struct firmware_config firmware = firmware_config(m);
	int error;

	if (m->firmware_files) {
		firmware_boot_reset(m->firmware_boot);
		*ret_entry = (struct boot_entry){.mode = BOOT_RESET_VECTOR};
		return 0;
	}
	error = pci_host_assign(m->pci);
	if (error) {
		snprintf(why, why_size, "the devices' memory does not fit the guest's address "
					"space");
		return error;
	}
	error = firmware_write(&firmware, why, why_size);
	return error ? error : boot_load(m->boot, m->mem, ACPI_TABLES_START, ret_entry, why,
					 why_size);
}
