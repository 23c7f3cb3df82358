/*
 * Option --vhost-user, parsed: a device of the guest that another process serves.
 */
#ifndef DEVICES_VHOST_USER_CONFIG_H
#define DEVICES_VHOST_USER_CONFIG_H

#include <stddef.h>

struct text;

#define VHOST_USER_MAX 8           /* option --vhost-user is repeatable so often */
#define VHOST_USER_QUEUES_MAX 16U  /* of requests */
#define VHOST_USER_SOCKET_SIZE 108 /* struct sockaddr_un.sun_path */
#define VHOST_USER_TAG_SIZE 37     /* struct virtio_fs_config.tag, and the NUL */

enum vhost_user_type {
	VHOST_USER_BLOCK,
	VHOST_USER_FS,
};

/* TYPE,PATH[,tag=NAME][,queues=N], where PATH may be written as socket=PATH */
struct vhost_user_config {
	enum vhost_user_type type;
	char socket[VHOST_USER_SOCKET_SIZE];
	char tag[VHOST_USER_TAG_SIZE]; /* of a file system, by which the guest mounts it */
	unsigned int queues;           /* of requests, 1 to VHOST_USER_QUEUES_MAX */
};

/* "block", "fs" */
const char *vhost_user_type_name(enum vhost_user_type type);

/* 0, or -EINVAL with a sentence in `ret_why`. */
int vhost_user_config_parse(const char *text, struct vhost_user_config *ret_config, char *ret_why,
			    size_t why_size);

/* Appends what vhost_user_config_parse() takes for the same. */
void vhost_user_config_format(const struct vhost_user_config *config, struct text *ret_text);

#endif
