/*
 * From the name of a config to its blob: the file itself, or what dtc makes of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/config.h"
#include "vmm/config_internal.h"

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

/* The blob was the file's content and becomes what dtc makes of the file. */
static int compile(const struct file *file, struct blob *blob)
{
	char why[256];
	int error = config_dtc(file->path, &config_dtc_limits, blob->bytes, &blob->size, why,
			       sizeof(why));

	return error ? refuse(file, error, "%s", why) : 0;
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
