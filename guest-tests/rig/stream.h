/*
 * A stream of known bytes that is sent and had back, over TCP or AF_VSOCK: host and guest have both
 * ends of it.
 */
#ifndef GUEST_TESTS_RIG_STREAM_H
#define GUEST_TESTS_RIG_STREAM_H

#include <stddef.h>
#include <sys/socket.h>

/* Connects. A descriptor or negative errno. */
int stream_connect(const struct sockaddr *to, socklen_t len);

/* Connects, sends `bytes` and checks what comes back; `*ret_received` is how many were right. 0 or
 * negative errno. */
int stream_there_and_back(const struct sockaddr *to, socklen_t len, size_t bytes,
			  size_t *ret_received);

/* Starts a process that gives back what it gets at this address, a connection after the other. 0 or
 * negative errno. */
int stream_echo(const struct sockaddr *at, socklen_t len);

/* The same three for AF_VSOCK; the server is reached from everywhere. */
int vsock_connect(unsigned int cid, unsigned int port);
int vsock_there_and_back(unsigned int cid, unsigned int port, size_t bytes, size_t *ret_received);
int vsock_echo(unsigned int port);

#endif
