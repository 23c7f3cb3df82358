/*
 * All virtio devices of the machine, each at the place that is its type's and number's own
 * (vmm/layout.h): one more disk moves nothing else.
 */
#ifndef DEVICES_VIRTIO_DEVICES_H
#define DEVICES_VIRTIO_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/block_image.h"
#include "devices/net_config.h"
#include "devices/vhost_user_config.h"
#include "devices/virtio_console.h"
#include "devices/virtio_pci.h"

struct loop;
struct virtio_devices;

struct virtio_devices_config {
	const struct disk_config *disk;
	unsigned int disks;
	const char *cloud_init; /* a directory (devices/nocloud.h), or NULL */
	const struct net_config *net;
	unsigned int nets;
	const struct vhost_user_config *vhost_user;
	unsigned int vhost_users;
	const struct console_config *console; /* NULL: none */
	uint32_t vsock_cid; /* 0: none */
	bool entropy;
};

/*
 * Opens what they stand on, and plugs them in. `loop` watches their lines and must outlive them.
 * Before any vCPU runs. On failure a sentence in `ret_why`, a negative errno, and nothing is left.
 */
int virtio_devices_create(const struct virtio_devices_config *config,
			  const struct virtio_machine *machine, struct loop *loop,
			  struct virtio_devices **ret_devices, char *ret_why, size_t why_size);

/* Where disk number `index` is on bus 0. */
uint8_t virtio_devices_disk_devfn(unsigned int index);

/* NULL: there is none. */
struct virtio_console *virtio_devices_console(const struct virtio_devices *devices);

/*
 * As after creation, with nothing in flight. No vCPU may run. Those that wait for the host's
 * storage or another process go on by themselves, all at once: returns how many, and 1 is added to
 * the eventfd `done_fd` when one of them is done, until when no other reset may begin. Main thread.
 */
unsigned int virtio_devices_reset(struct virtio_devices *devices, int done_fd);

/* The machine ends, a vCPU may still run: those that wait for another process do not any more. */
void virtio_devices_leave(struct virtio_devices *devices);

/* After the last access to the host bridge. Accepts NULL. */
void virtio_devices_destroy(struct virtio_devices *devices);

#endif
