#include "vmm/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfio/vfio.h"
#include "vmm/api_body.h"
#include "vmm/api_describe.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/events.h"
#include "vmm/http.h"
#include "vmm/http_server.h"
#include "vmm/layout.h"
#include "vmm/loop.h"
#include "vmm/unix_socket.h"

#define TYPE_JSON "application/json"
#define TYPE_LINES "application/x-ndjson"
#define WHY_SIZE 1024

/* A device that is being added, and who waits for it. */
struct adding {
	struct api *api;   /* NULL: free */
	uint64_t exchange;
};

struct api {
	struct loop *loop;
	struct api_machine machine;
	struct unix_socket socket;
	struct http_server *server;
	bool stopped;
	int events_fd;
	struct api_slots slots; /* copies for one answer; room for SLOT_MAX */
	struct adding adding[SLOT_MAX];
};

/* A request, and where its answer goes. */
struct call {
	const struct http_request *request;
	const char *body;
	uint64_t exchange;
	struct http_answer *answer;
};

/* --- answers --- */

/* Errors are an array of sentences, as Cloud Hypervisor's. */
static void refuse(struct http_answer *answer, unsigned int status, const char *sentence)
{
	struct json json = {.out = &answer->body};

	answer->status = status;
	answer->type = TYPE_JSON;
	json_begin_array(&json, NULL);
	json_string(&json, NULL, sentence);
	json_end_array(&json);
}

static struct json begin_json(struct http_answer *answer)
{
	answer->status = 200;
	answer->type = TYPE_JSON;
	return (struct json){.out = &answer->body};
}

static const struct api_slots *look_at_slots(struct api *api)
{
	struct api_slots *slots = &api->slots;

	slots->count = 0;
	slots->suspended = api->machine.is_suspended(api->machine.opaque);
	for (unsigned int i = 0; i < SLOT_MAX; i++)
		slots->count += api->machine.slot(api->machine.opaque, i,
						  &slots->slot[slots->count]);
	return slots;
}

/* --- endpoints --- */

static void get_ping(struct api *api, const struct call *call)
{
	struct json json = begin_json(call->answer);

	(void)api;
	api_describe_ping(&json);
}

static void get_info(struct api *api, const struct call *call)
{
	struct json json = begin_json(call->answer);

	api_describe_info(&json, api->machine.options, look_at_slots(api));
}

static void get_counters(struct api *api, const struct call *call)
{
	struct json json = begin_json(call->answer);

	api_describe_counters(&json, look_at_slots(api));
}

static void get_power(struct api *api, const struct call *call)
{
	struct json json = begin_json(call->answer);

	api_describe_power(&json, look_at_slots(api));
}

static void get_metrics(struct api *api, const struct call *call)
{
	call->answer->status = 200;
	call->answer->type = METRICS_TYPE;
	metrics_write(&call->answer->body, look_at_slots(api));
}

static size_t read_events(struct http_stream *stream, char *ret_bytes, size_t size)
{
	struct event_cursor cursor = {stream->position[0], stream->position[1]};
	size_t len = events_read(&cursor, ret_bytes, size);

	stream->position[0] = cursor.at;
	stream->position[1] = cursor.line;
	return len;
}

/* The lines that are kept (recent=1), or those to come, or both (recent=1&follow=1). */
static void get_events(struct api *api, const struct call *call)
{
	bool recent = http_query_has(call->request, "recent", "1");
	struct http_answer *answer = call->answer;
	struct event_cursor cursor = recent ? events_oldest() : events_newest();
	char lines[4 * EVENT_LINE_MAX];
	size_t len;

	(void)api;
	answer->status = 200;
	answer->type = TYPE_LINES;
	if (!recent || http_query_has(call->request, "follow", "1")) {
		answer->stream = (struct http_stream){read_events, {cursor.at, cursor.line}};
		return;
	}
	while ((len = events_read(&cursor, lines, sizeof(lines))))
		text_add_bytes(&answer->body, lines, len);
}

static void put_power_button(struct api *api, const struct call *call)
{
	call->answer->status = 204;
	api->machine.power_button(api->machine.opaque);
}

static void put_wake(struct api *api, const struct call *call)
{
	if (api->machine.wake(api->machine.opaque))
		call->answer->status = 204;
	else
		refuse(call->answer, 409, "the guest is not in S3; one that idles in s2idle is "
					  "woken by its power button");
}

static void put_reboot(struct api *api, const struct call *call)
{
	call->answer->status = 204;
	api->machine.reboot(api->machine.opaque);
}

static void put_shutdown(struct api *api, const struct call *call)
{
	call->answer->status = 204;
	api->machine.shutdown(api->machine.opaque);
}

/* --- devices that come and go --- */

static void refuse_device(struct http_answer *answer, int error, const char *why)
{
	static const struct {
		int error;
		unsigned int status;
	} statuses[] = {
		{-EINVAL, 400}, {-ENOENT, 404}, {-EEXIST, 409}, {-EBUSY, 409}, {-ENOSPC, 409},
	};
	unsigned int status = 500;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].error == error)
			status = statuses[i].status;
	refuse(answer, status, why);
}

static void on_added(void *opaque, int error, const char *why, const char *id, const char *bdf)
{
	struct adding *adding = opaque;
	struct http_server *server = adding->api->server;
	struct http_answer answer = {.status = 0};
	struct json json;

	adding->api = NULL;
	if (error) {
		refuse_device(&answer, error, why);
	} else {
		json = begin_json(&answer);
		json_begin_object(&json, NULL);
		json_string(&json, "id", id);
		json_string(&json, "bdf", bdf);
		json_end_object(&json);
	}
	http_server_answer(server, adding->exchange, &answer);
}

static struct adding *find_adding(struct api *api)
{
	for (size_t i = 0; i < ARRAY_SIZE(api->adding); i++)
		if (!api->adding[i].api)
			return &api->adding[i];
	return NULL;
}

/* Answered by on_added(), seconds later perhaps. */
static void put_add_device(struct api *api, const struct call *call)
{
	struct adding *adding = find_adding(api);
	char id[API_ID_SIZE], why[WHY_SIZE] = "devices are being added in all places";
	struct vfio_slot_config config;
	int error = -EBUSY;

	if (adding)
		error = api_body_add(call->body, call->request->body_len, &config, id, why,
				     sizeof(why));
	if (!error) {
		*adding = (struct adding){api, call->exchange};
		error = api->machine.add_device(api->machine.opaque, &config, id[0] ? id : NULL,
						on_added, adding, why, sizeof(why));
		if (error)
			adding->api = NULL;
	}
	if (error)
		refuse_device(call->answer, error, why);
}

static void put_remove_device(struct api *api, const struct call *call)
{
	char id[API_ID_SIZE], why[WHY_SIZE];
	int error = api_body_remove(call->body, call->request->body_len, id, why, sizeof(why));

	if (!error)
		error = api->machine.remove_device(api->machine.opaque, id, why, sizeof(why));
	if (error)
		refuse_device(call->answer, error, why);
	else
		call->answer->status = 204;
}

static const struct endpoint {
	enum http_method method; /* GET is HEAD, too */
	const char *path;
	void (*answer)(struct api *api, const struct call *call);
} endpoints[] = {
	{HTTP_GET, "/api/v1/vmm.ping", get_ping},
	{HTTP_PUT, "/api/v1/vmm.shutdown", put_shutdown},
	{HTTP_GET, "/api/v1/vm.info", get_info},
	{HTTP_GET, "/api/v1/vm.counters", get_counters},
	{HTTP_PUT, "/api/v1/vm.power-button", put_power_button},
	{HTTP_PUT, "/api/v1/vm.wake", put_wake},
	{HTTP_PUT, "/api/v1/vm.reboot", put_reboot},
	{HTTP_PUT, "/api/v1/vm.shutdown", put_shutdown},
	{HTTP_PUT, "/api/v1/vm.add-device", put_add_device},
	{HTTP_PUT, "/api/v1/vm.remove-device", put_remove_device},
	{HTTP_GET, "/api/v1/power", get_power},
	{HTTP_GET, "/api/v1/events", get_events},
	{HTTP_GET, "/metrics", get_metrics},
};

/* --- requests --- */

static const struct endpoint *find_endpoint(const struct http_request *request)
{
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++)
		if (strlen(endpoints[i].path) == request->path_len &&
		    !memcmp(endpoints[i].path, request->path, request->path_len))
			return &endpoints[i];
	return NULL;
}

static void on_request(void *opaque, uint64_t exchange, const struct http_request *request,
		       const char *body, struct http_answer *ret_answer)
{
	const struct endpoint *endpoint = find_endpoint(request);
	enum http_method method = request->method == HTTP_HEAD ? HTTP_GET : request->method;

	if (!endpoint) {
		refuse(ret_answer, 404, "there is no such path; see docs/api.md");
	} else if (endpoint->method != method) {
		snprintf(ret_answer->allow, sizeof(ret_answer->allow), "%s",
			 endpoint->method == HTTP_GET ? "GET, HEAD" : "PUT");
		refuse(ret_answer, 405, endpoint->method == HTTP_GET ? "use GET for this path"
								     : "use PUT for this path");
	} else {
		endpoint->answer(opaque, &(struct call){request, body, exchange, ret_answer});
	}
}

static const char *sentence_of_503(const struct api *api)
{
	return api->stopped ? "the machine ends; this is not done any more"
			    : "all connections are in use; try again";
}

static void on_refusal(void *opaque, unsigned int status, struct http_answer *ret_answer)
{
	static const struct {
		unsigned int status;
		const char *sentence;
	} sentences[] = {
		{400, "this is no HTTP/1.1 request (RFC 9112)"},
		{408, "the request was not complete within 5 s"},
		{411, "bodies need Content-Length; chunked ones are not taken"},
		{413, "the body has more than 64 KiB"},
		{414, "the request line has more than 8 KiB"},
		{417, "nothing but 100-continue can be expected"},
		{431, "the request line and fields have more than 8 KiB"},
		{501, "this method or transfer coding is not known"},
		{505, "only HTTP/1.1 and HTTP/1.0 are spoken here"},
	};
	const char *sentence = status == 503 ? sentence_of_503(opaque) : "refused";

	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++)
		if (sentences[i].status == status)
			sentence = sentences[i].sentence;
	refuse(ret_answer, status, sentence);
}

/* --- life --- */

static void on_events(void *opaque, int fd)
{
	struct api *api = opaque;

	eventfd_drain(fd);
	http_server_feed(api->server);
}

/* The socket last but one: who connects finds everything in place. */
static int start(struct api *api, const char *path, char *ret_why, size_t why_size)
{
	const struct http_service service = {
		.opaque = api, .serve = on_request, .refuse = on_refusal};
	int error = events_keep();

	if (!error)
		error = unix_socket_listen(path, &api->socket, ret_why, why_size);
	if (error)
		return error;
	api->events_fd = events_fd();
	api->server = http_server_create(api->loop, api->socket.fd, &service);
	if (!api->server)
		return -ENOMEM;
	return loop_add(api->loop, api->events_fd, on_events, api);
}

static int fail(struct api *api, int error)
{
	api_destroy(api);
	return error;
}

int api_create(struct loop *loop, const char *path, const struct api_machine *machine,
	       struct api **ret_api, char *ret_why, size_t why_size)
{
	struct api *api = calloc(1, sizeof(*api));
	int error;

	snprintf(ret_why, why_size, "--api %s: out of memory or file descriptors", path);
	if (!api)
		return -ENOMEM;
	*api = (struct api){.loop = loop, .machine = *machine, .socket.fd = -1, .events_fd = -1};
	api->slots.slot = calloc(SLOT_MAX, sizeof(*api->slots.slot));
	if (!api->slots.slot)
		return fail(api, -ENOMEM);
	error = start(api, path, ret_why, why_size);
	if (error)
		return fail(api, error);
	*ret_api = api;
	return 0;
}

void api_stop(struct api *api)
{
	if (!api)
		return;
	api->stopped = true;
	http_server_stop(api->server);
	unix_socket_close(&api->socket);
}

void api_destroy(struct api *api)
{
	if (!api)
		return;
	http_server_destroy(api->server);
	unix_socket_close(&api->socket);
	loop_remove(api->loop, api->events_fd);
	events_drop();
	free(api->slots.slot);
	free(api);
}
