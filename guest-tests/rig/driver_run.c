/* A program, which is mostly a command of minivmm's besides running a guest: run to its end, beside
 * a VM or without one. */
#include "guest-tests/rig/driver.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH "/bin:/usr/bin"
#define RUN_MS 60000U

/* The arguments are the words from number `first` on, without the time. */
static void exec_program(const char *program, const struct words *words, unsigned int first,
			 int out)
{
	char name[NAME_MAX_BYTES], *argv[WORDS_MAX + 2] = {name};
	unsigned int count = words->count - (words->timeout_ms ? 1 : 0), n = 1;

	snprintf(name, sizeof(name), "%s", program);
	for (unsigned int i = first; i < count; i++)
		argv[n++] = words->word[i];
	setsid();
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	dup2(out, 1);
	dup2(out, 2);
	signal(SIGPIPE, SIG_DFL);
	setenv("PATH", PATH, 1);
	execvp(name, argv);
	_exit(127);
}

static int start(struct runner *runner, const char *program, const struct words *words,
		 unsigned int first)
{
	int out[2];

	if (pipe2(out, O_CLOEXEC) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0)
		return fail("host: cannot make a pipe: %m");
	*runner = (struct runner){.out = out[0]};
	fflush(stdout);
	runner->pid = fork();
	if (runner->pid == 0)
		exec_program(program, words, first, out[1]);
	close(out[1]);
	runner->pidfd = (int)syscall(SYS_pidfd_open, runner->pid, 0);
	return runner->pid < 0 || runner->pidfd < 0 ? fail("host: cannot start it: %m") : 0;
}

static void take_line(struct rig *rig, char *line)
{
	char *said = rig->runner.said;
	size_t len = strlen(said);

	say("run: %s", line);
	snprintf(said + len, TEXT_MAX - len, "%s%s", len ? "|" : "", line);
}

static void drain(struct rig *rig)
{
	char text[4096];
	ssize_t len;

	while ((len = read(rig->runner.out, text, sizeof(text))) > 0)
		line_feed(rig, &rig->runner.line, text, (size_t)len, take_line);
}

static int ended(struct rig *rig, void *arg)
{
	struct runner *runner = &rig->runner;
	int end = waitpid(runner->pid, &runner->status, WNOHANG) == runner->pid;

	(void)arg;
	/* After the look at its end: then nothing comes behind what is read here. */
	drain(rig);
	if (end)
		line_feed(rig, &runner->line, "\n", 1, take_line);
	return end;
}

/* What it said is the answer. */
static void finish(struct rig *rig)
{
	struct runner *runner = &rig->runner;

	memcpy(rig->answer, runner->said, sizeof(rig->answer));
	close(runner->pidfd);
	close(runner->out);
	*runner = (struct runner){.out = -1};
}

static int check_end(const struct rig *rig, int status, const char *wanted)
{
	if (WIFSIGNALED(status))
		return fail("it was ended by signal %d, wanted exit status %s", WTERMSIG(status),
			    wanted);
	if (WEXITSTATUS(status) != atoi(wanted))
		return fail("it ended with status %d, wanted %s", WEXITSTATUS(status), wanted);
	/* A cut answer would make lines look absent that are not. */
	if (strlen(rig->answer) >= sizeof(rig->answer) - 1)
		return fail("it printed more than an answer can hold");
	return 0;
}

static int run(struct rig *rig, const char *program, const struct words *words, unsigned int first,
	       const char *wanted)
{
	unsigned int ms = timeout_or(words, RUN_MS);
	int result, status;

	if (start(&rig->runner, program, words, first) < 0)
		return -1;
	result = rig_wait(rig, ended, NULL, ms);
	status = rig->runner.status;
	if (result) {
		kill(rig->runner.pid, SIGKILL);
		finish(rig);
		return result < 0 ? -1 : fail("it still runs after %u ms", ms);
	}
	finish(rig);
	return check_end(rig, status, wanted);
}

/* run STATUS ARGUMENTS... [TIME] */
int do_run(struct rig *rig, const struct words *words, const char *rest)
{
	timeline_note("minivmm%s", rest + strcspn(rest, " "));
	return run(rig, "minivmm", words, 2, words->word[1]);
}

/* host run STATUS PROGRAM ARGUMENTS... [TIME] */
int do_host_run(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rest;
	return run(rig, words->word[3], words, 4, words->word[2]);
}
