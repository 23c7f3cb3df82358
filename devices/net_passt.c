/* passt(1): networking without rights on the host, by a program of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/net_host.h"
#include "vmm/base/unix_stream.h"

#define PASST_PATH "/usr/bin/passt"
#define PASST_FD 3
#define CONNECT_S 5

static int connect_to(const struct net_config *config, char *why, size_t why_size)
{
	int fd = unix_stream_connect(config->socket, CONNECT_S);
	const char *help = "";

	if (fd >= 0)
		return fd;
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		help = "; nobody listens there: passt --socket PATH does, for one guest at a time";
	else if (fd == -EPROTOTYPE || fd == -ENOTSOCK)
		help = "; it is no stream socket as passt makes it";
	else if (fd == -EAGAIN)
		help = "; passt is busy with others, or hangs";
	snprintf(why, why_size, "--net passt=%s: %s%s", config->socket, strerror(-fd), help);
	return fd;
}

/* With the socket as PASST_FD, nothing of ours besides standard error, in a session of its own, so
 * that the terminal's signals are the guest's. */
static int spawn(int socket, pid_t *ret_pid)
{
	static const char *const argv[] = {PASST_PATH, "--quiet", "--fd", "3", NULL};
	static const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, sigpipe;
	int error;

	sigemptyset(&none);
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSID);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &sigpipe);
	error = posix_spawn_file_actions_init(&files);
	if (!error)
		error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null",
							 O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&files, socket, PASST_FD);
	if (!error)
		error = posix_spawn(ret_pid, PASST_PATH, &files, &attributes,
				    (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -error;
}

/*
 * passt(1), --foreground: without it, the process ends once all is set up, and another one, in a
 * PID namespace of its own, serves the socket; --fd: that one quits when the socket is closed. So
 * the end of this one says whether all is well, and nobody need end the other.
 */
static int await_ready(pid_t pid, char *why, size_t why_size)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	snprintf(why, why_size, "--net passt: %s ended at once (%s %d): see what it said; it needs "
		 "a route to the outside, or start it by hand and give its socket",
		 PASST_PATH, WIFEXITED(status) ? "status" : "signal",
		 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return -ECHILD;
}

static int start(char *why, size_t why_size)
{
	int pair[2], error;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	error = spawn(pair[1], &pid);
	close(pair[1]);
	if (error)
		snprintf(why, why_size, "--net passt: %s: %s; apt-get install passt", PASST_PATH,
			 strerror(-error));
	else
		error = await_ready(pid, why, why_size);
	if (!error)
		return pair[0];
	close(pair[0]);
	return error;
}

int net_passt_open(const struct net_config *config, struct net_host *host, char *ret_why,
		   size_t why_size)
{
	int fd;

	snprintf(ret_why, why_size, "--net passt: out of memory or file descriptors");
	fd = config->socket[0] ? connect_to(config, ret_why, why_size) : start(ret_why, why_size);
	if (fd < 0)
		return fd;
	host->fd[0] = fd;
	return 0;
}
