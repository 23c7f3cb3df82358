/*
 * Inside vfio/: the messages of the vfio-user protocol, version 0.1, as far as its client uses
 * them. Pure: builds requests and reads replies, none of which is trusted. All numbers have the
 * host's byte order (vfio-user 0.1, Protocol Specification). docs/vfio-user.md tells what is used.
 */
#ifndef VFIO_USER_PROTOCOL_H
#define VFIO_USER_PROTOCOL_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/backend.h"

enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_DEVICE_FEATURE = 16,
};

struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /* of the message, this included */
	uint32_t flags;
#define VFIO_USER_TYPE_MASK 0xf
#define VFIO_USER_TYPE_COMMAND 0x0
#define VFIO_USER_TYPE_REPLY 0x1
#define VFIO_USER_NO_REPLY 0x10
#define VFIO_USER_ERROR 0x20
	uint32_t error; /* errno, with VFIO_USER_ERROR */
} __attribute__((packed));
_Static_assert(sizeof(struct vfio_user_header) == 16, "vfio-user header");

#define VFIO_USER_MAJOR 0
#define VFIO_USER_MINOR 1
#define VFIO_USER_JSON_MAX 2048
struct vfio_user_version {
	uint16_t major, minor;
	char json[VFIO_USER_JSON_MAX]; /* what is sent of it ends with its NUL */
} __attribute__((packed));
_Static_assert(offsetof(struct vfio_user_version, json) == 4, "vfio-user version");

struct vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags; /* VFIO_DEVICE_FLAGS_* */
	uint32_t num_regions;
	uint32_t num_irqs;
} __attribute__((packed));
_Static_assert(sizeof(struct vfio_user_device_info) == 16, "vfio-user device info");

struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags;
#define VFIO_USER_DMA_READ 0x1
#define VFIO_USER_DMA_WRITE 0x2
	uint64_t offset; /* in the file that goes with it */
	uint64_t addr;
	uint64_t size;
} __attribute__((packed));
_Static_assert(sizeof(struct vfio_user_dma_map) == 32, "vfio-user DMA map");

struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t addr;
	uint64_t size;
} __attribute__((packed));
_Static_assert(sizeof(struct vfio_user_dma_unmap) == 24, "vfio-user DMA unmap");

/* The data that is written, or was read, follows. */
struct vfio_user_access {
	uint64_t off;
	uint32_t region;
	uint32_t count;
} __attribute__((packed));
_Static_assert(sizeof(struct vfio_user_access) == 16, "vfio-user region access");

/* Of the kernel's, with nothing changed. */
_Static_assert(sizeof(struct vfio_region_info) == 32, "region info");
_Static_assert(sizeof(struct vfio_irq_info) == 16, "interrupt info");
_Static_assert(sizeof(struct vfio_irq_set) == 20, "interrupt set");
_Static_assert(sizeof(struct vfio_device_feature) == 8, "device feature");

/* The longest answer to VFIO_USER_DEVICE_GET_REGION_INFO that is taken. */
#define VFIO_USER_REGION_INFO_MAX (64U * 1024U)

/* What the server can take in one message. */
struct vfio_user_limits {
	uint32_t fds;
	uint32_t data; /* bytes of a region access */
};
#define VFIO_USER_DATA_MAX (1024U * 1024U) /* ours; also the server's where it does not say */

struct vfio_user_header vfio_user_header(uint16_t id, enum vfio_user_command command,
					 size_t payload);

/*
 * Is `reply` the answer to `request`, with no more than `payload_max` bytes behind it? Then 0, the
 * number of these bytes, and in `ret_error` what the server says of the request: 0 or a negative
 * errno (one that Linux has, else -EIO). -EPROTO: it is not.
 */
int vfio_user_reply_check(const struct vfio_user_header *request,
			  const struct vfio_user_header *reply, size_t payload_max,
			  size_t *ret_payload, int *ret_error);

/* Fills in our proposal; returns the bytes of it that are sent. */
size_t vfio_user_version_fill(struct vfio_user_version *version);

/* The parsers take `size` bytes of payload, and know nothing else that is true. -EPROTO for all
 * that no server may answer. */
int vfio_user_version_parse(const struct vfio_user_version *reply, size_t size,
			    struct vfio_user_limits *ret_limits);
int vfio_user_device_parse(const void *reply, size_t size, struct vfio_user_device_info *ret_info);

/* As vfio_region_parse(). What cannot be mapped, as no file came with it (`has_file`), traps. */
int vfio_user_region_parse(const void *reply, size_t size, unsigned int index, bool has_file,
			   struct vfio_region *ret_region);

/* Number of interrupts of `index` that an eventfd can take. */
int vfio_user_irq_parse(const void *reply, size_t size, unsigned int index);

/* Bytes that were moved, at most as many as asked for; `size` includes the data of a read. */
int vfio_user_access_parse(const struct vfio_user_access *request, bool is_write,
			   const struct vfio_user_access *reply, size_t size);

#endif
