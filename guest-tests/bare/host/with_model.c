/*
 * Runs a command beside a model GPU: with-model DIR MODEL [ARGUMENT...] -- COMMAND [ARGUMENT...]
 *
 * The model gets --socket DIR/slot and --control DIR/control besides its arguments; its output goes
 * to DIR/model.log. The command starts when the model says "ready", with a pipe as standard input.
 * Its standard output is copied; a line "model: WORDS" of it is a request: WORDS go to the model's
 * control socket, and the one line of the answer goes to the command's standard input. So a guest
 * misbehaves the device from inside, in step, without a clock. A line "api: METHOD PATH [BODY]" is
 * a request to the command's own control socket DIR/api, answered by "STATUS BODY"; "$SLOT" in it
 * is the model's path. A line "asleep: " and one of these two is done once the guest sleeps in S3.
 *
 * Ends with the command's status, 128 + N when signal N ended it; 125 when the model could not be
 * started or did not live as long as the command, which is said on standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-tests/bare/host/api.h"
#include "guest-tests/bare/host/child.h"

#define LINE_MAX_LEN 2048
#define ARGUMENTS_MAX 64
#define REQUEST "model: "
#define API_REQUEST "api: "
#define ASLEEP "asleep: "
#define STATUS_BROKEN CHILD_NOT_STARTED

/* What the model prints, and where it is kept. */
struct output {
	FILE *from, *log;
};

static char control_path[108], slot_path[108], api_path[108];
static int control_fd = -1;
static struct output model_output;

static _Noreturn void broken(const char *what, const char *why)
{
	fprintf(stderr, "FAIL with-model: %s: %s\n", what, why);
	exit(STATUS_BROKEN);
}

static pid_t start(char **argv, int in, int out, int err)
{
	pid_t pid = child_start(argv, in, out, err);

	if (pid < 0)
		broken("fork", strerror(errno));
	return pid;
}

/* --- the model --- */

static void format_path(char *path, size_t size, const char *dir, const char *name)
{
	if (snprintf(path, size, "%s/%s", dir, name) >= (int)size)
		broken(dir, "too long for a socket's path");
}

/* Copies the model's output to its log; true when the line "ready" has come. */
static bool copy_until_ready(struct output *output)
{
	char line[LINE_MAX_LEN];

	while (fgets(line, sizeof(line), output->from)) {
		fputs(line, output->log);
		fflush(output->log);
		if (!strcmp(line, "ready\n"))
			return true;
	}
	return false;
}

static void *copy_rest(void *opaque)
{
	while (copy_until_ready(opaque))
		;
	return NULL;
}

static pid_t start_model(const char *dir, char **argv, int argc)
{
	char log_path[4096], *all[ARGUMENTS_MAX + 6];
	int out[2], n = 0;
	pthread_t copier;
	pid_t pid;

	format_path(slot_path, sizeof(slot_path), dir, "slot");
	format_path(api_path, sizeof(api_path), dir, "api");
	format_path(control_path, sizeof(control_path), dir, "control");
	snprintf(log_path, sizeof(log_path), "%s/model.log", dir);
	if (mkdir(slot_path, 0700) && errno != EEXIST)
		broken(slot_path, strerror(errno));
	all[n++] = argv[0];
	all[n++] = strdup("--socket");
	all[n++] = slot_path;
	all[n++] = strdup("--control");
	all[n++] = control_path;
	for (int i = 1; i < argc; i++)
		all[n++] = argv[i];
	all[n] = NULL;
	model_output.log = fopen(log_path, "we");
	if (!model_output.log || pipe2(out, O_CLOEXEC))
		broken(log_path, strerror(errno));
	pid = start(all, -1, out[1], fileno(model_output.log));
	close(out[1]);
	model_output.from = fdopen(out[0], "r");
	if (!model_output.from)
		broken("fdopen", strerror(errno));
	if (!copy_until_ready(&model_output))
		broken("model", "it ended before it was ready, see its log");
	if (pthread_create(&copier, NULL, copy_rest, &model_output))
		broken("pthread_create", "failed");
	return pid;
}

static void connect_control(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, control_path, sizeof(control_path));
	control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (control_fd < 0 ||
	    connect(control_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		broken(control_path, strerror(errno));
}

/* The answer to one request, with its newline. A model that is gone answers so. */
static size_t ask(const char *words, char answer[LINE_MAX_LEN])
{
	size_t len = 0;

	if (control_fd < 0)
		connect_control();
	if (send(control_fd, words, strlen(words), MSG_NOSIGNAL) < 0)
		return (size_t)snprintf(answer, LINE_MAX_LEN, "error the model is gone\n");
	while (len < LINE_MAX_LEN - 1) {
		if (read(control_fd, answer + len, 1) != 1)
			return (size_t)snprintf(answer, LINE_MAX_LEN, "error the model is gone\n");
		if (answer[len++] == '\n')
			break;
	}
	answer[len] = 0;
	return len;
}

/* True when the model lived until now and ended because it was told to. */
static bool end_model(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) == pid) {
		if (WIFSIGNALED(status))
			fprintf(stderr, "FAIL with-model: signal %d ended the model\n",
				WTERMSIG(status));
		else
			fprintf(stderr, "FAIL with-model: the model ended with status %d\n",
				WEXITSTATUS(status));
		return false;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return true;
}

/* --- the command --- */

static void write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n <= 0)
			return; /* the command has ended */
		bytes += n;
		len -= (size_t)n;
	}
}

/* What follows `prefix` in `line`; NULL: it begins otherwise. */
static const char *after(const char *line, const char *prefix)
{
	return strncmp(line, prefix, strlen(prefix)) ? NULL : line + strlen(prefix);
}

/* The answer's length; 0: that was no request. */
static size_t answer_line(const char *line, char answer[LINE_MAX_LEN])
{
	static unsigned int sleeps;
	const char *words = after(line, ASLEEP);

	if (words && !api_await_event(api_path, "suspend", ++sleeps))
		return (size_t)snprintf(answer, LINE_MAX_LEN, "error the guest did not sleep\n");
	line = words ? words : line;
	words = after(line, REQUEST);
	if (words)
		return ask(words, answer);
	words = after(line, API_REQUEST);
	return words ? api_ask(api_path, slot_path, words, answer, LINE_MAX_LEN) : 0;
}

static void serve(FILE *out, int in)
{
	char line[LINE_MAX_LEN], answer[LINE_MAX_LEN];
	size_t len;

	while (fgets(line, sizeof(line), out)) {
		fputs(line, stdout);
		fflush(stdout);
		len = answer_line(line, answer);
		if (!len)
			continue;
		write_all(in, answer, len);
		printf("%s", answer);
		fflush(stdout);
	}
}

static int run(char **argv)
{
	int in[2], out[2], status;
	pid_t pid;
	FILE *from;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		broken("pipe", strerror(errno));
	pid = start(argv, in[0], out[1], -1);
	close(in[0]);
	close(out[1]);
	from = fdopen(out[0], "r");
	if (!from)
		broken("fdopen", strerror(errno));
	serve(from, in[1]);
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int split = 3, status;
	pid_t model;

	while (split < argc && strcmp(argv[split], "--"))
		split++;
	if (split + 1 >= argc || split > ARGUMENTS_MAX) {
		fprintf(stderr, "usage: %s DIR MODEL [ARGUMENT...] -- COMMAND [ARGUMENT...]\n",
			argv[0]);
		return STATUS_BROKEN;
	}
	signal(SIGPIPE, SIG_IGN);
	model = start_model(argv[1], argv + 2, split - 2);
	status = run(argv + split + 1);
	return end_model(model) ? status : STATUS_BROKEN;
}
