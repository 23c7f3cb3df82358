/*
 * From the name of a config to its blob: the file itself, or what dtc makes of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/config.h"

extern char **environ;

struct blob {
	uint8_t *bytes; /* CONFIG_SIZE_MAX + 1 of them; a full one was too large */
	size_t size;
};

struct file {
	const char *path;
	char *ret_why;
	size_t why_size;
};

static int refuse(const struct file *file, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct file *file, int error, const char *fmt, ...)
{
	char problem[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(problem, sizeof(problem), fmt, ap);
	va_end(ap);
	/* A path that is too long for the kernel must not cost the reason either. */
	snprintf(file->ret_why, file->why_size, "--config %.*s: %s", PATH_MAX - 1, file->path,
		 problem);
	return error;
}

/* Up to the end, or more than there may be. */
static int read_all(const struct file *file, int fd, struct blob *blob)
{
	ssize_t got = 1;

	blob->size = 0;
	while (got && blob->size <= CONFIG_SIZE_MAX) {
		got = read(fd, blob->bytes + blob->size, CONFIG_SIZE_MAX + 1 - blob->size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return refuse(file, -errno, "it cannot be read: %s", strerror(errno));
		blob->size += (size_t)got;
	}
	if (blob->size > CONFIG_SIZE_MAX)
		return refuse(file, -EFBIG, "more than 1 MiB");
	return 0;
}

/* Nothing is read of what cannot be a config. */
static int check_kind(const struct file *file, int fd)
{
	struct stat status;

	if (fstat(fd, &status))
		return refuse(file, -errno, "%s", strerror(errno));
	if (!S_ISREG(status.st_mode))
		return refuse(file, -EINVAL, "it is %s and should be a file",
			      S_ISDIR(status.st_mode) ? "a directory" : "a device or a FIFO");
	if (!status.st_size)
		return refuse(file, -EINVAL, "the file is empty");
	if (status.st_size > CONFIG_SIZE_MAX)
		return refuse(file, -EFBIG, "it has %lld bytes, and no more than 1 MiB is read",
			      (long long)status.st_size);
	return 0;
}

/* A FIFO must not make us wait for its writer, nor a terminal become ours. */
static int read_file(const struct file *file, struct blob *blob)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error;

	if (fd < 0)
		return refuse(file, -errno, "it cannot be opened: %s", strerror(errno));
	error = check_kind(file, fd);
	if (!error)
		error = read_all(file, fd, blob);
	close(fd);
	return error;
}

/* --- source --- */

/* It must die of Ctrl-C, which this program may have blocked, and of a pipe that nobody reads. */
static int spawn_dtc(const char *path, int out, pid_t *ret_pid)
{
	const char *const words[] = {"dtc", "-I", "dts", "-O", "dtb", "--", path, NULL};
	char *argv[ARRAY_SIZE(words)]; /* the same; no function changes them */
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, pipe_signal;
	int error;

	memcpy(argv, words, sizeof(argv));
	sigemptyset(&none);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
	if (!error)
		error = posix_spawnp(ret_pid, "dtc", &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

static int refuse_spawn(const struct file *file, int error)
{
	if (error == -ENOENT)
		return refuse(file, error, "it is no .dtb, and there is no dtc to compile a .dts: "
			      "install the package device-tree-compiler, or compile it elsewhere");
	return refuse(file, error, "dtc cannot be run: %s", strerror(-error));
}

static int wait_for_dtc(const struct file *file, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return refuse(file, -errno, "dtc: %s", strerror(errno));
	if (WIFSIGNALED(status))
		return refuse(file, -EINVAL, "dtc was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return refuse(file, -EINVAL, "it is no .dtb, and dtc cannot compile it; what it "
			      "says is above");
	return 0;
}

/* The blob was the file's content and becomes what dtc makes of the file, which it reads itself: so
 * it finds what is included, and its messages have the file's name. */
static int compile(const struct file *file, struct blob *blob)
{
	int ends[2];
	pid_t pid;
	int error, dtc_error;

	if (pipe2(ends, O_CLOEXEC))
		return refuse(file, -errno, "%s", strerror(errno));
	error = spawn_dtc(file->path, ends[1], &pid);
	close(ends[1]);
	if (error) {
		close(ends[0]);
		return refuse_spawn(file, error);
	}
	error = read_all(file, ends[0], blob);
	close(ends[0]);
	dtc_error = wait_for_dtc(file, pid);
	/* A dtc that was not listened to any more had no chance. */
	if (error == -EFBIG)
		return refuse(file, error, "what dtc makes of it has more than 1 MiB");
	return error ? error : dtc_error;
}

/* Devicetree Specification 0.4, 5.2 Header: magic. */
static bool is_flattened(const struct blob *blob)
{
	static const uint8_t magic[] = {0xd0, 0x0d, 0xfe, 0xed};

	return blob->size >= sizeof(magic) && !memcmp(blob->bytes, magic, sizeof(magic));
}

int config_read(const char *path, struct options *options, char *ret_why, size_t why_size)
{
	const struct file file = {path, ret_why, why_size};
	struct blob blob = {.bytes = malloc(CONFIG_SIZE_MAX + 1)};
	int error = blob.bytes ? 0 : refuse(&file, -ENOMEM, "out of memory");

	if (!error)
		error = read_file(&file, &blob);
	if (!error && !is_flattened(&blob))
		error = compile(&file, &blob);
	if (!error)
		error = config_apply(blob.bytes, blob.size, path, options, ret_why, why_size);
	free(blob.bytes);
	return error;
}
