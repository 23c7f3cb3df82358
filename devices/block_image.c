#include "devices/block_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/base/option_key.h"
#include "vmm/base/refusal.h"
#include "vmm/base/text.h"

#define ALIGN_UNKNOWN 4096U /* serves every file system and disk, when the kernel does not say */
#define MAGIC_LEN 8

/* --- the option --- */

static const char *const kinds[] = {
	[DISK_IO_AUTO] = "auto", [DISK_IO_URING] = "uring", [DISK_IO_THREADS] = "threads",
};

static bool set_io(const char *value, void *opaque)
{
	struct disk_config *config = opaque;
	unsigned int kind = config->io;
	bool known = option_choice(value, kinds, ARRAY_SIZE(kinds), &kind);

	config->io = (enum disk_io)kind;
	return known;
}

static bool set_queues(const char *value, void *opaque)
{
	struct disk_config *config = opaque;

	return option_number(value, DISK_QUEUES_MAX, &config->queues);
}

/* VIRTIO 1.2, 5.2.6 Device Operation: up to 20 bytes of ASCII. */
static bool set_serial(const char *value, void *opaque)
{
	struct disk_config *config = opaque;
	size_t len = strlen(value);

	if (!len || len >= sizeof(config->serial))
		return false;
	for (size_t i = 0; i < len; i++)
		if (value[i] <= ' ' || value[i] > '~')
			return false;
	memcpy(config->serial, value, len + 1);
	return true;
}

static const struct option_key key[] = {
	{"queues=", "a number from 1 to 16", NULL, set_queues},
	{"id=", "1 to 20 printable characters", NULL, set_serial},
	{"io=", "auto, uring or threads", NULL, set_io},
};

static const struct option_keys keys = {key, ARRAY_SIZE(key), "ro, direct, queues, id, io"};

static int set_key(const char *word, struct disk_config *config, struct refusal why)
{
	if (!strcmp(word, "ro")) {
		config->read_only = true;
		return 0;
	}
	if (!strcmp(word, "direct")) {
		config->direct = true;
		return 0;
	}
	return option_key_set(&keys, word, NULL, config, why);
}

int disk_config_parse(const char *text, struct disk_config *ret_config, char *ret_why,
		      size_t why_size)
{
	struct refusal why = {"--disk ", text, ret_why, why_size};
	struct disk_config config = {.queues = 1};
	size_t len = strcspn(text, ",");

	if (!len || len >= sizeof(config.path))
		return refuse(why, -EINVAL, "the path of an image has 1 to %u bytes, not %zu",
			      DISK_PATH_SIZE - 1U, len);
	memcpy(config.path, text, len);
	for (text += len; *text; text += len) {
		char word[64];

		len = strcspn(++text, ",");
		if (len >= sizeof(word))
			return refuse(why, -EINVAL, "a key with %zu bytes; there are ro, direct, "
						    "queues, id, io", len);
		memcpy(word, text, len);
		word[len] = '\0';
		if (set_key(word, &config, why))
			return -EINVAL;
	}
	*ret_config = config;
	return 0;
}

void disk_config_format(const struct disk_config *config, struct text *ret_text)
{
	text_add(ret_text, "%s%s%s,queues=%u,io=%s", config->path, config->read_only ? ",ro" : "",
		 config->direct ? ",direct" : "", config->queues, kinds[config->io]);
	if (config->serial[0])
		text_add(ret_text, ",id=%s", config->serial);
}

/* --- opening --- */

/* A FIFO must not make us wait; a disk that is mounted or otherwise in use is not to be written
 * (open(2): O_EXCL without O_CREAT, of a block device). */
static int open_file(const struct disk_config *config, bool is_device, struct refusal why)
{
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (config->direct ? O_DIRECT : 0) |
		    (config->read_only ? O_RDONLY : O_RDWR);
	int fd, error;

	if (is_device && !config->read_only)
		flags |= O_EXCL;
	fd = open(config->path, flags);
	if (fd >= 0) {
		/* io_uring would take it for "do not wait". */
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
		return fd;
	}
	error = -errno;
	if (error == -EINVAL && config->direct)
		return refuse(why, error, "its file system has no direct I/O; give it without "
					  "\"direct\"");
	if (error == -EBUSY)
		return refuse(why, error, "the disk is in use on this host, mounted perhaps");
	if ((error == -EACCES || error == -EROFS || error == -EPERM) && !config->read_only)
		return refuse(why, error, "cannot be opened for writing: %s; with \"%s,ro\" the "
			      "guest may only read it", strerror(-error),
			      config->is_guest ? "--firmware uefi|bios --disk FILE" : "");
	return refuse(why, error, "%s", strerror(-error));
}

static int check_kind(const struct disk_config *config, bool *ret_is_device, struct refusal why)
{
	struct stat status;

	if (stat(config->path, &status)) {
		int error = -errno;

		return refuse(why, error, "%s%s", strerror(-error),
			      error == -ENOENT && !config->is_guest ?
			      "; \"truncate -s 10G FILE\" makes an empty disk" : "");
	}
	if (S_ISDIR(status.st_mode))
		return refuse(why, -EISDIR, "a directory; give an image file or a block device");
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return refuse(why, -EINVAL, "neither a regular file nor a block device");
	*ret_is_device = S_ISBLK(status.st_mode);
	return 0;
}

/* Locks on all of the file that belong to the open file, not to the process: fcntl(2), Open file
 * description locks. They end with us, however that is. */
static int lock(const struct block_image *image, struct refusal why)
{
	struct flock whole = {.l_type = image->read_only ? F_RDLCK : F_WRLCK,
			      .l_whence = SEEK_SET};

	if (!fcntl(image->fd, F_OFD_SETLK, &whole))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return refuse(why, -EBUSY, "in use by another virtual machine, or given twice; a "
					   "disk has one writer, or readers with \",ro\"");
	log_warn("%s%s: cannot be locked against other users: %s, ignoring", why.option,
		 why.value, strerror(errno));
	return 0;
}

static int find_size(struct block_image *image, bool is_device, struct refusal why)
{
	struct stat status;
	int protected = 0;

	if (is_device) {
		/* Not every driver refuses to open a write-protected disk for writing. */
		if (!image->read_only && !ioctl(image->fd, BLKROGET, &protected) && protected)
			return refuse(why, -EROFS, "write-protected; with \",ro\" the guest may "
						   "only read it");
		if (ioctl(image->fd, BLKGETSIZE64, &image->size))
			return refuse(why, -errno, "no size: %s", strerror(errno));
	} else {
		if (fstat(image->fd, &status))
			return refuse(why, -errno, "%s", strerror(errno));
		image->size = (uint64_t)status.st_size;
	}
	if (!image->size)
		return refuse(why, -EINVAL, "empty; \"truncate -s 10G FILE\" makes a disk of it");
	if (image->size % image->block_size)
		return refuse(why, -EINVAL, "%llu bytes, which is no multiple of %u; \"truncate "
					    "-s %%%u FILE\" rounds it up",
			      (unsigned long long)image->size, image->block_size,
			      image->block_size);
	return 0;
}

static void find_alignment(struct block_image *image, bool is_device)
{
	uint32_t offset;
	int sector;

	block_dio_alignment(image->fd, &image->memory_align, &offset);
	if (!image->memory_align || !offset) {
		image->memory_align = offset = ALIGN_UNKNOWN;
		if (is_device && !ioctl(image->fd, BLKSSZGET, &sector) && sector > 0)
			offset = (uint32_t)sector;
	}
	image->block_size = offset > DISK_SECTOR ? offset : DISK_SECTOR;
}

static const char *option_of(const struct disk_config *config)
{
	return config->is_guest ? "disk image " : "--disk ";
}

/* Refusing would let a guest break its next start. */
void block_image_warn(const struct block_image *image, const struct disk_config *config)
{
	static const struct {
		const char *magic, *name;
	} formats[] = {
		{"QFI\xfb", "qcow2"}, {"KDMV", "VMDK"}, {"vhdxfile", "VHDX"}, {"conectix", "VHD"},
	};
	char head[ALIGN_UNKNOWN] __attribute__((aligned(ALIGN_UNKNOWN)));

	if (pread(image->fd, head, sizeof(head), 0) < MAGIC_LEN)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(formats); i++)
		if (!memcmp(head, formats[i].magic, strlen(formats[i].magic)))
			log_warn("%s%s: begins like a %s image, but disks are raw: the guest sees "
				 "its bytes as they are (\"qemu-img convert -O raw\" converts)",
				 option_of(config), config->path, formats[i].name);
}

int block_image_open(const struct disk_config *config, struct block_image *ret_image,
		     char *ret_why, size_t why_size)
{
	struct refusal why = {option_of(config), config->path, ret_why, why_size};
	struct block_image image = {.read_only = config->read_only, .block_size = DISK_SECTOR,
				    .memory_align = 1};
	bool is_device = false;
	int error = check_kind(config, &is_device, why);

	if (error)
		return error;
	image.fd = open_file(config, is_device, why);
	if (image.fd < 0)
		return image.fd;
	error = lock(&image, why);
	if (!error && config->direct)
		find_alignment(&image, is_device);
	if (!error)
		error = find_size(&image, is_device, why);
	if (error) {
		close(image.fd);
		return error;
	}
	*ret_image = image;
	return 0;
}

void block_image_close(struct block_image *image)
{
	if (image->fd < 0)
		return;
	/* What the guest has written and never flushed is not owed to it; but an orderly end is no
	 * power cut. */
	if (!image->read_only)
		fdatasync(image->fd);
	close(image->fd);
	image->fd = -1;
}
