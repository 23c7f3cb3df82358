#include "vmm/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	_Static_assert(sizeof(address.sun_path) == UNIX_SOCKET_PATH_SIZE, "unix(7)");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

static const struct sockaddr *generic(const struct sockaddr_un *address)
{
	return (const struct sockaddr *)address;
}

/* renameat2(2), which musl does not have: both flags leave nothing to chance between a look and a
 * deed. */
static int rename_with(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) ? -errno : 0;
}

/* Why `path` may not be taken; NULL: it is the socket of a program that has ended. */
static const char *reason_against(const char *path)
{
	const struct sockaddr_un address = address_of(path);
	struct stat status;
	int fd, error;

	if (lstat(path, &status))
		return strerror(errno);
	if (!S_ISSOCK(status.st_mode))
		return "there is a file of this name, which is no socket";
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return strerror(errno);
	error = connect(fd, generic(&address), sizeof(address)) ? errno : 0;
	close(fd);
	if (error == ECONNREFUSED)
		return NULL;
	return error && error != EAGAIN ? strerror(error)
					: "another program listens on this socket";
}

/* Gives the listening socket `fresh` the name `path`. A stale one is swapped for it and looked at
 * again, because another program may have done the same in between. */
static const char *take_name(const char *fresh, const char *path)
{
	int error = rename_with(fresh, path, RENAME_NOREPLACE);
	const char *reason;

	if (error != -EEXIST)
		return error ? strerror(-error) : NULL;
	reason = reason_against(path);
	if (reason)
		return reason;
	error = rename_with(fresh, path, RENAME_EXCHANGE);
	if (error)
		return strerror(-error);
	reason = reason_against(fresh);
	if (reason)
		rename_with(fresh, path, RENAME_EXCHANGE);
	return reason;
}

/* Where the socket is made, beside its place: DIRECTORY/.PID. */
static bool make_fresh_name(const char *path, char ret_name[UNIX_SOCKET_PATH_SIZE])
{
	const char *last = strrchr(path, '/');
	int dir = last ? (int)(last - path) + 1 : 0;

	return snprintf(ret_name, UNIX_SOCKET_PATH_SIZE, "%.*s.%d", dir, path, (int)getpid()) <
	       (int)UNIX_SOCKET_PATH_SIZE;
}

/* A node has the mode of the socket that is bound, less the umask: Linux, net/unix/af_unix.c,
 * unix_bind_bsd(). So there is no moment in which others could connect. */
static int bind_and_listen(int fd, const char *name)
{
	const struct sockaddr_un address = address_of(name);

	if (fchmod(fd, 0600) || bind(fd, generic(&address), sizeof(address)))
		return -errno;
	return chmod(name, 0600) || listen(fd, BACKLOG) ? -errno : 0;
}

static const char *make(const char *path, struct unix_socket *socket)
{
	char fresh[UNIX_SOCKET_PATH_SIZE];
	struct stat status;
	const char *reason;
	int error;

	if (!make_fresh_name(path, fresh))
		return "there is no room for .PID in the same directory; use a shorter path";
	if (!reason_against(fresh))
		unlink(fresh); /* of an earlier program of this number */
	error = bind_and_listen(socket->fd, fresh);
	if (!error && lstat(fresh, &status))
		error = -errno;
	if (error)
		return strerror(-error);
	socket->device = status.st_dev;
	socket->inode = status.st_ino;
	reason = take_name(fresh, path);
	unlink(fresh);
	return reason;
}

int unix_socket_listen(const char *path, struct unix_socket *ret_socket, char *ret_why,
		       size_t why_size)
{
	struct unix_socket fresh = {
		.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	const char *reason = fresh.fd < 0 ? strerror(errno) : make(path, &fresh);

	if (reason) {
		snprintf(ret_why, why_size, "--api %s: %s", path, reason);
		if (fresh.fd >= 0)
			close(fresh.fd);
		return -EADDRINUSE;
	}
	snprintf(fresh.path, sizeof(fresh.path), "%s", path);
	*ret_socket = fresh;
	return 0;
}

void unix_socket_close(struct unix_socket *socket)
{
	struct stat status;

	if (socket->fd < 0)
		return;
	if (!lstat(socket->path, &status) && status.st_dev == socket->device &&
	    status.st_ino == socket->inode)
		unlink(socket->path);
	close(socket->fd);
	socket->fd = -1;
}
