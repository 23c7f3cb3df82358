/*
 * The control socket (option --api): HTTP and JSON in the shape of Cloud Hypervisor's REST API, and
 * Prometheus' metrics. The contract is docs/api.md. It answers from copies, on the main loop: no
 * request touches a device, wakes one, or waits for one. Main thread only.
 */
#ifndef VMM_API_H
#define VMM_API_H

#include <stdbool.h>
#include <stddef.h>

struct api;
struct loop;
struct options;
struct vfio_slot_config;
struct vfio_slot_status;

/* What became of a device that was to be added: vmm/machine.h, machine_device_added. */
typedef void (*api_device_added)(void *opaque, int error, const char *why, const char *id,
				 const char *bdf);

/* The machine, as far as it can be asked and told. None of these blocks. */
struct api_machine {
	void *opaque;
	const struct options *options;
	/* The slot at place `index`, below SLOT_MAX; false: there is none. */
	bool (*slot)(void *opaque, unsigned int index, struct vfio_slot_status *ret_status);
	bool (*is_suspended)(void *opaque); /* in S3 */
	void (*power_button)(void *opaque);
	bool (*wake)(void *opaque); /* from S3; false: it does not sleep */
	void (*reboot)(void *opaque);
	void (*shutdown)(void *opaque); /* the loop stops */
	/* As machine_add_device() and machine_remove_device(). */
	int (*add_device)(void *opaque, const struct vfio_slot_config *config, const char *id,
			  api_device_added done, void *done_opaque, char *ret_why,
			  size_t why_size);
	int (*remove_device)(void *opaque, const char *id, char *ret_why, size_t why_size);
};

/* Listens on `path`. From now on the last events are kept (vmm/events.h). 0, or negative errno with
 * a sentence. */
int api_create(struct loop *loop, const char *path, const struct api_machine *machine,
	       struct api **ret_api, char *ret_why, size_t why_size);

/* Requests are over, and the path is free again; readers of events stay. The loop has stopped. */
void api_stop(struct api *api); /* accepts NULL */

/* Readers of events get the last ones, and their end. Before the loop is destroyed. */
void api_destroy(struct api *api); /* accepts NULL */

#endif
