#include "guest-tests/bare/host/api.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TEXT_MAX 4096

/* Replaces the one "$SLOT". */
static void expand(char *ret_text, const char *words, const char *slot)
{
	const char *at = strstr(words, "$SLOT");

	if (at)
		snprintf(ret_text, TEXT_MAX, "%.*s%s%s", (int)(at - words), words, slot,
			 at + strlen("$SLOT"));
	else
		snprintf(ret_text, TEXT_MAX, "%s", words);
	ret_text[strcspn(ret_text, "\n")] = '\0';
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The answer up to the end of the connection. False: there is none. */
static bool exchange(int fd, const char *text, char answer[TEXT_MAX])
{
	const char *body = strchr(text, '{');
	size_t head = body ? (size_t)(body - text) : strlen(text), len = 0;
	char request[2 * TEXT_MAX];
	ssize_t n;

	while (head && text[head - 1] == ' ')
		head--;
	body = body ? body : "";
	snprintf(request, sizeof(request), "%.*s HTTP/1.1\r\nHost: localhost\r\n"
		 "Connection: close\r\nContent-Length: %zu\r\n\r\n%s", (int)head, text,
		 strlen(body), body);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		return false;
	while (len < TEXT_MAX - 1 && (n = read(fd, answer + len, TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	return len;
}

size_t api_ask(const char *socket_path, const char *slot, const char *words, char *ret_answer,
	       size_t size)
{
	char text[TEXT_MAX], answer[TEXT_MAX] = "";
	int fd = connect_to(socket_path), status = 0;
	const char *body;

	expand(text, words, slot);
	if (fd < 0 || !exchange(fd, text, answer))
		snprintf(answer, sizeof(answer), "%s: %s", socket_path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (sscanf(answer, "HTTP/1.1 %d ", &status) != 1)
		return (size_t)snprintf(ret_answer, size, "0 %s\n", answer);
	body = strstr(answer, "\r\n\r\n");
	body = body ? body + 4 : "";
	return (size_t)snprintf(ret_answer, size, "%d %.*s\n", status, (int)strcspn(body, "\r\n"),
				body);
}

bool api_await_event(const char *socket_path, const char *name, unsigned int count)
{
	static const char request[] = "GET /api/v1/events?recent=1&follow=1 HTTP/1.1\r\n"
				      "Host: localhost\r\n\r\n";
	int fd = connect_to(socket_path);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	char line[TEXT_MAX], wanted[64];
	bool found = false;

	snprintf(wanted, sizeof(wanted), "\"event\":\"%s\"", name);
	if (stream && send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
		while (!found && fgets(line, sizeof(line), stream))
			found = strstr(line, wanted) && !--count;
	if (stream)
		fclose(stream);
	return found;
}
