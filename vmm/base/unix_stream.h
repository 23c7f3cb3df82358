/*
 * A UNIX stream socket on which requests go out and answers come back, with descriptors, to a
 * process that nothing is taken for granted of: no call waits beyond its deadline, and no more
 * descriptors are taken than may come.
 */
#ifndef VMM_BASE_UNIX_STREAM_H
#define VMM_BASE_UNIX_STREAM_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Descriptors that go with one message. */
#define UNIX_STREAM_FDS_MAX 16U

/* Connects to the server at `path`; waits `timeout_s` at most while its queue is full (then
 * -EAGAIN). The socket; -ENAMETOOLONG, -ENOTSOCK when it is a file of another kind, or another
 * negative errno of socket() or connect(). */
int unix_stream_connect(const char *path, unsigned int timeout_s);

/* A part that is only read: struct iovec has no const in it. */
struct iovec unix_stream_const_part(const void *base, size_t len);

/* Takes the first `len` bytes off the parts. */
void unix_stream_skip(struct iovec *parts, unsigned int count, size_t len);

/*
 * Sends all of the parts, which are used up, and with their first byte copies of the descriptors.
 * 0; -ETIMEDOUT after `deadline_us` of clock_us(), -ECONNRESET when the other side has closed it,
 * -EIO.
 */
int unix_stream_send(int fd, struct iovec *parts, unsigned int count, const int *fds,
		     unsigned int fd_count, uint64_t deadline_us);

/*
 * Receives some bytes, as many as there are and the parts have room for; the parts stay as they
 * are. One descriptor may come where `ret_fd` is given and negative; it is stored there, also when
 * the call fails. The number of bytes; -ETIMEDOUT, -ECONNRESET, -EIO as above, -EPROTO when other
 * descriptors came.
 */
ssize_t unix_stream_receive(int fd, struct iovec *parts, unsigned int count, int *ret_fd,
			    uint64_t deadline_us);

#endif
