/*
 * The control socket as its clients see it: a real socket and loop, a machine that is made up. The
 * client is a thread of its own, the loop runs on the test's.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfio/vfio.h"
#include "vmm/api.h"
#include "vmm/base/bits.h"
#include "vmm/events.h"
#include "vmm/http_server.h"
#include "vmm/loop.h"
#include "vmm/options.h"

#define HOST "Host: x\r\n"
#define ANSWER_MAX (1U << 20)

static struct {
	struct loop *loop;
	struct api *api;
	struct options options;
	unsigned int slots, presses, reboots, shutdowns, removals;
	bool suspended;
	api_device_added added; /* of the device that is being added */
	void *added_opaque;
	int added_fd;           /* eventfd: it is in its slot, or (2) it failed */
	int hold_fd;            /* eventfd: the loop is to stand still */
	sem_t held, release;    /* it does; it may go on */
	char path[64];
	const char *wrong; /* what the client found, for the test's own thread to say */
} fixture;

/* --- the machine --- */

static void must(bool good, const char *what)
{
	if (!good && !fixture.wrong)
		fixture.wrong = what;
}

static bool on_slot(void *opaque, unsigned int index, struct vfio_slot_status *ret_status)
{
	(void)opaque;
	if (index >= fixture.slots)
		return false;
	*ret_status = (struct vfio_slot_status){
		.id = "gpu0", .name = "0000:01:00", .path = "/sys/bus/pci/devices/0000:01:00.0",
		.policy = {.power = POLICY_POWER_D3COLD, .reset = POLICY_RESET_FLR,
			   .reasons = "power=auto: \"so\""},
		.hold_ms = 7};
	ret_status->fn[0] = (struct vfio_function_status){
		.exists = true, .name = "0000:01:00.0", .state = POWER_ENGAGED, .has_host = true,
		.host = {.power_state = "D3cold", .suspended = true, .suspended_us = 5},
		.stats = {.entries = 3, .wakes[POWER_CAUSE_HOST] = 1}};
	ret_status->fn[1] = (struct vfio_function_status){
		.exists = true, .name = "0000:01:00.1", .state = POWER_REFUSED, .error = -EIO};
	return true;
}

static void on_button(void *opaque)
{
	(void)opaque;
	fixture.presses++;
}

static bool is_suspended(void *opaque)
{
	(void)opaque;
	return fixture.suspended;
}

/* From then on it is awake. */
static bool on_wake(void *opaque)
{
	bool was_suspended = fixture.suspended;

	(void)opaque;
	fixture.suspended = false;
	return was_suspended;
}

static void on_reboot(void *opaque)
{
	(void)opaque;
	fixture.reboots++;
}

static void on_shutdown(void *opaque)
{
	(void)opaque;
	fixture.shutdowns++;
}

/* A device takes until the client says so; "busy" is refused at once. */
static int on_add_device(void *opaque, const struct vfio_slot_config *config, const char *id,
			 api_device_added done, void *done_opaque, char *ret_why, size_t why_size)
{
	(void)opaque;
	if (id && !strcmp(id, "busy")) {
		snprintf(ret_why, why_size, "the name busy is in use");
		return -EEXIST;
	}
	must(!strcmp(config->bdf, "0000:02:00.0"), "another device");
	fixture.added = done;
	fixture.added_opaque = done_opaque;
	return 0;
}

static void on_added_signal(void *opaque, int fd)
{
	uint64_t count;

	(void)opaque;
	if (read(fd, &count, sizeof(count)) == sizeof(count) && count == 1)
		fixture.added(fixture.added_opaque, 0, NULL, "gpu1", "0000:05:00.0");
	else
		fixture.added(fixture.added_opaque, -EINVAL, "bound to nouveau", NULL, NULL);
}

static int on_remove_device(void *opaque, const char *id, char *ret_why, size_t why_size)
{
	(void)opaque;
	if (!strcmp(id, "gpu0")) {
		fixture.removals++;
		return 0;
	}
	snprintf(ret_why, why_size, "no device named %s; there are gpu0", id);
	return -ENOENT;
}

static void on_hold(void *opaque, int fd)
{
	uint64_t count;

	(void)opaque;
	must(read(fd, &count, sizeof(count)) == sizeof(count), "no signal");
	sem_post(&fixture.held);
	sem_wait(&fixture.release);
}

/* --- the client --- */

static int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture.path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fixture.wrong = "no connection";
	return fd;
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		fixture.wrong = "the server does not take what is said";
}

/* Reads until `end` was read, or (NULL) the server's end. */
static const char *hear(int fd, const char *end)
{
	static char text[ANSWER_MAX];
	size_t len = 0;
	ssize_t got = 1;

	text[0] = '\0';
	while (len < sizeof(text) - 1 && !(end && strstr(text, end)) &&
	       (got = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0) {
		len += (size_t)got;
		text[len] = '\0';
	}
	if (got < 0 && errno == EAGAIN)
		fixture.wrong = "no answer";
	return text;
}

/* The loop does nothing until release_loop(). epoll then has the descriptors in the order in which
 * something happened to them. */
static void hold_loop(void)
{
	const uint64_t one = 1;

	must(write(fixture.hold_fd, &one, sizeof(one)) == sizeof(one), "no signal");
	sem_wait(&fixture.held);
}

static void release_loop(void)
{
	sem_post(&fixture.release);
}

static const char *ask_once(const char *request)
{
	int fd = connect_client();
	const char *answer;

	say(fd, request);
	answer = hear(fd, NULL);
	close(fd);
	return answer;
}

static void *client(void *opaque)
{
	void (*run)(void) = *(void (**)(void))opaque;

	run();
	loop_stop(fixture.loop, 0);
	return NULL;
}

/* Runs `run` as the client. */
static void serve(void (*run)(void))
{
	pthread_t thread;

	fixture.wrong = NULL;
	assert_int_equal(pthread_create(&thread, NULL, client, &run), 0);
	loop_run(fixture.loop);
	pthread_join(thread, NULL);
	if (fixture.wrong)
		fail_msg("%s", fixture.wrong);
}

static int begin(void **state)
{
	const struct api_machine machine = {
		.options = &fixture.options, .slot = on_slot, .is_suspended = is_suspended,
		.power_button = on_button, .wake = on_wake,
		.reboot = on_reboot, .shutdown = on_shutdown, .add_device = on_add_device,
		.remove_device = on_remove_device};
	char why[256] = "";

	(void)state;
	memset(&fixture, 0, sizeof(fixture));
	fixture.options = (struct options){.kernel = "k", .append = "a b", .memory = MIB,
					   .cpus = 2};
	fixture.slots = 1;
	fixture.loop = loop_create();
	snprintf(fixture.path, sizeof(fixture.path), "/tmp/minivmm-api-%d", (int)getpid());
	events_open(NULL);
	fixture.added_fd = eventfd(0, EFD_CLOEXEC);
	loop_add(fixture.loop, fixture.added_fd, on_added_signal, NULL);
	sem_init(&fixture.held, 0, 0);
	sem_init(&fixture.release, 0, 0);
	fixture.hold_fd = eventfd(0, EFD_CLOEXEC);
	loop_add(fixture.loop, fixture.hold_fd, on_hold, NULL);
	return api_create(fixture.loop, fixture.path, &machine, &fixture.api, why, sizeof(why));
}

static int end(void **state)
{
	(void)state;
	api_stop(fixture.api);
	api_destroy(fixture.api);
	loop_destroy(fixture.loop);
	close(fixture.added_fd);
	close(fixture.hold_fd);
	sem_destroy(&fixture.held);
	sem_destroy(&fixture.release);
	return access(fixture.path, F_OK) ? 0 : -1;
}

/* --- endpoints --- */

struct exchange {
	const char *request, *expected[4];
};

static void ask_all(const struct exchange *cases, size_t count)
{
	char request[256];

	for (size_t i = 0; i < count; i++) {
		const char *answer;

		snprintf(request, sizeof(request), "%s HTTP/1.1\r\n" HOST
			 "Connection: close\r\n\r\n", cases[i].request);
		answer = ask_once(request);
		for (size_t k = 0; k < 4 && cases[i].expected[k]; k++)
			must(strstr(answer, cases[i].expected[k]), cases[i].request);
		if (!strncmp(cases[i].request, "HEAD", 4))
			must(!strcmp(answer + strlen(answer) - 4, "\r\n\r\n"), "HEAD with a body");
	}
}

static void ask_everything(void)
{
	static const struct exchange cases[] = {
		{"GET /api/v1/vmm.ping", {"200 OK", "\"build_version\":\"", ",\"features\":[]}"}},
		{"GET /api/v1/vm.info",
		 {"200 OK", "{\"state\":\"Running\",\"memory_actual_size\":1048576,\"config\":{"
		  "\"cpus\":{\"boot_vcpus\":2,\"max_vcpus\":2},\"memory\":{\"size\":1048576},"
		  "\"payload\":{\"kernel\":\"k\",\"cmdline\":\"a b\"},\"devices\":[{\"id\":"
		  "\"gpu0\",\"path\":\"/sys/bus/pci/devices/0000:01:00.0\"}]},\"uptime_us\":"}},
		{"GET /api/v1/vm.counters",
		 {"200 OK", "{\"gpu0.0\":{\"entries\":3,\"wakes_host\":1},\"gpu0.1\":{}}"}},
		{"GET /api/v1/power",
		 {"200 OK", "{\"t_us\":",
		  ",\"suspended\":false,\"slots\":[{\"id\":\"gpu0\",\"name\":\"0000:01:00\","
		  "\"policy\":{\"power\":\"d3cold\",\"reset\":\"flr\",\"reasons\":\"power=auto: "
		  "\\\"so\\\"\"},\"guest\":\"off\",\"hold_ms\":7,\"functions\":[{\"name\":"
		  "\"0000:01:00.0\",\"state\":\"engaged\",\"since_us\":0,\"error\":null,\"host\":{"
		  "\"power_state\":\"D3cold\",\"suspended\":true,\"suspended_us\":5},"
		  "\"counters\":{\"entries\":3,\"wakes_host\":1}}",
		  ",{\"name\":\"0000:01:00.1\",\"state\":\"refused\",\"since_us\":0,\"error\":"
		  "\"EIO\",\"host\":null,\"counters\":{}}]}]}"}},
		{"GET /metrics", {"200 OK", "text/plain; version=0.0.4", "# TYPE minivmm_info"}},
		{"HEAD /metrics", {"200 OK", "Content-Length: "}},
		{"PUT /api/v1/vm.power-button", {"204 No Content"}},
		{"PUT /api/v1/vm.wake", {"409 ", "[\"the guest is not in S3;"}},
		{"PUT /api/v1/vm.reboot", {"204 No Content"}},
		{"PUT /api/v1/vm.shutdown", {"204 No Content"}},
		{"PUT /api/v1/vmm.shutdown", {"204 No Content"}},
		{"GET /api/v1/vm.reboot",
		 {"405 ", "Allow: PUT\r\n", "[\"use PUT for this path\"]"}},
		{"POST /api/v1/power", {"405 ", "Allow: GET, HEAD\r\n"}},
		{"GET /api/v1/powe", {"404 ", "[\"there is no such path"}},
		{"GET /api/v1/power/", {"404 "}},
		{"GET /", {"404 "}},
	};

	ask_all(cases, ARRAY_SIZE(cases));
}

/* A guest in S3, until it is woken. */
static void ask_suspended(void)
{
	static const struct exchange cases[] = {
		{"GET /api/v1/vm.info", {"200 OK", "{\"state\":\"Suspended\","}},
		{"GET /api/v1/power", {"200 OK", ",\"suspended\":true,"}},
		{"GET /metrics", {"200 OK", "\nminivmm_guest_suspended 1\n"}},
		{"PUT /api/v1/vm.wake", {"204 No Content"}},
		{"GET /metrics", {"200 OK", "\nminivmm_guest_suspended 0\n"}},
	};

	ask_all(cases, ARRAY_SIZE(cases));
}

static void test_api_endpoints(void **state)
{
	(void)state;
	serve(ask_everything);
	assert_int_equal(fixture.presses, 1);
	assert_int_equal(fixture.reboots, 1);
	assert_int_equal(fixture.shutdowns, 2);
}

static void test_api_suspended(void **state)
{
	(void)state;
	fixture.suspended = true;
	serve(ask_suspended);
	assert_false(fixture.suspended);
}

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

/* --- devices --- */

#define ADD "PUT /api/v1/vm.add-device HTTP/1.1\r\n" HOST "Content-Length: 24\r\n"
#define BODY "\r\n{\"gpu\":\"0000:02:00.0\"  }"

static void settle_device(uint64_t how)
{
	if (write(fixture.added_fd, &how, sizeof(how)) != sizeof(how))
		fixture.wrong = "no signal";
}

static void add_devices(void)
{
	int fd = connect_client(), gone = connect_client();

	/* The answer comes when the device is there; what was sent after the request, after it. */
	say(fd, ADD BODY "GET /api/v1/vmm.ping HTTP/1.1\r\n" HOST "\r\n");
	must(strstr(ask_once("GET / HTTP/1.0\r\n\r\n"), "404 "), "the others wait");
	settle_device(1);
	must(strstr(hear(fd, "[]}"), "{\"id\":\"gpu1\",\"bdf\":\"0000:05:00.0\"}HTTP/1.1 200 OK"),
	     "no device");
	say(fd, ADD "Connection: close\r\n" BODY);
	must(strstr(ask_once("GET / HTTP/1.0\r\n\r\n"), "404 "), "the others wait");
	settle_device(2);
	must(strstr(hear(fd, NULL), "\r\n\r\n[\"bound to nouveau\"]"), "no refusal");
	/* Whoever asked may be gone by then. */
	say(gone, ADD BODY);
	must(strstr(ask_once("GET / HTTP/1.0\r\n\r\n"), "404 "), "the others wait");
	close(gone);
	must(strstr(ask_once("GET / HTTP/1.0\r\n\r\n"), "404 "), "the others wait");
	settle_device(1);
	must(strstr(ask_once("GET / HTTP/1.0\r\n\r\n"), "404 "), "the others wait");
	close(fd);
}

static void test_api_adds_devices(void **state)
{
	(void)state;
	serve(add_devices);
}

static int waiting;

static void begin_to_add(void)
{
	waiting = connect_client();
	say(waiting, ADD BODY "GET /api/v1/vmm.ping HTTP/1.1\r\n" HOST "\r\n");
	must(strstr(ask_once("GET / HTTP/1.0\r\n\r\n"), "404 "), "the others wait");
}

/* The machine ends first: who waits is told so, and nothing that came after is done. */
static void test_api_answers_who_waits_at_the_end(void **state)
{
	const char *text;

	(void)state;
	serve(begin_to_add);
	api_stop(fixture.api);
	fixture.added(fixture.added_opaque, -EINVAL, "the machine ends", NULL, NULL);
	text = hear(waiting, NULL);
	assert_non_null(strstr(text, "HTTP/1.1 503 Service Unavailable\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n[\"the machine ends; this is not done any more\"]"));
	assert_null(strstr(text, "200 OK"));
	close(waiting);
}

static void ask_for_devices(void)
{
	static const struct {
		const char *path, *body, *expected[2];
	} cases[] = {
		{"add", "", {"400 ", "the body is no JSON object"}},
		{"add", "[]", {"400 ", "no JSON object"}},
		{"add", "{\"gpu\":\"02:00.0\"", {"400 ", "no JSON object"}},
		{"add", "{}", {"400 ", "either path or gpu"}},
		{"add", "{\"gpu\":\"02:00.0\",\"path\":\"/a\"}", {"400 ", "either path or gpu"}},
		{"add", "{\"gpu\":2}", {"400 ", "gpu is no string of 1 to 511 bytes"}},
		{"add", "{\"gpu\":\"\"}", {"400 ", "gpu is no string"}},
		{"add", "{\"gpu\":\"zz\"}",
		 {"400 ", "[\"gpu zz: \\\"zz\\\" is no PCI address; lspci"}},
		{"add", "{\"gpu\":\"02:00.0,power=deep\"}",
		 {"400 ", "[\"gpu 02:00.0,power=deep: power takes auto,"}},
		{"add", "{\"path\":\"0000:02:00.0\"}", {"400 ", "not that of a PCI device"}},
		{"add", "{\"path\":\"/sys/bus/pci/devices/x\"}",
		 {"400 ", "[\"path /sys/bus/pci/devices/x: \\\"x\\\" is no PCI address"}},
		{"add", "{\"path\":\"/a/02:00.0,power=off\"}",
		 {"400 ", "not that of a PCI device"}},
		{"add", "{\"path\":\"/vfio-user:s\"}", {"400 ", "not that of a PCI device"}},
		{"add", "{\"gpu\":\"02:00.0\",\"id\":\"0123456789012345678901234567890X\"}",
		 {"400 ", "id is no string of 1 to 31 bytes"}},
		{"add", "{\"path\":\"/sys/bus/pci/devices/0000:02:00.0/\",\"id\":\"busy\"}",
		 {"409 Conflict", "[\"the name busy is in use\"]"}},
		{"remove", "{}", {"400 ", "has to have id"}},
		{"remove", "{\"id\":\"gpu7\"}",
		 {"404 ", "[\"no device named gpu7; there are gpu0\"]"}},
		{"remove", "{\"id\":\"gpu0\"}", {"204 "}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char request[512];
		const char *answer;

		snprintf(request, sizeof(request), "PUT /api/v1/vm.%s-device HTTP/1.1\r\n" HOST
			 "Connection: close\r\nContent-Length: %zu\r\n\r\n%s", cases[i].path,
			 strlen(cases[i].body), cases[i].body);
		answer = ask_once(request);
		for (size_t k = 0; k < 2 && cases[i].expected[k]; k++)
			must(strstr(answer, cases[i].expected[k]), cases[i].body);
	}
}

static void test_api_refuses_devices(void **state)
{
	(void)state;
	serve(ask_for_devices);
	assert_int_equal(fixture.removals, 1);
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

/* --- refusals at the start --- */

static void test_api_says_what_is_wrong_with_its_path(void **state)
{
	const struct api_machine machine = {.options = &fixture.options, .slot = on_slot};
	struct loop *loop = loop_create();
	struct api *api = NULL;
	char why[256] = "";

	(void)state;
	assert_int_not_equal(api_create(loop, "/nowhere/at/all", &machine, &api, why,
					sizeof(why)), 0);
	assert_string_equal(why, "--api /nowhere/at/all: No such file or directory");
	assert_null(api);
	assert_int_equal(events_fd(), -1);
	loop_destroy(loop);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_api_##name, begin, end)
	const struct CMUnitTest tests[] = {
		CASE(endpoints),
		CASE(suspended),
		CASE(keeps_connections),
		CASE(takes_bodies),
		CASE(refuses_garbage),
		CASE(bounds_connections),
		CASE(takes_places_of_the_gone),
		CASE(adds_devices),
		CASE(answers_who_waits_at_the_end),
		CASE(refuses_devices),
		CASE(streams_events),
		CASE(streams_to_who_says_no_more),
		CASE(takes_places_of_the_silent),
		CASE(waits_for_no_reader),
		CASE(ends_streams),
		cmocka_unit_test(test_api_says_what_is_wrong_with_its_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
