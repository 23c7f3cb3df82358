/*
 * The real host of bind and unbind. Writes that make the kernel call into drivers are made by a
 * process of their own, because nobody can say how long a driver takes: this one tells that it
 * still waits, and can be ended while the other cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bind.h"
#include "vmm/base/clock.h"

#define TELL_MS 5000
#define MODPROBE_PATH "/proc/sys/kernel/modprobe"

static int kernel_may_write(struct bind_host *host, const char *path)
{
	(void)host;
	return access(path, W_OK) ? -errno : 0;
}

static int write_now(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return error;
}

/* The other end of the pipe closes when the process has ended. */
static void await(struct bind_host *host, int fd, const char *path)
{
	uint64_t start = clock_us();
	struct pollfd done = {.fd = fd, .events = POLLIN};
	char line[320];

	while (poll(&done, 1, TELL_MS) <= 0) {
		snprintf(line, sizeof(line), "still waiting for the kernel, %u s: %.240s",
			 (unsigned int)((clock_us() - start) / 1000000), path);
		host->ops->say(host, line);
	}
}

/* The process says by its status what became of the write: an errno, all of which fit. */
static int write_aside(struct bind_host *host, const char *path, const char *text)
{
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		setsid(); /* Ctrl-C is for the one who waits */
		_exit(-write_now(path, text));
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	await(host, ends[0], path);
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int kernel_write(struct bind_host *host, const char *path, const char *text)
{
	const char *name = strrchr(path, '/');

	if (!name || !strcmp(name, "/driver_override"))
		return write_now(path, text);
	return write_aside(host, path, text);
}

/* The program that the kernel itself loads modules with (Linux
 * Documentation/admin-guide/sysctl/kernel.rst, modprobe); empty: none, so the one in PATH. */
static void find_modprobe(char *ret_path, size_t size)
{
	FILE *file = fopen(MODPROBE_PATH, "re");

	if (!file || !fgets(ret_path, (int)size, file))
		ret_path[0] = '\0';
	if (file)
		fclose(file);
	ret_path[strcspn(ret_path, "\n")] = '\0';
	if (!ret_path[0] || access(ret_path, X_OK))
		snprintf(ret_path, size, "modprobe");
}

static int kernel_load(struct bind_host *host, const char *module)
{
	char program[256], name[32];
	char *argv[] = {program, name, NULL};
	int status;
	pid_t pid;

	(void)host;
	find_modprobe(program, sizeof(program));
	snprintf(name, sizeof(name), "%s", module);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		execvp(program, argv);
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ENOENT;
}

/* The file of a group opens once (Linux 6.1, vfio_main.c, vfio_group_fops_open()), and while it is
 * open no device of the group opens by its own node either (Linux 6.12, drivers/vfio/group.c,
 * vfio_device_block_group()). Opening it wakes nothing. */
static int kernel_hold(struct bind_host *host, int group)
{
	char path[32];
	int fd;

	(void)host;
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void kernel_let_go(struct bind_host *host, int fd)
{
	(void)host;
	close(fd);
}

/* Whoever uses a block device for himself (a mount, swap, RAID, a pool of ZFS) has claimed it
 * (Linux 6.1, block/bdev.c, bd_may_claim()); a claim of a partition counts for its disk. */
static bool kernel_is_claimed(struct bind_host *host, const char *name)
{
	char path[96];
	int fd;

	(void)host;
	snprintf(path, sizeof(path), "/dev/%.63s", name);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == EBUSY;
	close(fd);
	return false;
}

static void kernel_say(struct bind_host *host, const char *line)
{
	(void)host;
	printf("%s\n", line);
	fflush(stdout);
}

const struct bind_ops bind_kernel_ops = {
	.may_write = kernel_may_write,
	.write = kernel_write,
	.load = kernel_load,
	.hold = kernel_hold,
	.let_go = kernel_let_go,
	.is_claimed = kernel_is_claimed,
	.say = kernel_say,
};
