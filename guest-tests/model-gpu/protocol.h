/*
 * The vfio-user protocol, version 0.1, as far as a server of PCI functions needs it. Region,
 * interrupt and feature payloads have the kernel's layouts (<linux/vfio.h>). All numbers are
 * little-endian ("vfio-user Protocol Specification", section Protocol Specification); so are the
 * machines that this model is built for.
 */
#ifndef GUEST_TESTS_MODEL_GPU_PROTOCOL_H
#define GUEST_TESTS_MODEL_GPU_PROTOCOL_H

#include <linux/vfio.h>
#include <stdint.h>

enum user_command {
	USER_VERSION = 1,
	USER_DMA_MAP = 2,
	USER_DMA_UNMAP = 3,
	USER_DEVICE_GET_INFO = 4,
	USER_DEVICE_GET_REGION_INFO = 5,
	USER_DEVICE_GET_IRQ_INFO = 7,
	USER_DEVICE_SET_IRQS = 8,
	USER_REGION_READ = 9,
	USER_REGION_WRITE = 10,
	USER_DEVICE_RESET = 13,
	USER_DEVICE_FEATURE = 16,
	USER_COMMANDS,
};

struct user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size;  /* of the whole message */
	uint32_t flags;
#define USER_TYPE_MASK 0xfU
#define   USER_TYPE_COMMAND 0x0U
#define   USER_TYPE_REPLY 0x1U
#define USER_NO_REPLY 0x10U
#define USER_ERROR 0x20U
	uint32_t error; /* errno, with USER_ERROR */
};
_Static_assert(sizeof(struct user_header) == 16, "header");

struct user_version {
	uint16_t major;
	uint16_t minor;
};
_Static_assert(sizeof(struct user_version) == 4, "version");

struct user_dma_map {
	uint32_t argsz;
	uint32_t flags;
#define USER_DMA_READ 0x1U
#define USER_DMA_WRITE 0x2U
	uint64_t fd_offset;
	uint64_t iova;
	uint64_t size;
};
_Static_assert(sizeof(struct user_dma_map) == 32, "DMA map");

struct user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;
};
_Static_assert(sizeof(struct user_dma_unmap) == 24, "DMA unmap");

struct user_device_info {
	uint32_t argsz;
	uint32_t flags; /* VFIO_DEVICE_FLAGS_* */
	uint32_t regions;
	uint32_t irqs;
};
_Static_assert(sizeof(struct user_device_info) == 16, "device info");

struct user_access {
	uint64_t off;
	uint32_t region;
	uint32_t count;
};
_Static_assert(sizeof(struct user_access) == 16, "region access");

#define USER_DATA_MAX (1024U * 1024U) /* bytes of one region access */
#define USER_MESSAGE_MAX (sizeof(struct user_header) + sizeof(struct user_access) + USER_DATA_MAX)
#define USER_FDS_MAX 16U

#endif
