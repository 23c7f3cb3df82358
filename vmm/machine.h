/*
 * The whole machine: built in order, run, reset in place, taken down.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stddef.h>

struct machine;
struct options;
struct vfio_slot_config;

/*
 * Builds the machine that `options` describe, up to but not including the first instruction. On
 * failure a sentence for the user in `ret_why`, negative errno, and everything is as before.
 */
int machine_create(const struct options *options, struct machine **ret_machine, char *ret_why,
		   size_t why_size);

/* Runs the guest until it ends. Returns the program's exit status. */
int machine_run(struct machine *machine);

void machine_destroy(struct machine *machine); /* accepts NULL */

/* --- devices that come and go while the guest runs; all on the main loop's thread --- */

/*
 * What became of a device that was to be added; on the main loop, once. `error` 0: it is in the
 * guest's slot, `id` is its name and `bdf` the guest's address of its function 0 ("0000:02:00.0").
 * Else negative errno and a sentence in `why`; everything is as before. Strings live for the call.
 */
typedef void (*machine_device_added)(void *opaque, int error, const char *why, const char *id,
				     const char *bdf);

/*
 * Opens the device (which takes seconds, on a thread of its own) and puts it into an empty port of
 * --hotplug-ports, or one whose device was removed. `id` is what it is called from then on; NULL:
 * "gpuN", N the number of its port from 0. 0: `done` will be called, unless the machine ends first,
 * when it never is. Else a sentence in `ret_why`, and nothing will happen: -ENOSPC no port is
 * empty, -EEXIST the id or the device is in use, -EINVAL an id that is no name, -EAGAIN no thread,
 * -EBUSY the guest is suspended.
 */
int machine_add_device(struct machine *machine, const struct vfio_slot_config *config,
		       const char *id, machine_device_added done, void *opaque, char *ret_why,
		       size_t why_size);

/*
 * Asks the guest to eject the device; event "unplug" says when it is gone. One that the guest does
 * not use (lost, or its slot switched off) is given back at once. -ENOENT: no such id (the sentence
 * lists those there are), -EBUSY: it is still being added, or the guest is suspended.
 */
int machine_remove_device(struct machine *machine, const char *id, char *ret_why, size_t why_size);

/* The name of what is in slot `index`; NULL: nothing, or there is no such slot. Valid until the
 * next call of the two above. */
const char *machine_device_id(struct machine *machine, unsigned int index);

#endif
