/* A stream whose other end is late, gone, or says too much. */
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
#include "vmm/base/clock.h"
#include "vmm/base/unix_stream.h"

#define LONG_US 20000000ULL /* a limit for what never comes */

struct pair {
	int ours, theirs;
};

static int setup(void **state)
{
	static struct pair pair;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return -1;
	pair = (struct pair){fds[0], fds[1]};
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	close(pair->ours);
	if (pair->theirs >= 0)
		close(pair->theirs);
	return 0;
}

static uint64_t soon(void)
{
	return clock_us() + 1000;
}

static uint64_t late(void)
{
	return clock_us() + LONG_US;
}

static void send_bytes(int fd, const char *bytes, const int *fds, unsigned int count)
{
	struct iovec part = unix_stream_const_part(bytes, strlen(bytes));

	assert_int_equal(unix_stream_send(fd, &part, 1, fds, count, late()), 0);
}

static void test_unix_stream_carries_parts(void **state)
{
	const struct pair *pair = *state;
	struct iovec out[] = {unix_stream_const_part("abc", 3), unix_stream_const_part(NULL, 0),
			      unix_stream_const_part("defg", 4)};
	char first[2], second[10] = "";
	struct iovec in[] = {{first, sizeof(first)}, {NULL, 0}, {second, sizeof(second)}};

	assert_int_equal(unix_stream_send(pair->theirs, out, ARRAY_SIZE(out), NULL, 0, late()), 0);
	assert_int_equal(out[0].iov_len + out[2].iov_len, 0);
	assert_int_equal(unix_stream_receive(pair->ours, in, ARRAY_SIZE(in), NULL, late()), 7);
	assert_memory_equal(first, "ab", 2);
	assert_memory_equal(second, "cdefg", 5);
	unix_stream_skip(in, ARRAY_SIZE(in), 4);
	assert_int_equal(in[0].iov_len, 0);
	assert_int_equal(in[2].iov_len, sizeof(second) - 2);
}

static void test_unix_stream_carries_a_descriptor(void **state)
{
	const struct pair *pair = *state;
	struct stat sent, got;
	char byte;
	struct iovec in = {&byte, 1};
	int fd = -1, file = STDERR_FILENO;

	send_bytes(pair->theirs, "ab", &file, 1);
	assert_int_equal(unix_stream_receive(pair->ours, &in, 1, &fd, late()), 1);
	assert_true(fd > STDERR_FILENO);
	assert_int_equal(fstat(file, &sent), 0);
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(sent.st_ino, got.st_ino);
	close(fd);
	/* It came with the first byte alone. */
	fd = -1;
	assert_int_equal(unix_stream_receive(pair->ours, &in, 1, &fd, late()), 1);
	assert_int_equal(fd, -1);
}

/* Where none may come, and where a second one comes. */
static void test_unix_stream_refuses_descriptors(void **state)
{
	const struct pair *pair = *state;
	int files[] = {STDOUT_FILENO, STDERR_FILENO}, fd = -1;
	char byte;
	struct iovec in = {&byte, 1};

	send_bytes(pair->theirs, "a", files, 1);
	assert_int_equal(unix_stream_receive(pair->ours, &in, 1, NULL, late()), -EPROTO);
	send_bytes(pair->theirs, "a", files, 2);
	assert_int_equal(unix_stream_receive(pair->ours, &in, 1, &fd, late()), -EPROTO);
	if (fd >= 0)
		close(fd);
}

static void test_unix_stream_is_late(void **state)
{
	const struct pair *pair = *state;
	static char megabyte[MIB];
	struct iovec in = {megabyte, 1};
	struct iovec out = unix_stream_const_part(megabyte, sizeof(megabyte));

	assert_int_equal(unix_stream_receive(pair->ours, &in, 1, NULL, soon()), -ETIMEDOUT);
	assert_int_equal(unix_stream_receive(pair->ours, &in, 1, NULL, 0), -ETIMEDOUT);
	/* Nobody reads. */
	assert_int_equal(unix_stream_send(pair->ours, &out, 1, NULL, 0, soon()), -ETIMEDOUT);
}

static void test_unix_stream_is_gone(void **state)
{
	struct pair *pair = *state;
	char byte;
	struct iovec in = {&byte, 1}, out = unix_stream_const_part("a", 1);

	close(pair->theirs);
	pair->theirs = -1;
	assert_int_equal(unix_stream_receive(pair->ours, &in, 1, NULL, late()), -ECONNRESET);
	assert_int_equal(unix_stream_send(pair->ours, &out, 1, NULL, 0, late()), -ECONNRESET);
}

/* A server whose queue of those who wait is full. */
static void test_unix_stream_connects_in_time(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/unix-stream.XXXXXX", path[200];
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting[8], count = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(unix_stream_connect(path, 1), -ENOENT);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(unix_stream_connect(path, 1), -ECONNREFUSED);
	assert_int_equal(listen(listener, 0), 0);
	while (count < 8 && (waiting[count] = unix_stream_connect(path, 1)) >= 0)
		count++;
	assert_in_range(count, 1, 7);
	assert_int_equal(waiting[count], -EAGAIN);
	while (count)
		close(waiting[--count]);
	close(listener);
	unlink(path);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(unix_stream_connect(path, 1), -ENOTSOCK);
	unlink(path);
	rmdir(dir);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(unix_stream_connect(path, 1), -ENAMETOOLONG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_unix_stream_carries_parts),
		TEST(test_unix_stream_carries_a_descriptor),
		TEST(test_unix_stream_refuses_descriptors),
		TEST(test_unix_stream_is_late),
		TEST(test_unix_stream_is_gone),
		cmocka_unit_test(test_unix_stream_connects_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
