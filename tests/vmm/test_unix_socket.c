/* Whose name a socket may take, its mode, and that it goes. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/bits.h"
#include "vmm/unix_socket.h"

static char dir[] = "/tmp/minivmm-socket-XXXXXX";
static char path[64];
static char why[256];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir); /* which fails when a test or the socket leaves something */
}

static mode_t mode_of(const char *name)
{
	struct stat status;

	assert_int_equal(lstat(name, &status), 0);
	return status.st_mode;
}

static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), error;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	error = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	close(fd);
	return error;
}

/* As a program that was killed leaves it. */
static void leave_stale(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	listen(fd, 1);
	close(fd);
	assert_int_equal(connect_to(path), -ECONNREFUSED);
}

static void test_unix_socket_is_its_owners_alone(void **state)
{
	static const mode_t umasks[] = {0, 022, 077, 0777};
	struct unix_socket socket;
	mode_t before = umask(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(umasks); i++) {
		umask(umasks[i]);
		assert_int_equal(unix_socket_listen(path, &socket, why, sizeof(why)), 0);
		assert_int_equal(mode_of(path), S_IFSOCK | 0600);
		assert_int_equal(connect_to(path), 0);
		unix_socket_close(&socket);
		assert_int_equal(access(path, F_OK), -1);
		unix_socket_close(&socket); /* once more is nothing */
	}
	umask(before);
}

static void test_unix_socket_takes_a_stale_name(void **state)
{
	struct unix_socket socket;

	(void)state;
	leave_stale();
	assert_int_equal(unix_socket_listen(path, &socket, why, sizeof(why)), 0);
	assert_int_equal(connect_to(path), 0);
	assert_int_equal(mode_of(path), S_IFSOCK | 0600);
	unix_socket_close(&socket);
}

static void test_unix_socket_leaves_what_is_in_use(void **state)
{
	struct unix_socket first, second;

	(void)state;
	assert_int_equal(unix_socket_listen(path, &first, why, sizeof(why)), 0);
	assert_int_not_equal(unix_socket_listen(path, &second, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "--api /tmp/minivmm-socket-"));
	assert_non_null(strstr(why, "another program listens"));
	assert_int_equal(connect_to(path), 0);
	unix_socket_close(&first);
}

static void test_unix_socket_leaves_other_files(void **state)
{
	struct unix_socket socket;

	(void)state;
	close(open(path, O_CREAT | O_WRONLY, 0644));
	assert_int_not_equal(unix_socket_listen(path, &socket, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "no socket"));
	assert_int_equal(mode_of(path), S_IFREG | 0644);
	unlink(path);
	assert_int_equal(symlink("/nowhere/at/all", path), 0);
	assert_int_not_equal(unix_socket_listen(path, &socket, why, sizeof(why)), 0);
	assert_true(S_ISLNK(mode_of(path)));
	unlink(path);
	assert_int_not_equal(unix_socket_listen("/nowhere/s", &socket, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "No such file"));
}

/* What another program has put there meanwhile stays. */
static void test_unix_socket_unlinks_its_own_alone(void **state)
{
	struct unix_socket socket;

	(void)state;
	assert_int_equal(unix_socket_listen(path, &socket, why, sizeof(why)), 0);
	unlink(path);
	leave_stale();
	unix_socket_close(&socket);
	assert_true(S_ISSOCK(mode_of(path)));
	unlink(path);
}

static void test_unix_socket_without_room_for_its_first_name(void **state)
{
	char deep[UNIX_SOCKET_PATH_SIZE];
	struct unix_socket socket;

	(void)state;
	memset(deep, '/', sizeof(deep));
	deep[sizeof(deep) - 2] = 's';
	deep[sizeof(deep) - 1] = '\0';
	assert_int_not_equal(unix_socket_listen(deep, &socket, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "shorter path"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unix_socket_is_its_owners_alone),
		cmocka_unit_test(test_unix_socket_takes_a_stale_name),
		cmocka_unit_test(test_unix_socket_leaves_what_is_in_use),
		cmocka_unit_test(test_unix_socket_leaves_other_files),
		cmocka_unit_test(test_unix_socket_unlinks_its_own_alone),
		cmocka_unit_test(test_unix_socket_without_room_for_its_first_name),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
