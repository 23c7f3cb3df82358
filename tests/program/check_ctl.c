/*
 * `minivmm ctl` against a server that is not minivmm, and can do what minivmm would not: what it
 * prints, how it ends, and that `power --watch` gives the terminal back after every way out.
 *
 *     check_ctl MINIVMM
 *
 * The server is a process of its own, since `button --wait` waits for its end. Nothing is timed:
 * each step waits for what it needs, for LIMIT_MS at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define LIMIT_MS 30000
#define OUTPUT 65536
#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define LINES "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
#define CHUNKED LINES "Transfer-Encoding: chunked\r\n\r\n"
#define INFO JSON "{\"state\":\"Running\",\"memory_actual_size\":536870912,\"config\":{" \
	"\"cpus\":{\"boot_vcpus\":1,\"max_vcpus\":1},\"memory\":{\"size\":536870912}," \
	"\"payload\":{\"kernel\":\"vmlinuz\"},\"devices\":[]},\"uptime_us\":61000000}"
#define POWER(state, host, suspended) \
	JSON "{\"t_us\":60000000,\"slots\":[{\"id\":\"gpu0\",\"name\":\"0000:01:00\"," \
	"\"policy\":{\"power\":\"d3cold\",\"reset\":\"flr\",\"reasons\":\"\"}," \
	"\"guest\":\"off\",\"hold_ms\":0,\"functions\":[{\"name\":\"0000:01:00.0\"," \
	"\"state\":\"" state "\",\"since_us\":30000000,\"error\":null," \
	"\"host\":{\"power_state\":\"" host "\",\"suspended\":" suspended "," \
	"\"suspended_us\":1},\"counters\":{\"entries\":1}}]}]}"
#define ASLEEP POWER("engaged", "D3cold", "true")
#define AWAKE POWER("on", "D0", "false")
#define EVENT "{\"t_us\":61000000,\"event\":\"power\",\"device\":\"0000:01:00.0\",\"from\":" \
	"\"engaged\",\"to\":\"on\",\"cause\":\"guest\",\"latency_us\":1500}\n"
#define EXIT "{\"t_us\":62000000,\"event\":\"exit\",\"cause\":\"power-off\"}\n"
#define BOOT "{\"t_us\":1000000,\"event\":\"boot\"}\n"

/* --- the server --- */

/* What it answers to requests that begin so; NULL is after the last. */
struct reply {
	const char *request, *answer;
	bool holds; /* does not close, for it has not said all */
	bool dies;  /* ends after this answer */
};

struct server {
	pid_t pid;
	int orders; /* a byte for each of the server's processes' orders, see obey() */
	const struct reply *replies;
	const struct reply *later; /* after an order 'n': the world has changed */
};

static char path[64];

static void put_bytes(int fd, const char *bytes)
{
	size_t len = strlen(bytes);

	while (len) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		bytes += sent;
		len -= (size_t)sent;
	}
}

static void put_chunk(int fd, const char *bytes)
{
	char size[32];

	snprintf(size, sizeof(size), "%zx\r\n", strlen(bytes));
	put_bytes(fd, size);
	put_bytes(fd, bytes);
	put_bytes(fd, "\r\n");
}

/* Reads a request's head and gives its answer. -1, or the connection that stays. */
static int answer(int fd, const struct reply *replies)
{
	char request[2048] = "";
	size_t len = 0;

	while (!strstr(request, "\r\n\r\n") && len < sizeof(request) - 1) {
		ssize_t got = recv(fd, request + len, sizeof(request) - 1 - len, 0);

		if (got <= 0)
			break;
		len += (size_t)got;
		request[len] = '\0';
	}
	for (; replies->request; replies++) {
		if (strncmp(request, replies->request, strlen(replies->request)))
			continue;
		put_bytes(fd, replies->answer);
		if (replies->dies)
			_exit(0);
		if (replies->holds)
			return fd;
		break;
	}
	close(fd);
	return -1;
}

/* 'n': the later answers; 'e': an event; 'x': the end, as it should be; 'k': without a word. */
static void obey(int orders, struct server *server, int stream)
{
	char order = 'k';

	if (read(orders, &order, 1) != 1 || order == 'k')
		_exit(0);
	if (order == 'n')
		server->replies = server->later;
	if (order == 'e')
		put_chunk(stream, EVENT);
	if (order == 'x') {
		put_chunk(stream, EXIT);
		put_bytes(stream, "0\r\n\r\n");
		close(stream);
		_exit(0);
	}
}

static void serve(struct server *server, int orders, int ready)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), stream = -1;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8) ||
	    write(ready, "r", 1) != 1)
		_exit(1);
	for (;;) {
		struct pollfd fds[] = {{.fd = listener, .events = POLLIN},
				       {.fd = orders, .events = POLLIN}};

		poll(fds, 2, -1);
		if (fds[0].revents) {
			int held = answer(accept(listener, NULL, NULL), server->replies);

			stream = held >= 0 ? held : stream;
		}
		if (fds[1].revents)
			obey(orders, server, stream);
	}
}

static const char *start_server(struct server *server)
{
	int orders[2], ready[2];
	char byte;

	if (pipe2(orders, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		return "no pipe";
	server->pid = fork();
	if (!server->pid) {
		close(orders[1]);
		close(ready[0]);
		serve(server, orders[0], ready[1]);
	}
	close(orders[0]);
	close(ready[1]);
	server->orders = orders[1];
	if (server->pid < 0 || read(ready[0], &byte, 1) != 1)
		return "the server does not start";
	close(ready[0]);
	return NULL;
}

static void stop_server(struct server *server)
{
	close(server->orders);
	waitpid(server->pid, NULL, 0);
	unlink(path);
}

static void order(const struct server *server, const char *orders)
{
	if (write(server->orders, orders, strlen(orders)) < 0)
		perror("order");
}

/* --- the program --- */

struct run {
	pid_t pid;
	int fd; /* what it prints */
	char output[OUTPUT];
	size_t len;
};

/* In the child. `arguments` are words after the socket's path. */
static void exec_program(const char *program, const char *arguments, int fd)
{
	char name[256], words[128], tool[] = "ctl", *argv[16] = {name, tool, path};
	unsigned int count = 3;

	snprintf(name, sizeof(name), "%s", program);
	snprintf(words, sizeof(words), "%s", arguments);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[count++] = word;
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C", 1);
	unsetenv("NO_COLOR");
	execv(program, argv);
	_exit(127);
}

/* Reads on. False: nothing comes any more. */
static bool read_on(struct run *run)
{
	struct pollfd fd = {.fd = run->fd, .events = POLLIN};
	ssize_t got;

	if (poll(&fd, 1, LIMIT_MS) != 1 || run->len == OUTPUT - 1)
		return false;
	got = read(run->fd, run->output + run->len, OUTPUT - 1 - run->len);
	if (got <= 0)
		return false;
	run->len += (size_t)got;
	run->output[run->len] = '\0';
	return true;
}

static bool await_text(struct run *run, const char *text, size_t from)
{
	while (!strstr(run->output + from, text))
		if (!read_on(run))
			return false;
	return true;
}

static int await_end(struct run *run)
{
	int status = 0;

	while (read_on(run))
		;
	waitpid(run->pid, &status, 0);
	return status;
}

/* --- commands that print and end --- */

static const struct reply plain[] = {
	{"GET /api/v1/vm.info ", INFO, false, false},
	{"GET /api/v1/power ", ASLEEP, false, false},
	{"GET /api/v1/events?recent=1 ", LINES "Content-Length: 32\r\n\r\n" BOOT, false, false},
	{"GET /api/v1/events?recent=1&follow=1 ", CHUNKED "20\r\n" BOOT "\r\n", true, false},
	{"GET /api/v1/events ", CHUNKED, true, false},
	{"PUT /api/v1/vm.power-button ", "HTTP/1.1 204 No Content\r\n\r\n", false, true},
	{"PUT /api/v1/vm.wake ", "HTTP/1.1 204 No Content\r\n\r\n", false, false},
	{"PUT /api/v1/vm.reboot ", "HTTP/1.1 204 No Content\r\n\r\n", false, false},
	{"PUT /api/v1/vmm.shutdown ", "HTTP/1.1 204 No Content\r\n\r\n", false, false},
	{"PUT /api/v1/vm.add-device ", JSON "{\"id\":\"gpu1\",\"bdf\":\"0000:02:00.0\"}",
	 false, false},
	{"PUT /api/v1/vm.remove-device ",
	 "HTTP/1.1 404 Not Found\r\n\r\n[\"no device named gpu7; there are gpu0\"]", false, false},
	{NULL, NULL, false, false},
};

static const struct reply odd[] = {
	{"GET /api/v1/vm.info ", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", false, false},
	{"GET /api/v1/power ", JSON "{\"slots\":7}", false, false},
	{"GET /api/v1/events?recent=1 ", LINES "\r\n" BOOT "no event\n", false, false},
	{"GET /api/v1/events ", LINES "\r\n" BOOT EVENT, false, false},
	{"GET /api/v1/events?recent=1&follow=1 ", CHUNKED "20\r\n" BOOT, false, false},
	{"PUT /api/v1/vm.reboot ", "SSH-2.0\r\n", false, false},
	{"PUT /api/v1/vm.power-button ", "HTTP/1.1 204 No Content\r\n\r\n", false, false},
	{NULL, NULL, false, false},
};

/* Stops in the middle of an answer that ends. */
static const struct reply stuck[] = {
	{"GET /api/v1/events?recent=1 ", LINES "Content-Length: 99\r\n\r\n" BOOT, true, false},
	{NULL, NULL, false, false},
};

static const struct command {
	const char *name;
	const struct reply *replies;
	const char *arguments;
	const char *orders; /* once BOOT's sentence is read; NULL: none */
	int status;
	const char *prints; /* all, if it ends a line or is empty; else some of it */
} commands[] = {
	{"status", plain, "status", NULL, 0,
	 "Running for 1 min 01 s, 1 CPU, 512 MiB, guest vmlinuz\n\n"
	 "SLOT  FUNCTION      STATE    SINCE   HOST    ENGAGED  WOKEN BY  REFUSED\n"
	 "gpu0  0000:01:00.0  engaged  30.0 s  D3cold  50 %     none      0\n"},
	{"status-json", plain, "status --json", NULL, 0, "{\"info\":{\"state\":\"Running\","},
	{"power", plain, "power", NULL, 0, "0000:01:00.0  engaged for 30.0 s; host: D3cold"},
	{"power-json", plain, "power --json", NULL, 0, "{\"t_us\":60000000,"},
	{"events", plain, "events", NULL, 0, "     1.000                  the guest boots\n"},
	{"events-json", plain, "events --json", NULL, 0, BOOT},
	{"events-follow", plain, "events --follow", "eex", 0,
	 "     1.000                  the guest boots\n"
	 "    61.000  0000:01:00.0    engaged -> on by guest, the host took 1.50 ms\n"
	 "    61.000  0000:01:00.0    engaged -> on by guest, the host took 1.50 ms\n"
	 "    62.000                  the VM ends: power-off\n"},
	{"wake", plain, "wake", NULL, 0, ""},
	{"reboot", plain, "reboot", NULL, 0, ""},
	{"quit", plain, "quit", NULL, 0, ""},
	{"button-wait", plain, "button --wait 20", NULL, 0, ""},
	{"button-wait-too-long", odd, "button --wait 1", NULL, 1, "not ended within 1 s"},
	{"add", plain, "add 01:00.0,power=off --id gpu1", NULL, 0,
	 "gpu1 is the guest's 0000:02:00.0\n"},
	{"remove", plain, "remove gpu7", NULL, 1, "no device named gpu7; there are gpu0"},
	{"truncated", odd, "status", NULL, 1, "ends in the middle"},
	{"other-shape", odd, "power", NULL, 1, "lacks what docs/api.md says"},
	{"watch-to-a-pipe", odd, "power --watch", NULL, 0,
	 "    61.000  0000:01:00.0    engaged -> on by guest, the host took 1.50 ms\n"},
	{"no-event", odd, "events", NULL, 1, "a line is no event"},
	{"events-stuck", stuck, "events", NULL, 1, "the VM does not answer in time"},
	{"stream-cut", odd, "events --follow", NULL, 1, "ends in the middle"},
	{"no-http", odd, "reboot", NULL, 1, "HTTP/1.1"},
	{"no-command", plain, "frob", NULL, 2,
	 "no command 'frob'; there are status, power, events, button, wake,"},
	{"no-option", plain, "reboot --json", NULL, 2, "reboot has no option --json"},
	{"no-value", plain, "button --wait", NULL, 2, "--wait needs a value"},
	{"bad-value", plain, "button --wait 0", NULL, 2, "from 1 to 86400"},
	{"no-operand", plain, "add", NULL, 2, "add what?"},
	{"operand", plain, "status x", NULL, 2, "what is 'x'?"},
};

static bool prints_right(const char *wanted, const char *output)
{
	size_t len = strlen(wanted);

	return !len || wanted[len - 1] == '\n' ? !strcmp(wanted, output)
						: strstr(output, wanted) != NULL;
}

static const char *check_command(const struct command *command, const char *program)
{
	struct server server = {.replies = command->replies};
	struct run *run = calloc(1, sizeof(*run));
	const char *why = start_server(&server);
	int out[2], status;

	if (why || pipe2(out, O_CLOEXEC))
		return why ? why : "no pipe";
	run->fd = out[0];
	run->pid = fork();
	if (!run->pid)
		exec_program(program, command->arguments, out[1]);
	close(out[1]);
	if (command->orders && await_text(run, "the guest boots", 0))
		order(&server, command->orders);
	status = await_end(run);
	stop_server(&server);
	close(out[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != command->status)
		why = "another exit status";
	else if (!prints_right(command->prints, run->output))
		why = "prints something else";
	if (why)
		printf("%s", run->output);
	free(run);
	return why;
}

/* --- power --watch --- */

#define ENTER "\033[?1049h"
#define LEAVE "\033[?1049l"

static const struct reply awake[] = {
	{"GET /api/v1/power ", AWAKE, false, false},
	{NULL, NULL, false, false},
};

static const struct way_out {
	const char *name;
	const char *keys, *orders;
	int signal;
	int status; /* if it ends by itself */
} ways_out[] = {
	{"q", "q", NULL, 0, 0},
	{"ctrl-c", "\003", NULL, SIGINT, 0},
	{"sigint", NULL, NULL, SIGINT, 0},
	{"sigterm", NULL, NULL, SIGTERM, 0},
	{"sighup", NULL, NULL, SIGHUP, 0},
	{"vm-ends", NULL, "x", 0, 0},
	{"vm-dies", NULL, "k", 0, 1},
};

struct terminal {
	int master, slave;
	struct termios before;
};

static const char *open_terminal(struct terminal *terminal)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal->master < 0 || grantpt(terminal->master) || unlockpt(terminal->master))
		return "no pseudo-terminal";
	terminal->slave = open(ptsname(terminal->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal->slave < 0 || tcgetattr(terminal->slave, &terminal->before) ||
	    ioctl(terminal->slave, TIOCSWINSZ, &size))
		return "the pseudo-terminal does not open";
	return NULL;
}

/* As the program that owns the terminal, so that keys become signals. */
static void run_in_terminal(struct run *run, const char *program, const struct terminal *terminal)
{
	run->pid = fork();
	if (run->pid)
		return;
	setsid();
	ioctl(terminal->slave, TIOCSCTTY, 0);
	exec_program(program, "power --watch", terminal->slave);
}

/* The frames that must come: one asleep, one awake after an event, one for each new size. */
static const char *watch_frames(struct run *run, const struct server *server,
				const struct terminal *terminal)
{
	struct winsize size = {.ws_row = 4, .ws_col = 40};
	struct termios now;
	size_t from;

	if (!await_text(run, "engaged\033[0m for 3", 0))
		return "shows nothing";
	if (tcgetattr(terminal->slave, &now) || (now.c_lflag & (ICANON | ECHO)))
		return "the terminal echoes keys";
	from = run->len;
	order(server, "ne");
	if (!await_text(run, "on\033[0m for 3", from))
		return "an event is not followed by a new picture";
	from = run->len;
	if (ioctl(terminal->master, TIOCSWINSZ, &size))
		return "no new size";
	if (!await_text(run, "\033[H", from))
		return "a new size is not followed by a new picture";
	return NULL;
}

static const char *check_end(const struct way_out *way, const struct run *run, int status,
			     const struct terminal *terminal)
{
	const char *left = strstr(run->output, LEAVE);
	struct termios after;

	if (way->signal ? !WIFSIGNALED(status) || WTERMSIG(status) != way->signal
			: !WIFEXITED(status) || WEXITSTATUS(status) != way->status)
		return "ends in another way than expected";
	if (!strstr(run->output, ENTER) || !left || strstr(left, ENTER))
		return "the first screen does not come back";
	if (!strstr(run->output, "\033[?25h") || strstr(left, "\033[?25l"))
		return "the cursor does not come back";
	if (tcgetattr(terminal->slave, &after) || after.c_lflag != terminal->before.c_lflag)
		return "the terminal's mode is not as it was";
	return NULL;
}

static const char *leave(const struct way_out *way, struct run *run, struct server *server,
			 const struct terminal *terminal)
{
	int status = 0, fd = (int)syscall(SYS_pidfd_open, run->pid, 0);
	struct pollfd fds[] = {{.fd = terminal->master, .events = POLLIN},
			       {.fd = fd, .events = POLLIN}};

	if (way->keys && write(terminal->master, way->keys, strlen(way->keys)) < 0)
		return "cannot type";
	if (way->orders)
		order(server, way->orders);
	else if (!way->keys)
		kill(run->pid, way->signal);
	while (poll(fds, 2, LIMIT_MS) > 0 && !fds[1].revents)
		if (!read_on(run))
			break;
	while (poll(fds, 1, 0) == 1 && (fds[0].revents & POLLIN) && read_on(run))
		;
	close(fd);
	if (waitpid(run->pid, &status, WNOHANG) != run->pid) {
		kill(run->pid, SIGKILL);
		waitpid(run->pid, &status, 0);
		return "it does not end";
	}
	return check_end(way, run, status, terminal);
}

static const char *check_watch(const struct way_out *way, const char *program)
{
	struct server server = {.replies = plain, .later = awake};
	struct run *run = calloc(1, sizeof(*run));
	struct terminal terminal;
	const char *why = open_terminal(&terminal);

	if (!why)
		why = start_server(&server);
	if (why)
		return why;
	run->fd = terminal.master;
	run_in_terminal(run, program, &terminal);
	why = watch_frames(run, &server, &terminal);
	if (why) {
		kill(run->pid, SIGKILL);
		waitpid(run->pid, NULL, 0);
	} else {
		why = leave(way, run, &server, &terminal);
	}
	stop_server(&server);
	close(terminal.slave);
	close(terminal.master);
	free(run);
	return why;
}

/* --- the whole --- */

static int tell(const char *group, const char *name, const char *why)
{
	if (why)
		printf("FAIL ctl/%s%s: %s\n", group, name, why);
	else
		printf("PASS ctl/%s%s\n", group, name);
	fflush(stdout);
	return why != NULL;
}

int main(int argc, char *argv[])
{
	char dir[] = "/tmp/minivmm-ctl-XXXXXX";
	int failed = 0;

	if (argc != 2 || !mkdtemp(dir)) {
		fprintf(stderr, "usage: check_ctl MINIVMM\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "%s/api", dir);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		failed += tell("", commands[i].name, check_command(&commands[i], argv[1]));
	for (size_t i = 0; i < sizeof(ways_out) / sizeof(ways_out[0]); i++)
		failed += tell("watch-", ways_out[i].name, check_watch(&ways_out[i], argv[1]));
	rmdir(dir);
	return failed ? 1 : 0;
}
