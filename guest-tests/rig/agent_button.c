/* The power button as a distribution's daemon sees it: a key of an input device. */
#include "guest-tests/rig/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEVICES_MAX 8

static int open_button(void)
{
	for (unsigned int i = 0; i < DEVICES_MAX; i++) {
		char path[32], name[64] = "";
		int fd;

		snprintf(path, sizeof(path), "/dev/input/event%u", i);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			continue;
		if (ioctl(fd, EVIOCGNAME(sizeof(name)), name) > 0 && !strcmp(name, "Power Button"))
			return fd;
		close(fd);
	}
	return -ENODEV;
}

static int button = -1;

/* button-watch: presses count from here on. */
int do_button_watch(char **arg, char *answer)
{
	(void)arg;
	(void)answer;
	button = open_button();
	return button < 0 ? button : 0;
}

/* button 30s: until it is pressed. */
int do_button(char **arg, char *answer)
{
	struct pollfd fd = {.fd = button, .events = POLLIN};
	long long deadline = agent_ms() + agent_timeout_ms(arg[0]), left;
	bool pressed = false;

	if (fd.fd < 0)
		return -EBADF;
	while (!pressed && (left = deadline - agent_ms()) >= 0) {
		struct input_event event;

		poll(&fd, 1, (int)left + 1);
		while (read(fd.fd, &event, sizeof(event)) == sizeof(event))
			pressed |= event.type == EV_KEY && event.code == KEY_POWER && event.value;
	}
	snprintf(answer, ANSWER_MAX, "%s", pressed ? "pressed" : "");
	return pressed ? 0 : -ETIMEDOUT;
}
