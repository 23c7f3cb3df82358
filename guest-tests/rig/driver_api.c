/*
 * minivmm's control socket: one request, whose answer's body is the step's answer. A scenario's VMs
 * have it with --api /run/vm.sock.
 */
#include "guest-tests/rig/driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "/run/vm.sock"
#define API_MS 20000U

struct http_reply {
	char text[TEXT_MAX];
	size_t len;
};

static int connect_api(void)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The server closes after its answer. */
static int is_answered(struct rig *rig, void *arg)
{
	struct http_reply *reply = arg;
	size_t room;
	ssize_t got;

	while ((room = sizeof(reply->text) - 1 - reply->len)) {
		got = read(rig->api, reply->text + reply->len, room);
		if (got < 0)
			return errno == EAGAIN ? 0 : fail("the control socket: %m");
		if (!got)
			return 1;
		reply->len += (size_t)got;
	}
	return fail("an answer of more than %u bytes", TEXT_MAX);
}

static int take_answer(struct rig *rig, const struct http_reply *reply)
{
	const char *body = strstr(reply->text, "\r\n\r\n");
	int status = 0;

	if (!body || sscanf(reply->text, "HTTP/1.1 %d ", &status) != 1)
		return fail("the control socket answers '%s'", reply->text);
	snprintf(rig->answer, sizeof(rig->answer), "%s", body + 4);
	say("api: %d %s", status, rig->answer);
	return status / 100 == 2 ? 0 : fail("status %d: %s", status, rig->answer);
}

/* api METHOD PATH [BODY] */
int do_api(struct rig *rig, const struct words *words, const char *rest)
{
	static struct http_reply reply;
	char request[2 * LINE_MAX_BYTES];
	const char *body = strstr(rest, words->word[2]) + strlen(words->word[2]);
	int len, result;

	body += strspn(body, " ");
	len = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: rig\r\n"
		       "Connection: close\r\nContent-Length: %zu\r\n\r\n%s", words->word[1],
		       words->word[2], strlen(body), body);
	rig->api = connect_api();
	if (rig->api < 0)
		return fail("host: cannot connect to %s: %m", SOCKET);
	memset(&reply, 0, sizeof(reply));
	result = write(rig->api, request, (size_t)len) == len
		? rig_wait(rig, is_answered, &reply, API_MS) : fail("host: %s: %m", SOCKET);
	close(rig->api);
	rig->api = -1;
	if (result == WAIT_TIMEOUT)
		return fail("the control socket does not answer");
	return result ? result : take_answer(rig, &reply);
}
