/* The one place where the driver waits: for output of the VM, its events, its end, and time. */
#include "guest-tests/rig/driver.h"

#include <poll.h>

static void pump(struct rig *rig, unsigned int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = rig->vm.tty, .events = POLLIN},
		{.fd = rig->vm.err, .events = POLLIN},
		{.fd = rig->vm.pidfd, .events = POLLIN},
		{.fd = rig->vm.pid ? rig->events.inotify : -1, .events = POLLIN},
		{.fd = rig->asking ? rig->monitor : -1, .events = POLLIN},
		{.fd = rig->api, .events = POLLIN},
		{.fd = rig->writer.pid ? rig->writer.pidfd : -1, .events = POLLIN},
		{.fd = rig->runner.pid ? rig->runner.pidfd : -1, .events = POLLIN},
		{.fd = rig->runner.pid ? rig->runner.out : -1, .events = POLLIN},
	};

	poll(fds, sizeof(fds) / sizeof(fds[0]), (int)timeout_ms);
	/* Events first: what the guest says next may already rest on them. */
	events_pump(rig);
	vm_pump(rig);
	watch_sample(rig);
}

int rig_wait(struct rig *rig, int (*done)(struct rig *rig, void *arg), void *arg,
	     unsigned int timeout_ms)
{
	uint64_t deadline = now_us() + timeout_ms * 1000ULL;

	for (;;) {
		uint64_t now, left_ms;
		int enough = done(rig, arg);

		if (enough)
			return enough < 0 ? -1 : 0;
		now = now_us();
		if (now >= deadline)
			return WAIT_TIMEOUT;
		left_ms = (deadline - now) / 1000 + 1;
		if ((rig->sampling || rig->watches) && left_ms > SAMPLE_MS)
			left_ms = SAMPLE_MS;
		if (rig->alarm_us && rig->alarm_us < now + left_ms * 1000)
			left_ms = rig->alarm_us > now ? (rig->alarm_us - now) / 1000 + 1 : 0;
		pump(rig, (unsigned int)left_ms);
	}
}
