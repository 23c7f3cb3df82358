/*
 * Firmware that needs SMM (builds of OVMF with Secure Boot), which this machine does not have: such
 * firmware stops at the first look at the chipset, without a word. Its image does not show that
 * (what would is compressed), but distributions put descriptors beside their firmware, which say it
 * of files by their names: QEMU 7.2, docs/interop/firmware.json, "requires-smm". Of two with one
 * name that of the administrator counts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/json_read.h"
#include "vmm/firmware_internal.h"

#define DESCRIPTOR_SIZE_MAX 8192
#define DESCRIPTOR_VALUES_MAX 256U

/* Is the file that the descriptor speaks of this one? By whatever name: some are links. */
static bool is_about(const struct json_doc *doc, const struct stat *code)
{
	unsigned int mapping = json_member(doc, 0, "mapping");
	unsigned int executable = json_member(doc, mapping, "executable");
	char path[FIRMWARE_PATH_SIZE];
	struct stat status;

	return mapping && executable &&
	       json_get_string(doc, json_member(doc, executable, "filename"), path,
			       sizeof(path)) &&
	       !stat(path, &status) && status.st_dev == code->st_dev &&
	       status.st_ino == code->st_ino;
}

static bool says_smm(const struct json_doc *doc)
{
	unsigned int features = json_member(doc, 0, "features"), feature;
	char name[32];

	for (unsigned int i = 0; features && (feature = json_element(doc, features, i)); i++)
		if (json_get_string(doc, feature, name, sizeof(name)) &&
		    !strcmp(name, "requires-smm"))
			return true;
	return false;
}

/* What cannot be read, or is no descriptor, says nothing. */
static bool descriptor_says_smm(int folder, const char *name, const struct stat *code)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char bytes[DESCRIPTOR_SIZE_MAX];
	jsmntok_t tokens[DESCRIPTOR_VALUES_MAX];
	struct json_doc doc;
	ssize_t len;

	if (fd < 0)
		return false;
	len = read(fd, bytes, sizeof(bytes));
	close(fd);
	return len > 0 && !json_parse(bytes, (size_t)len, tokens, ARRAY_SIZE(tokens), &doc) &&
	       says_smm(&doc) && is_about(&doc, code);
}

static bool folder_says_smm(const char *const folders[2], unsigned int which,
			    const struct stat *code)
{
	DIR *dir = opendir(folders[which]);
	const struct dirent *entry;
	char path[FIRMWARE_PATH_SIZE];
	bool says = false;

	while (dir && !says && (entry = readdir(dir))) {
		const char *end = strrchr(entry->d_name, '.');

		if (!end || strcmp(end, ".json"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folders[0], entry->d_name);
		if (!which || access(path, F_OK))
			says = descriptor_says_smm(dirfd(dir), entry->d_name, code);
	}
	if (dir)
		closedir(dir);
	return says;
}

int firmware_check_smm(const struct opening *opening, int fd, const char *const folders[2])
{
	struct stat code;

	if (fstat(fd, &code) ||
	    (!folder_says_smm(folders, 0, &code) && !folder_says_smm(folders, 1, &code)))
		return 0;
	return firmware_refuse(opening, -EOPNOTSUPP, opening->code, "needs SMM, as builds with "
			       "Secure Boot do, and this machine has none; --firmware uefi takes "
			       OVMF_CODE);
}
