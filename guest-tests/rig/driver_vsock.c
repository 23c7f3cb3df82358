/* Steps about AF_VSOCK, on the host's side. */
#include "guest-tests/rig/driver.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-tests/rig/stream.h"

#define ENDED_MS 20000U

static int held = -1; /* a connection that is only looked at */

static unsigned int number(const struct words *words, unsigned int index)
{
	return (unsigned int)strtoul(words->word[index], NULL, 0);
}

/* host vsock-echo PORT: a server */
int do_host_vsock_echo(struct rig *rig, const struct words *words, const char *rest)
{
	int error = vsock_echo(number(words, 2));

	(void)rig;
	(void)rest;
	return error ? fail("port %s: %s", words->word[2], strerror(-error)) : 0;
}

/* host vsock-stream CID PORT BYTES */
int do_host_vsock_stream(struct rig *rig, const struct words *words, const char *rest)
{
	size_t received = 0;
	int error = vsock_there_and_back(number(words, 2), number(words, 3), number(words, 4),
					 &received);

	(void)rest;
	snprintf(rig->answer, sizeof(rig->answer), "%zu", received);
	return error ? fail("%zu bytes came back, then: %s", received, strerror(-error)) : 0;
}

/* host vsock-hold CID PORT: connects, and says nothing */
int do_host_vsock_hold(struct rig *rig, const struct words *words, const char *rest)
{
	(void)rig;
	(void)rest;
	if (held >= 0)
		close(held);
	held = vsock_connect(number(words, 2), number(words, 3));
	return held < 0 ? fail("CID %s: %s", words->word[2], strerror(-held)) : 0;
}

static int is_ended(struct rig *rig, void *arg)
{
	char byte;
	ssize_t len = recv(held, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	(void)arg;
	rig->sampling = true;
	return len == 0 || (len < 0 && errno != EAGAIN);
}

/* host vsock-ended: the held connection is closed or reset by the other side */
int do_host_vsock_ended(struct rig *rig, const struct words *words, const char *rest)
{
	int result;

	(void)rest;
	result = rig_wait(rig, is_ended, NULL, timeout_or(words, ENDED_MS));
	rig->sampling = false;
	return result == WAIT_TIMEOUT ? fail("the connection is still there") : result;
}
