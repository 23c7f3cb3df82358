#include "vmm/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/loop.h"

struct notify {
	struct loop *loop;
	int fd;       /* connected to the manager */
	int timer_fd; /* -1: there is no watchdog */
};

/* A manager that does not read loses a message; the machine does not wait for it. */
static void say(const struct notify *notify, const char *text)
{
	if (send(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_guest("service manager: %s, ignoring", strerror(errno));
}

/* A path, or @NAME of the abstract namespace, where NAME is not ended by a NUL: unix(7). */
static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd;

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	len += offsetof(struct sockaddr_un, sun_path) + (name[0] == '/');
	if (!connect(fd, (const struct sockaddr *)&address, (socklen_t)len))
		return fd;
	len = (size_t)errno;
	close(fd);
	return -(int)len;
}

static bool read_number(const char *name, uint64_t *ret_number)
{
	const char *text = getenv(name);
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return !*end && !errno;
}

/* Microseconds of the watchdog, 0: none, or not ours. */
static uint64_t watchdog_us(void)
{
	uint64_t us, pid;

	if (getenv("WATCHDOG_PID") &&
	    (!read_number("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
		return 0;
	return read_number("WATCHDOG_USEC", &us) ? us : 0;
}

static void on_timer(void *opaque, int fd)
{
	if (eventfd_drain(fd))
		say(opaque, "WATCHDOG=1");
}

static void start_watchdog(struct notify *notify, uint64_t us)
{
	uint64_t half = us / 2;
	struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(half / 1000000),
			     .tv_nsec = (long)(half % 1000000 * 1000)},
	};

	if (!half)
		return;
	when.it_interval = when.it_value;
	notify->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (notify->timer_fd < 0 || timerfd_settime(notify->timer_fd, 0, &when, NULL) ||
	    loop_add(notify->loop, notify->timer_fd, on_timer, notify))
		log_warn("service manager: its watchdog cannot be served; it may restart the "
			 "program");
}

struct notify *notify_create(struct loop *loop)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct notify *notify = NULL;
	int fd = name ? connect_to(name) : -1;

	if (name && fd < 0)
		log_warn("NOTIFY_SOCKET=%s: %s, ignoring", name, strerror(-fd));
	if (fd >= 0)
		notify = malloc(sizeof(*notify));
	if (notify) {
		*notify = (struct notify){.loop = loop, .fd = fd, .timer_fd = -1};
		start_watchdog(notify, watchdog_us());
	} else if (fd >= 0) {
		close(fd);
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return notify;
}

void notify_destroy(struct notify *notify)
{
	if (!notify)
		return;
	loop_remove(notify->loop, notify->timer_fd);
	if (notify->timer_fd >= 0)
		close(notify->timer_fd);
	close(notify->fd);
	free(notify);
}

void notify_ready(struct notify *notify, const char *status)
{
	char text[256];

	if (!notify)
		return;
	snprintf(text, sizeof(text), "READY=1\nSTATUS=%.200s", status);
	say(notify, text);
}

void notify_stopping(struct notify *notify)
{
	if (notify)
		say(notify, "STOPPING=1");
}
