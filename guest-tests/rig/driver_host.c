/* The host: modules, devices handed to vfio-pci, sysfs, config reads, interrupt counts. */
#include "guest-tests/rig/driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int host_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len < 0)
		return (int)len;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

int host_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		error = -errno;
	close(fd);
	return error;
}

int host_load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int failed;

	if (fd < 0)
		return fail("module %s: %m", path);
	failed = syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST;
	if (failed)
		fail("module %s: %m", path);
	close(fd);
	return failed ? -1 : 0;
}

int host_load_modules(const char *dir)
{
	char path[256], name[NAME_MAX_BYTES];
	FILE *order;

	snprintf(path, sizeof(path), "%s/order", dir);
	order = fopen(path, "re");
	if (!order)
		return fail("%s: %m", path);
	while (fscanf(order, "%63s", name) == 1) {
		if (!strstr(name, ".ko"))
			continue; /* what the line's files are for */
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (host_load_module(path) < 0) {
			fclose(order);
			return -1;
		}
	}
	fclose(order);
	return 0;
}

static int give_to_vfio(const char *bdf)
{
	char path[256];
	int error;

	snprintf(path, sizeof(path), SYSFS_PCI "%s/driver_override", bdf);
	error = host_write(path, "vfio-pci");
	if (!error)
		error = host_write("/sys/bus/pci/drivers_probe", bdf);
	return error ? fail("host: cannot bind %s to vfio-pci: %s", bdf, strerror(-error)) : 0;
}

/* Binds every function below a port. */
static int setup_device(struct rig_device *device)
{
	struct dirent *entry;
	char path[256];
	int error = 0;
	DIR *dir;

	snprintf(path, sizeof(path), SYSFS_PCI "%s", device->port);
	dir = opendir(path);
	if (!dir)
		return fail("host: no root port %s: %m", device->port);
	while (!error && (entry = readdir(dir))) {
		/* "0000:01:00.0", not "0000:00:03.0:pcie001", a service of the port */
		if (strlen(entry->d_name) != 12 || entry->d_name[4] != ':')
			continue;
		error = give_to_vfio(entry->d_name);
		if (entry->d_name[11] == '0')
			memcpy(device->bdf, entry->d_name, 13);
	}
	closedir(dir);
	if (error)
		return error;
	if (!device->bdf[0])
		return fail("host: no device below root port %s", device->port);
	snprintf(path, sizeof(path), SYSFS_PCI "%s/power/control", device->port);
	error = host_write(path, "auto");
	return error ? fail("%s: %s", path, strerror(-error)) : 0;
}

/* Without a link their idle driver lets them sleep. */
static int pull_links(struct rig *rig)
{
	static const char *const commands[] = {
		"set_link power off", "set_link duo0 off", "set_link duo1 off",
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (monitor_ask(rig, commands[i]) < 0)
			return -1;
		if (rig->answer[0])
			return fail("'%s': %s", commands[i], rig->answer);
	}
	return 0;
}

/* An interrupt of the clock chip, each second at least (with an HPET Linux has them more often).
 * QEMU 7.2 changes the CPU's word of pending requests without a lock when a guest begins and ends
 * (target/i386/tcg/sysemu/svm_helper.c, helper_vmrun() and do_vmexit(), interrupt_request), and can
 * so lose that the local APIC's timer has gone off. A guest that waits for its other CPU in a loop
 * then keeps the host's only CPU for ever; the next interrupt, from wherever, has all that wait
 * seen to. */
static int start_clock(void)
{
	int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC); /* for as long as the host lives */

	return fd < 0 || ioctl(fd, RTC_UIE_ON) < 0 ? fail("host: /dev/rtc0: %m") : 0;
}

int host_setup(struct rig *rig)
{
	if (start_clock() < 0)
		return -1;
	if (host_load_modules("/modules") < 0)
		return -1;
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return fail("host: no /dev/kvm; kvm-amd found no SVM");
	mkdir("/dev/shm", 0777);
	if (monitor_setup(rig) < 0 || pull_links(rig) < 0)
		return -1;
	for (size_t i = 0; i < DEVICE_COUNT; i++) {
		struct rig_device *device = &rig->device[i];

		if (setup_device(device) < 0)
			return -1;
		say("host: {%s} is %s below %s", device->name, device->bdf, device->port);
	}
	return 0;
}

int host_config(const char *bdf, unsigned int off, unsigned int len, char *hex, size_t size)
{
	unsigned char bytes[256];
	char path[256];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), SYSFS_PCI "%s/config", bdf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || len > sizeof(bytes))
		return fail("%s: %m", path);
	got = pread(fd, bytes, len, off);
	close(fd);
	if (got != (ssize_t)len)
		return fail("%s: read of %u bytes at %#x gave %zd", path, len, off, got);
	for (unsigned int i = 0; i < len && 2 * i + 2 < size; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

int sample_open(struct sample *sample, const char *bdf, const char *attribute)
{
	char path[256];

	snprintf(sample->bdf, sizeof(sample->bdf), "%s", bdf);
	snprintf(sample->attribute, sizeof(sample->attribute), "%s", attribute);
	sample->value[0] = '\0';
	snprintf(path, sizeof(path), SYSFS_PCI "%s/%s", bdf, attribute);
	sample->fd = open(path, O_RDONLY | O_CLOEXEC);
	return sample->fd < 0 ? fail("%s: %m", path) : 0;
}

bool sample_read(struct sample *sample)
{
	char value[NAME_MAX_BYTES];
	ssize_t len = pread(sample->fd, value, sizeof(value) - 1, 0);

	value[len > 0 ? len : 0] = '\0';
	value[strcspn(value, "\n")] = '\0';
	if (!strcmp(value, sample->value))
		return false;
	memcpy(sample->value, value, sizeof(value));
	say("host: %s %s is %s", sample->bdf, sample->attribute, value);
	timeline_host(sample->bdf, sample->attribute, value);
	return true;
}

void sample_close(struct sample *sample)
{
	close(sample->fd);
	sample->fd = -1;
}

void watch_sample(struct rig *rig)
{
	for (unsigned int i = 0; i < rig->watches; i++)
		sample_read(&rig->watch[i]);
}
