/*
 * The control socket: one command a line, each answered with one line, "ok ..." or "error ...".
 * README.md describes the commands; a script is the same, without anybody who reads the answers.
 */
#include "guest-tests/model-gpu/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 8U
#define LINE_SIZE 512U
#define ANSWER_SIZE 4096U

bool say(struct request *request, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(request->answer, request->answer_size, format, args);
	va_end(args);
	return false;
}

bool fail(struct request *request, const char *why)
{
	return say(request, "error %s", why);
}

bool parse_number(const char *word, uint64_t max, uint64_t *ret_value)
{
	char *end;
	unsigned long long value;

	if (!word || *word < '0' || *word > '9')
		return false;
	errno = 0;
	value = strtoull(word, &end, 0);
	if (errno || *end || value > max)
		return false;
	*ret_value = value;
	return true;
}

/* --- commands for all --- */

static bool cmd_random(struct request *request)
{
	uint64_t seed, percent;

	if (!parse_number(request->word[0], UINT64_MAX, &seed) ||
	    !parse_number(request->word[1], 100, &percent))
		return fail(request, "random SEED PERCENT");
	/* The generator must not start at 0; a small seed shall look no less random. */
	request->slot->random_state = (seed + 1) * 0x9e3779b97f4a7c15ULL | 1;
	request->slot->random_percent = (unsigned int)percent;
	return true;
}

static bool cmd_quit(struct request *request)
{
	(void)request;
	loop_stop();
	return true;
}

static size_t add_status(const struct function *fn, char *at, size_t size)
{
	const struct power *power = &fn->power;
	const uint64_t *wakes = power->count.wakes;

	return (size_t)snprintf(
		at, size,
		"{\"function\":%u,\"kind\":\"%s\",\"connected\":%s,\"engaged\":%s,\"wakeup\":%s,"
		"\"suspended\":%s,\"entries\":%ju,\"refusals\":%ju,\"exits\":%ju,\"wakes\":%ju,"
		"\"sibling_wakes\":%ju,\"touches\":%ju,\"signals\":%ju,\"resets\":%ju,"
		"\"boot_count\":%u,\"ram\":%ju}",
		fn->number, fn->kind->name, function_connected(fn) ? "true" : "false",
		power->engaged ? "true" : "false", power->wakeup ? "true" : "false",
		power->suspended ? "true" : "false", (uintmax_t)power->count.entries,
		(uintmax_t)power->count.refusals, (uintmax_t)power->count.exits,
		(uintmax_t)wakes[WAKE_DEVICE], (uintmax_t)wakes[WAKE_SIBLING],
		(uintmax_t)wakes[WAKE_TOUCH], (uintmax_t)power->count.signals,
		(uintmax_t)power->count.resets, fn->boot_count, (uintmax_t)dma_mapped(fn));
}

static bool cmd_status(struct request *request)
{
	const struct slot *slot = request->slot;
	char *at = request->answer;
	size_t size = request->answer_size, len;

	len = (size_t)snprintf(at, size, "ok {\"cold\":%s,\"vram_touched\":%ju,\"functions\":[",
			       slot->cold ? "true" : "false", (uintmax_t)slot->vram_touched);
	for (unsigned int i = 0; i < slot->count; i++) {
		if (i)
			at[len++] = ',';
		len += add_status(&slot->fn[i], at + len, size - len);
	}
	snprintf(at + len, size - len, "]}");
	return false;
}

/* --- all of them --- */

static const struct {
	const char *name;
	bool (*run)(struct request *request); /* false: it has set the answer */
} slot_commands[] = {
	{"random", cmd_random},
	{"plan", plan_command},
	{"status", cmd_status},
	{"quit", cmd_quit},
};

/* "0", "1", "2" or "all": the range of functions. */
static bool parse_functions(const struct slot *slot, const char *word, unsigned int *ret_first,
			    unsigned int *ret_end)
{
	uint64_t number;

	if (word && !strcmp(word, "all")) {
		*ret_first = 0;
		*ret_end = slot->count;
		return true;
	}
	if (!parse_number(word, slot->count - 1, &number))
		return false;
	*ret_first = (unsigned int)number;
	*ret_end = *ret_first + 1;
	return true;
}

static void for_functions(struct request *request, const char *functions,
			  const struct function_command *command)
{
	unsigned int first, end;

	if (!parse_functions(request->slot, functions, &first, &end)) {
		fail(request, "no such function");
		return;
	}
	for (unsigned int i = first; i < end; i++) {
		request->fn = &request->slot->fn[i];
		if (!command->run(request))
			return;
	}
	if (!request->done && command->no_effect)
		fail(request, command->no_effect);
	else
		say(request, "ok %u", request->done);
}

#define BLANK " \t\r\n"

static void take_words(struct request *request, char **save)
{
	unsigned int words = 0;

	while (words < WORDS_MAX - 1 && (request->word[words] = strtok_r(NULL, BLANK, save)))
		words++;
}

void control_command(struct slot *slot, char *line, char *answer, size_t size)
{
	struct request request = {.slot = slot, .answer = answer, .answer_size = size};
	char *save, *name = strtok_r(line, BLANK, &save);

	fail(&request, "no such command");
	if (!name)
		return;
	for (const struct function_command *command = function_commands; command->name; command++) {
		if (strcmp(command->name, name))
			continue;
		name = strtok_r(NULL, BLANK, &save);
		take_words(&request, &save);
		for_functions(&request, name, command);
		return;
	}
	for (size_t i = 0; i < sizeof(slot_commands) / sizeof(slot_commands[0]); i++) {
		if (strcmp(slot_commands[i].name, name))
			continue;
		take_words(&request, &save);
		if (slot_commands[i].run(&request))
			say(&request, "ok");
		return;
	}
}

/* --- the socket --- */

struct client {
	struct watch watch;
	struct slot *slot;
	char line[LINE_SIZE];
	size_t len;
};

static struct client clients[CLIENTS_MAX];
static struct watch listener;
static struct slot *listener_slot;

static void client_close(struct client *client)
{
	watch_remove(&client->watch);
	close(client->watch.fd);
	client->watch.fd = -1;
	client->slot = NULL;
}

/* False: the client is gone. A client that does not read its answers is sent away. */
static bool client_command(struct client *client, char *line)
{
	char answer[ANSWER_SIZE];
	size_t len;

	control_command(client->slot, line, answer, sizeof(answer) - 1);
	len = strlen(answer);
	answer[len++] = '\n';
	return send(client->watch.fd, answer, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static bool client_lines(struct client *client)
{
	char *end;

	while ((end = memchr(client->line, '\n', client->len))) {
		size_t used = (size_t)(end - client->line) + 1;

		*end = 0;
		if (!client_command(client, client->line))
			return false;
		client->len -= used;
		memmove(client->line, client->line + used, client->len);
	}
	return client->len < sizeof(client->line);
}

static void client_ready(struct watch *watch, uint32_t events)
{
	struct client *client = container_of(watch, struct client, watch);
	ssize_t n = recv(watch->fd, client->line + client->len, sizeof(client->line) - client->len,
			 MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		client->len += (size_t)n;
	if (n <= 0 || !client_lines(client))
		client_close(client);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &clients[i];

		if (client->slot)
			continue;
		*client = (struct client){.watch = {fd, client_ready}};
		if (watch_add(&client->watch, EPOLLIN))
			break;
		client->slot = listener_slot;
		return;
	}
	close(fd);
}

int control_listen(struct slot *slot, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	listener_slot = slot;
	listener.ready = listener_ready;
	listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener.fd < 0)
		return -errno;
	unlink(path);
	if (bind(listener.fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener.fd, 4))
		return -errno;
	return watch_add(&listener, EPOLLIN);
}
