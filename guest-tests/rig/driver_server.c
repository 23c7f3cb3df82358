/* A program beside the VM that serves something on a socket: virtiofsd. One at a time. */
#include "guest-tests/rig/driver.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVE_MS 30000U

/* What it says comes into the log as it is. */
static _Noreturn void exec_program(const struct words *words)
{
	char *argv[WORDS_MAX + 1];
	unsigned int count = words->count - (words->timeout_ms ? 1 : 0), n = 0;

	for (unsigned int i = 3; i < count; i++)
		argv[n++] = words->word[i];
	argv[n] = NULL;
	setsid();
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	execv(argv[0], argv);
	_exit(127);
}

static int listens(struct rig *rig, void *arg)
{
	int status;

	if (waitpid(rig->server, &status, WNOHANG) == rig->server) {
		rig->server = 0;
		return fail("it ended at once, status %#x", (unsigned int)status);
	}
	return !access(arg, F_OK);
}

/* host serve SOCKET PROGRAM ARGUMENTS... */
int do_host_serve(struct rig *rig, const struct words *words, const char *rest)
{
	int result;

	(void)rest;
	if (rig->server)
		return fail("another program serves already");
	unlink(words->word[2]);
	timeline_note("host starts %s", words->word[3]);
	fflush(stdout);
	rig->server = fork();
	if (rig->server == 0)
		exec_program(words);
	if (rig->server < 0)
		return fail("no process: %m");
	rig->sampling = true;
	result = rig_wait(rig, listens, words->word[2], timeout_or(words, SERVE_MS));
	rig->sampling = false;
	return result == WAIT_TIMEOUT ? fail("%s does not come", words->word[2]) : result;
}

/* host kill: SIGKILL to that program, or what is left of it */
int do_host_kill(struct rig *rig, const struct words *words, const char *rest)
{
	(void)words;
	(void)rest;
	if (!rig->server)
		return fail("no program serves");
	timeline_note("host kills the server");
	kill(rig->server, SIGKILL);
	waitpid(rig->server, NULL, 0);
	rig->server = 0;
	return 0;
}
