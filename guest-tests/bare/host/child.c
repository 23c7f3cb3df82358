#include "guest-tests/bare/host/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

pid_t child_start(char **argv, int in, int out, int err)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	if ((in >= 0 && dup2(in, STDIN_FILENO) < 0) || (out >= 0 && dup2(out, STDOUT_FILENO) < 0) ||
	    (err >= 0 && dup2(err, STDERR_FILENO) < 0))
		_exit(CHILD_NOT_STARTED);
	execvp(argv[0], argv);
	fprintf(stderr, "FAIL %s: %s\n", argv[0], strerror(errno));
	_exit(CHILD_NOT_STARTED);
}
