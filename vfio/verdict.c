#include "vfio/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vfio/host.h"
#include "vfio/sysfs.h"
#include "vmm/base/bits.h"
#include "vmm/base/json.h"
#include "vmm/base/json_read.h"

#define VERSION 1
#define FILE_MAX 4096
#define VALUES_MAX 64
#define CYCLES_MAX 1000000

const char *verdict_dir(void)
{
	const char *dir = getenv(VERDICT_DIR_VARIABLE);

	return dir && dir[0] ? dir : VERDICT_DIR;
}

/* --- whom it is about --- */

/* The kernel keeps these numbers in memory (Linux 6.1, drivers/pci/pci-sysfs.c). */
static bool read_identity(const char *sysfs, const char *name, uint64_t ret_id[4])
{
	static const char *const files[] = {
		"vendor", "device", "subsystem_vendor", "subsystem_device",
	};
	char dir[PATH_MAX];

	if (!sysfs_device_dir(sysfs, name, dir))
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(files); i++)
		if (!sysfs_read_number(dir, files[i], &ret_id[i]))
			return false;
	return true;
}

bool verdict_identify(const char *sysfs, const char *slot, struct verdict_subject *ret_subject)
{
	struct verdict_subject subject = {.slot = ""};
	struct utsname kernel;
	size_t len = 0;

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		uint64_t id[4];
		char name[16];

		snprintf(name, sizeof(name), "%.12s.%u", slot, i);
		if (!read_identity(sysfs, name, id))
			continue;
		len += (size_t)snprintf(subject.card + len, sizeof(subject.card) - len,
					"%s%u:%04x:%04x:%04x:%04x", len ? " " : "", i,
					(unsigned int)id[0] & 0xffff, (unsigned int)id[1] & 0xffff,
					(unsigned int)id[2] & 0xffff, (unsigned int)id[3] & 0xffff);
	}
	if (!len || uname(&kernel))
		return false;
	snprintf(subject.slot, sizeof(subject.slot), "%s", slot);
	snprintf(subject.kernel, sizeof(subject.kernel), "%s", kernel.release);
	*ret_subject = subject;
	return true;
}

/* --- reading --- */

/* A string that may go into a terminal and a log: printable ASCII, not empty. */
static bool get_text(const struct json_doc *doc, const char *name, char *ret_text, size_t size)
{
	if (!json_get_string(doc, json_member(doc, 0, name), ret_text, size) || !ret_text[0])
		return false;
	for (const char *c = ret_text; *c; c++)
		if (*c < ' ' || *c > '~')
			return false;
	return true;
}

static bool get_latency(const struct json_doc *doc, const char *name,
			struct verdict_latency *ret_latency)
{
	unsigned int at = json_member(doc, 0, name);

	return json_get_number(doc, json_member(doc, at, "min"), UINT64_MAX,
			       &ret_latency->min_us) &&
	       json_get_number(doc, json_member(doc, at, "median"), UINT64_MAX,
			       &ret_latency->median_us) &&
	       json_get_number(doc, json_member(doc, at, "p95"), UINT64_MAX,
			       &ret_latency->p95_us) &&
	       json_get_number(doc, json_member(doc, at, "max"), UINT64_MAX, &ret_latency->max_us);
}

static bool get_numbers(const struct json_doc *doc, struct verdict *verdict)
{
	uint64_t version, cycles;

	if (!json_get_number(doc, json_member(doc, 0, "version"), UINT64_MAX, &version) ||
	    version != VERSION ||
	    !json_get_number(doc, json_member(doc, 0, "cycles"), CYCLES_MAX, &cycles))
		return false;
	verdict->cycles = (unsigned int)cycles;
	return get_latency(doc, "entry_us", &verdict->entry) &&
	       get_latency(doc, "suspend_us", &verdict->suspend) &&
	       get_latency(doc, "wake_us", &verdict->wake);
}

static bool get_result(const struct json_doc *doc, bool *ret_passed)
{
	char result[8];

	if (!get_text(doc, "result", result, sizeof(result)))
		return false;
	*ret_passed = !strcmp(result, "passed");
	return *ret_passed || !strcmp(result, "failed");
}

static bool parse(const char *bytes, size_t len, struct verdict *verdict)
{
	struct verdict_subject *subject = &verdict->subject;
	jsmntok_t tokens[VALUES_MAX];
	struct json_doc doc;

	return !json_parse(bytes, len, tokens, VALUES_MAX, &doc) &&
	       get_text(&doc, "slot", subject->slot, sizeof(subject->slot)) &&
	       get_text(&doc, "card", subject->card, sizeof(subject->card)) &&
	       get_text(&doc, "kernel", subject->kernel, sizeof(subject->kernel)) &&
	       get_text(&doc, "date", verdict->date, sizeof(verdict->date)) &&
	       get_text(&doc, "state", verdict->state, sizeof(verdict->state)) &&
	       get_text(&doc, "reason", verdict->reason, sizeof(verdict->reason)) &&
	       get_result(&doc, &verdict->passed) && get_numbers(&doc, verdict);
}

/* Bytes read, at most `size`; negative errno. A FIFO or link in the file's place is none. */
static ssize_t read_file(const char *path, char *bytes, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t len;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	len = read(fd, bytes, size);
	if (len < 0)
		len = -errno;
	close(fd);
	return len;
}

static void look_at(const struct verdict_subject *subject, struct verdict_lookup *lookup)
{
	const struct verdict *verdict = &lookup->verdict;
	const char *kernel = verdict->subject.kernel;

	lookup->use = VERDICT_STALE;
	if (strcmp(verdict->subject.card, subject->card))
		snprintf(lookup->why, sizeof(lookup->why), "the power-test of %.10s was of another "
			 "card in this place", verdict->date);
	else if (strcmp(kernel, subject->kernel))
		snprintf(lookup->why, sizeof(lookup->why), "the power-test of %.10s was under "
			 "kernel %s, this is %s", verdict->date, kernel, subject->kernel);
	else
		lookup->use = VERDICT_CURRENT;
}

void verdict_read(const char *dir, const struct verdict_subject *subject,
		  struct verdict_lookup *ret_lookup)
{
	char path[PATH_MAX], bytes[FILE_MAX + 1];
	ssize_t len = -ENAMETOOLONG;

	*ret_lookup = (struct verdict_lookup){.use = VERDICT_NONE};
	if (snprintf(path, sizeof(path), "%s/%s.json", dir, subject->slot) < (int)sizeof(path))
		len = read_file(path, bytes, sizeof(bytes));
	if (len == -ENOENT || len == -ENOTDIR)
		return;
	ret_lookup->use = VERDICT_BROKEN;
	if (len < 0)
		snprintf(ret_lookup->why, sizeof(ret_lookup->why), "the verdict of the power-test "
			 "in %.120s cannot be read: %s", path,
			 len == -ELOOP || len == -EINVAL ? "it is no file" : strerror((int)-len));
	else if (len > FILE_MAX || !parse(bytes, (size_t)len, &ret_lookup->verdict) ||
		 strcmp(ret_lookup->verdict.subject.slot, subject->slot))
		snprintf(ret_lookup->why, sizeof(ret_lookup->why), "%.120s is not a verdict of a "
			 "power-test of this slot", path);
	else
		look_at(subject, ret_lookup);
}

/* --- writing --- */

static void put_latency(struct json *json, const char *key, const struct verdict_latency *latency)
{
	json_begin_object(json, key);
	json_number(json, "min", latency->min_us);
	json_number(json, "median", latency->median_us);
	json_number(json, "p95", latency->p95_us);
	json_number(json, "max", latency->max_us);
	json_end_object(json);
}

static void put_verdict(struct text *text, const struct verdict *verdict)
{
	struct json json = {.out = text};

	json_begin_object(&json, NULL);
	json_number(&json, "version", VERSION);
	json_string(&json, "slot", verdict->subject.slot);
	json_string(&json, "card", verdict->subject.card);
	json_string(&json, "kernel", verdict->subject.kernel);
	json_string(&json, "date", verdict->date);
	json_string(&json, "result", verdict->passed ? "passed" : "failed");
	json_number(&json, "cycles", verdict->cycles);
	json_string(&json, "state", verdict->state);
	json_string(&json, "reason", verdict->reason);
	put_latency(&json, "entry_us", &verdict->entry);
	put_latency(&json, "suspend_us", &verdict->suspend);
	put_latency(&json, "wake_us", &verdict->wake);
	json_end_object(&json);
	text_add(text, "\n");
}

/* Each part of the path that is missing, 0755 whatever the umask. */
static int make_dirs(const char *dir)
{
	char path[PATH_MAX];
	size_t len = strlen(dir);

	if (len >= sizeof(path))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (dir[i] && dir[i] != '/')
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)i, dir);
		if (!mkdir(path, 0755)) {
			if (chmod(path, 0755))
				return -errno;
		} else if (errno != EEXIST) {
			return -errno;
		}
	}
	return 0;
}

/* The name is on the disk once its directory is. */
static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

/* A file of another name in `dir`, for now. A descriptor, or negative errno. */
static int make_temporary(const char *dir, const char *name, char ret_path[PATH_MAX])
{
	int fd;

	if (snprintf(ret_path, PATH_MAX, "%s/.%s.XXXXXX", dir, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = mkostemp(ret_path, O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int replace(const char *dir, const char *slot, const struct text *text)
{
	char temporary[PATH_MAX], path[PATH_MAX];
	int fd, error;

	if (snprintf(path, sizeof(path), "%s/%s.json", dir, slot) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = make_temporary(dir, slot, temporary);
	if (fd < 0)
		return fd;
	error = text_write(fd, text->bytes, text->len);
	if (!error && (fchmod(fd, 0644) || fsync(fd)))
		error = -errno;
	close(fd);
	if (!error && rename(temporary, path))
		error = -errno;
	if (error)
		unlink(temporary);
	return error ? error : sync_dir(dir);
}

static int explain(const char *dir, int error, char *ret_why, size_t why_size)
{
	if (error)
		snprintf(ret_why, why_size, "the verdict cannot be kept in %s: %s%s", dir,
			 strerror(-error), error == -EACCES ? " (run it as root, or set "
			 VERDICT_DIR_VARIABLE ")" : "");
	return error;
}

int verdict_check(const char *dir, char *ret_why, size_t why_size)
{
	char path[PATH_MAX];
	int error = make_dirs(dir);
	int fd = error ? error : make_temporary(dir, "check", path);

	if (fd < 0)
		return explain(dir, fd, ret_why, why_size);
	close(fd);
	unlink(path);
	return 0;
}

int verdict_write(const char *dir, const struct verdict *verdict, char *ret_why, size_t why_size)
{
	struct text text = {0};
	int error = make_dirs(dir);

	put_verdict(&text, verdict);
	if (!error)
		error = text.failed ? -ENOMEM : replace(dir, verdict->subject.slot, &text);
	text_finish(&text);
	return explain(dir, error, ret_why, why_size);
}
