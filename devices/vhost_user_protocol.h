/*
 * The messages of vhost-user, as far as a front end of block devices and file systems needs them.
 * vhost-user, Message Specification. No I/O here.
 */
#ifndef DEVICES_VHOST_USER_PROTOCOL_H
#define DEVICES_VHOST_USER_PROTOCOL_H

#include <linux/vhost_types.h>
#include <stddef.h>
#include <stdint.h>

/* vhost-user, Front-end message types */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21, /* SLAVE_REQ in documents before 2023 */
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
};

/* vhost-user, Back-end message types */
#define VHOST_USER_BACKEND_CONFIG_CHANGE_MSG 2U

/* Of the device's features; vhost-user, Communication */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* vhost-user, Protocol features */
#define VHOST_USER_PROTOCOL_F_MQ 0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ 5
#define VHOST_USER_PROTOCOL_F_CONFIG 9

/* vhost-user, Header */
struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};
#define VHOST_USER_VERSION 0x1U
#define VHOST_USER_REPLY (1U << 2)
#define VHOST_USER_NEED_REPLY (1U << 3)
_Static_assert(sizeof(struct vhost_user_header) == 12, "vhost-user, Header");

/* vhost-user, Memory regions description */
#define VHOST_USER_REGIONS_MAX 8U
struct vhost_user_memory {
	uint32_t regions;
	uint32_t padding;
	struct vhost_user_region {
		uint64_t gpa, size;
		uint64_t address; /* by which the front end names the first byte */
		uint64_t fd_offset;
	} region[VHOST_USER_REGIONS_MAX];
};
_Static_assert(sizeof(struct vhost_user_region) == 32, "vhost-user, Memory regions description");

/* vhost-user, Virtio device config space */
#define VHOST_USER_CONFIG_MAX 256U
struct vhost_user_config_space {
	uint32_t off, size;
	uint32_t flags; /* 0: the driver writes */
	uint8_t bytes[VHOST_USER_CONFIG_MAX];
};

/* What answers `request`, whose reply's payload has `size` bytes: 0; -EREMOTEIO: an error of the
 * back end's (an empty payload); -EPROTO: no answer. */
int vhost_user_reply_check(enum vhost_user_request request, size_t size,
			   const struct vhost_user_header *reply);

/* Of what the back end says by itself, only a change of its configuration is agreed on: 0; -EPROTO:
 * it is something else. */
int vhost_user_message_check(const struct vhost_user_header *message);

/* The reply's own contents, which belong to what was asked: 0 or -EPROTO. */
int vhost_user_config_check(const struct vhost_user_config_space *request,
			    const struct vhost_user_config_space *reply);
int vhost_user_base_check(unsigned int index, const struct vhost_vring_state *reply,
			  uint16_t *ret_base);

#endif
