/*
 * The other end of the virtio console: types on a terminal, reads standard output (a pipe, or the
 * same terminal), and stops reading, all as the guest asks for on its serial port. Prints "PASS
 * name" or "FAIL name: why"; part of the tier "bare", as it needs /dev/kvm.
 *
 * Usage: check_console MINIVMM GUEST, where the guest is guest-tests/bare/virtio-console
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define LIMIT_MS 60000
#define INPUT 3000 /* these are the guest's, too */
#define OUTPUT 100000
#define FLOOD (8 * 0x8000)
#define MARK 0xff
#define MARKS 100
#define PASSED 1   /* status of a guest that is content */

static const struct winsize first = {.ws_col = 91, .ws_row = 33};
static const struct winsize later = {.ws_col = 120, .ws_row = 50};

struct run {
	int master, slave; /* the terminal */
	int out;           /* where standard output is read */
	int out_write;     /* its other side, to see that it is full */
	int events;
	pid_t pid;
	int pidfd;
	char line[256];    /* of the serial port */
	size_t line_len;
	unsigned int data, marks; /* the console's bytes; those that are no pattern */
	unsigned int reports;
	char why[300];
};

static const char *complain(struct run *run, const char *why)
{
	if (!run->why[0])
		snprintf(run->why, sizeof(run->why), "%s", why);
	return run->why;
}

/* --- the program --- */

static void become(struct run *run, int events, char *argv[])
{
	char arguments[100];

	snprintf(arguments, sizeof(arguments), "cols=%u rows=%u cols2=%u rows2=%u", first.ws_col,
		 first.ws_row, later.ws_col, later.ws_row);
	setsid();
	ioctl(run->slave, TIOCSCTTY, 0);
	dup2(run->slave, STDIN_FILENO);
	dup2(run->out_write, STDOUT_FILENO);
	dup2(events, STDERR_FILENO);
	execl(argv[1], argv[1], "--memory", "32M", "--console", "virtio", "--events", "-",
	      "--debug-exit", "--shutdown-timeout", "0", "--append", arguments, argv[2],
	      (char *)NULL);
	_exit(127);
}

static bool open_all(struct run *run, bool on_pipe, int events[2])
{
	int out[2];

	run->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run->master < 0 || grantpt(run->master) || unlockpt(run->master))
		return false;
	run->slave = open(ptsname(run->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run->slave < 0 || ioctl(run->master, TIOCSWINSZ, &first) || pipe2(events, O_CLOEXEC))
		return false;
	run->out = run->master;
	run->out_write = run->slave;
	if (!on_pipe)
		return true;
	if (pipe2(out, O_CLOEXEC) || fcntl(out[1], F_SETPIPE_SZ, 4096) < 0)
		return false;
	run->out = out[0];
	run->out_write = out[1];
	return true;
}

static const char *start(struct run *run, bool on_pipe, char *argv[])
{
	int events[2];

	if (!open_all(run, on_pipe, events))
		return complain(run, "no terminal or pipe");
	run->pid = fork();
	if (!run->pid)
		become(run, events[1], argv);
	close(events[1]);
	run->events = events[0];
	run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
	return run->pid < 0 || run->pidfd < 0 ? complain(run, "it does not start") : NULL;
}

/* --- what the guest asks for --- */

static void type(struct run *run, const char *keys, size_t len)
{
	if (write(run->master, keys, len) != (ssize_t)len)
		complain(run, "cannot type");
}

static void give_input(struct run *run)
{
	char keys[INPUT];

	for (unsigned int i = 0; i < INPUT; i++)
		keys[i] = (char)('a' + i % 26);
	type(run, keys, sizeof(keys));
}

static void resize(struct run *run)
{
	if (ioctl(run->master, TIOCSWINSZ, &later))
		complain(run, "the terminal cannot be resized");
}

/* The guest has no other way to speak now. */
static void await_event(struct run *run)
{
	struct pollfd fd = {.fd = run->events, .events = POLLIN};
	char text[4096];
	size_t len = 0;
	ssize_t got;

	do {
		if (poll(&fd, 1, LIMIT_MS) != 1 || len == sizeof(text) - 1 ||
		    (got = read(fd.fd, text + len, sizeof(text) - 1 - len)) <= 0) {
			complain(run, "the guest does not go on while its output is blocked");
			return;
		}
		len += (size_t)got;
		text[len] = '\0';
	} while (!strstr(text, "\"panic\""));
}

/* Until the pipe is full. A terminal is held as by Ctrl-S. */
static void block(struct run *run)
{
	struct pollfd full = {.fd = run->out_write, .events = POLLOUT};

	if (run->out == run->master && tcflow(run->slave, TCOOFF))
		complain(run, "the terminal cannot be held");
	for (int ms = 0; poll(&full, 1, 0) == 1; ms++) {
		if (ms == LIMIT_MS) {
			complain(run, "the guest does not fill its output");
			return;
		}
		poll(NULL, 0, 1);
	}
}

/* Nothing goes on until the keys are typed and the guest has had them. */
static void type_blocked(struct run *run, const char *keys)
{
	block(run);
	type(run, keys, strlen(keys));
	await_event(run);
	if (run->out == run->master)
		tcflow(run->slave, TCOON);
}

static void obey(struct run *run, const char *line)
{
	if (!strncmp(line, "PASS ", 5))
		run->reports++;
	else if (!strcmp(line, "ask: input"))
		give_input(run);
	else if (!strcmp(line, "ask: resize"))
		resize(run);
	else if (!strcmp(line, "ask: key"))
		type_blocked(run, "G");
	else if (!strcmp(line, "ask: keys"))
		type_blocked(run, "RS");
	else if (!strncmp(line, "FAIL ", 5))
		complain(run, line);
}

/* --- what comes --- */

static void take_text(struct run *run, char byte)
{
	if (byte != '\n') {
		if (run->line_len < sizeof(run->line) - 1)
			run->line[run->line_len++] = byte;
		return;
	}
	run->line[run->line_len] = '\0';
	run->line_len = 0;
	obey(run, run->line);
}

static void take(struct run *run, unsigned char byte)
{
	if (!(byte & 0x80))
		take_text(run, (char)byte);
	else if (byte == MARK)
		run->marks++;
	else if (run->marks || byte != (0x80 | run->data++ % 127))
		complain(run, "output is lost, or in another order");
}

static const char *read_all(struct run *run)
{
	struct pollfd fds[] = {{.fd = run->out, .events = POLLIN},
			       {.fd = run->pidfd, .events = POLLIN}};
	unsigned char bytes[2048];

	while (!run->why[0] && poll(fds, 2, LIMIT_MS) > 0) {
		ssize_t len = 0;

		if (fds[0].revents & POLLIN)
			len = read(run->out, bytes, sizeof(bytes));
		for (ssize_t i = 0; i < len; i++)
			take(run, bytes[i]);
		if (len <= 0 && fds[1].revents)
			return NULL;
	}
	return complain(run, "it does not end");
}

static const char *check_sums(struct run *run)
{
	if (run->data < OUTPUT + FLOOD || run->data >= OUTPUT + 2 * FLOOD)
		return complain(run, "more or less output than the device had taken");
	if (run->marks != MARKS)
		return complain(run, "output after the reset is not all there");
	return run->reports ? NULL : complain(run, "the guest reports nothing");
}

static const char *check(struct run *run, bool on_pipe, char *argv[])
{
	const char *why = start(run, on_pipe, argv);
	int status = 0;

	if (!why)
		why = read_all(run);
	if (why && run->pid > 0)
		kill(run->pid, SIGKILL);
	if (run->pid > 0)
		waitpid(run->pid, &status, 0);
	if (!why)
		why = check_sums(run);
	if (!why && (!WIFEXITED(status) || WEXITSTATUS(status) != PASSED))
		why = "it ends in another way than expected";
	return why;
}

int main(int argc, char *argv[])
{
	static const char *const names[] = {"terminal", "pipe"};
	int failed = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: check_console MINIVMM GUEST\n");
		return 2;
	}
	for (int on_pipe = 0; on_pipe < 2; on_pipe++) {
		struct run run = {.pid = -1};
		const char *why = check(&run, on_pipe, argv);

		failed += why != NULL;
		if (why)
			printf("FAIL console/%s: %s\n", names[on_pipe], why);
		else
			printf("PASS console/%s\n", names[on_pipe]);
		fflush(stdout);
	}
	return failed ? 1 : 0;
}
