/*
 * Writes to sysfs whose answer the kernel withholds, as that to `unbind` until the device is free:
 * a process of its own waits for it, while the scenario goes on.
 */
#include "guest-tests/rig/driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITER_MS 120000U

int do_host_begin(struct rig *rig, const struct words *words, const char *rest)
{
	struct writer *writer = &rig->writer;

	(void)rest;
	if (writer->pid)
		return fail("an earlier write is not finished");
	timeline_note("host begins to write %s", words->word[3]);
	fflush(stdout);
	writer->pid = fork();
	if (writer->pid == 0)
		_exit(-host_write(words->word[2], words->word[3]));
	writer->pidfd = (int)syscall(SYS_pidfd_open, writer->pid, 0);
	return writer->pid < 0 || writer->pidfd < 0 ? fail("host: no process: %m") : 0;
}

static int written(struct rig *rig, void *arg)
{
	return waitpid(rig->writer.pid, arg, WNOHANG) == rig->writer.pid;
}

int do_host_finish(struct rig *rig, const struct words *words, const char *rest)
{
	struct writer *writer = &rig->writer;
	unsigned int ms = timeout_or(words, WRITER_MS);
	int status, result;

	(void)rest;
	if (!writer->pid)
		return fail("no write was begun");
	result = rig_wait(rig, written, &status, ms);
	if (result == WAIT_TIMEOUT)
		return fail("the write has no answer after %u ms", ms);
	if (result < 0)
		return -1;
	close(writer->pidfd);
	*writer = (struct writer){.pidfd = -1};
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return fail("%s", strerror(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR));
	return 0;
}
