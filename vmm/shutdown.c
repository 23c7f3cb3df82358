#include "vmm/shutdown.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/events.h"
#include "vmm/loop.h"

struct shutdown {
	struct loop *loop;
	struct shutdown_listener listener;
	unsigned int timeout_ms;
	int timer_fd;
	bool asked;
	uint64_t asked_ns;
	bool presses_again;  /* until the deadline */
	unsigned int sleeps; /* since it was asked */
	unsigned int left_ms; /* to it, when the timer that runs is over */
};

/* The time for the next press, or the deadline. */
static void arm(struct shutdown *shutdown)
{
	unsigned int ms = shutdown->left_ms;
	struct itimerspec when;

	if (ms > SHUTDOWN_PRESS_AGAIN_MS)
		ms = SHUTDOWN_PRESS_AGAIN_MS;
	shutdown->left_ms -= ms;
	when = (struct itimerspec){
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};
	timerfd_settime(shutdown->timer_fd, 0, &when, NULL);
}

static void press(struct shutdown *shutdown)
{
	shutdown->presses_again |= shutdown->listener.press_button(shutdown->listener.opaque);
}

static void on_timer(void *opaque, int fd)
{
	struct shutdown *shutdown = opaque;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return;
	if (shutdown->left_ms) {
		if (shutdown->presses_again)
			press(shutdown);
		arm(shutdown);
		return;
	}
	log_warn("the guest did not power off within %u s after its power button was pressed, "
		 "ending it", shutdown->timeout_ms / 1000);
	shutdown->listener.end(shutdown->listener.opaque, "shutdown-timeout");
}

struct shutdown *shutdown_create(struct loop *loop, unsigned int timeout_ms,
				 const struct shutdown_listener *listener)
{
	struct shutdown *shutdown = calloc(1, sizeof(*shutdown));

	if (!shutdown)
		return NULL;
	*shutdown = (struct shutdown){
		.loop = loop, .listener = *listener, .timeout_ms = timeout_ms};
	shutdown->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (shutdown->timer_fd < 0 ||
	    loop_add(loop, shutdown->timer_fd, on_timer, shutdown)) {
		shutdown_destroy(shutdown);
		return NULL;
	}
	return shutdown;
}

void shutdown_destroy(struct shutdown *shutdown)
{
	if (!shutdown)
		return;
	if (shutdown->timer_fd >= 0) {
		loop_remove(shutdown->loop, shutdown->timer_fd);
		close(shutdown->timer_fd);
	}
	free(shutdown);
}

static void ask(struct shutdown *shutdown, int signal, uint64_t now_ns)
{
	shutdown->asked = true;
	shutdown->asked_ns = now_ns;
	shutdown->left_ms = shutdown->timeout_ms;
	log_info("%s: the guest's power button is pressed; again to end at once",
		 strsignal(signal));
	events_emit(&(struct event){.event = "shutdown", .cause = strsignal(signal)});
	press(shutdown);
	arm(shutdown);
}

/* What is no impatience: a session that is logged out gets SIGTERM and SIGHUP in one breath
 * (systemd.kill(5), SendSIGHUP=); a program that timeout(1) runs gets SIGTERM for itself and for
 * its process group. */
static bool is_same_request(const struct shutdown *shutdown, int signal, uint64_t now_ns)
{
	if (!shutdown->asked)
		return false;
	return signal == SIGHUP || (signal == SIGTERM && now_ns - shutdown->asked_ns <
							 SHUTDOWN_ONE_REQUEST_NS);
}

void shutdown_signal(struct shutdown *shutdown, int signal, uint64_t now_ns)
{
	bool may_wait = (signal == SIGTERM || signal == SIGHUP) && shutdown->timeout_ms;

	if (is_same_request(shutdown, signal, now_ns))
		return;
	if (may_wait && !shutdown->asked)
		ask(shutdown, signal, now_ns);
	else
		shutdown->listener.end(shutdown->listener.opaque, strsignal(signal));
}

void shutdown_guest_sleeps(struct shutdown *shutdown)
{
	if (!shutdown->asked)
		return;
	shutdown->presses_again = ++shutdown->sleeps < SHUTDOWN_SLEEPS_MAX;
	if (shutdown->sleeps == SHUTDOWN_SLEEPS_MAX)
		log_warn("the guest sleeps when its power button is pressed, and is left asleep: "
			 "until --shutdown-timeout is over it can be woken and powered off from "
			 "inside, then what its memory holds is lost");
}

bool shutdown_is_asked(const struct shutdown *shutdown)
{
	return shutdown->asked;
}
