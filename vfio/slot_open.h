/*
 * Opening the functions of a slot and learning what they are: for slots of a guest
 * (vfio/slot_build.c), and for commands that use a card without one.
 */
#ifndef VFIO_SLOT_OPEN_H
#define VFIO_SLOT_OPEN_H

#include <stddef.h>

#include "vfio/host.h"

struct policy_facts;
struct verdict_lookup;
struct vfio_slot_config;

#define SLOT_NAME_MAX 48

/*
 * Opens every function of the slot that `config` names, without resetting or asking it anything
 * else. On failure a sentence, negative errno, and nothing stays open.
 */
int vfio_slot_open(struct vfio_container *container, const struct vfio_slot_config *config,
		   char ret_name[SLOT_NAME_MAX], struct vfio_backend *ret_backend[HOST_FUNCTIONS],
		   char *ret_why, size_t why_size);

/* Where facts of the host about the slot are looked up; NULL: there are none (vfio-user). */
const char *vfio_slot_sysfs(const struct vfio_slot_config *config);

/* What the policy must know of an open function; has_pm is true until its capabilities are read.
 * `power_test` may be NULL. Touches the device. */
void vfio_slot_learn(struct vfio_backend *backend, const char *sysfs,
		     const struct verdict_lookup *power_test, struct policy_facts *ret_facts);

#endif
