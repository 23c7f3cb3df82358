/* The volume of --cloud-init: its bytes by hand, and directories that are no seed. What others read
 * of it is tests/devices/check-cloud-init's. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/block_image.h"
#include "devices/iso9660.h"
#include "devices/nocloud.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"

static char top[] = "/tmp/minivmm-seed-XXXXXX";
static char why[512];

static int setup_all(void **state)
{
	(void)state;
	return mkdtemp(top) && !chdir(top) ? 0 : -1;
}

static int teardown_all(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return chdir("/") || system(command);
}

/* Each test has a directory "seed" of its own. */
static int setup(void **state)
{
	(void)state;
	why[0] = '\0';
	return system("rm -rf seed outside && mkdir seed && printf secret >outside");
}

static void put(const char *name, const char *text, size_t size)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "seed/%s", name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

/* --- the file system's bytes --- */

static const struct iso_file files[] = {
	{"a-b", "0123456789", 10},
	{"empty", NULL, 0},
	{"z", "the last", 8},
};

static uint8_t *volume_of(const char *label, size_t *ret_size)
{
	uint8_t *volume;

	*ret_size = iso9660_size(files, ARRAY_SIZE(files));
	volume = calloc(1, *ret_size);
	assert_non_null(volume);
	iso9660_write(label, files, ARRAY_SIZE(files), volume);
	return volume;
}

static void test_iso9660_has_its_descriptors(void **state)
{
	static const uint8_t label[] = {0, 'c', 0, 'd', 0, ' '};
	size_t size;
	uint8_t *volume = volume_of("cd", &size);
	const uint8_t *at = volume + 16 * 2048;

	(void)state;
	assert_int_equal(size % 2048, 0);
	assert_memory_equal(at, "\x01" "CD001\x01", 7);
	assert_memory_equal(at + 40, "cd                              ", 32);
	assert_int_equal(le32_get(at + 80), size / 2048);
	assert_int_equal(at[87], size / 2048); /* and in the other byte order */
	assert_memory_equal(at + 2048, "\x02" "CD001\x01", 7);
	assert_memory_equal(at + 2048 + 88, "%/E", 3);
	assert_memory_equal(at + 2048 + 40, label, sizeof(label));
	assert_memory_equal(at + 2 * 2048, "\xff" "CD001\x01", 7);
	free(volume);
}

/* The record of a name in the tree of descriptor `sector`. */
static const uint8_t *find(const uint8_t *volume, unsigned int sector, const char *name, size_t len)
{
	const uint8_t *root = volume + sector * 2048 + 156;
	const uint8_t *at = volume + le32_get(root + 2) * 2048, *end = at + le32_get(root + 10);

	assert_int_equal(root[0], 34);
	for (; at < end && at[0]; at += at[0])
		if (at[32] == len && !memcmp(at + 33, name, len))
			return at;
	return NULL;
}

static void test_iso9660_has_its_files(void **state)
{
	static const struct {
		unsigned int sector;
		const char *name;
		size_t len;
		unsigned int file;
	} cases[] = {
		{16, "A_B.;1", 6, 0},
		{16, "EMPTY.;1", 8, 1},
		{16, "Z.;1", 4, 2},
		{17, "\0a\0-\0b", 6, 0},
		{17, "\0e\0m\0p\0t\0y", 10, 1},
		{17, "\0z", 2, 2},
	};
	size_t size;
	uint8_t *volume = volume_of("cd", &size);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct iso_file *file = &files[cases[i].file];
		const uint8_t *record = find(volume, cases[i].sector, cases[i].name, cases[i].len);
		uint32_t sector;

		assert_non_null(record);
		sector = le32_get(record + 2);
		assert_int_equal(le32_get(record + 10), file->size);
		assert_true((sector + 1) * 2048 <= size);
		if (file->size)
			assert_memory_equal(volume + sector * 2048, file->bytes, file->size);
	}
	assert_null(find(volume, 16, "a-b", 3));
	free(volume);
}

static void test_iso9660_takes_what_it_says_it_takes(void **state)
{
	struct iso_file most[ISO_FILES_MAX];
	char names[ISO_FILES_MAX][ISO_NAME_MAX + 1];
	uint8_t *volume;
	size_t size;

	(void)state;
	for (unsigned int i = 0; i < ISO_FILES_MAX; i++) {
		memset(names[i], 'a' + (int)i, ISO_NAME_MAX);
		names[i][ISO_NAME_MAX] = '\0';
		most[i] = (struct iso_file){names[i], names[i], ISO_NAME_MAX};
	}
	size = iso9660_size(most, ISO_FILES_MAX);
	volume = calloc(1, size); /* the sanitizer watches its end */
	assert_non_null(volume);
	iso9660_write("0123456789abcdef", most, ISO_FILES_MAX, volume);
	assert_memory_equal(volume + size - 2048, names[ISO_FILES_MAX - 1], ISO_NAME_MAX);
	free(volume);
}

/* --- the directory --- */

static uint8_t *open_seed(struct block_image *ret_image)
{
	uint8_t *bytes;

	assert_int_equal(nocloud_open("seed", ret_image, why, sizeof(why)), 0);
	bytes = malloc(ret_image->size);
	assert_non_null(bytes);
	assert_int_equal(pread(ret_image->fd, bytes, ret_image->size, 0), ret_image->size);
	return bytes;
}

static void assert_holds(const uint8_t *volume, const char *name, const char *text)
{
	const uint8_t *record = find(volume, 16, name, strlen(name));

	assert_non_null(record);
	assert_int_equal(le32_get(record + 10), strlen(text));
	assert_memory_equal(volume + le32_get(record + 2) * 2048, text, strlen(text));
}

static void test_nocloud_makes_a_volume(void **state)
{
	struct block_image image;
	uint8_t *volume;

	(void)state;
	put_text("user-data", "#cloud-config\n");
	put_text("meta-data", "instance-id: mine\n");
	put_text("network-config", "version: 2\n");
	put_text("vendor-data", "");
	put_text("password", "no"); /* said, and left out */
	volume = open_seed(&image);
	assert_true(image.read_only);
	assert_int_equal(image.size % DISK_SECTOR, 0);
	assert_memory_equal(volume + 16 * 2048 + 40, "cidata ", 7);
	assert_holds(volume, "USER_DATA.;1", "#cloud-config\n");
	assert_holds(volume, "META_DATA.;1", "instance-id: mine\n");
	assert_holds(volume, "NETWORK_CONFIG.;1", "version: 2\n");
	assert_holds(volume, "VENDOR_DATA.;1", "");
	assert_null(find(volume, 16, "PASSWORD.;1", 11));
	/* Nobody writes into it, whatever has its descriptor. */
	assert_int_equal(pwrite(image.fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(image.fd, 0), -1);
	free(volume);
	block_image_close(&image);
}

static void read_instance(char *ret_id, size_t size)
{
	struct block_image image;
	uint8_t *volume = open_seed(&image);
	const uint8_t *record = find(volume, 16, "META_DATA.;1", 12);

	assert_non_null(record);
	snprintf(ret_id, size, "%.*s", (int)le32_get(record + 10),
		 (char *)volume + le32_get(record + 2) * 2048);
	free(volume);
	block_image_close(&image);
}

/* The same files are the same instance; others, or the same ones by another name, another. */
static void test_nocloud_makes_meta_data(void **state)
{
	char first[64], again[64], other[64], moved[64];

	(void)state;
	put_text("user-data", "a");
	read_instance(first, sizeof(first));
	read_instance(again, sizeof(again));
	put_text("vendor-data", "b");
	read_instance(other, sizeof(other));
	assert_int_equal(rename("seed/vendor-data", "seed/network-config"), 0);
	read_instance(moved, sizeof(moved));
	assert_int_equal(strncmp(first, "instance-id: minivmm-", 21), 0);
	assert_int_equal(first[strlen(first) - 1], '\n');
	assert_string_equal(first, again);
	assert_string_not_equal(first, other);
	assert_string_not_equal(other, moved);
}

/* Up to the limit, and a link that stays inside. */
static void test_nocloud_takes_the_largest(void **state)
{
	struct block_image image;

	(void)state;
	put("user-data", "", NOCLOUD_FILE_MAX);
	put_text("there", "x");
	assert_int_equal(symlink("there", "seed/meta-data"), 0);
	assert_int_equal(nocloud_open("seed", &image, why, sizeof(why)), 0);
	block_image_close(&image);
}

static void make_fifo(const char *path)
{
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void make_directory(const char *path)
{
	assert_int_equal(mkdir(path, 0700), 0);
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void link_outside(const char *path)
{
	assert_int_equal(symlink("../outside", path), 0);
}

static void link_absolute(const char *path)
{
	assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void link_by_proc(const char *path)
{
	assert_int_equal(symlink("/proc/self/cwd/outside", path), 0);
}

static void link_to_nothing(const char *path)
{
	assert_int_equal(symlink("nothing", path), 0);
}

static void link_to_itself(const char *path)
{
	assert_int_equal(symlink("meta-data", path), 0);
}

static void make_large(const char *path)
{
	(void)path;
	put("meta-data", "", NOCLOUD_FILE_MAX + 1);
}

static void make_huge(const char *path)
{
	(void)path;
	put("meta-data", "", 1ULL << 40);
}

static void test_nocloud_refuses_what_is_no_file(void **state)
{
	static const struct {
		void (*make)(const char *path);
		const char *says;
		int error;
	} cases[] = {
		{make_fifo, "meta-data is not a regular file", -EINVAL},
		{make_directory, "meta-data is not a regular file", -EINVAL},
		{make_socket, "meta-data: ", -ENXIO},
		{link_outside, "meta-data is a link out of the directory", -EXDEV},
		{link_absolute, "meta-data is a link out of the directory", -EXDEV},
		{link_by_proc, "meta-data is a link out of the directory", -EXDEV},
		{link_to_nothing, "it is a link to nothing", -ENOENT},
		{link_to_itself, "meta-data: ", -ELOOP},
		{make_large, "more than the 1048576 bytes", -EFBIG},
		{make_huge, "more than the 1048576 bytes", -EFBIG},
	};
	struct block_image image = {.fd = -1};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		put_text("user-data", "");
		cases[i].make("seed/meta-data");
		assert_int_equal(nocloud_open("seed", &image, why, sizeof(why)), cases[i].error);
		assert_non_null(strstr(why, "--cloud-init seed: "));
		assert_non_null(strstr(why, cases[i].says));
		assert_int_equal(image.fd, -1);
	}
}

static void test_nocloud_refuses_what_is_no_seed(void **state)
{
	struct block_image image;

	(void)state;
	assert_int_equal(nocloud_open("none", &image, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "--cloud-init none: No such file"));
	assert_int_equal(nocloud_open("outside", &image, why, sizeof(why)), -ENOTDIR);
	assert_int_equal(nocloud_open("seed", &image, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "there is no user-data in it"));
	put_text("user-data.yaml", "#cloud-config\n");
	assert_int_equal(nocloud_open("seed", &image, why, sizeof(why)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iso9660_has_its_descriptors),
		cmocka_unit_test(test_iso9660_has_its_files),
		cmocka_unit_test(test_iso9660_takes_what_it_says_it_takes),
		cmocka_unit_test_setup(test_nocloud_makes_a_volume, setup),
		cmocka_unit_test_setup(test_nocloud_makes_meta_data, setup),
		cmocka_unit_test_setup(test_nocloud_takes_the_largest, setup),
		cmocka_unit_test_setup(test_nocloud_refuses_what_is_no_file, setup),
		cmocka_unit_test_setup(test_nocloud_refuses_what_is_no_seed, setup),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
