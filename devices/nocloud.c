#include "devices/nocloud.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/block_image.h"
#include "devices/iso9660.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/base/refusal.h"

/* cloud-init 22.4, cloudinit/sources/DataSourceNoCloud.py: what it looks for. In strcmp()'s
 * order. */
enum { META_DATA, NETWORK_CONFIG, USER_DATA, VENDOR_DATA, FILES };
static const char *const names[FILES] = {
	[META_DATA] = "meta-data",
	[NETWORK_CONFIG] = "network-config",
	[USER_DATA] = "user-data",
	[VENDOR_DATA] = "vendor-data",
};
#define NAMES "user-data, meta-data, network-config, vendor-data"

struct seed {
	char *bytes[FILES]; /* NULL: not there */
	size_t size[FILES];
};

/* --- reading --- */

/* Below the directory, whatever links there are; a FIFO must not make us wait. musl has no
 * openat2(). */
static int open_below(int dir, const char *name)
{
	const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int refuse_open(int dir, const char *name, int error, struct refusal why)
{
	struct stat status;

	if (error == -EXDEV)
		return refuse(why, error, "%s is a link out of the directory, which is not "
			      "followed; put the file itself there", name);
	if (error == -ENOENT && fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW))
		return 0;
	return refuse(why, error, "%s: %s%s", name, strerror(-error),
		      error == -ENOENT ? " (it is a link to nothing)" : "");
}

/* Up to one byte more than there may be: the file may grow. */
static int read_file(int fd, char *bytes, size_t *ret_size)
{
	size_t size = 0;

	while (size <= NOCLOUD_FILE_MAX) {
		ssize_t len = read(fd, bytes + size, NOCLOUD_FILE_MAX + 1 - size);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		if (!len)
			break;
		size += (size_t)len;
	}
	*ret_size = size;
	return 0;
}

static int take_file(int fd, const char *name, char **ret_bytes, size_t *ret_size,
		     struct refusal why)
{
	struct stat status;
	int error;

	if (fstat(fd, &status))
		return refuse(why, -errno, "%s: %s", name, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return refuse(why, -EINVAL, "%s is not a regular file", name);
	*ret_bytes = malloc(NOCLOUD_FILE_MAX + 1);
	if (!*ret_bytes)
		return refuse(why, -ENOMEM, "out of memory");
	error = read_file(fd, *ret_bytes, ret_size);
	if (error)
		return refuse(why, error, "%s: %s", name, strerror(-error));
	if (*ret_size > NOCLOUD_FILE_MAX)
		return refuse(why, -EFBIG, "%s has more than the %u bytes that there is room for",
			      name, NOCLOUD_FILE_MAX);
	return 0;
}

/* A file with another name is a mistake, as user-data.yaml is, or is a backup of an editor's. */
static void warn_of_others(int dir, struct refusal why)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	unsigned int others = 0;

	while (entries && (entry = readdir(entries))) {
		bool known = entry->d_name[0] == '.';

		for (unsigned int i = 0; i < FILES; i++)
			known = known || !strcmp(entry->d_name, names[i]);
		others += !known;
	}
	if (entries)
		closedir(entries);
	else if (fd >= 0)
		close(fd);
	if (others)
		log_warn("--cloud-init %s: besides " NAMES " it has %u more, ignoring", why.value,
			 others);
}

static int read_seed(const char *path, struct seed *seed, struct refusal why)
{
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), error = 0;

	if (dir < 0)
		return refuse(why, -errno, "%s", strerror(errno));
	for (unsigned int i = 0; i < FILES && !error; i++) {
		int fd = open_below(dir, names[i]);

		if (fd < 0) {
			error = refuse_open(dir, names[i], fd, why);
			continue;
		}
		error = take_file(fd, names[i], &seed->bytes[i], &seed->size[i], why);
		close(fd);
	}
	if (!error && !seed->bytes[USER_DATA])
		error = refuse(why, -ENOENT, "there is no user-data in it, which may be empty; it "
			       "takes " NAMES);
	if (!error)
		warn_of_others(dir, why);
	close(dir);
	return error;
}

/* --- meta-data that nobody has written --- */

/* FNV-1a, 64 bits: the seeds of one person are to differ, nothing rests on it. */
static uint64_t sum(const struct seed *seed)
{
	uint64_t value = 0xcbf29ce484222325ULL;

	for (unsigned int i = 0; i < FILES; i++) {
		value = (value ^ i) * 0x100000001b3ULL;
		for (size_t k = 0; k < seed->size[i]; k++)
			value = (value ^ (uint8_t)seed->bytes[i][k]) * 0x100000001b3ULL;
	}
	return value;
}

/* cloud-init does most of its work once for each instance-id: what is changed is another one's. */
static int make_meta_data(struct seed *seed)
{
	int len = asprintf(&seed->bytes[META_DATA], "instance-id: minivmm-%016llx\n",
			   (unsigned long long)sum(seed));

	if (len < 0) {
		seed->bytes[META_DATA] = NULL;
		return -ENOMEM;
	}
	seed->size[META_DATA] = (size_t)len;
	return 0;
}

/* --- the volume --- */

/* Nobody can write into it any more, not we either. */
static int make_volume(const struct seed *seed, struct block_image *image)
{
	struct iso_file files[FILES];
	unsigned int count = 0;
	uint8_t *volume;

	for (unsigned int i = 0; i < FILES; i++)
		if (seed->bytes[i])
			files[count++] = (struct iso_file){names[i], seed->bytes[i],
							   (uint32_t)seed->size[i]};
	image->size = iso9660_size(files, count);
	image->fd = memfd_create("cloud-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (image->fd < 0 || ftruncate(image->fd, (off_t)image->size))
		return -errno;
	volume = mmap(NULL, image->size, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	if (volume == MAP_FAILED)
		return -errno;
	iso9660_write(NOCLOUD_LABEL, files, count, volume);
	munmap(volume, image->size);
	return fcntl(image->fd, F_ADD_SEALS,
		     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0 ? -errno : 0;
}

int nocloud_open(const char *dir, struct block_image *ret_image, char *ret_why, size_t why_size)
{
	struct refusal why = {"--cloud-init ", dir, ret_why, why_size};
	struct block_image image = {.fd = -1, .block_size = DISK_SECTOR, .memory_align = 1,
				    .read_only = true};
	struct seed seed = {.bytes = {NULL}};
	int error = read_seed(dir, &seed, why);

	if (!error) {
		error = seed.bytes[META_DATA] ? 0 : make_meta_data(&seed);
		if (!error)
			error = make_volume(&seed, &image);
		if (error)
			refuse(why, error, "no memory for it: %s", strerror(-error));
	}
	for (unsigned int i = 0; i < FILES; i++)
		free(seed.bytes[i]);
	if (error)
		block_image_close(&image);
	else
		*ret_image = image;
	return error;
}
