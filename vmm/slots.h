/*
 * The machine's slots: those of --gpu, which have their card from the start, and those of
 * --hotplug-ports, which are empty; and the cards that come and go while the guest runs.
 * Main thread, but for what says otherwise.
 */
#ifndef VMM_SLOTS_H
#define VMM_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/machine.h"

struct kvm;
struct loop;
struct options;
struct slots;
struct vfio_machine;
struct vfio_slot;

/* Opens and plugs all there are. With a sentence. */
int slots_create(const struct options *options, struct kvm *kvm, struct loop *loop,
		 const struct vfio_machine *machine, struct slots **ret_slots, char *ret_why,
		 size_t why_size);

/* Waits for cards that are being opened, closes all. No CPU runs. Accepts NULL. */
void slots_destroy(struct slots *slots);

/* Slot number `index`, empty or not; NULL after the last. Any thread. */
struct vfio_slot *slots_get(const struct slots *slots, unsigned int index);

/* What machine_add_device(), machine_remove_device() and machine_device_id() do. */
int slots_add(struct slots *slots, const struct vfio_slot_config *config, const char *id,
	      machine_device_added done, void *opaque, char *ret_why, size_t why_size);
int slots_remove(struct slots *slots, const char *id, char *ret_why, size_t why_size);
const char *slots_id(const struct slots *slots, unsigned int index);

#endif
