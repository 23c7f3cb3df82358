/*
 * The host's side of a slot before it is opened: what sysfs says of it (never waking the device),
 * and the group/container back end that opens its functions.
 */
#ifndef VFIO_HOST_H
#define VFIO_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct vfio_backend;
struct vfio_container;

#define HOST_FUNCTIONS 8

struct host_function {
	bool exists;
	char name[16];      /* "0000:01:00.0" */
	char driver[32];    /* bound driver, "" without */
	int group;          /* IOMMU group, -1 without */
	int node;           /* N of its node /dev/vfio/devices/vfioN, -1 without */
};

struct host_slot {
	char name[16];      /* "0000:01:00" */
	struct host_function fn[HOST_FUNCTIONS];
};

/* "01:00.0" or "0000:01:00.0", hexadecimal, to the long form. False when it is neither. */
bool host_parse_bdf(const char *text, char ret_bdf[16]);

/* What sysfs says of the function `name`; false: there is none. */
bool host_function_read(const char *sysfs, const char *name, struct host_function *ret_fn);

/* May `name`, bound to `driver` ("": none), stay in the IOMMU group of a card that is passed? */
bool host_keeps_viable(const char *sysfs, const char *name, const char *driver);

/* Is the group one of VFIO's no-IOMMU mode, which protects nothing and is not used? */
bool host_group_is_noiommu(const char *sysfs, int group);

/*
 * Reads the slot of `bdf` from sysfs (`sysfs` is "/sys" but in tests) and checks all that must be
 * true before anything is opened: the device exists, an IOMMU is on, every function of the slot is
 * bound to vfio-pci, every device in each group is bound to a driver that keeps it viable
 * (vfio-pci, pci-stub, pcieport, or none). The sentence in `ret_why` names the offender: every
 * device of the group with its driver, and what to do. 0, -ENOENT when the device is not there,
 * -ENODEV, -EINVAL, -EBUSY.
 */
int host_slot_read(const char *sysfs, const char *bdf, struct host_slot *ret_slot, char *ret_why,
		   size_t why_size);

/*
 * What sysfs says of the function `name` without waking it: power_state, power/runtime_status,
 * power/runtime_suspended_time, power/wakeup_active_count. 0, or -ENOTSUP when there is no such
 * device.
 */
struct vfio_observation;
int host_observe(const char *sysfs, const char *name, struct vfio_observation *ret_observation);

/* Is the card behind Thunderbolt, or removable (sysfs file `removable` of it or a bridge above)? */
bool host_is_external(const char *sysfs, const char *name);
/* Is the parameter disable_idle_d3 of vfio_pci set? */
bool host_idle_d3_disabled(const char *sysfs);

/*
 * Opens one function in the way that `container` has chosen, or now chooses (its kind AUTO: iommufd
 * when /dev/iommu and the function's own node may be opened, else group), and says so in event
 * "open". As the two below.
 */
int vfio_kernel_backend_open(struct vfio_container *container, const struct host_function *fn,
			     struct vfio_backend **ret_backend, char *ret_why, size_t why_size);

/* The function's own node (/dev/vfio/devices/vfioN) bound to the container's iommufd. */
int vfio_cdev_backend_open(struct vfio_container *container, const struct host_function *fn,
			   struct vfio_backend **ret_backend, char *ret_why, size_t why_size);

/*
 * Opens one function: its group (added to the container, once), then the device. The first group
 * also sets the container's IOMMU type. On failure a sentence and negative errno; nothing stays
 * open. -EPERM, -EACCES, -EBUSY (in use) have sentences of their own.
 */
int vfio_group_backend_open(struct vfio_container *container, const struct host_function *fn,
			    struct vfio_backend **ret_backend, char *ret_why, size_t why_size);

/*
 * Connects to a vfio-user server on the UNIX socket `path` and reads all that it tells of its
 * device. `name` is what messages call it. Every answer is awaited for a bounded time: 5 s, but
 * `resume_timeout_s` for those that may wait for a resume (low power, reset); a server that is
 * late, lies or goes away is a device that is lost: every later op answers -EIO at once.
 */
int vfio_user_backend_open(const char *path, const char *name, uint32_t resume_timeout_s,
			   struct vfio_backend **ret_backend, char *ret_why, size_t why_size);

/* Stands where a device was given back: reads fail, nothing is done, close frees. NULL: out of
 * memory. */
struct vfio_backend *vfio_gone_backend_create(const char *name);

/* Maps every block of RAM for DMA at iova = gpa, once a container. With a sentence (memlock limit:
 * says the limit and what is needed). */
int vfio_container_map_ram(struct vfio_container *container, const struct mem *mem,
			   char *ret_why, size_t why_size);

/*
 * Wraps `inner` (which it then owns): low-power entry answers `error` (negative errno) and does not
 * touch the device; with -ENOTTY so do the probes. Everything else passes through. NULL: out of
 * memory.
 */
struct vfio_backend *vfio_fault_backend_wrap(struct vfio_backend *inner, int error);

#endif
