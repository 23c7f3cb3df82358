/* PID 1 of the rig's host: sets up, performs /scenario or gives a person a shell, powers off. */
#include "guest-tests/rig/driver.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCENARIO "/scenario"

static struct rig rig = {
	.monitor = -1,
	.api = -1,
	.device = {
		[DEVICE_POWER] = {.name = "power", .port = "0000:00:03.0"},
		[DEVICE_NET] = {.name = "net", .port = "0000:00:04.0"},
		[DEVICE_USB] = {.name = "usb", .port = "0000:00:05.0"},
		[DEVICE_DUO] = {.name = "duo", .port = "0000:00:06.0"},
	},
};

/* The initramfs is no file system that pivot_root() takes away from anybody, as passt does for
 * itself (Linux ramfs-rootfs-initramfs.rst, What is rootfs?); the same folders on top of it are. */
static int leave_rootfs(void)
{
	mkdir("/root", 0755);
	if (mount("/", "/root", NULL, MS_BIND, NULL) < 0 || chdir("/root") < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return fail("cannot leave rootfs: %m");
	return 0;
}

static int mount_all(void)
{
	static const struct {
		const char *type, *where;
	} mounts[] = {
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"devpts", "/dev/pts"},
		{"tmpfs", "/run"}, {"debugfs", "/sys/kernel/debug"},
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].where, 0755);
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, NULL) < 0)
			return fail("cannot mount %s on %s: %m", mounts[i].type, mounts[i].where);
	}
	return 0;
}

/* The kernel opened the console before there was a /dev in some of the set-ups. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	for (int i = 0; i < 3 && fd >= 0; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static bool wants_shell(void)
{
	char cmdline[1024];

	return host_read("/proc/cmdline", cmdline, sizeof(cmdline)) == 0 &&
	       strstr(cmdline, "rig.shell");
}

static void shell(void)
{
	char name[] = "sh", login[] = "-l";
	char *const argv[] = {name, login, NULL};
	pid_t pid = fork();

	if (pid == 0) {
		int fd;

		setsid();
		fd = open("/dev/ttyS0", O_RDWR);
		ioctl(fd, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
		setenv("HOME", "/", 1);
		setenv("TERM", "linux", 1);
		setenv("PATH", "/bin", 1);
		setenv("PS1", "rig# ", 1);
		for (size_t i = 0; i < DEVICE_COUNT; i++)
			setenv(rig.device[i].name, rig.device[i].bdf, 1);
		execv("/bin/sh", argv);
		_exit(127);
	}
	/* Whatever the person started and left becomes ours: reap it too. */
	while (wait(NULL) != pid)
		;
}

int main(void)
{
	int result = leave_rootfs();

	if (result == 0)
		result = mount_all();
	open_console();
	kernel_log_begin();
	deadline_start();
	signal(SIGPIPE, SIG_IGN);
	vm_init(&rig.vm);
	if (result == 0)
		result = host_setup(&rig);
	if (result == 0 && wants_shell())
		shell();
	else if (result == 0 && scenario_run(&rig, SCENARIO) == 0)
		printf("RIG-RESULT PASS\n");
	else
		result = -1;
	if (result < 0) {
		say_vm_threads(&rig);
		say_kernel_log();
		printf("RIG-RESULT FAIL: %s\n", fail_reason());
	}
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	/* A write that waits for its device would hold up the kernel's end. */
	if (rig.writer.pid)
		vm_kill(&rig);
	reboot(RB_POWER_OFF);
	return 1;
}
