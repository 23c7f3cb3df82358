/*
 * One request of vhost-user and its answer, in time or not at all.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "devices/vhost_user_internal.h"
#include "vmm/base/bits.h"
#include "vmm/base/unix_stream.h"

#define FEATURE(bit) (1ULL << (bit))

int vhost_user_fail(struct vhost_user *user, int error, const char *what)
{
	if (user->failed)
		return error;
	user->failed = true;
	snprintf(user->why, sizeof(user->why), "%s", what);
	user->listener->lost(user->listener->opaque, error, what);
	shutdown(user->fd, SHUT_RDWR);
	return error;
}

static int fail_stream(struct vhost_user *user, int error)
{
	const char *what = error == -ETIMEDOUT ? "did not answer in time"
			 : error == -ECONNRESET ? "closed the connection"
			 : error == -EPROTO ? "sent files that were not asked for"
					    : "cannot be reached";

	return vhost_user_fail(user, error, what);
}

static int receive(struct vhost_user *user, const struct vhost_user_call *call)
{
	struct vhost_user_header header;
	struct iovec parts[] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = call->reply, .iov_len = call->reply_size},
	};
	size_t got = 0;

	while (got < sizeof(header) + call->reply_size) {
		ssize_t r = unix_stream_receive(user->fd, parts, ARRAY_SIZE(parts), NULL,
						call->deadline_us);
		bool checked = got >= sizeof(header);
		int error = 0;

		if (r < 0)
			return fail_stream(user, (int)r);
		got += (size_t)r;
		unix_stream_skip(parts, ARRAY_SIZE(parts), (size_t)r);
		if (!checked && got >= sizeof(header))
			error = vhost_user_reply_check(call->request, call->reply_size, &header);
		if (error)
			return vhost_user_fail(user, error,
					       error == -EREMOTEIO ? "refuses to answer"
								   : "sent what is no answer");
	}
	return 0;
}

/* vhost-user, VHOST_USER_PROTOCOL_F_REPLY_ACK: a request without a reply gets one all the same. */
int vhost_user_call(struct vhost_user *user, struct vhost_user_call call)
{
	struct vhost_user_header header = {
		.request = call.request, .flags = VHOST_USER_VERSION, .size = (uint32_t)call.size};
	struct iovec parts[] = {unix_stream_const_part(&header, sizeof(header)),
				unix_stream_const_part(call.payload, call.size)};
	bool acknowledged = !call.reply &&
			    user->protocol & FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK);
	uint64_t refusal = 0;
	int error;

	if (user->failed)
		return -EIO;
	if (acknowledged) {
		header.flags |= VHOST_USER_NEED_REPLY;
		call.reply = &refusal;
		call.reply_size = sizeof(refusal);
	}
	error = unix_stream_send(user->fd, parts, ARRAY_SIZE(parts), call.fds, call.fd_count,
				 call.deadline_us);
	if (error)
		return fail_stream(user, error);
	if (call.reply)
		error = receive(user, &call);
	return !error && refusal ? -EREMOTEIO : error;
}

int vhost_user_get_u64(struct vhost_user *user, enum vhost_user_request request,
		       uint64_t *ret_value, uint64_t deadline_us)
{
	return vhost_user_call(user, (struct vhost_user_call){
		.request = request, .reply = ret_value, .reply_size = sizeof(*ret_value),
		.deadline_us = deadline_us});
}

int vhost_user_set(struct vhost_user *user, enum vhost_user_request request, const void *payload,
		   size_t size, uint64_t deadline_us)
{
	return vhost_user_call(user, (struct vhost_user_call){
		.request = request, .payload = payload, .size = size,
		.deadline_us = deadline_us});
}

int vhost_user_set_state(struct vhost_user *user, enum vhost_user_request request,
			 unsigned int index, unsigned int number, uint64_t deadline_us)
{
	const struct vhost_vring_state state = {.index = index, .num = number};

	return vhost_user_set(user, request, &state, sizeof(state), deadline_us);
}

int vhost_user_set_fd(struct vhost_user *user, enum vhost_user_request request, unsigned int index,
		      int fd, uint64_t deadline_us)
{
	const uint64_t payload = index;

	return vhost_user_call(user, (struct vhost_user_call){
		.request = request, .payload = &payload, .size = sizeof(payload), .fds = &fd,
		.fd_count = 1, .deadline_us = deadline_us});
}
