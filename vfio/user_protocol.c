#include "vfio/user_protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vfio/abi.h"
#include "vmm/base/bits.h"
#include "vmm/base/json_read.h"

#define TOKENS_MAX 128
#define ERRNO_LAST EHWPOISON /* of Linux on x86 */
#define DATA_LEAST 8U        /* an access of the guest's is never torn apart */

struct vfio_user_header vfio_user_header(uint16_t id, enum vfio_user_command command,
					 size_t payload)
{
	return (struct vfio_user_header) {
		.id = id,
		.command = (uint16_t)command,
		.size = (uint32_t)(sizeof(struct vfio_user_header) + payload),
		.flags = VFIO_USER_TYPE_COMMAND,
	};
}

/* vfio-user 0.1, Header: the errno is optional, zero even where the Error bit is set. */
static int reply_error(const struct vfio_user_header *reply)
{
	if (!(reply->flags & VFIO_USER_ERROR))
		return 0;
	return reply->error >= 1 && reply->error <= ERRNO_LAST ? -(int)reply->error : -EIO;
}

/*
 * Deviation: vfio-user 0.1, Header allows no payload with an error, this does:
 * libvfio-user sends what it had prepared (lib/tran_sock.c, tran_sock_reply()).
 */
int vfio_user_reply_check(const struct vfio_user_header *request,
			  const struct vfio_user_header *reply, size_t payload_max,
			  size_t *ret_payload, int *ret_error)
{
	const uint32_t known = VFIO_USER_TYPE_MASK | VFIO_USER_NO_REPLY | VFIO_USER_ERROR;

	if (reply->id != request->id || reply->command != request->command ||
	    (reply->flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_REPLY ||
	    (reply->flags & ~known) || reply->size < sizeof(*reply) ||
	    reply->size - sizeof(*reply) > payload_max)
		return -EPROTO;
	*ret_payload = reply->size - sizeof(*reply);
	*ret_error = reply_error(reply);
	return 0;
}

/* One descriptor a message is all that we take: the file of a region. */
size_t vfio_user_version_fill(struct vfio_user_version *version)
{
	int len = snprintf(version->json, sizeof(version->json),
			   "{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":%u}}",
			   VFIO_USER_DATA_MAX);

	version->major = VFIO_USER_MAJOR;
	version->minor = VFIO_USER_MINOR;
	return offsetof(struct vfio_user_version, json) + (size_t)len + 1;
}

static int parse_capabilities(const char *json, size_t len, struct vfio_user_limits *limits)
{
	const struct {
		const char *name;
		uint32_t max, *value;
	} numbers[] = {
		{"max_msg_fds", UINT32_MAX, &limits->fds},
		{"max_data_xfer_size", VFIO_USER_DATA_MAX, &limits->data},
	};
	jsmntok_t tokens[TOKENS_MAX];
	struct json_doc doc;
	unsigned int caps;

	if (json_parse(json, len, tokens, TOKENS_MAX, &doc) || tokens[0].type != JSMN_OBJECT)
		return -EPROTO;
	caps = json_member(&doc, 0, "capabilities");
	if (!caps)
		return 0;
	if (tokens[caps].type != JSMN_OBJECT)
		return -EPROTO;
	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		unsigned int at = json_member(&doc, caps, numbers[i].name);
		uint64_t number;

		if (!at)
			continue;
		if (!json_get_number(&doc, at, numbers[i].max, &number))
			return -EPROTO;
		*numbers[i].value = (uint32_t)number;
	}
	return 0;
}

int vfio_user_version_parse(const struct vfio_user_version *reply, size_t size,
			    struct vfio_user_limits *ret_limits)
{
	/* vfio-user 0.1, VFIO_USER_VERSION: what holds where the server does not say. */
	struct vfio_user_limits limits = {.fds = 1, .data = VFIO_USER_DATA_MAX};
	const size_t head = offsetof(struct vfio_user_version, json);
	int r = 0;

	if (size < head || size > sizeof(*reply) || reply->major != VFIO_USER_MAJOR ||
	    reply->minor > VFIO_USER_MINOR)
		return -EPROTO;
	if (size > head) {
		size_t len = strnlen(reply->json, size - head);

		if (len != size - head - 1)
			return -EPROTO;
		r = len ? parse_capabilities(reply->json, len, &limits) : 0;
	}
	if (r < 0)
		return r;
	if (!limits.fds || limits.data < DATA_LEAST)
		return -EPROTO;
	*ret_limits = limits;
	return 0;
}

int vfio_user_device_parse(const void *reply, size_t size, struct vfio_user_device_info *ret_info)
{
	if (size != sizeof(*ret_info))
		return -EPROTO;
	memcpy(ret_info, reply, sizeof(*ret_info));
	return 0;
}

int vfio_user_region_parse(const void *reply, size_t size, unsigned int index, bool has_file,
			   struct vfio_region *ret_region)
{
	struct vfio_region_info info;
	struct vfio_region region;

	if (size < sizeof(info))
		return -EPROTO;
	memcpy(&info, reply, sizeof(info));
	/* More in argsz than there is: the capabilities did not fit into what we take at most. */
	if (info.index != index || info.argsz > size || vfio_region_parse(reply, size, &region) < 0)
		return -EPROTO;
	if (!has_file)
		region.areas = 0;
	*ret_region = region;
	return 0;
}

int vfio_user_irq_parse(const void *reply, size_t size, unsigned int index)
{
	/* Those of PCI; more is a lie, and nobody could use them. */
	static const uint32_t most[] = {
		[VFIO_PCI_INTX_IRQ_INDEX] = 1,
		[VFIO_PCI_MSI_IRQ_INDEX] = 32,
		[VFIO_PCI_MSIX_IRQ_INDEX] = 2048,
		[VFIO_PCI_ERR_IRQ_INDEX] = 1,
		[VFIO_PCI_REQ_IRQ_INDEX] = 1,
	};
	struct vfio_irq_info info;

	if (size != sizeof(info) || index >= ARRAY_SIZE(most))
		return -EPROTO;
	memcpy(&info, reply, sizeof(info));
	if (info.index != index)
		return -EPROTO;
	if (!(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	return (int)(info.count < most[index] ? info.count : most[index]);
}

int vfio_user_access_parse(const struct vfio_user_access *request, bool is_write,
			   const struct vfio_user_access *reply, size_t size)
{
	if (size < sizeof(*reply) || reply->off != request->off ||
	    reply->region != request->region || reply->count > request->count ||
	    size - sizeof(*reply) != (is_write ? 0 : reply->count))
		return -EPROTO;
	return (int)reply->count;
}
