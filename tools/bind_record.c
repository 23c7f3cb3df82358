/*
 * How a function was before it was bound: one file a function, gone with the next boot, as is the
 * binding.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/bind.h"
#include "vmm/base/json.h"
#include "vmm/base/json_read.h"
#include "vmm/base/write_all.h"

#define FILE_MAX 512
#define VALUES_MAX 16

static bool path_of(const struct bind_host *host, const char *name, char ret_path[PATH_MAX])
{
	return snprintf(ret_path, PATH_MAX, "%s/%s", host->state, name) < PATH_MAX;
}

/* The directory and those above it. */
static int make_dirs(const char *dir)
{
	char path[PATH_MAX];

	for (size_t i = 1; i <= strlen(dir); i++) {
		if (dir[i] && dir[i] != '/')
			continue;
		if (snprintf(path, sizeof(path), "%.*s", (int)i, dir) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* Whole or not at all: the file gets its name when it is complete. */
static int write_file(const char *path, const struct text *text)
{
	char temporary[PATH_MAX];
	int fd, error;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	error = write_all(fd, text->bytes, text->len);
	close(fd);
	if (!error && rename(temporary, path))
		error = -errno;
	if (error)
		unlink(temporary);
	return error;
}

/* A file of its own, because the directory could be locked by everybody who may read it. */
int bind_record_lock(const struct bind_host *host)
{
	char path[PATH_MAX];
	int error = path_of(host, "lock", path) ? make_dirs(host->state) : -ENAMETOOLONG;
	int fd;

	if (error)
		return error;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int bind_record_keep(const struct bind_host *host, const char *name,
		     const struct bind_record *record)
{
	struct text text = {0};
	struct json json = {.out = &text};
	char path[PATH_MAX];
	int error = path_of(host, name, path) ? make_dirs(host->state) : -ENAMETOOLONG;

	json_begin_object(&json, NULL);
	json_string(&json, "driver", record->driver);
	json_string(&json, "override", record->override);
	json_number(&json, "vendor", record->vendor);
	json_number(&json, "device", record->device);
	json_end_object(&json);
	text_add(&text, "\n");
	if (!error)
		error = text.failed ? -ENOMEM : write_file(path, &text);
	text_finish(&text);
	return error;
}

/* A name of a driver, or nothing: no path, and nothing that a terminal would obey. */
static bool get_name(const struct json_doc *doc, const char *key, char *ret_name, size_t size)
{
	if (!json_get_string(doc, json_member(doc, 0, key), ret_name, size))
		return false;
	for (const char *c = ret_name; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '/')
			return false;
	return ret_name[0] != '.';
}

/* A slot may have another card since: one that was plugged in while the host ran. */
static bool is_of(const struct json_doc *doc, const struct bind_function *fn)
{
	uint64_t vendor, device;

	return json_get_number(doc, json_member(doc, 0, "vendor"), UINT32_MAX, &vendor) &&
	       json_get_number(doc, json_member(doc, 0, "device"), UINT32_MAX, &device) &&
	       vendor == fn->vendor && device == fn->device;
}

bool bind_record_find(const struct bind_host *host, const struct bind_function *fn,
		      struct bind_record *ret_record)
{
	char path[PATH_MAX], bytes[FILE_MAX];
	jsmntok_t tokens[VALUES_MAX];
	struct bind_record record = {.vendor = fn->vendor, .device = fn->device};
	struct json_doc doc;
	ssize_t len;
	int fd;

	if (!path_of(host, fn->name, path))
		return false;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, bytes, sizeof(bytes));
	close(fd);
	if (len < 0 || len == (ssize_t)sizeof(bytes) ||
	    json_parse(bytes, (size_t)len, tokens, VALUES_MAX, &doc) ||
	    !is_of(&doc, fn) || !get_name(&doc, "driver", record.driver, sizeof(record.driver)) ||
	    !get_name(&doc, "override", record.override, sizeof(record.override)))
		return false;
	*ret_record = record;
	return true;
}

bool bind_record_is_ours(const struct bind_record *record, const char *override)
{
	return !strcmp(override, BIND_DRIVER) ||
	       (override[0] && !strcmp(override, record->driver));
}

void bind_record_drop(const struct bind_host *host, const char *name)
{
	char path[PATH_MAX];

	if (path_of(host, name, path))
		unlink(path);
}
