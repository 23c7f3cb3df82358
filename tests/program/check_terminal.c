/*
 * The terminal is restored on every way out: runs the real program on a pseudo-terminal and ends it
 * by each. Prints "PASS name" or "FAIL name: why"; part of the tier "bare", as it needs /dev/kvm.
 *
 * Usage: check_terminal MINIVMM GUEST [ARGUMENT]...   a guest that prints something and then idles
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define LIMIT_MS 20000
#define UNREAD 3000U /* keys; more than any device takes, less than a pseudo-terminal */

struct way_out {
	const char *name;
	unsigned int before; /* so many keys are typed first, which the guest does not read */
	const char *keys; /* typed, or NULL */
	int signal;       /* sent, or 0 */
	bool by_signal;   /* ends by the signal itself, else with status 0 */
	bool to_cpu;      /* the signal goes to the thread of a CPU */
};

static const struct way_out ways_out[] = {
	{"ctrl-a-x", 0, "\001x", 0, false, false},
	{"ctrl-a-x-unread", UNREAD, "\001x", 0, false, false},
	{"ctrl-a-twice-then-x", 0, "\001\001\001x", 0, false, false},
	{"sigterm", 0, NULL, SIGTERM, false, false},
	{"sigint", 0, NULL, SIGINT, false, false},
	{"sighup", 0, NULL, SIGHUP, false, false},
	{"sigquit", 0, NULL, SIGQUIT, false, false},
	{"sigsegv", 0, NULL, SIGSEGV, true, false},
	{"sigabrt", 0, NULL, SIGABRT, true, false},
	{"sigsegv-cpu", 0, NULL, SIGSEGV, true, true},
	{"sigbus-cpu", 0, NULL, SIGBUS, true, true},
};

struct run {
	int master, slave;
	pid_t pid;
	struct termios before;
};

static bool same_mode(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag &&
	       a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
	       !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

static const char *start(struct run *run, char *argv[])
{
	run->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run->master < 0 || grantpt(run->master) || unlockpt(run->master))
		return "no pseudo-terminal";
	run->slave = open(ptsname(run->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run->slave < 0 || tcgetattr(run->slave, &run->before))
		return "the pseudo-terminal does not open";
	run->pid = fork();
	if (run->pid < 0)
		return "cannot fork";
	if (!run->pid) {
		for (int fd = 0; fd < 3; fd++)
			dup2(run->slave, fd);
		execv(argv[0], argv);
		_exit(127);
	}
	return NULL;
}

/* The guest's first output: from then on the terminal is raw. */
static const char *await_output(struct run *run)
{
	struct pollfd fd = {.fd = run->master, .events = POLLIN};
	struct termios now;
	char bytes[256];

	if (poll(&fd, 1, LIMIT_MS) != 1 || read(run->master, bytes, sizeof(bytes)) <= 0)
		return "the guest says nothing";
	if (tcgetattr(run->slave, &now) || (now.c_lflag & (ICANON | ECHO)))
		return "the terminal is not raw while the guest runs";
	return NULL;
}

static bool type(const struct run *run, const struct way_out *way)
{
	char keys[UNREAD + 8];
	int len;

	memset(keys, 'k', way->before);
	len = snprintf(keys + way->before, sizeof(keys) - way->before, "%s", way->keys) +
	      (int)way->before;
	return write(run->master, keys, (size_t)len) == len;
}

/* Reads what the program still prints, so that it cannot block on it, until it has ended. */
static const char *await_end(struct run *run, int *ret_status)
{
	int fd = (int)syscall(SYS_pidfd_open, run->pid, 0);
	struct pollfd fds[] = {{.fd = run->master, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	char bytes[256];

	while (poll(fds, 2, LIMIT_MS) > 0) {
		if (fds[1].revents) {
			close(fd);
			waitpid(run->pid, ret_status, 0);
			run->pid = 0;
			return NULL;
		}
		if (read(run->master, bytes, sizeof(bytes)) < 0 && errno != EIO)
			break;
	}
	close(fd);
	return "it does not end";
}

static void send_signal(pid_t pid, const struct way_out *way)
{
	char path[64];
	struct dirent *entry;
	pid_t thread = pid;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = way->to_cpu ? opendir(path) : NULL;
	while (tasks && thread == pid && (entry = readdir(tasks)))
		if (atoi(entry->d_name) > 0)
			thread = atoi(entry->d_name);
	if (tasks)
		closedir(tasks);
	syscall(SYS_tgkill, pid, thread, way->signal);
}

static const char *check(const struct way_out *way, struct run *run, char *argv[])
{
	struct termios after;
	const char *why = start(run, argv);
	int status = 0;

	if (!why)
		why = await_output(run);
	if (why)
		return why;
	if (way->keys && !type(run, way))
		return "cannot type";
	if (way->signal)
		send_signal(run->pid, way);
	why = await_end(run, &status);
	if (why)
		return why;
	if (way->by_signal ? !WIFSIGNALED(status) || WTERMSIG(status) != way->signal
			   : !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return "ends in another way than expected";
	if (tcgetattr(run->slave, &after) || !same_mode(&run->before, &after))
		return "the terminal is not as it was";
	return NULL;
}

int main(int argc, char *argv[])
{
	int failed = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: check_terminal MINIVMM GUEST [ARGUMENT]...\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(ways_out) / sizeof(ways_out[0]); i++) {
		struct run run = {.master = -1, .slave = -1};
		const char *why = check(&ways_out[i], &run, argv + 1);

		if (run.pid > 0) {
			kill(run.pid, SIGKILL);
			waitpid(run.pid, NULL, 0);
		}
		close(run.slave);
		close(run.master);
		failed += why != NULL;
		printf(why ? "FAIL terminal/%s: %s\n" : "PASS terminal/%s\n", ways_out[i].name,
		       why);
	}
	return failed ? 1 : 0;
}
