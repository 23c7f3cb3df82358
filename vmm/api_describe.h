/*
 * Inside the control socket: the machine and its slots as JSON and as metrics. Pure but for the
 * process' own /proc.
 */
#ifndef VMM_API_DESCRIBE_H
#define VMM_API_DESCRIBE_H

#include <stdbool.h>

#include "vmm/base/json.h"
#include "vmm/base/text.h"

struct options;
struct vfio_slot_status;

/* Copies of what the machine has now. */
struct api_slots {
	struct vfio_slot_status *slot; /* `count` of them */
	unsigned int count;
	bool suspended; /* the guest is in S3 */
};

/* Each appends one value: what docs/api.md says of vmm.ping, vm.info, vm.counters and power. */
void api_describe_ping(struct json *json);
void api_describe_info(struct json *json, const struct options *options,
		       const struct api_slots *slots);
void api_describe_counters(struct json *json, const struct api_slots *slots);
void api_describe_power(struct json *json, const struct api_slots *slots);

/* /metrics: Prometheus' text format, version 0.0.4. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metrics_write(struct text *out, const struct api_slots *slots);

#endif
