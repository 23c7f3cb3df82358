#include "vmm/base/unix_stream.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/clock.h"

int unix_stream_connect(const char *path, unsigned int timeout_s)
{
	const struct timeval patience = {.tv_sec = timeout_s};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The limit for sending bounds connect() too, when the server's queue is full: EAGAIN. */
	if (!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) &&
	    !connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	error = -errno;
	close(fd);
	/* unix(7): connect() tells a file from a socket without a listener by nothing. */
	if (error == -ECONNREFUSED && !stat(path, &status) && !S_ISSOCK(status.st_mode))
		return -ENOTSOCK;
	return error;
}

struct iovec unix_stream_const_part(const void *base, size_t len)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)base, .iov_len = len};
}

void unix_stream_skip(struct iovec *parts, unsigned int count, size_t len)
{
	for (unsigned int i = 0; i < count; i++) {
		size_t step = len < parts[i].iov_len ? len : parts[i].iov_len;

		if (!step)
			continue; /* a part that is empty may be nowhere */
		parts[i].iov_base = (char *)parts[i].iov_base + step;
		parts[i].iov_len -= step;
		len -= step;
	}
}

/* Waits until the socket is ready for `events`. */
static int await(int fd, short events, uint64_t deadline_us)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now = clock_us();
		uint64_t left_ms = deadline_us > now ? (deadline_us - now + 999) / 1000 : 0;
		int r = poll(&poll_fd, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX);

		if (r > 0)
			return 0;
		if (r == 0 && clock_us() >= deadline_us)
			return -ETIMEDOUT;
		if (r < 0 && errno != EINTR)
			return -EIO;
	}
}

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(UNIX_STREAM_FDS_MAX * sizeof(int))];
};

static void attach_fds(struct msghdr *message, union control *control, const int *fds,
		       unsigned int fd_count)
{
	size_t size = fd_count * sizeof(int);

	memset(control, 0, sizeof(*control));
	control->header.cmsg_level = SOL_SOCKET;
	control->header.cmsg_type = SCM_RIGHTS;
	control->header.cmsg_len = (socklen_t)CMSG_LEN(size);
	memcpy(CMSG_DATA(&control->header), fds, size);
	message->msg_control = control;
	message->msg_controllen = (socklen_t)CMSG_SPACE(size);
}

int unix_stream_send(int fd, struct iovec *parts, unsigned int count, const int *fds,
		     unsigned int fd_count, uint64_t deadline_us)
{
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = (int)count};
	union control control;
	size_t left = 0;

	assert(fd_count <= UNIX_STREAM_FDS_MAX);
	for (unsigned int i = 0; i < count; i++)
		left += parts[i].iov_len;
	if (fd_count)
		attach_fds(&message, &control, fds, fd_count);
	while (left) {
		ssize_t r = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r >= 0) {
			/* The descriptors went with the first byte. */
			message.msg_control = NULL;
			message.msg_controllen = 0;
			unix_stream_skip(parts, count, (size_t)r);
			left -= (size_t)r;
		} else if (errno == EAGAIN) {
			int error = await(fd, POLLOUT, deadline_us);

			if (error)
				return error;
		} else if (errno != EINTR) {
			return errno == EPIPE || errno == ECONNRESET ? -ECONNRESET : -EIO;
		}
	}
	return 0;
}

/*
 * The descriptor that came with these bytes, if any. There is room for one where one may come, else
 * for none: the kernel drops the others and says so (recvmsg(2), MSG_CTRUNC). 0 or -EPROTO; `*fd`
 * is then to be closed all the same.
 */
static int take_fd(struct msghdr *message, int *fd)
{
	struct cmsghdr *header = message->msg_controllen ? CMSG_FIRSTHDR(message) : NULL;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(header), sizeof(int));
	return message->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
}

ssize_t unix_stream_receive(int fd, struct iovec *parts, unsigned int count, int *ret_fd,
			    uint64_t deadline_us)
{
	for (;;) {
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = (int)count};
		union control control;
		ssize_t r;

		if (ret_fd && *ret_fd < 0) {
			message.msg_control = &control;
			message.msg_controllen = CMSG_LEN(sizeof(int)); /* CMSG_SPACE() has two */
		}
		r = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (r > 0)
			return take_fd(&message, ret_fd) ? -EPROTO : r;
		if (r == 0 || (errno != EAGAIN && errno != EINTR))
			return -ECONNRESET;
		if (errno == EAGAIN) {
			int error = await(fd, POLLIN, deadline_us);

			if (error)
				return error;
		}
	}
}
