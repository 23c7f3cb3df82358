/*
 * Inside vfio/: what a vfio-user server tells of itself and of its device; asked once, when the
 * connection is new, so that nothing has to be asked while the device sleeps.
 */
#ifndef VFIO_USER_DEVICE_H
#define VFIO_USER_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "vfio/backend.h"
#include "vfio/user_protocol.h"

struct vfio_user_connection;

#define VFIO_USER_REGIONS VFIO_PCI_VGA_REGION_INDEX /* BARs, ROM, config; VGA is not used */
#define VFIO_USER_IRQS VFIO_PCI_NUM_IRQS
#define VFIO_USER_ANSWER_MS 5000U /* patience for all that does not wait for a resume */

struct vfio_user_device {
	struct vfio_user_limits limits; /* what the server takes */
	bool can_reset;
	int irq_count[VFIO_USER_IRQS];
	struct vfio_region region[VFIO_USER_REGIONS];
	int region_fd[VFIO_USER_REGIONS]; /* -1: cannot be mapped */
};

/*
 * Agrees on the protocol and reads the device. Negative errno and a sentence when that fails; then
 * no descriptor stays open. `path` is for the sentence.
 */
int vfio_user_device_open(struct vfio_user_connection *connection, const char *path,
			  struct vfio_user_device *ret_device, char *ret_why, size_t why_size);

/* Closes the descriptors. */
void vfio_user_device_close(struct vfio_user_device *device);

#endif
