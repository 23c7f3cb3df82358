#include "devices/vhost_user_protocol.h"

#include <errno.h>

/* A back end may leave the request's flag "need reply" where it is. */
int vhost_user_reply_check(enum vhost_user_request request, size_t size,
			   const struct vhost_user_header *reply)
{
	if (reply->request != request ||
	    (reply->flags & ~VHOST_USER_NEED_REPLY) != (VHOST_USER_VERSION | VHOST_USER_REPLY))
		return -EPROTO;
	/* vhost-user, Front-end message types, VHOST_USER_GET_CONFIG: "zero length of payload to
	 * indicate an error". Some take that for the message's, some for the bytes in it. */
	if (request == VHOST_USER_GET_CONFIG &&
	    (!reply->size || reply->size == offsetof(struct vhost_user_config_space, bytes)))
		return -EREMOTEIO;
	return reply->size == size ? 0 : -EPROTO;
}

int vhost_user_message_check(const struct vhost_user_header *message)
{
	return message->request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG && !message->size &&
			       (message->flags & ~VHOST_USER_NEED_REPLY) == VHOST_USER_VERSION
		       ? 0
		       : -EPROTO;
}

int vhost_user_config_check(const struct vhost_user_config_space *request,
			    const struct vhost_user_config_space *reply)
{
	return reply->off == request->off && reply->size == request->size ? 0 : -EPROTO;
}

int vhost_user_base_check(unsigned int index, const struct vhost_vring_state *reply,
			  uint16_t *ret_base)
{
	if (reply->index != index || reply->num > UINT16_MAX)
		return -EPROTO;
	*ret_base = (uint16_t)reply->num;
	return 0;
}
