#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/loop.h"

struct fixture {
	struct loop *loop;
	int fd[2];
	int calls[2];
};

static void count(void *opaque, int fd)
{
	struct fixture *f = opaque;
	int which = fd == f->fd[1];
	uint64_t value;

	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
	f->calls[which]++;
	if (which)
		loop_stop(f->loop, 7);
}

static void remove_other(void *opaque, int fd)
{
	struct fixture *f = opaque;

	(void)fd;
	loop_remove(f->loop, f->fd[0]);
	loop_remove(f->loop, f->fd[1]);
	f->calls[1]++;
	loop_stop(f->loop, 3);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){.loop = loop_create(), .fd = {eventfd(0, 0), eventfd(0, 0)}};
	*state = &f;
	return f.loop && f.fd[0] >= 0 && f.fd[1] >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_destroy(f->loop);
	close(f->fd[0]);
	close(f->fd[1]);
	return 0;
}

static void test_loop_calls_handlers_of_readable_descriptors(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop_add(f->loop, f->fd[0], count, f), 0);
	signal_fd(f->fd[0]);
	signal_fd(f->fd[1]);
	assert_int_equal(loop_add(f->loop, f->fd[1], count, f), 0);
	assert_int_equal(loop_run(f->loop), 7);
	assert_int_equal(f->calls[1], 1);
}

static void test_loop_never_calls_a_removed_handler(void **state)
{
	struct fixture *f = *state;

	/* Both are ready; whichever is called first removes both. */
	signal_fd(f->fd[0]);
	signal_fd(f->fd[1]);
	assert_int_equal(loop_add(f->loop, f->fd[0], remove_other, f), 0);
	assert_int_equal(loop_add(f->loop, f->fd[1], remove_other, f), 0);
	assert_int_equal(loop_run(f->loop), 3);
	assert_int_equal(f->calls[1], 1);
}

static void *stop_with_five(void *opaque)
{
	loop_stop(opaque, 5);
	return NULL;
}

static void test_loop_first_stop_counts_from_any_thread(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop_with_five, f->loop), 0);
	assert_int_equal(loop_run(f->loop), 5);
	pthread_join(thread, NULL);
	assert_true(loop_is_stopping(f->loop));
	assert_false(loop_stop(f->loop, 6));
	assert_int_equal(loop_run(f->loop), 5);
}

struct writer {
	struct loop *loop;
	unsigned int writes, reads;
};

/* Is called while there is room, until it wants something to read instead; the other end, which
 * then speaks, ends the loop. */
static void write_or_read(void *opaque, int fd)
{
	struct writer *writer = opaque;
	char byte = 'w';

	if (read(fd, &byte, 1) == 1) {
		writer->reads++;
		loop_stop(writer->loop, 5);
	} else if (writer->writes < 3) {
		assert_int_equal(write(fd, &byte, 1), 1);
		if (++writer->writes == 3)
			loop_want(writer->loop, fd, LOOP_READ);
	} else {
		fail_msg("called for nothing that it wants");
	}
}

static void answer(void *opaque, int fd)
{
	char bytes[3];

	(void)opaque;
	if (recv(fd, bytes, sizeof(bytes), MSG_PEEK) == sizeof(bytes)) {
		assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
		assert_int_equal(write(fd, "a", 1), 1);
	}
}

static void test_loop_awaits_what_is_wanted(void **state)
{
	struct fixture *f = *state;
	struct writer writer = {.loop = f->loop};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(loop_add(f->loop, pair[0], write_or_read, &writer), 0);
	assert_int_equal(loop_add(f->loop, pair[1], answer, NULL), 0);
	loop_want(f->loop, pair[0], LOOP_READ | LOOP_WRITE);
	assert_int_equal(loop_run(f->loop), 5);
	assert_int_equal(writer.writes, 3);
	assert_int_equal(writer.reads, 1);
	loop_remove(f->loop, pair[0]);
	loop_remove(f->loop, pair[1]);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_loop_calls_handlers_of_readable_descriptors,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_loop_never_calls_a_removed_handler, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_loop_awaits_what_is_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loop_first_stop_counts_from_any_thread, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
