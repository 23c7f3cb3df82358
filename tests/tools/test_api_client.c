#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/api_client.h"
#include "vmm/base/bits.h"

#define TIMEOUT_MS 200

/* A server of one answer, at the other end of a socketpair. */
struct fake {
	int fd;
	const char *answer;
	size_t repeat;      /* the last 1024 bytes of the answer come so often again */
	bool keeps_silent;  /* does not close */
	char request[2048];
};

static void send_bytes(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		bytes += sent;
		len -= (size_t)sent;
	}
}

static void *serve(void *opaque)
{
	struct fake *fake = opaque;
	size_t len = strlen(fake->answer);
	ssize_t got = recv(fake->fd, fake->request, sizeof(fake->request) - 1, 0);
	char filler[1024], byte;

	memset(filler, 'x', sizeof(filler));
	fake->request[got > 0 ? got : 0] = '\0';
	/* In two parts, so that one of them waits for the other. */
	send_bytes(fake->fd, fake->answer, len / 2);
	send_bytes(fake->fd, fake->answer + len / 2, len - len / 2);
	for (size_t i = 0; i < fake->repeat; i++)
		send_bytes(fake->fd, filler, sizeof(filler));
	/* Until the client closes. */
	while (fake->keeps_silent && recv(fake->fd, &byte, 1, 0) > 0)
		;
	close(fake->fd);
	return NULL;
}

static int start(struct fake *fake, pthread_t *thread)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fake->fd = pair[1];
	assert_int_equal(pthread_create(thread, NULL, serve, fake), 0);
	return pair[0];
}

static int request(struct fake *fake, const char *method, const char *body,
		   struct api_answer *answer, struct api_why *why)
{
	pthread_t thread;
	int fd = start(fake, &thread);
	int error = api_request_on(fd, "/run/vm.sock", method, "/api/v1/power", body, TIMEOUT_MS,
				   answer, why);

	pthread_join(thread, NULL);
	return error;
}

static void test_client_sends_what_a_server_understands(void **state)
{
	struct fake fake = {.answer = "HTTP/1.1 204 No Content\r\n\r\n", .keeps_silent = true};
	struct api_answer answer;
	struct api_why why;

	(void)state;
	assert_int_equal(request(&fake, "GET", NULL, &answer, &why), 0);
	assert_string_equal(fake.request, "GET /api/v1/power HTTP/1.1\r\nHost: localhost\r\n"
			    "Connection: close\r\n\r\n");
	assert_null(answer.tokens);
	assert_int_equal(request(&fake, "PUT", "{\"id\":\"gpu0\"}", &answer, &why), 0);
	assert_string_equal(fake.request, "PUT /api/v1/power HTTP/1.1\r\nHost: localhost\r\n"
			    "Connection: close\r\nContent-Type: application/json\r\n"
			    "Content-Length: 13\r\n\r\n{\"id\":\"gpu0\"}");
	assert_int_equal(request(&fake, "PUT", NULL, &answer, &why), 0);
	assert_non_null(strstr(fake.request, "\r\nContent-Length: 0\r\n\r\n"));
}

static void test_client_reads_json(void **state)
{
	struct fake fake = {.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				      "4\r\n{\"a\"\r\n4\r\n:17}\r\n0\r\n\r\n"};
	struct api_answer answer;
	struct api_why why;
	uint64_t number = 0;

	(void)state;
	assert_int_equal(request(&fake, "GET", NULL, &answer, &why), 0);
	assert_true(json_get_number(&answer.doc, json_member(&answer.doc, 0, "a"), 99, &number));
	assert_int_equal(number, 17);
	api_answer_finish(&answer);
}

/* Every way in which an answer can be wrong is one sentence with the socket's name in it. */
static void test_client_says_what_is_wrong(void **state)
{
	static const struct {
		struct fake fake;
		int error;
		const char *says;
	} cases[] = {
		{{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"}, -EPROTO, "ends in"},
		{{.answer = ""}, -EPROTO, "ends in the middle"},
		{{.answer = "hello\r\n"}, -EPROTO, "HTTP/1.1"},
		{{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]"}, -EPROTO, "not JSON"},
		{{.answer = "HTTP/1.1 200 OK\r\n\r\n", .repeat = 1100}, -ECANCELED, "1 MiB"},
		{{.answer = "HTTP/1.1 200 OK\r\nX: ", .repeat = 3}, -EPROTO, "HTTP/1.1"},
		{{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", .keeps_silent = true},
		 -ETIMEDOUT, "in time"},
		{{.answer = "", .keeps_silent = true}, -ETIMEDOUT, "in time"},
		{{.answer = "HTTP/1.1 404 Not Found\r\n\r\n[\"no gpu7 \\u001b[2J\",\"xyz\"]"},
		 -EREMOTEIO, ": no gpu7 ?[2J"},
		{{.answer = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"}, -EREMOTEIO,
		 "status 503"},
		{{.answer = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"}, -EREMOTEIO, "302"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake fake = cases[i].fake;
		struct api_answer answer;
		struct api_why why = {.text = ""};

		assert_int_equal(request(&fake, "GET", NULL, &answer, &why), cases[i].error);
		assert_memory_equal(why.text, "/run/vm.sock: ", strlen("/run/vm.sock: "));
		assert_non_null(strstr(why.text, cases[i].says));
		assert_null(strchr(why.text, '\033'));
		assert_null(answer.tokens);
		assert_null(answer.body.bytes);
	}
}

static bool take_line(void *opaque, uint64_t number, const char *line, size_t len)
{
	char *text = opaque;

	(void)number;
	if (line)
		strncat(text, line, len);
	strcat(text, line ? ";" : "LONG;");
	return !strstr(text, "stop");
}

static void test_client_follows_a_stream(void **state)
{
	static const struct {
		const char *answer;
		int error; /* the last */
		const char *lines;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n3\r\nb\nc\r\n"
		 "2\r\nd\n\r\n0\r\n\r\n", 1, "a;b;cd;"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\nb\n", 1, "a;b;"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\nb", 1, "a;b;"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na\nstop", -ECANCELED, "a;stop;"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n1\r\nc\r\n"
		 "0\r\n\r\n", 1, "a;bc;"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n", -EPROTO,
		 "a;"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1, ""},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n", -EPROTO,
		 "a;"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -EPROTO, ""},
		{"HTTP/1.1 200 OK\r\n\r\nstop\nb\n", -ECANCELED, "stop;"},
		{"HTTP/1.1 404 No\r\nContent-Length: 12\r\n\r\n[\"no events\"", -EREMOTEIO, ""},
		{"", -EPROTO, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake fake = {.answer = cases[i].answer};
		struct api_stream *stream = calloc(1, sizeof(*stream));
		char lines[64] = "";
		struct api_why why = {.text = ""};
		pthread_t thread;
		int fd = start(&fake, &thread);
		int error = api_stream_open_on(fd, "p", "/e", stream, take_line, lines, &why);

		if (!error) {
			while (!error)
				error = api_stream_read(stream, &why);
			api_stream_finish(stream);
		}
		assert_int_equal(error, cases[i].error);
		assert_string_equal(lines, cases[i].lines);
		pthread_join(thread, NULL);
		free(stream);
	}
}

/* --- sockets that cannot be connected to --- */

static void test_client_says_why_nobody_is_there(void **state)
{
	char dir[] = "/tmp/minivmm-client-XXXXXX", path[64], longest[256];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct api_why why;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(api_connect(path, &why), -ENOENT);
	assert_non_null(strstr(why.text, "no such socket; minivmm makes it"));
	assert_int_equal(api_connect("", &why), -ENOENT);
	file = fopen(path, "w");
	fclose(file);
	assert_int_equal(api_connect(path, &why), -ENOTSOCK);
	assert_non_null(strstr(why.text, "this is no socket"));
	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(api_connect(path, &why), -ECONNREFUSED);
	assert_non_null(strstr(why.text, "nobody listens there"));
	unlink(path);
	close(fd);
	rmdir(dir);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(api_connect(longest, &why), -ENAMETOOLONG);
	assert_non_null(strstr(why.text, "107"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_sends_what_a_server_understands),
		cmocka_unit_test(test_client_reads_json),
		cmocka_unit_test(test_client_says_what_is_wrong),
		cmocka_unit_test(test_client_follows_a_stream),
		cmocka_unit_test(test_client_says_why_nobody_is_there),
	};

	return cmocka_run_group_tests_name("api_client", tests, NULL, NULL);
}
