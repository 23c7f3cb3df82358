/*
 * QEMU's monitor, at the other end of the host's second serial port: what happens to the machine
 * itself, as a cable that is pulled or an error on the bus, comes from there. It speaks QMP.
 */
#include "guest-tests/rig/driver.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define MONITOR "/dev/ttyS1"
#define MONITOR_MS 20000U
/* Makes the other side's parser forget what it has. QEMU Machine Protocol Specification, 2.6 QGA
 * Synchronization. */
#define FORGET "\377"

struct reply {
	char text[TEXT_MAX];
	size_t len;
	char id[16];
};

static void receive(int fd, struct reply *reply)
{
	ssize_t got = 1;

	while (got > 0 && reply->len < sizeof(reply->text) - 1) {
		got = read(fd, reply->text + reply->len, sizeof(reply->text) - 1 - reply->len);
		if (got > 0)
			reply->len += (size_t)got;
	}
	reply->text[reply->len] = '\0';
}

static int take_answer(struct rig *rig, const char *line)
{
	if (strstr(line, "\"error\""))
		return fail("QEMU's monitor says %s", line);
	if (!event_field(line, "return", rig->answer, sizeof(rig->answer)))
		rig->answer[0] = '\0';
	return 1;
}

/* A line for each answer, with the id of the question; other lines are events. */
static int replied(struct rig *rig, void *arg)
{
	struct reply *reply = arg;
	char *line = reply->text, *end, id[sizeof(reply->id)];

	receive(rig->monitor, reply);
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (event_field(line, "id", id, sizeof(id)) && !strcmp(id, reply->id))
			return take_answer(rig, line);
		*end = '\n';
	}
	return 0;
}

static int ask(struct rig *rig, const char *command, const char *arguments)
{
	static struct reply reply;
	static unsigned int id;
	char line[LINE_MAX_BYTES];
	int len, result;

	snprintf(reply.id, sizeof(reply.id), "%u", ++id);
	reply.len = 0;
	len = snprintf(line, sizeof(line), "{\"execute\": \"%s\"%s, \"id\": %u}\n", command,
		       arguments, id);
	if (len >= (int)sizeof(line) || write(rig->monitor, line, (size_t)len) != len)
		return fail("host: cannot write to %s: %m", MONITOR);
	rig->asking = true;
	result = rig_wait(rig, replied, &reply, MONITOR_MS);
	rig->asking = false;
	if (result == WAIT_TIMEOUT)
		return fail("QEMU's monitor does not answer, it said '%s'", reply.text);
	return result;
}

int monitor_ask(struct rig *rig, const char *text)
{
	char arguments[LINE_MAX_BYTES / 2];

	if (strpbrk(text, "\"\\"))
		return fail("no quotes, please");
	snprintf(arguments, sizeof(arguments), ", \"arguments\": {\"command-line\": \"%s\"}",
		 text);
	return ask(rig, "human-monitor-command", arguments);
}

int monitor_setup(struct rig *rig)
{
	struct termios raw;

	rig->monitor = open(MONITOR, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (rig->monitor < 0 || tcgetattr(rig->monitor, &raw) < 0)
		return fail("host: %s: %m", MONITOR);
	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	tcsetattr(rig->monitor, TCSAFLUSH, &raw);
	/* Its greeting came back to it from a terminal that was not raw yet. */
	if (write(rig->monitor, FORGET, sizeof(FORGET) - 1) < 0)
		return fail("host: cannot write to %s: %m", MONITOR);
	return ask(rig, "qmp_capabilities", "");
}

int do_monitor(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	timeline_note("monitor: %s", rest);
	if (monitor_ask(rig, rest) < 0)
		return -1;
	say("monitor: %s", rig->answer);
	return 0;
}
