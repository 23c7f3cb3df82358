/* The deadline of the whole scenario, kept by a process of its own: whatever the driver waits for,
 * somebody says what it is. A host that does not get to say even this stands still (see run). */
#include "guest-tests/rig/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PARAMETER "rig.timeout="

static void keep(time_t seconds)
{
	const struct timespec all = {.tv_sec = seconds};

	prctl(PR_SET_NAME, "deadline");
	clock_nanosleep(CLOCK_MONOTONIC, 0, &all, NULL);
	say_task(getppid(), "1");
	printf("RIG-RESULT FAIL: no result after %ld s\n", (long)seconds);
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	_exit(1);
}

void deadline_start(void)
{
	char cmdline[1024];
	const char *parameter;

	if (host_read("/proc/cmdline", cmdline, sizeof(cmdline)) < 0)
		return;
	parameter = strstr(cmdline, PARAMETER);
	if (parameter && fork() == 0)
		keep(strtol(parameter + strlen(PARAMETER), NULL, 10));
}
