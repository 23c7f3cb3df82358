/*
 * Source of a config, compiled by dtc: a program of its own, which is given bounds, because source
 * can be anybody's and can include what never ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/clock.h"
#include "vmm/config.h"
#include "vmm/config_internal.h"

extern char **environ;

const struct dtc_limits config_dtc_limits = {
	.memory = 256 * MIB, .cpu_s = 10, .deadline_ms = 30000,
};

/* A dtc at work. */
struct dtc {
	const struct dtc_limits *limits;
	pid_t pid;
	int out;    /* what it writes */
	int pidfd;  /* readable once it has ended; -1: the kernel has none (before Linux 5.3) */
	uint64_t deadline;
	char *ret_why;
	size_t why_size;
};

static int refuse(const struct dtc *dtc, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct dtc *dtc, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(dtc->ret_why, dtc->why_size, fmt, ap);
	va_end(ap);
	return error;
}

/* It must die of Ctrl-C, which this program may have blocked, and of a pipe that nobody reads. */
static int spawn(const char *path, int out, pid_t *ret_pid)
{
	const char *const words[] = {"dtc", "-I", "dts", "-O", "dtb", "--", path, NULL};
	char *argv[ARRAY_SIZE(words)]; /* the same; no function changes them */
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, pipe_signal;
	int error;

	memcpy(argv, words, sizeof(argv));
	sigemptyset(&none);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
	if (!error)
		error = posix_spawnp(ret_pid, "dtc", &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

/* From now on: what it has done by then is little. */
static int limit(const struct dtc *dtc)
{
	const struct rlimit memory = {dtc->limits->memory, dtc->limits->memory};
	/* SIGXCPU, which can be told from other signals, then SIGKILL. */
	const struct rlimit cpu = {dtc->limits->cpu_s, dtc->limits->cpu_s + 1};

	if (prlimit(dtc->pid, RLIMIT_AS, &memory, NULL) ||
	    prlimit(dtc->pid, RLIMIT_CPU, &cpu, NULL))
		return refuse(dtc, -errno, "dtc cannot be given limits: %s", strerror(errno));
	return 0;
}

/* Until there is something to read, or the end. -ETIMEDOUT with a sentence. */
static int await(const struct dtc *dtc, int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_us();
		int ms = now < dtc->deadline ? (int)((dtc->deadline - now + 999) / 1000) : 0;
		int count = poll(&readable, 1, ms);

		if (count > 0)
			return 0;
		if (count < 0 && errno != EINTR)
			return refuse(dtc, -errno, "%s", strerror(errno));
		if (!ms)
			return refuse(dtc, -ETIMEDOUT, "dtc did not end within %u s: does it "
				      "include something that never ends?",
				      dtc->limits->deadline_ms / 1000);
	}
}

static int read_blob(const struct dtc *dtc, uint8_t *bytes, size_t *ret_size)
{
	size_t size = 0;
	ssize_t got = 1;

	while (got && size <= CONFIG_SIZE_MAX) {
		int error = await(dtc, dtc->out);

		if (error)
			return error;
		got = read(dtc->out, bytes + size, CONFIG_SIZE_MAX + 1 - size);
		if (got < 0 && errno != EINTR)
			return refuse(dtc, -errno, "it cannot be read: %s", strerror(errno));
		size += got > 0 ? (size_t)got : 0;
	}
	if (size > CONFIG_SIZE_MAX)
		return refuse(dtc, -EFBIG, "what dtc makes of it has more than 1 MiB");
	*ret_size = size;
	return 0;
}

/* It has ended, or is ended. */
static int check_end(const struct dtc *dtc)
{
	int status;

	while (waitpid(dtc->pid, &status, 0) < 0)
		if (errno != EINTR)
			return refuse(dtc, -errno, "dtc: %s", strerror(errno));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return refuse(dtc, -ETIMEDOUT, "dtc took more than %u s of a CPU, and was ended",
			      dtc->limits->cpu_s);
	if (WIFSIGNALED(status))
		return refuse(dtc, -EINVAL, "dtc was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return refuse(dtc, -EINVAL, "it is no .dtb, and dtc cannot compile it (with %u MiB "
			      "of memory); what it says is above",
			      (unsigned int)(dtc->limits->memory / MIB));
	return 0;
}

static int listen_to(struct dtc *dtc, uint8_t *bytes, size_t *ret_size)
{
	char ignored[64];
	struct dtc quiet = *dtc;
	int error = limit(dtc);

	if (!error)
		error = read_blob(dtc, bytes, ret_size);
	if (!error && dtc->pidfd >= 0)
		error = await(dtc, dtc->pidfd);
	if (!error)
		return check_end(dtc);
	/* Why it is ended counts, not how it ends then. */
	kill(dtc->pid, SIGKILL);
	quiet.ret_why = ignored;
	quiet.why_size = sizeof(ignored);
	check_end(&quiet);
	return error;
}

static int refuse_spawn(const struct dtc *dtc, int error)
{
	if (error == -ENOENT)
		return refuse(dtc, error, "it is no .dtb, and there is no dtc to compile a .dts: "
			      "install the package device-tree-compiler, or compile it elsewhere");
	return refuse(dtc, error, "dtc cannot be run: %s", strerror(-error));
}

int config_dtc(const char *path, const struct dtc_limits *limits, uint8_t *ret_bytes,
	       size_t *ret_size, char *ret_why, size_t why_size)
{
	struct dtc dtc = {
		.limits = limits, .ret_why = ret_why, .why_size = why_size,
		.deadline = clock_us() + limits->deadline_ms * 1000ULL,
	};
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC))
		return refuse(&dtc, -errno, "%s", strerror(errno));
	error = spawn(path, ends[1], &dtc.pid);
	close(ends[1]);
	dtc.out = ends[0];
	if (error) {
		close(dtc.out);
		return refuse_spawn(&dtc, error);
	}
	dtc.pidfd = (int)syscall(SYS_pidfd_open, dtc.pid, 0);
	error = listen_to(&dtc, ret_bytes, ret_size);
	close(dtc.out);
	if (dtc.pidfd >= 0)
		close(dtc.pidfd);
	return error;
}
