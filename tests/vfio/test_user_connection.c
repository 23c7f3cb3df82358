/* The vfio-user back end against servers that lie, hang or leave. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/vfio/user_bench.h"
#include "vfio/user_connection.h"

/* --- while it is opened --- */

/* The reply number `nth` of a connection ends after `bytes`. */
struct cut {
	unsigned int nth, seen;
	size_t bytes, size;
};

static void cut_reply(void *opaque, const struct fake_user_message *request,
		      struct fake_user_message *reply)
{
	struct cut *cut = opaque;

	(void)request;
	if (cut->seen++ != cut->nth)
		return;
	cut->size = sizeof(reply->header) + reply->size;
	reply->send = cut->bytes;
	reply->hang_up = true;
}

/* A server that goes away at any byte of what it says at first. */
static void test_user_connection_open_cut(void **state)
{
	static const unsigned int replies[] = {0, 1, 2, 4, 10, 14};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(replies); i++) {
		struct cut cut = {.nth = replies[i]};
		struct bench bench;

		bench_create(&bench);
		bench.server->hook = cut_reply;
		bench.server->hook_opaque = &cut;
		fake_user_server_start(bench.server);
		for (size_t bytes = 0, size = 1; bytes < size; bytes++) {
			pthread_mutex_lock(&bench.server->lock);
			cut.seen = 0;
			cut.bytes = bytes;
			pthread_mutex_unlock(&bench.server->lock);
			expect_no_open(bench.server->path, -ECONNRESET, "closed the connection");
			pthread_mutex_lock(&bench.server->lock);
			size = cut.size;
			pthread_mutex_unlock(&bench.server->lock);
			assert_true(size >= 32);
		}
		bench_end(&bench);
	}
}

static void add_file(void *opaque, const struct fake_user_message *request,
		     struct fake_user_message *reply)
{
	const unsigned int *command = opaque;

	if (request->header.command == *command)
		reply->fd[reply->fds++] = STDERR_FILENO;
}

/* One file more than belongs to a reply: BAR2's has two then, the first reply one. */
static void test_user_connection_open_files(void **state)
{
	static const unsigned int commands[] = {
		VFIO_USER_VERSION, VFIO_USER_DEVICE_GET_INFO, VFIO_USER_DEVICE_GET_REGION_INFO,
		VFIO_USER_DEVICE_GET_IRQ_INFO,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		unsigned int command = commands[i];
		struct bench bench;

		bench_create(&bench);
		bench.server->hook = add_file;
		bench.server->hook_opaque = &command;
		fake_user_server_start(bench.server);
		expect_no_open(bench.server->path, -EPROTO, "sent files that were not asked for");
		bench_end(&bench);
	}
}

/* A few bytes of any reply are others, sometimes one too many descriptors comes with it. */
static void spoil_reply(void *opaque, const struct fake_user_message *request,
			struct fake_user_message *reply)
{
	unsigned int *seed = opaque;
	uint8_t *header = (uint8_t *)&reply->header;

	(void)request;
	if ((rand_r(seed) & 7) == 0 && reply->size)
		reply->payload[(size_t)rand_r(seed) % reply->size] = (uint8_t)rand_r(seed);
	if ((rand_r(seed) & 63) == 0)
		header[(size_t)rand_r(seed) % sizeof(reply->header)] = (uint8_t)rand_r(seed);
	if ((rand_r(seed) & 63) == 0) {
		reply->header.size += 8;
		reply->size += 8;
	}
	/* Never less than what was announced: that is a server that hangs, and takes its time. */
	reply->hang_up = sizeof(reply->header) + reply->size < reply->header.size;
}

static void test_user_connection_open_spoilt(void **state)
{
	unsigned int seed = 5, opened = 0;
	struct bench bench;

	(void)state;
	bench_create(&bench);
	bench.server->hook = spoil_reply;
	bench.server->hook_opaque = &seed;
	fake_user_server_start(bench.server);
	for (unsigned int i = 0; i < 1500; i++) {
		struct vfio_backend *backend;
		struct vfio_region region;
		char why[256] = "";
		int r = vfio_user_backend_open(bench.server->path, "gpu", 1, &backend, why,
					       sizeof(why));

		if (r < 0) {
			assert_true(why[0] && !strchr(why, '\n'));
			continue;
		}
		opened++;
		for (unsigned int index = 0; index < VFIO_PCI_VGA_REGION_INDEX; index++) {
			assert_int_equal(backend->ops->region_info(backend, index, &region), 0);
			for (unsigned int a = 0; a < region.areas; a++)
				assert_true(range_fits(region.size, region.area[a].start,
						       region.area[a].size));
		}
		backend->ops->close(backend);
	}
	assert_in_range(opened, 10, 1490);
	bench_end(&bench);
}

/* --- lies --- */

enum lie {
	LIE_ID, LIE_COMMAND, LIE_TYPE, LIE_FLAG, LIE_SMALL, LIE_LARGE, LIE_HUGE, LIE_COUNT,
	LIE_OFF, LIE_REGION, LIE_MORE, LIE_FD, LIE_FDS, LIE_CUT, LIE_LEAVE, LIES,
};

/* Replies to reads of config space lie. */
static void lie(void *opaque, const struct fake_user_message *request,
		struct fake_user_message *reply)
{
	enum lie kind = *(const enum lie *)opaque;
	struct vfio_user_access access;

	if (request->header.command != VFIO_USER_REGION_READ)
		return;
	memcpy(&access, reply->payload, sizeof(access));
	switch (kind) {
	case LIE_ID: reply->header.id++; break;
	case LIE_COMMAND: reply->header.command++; break;
	case LIE_TYPE: reply->header.flags = VFIO_USER_TYPE_COMMAND; break;
	case LIE_FLAG: reply->header.flags |= 0x80000000; break;
	case LIE_SMALL: reply->header.size = 4; break;
	case LIE_LARGE: reply->header.size++; break;
	case LIE_HUGE: reply->header.size = UINT32_MAX; break;
	case LIE_COUNT: access.count = 0x10000; break;
	case LIE_OFF: access.off += 4; break;
	case LIE_REGION: access.region++; break;
	case LIE_MORE: reply->size += 16; break;
	case LIE_FD: reply->fd[reply->fds++] = STDERR_FILENO; break;
	case LIE_FDS:
		while (reply->fds < FAKE_USER_FDS_MAX)
			reply->fd[reply->fds++] = STDERR_FILENO;
		break;
	case LIE_CUT: reply->send = 19; reply->hang_up = true; break;
	case LIE_LEAVE: reply->silent = reply->hang_up = true; break;
	case LIES: break;
	}
	memcpy(reply->payload, &access, sizeof(access));
}

/* Standard error into a file, for a while. */
struct capture {
	int saved, file;
};

static void capture_start(struct capture *capture)
{
	capture->saved = dup(STDERR_FILENO);
	capture->file = memfd_create("stderr", MFD_CLOEXEC);
	assert_true(capture->saved >= 0 && capture->file >= 0);
	dup2(capture->file, STDERR_FILENO);
}

/* How many lines there were, and the text of them. */
static unsigned int capture_end(struct capture *capture, char *text, size_t size)
{
	ssize_t len = pread(capture->file, text, size - 1, 0);
	unsigned int lines = 0;

	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	close(capture->file);
	assert_true(len >= 0);
	text[len] = '\0';
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

/* Every op that talks to the server, on a connection that has ended. */
static void expect_lost(struct vfio_backend *backend)
{
	uint32_t value = 0;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(backend->ops->region_read(backend, CONFIG, 0, &value, 4), -EIO);
	assert_int_equal(backend->ops->region_write(backend, CONFIG, 0, &value, 4), -EIO);
	assert_int_equal(backend->ops->irq_set_triggers(backend, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1,
							&fd), -EIO);
	assert_int_equal(backend->ops->intx_set_unmask(backend, fd), -EIO);
	assert_int_equal(backend->ops->intx_unmask(backend), -EIO);
	assert_int_equal(backend->ops->low_power_probe(backend, VFIO_LOW_POWER_ENTRY), -EIO);
	assert_int_equal(backend->ops->low_power(backend, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP, fd),
			 -EIO);
	assert_int_equal(backend->ops->low_power(backend, VFIO_LOW_POWER_EXIT, -1), -EIO);
	assert_int_equal(backend->ops->reset(backend), -EIO);
	close(fd);
}

static void test_user_connection_lies(void **state)
{
	(void)state;
	for (enum lie kind = 0; kind < LIES; kind++) {
		bool leaves = kind == LIE_CUT || kind == LIE_LEAVE;
		struct capture capture;
		uint32_t value = 0;
		struct bench bench;
		unsigned int requests;
		ssize_t r;
		char text[1024];

		bench_create(&bench);
		bench.server->hook = lie;
		bench.server->hook_opaque = &kind;
		bench_open(&bench);
		capture_start(&capture);
		r = bench.backend->ops->region_read(bench.backend, CONFIG, 0, &value, 4);
		if (r != (leaves ? -ECONNRESET : -EPROTO))
			fail_msg("lie %d: %zd", (int)kind, r);
		requests = fake_user_server_requests(bench.server);
		expect_lost(bench.backend);
		assert_int_equal(capture_end(&capture, text, sizeof(text)), 1);
		assert_non_null(strstr(text, "vfio gpu: the vfio-user server "));
		assert_non_null(strstr(text, "the device is lost"));
		assert_int_equal(fake_user_server_requests(bench.server), requests);
		bench_end(&bench);
	}
}

/* The server's errors are no end: the connection goes on. */
static void test_user_connection_errors(void **state)
{
	static const struct {
		uint32_t error;
		int result;
	} cases[] = {
		{EINVAL, -EINVAL}, {EBUSY, -EBUSY}, {EIO, -EIO}, {ENODEV, -ENODEV}, {133, -133},
		{134, -EIO}, {UINT32_MAX, -EIO}, {(uint32_t)-EBUSY, -EIO},
	};
	uint32_t value;
	struct bench bench;

	(void)state;
	bench_start(&bench);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bench.server->error[VFIO_USER_REGION_READ] = cases[i].error;
		bench.server->error[VFIO_USER_DEVICE_RESET] = cases[i].error;
		bench.server->error[VFIO_USER_DEVICE_FEATURE] = cases[i].error;
		bench.server->error[VFIO_USER_DEVICE_SET_IRQS] = cases[i].error;
		assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR0, 0, &value, 4),
				 cases[i].result);
		assert_int_equal(bench.backend->ops->reset(bench.backend), cases[i].result);
		assert_int_equal(bench.backend->ops->low_power(bench.backend, VFIO_LOW_POWER_ENTRY,
							       -1), cases[i].result);
		assert_int_equal(bench.backend->ops->intx_unmask(bench.backend), cases[i].result);
	}
	memset(bench.server->error, 0, sizeof(bench.server->error));
	assert_int_equal(bench.backend->ops->region_read(bench.backend, BAR0, 0, &value, 4), 4);
	bench_end(&bench);
}

static void hang(void *opaque, const struct fake_user_message *request,
		 struct fake_user_message *reply)
{
	const unsigned int *command = opaque;

	reply->silent = request->header.command == *command;
}

/* A resume that never comes costs what the user allows (here a second), once. */
static void test_user_connection_hang(void **state)
{
	unsigned int command = VFIO_USER_DEVICE_FEATURE;
	struct capture capture;
	struct bench bench;
	char text[1024];

	(void)state;
	bench_create(&bench);
	bench.resume_s = 1;
	bench.server->hook = hang;
	bench.server->hook_opaque = &command;
	bench_open(&bench);
	capture_start(&capture);
	assert_int_equal(bench.backend->ops->low_power(bench.backend, VFIO_LOW_POWER_EXIT, -1),
			 -ETIMEDOUT);
	expect_lost(bench.backend);
	assert_int_equal(capture_end(&capture, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "did not answer in time"));
	bench_end(&bench);
}

/* The same at the connection, whose caller says how long, and with half an answer. */
static void test_user_connection_half_answer(void **state)
{
	static const size_t sent[] = {0, 1, 15, 16, 20};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sent); i++) {
		struct vfio_user_version proposal, reply;
		struct vfio_user_call call = {
			.command = VFIO_USER_VERSION, .timeout_ms = 30,
			.request = &proposal, .request_size = vfio_user_version_fill(&proposal),
			.reply = &reply, .reply_size = sizeof(reply),
		};
		struct vfio_user_connection *connection;
		int client, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		struct vfio_user_header header;
		uint8_t bytes[20] = {0};

		snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/hang.%d", getpid());
		unlink(address.sun_path);
		assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(listen(listener, 1), 0);
		assert_int_equal(vfio_user_connection_open(address.sun_path, &connection), 0);
		client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(client >= 0);
		header = vfio_user_header(1, VFIO_USER_VERSION, 8);
		header.flags = VFIO_USER_TYPE_REPLY;
		memcpy(bytes, &header, sizeof(header));
		assert_int_equal(send(client, bytes, sent[i], 0), sent[i]);
		assert_int_equal(vfio_user_connection_call(connection, &call), -ETIMEDOUT);
		assert_string_equal(vfio_user_connection_failure(connection),
				    "did not answer in time");
		assert_int_equal(vfio_user_connection_call(connection, &call), -EIO);
		vfio_user_connection_close(connection);
		close(client);
		close(listener);
		unlink(address.sun_path);
	}
}

static void test_user_connection_server_ends(void **state)
{
	unsigned int fds = open_files();
	struct fake_user_server *server = fake_user_server_create();
	struct vfio_backend *backend;
	struct capture capture;
	uint32_t value;
	char text[1024];
	void *hva;

	(void)state;
	fake_user_server_start(server);
	assert_int_equal(vfio_user_backend_open(server->path, "gpu", 1, &backend, text,
						sizeof(text)), 0);
	assert_int_equal(backend->ops->region_map(backend, BAR2, 0, 4096, &hva), 0);
	fake_user_server_destroy(server);
	capture_start(&capture);
	assert_int_equal(backend->ops->region_read(backend, CONFIG, 0, &value, 4), -ECONNRESET);
	expect_lost(backend);
	assert_int_equal(capture_end(&capture, text, sizeof(text)), 1);
	memset(hva, 1, 4096); /* the file outlives the server */
	backend->ops->region_unmap(backend, hva, 4096);
	backend->ops->close(backend);
	assert_int_equal(open_files(), fds);
}

static void other_feature(void *opaque, const struct fake_user_message *request,
			  struct fake_user_message *reply)
{
	(void)opaque;
	if (request->header.command == VFIO_USER_DEVICE_FEATURE)
		reply->payload[4]++;
}

static void test_user_connection_low_power_lie(void **state)
{
	struct capture capture;
	struct bench bench;
	char text[1024];

	(void)state;
	bench_create(&bench);
	bench.server->hook = other_feature;
	bench_open(&bench);
	capture_start(&capture);
	assert_int_equal(bench.backend->ops->low_power(bench.backend, VFIO_LOW_POWER_ENTRY, -1),
			 -EPROTO);
	expect_lost(bench.backend);
	assert_int_equal(capture_end(&capture, text, sizeof(text)), 1);
	bench_end(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_connection_open_cut),
		cmocka_unit_test(test_user_connection_open_files),
		cmocka_unit_test(test_user_connection_open_spoilt),
		cmocka_unit_test(test_user_connection_lies),
		cmocka_unit_test(test_user_connection_errors),
		cmocka_unit_test(test_user_connection_hang),
		cmocka_unit_test(test_user_connection_half_answer),
		cmocka_unit_test(test_user_connection_server_ends),
		cmocka_unit_test(test_user_connection_low_power_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
