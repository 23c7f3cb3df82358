/* bind and unbind on a host of fakes: what is refused and why, what is done, and the way back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake_host.h"
#include "tools/pci_class.h"
#include "tools/tools.h"
#include "vmm/base/bits.h"

#define GPU "0000:01:00.0"
#define SOUND "0000:01:00.1"
#define NIC "0000:02:00.0"

static const struct fake_device gpu = {GPU, "nouveau", 7, 0x030000, NULL, NULL};
static const struct fake_device sound = {SOUND, "snd_hda_intel", 7, 0x040300, NULL, NULL};
static const struct fake_device bridge = {"0000:00:01.0", "pcieport", 7, 0x060400, NULL, NULL};
static const struct fake_device nic = {NIC, "e1000e", 7, 0x020000, NULL, NULL};

static void add_card(struct fake_host *fake)
{
	fake_host_add(fake, &gpu);
	fake_host_add(fake, &sound);
	fake_host_add(fake, &bridge);
}

/* Runs a command; what it writes to standard output and error is `output` afterwards. */
static char output[16384];

static int run(struct fake_host *fake, int (*command)(struct bind_host *, int, char *[]),
	       const char *words)
{
	char line[256], *argv[16];
	int argc = 0, out = dup(1), err = dup(2), status;
	FILE *file = tmpfile();
	size_t len;

	snprintf(line, sizeof(line), "%s", words);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	text_finish(&fake->said);
	fflush(NULL);
	assert_true(file && dup2(fileno(file), 1) == 1 && dup2(fileno(file), 2) == 2);
	status = command(&fake->host, argc, argv);
	fflush(NULL);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	rewind(file);
	len = fread(output, 1, sizeof(output) - 1, file);
	output[len] = '\0';
	fclose(file);
	assert_int_equal(fake->held, fake->let_go);
	return status;
}

static void expect_says(const char *text)
{
	if (!strstr(output, text))
		fail_msg("no '%s' in '%s'", text, output);
}

static void expect_said(const struct fake_host *fake, const char *text)
{
	if (!fake->said.bytes || !strstr(fake->said.bytes, text))
		fail_msg("no '%s' in '%s'", text, fake->said.bytes ? fake->said.bytes : "");
}

static void expect_driver(struct fake_host *fake, const char *name, const char *driver,
			  const char *override)
{
	if (strcmp(fake_host_driver(fake, name), driver) ||
	    strcmp(fake_host_override(fake, name), override))
		fail_msg("%s has driver '%s', override '%s'", name, fake_host_driver(fake, name),
			 fake_host_override(fake, name));
}

static void expect_as_before(struct fake_host *fake)
{
	expect_driver(fake, GPU, "nouveau", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
	assert_false(fake_host_exists(fake, "run/bind/" GPU));
	assert_false(fake_host_exists(fake, "run/bind/" SOUND));
}

static void test_bind_usage(void **state)
{
	static const char *const cases[] = {
		"bind", "bind --yes", "bind 01:00.0 02:00.0", "bind 01:00.0 --no",
		"bind -y 01:00.0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(run(*state, bind_run_on, cases[i]), TOOL_USAGE);
		expect_says("try minivmm bind --help");
	}
	assert_int_equal(run(*state, bind_run_on, "bind --help"), TOOL_OK);
	expect_says("Usage: minivmm bind BDF");
	assert_int_equal(run(*state, unbind_run_on, "unbind --help"), TOOL_OK);
	expect_says("Usage: minivmm unbind BDF");
}

static void test_bind_no_such_device(void **state)
{
	assert_int_equal(run(*state, bind_run_on, "bind gpu"), TOOL_FAILED);
	expect_says("'gpu' is not a PCI address");
	assert_int_equal(run(*state, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("there is no PCI device 0000:01:00.0");
	assert_int_equal(run(*state, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("there is no PCI device 0000:01:00.0");
}

/* Without --yes all is shown and nothing done. */
static void test_bind_dry_run(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	expect_says("slot 0000:01:00, IOMMU group 7\n");
	expect_says("  0000:01:00.0  VGA controller [0300] 10de:2684, driver nouveau: will be "
		    "taken from it and bound to vfio-pci\n");
	expect_says("  0000:01:00.1  audio or video device [0403] 10de:2684, driver snd_hda_intel: "
		    "will be taken");
	expect_says("in the same IOMMU group:\n  0000:00:01.0  PCI bridge [0604] 10de:2684, driver "
		    "pcieport: stays, and is no obstacle\n");
	expect_says("Nothing was changed. To do it: sudo minivmm bind 01:00.0 --yes\n");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(fake->loads, 0);
	expect_as_before(fake);
}

static void test_bind_and_back(void **state)
{
	static const struct fake_device with_override = {
		"0000:01:00.2", NULL, 7, 0x0c8000, "ucsi", "pci-stub",
	};
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_add(fake, &with_override);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.1 --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, SOUND, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, "0000:01:00.2", BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, "0000:00:01.0", "pcieport", "");
	expect_said(fake, "0000:01:00.0: unbinding it from nouveau");
	expect_said(fake, "0000:01:00.0: bound to vfio-pci");
	assert_int_equal(fake->loads, 0);
	assert_true(fake_host_exists(fake, "run/bind/" GPU));

	/* again: nothing to do, and what is remembered stays */
	fake->writes = 0;
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	expect_says("all of slot 0000:01:00 is bound to vfio-pci already");
	assert_int_equal(fake->writes, 0);

	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("driver vfio-pci: will go back to nouveau");
	expect_says("driver vfio-pci: will be without a driver, as before");
	expect_says("To do it: sudo minivmm unbind 01:00.0 --yes");
	assert_int_equal(fake->writes, 0);

	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
	expect_driver(fake, "0000:01:00.2", "", "pci-stub");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_says("nothing of slot 0000:01:00 is bound to vfio-pci");
}

static void test_bind_loads_the_driver(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_dir(fake, "sys/bus/pci/drivers");
	assert_int_equal(rmdir(strcat(strcpy((char[128]){0}, fake->sysfs),
				      "/bus/pci/drivers/" BIND_DRIVER)), 0);
	fake->load_error = -ENOENT;
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("the module vfio-pci cannot be loaded");
	expect_as_before(fake);
	fake->load_error = 0;
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(fake->loads, 2);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
}

/* The second function fails: the first goes back, too. */
static void test_bind_rolls_back(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	strcpy(fake->refused, SOUND);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1: vfio-pci did not take it; dmesg says why");
	expect_said(fake, "0000:01:00.0: going back to how it was");
	expect_said(fake, "0000:01:00.0: bound to nouveau");
	expect_as_before(fake);

	fake->refused[0] = '\0';
	strcpy(fake->stuck, SOUND);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1: unbinding its driver: Device or resource busy");
	expect_as_before(fake);
}

/* What cannot be put back is said, beside what failed. */
static void test_bind_rollback_fails(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	strcpy(fake->refused, SOUND);
	strcpy(fake->lost_driver, GPU);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1: vfio-pci did not take it");
	expect_said(fake, "0000:01:00.0: its driver nouveau did not take it; is it loaded? As "
		    "root: modprobe nouveau");
	expect_driver(fake, GPU, "", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
	/* bind forgets no driver by it, and unbind can try again */
	fake->lost_driver[0] = '\0';
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.1 --yes"), TOOL_FAILED);
	expect_as_before(fake);

	strcpy(fake->lost_driver, GPU);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	assert_true(fake_host_exists(fake, "run/bind/" GPU));
	fake->lost_driver[0] = '\0';
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("0000:01:00.0  VGA controller [0300] 10de:2684, no driver: will go back to "
		    "nouveau");
	expect_says("driver snd_hda_intel: is not bound to vfio-pci");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

#define OF_CARD ",\"vendor\":4318,\"device\":9860}\n" /* 10de:2684, as fake_host_add() makes them */
#define REMEMBERED "{\"driver\":\"nouveau\",\"override\":\"\"" OF_CARD

/* Ended by a signal before, or after, the driver had gone: what is remembered is from before that.
 * `driver` is what it had left the function with. */
static struct fake_host *leave_half_bound(void **state, const char *driver)
{
	const struct fake_device left = {GPU, driver, 7, 0x030000, "nouveau", BIND_DRIVER};
	struct fake_host *fake;

	assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
	fake = *state;
	fake_host_add(fake, &left);
	fake_host_add(fake, &sound);
	fake_host_file(fake, "run/bind/" GPU, REMEMBERED);
	return fake;
}

static void test_bind_was_ended_half_way(void **state)
{
	static const char *const drivers[] = {"nouveau", NULL};

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		struct fake_host *fake = leave_half_bound(state, drivers[i]);

		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_as_before(fake);

		fake = leave_half_bound(state, drivers[i]);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
		expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_as_before(fake);

		fake = leave_half_bound(state, drivers[i]);
		strcpy(fake->refused, SOUND);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
		expect_as_before(fake);
	}
}

/* A driver that somebody else has given it since is no remainder of ours. */
static void test_bind_old_record(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_file(fake, "run/bind/" GPU, "{\"driver\":\"nvidia\",\"override\":\"\"" OF_CARD);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_says("nothing of slot 0000:01:00 is bound to vfio-pci");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

static void test_bind_device_vanishes(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	strcpy(fake->vanishes, SOUND);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.1 has vanished from the host meanwhile");
	expect_driver(fake, GPU, "nouveau", "");
}

static void test_bind_may_not_write(void **state)
{
	static const struct {
		int error;
		const char *says;
	} cases[] = {
		{-EACCES, "needs root: run it with sudo"},
		{-EROFS, "sysfs is mounted read-only"},
	};
	struct fake_host *fake = *state;

	add_card(fake);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake->write_error = cases[i].error;
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
		expect_says(cases[i].says);
		assert_int_equal(fake->writes, 0);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	}
	expect_as_before(fake);
}

/* --- what must stay --- */

static void add_bridge(struct fake_host *fake)
{
	static const struct fake_device card = {GPU, "pcieport", 7, 0x060400, NULL, NULL};

	fake_host_add(fake, &card);
}

static void add_without_iommu(struct fake_host *fake)
{
	static const struct fake_device card = {GPU, "nouveau", -1, 0x030000, NULL, NULL};

	fake_host_add(fake, &card);
}

static void add_noiommu(struct fake_host *fake)
{
	add_card(fake);
	fake_host_file(fake, "sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
}

static void add_disk(struct fake_host *fake, const char *mountinfo, const char *swaps)
{
	static const struct fake_device disk = {GPU, "nvme", 7, 0x010802, NULL, NULL};
	char dir[256], path[320];

	fake_host_add(fake, &disk);
	fake_host_child(fake, GPU, "block", "nvme0n1p2", dir);
	snprintf(path, sizeof(path), "%s/dev", dir);
	fake_host_file(fake, path, "259:2\n");
	fake_host_file(fake, "proc/self/mountinfo", mountinfo);
	fake_host_file(fake, "proc/swaps", swaps);
}

#define MOUNT_OTHER "22 1 8:1 / /boot rw shared:1 - ext4 /dev/sda1 rw\n"

static void add_mounted(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER "23 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n", "");
}

static void add_mounted_by_source(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER "23 1 0:25 /@ /home rw - btrfs /dev/nvme0n1p2 rw\n", "");
}

static void add_swap(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER, "Filename Type Size Used Priority\n"
		 "/dev/nvme0n1p2 partition 1 0 -2\n");
}

static void add_raid(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER, "");
	fake_host_dir(fake, "sys/devices/pci0000:00/" GPU "/block/nvme0n1p2/holders/md0");
}

static void add_claimed(struct fake_host *fake)
{
	add_disk(fake, MOUNT_OTHER, "");
	strcpy(fake->claimed, "nvme0n1p2");
}

static void add_multipath(struct fake_host *fake)
{
	static const struct fake_device disk = {GPU, "nvme", 7, 0x010802, NULL, NULL};
	char dir[256], link[128], target[128];

	fake_host_add(fake, &disk);
	fake_host_child(fake, GPU, "block", "nvme3c1n2", dir);
	fake_host_file(fake, "sys/devices/virtual/nvme-subsystem/nvme3n2/nvme3n2p1/dev", "259:9\n");
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(target, sizeof(target), "%s/devices/virtual/nvme-subsystem/nvme3n2%s",
			 fake->sysfs, i ? "/nvme3n2p1" : "");
		snprintf(link, sizeof(link), "%s/class/block/nvme3n2%s", fake->sysfs,
			 i ? "p1" : "");
		assert_int_equal(symlink(target, link), 0);
	}
	fake_host_file(fake, "proc/self/mountinfo", "23 1 259:9 / /srv rw - xfs /dev/x rw\n");
}

static void add_interface(struct fake_host *fake)
{
	char dir[256], path[320];

	fake_host_add(fake, &(struct fake_device){GPU, "e1000e", 7, 0x020000, NULL, NULL});
	fake_host_child(fake, GPU, "net", "eth0", dir);
	snprintf(path, sizeof(path), "%s/flags", dir);
	fake_host_file(fake, path, "0x1003\n");
}

static void add_holder(struct fake_host *fake, const char *node)
{
	char link[128];

	fake_host_file(fake, "proc/812/comm", "Xorg\n");
	fake_host_dir(fake, "proc/812/fd");
	snprintf(link, sizeof(link), "%s/812/fd/9", fake->proc);
	assert_int_equal(symlink(node, link), 0);
}

static void add_display_in_use(struct fake_host *fake)
{
	char dir[256];

	add_card(fake);
	fake_host_child(fake, GPU, "drm", "card0", dir);
	add_holder(fake, "/dev/dri/card0");
}

static void add_nvidia(struct fake_host *fake)
{
	static const struct fake_device card = {GPU, "nvidia", 7, 0x030000, NULL, NULL};
	char dir[256];

	fake_host_add(fake, &card);
	fake_host_child(fake, GPU, "drm", "card0", dir);
	fake_host_file(fake, "proc/driver/nvidia/gpus/" GPU "/information",
		       "Model: \t\t NVIDIA H100\nDevice Minor: \t 5\nGPU Excluded:\t No\n");
}

static void add_nvidia_in_use(struct fake_host *fake)
{
	add_nvidia(fake);
	add_holder(fake, "/dev/nvidia5");
}

static void add_nvidia_display_in_use(struct fake_host *fake)
{
	add_nvidia(fake);
	add_holder(fake, "/dev/dri/card0");
}

static void add_virtual_functions(struct fake_host *fake)
{
	add_card(fake);
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/sriov_numvfs", "2\n");
}

static void add_mixed_group(struct fake_host *fake)
{
	add_card(fake);
	fake_host_add(fake, &nic);
}

static void test_bind_refuses(void **state)
{
	static const struct {
		void (*add)(struct fake_host *fake);
		const char *says;
	} cases[] = {
		{add_bridge, "0000:01:00.0 stays with the host: it is a bridge"},
		{add_without_iommu, "it is behind no IOMMU"},
		{add_noiommu, "it is behind no IOMMU"},
		{add_mounted, "its disk nvme0n1p2 is mounted on /"},
		{add_mounted_by_source, "its disk nvme0n1p2 is mounted on /home"},
		{add_swap, "its disk nvme0n1p2 is swap space in use"},
		{add_raid, "its disk nvme0n1p2 is a part of md0"},
		{add_claimed, "its disk nvme0n1p2 is in use"},
		{add_multipath, "its disk nvme3n2p1 is mounted on /srv"},
		{add_interface, "its network interface eth0 is up: as root, ip link set eth0 down"},
		{add_display_in_use, "programs use it by /dev/dri/card0: Xorg (pid 812)"},
		{add_nvidia_in_use, "programs use it by /dev/nvidia5: Xorg (pid 812); end them "
		 "first, or its driver hangs when it is unbound\n"},
		{add_nvidia_display_in_use, "by /dev/dri/card0: Xorg (pid 812); end them first, or "
		 "its driver hangs when it is unbound\n"},
		{add_virtual_functions, "it has 2 virtual functions: as root, echo 0 "
		 ">/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs"},
		{add_mixed_group, "0000:02:00.0 shares the IOMMU group, and its driver e1000e"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_host *fake;

		assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
		fake = *state;
		cases[i].add(fake);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_FAILED);
		expect_says(cases[i].says);
		assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
		expect_says(cases[i].says);
		assert_int_equal(fake->writes, 0);
		assert_false(fake_host_exists(fake, "run/bind/" GPU));
	}
}

/* A disk that nobody uses, an interface that is down, a display that nobody has open. */
static void test_bind_takes_the_idle(void **state)
{
	struct fake_host *fake = *state;
	char dir[256], path[320];

	add_disk(fake, MOUNT_OTHER, "Filename\n/dev/nvme0n1p20 partition\n");
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/sriov_numvfs", "0\n");
	fake_host_child(fake, GPU, "net", "eth0", dir);
	snprintf(path, sizeof(path), "%s/flags", dir);
	fake_host_file(fake, path, "0x1002\n");
	fake_host_child(fake, GPU, "drm", "card0", dir);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
}

static void test_bind_force(void **state)
{
	struct fake_host *fake = *state;

	add_display_in_use(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes --force"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
	/* not what would harm the host */
	assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
	fake = *state;
	add_mounted(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes --force"), TOOL_FAILED);
	expect_driver(fake, GPU, "nvme", "");
	assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
	fake = *state;
	add_nvidia_in_use(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes --force"), TOOL_FAILED);
	expect_driver(fake, GPU, "nvidia", "");
}

/* Another card of the same driver is in use. */
static void test_bind_idle_nvidia(void **state)
{
	struct fake_host *fake = *state;

	add_nvidia(fake);
	add_holder(fake, "/dev/nvidia0");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
}

static void test_bind_group(void **state)
{
	struct fake_host *fake = *state;

	add_mixed_group(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --group"), TOOL_OK);
	expect_says("To do it: sudo minivmm bind 01:00.0 --group --yes");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --group --yes"), TOOL_OK);
	expect_driver(fake, GPU, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, NIC, BIND_DRIVER, BIND_DRIVER);
	expect_driver(fake, "0000:00:01.0", "pcieport", "");
	/* unbind touches the slot alone, unless told otherwise */
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
	expect_driver(fake, NIC, BIND_DRIVER, BIND_DRIVER);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --group --yes"), TOOL_OK);
	expect_driver(fake, NIC, "e1000e", "");
}

static void test_bind_boot_display_warns(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/boot_vga", "1\n");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	expect_says("warning: the host booted with this display: have another way");
	fake_host_file(fake, "sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
	fake_host_file(fake, "sys/class/vtconsole/vtcon1/bind", "1\n");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	expect_says("its text console is on a frame buffer: the screen freezes");
}

/* --- unbind --- */

static void test_unbind_nothing_remembered(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("will go to the driver that the kernel finds (nothing is "
		    "remembered of this card)");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, "nouveau", "");
}

static void test_unbind_finds_no_driver(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	strcpy(fake->lost_driver, GPU);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("no driver of the host took it; as root, modprobe");
	expect_driver(fake, GPU, "", "");
}

static void test_unbind_bound_by_ids(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau", NULL};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	fake->by_ids = true;
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("vfio-pci took it again, because its parameter ids");
}

/* Its own driver is asked, no other one, though vfio-pci would take it by its ids, too; and one
 * that had bound it by an override that was gone by then. */
static void test_unbind_asks_its_own_driver(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	fake->by_ids = true;
	fake_host_file(fake, "own/" SOUND, "");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

/* Ended when its driver had it back and the override was still ours. */
static void test_unbind_was_ended_half_way(void **state)
{
	static const struct fake_device left = {GPU, "nouveau", 7, 0x030000, NULL, "nouveau"};

	for (unsigned int i = 0; i < 2; i++) {
		struct fake_host *fake;

		assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
		fake = *state;
		fake_host_add(fake, &left);
		fake_host_add(fake, &sound);
		fake_host_file(fake, "run/bind/" GPU, REMEMBERED);
		if (i)
			assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_as_before(fake);
	}
}

static void test_unbind_in_use(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;
	char link[128];

	fake_host_add(fake, &bound);
	fake->busy_group = 7;
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.0 is in use by another program");
	fake_host_file(fake, "proc/99/comm", "minivmm\n");
	fake_host_dir(fake, "proc/99/fd");
	snprintf(link, sizeof(link), "%s/99/fd/5", fake->proc);
	assert_int_equal(symlink("/dev/vfio/7", link), 0);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.0 is in use by minivmm (pid 99): end it first; or --force");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes --force"), TOOL_OK);
	expect_said(fake, "in use by minivmm (pid 99), which is asked to let it go");
	expect_driver(fake, GPU, "nouveau", "");
}

/* Without groups nothing answers that it is in use. */
static void test_unbind_in_use_by_node(void **state)
{
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};
	struct fake_host *fake = *state;

	fake_host_add(fake, &bound);
	fake_host_dir(fake, "sys/devices/pci0000:00/" GPU "/vfio-dev/vfio3");
	fake->no_groups = true;
	add_holder(fake, "/dev/vfio/devices/vfio3");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("0000:01:00.0 is in use by Xorg (pid 812): end it first");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes --force"), TOOL_OK);
	expect_driver(fake, GPU, "nouveau", "");
}

/* What is in the file of a record is not believed. */
static void test_unbind_hostile_record(void **state)
{
	static const char *const records[] = {
		"", "[]", "{}", "{\"driver\":\"nvidia\"" OF_CARD,
		"{\"driver\":\"../../x\",\"override\":\"\"" OF_CARD,
		"{\"driver\":\"..\",\"override\":\"\"" OF_CARD,
		"{\"driver\":\"nvidia\",\"override\":\"a\\nb\"" OF_CARD,
		"{\"driver\":\"a name that is longer than any that a driver may have\","
		"\"override\":\"\"" OF_CARD,
		"{\"driver\":7,\"override\":\"\"" OF_CARD,
		"{\"driver\":\"nvidia\",\"override\":\"\"}",
		"{\"driver\":\"nvidia\",\"override\":\"\",\"vendor\":\"4318\",\"device\":9860}",
		"{\"driver\":\"nvidia\",\"override\":\"\",\"vendor\":69854,\"device\":9860}",
	};
	static const struct fake_device bound = {GPU, BIND_DRIVER, 7, 0x030000, "nouveau",
						 BIND_DRIVER};

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct fake_host *fake;

		assert_int_equal(fake_host_teardown(state) | fake_host_setup(state), 0);
		fake = *state;
		fake_host_add(fake, &bound);
		fake_host_file(fake, "run/bind/" GPU, records[i]);
		assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
		expect_driver(fake, GPU, "nouveau", "");
	}
}

/* Another card is in the slot: what the last one was bound to is nothing to it. */
static void test_unbind_exchanged_card(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	fake_host_file(fake, "sys/devices/pci0000:00/" GPU "/device", "0x2204\n");
	fake_host_file(fake, "own/" GPU, "nvidia");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0"), TOOL_OK);
	expect_says("10de:2204, driver vfio-pci: will go to the driver that the kernel finds "
		    "(nothing is remembered of this card)");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, "nvidia", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
	assert_false(fake_host_exists(fake, "run/bind/" GPU));

	/* without a driver, but not because of an unfinished bind of this card */
	fake_host_file(fake, "run/bind/" GPU, REMEMBERED);
	fake_host_take_driver(fake, GPU);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_says("nothing of slot 0000:01:00 is bound to vfio-pci");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_driver(fake, GPU, "", "");
}

static void test_bind_state_cannot_be_written(void **state)
{
	struct fake_host *fake = *state;

	add_card(fake);
	fake_host_file(fake, "run", "not a directory");
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("what was bound cannot be remembered in");
	expect_driver(fake, GPU, "nouveau", "");
	expect_driver(fake, SOUND, "snd_hda_intel", "");
}

/* Two commands that change something exclude each other, on whatever slot; looking is free. */
static void test_bind_one_at_a_time(void **state)
{
	struct fake_host *fake = *state;
	int other;

	add_card(fake);
	other = bind_record_lock(&fake->host);
	assert_true(other >= 0);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("another minivmm bind or unbind is at work, nothing was changed");
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_FAILED);
	expect_says("another minivmm bind or unbind is at work, nothing was changed");
	assert_int_equal(fake->writes, 0);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0"), TOOL_OK);
	close(other);
	assert_int_equal(run(fake, bind_run_on, "bind 01:00.0 --yes"), TOOL_OK);
	assert_int_equal(run(fake, unbind_run_on, "unbind 01:00.0 --yes"), TOOL_OK);
	expect_as_before(fake);
}

static void test_pci_class_names(void **state)
{
	(void)state;
	assert_string_equal(pci_class_name(0x030000), "VGA controller");
	assert_string_equal(pci_class_name(0x030200), "3D controller");
	assert_string_equal(pci_class_name(0x038000), "display controller");
	assert_string_equal(pci_class_name(0x0c0330), "USB controller");
	assert_string_equal(pci_class_name(0x010802), "NVMe controller");
	assert_string_equal(pci_class_name(0xff0000), "device");
	assert_true(pci_class_is_bridge(0x060000));
	assert_false(pci_class_is_bridge(0x030000));
}

#define BIND_TEST(name) cmocka_unit_test_setup_teardown(name, fake_host_setup, fake_host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BIND_TEST(test_bind_usage),
		BIND_TEST(test_bind_no_such_device),
		BIND_TEST(test_bind_dry_run),
		BIND_TEST(test_bind_and_back),
		BIND_TEST(test_bind_loads_the_driver),
		BIND_TEST(test_bind_rolls_back),
		BIND_TEST(test_bind_rollback_fails),
		BIND_TEST(test_bind_was_ended_half_way),
		BIND_TEST(test_bind_old_record),
		BIND_TEST(test_bind_device_vanishes),
		BIND_TEST(test_bind_may_not_write),
		BIND_TEST(test_bind_refuses),
		BIND_TEST(test_bind_takes_the_idle),
		BIND_TEST(test_bind_force),
		BIND_TEST(test_bind_idle_nvidia),
		BIND_TEST(test_bind_group),
		BIND_TEST(test_bind_boot_display_warns),
		BIND_TEST(test_unbind_nothing_remembered),
		BIND_TEST(test_unbind_finds_no_driver),
		BIND_TEST(test_unbind_bound_by_ids),
		BIND_TEST(test_unbind_asks_its_own_driver),
		BIND_TEST(test_unbind_was_ended_half_way),
		BIND_TEST(test_unbind_in_use),
		BIND_TEST(test_unbind_in_use_by_node),
		BIND_TEST(test_unbind_hostile_record),
		BIND_TEST(test_unbind_exchanged_card),
		BIND_TEST(test_bind_state_cannot_be_written),
		BIND_TEST(test_bind_one_at_a_time),
		cmocka_unit_test(test_pci_class_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
