/*
 * Virtio devices, whatever they do and however the driver reaches them: features, status, queues
 * and notifications. A type of device (virtio_block.c) implements struct virtio_ops; a transport
 * (virtio_pci.c) shows the registers of struct virtio_dev to the driver. VIRTIO 1.2, 2 Basic
 * Facilities of a Virtio Device.
 *
 * A device *runs* while the driver has set DRIVER_OK, nothing is broken, and the transport lets it
 * reach memory. Between ops->start and ops->stop it serves its queues on threads of its own (or
 * leaves that to vhost); no other time.
 *
 *	driver -> device: struct virtio_queue.kick_fd, signalled by the kernel (vmm/doorbell.h)
 *	                  or by the transport
 *	device -> driver: struct virtio_queue.call_fd, taken by the kernel (irqfd) or by the
 *	                  transport
 *
 * Locks: the transport's lock (struct pci_dev.lock) is held around every op and protects all that
 * is not said to be atomic. The threads of a device never take it, because ops->stop waits for them
 * with it held: they use the functions marked "any thread" below, which take no lock.
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtqueue.h"

struct mem;
struct virtio_dev;

#define VIRTIO_QUEUES_MAX 64U
#define VIRTIO_NAME_SIZE 24

/* What a type of device does. One static const instance per type. */
struct virtio_ops {
	const char *type;       /* "virtio-block" */
	uint16_t id;            /* VIRTIO_ID_* of <linux/virtio_ids.h> */
	uint32_t pci_class;     /* 24 bits */
	bool awaits_host;       /* stop and reset wait for the host's storage, or another process */
	/* Where there is a configuration (config_size): `len` bytes at `off`, which lie inside. */
	void (*config_read)(struct virtio_dev *dev, uint32_t off, uint32_t len, uint8_t *ret_bytes);
	/* Optional: without it, writes are dropped. */
	void (*config_write)(struct virtio_dev *dev, uint32_t off, uint32_t len,
			     const uint8_t *bytes);
	/* Optional: of the offered features, does this choice make sense? Without it, any does. */
	bool (*accepts)(uint64_t features);
	/*
	 * Begins to serve the queues that are `enabled`; their rings are ready, dev->accepted is
	 * final. After a stop without a reset it goes on where it was. A negative errno: it
	 * cannot, the driver will be told that the device needs a reset.
	 */
	int (*start)(struct virtio_dev *dev);
	/* Ends it. When this returns, no thread and no host request of the device touches guest
	 * memory or a queue: what was in flight is completed. Not called unless started. In a reset
	 * dev->status is 0 already. */
	void (*stop)(struct virtio_dev *dev);
	/* Optional. The device is stopped, and forgets what the driver told it. */
	void (*reset)(struct virtio_dev *dev);
};

struct virtio_queue {
	uint16_t max_size;      /* what the device offers; set before virtio_dev_init() returns */
	uint16_t size;          /* the driver's registers, frozen by virtio_queue_frozen() */
	bool enabled;
	uint64_t desc, avail, used;
	struct virtqueue ring;  /* the device's thread's, while it runs */
	int kick_fd, call_fd;   /* eventfds, non-blocking; live as long as the device */
};

struct virtio_dev {
	const struct virtio_ops *ops;
	char name[VIRTIO_NAME_SIZE]; /* for diagnostics: "disk0" */
	const struct mem *mem;       /* set by the transport, before any vCPU runs */
	uint64_t features;      /* offered */
	uint64_t accepted;      /* by the driver; final from FEATURES_OK on */
	uint32_t config_size;   /* bytes of device-specific configuration, 0: none */
	unsigned int queues;
	struct virtio_queue *queue;
	uint8_t status;         /* as written; see virtio_dev_status() */
	bool bus_master;        /* the transport lets the device reach memory */
	bool ready;             /* the rings are taken over: DRIVER_OK was set, no reset since */
	bool running;           /* between ops->start and ops->stop */
	uint8_t generation;     /* config_generation */
	int config_fd;          /* eventfd: the configuration, or the need of a reset, changed */
	atomic_bool broken;     /* DEVICE_NEEDS_RESET */
	atomic_bool config_changed; /* since the driver last read any of the configuration */
};

/* --- for devices --- */

/*
 * Prepares a zeroed device that offers `features` besides those of the ring, with `queues` queues
 * of at most `queue_size` entries (a power of two). 0, or a negative errno with nothing to undo.
 */
int virtio_dev_init(struct virtio_dev *dev, const struct virtio_ops *ops, uint64_t features,
		    unsigned int queues, uint16_t queue_size);

/* Of a device that is stopped. Accepts a zeroed one. */
void virtio_dev_finish(struct virtio_dev *dev);

static inline bool virtio_dev_has(const struct virtio_dev *dev, unsigned int feature)
{
	return dev->accepted & 1ULL << feature;
}

/* Tells the driver of used buffers, as far as it wants to be told. By who owns the ring. */
void virtio_queue_notify(struct virtio_queue *queue);

/* The device-specific configuration changed: the driver is told. Any thread. */
void virtio_dev_config_changed(struct virtio_dev *dev);

/*
 * The driver did what makes no sense, or the host fails the device (`what` says it):
 * DEVICE_NEEDS_RESET, and the driver is told. The threads of the device stop taking buffers. Any
 * thread.
 */
void virtio_dev_break(struct virtio_dev *dev, const char *what);

static inline bool virtio_dev_is_broken(const struct virtio_dev *dev)
{
	return dev->broken;
}

/* --- for transports; the transport's lock is held --- */

/* Device status register. VIRTIO 1.2, 2.1 Device Status Field. A write of 0 is a reset. */
uint8_t virtio_dev_status(const struct virtio_dev *dev);
void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status);

/* The driver's word number `word` (0 or 1) of features. Dropped once FEATURES_OK is set. */
void virtio_dev_accept(struct virtio_dev *dev, unsigned int word, uint32_t features);

/* May the device reach memory? While it may not, it is stopped. */
void virtio_dev_set_bus_master(struct virtio_dev *dev, bool on);

/* Are the registers of a queue no longer the driver's to write? From the moment that it is enabled,
 * and for all queues from DRIVER_OK on, until a reset. */
bool virtio_queue_frozen(const struct virtio_dev *dev, const struct virtio_queue *queue);

/* Reads `len` bytes of the configuration, zeroes beyond its end; and dev->generation with it. */
void virtio_dev_read_config(struct virtio_dev *dev, uint32_t off, uint32_t len,
			    uint8_t *ret_bytes);
void virtio_dev_write_config(struct virtio_dev *dev, uint32_t off, uint32_t len,
			     const uint8_t *bytes);

/* Stops the device and forgets all that the driver set. */
void virtio_dev_reset(struct virtio_dev *dev);

#endif
