#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/block_image.h"
#include "vmm/base/bits.h"
#include "vmm/base/text.h"

static char dir[] = "/tmp/minivmm-image-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) && !chdir(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return chdir("/") || system(command);
}

static void make_file(const char *name, const void *bytes, size_t len, off_t size)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && !ftruncate(fd, size));
	close(fd);
}

/* --- the option --- */

static void test_disk_config_parses(void **state)
{
	struct disk_config config;
	char why[256];

	(void)state;
	assert_int_equal(disk_config_parse("a.img", &config, why, sizeof(why)), 0);
	assert_string_equal(config.path, "a.img");
	assert_false(config.read_only || config.direct);
	assert_int_equal(config.queues, 1);
	assert_string_equal(config.serial, "");
	assert_int_equal(config.io, DISK_IO_AUTO);
	assert_int_equal(disk_config_parse("/dev/x,ro,direct,queues=16,id=12345678901234567890,"
					   "io=threads", &config, why, sizeof(why)), 0);
	assert_string_equal(config.path, "/dev/x");
	assert_true(config.read_only && config.direct);
	assert_int_equal(config.queues, 16);
	assert_string_equal(config.serial, "12345678901234567890");
	assert_int_equal(config.io, DISK_IO_THREADS);
}

/* What is written is read as the same. */
static void test_disk_config_formats(void **state)
{
	static const char *const texts[] = {
		"a.img", "/dev/x,ro", "b,direct,queues=16,id=12345678901234567890,io=threads",
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		struct disk_config once, twice;
		struct text text = {0};
		char why[256];

		assert_int_equal(disk_config_parse(texts[i], &once, why, sizeof(why)), 0);
		disk_config_format(&once, &text);
		assert_int_equal(disk_config_parse(text.bytes, &twice, why, sizeof(why)), 0);
		assert_memory_equal(&once, &twice, sizeof(once));
		text_finish(&text);
	}
}

static void test_disk_config_refuses(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "1 to 1023 bytes, not 0"},
		{",ro", "1 to 1023 bytes, not 0"},
		{"a,rw", "no key \"rw\""},
		{"a,", "no key \"\""},
		{"a,ro,,", "no key \"\""},
		{"a,queues", "no key \"queues\""},
		{"a,queues=", "queues takes"},
		{"a,queues=0", "queues takes"},
		{"a,queues=17", "queues takes"},
		{"a,queues=99999999999999999999", "queues takes"},
		{"a,queues=+1", "queues takes"},
		{"a,queues=1x", "queues takes"},
		{"a,id=", "id takes"},
		{"a,id=123456789012345678901", "id takes"},
		{"a,id=a b", "id takes"},
		{"a,id=\x80", "id takes"},
		{"a,io=aio", "io takes auto, uring or threads, not \"aio\""},
		{"a,format=qcow2", "no key \"format=qcow2\""},
		{"a,1234567890123456789012345678901234567890123456789012345678901234",
		 "a key with 64 bytes"},
	};
	struct disk_config config;
	char why[256], path[2048];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(disk_config_parse(cases[i].text, &config, why, sizeof(why)),
				 -EINVAL);
		if (!strstr(why, cases[i].says))
			fail_msg("%s: %s", cases[i].text, why);
	}
	memset(path, 'p', sizeof(path));
	path[1024] = '\0';
	assert_int_equal(disk_config_parse(path, &config, why, sizeof(why)), -EINVAL);
	path[1023] = '\0';
	assert_int_equal(disk_config_parse(path, &config, why, sizeof(why)), 0);
}

/* --- opening --- */

static int open_image(const char *option, struct block_image *image, char why[256])
{
	struct disk_config config;

	assert_int_equal(disk_config_parse(option, &config, why, 256), 0);
	return block_image_open(&config, image, why, 256);
}

static void test_block_image_refuses(void **state)
{
	static const struct {
		const char *option, *says;
		int error;
	} cases[] = {
		{"none", "No such file or directory; \"truncate", -ENOENT},
		{"none,ro", "No such file", -ENOENT},
		{"file/none", "Not a directory", -ENOTDIR},
		{"folder", "a directory; give", -EISDIR},
		{"fifo", "neither a regular file nor", -EINVAL},
		{"fifo,ro", "neither a regular file nor", -EINVAL},
		{"/dev/null", "neither a regular file nor", -EINVAL},
		{"empty", "empty; \"truncate -s 10G FILE\"", -EINVAL},
		{"short", "511 bytes, which is no multiple of 512; \"truncate -s %512", -EINVAL},
		{"odd", "513 bytes", -EINVAL},
	};
	struct block_image image;
	char why[256];

	(void)state;
	make_file("file", "", 0, 512);
	make_file("empty", "", 0, 0);
	make_file("short", "", 0, 511);
	make_file("odd", "", 0, 513);
	assert_int_equal(mkdir("folder", 0700), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(open_image(cases[i].option, &image, why), cases[i].error);
		if (strncmp(why, "--disk ", 7) || !strstr(why, cases[i].says))
			fail_msg("%s: %s", cases[i].option, why);
	}
}

/* Root may write everywhere, so somebody else tries. */
static void test_block_image_says_read_only(void **state)
{
	struct block_image image;
	char why[256];
	uid_t me = geteuid();

	(void)state;
	make_file("protected", "", 0, 512);
	assert_int_equal(chmod("protected", 0444), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	if (!me)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(open_image("protected", &image, why), -EACCES);
	assert_non_null(strstr(why, "with \",ro\" the guest may only read it"));
	assert_int_equal(open_image("protected,ro", &image, why), 0);
	assert_true(image.read_only);
	block_image_close(&image);
	assert_int_equal(seteuid(me), 0);
}

static void test_block_image_has_one_writer(void **state)
{
	struct block_image first, second;
	char why[256];

	(void)state;
	make_file("shared", "", 0, 4096);
	assert_int_equal(open_image("shared", &first, why), 0);
	assert_int_equal(first.size, 4096);
	assert_int_equal(first.block_size, 512);
	assert_int_equal(first.memory_align, 1);
	assert_int_equal(open_image("shared", &second, why), -EBUSY);
	assert_non_null(strstr(why, "in use by another virtual machine"));
	assert_int_equal(open_image("shared,ro", &second, why), -EBUSY);
	block_image_close(&first);
	assert_int_equal(open_image("shared,ro", &first, why), 0);
	assert_int_equal(open_image("shared,ro", &second, why), 0);
	block_image_close(&second);
	assert_int_equal(open_image("shared", &second, why), -EBUSY);
	block_image_close(&first);
	block_image_close(&first); /* once is enough, twice does nothing */
}

/* What block_image_warn() says of it, in `ret_said`. */
static void warn(const struct block_image *image, const struct disk_config *config,
		 char ret_said[256])
{
	int error_fd = dup(STDERR_FILENO), file = memfd_create("said", MFD_CLOEXEC);
	ssize_t len;

	assert_true(error_fd >= 0 && file >= 0);
	dup2(file, STDERR_FILENO);
	block_image_warn(image, config);
	dup2(error_fd, STDERR_FILENO);
	len = pread(file, ret_said, 255, 0);
	assert_true(len >= 0);
	ret_said[len] = '\0';
	close(error_fd);
	close(file);
}

/* It stays a raw disk, whatever a guest wrote to its first sector. */
static void test_block_image_never_guesses(void **state)
{
	struct disk_config config = {.path = "a"};
	struct block_image image;
	char why[256], byte;

	(void)state;
	make_file("qcow2", "QFI\xfb\0\0\0\3", 8, 1024);
	assert_int_equal(open_image("qcow2", &image, why), 0);
	assert_int_equal(image.size, 1024);
	assert_int_equal(pread(image.fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'Q');
	warn(&image, &config, why);
	assert_non_null(strstr(why, ": --disk a: begins like a qcow2 image, but disks are raw"));
	config.is_guest = true;
	warn(&image, &config, why);
	assert_non_null(strstr(why, ": disk image a: begins like a qcow2 image"));
	block_image_close(&image);
	make_file("qcow2", "\0\0", 2, 1024);
	assert_int_equal(open_image("qcow2", &image, why), 0);
	warn(&image, &config, why);
	assert_string_equal(why, "");
	block_image_close(&image);
}

static void test_block_image_direct(void **state)
{
	struct block_image image;
	char why[256];
	int error;

	(void)state;
	make_file("direct", "", 0, 8192);
	error = open_image("direct,direct", &image, why);
	if (error) { /* tmpfs before Linux 6.6 */
		assert_int_equal(error, -EINVAL);
		assert_non_null(strstr(why, "give it without \"direct\""));
		return;
	}
	assert_true(fcntl(image.fd, F_GETFL) & O_DIRECT);
	assert_false(fcntl(image.fd, F_GETFL) & O_NONBLOCK);
	assert_true(is_power_of_two(image.block_size) && image.block_size >= 512);
	assert_true(is_power_of_two(image.memory_align));
	block_image_close(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disk_config_parses),
		cmocka_unit_test(test_disk_config_formats),
		cmocka_unit_test(test_disk_config_refuses),
		cmocka_unit_test(test_block_image_refuses),
		cmocka_unit_test(test_block_image_says_read_only),
		cmocka_unit_test(test_block_image_has_one_writer),
		cmocka_unit_test(test_block_image_never_guesses),
		cmocka_unit_test(test_block_image_direct),
	};

	return cmocka_run_group_tests_name("block_image", tests, setup, teardown);
}
