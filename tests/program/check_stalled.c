/*
 * A guest that writes to a standard output that nobody reads does not keep the program from ending.
 * Prints "PASS name" or "FAIL name: why"; part of the tier "bare", as it needs /dev/kvm.
 *
 * Usage: check_stalled MINIVMM GUEST   a guest that prints without end
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 20000

/* Until the pipe is full: from then on the guest's CPU blocks. */
static const char *await_full(int pipe_fd)
{
	int size = fcntl(pipe_fd, F_SETPIPE_SZ, 4096), left = 0;

	for (int ms = 0; ms < LIMIT_MS; ms++) {
		if (ioctl(pipe_fd, FIONREAD, &left) || left >= size)
			return NULL;
		poll(NULL, 0, 1);
	}
	return "the guest does not fill the pipe";
}

static const char *check(pid_t pid, int pipe_fd)
{
	struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	const char *why = await_full(pipe_fd);

	if (why)
		return why;
	kill(pid, SIGTERM);
	return poll(&ended, 1, LIMIT_MS) == 1 ? NULL : "it does not end";
}

int main(int argc, char *argv[])
{
	const char *why;
	int out[2], status = 0;
	pid_t pid;

	if (argc != 3 || pipe2(out, O_CLOEXEC)) {
		fprintf(stderr, "usage: check_stalled MINIVMM GUEST\n");
		return 2;
	}
	pid = fork();
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		execl(argv[1], argv[1], "--memory", "32M", "--shutdown-timeout", "0",
		      argv[2], (char *)NULL);
		_exit(127);
	}
	why = check(pid, out[0]);
	if (why)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!why && (!WIFEXITED(status) || WEXITSTATUS(status)))
		why = "it ends in another way than expected";
	printf(why ? "FAIL stalled/sigterm: %s\n" : "PASS stalled/sigterm\n", why);
	return why != NULL;
}
