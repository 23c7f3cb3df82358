/* The watchdog as a distribution's daemon uses it. Nobody closes it: that might stop it. */
#include "guest-tests/rig/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#define POLL_NS 20000000L

static int watchdog = -1;

static int answer_left(char *answer)
{
	int left;

	if (ioctl(watchdog, WDIOC_GETTIMELEFT, &left) < 0)
		return -errno;
	snprintf(answer, ANSWER_MAX, "%d", left);
	return 0;
}

/* watchdog-open SECONDS: starts it; the answer is whose it is and why the guest was booted. */
int do_watchdog_open(char **arg, char *answer)
{
	struct watchdog_info info = {.options = 0};
	int seconds = atoi(arg[0]), status;

	if (watchdog < 0)
		watchdog = open("/dev/watchdog", O_WRONLY | O_CLOEXEC);
	if (watchdog < 0 || ioctl(watchdog, WDIOC_GETSUPPORT, &info) < 0 ||
	    ioctl(watchdog, WDIOC_GETBOOTSTATUS, &status) < 0 ||
	    ioctl(watchdog, WDIOC_SETTIMEOUT, &seconds) < 0)
		return -errno;
	snprintf(answer, ANSWER_MAX, "%s %s %d", (const char *)info.identity,
		 status & WDIOF_CARDRESET ? "watchdog-reset" : "other-boot", seconds);
	return 0;
}

/* watchdog-left SECONDS TIME: waits until no more are left; the answer is how many. */
int do_watchdog_left(char **arg, char *answer)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	long long deadline = agent_ms() + agent_timeout_ms(arg[1]);
	int error;

	if (watchdog < 0)
		return -EBADF;
	while (!(error = answer_left(answer)) && atoi(answer) > atoi(arg[0])) {
		if (agent_ms() > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return error;
}

/* watchdog-feed: the answer is how many seconds are left after that. */
int do_watchdog_feed(char **arg, char *answer)
{
	(void)arg;
	if (watchdog < 0)
		return -EBADF;
	return ioctl(watchdog, WDIOC_KEEPALIVE, NULL) < 0 ? -errno : answer_left(answer);
}
