/*
 * Inside the control socket: bodies of requests, which are JSON of anybody's making. Pure.
 */
#ifndef VMM_API_BODY_H
#define VMM_API_BODY_H

#include <stddef.h>

#include "vfio/vfio.h"

#define API_ID_SIZE 32U

/*
 * vm.add-device: {"path":"/sys/bus/pci/devices/..."} or {"gpu":"..."} as --gpu, and perhaps "id"
 * (`ret_id` is "" without). 0, or -EINVAL and a sentence.
 */
int api_body_add(const char *body, size_t len, struct vfio_slot_config *ret_config,
		 char ret_id[API_ID_SIZE], char *ret_why, size_t why_size);

/* vm.remove-device: {"id":"..."}. Likewise. */
int api_body_remove(const char *body, size_t len, char ret_id[API_ID_SIZE], char *ret_why,
		    size_t why_size);

#endif
