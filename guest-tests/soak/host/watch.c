/*
 * Runs a soak: watch NAME CYCLES DIR MODEL [ARGUMENT...] -- VMM [ARGUMENT...]
 *
 * The model gets --socket DIR/slot and --control DIR/control besides its arguments; the VMM shall
 * write its events to DIR/events, a FIFO that is read here, so that they fill no disk. A line
 * "model: WORDS" of the guest goes to the model's control socket, and the answer to the guest; when
 * it is "model: status", a sample is taken first.
 *
 * Prints a table of samples, the numbers of all sides, and "PASS soak/NAME" or "FAIL soak/NAME:
 * why". What guest, VMM and model print is in DIR/guest.log, DIR/vmm.log and DIR/model.log.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-tests/bare/host/child.h"
#include "guest-tests/soak/host/watch.h"

#define LINE_SIZE 65536
#define ARGUMENTS_MAX 64
#define PATH_SIZE 4096
#define EVENTS_ROOM (1 << 20)
#define STALL_S 120
#define REQUEST "model: "
#define NUMBERS "soak: cycles="

/* Somebody's output, line by line. */
struct stream {
	int fd;
	size_t len;
	char text[LINE_SIZE];
};

struct watch {
	const char *dir;
	FILE *log; /* of the guest */
	pid_t model, vmm;
	int control, to_guest;
	struct stream guest, events;
	uint64_t cycle;
	struct result result;
};

_Noreturn void broken(const char *what, const char *why)
{
	fprintf(stderr, "FAIL soak: %s: %s\n", what, why);
	exit(1);
}

static void path_in(const struct watch *watch, const char *name, char *path, size_t size)
{
	if (snprintf(path, size, "%s/%s", watch->dir, name) >= (int)size)
		broken(watch->dir, "the path is too long");
}

static int open_log(const struct watch *watch, const char *name)
{
	char path[PATH_SIZE];
	int fd;

	path_in(watch, name, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		broken(path, strerror(errno));
	return fd;
}

/* --- processes --- */

static pid_t start(char **argv, int in, int out, int err)
{
	pid_t pid = child_start(argv, in, out, err);

	if (pid < 0)
		broken("fork", strerror(errno));
	return pid;
}

static void await_ready(int fd)
{
	FILE *out = fdopen(fd, "r");
	char line[256];

	while (out && fgets(line, sizeof(line), out))
		if (!strcmp(line, "ready\n"))
			return; /* it prints no more; the pipe stays */
	broken("model", "it ended before it was ready, see its log");
}

static void connect_control(struct watch *watch, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = STALL_S};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	watch->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (watch->control < 0 ||
	    connect(watch->control, (struct sockaddr *)&address, sizeof(address)) < 0)
		broken(path, strerror(errno));
	setsockopt(watch->control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void start_model(struct watch *watch, char **argv, int argc)
{
	char slot[108], control[108], *all[ARGUMENTS_MAX + 6];
	int out[2], nothing = open("/dev/null", O_RDONLY | O_CLOEXEC), n = 0;
	char socket_option[] = "--socket", control_option[] = "--control";

	path_in(watch, "slot", slot, sizeof(slot));
	path_in(watch, "control", control, sizeof(control));
	if (mkdir(slot, 0700) && errno != EEXIST)
		broken(slot, strerror(errno));
	all[n++] = argv[0];
	all[n++] = socket_option;
	all[n++] = slot;
	all[n++] = control_option;
	all[n++] = control;
	for (int i = 1; i < argc; i++)
		all[n++] = argv[i];
	all[n] = NULL;
	if (pipe2(out, O_CLOEXEC))
		broken("pipe", strerror(errno));
	watch->model = start(all, nothing, out[1], open_log(watch, "model.log"));
	close(out[1]);
	await_ready(out[0]);
	connect_control(watch, control);
}

/* Open for writing too, so that it does not end before the VMM has opened it. */
static void open_events(struct watch *watch)
{
	char path[PATH_SIZE];

	path_in(watch, "events", path, sizeof(path));
	unlink(path);
	if (mkfifo(path, 0600))
		broken(path, strerror(errno));
	watch->events.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (watch->events.fd < 0)
		broken(path, strerror(errno));
	fcntl(watch->events.fd, F_SETPIPE_SZ, EVENTS_ROOM);
}

static void start_vmm(struct watch *watch, char **argv)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		broken("pipe", strerror(errno));
	watch->vmm = start(argv, in[0], out[1], open_log(watch, "vmm.log"));
	close(in[0]);
	close(out[1]);
	watch->to_guest = in[1];
	watch->guest.fd = out[0];
}

/* --- the model's control socket --- */

/* The answer with its newline; "" when the model is gone or stuck. */
static void ask(struct watch *watch, const char *words, char *answer, size_t size)
{
	size_t len = 0;

	if (dprintf(watch->control, "%s\n", words) > 0)
		while (len + 1 < size && read(watch->control, answer + len, 1) == 1 &&
		       answer[len++] != '\n')
			;
	answer[len] = 0;
}

static void serve_request(struct watch *watch, const char *words)
{
	char answer[sizeof(watch->result.model)];

	if (!strcmp(words, "status"))
		samples_take(&watch->result.samples, watch->cycle, watch->vmm, watch->model);
	ask(watch, words, answer, sizeof(answer));
	fputs(answer, watch->log);
	if (!answer[0])
		snprintf(answer, sizeof(answer), "error the model is gone\n");
	if (write(watch->to_guest, answer, strlen(answer)) < 0)
		fputs("the guest has ended\n", watch->log);
}

/* --- what the guest says --- */

static void guest_line(struct watch *watch, const char *line)
{
	struct result *result = &watch->result;

	fprintf(watch->log, "%s\n", line);
	fflush(watch->log);
	find_number(line, NULL, "soak: at ", &watch->cycle);
	if (!strncmp(line, REQUEST, strlen(REQUEST)))
		serve_request(watch, line + strlen(REQUEST));
	else if (!strncmp(line, "FAIL ", 5))
		result_fail(result, "%s", line + 5);
	else if (!strncmp(line, "PASS ", 5))
		result->passed = true;
	else if (!strncmp(line, NUMBERS, strlen(NUMBERS)))
		snprintf(result->guest, sizeof(result->guest), "%s", strchr(line, ' '));
}

static void event_line(struct watch *watch, const char *line)
{
	events_count(&watch->result.events, line);
}

/* Reads once. False: there is no more. */
static bool take_lines(struct watch *watch, struct stream *stream,
		       void (*line)(struct watch *watch, const char *line))
{
	ssize_t n = read(stream->fd, stream->text + stream->len, LINE_SIZE - 1 - stream->len);
	char *at = stream->text, *end;

	if (n <= 0)
		return false;
	stream->len += (size_t)n;
	stream->text[stream->len] = 0;
	for (; (end = strchr(at, '\n')); at = end + 1) {
		*end = 0;
		line(watch, at);
	}
	stream->len -= (size_t)(at - stream->text);
	memmove(stream->text, at, stream->len);
	if (stream->len == LINE_SIZE - 1)
		stream->len = 0; /* no line */
	return true;
}

static void follow(struct watch *watch)
{
	struct pollfd fds[] = {
		{.fd = watch->guest.fd, .events = POLLIN},
		{.fd = watch->events.fd, .events = POLLIN},
	};

	for (;;) {
		int n = poll(fds, 2, STALL_S * 1000);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			result_fail(&watch->result, "no sign of life for %d s at about cycle %ju",
				    STALL_S, (uintmax_t)watch->cycle);
			kill(watch->vmm, SIGKILL);
			return;
		}
		if (fds[1].revents)
			take_lines(watch, &watch->events, event_line);
		if (fds[0].revents && !take_lines(watch, &watch->guest, guest_line))
			return;
	}
}

/* --- the end --- */

/* The VMM writes its event log without waiting; a line that found no room would be missing here. */
static void look_for_trouble(struct watch *watch)
{
	static const char *const words[] = {"could not be written", "ERROR: ", "runtime error: "};
	static const char *const logs[] = {"vmm.log", "model.log"};
	char path[PATH_SIZE], line[1024];

	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		FILE *log;

		path_in(watch, logs[i], path, sizeof(path));
		log = fopen(path, "re");
		while (log && fgets(line, sizeof(line), log))
			for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
				if (strstr(line, words[k]))
					result_fail(&watch->result, "%s: %.*s", logs[i],
						    (int)strcspn(line, "\n"), line);
		if (log)
			fclose(log);
	}
}

static void end(struct watch *watch)
{
	char answer[64];

	waitpid(watch->vmm, &watch->result.vmm_status, 0);
	while (take_lines(watch, &watch->events, event_line))
		;
	ask(watch, "status", watch->result.model, sizeof(watch->result.model));
	ask(watch, "quit", answer, sizeof(answer));
	if (!watch->result.model[0] || !answer[0])
		kill(watch->model, SIGKILL);
	waitpid(watch->model, &watch->result.model_status, 0);
	look_for_trouble(watch);
}

static bool report(struct result *result, const char *dir)
{
	result_judge(result);
	if (result->failure[0])
		printf("FAIL soak/%s: %s (%s)\n", result->name, result->failure, dir);
	else
		printf("PASS soak/%s\n", result->name);
	return !result->failure[0];
}

int main(int argc, char **argv)
{
	static struct watch watch;
	int split = 4;

	while (split < argc && strcmp(argv[split], "--"))
		split++;
	if (split <= 4 || split + 1 >= argc || split > ARGUMENTS_MAX) {
		fprintf(stderr, "usage: %s NAME CYCLES DIR MODEL [ARGUMENT...] -- "
			"VMM [ARGUMENT...]\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	watch.result.name = argv[1];
	watch.result.cycles = strtoull(argv[2], NULL, 10);
	watch.dir = argv[3];
	watch.log = fdopen(open_log(&watch, "guest.log"), "w");
	if (!watch.log)
		broken("guest.log", strerror(errno));
	start_model(&watch, argv + 4, split - 4);
	open_events(&watch);
	start_vmm(&watch, argv + split + 1);
	follow(&watch);
	end(&watch);
	return report(&watch.result, watch.dir) ? 0 : 1;
}
