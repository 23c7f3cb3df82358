/* The guest kernel's messages, from /dev/kmsg: "priority,number,time,flags;text\n key=value\n" */
#include "guest-tests/rig/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The next message that contains `text`; false when there is none yet. */
static bool next_message(int fd, const char *text, char *record, size_t size)
{
	ssize_t len;

	while ((len = read(fd, record, size - 1)) > 0 || (len < 0 && errno == EPIPE)) {
		char *message;

		record[len > 0 ? len : 0] = '\0'; /* EPIPE: older ones were overwritten */
		message = strchr(record, ';');
		if (!message || !strstr(message, text))
			continue;
		message[strcspn(message, "\n")] = '\0';
		memmove(record, message + 1, strlen(message));
		return true;
	}
	return false;
}

static void join(char **arg, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (; *arg && len < size; arg++)
		len += (size_t)snprintf(text + len, size - len, "%s%s", len ? " " : "", *arg);
}

/* klog TEXT: how many messages contain TEXT; without TEXT all. They are printed, too. */
int do_klog(char **arg, char *answer)
{
	char record[2048], text[256];
	unsigned long count = 0;
	int fd = open_log();

	if (fd < 0)
		return fd;
	join(arg, text, sizeof(text));
	for (; next_message(fd, text, record, sizeof(record)); count++)
		dprintf(agent_tty(), "klog: %s\n", record);
	close(fd);
	snprintf(answer, ANSWER_MAX, "%lu", count);
	return 0;
}

/* klog-wait COUNT 30s TEXT: until that many messages contain TEXT; the answer is the last one. */
int do_klog_wait(char **arg, char *answer)
{
	unsigned long wanted = strtoul(arg[0], NULL, 10), count = 0;
	struct pollfd fd = {.fd = open_log(), .events = POLLIN};
	long long deadline = agent_ms() + agent_timeout_ms(arg[1]), left = 0;
	char record[2048], text[256];

	if (fd.fd < 0)
		return fd.fd;
	join(arg + 2, text, sizeof(text));
	while (count < wanted && left >= 0) {
		for (; count < wanted && next_message(fd.fd, text, record, sizeof(record)); count++)
			snprintf(answer, ANSWER_MAX, "%s", record);
		left = deadline - agent_ms();
		if (count < wanted && left >= 0)
			poll(&fd, 1, (int)left + 1);
	}
	close(fd.fd);
	return count < wanted ? -ETIMEDOUT : 0;
}
