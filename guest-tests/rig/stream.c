#include "guest-tests/rig/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <unistd.h>

#define TIMEOUT_MS 60000

/* Byte number `at` of it. */
static unsigned char stream_byte(size_t at)
{
	return (unsigned char)(at * 2654435761U >> 13);
}

static int send_piece(int fd, size_t *sent, size_t bytes)
{
	static unsigned char piece[65536];
	size_t len = bytes - *sent < sizeof(piece) ? bytes - *sent : sizeof(piece);
	ssize_t taken;

	for (size_t i = 0; i < len; i++)
		piece[i] = stream_byte(*sent + i);
	taken = send(fd, piece, len, MSG_NOSIGNAL);
	if (taken < 0)
		return errno == EAGAIN ? 0 : -errno;
	*sent += (size_t)taken;
	return 0;
}

static int receive_piece(int fd, size_t *received, size_t bytes)
{
	static unsigned char piece[65536];
	ssize_t len = recv(fd, piece, sizeof(piece), 0);

	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (!len || (size_t)len > bytes - *received)
		return -EPIPE;
	for (ssize_t i = 0; i < len; i++)
		if (piece[i] != stream_byte(*received + (size_t)i))
			return -EBADMSG;
	*received += (size_t)len;
	return 0;
}

static int exchange(int fd, size_t bytes, size_t *received)
{
	size_t sent = 0;
	int error = 0;

	while (!error && *received < bytes) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};

		if (sent < bytes)
			wait.events |= POLLOUT;
		if (poll(&wait, 1, TIMEOUT_MS) <= 0)
			return -ETIMEDOUT;
		if (sent < bytes && wait.revents & POLLOUT)
			error = send_piece(fd, &sent, bytes);
		if (!error && wait.revents & (POLLIN | POLLERR | POLLHUP))
			error = receive_piece(fd, received, bytes);
	}
	return error;
}

int stream_connect(const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	if (!connect(fd, to, len))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int stream_there_and_back(const struct sockaddr *to, socklen_t len, size_t bytes,
			  size_t *ret_received)
{
	int error = 0, fd = stream_connect(to, len);

	*ret_received = 0;
	if (fd < 0)
		return fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		error = -errno;
	if (!error)
		error = exchange(fd, bytes, ret_received);
	close(fd);
	return error;
}

static _Noreturn void serve(int listener)
{
	static char bytes[65536];

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t len;

		while (fd >= 0 && (len = read(fd, bytes, sizeof(bytes))) > 0)
			for (ssize_t done = 0; done < len;) {
				ssize_t written = write(fd, bytes + done, (size_t)(len - done));

				if (written < 0)
					break;
				done += written;
			}
		close(fd);
	}
}

int stream_echo(const struct sockaddr *at, socklen_t len)
{
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;
	pid_t pid;

	if (fd < 0)
		return -errno;
	if (bind(fd, at, len) < 0 || listen(fd, 4) < 0)
		error = -errno;
	pid = error ? -1 : fork();
	if (pid == 0)
		serve(fd);
	if (!error && pid < 0)
		error = -errno;
	close(fd);
	return error;
}

/* --- AF_VSOCK --- */

static struct sockaddr_vm vsock_address(unsigned int cid, unsigned int port)
{
	return (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
}

int vsock_connect(unsigned int cid, unsigned int port)
{
	const struct sockaddr_vm to = vsock_address(cid, port);

	return stream_connect((const struct sockaddr *)&to, sizeof(to));
}

int vsock_there_and_back(unsigned int cid, unsigned int port, size_t bytes, size_t *ret_received)
{
	const struct sockaddr_vm to = vsock_address(cid, port);

	return stream_there_and_back((const struct sockaddr *)&to, sizeof(to), bytes,
				     ret_received);
}

int vsock_echo(unsigned int port)
{
	const struct sockaddr_vm at = vsock_address(VMADDR_CID_ANY, port);

	return stream_echo((const struct sockaddr *)&at, sizeof(at));
}
