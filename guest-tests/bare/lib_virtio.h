/*
 * A virtio driver for the guests: a modern PCI function, its registers, and split queues whose
 * rings the guest may also fill with nonsense. VIRTIO 1.2, 4.1 Virtio Over PCI Bus.
 */
#ifndef GUEST_TESTS_BARE_LIB_VIRTIO_H
#define GUEST_TESTS_BARE_LIB_VIRTIO_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "guest-tests/bare/lib.h"

#define FEATURE(bit) (1ULL << (bit))
#define QUEUE_SIZE 256U
#define STATUS_DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

struct virtio {
	uint16_t bdf;
	uint64_t common, isr, config, notify; /* addresses of the structures; 0: there is none */
	uint32_t multiplier;
};

struct queue {
	const struct virtio *dev;
	uint16_t index, size;
	struct vring_desc desc[QUEUE_SIZE] __attribute__((aligned(4096)));
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
	} avail __attribute__((aligned(4096)));
	struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[QUEUE_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4096)));
	uint16_t seen; /* used entries taken so far */
	bool event_idx;
};

/* Number `index` of the functions of this type on bus 0, its memory decode and Bus Master on. */
bool virtio_find(unsigned int type, unsigned int index, struct virtio *ret_dev);

/* Registers of the common configuration (VIRTIO_PCI_COMMON_*). */
uint32_t virtio_read(const struct virtio *dev, unsigned int off, unsigned int len);
void virtio_write(const struct virtio *dev, unsigned int off, unsigned int len, uint32_t value);
uint8_t virtio_status(const struct virtio *dev);
/* Has it broken? `dev` is a struct virtio; for wait_until(). */
bool virtio_needs_reset(void *dev);

uint64_t virtio_features(const struct virtio *dev);
/* From a reset to FEATURES_OK; false when the device does not take these features. */
bool virtio_negotiate(const struct virtio *dev, uint64_t features);
/* Resets and awaits that it is done. */
void virtio_reset(const struct virtio *dev);
void virtio_driver_ok(const struct virtio *dev);

/* An empty queue, enabled; `vector` or VIRTIO_MSI_NO_VECTOR. */
void queue_setup(struct queue *queue, const struct virtio *dev, uint16_t index, uint16_t size,
		 uint16_t vector);
/* Offers the chain that begins at descriptor `head`; the device is not told. */
void queue_offer(struct queue *queue, uint16_t head);
void queue_kick(const struct queue *queue);
/* As the driver's manners want it: told unless it asked not to be. True: it was told. */
bool queue_kick_if_wanted(const struct queue *queue, uint16_t offered_before);
/* Polls until `count` more entries are used, or false. */
bool queue_wait(const struct queue *queue, uint16_t count);
bool queue_has_used(const struct queue *queue);
struct vring_used_elem queue_take(struct queue *queue);

#endif
