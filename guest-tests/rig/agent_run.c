/* Programs that a guest of flavour -tools has. */
#include "guest-tests/rig/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void exec_program(char **arg, int out)
{
	setsid();
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	dup2(out, 1);
	dup2(out, 2);
	execvp(arg[0], arg);
	_exit(127);
}

static pid_t start(char **arg, int out)
{
	pid_t pid;

	setenv("PATH", "/usr/bin", 1);
	setenv("HOME", "/", 1);
	pid = fork();
	if (pid == 0)
		exec_program(arg, out);
	return pid;
}

/* The last that fits, lines joined by '|'. */
static void take_output(int fd, char *answer)
{
	size_t len = 0, room = ANSWER_MAX / 2;
	char text[512];
	ssize_t got;

	while ((got = read(fd, text, sizeof(text))) > 0) {
		size_t take = (size_t)got;

		if (len + take >= room) {
			size_t drop = len + take - room + 1;

			drop = drop < len ? drop : len;
			memmove(answer, answer + drop, len - drop);
			len -= drop;
		}
		memcpy(answer + len, text, take);
		len += take;
	}
	while (len && answer[len - 1] == '\n')
		len--;
	answer[len] = '\0';
	for (char *p = answer; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '|';
}

/* run PROGRAM ARGUMENTS...: to its end, which must be with status 0; the answer is what it said. */
int do_run(char **arg, char *answer)
{
	int out[2], status;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	pid = start(arg, out[1]);
	close(out[1]);
	if (pid > 0)
		take_output(out[0], answer);
	close(out[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ECHILD;
}

/* spawn PROGRAM ARGUMENTS...: nobody waits for it. */
int do_spawn(char **arg, char *answer)
{
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t pid = out < 0 ? -1 : start(arg, out);

	snprintf(answer, ANSWER_MAX, "%d", pid);
	if (out >= 0)
		close(out);
	return pid < 0 ? -errno : 0;
}
