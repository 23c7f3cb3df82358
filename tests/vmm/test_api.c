/* The control socket: what it answers, and devices that come and go by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/vmm/api_bench.h"

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
		CASE(adds_devices),
		CASE(answers_who_waits_at_the_end),
		CASE(refuses_devices),
		cmocka_unit_test(test_api_says_what_is_wrong_with_its_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
