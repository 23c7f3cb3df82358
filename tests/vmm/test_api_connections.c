/* The control socket: connections, good ones and bad ones, and streams of events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vmm/api_bench.h"

/* --- connections --- */

static void ask_often(void)
{
	int fd = connect_client();

	for (unsigned int i = 0; i < 100; i++) {
		say(fd, "GET /api/v1/vmm.ping HTTP/1.1\r\n" HOST "\r\n");
		must(strstr(hear(fd, "[]}"), "200 OK"), "keep-alive");
	}
	/* Several at once, the last with a body that nobody wants, in odd pieces. */
	say(fd, "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n"
		"PUT /api/v1/vm.rebo");
	say(fd, "ot HTTP/1.1\r\n" HOST "Content-Length: 4\r\nConnection: close\r\n\r\n{\"a");
	say(fd, "\"");
	must(strstr(strstr(strstr(hear(fd, NULL), "404 "), "404 "), "204 "), "pipelining");
	close(fd);
}

static void test_api_keeps_connections(void **state)
{
	(void)state;
	serve(ask_often);
	assert_int_equal(fixture.reboots, 1);
}

static void send_bodies(void)
{
	static char body[HTTP_BODY_MAX + 1];
	int fd = connect_client();

	memset(body, 'x', HTTP_BODY_MAX);
	say(fd, "PUT /api/v1/vm.power-button HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n"
		"Expect: 100-continue\r\n\r\n");
	must(strstr(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n"), "no 100");
	say(fd, body);
	must(strstr(hear(fd, "\r\n\r\n"), "204 "), "a large body");
	say(fd, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n");
	must(strstr(hear(fd, NULL), "413 Content Too Large"), "413");
	close(fd);
}

static void test_api_takes_bodies(void **state)
{
	(void)state;
	serve(send_bodies);
	assert_int_equal(fixture.presses, 1);
}

static void send_garbage(void)
{
	static const struct {
		const char *request, *expected;
	} cases[] = {
		{"\x16\x03\x01\x02\r\n", "400 Bad Request"},
		{"GET / HTTP/3.0\r\n" HOST "\r\n", "505 "},
		{"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411 "},
		{"MOVE / HTTP/1.1\r\n" HOST "\r\n", "501 "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *answer = ask_once(cases[i].request);

		must(strstr(answer, cases[i].expected), cases[i].expected);
		must(strstr(answer, "Connection: close\r\n"), "not closed");
		must(strstr(answer, "\r\n\r\n[\""), "an error without its sentence");
	}
}

static void test_api_refuses_garbage(void **state)
{
	(void)state;
	serve(send_garbage);
}

/* All places taken by requests that do not end: one more is turned away at once, and after 5 s they
 * are. Idle ones make room. */
static void crowd(void)
{
	int fd[HTTP_CONNECTIONS_MAX], idle[2 * HTTP_CONNECTIONS_MAX];

	for (unsigned int i = 0; i < ARRAY_SIZE(idle); i++)
		idle[i] = connect_client();
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		fd[i] = connect_client();
		say(fd[i], "GET / HTTP/1.1\r\n");
	}
	must(strstr(ask_once("GET / HTTP/1.1\r\n" HOST "\r\n"), "503 "), "no 503");
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		must(strstr(hear(fd[i], NULL), "408 Request Timeout"), "no 408");
	must(strstr(ask_once("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), "404 "),
	     "no place after that");
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		close(fd[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(idle); i++)
		close(idle[i]);
}

static void test_api_bounds_connections(void **state)
{
	(void)state;
	serve(crowd);
}

/* All places taken by readers and by half a request: who comes when they have gone has one, though
 * the server hears of the newcomer first. */
static void crowd_that_goes(void)
{
	int fd[HTTP_CONNECTIONS_MAX], newcomer;

	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = connect_client();
		say(fd[i], i % 2 ? "GET / HTTP/1.1\r\n" :
				   "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n");
		if (i % 2 == 0)
			hear(fd[i], "chunked");
	}
	must(strstr(ask_once("GET / HTTP/1.1\r\n" HOST "\r\n"), "503 "), "no 503");
	hold_loop();
	newcomer = connect_client();
	say(newcomer, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	release_loop();
	must(strstr(hear(newcomer, NULL), "404 "), "no place though all are gone");
	close(newcomer);
}

static void test_api_takes_places_of_the_gone(void **state)
{
	(void)state;
	serve(crowd_that_goes);
}

/* --- events --- */

static void emit(unsigned int count, const char *detail)
{
	for (unsigned int i = 0; i < count; i++)
		events_emit(&(struct event){.event = "test", .detail = detail});
}

static void follow(void)
{
	int now = connect_client(), recent = connect_client(), old = connect_client();

	emit(1, "before");
	say(now, "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n");
	hear(now, "\r\n\r\n");
	say(recent, "GET /api/v1/events?recent=1&follow=1 HTTP/1.1\r\n" HOST "\r\n");
	must(strstr(hear(recent, "before"), "Transfer-Encoding: chunked\r\n"), "not chunked");
	say(old, "GET /api/v1/events HTTP/1.0\r\n\r\n");
	must(!strstr(hear(old, "\r\n\r\n"), "chunked"), "chunks for HTTP/1.0");
	emit(1, "after");
	must(!strstr(hear(now, "after\"}\n"), "before"), "the past without being asked for it");
	must(strstr(hear(recent, "after\"}\n"), "\"event\":\"test\""), "no gap");
	must(strstr(hear(old, "after\"}\n"), "{\"t_us\":") != NULL, "HTTP/1.0");
	must(strstr(ask_once("GET /api/v1/events?recent=1 HTTP/1.1\r\n" HOST
			     "Connection: close\r\n\r\n"), "Content-Length: "), "no end");
	close(now);
	close(recent);
	close(old);
}

static void test_api_streams_events(void **state)
{
	(void)state;
	serve(follow);
}

/* A reader that has closed its own direction, before or after the stream began, still reads. */
static void follow_in_silence(void)
{
	int late = connect_client(), early = connect_client();

	say(late, "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n");
	hear(late, "\r\n\r\n");
	shutdown(late, SHUT_WR);
	say(early, "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n");
	shutdown(early, SHUT_WR);
	hear(early, "\r\n\r\n");
	must(strstr(ask_once("GET / HTTP/1.0\r\n\r\n"), "404 "), "the others wait");
	emit(1, "first");
	must(strstr(hear(late, "first\"}\n"), "first"), "ended late");
	must(strstr(hear(early, "first\"}\n"), "first"), "ended early");
	emit(1, "second");
	must(strstr(hear(early, "second\"}\n"), "second"), "no second line");
	close(late);
	close(early);
}

static void test_api_streams_to_who_says_no_more(void **state)
{
	(void)state;
	serve(follow_in_silence);
}

/* Their places are free once they are gone, though they had ended their own direction before. */
static void go_in_silence(void)
{
	int fd[HTTP_CONNECTIONS_MAX], newcomer;

	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = connect_client();
		say(fd[i], "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n");
		shutdown(fd[i], SHUT_WR);
		hear(fd[i], "chunked");
	}
	must(strstr(ask_once("GET / HTTP/1.1\r\n" HOST "\r\n"), "503 "), "no 503");
	hold_loop();
	newcomer = connect_client();
	say(newcomer, "GET / HTTP/1.0\r\n\r\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	release_loop();
	must(strstr(hear(newcomer, NULL), "404 "), "no place though all are gone");
	close(newcomer);
}

static void test_api_takes_places_of_the_silent(void **state)
{
	(void)state;
	serve(go_in_silence);
}

/* A reader that does not read: others are served, and it is told what it missed. */
static void fall_behind(void)
{
	static char detail[900];
	int fd = connect_client();
	const char *text;

	memset(detail, 'd', sizeof(detail) - 1);
	say(fd, "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n");
	hear(fd, "\r\n\r\n");
	for (unsigned int i = 0; i < 20; i++) {
		emit(100, detail);
		must(strstr(ask_once("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"),
			    "404 "), "the others wait");
	}
	emit(1, "the last");
	text = hear(fd, "the last");
	must(strstr(text, "\"event\":\"lost\",\"count\":"), "nobody says what is lost");
	close(fd);
}

static void test_api_waits_for_no_reader(void **state)
{
	(void)state;
	serve(fall_behind);
}

static int reader;

static void begin_to_read(void)
{
	reader = connect_client();
	say(reader, "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n");
	hear(reader, "\r\n\r\n");
}

/* After the loop: what comes last reaches the readers, and their stream ends as it should. */
static void test_api_ends_streams(void **state)
{
	const char *text;

	(void)state;
	serve(begin_to_read);
	api_stop(fixture.api);
	assert_int_equal(access(fixture.path, F_OK), -1);
	emit(1, "the end");
	api_destroy(fixture.api);
	fixture.api = NULL;
	text = hear(reader, NULL);
	assert_non_null(strstr(text, "\"detail\":\"the end\"}\n\r\n0\r\n\r\n"));
	close(reader);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_api_##name, begin, end)
	const struct CMUnitTest tests[] = {
		CASE(keeps_connections),
		CASE(takes_bodies),
		CASE(refuses_garbage),
		CASE(bounds_connections),
		CASE(takes_places_of_the_gone),
		CASE(streams_events),
		CASE(streams_to_who_says_no_more),
		CASE(takes_places_of_the_silent),
		CASE(waits_for_no_reader),
		CASE(ends_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
