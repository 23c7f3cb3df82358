#include "vmm/api_describe.h"

#include <stdio.h>
#include <unistd.h>

#include "vfio/vfio.h"
#include "vmm/base/errno_name.h"
#include "vmm/events.h"
#include "vmm/options.h"

void api_describe_ping(struct json *json)
{
	json_begin_object(json, NULL);
	json_string(json, "build_version", MINIVMM_VERSION);
	json_string(json, "version", MINIVMM_VERSION);
	json_number(json, "pid", (uint64_t)getpid());
	json_begin_array(json, "features");
	json_end_array(json);
	json_end_object(json);
}

/* --- vm.info --- */

static void describe_payload(struct json *json, const struct options *options)
{
	json_begin_object(json, "payload");
	json_string(json, "kernel", options->kernel);
	if (options->initrd)
		json_string(json, "initramfs", options->initrd);
	if (options->append)
		json_string(json, "cmdline", options->append);
	json_end_object(json);
}

static void describe_config(struct json *json, const struct options *options,
			    const struct api_slots *slots)
{
	json_begin_object(json, "config");
	json_begin_object(json, "cpus");
	json_number(json, "boot_vcpus", options->cpus);
	json_number(json, "max_vcpus", options->cpus);
	json_end_object(json);
	json_begin_object(json, "memory");
	json_number(json, "size", options->memory);
	json_end_object(json);
	describe_payload(json, options);
	json_begin_array(json, "devices");
	for (unsigned int i = 0; i < slots->count; i++) {
		json_begin_object(json, NULL);
		json_string(json, "id", slots->slot[i].id);
		json_string(json, "path", slots->slot[i].path);
		json_end_object(json);
	}
	json_end_array(json);
	json_end_object(json);
}

void api_describe_info(struct json *json, const struct options *options,
		       const struct api_slots *slots)
{
	json_begin_object(json, NULL);
	json_string(json, "state", slots->suspended ? "Suspended" : "Running");
	json_number(json, "memory_actual_size", options->memory);
	describe_config(json, options, slots);
	json_number(json, "uptime_us", events_now_us());
	json_end_object(json);
}

/* --- counters --- */

static void describe_numbers(struct json *json, const char *key, const struct power_stats *stats)
{
	struct stats_numbers numbers;

	stats_list(stats, &numbers);
	json_begin_object(json, key);
	for (unsigned int i = 0; i < numbers.count; i++)
		json_number(json, numbers.number[i].key, numbers.number[i].value);
	json_end_object(json);
}

void api_describe_counters(struct json *json, const struct api_slots *slots)
{
	json_begin_object(json, NULL);
	for (unsigned int i = 0; i < slots->count; i++)
		for (unsigned int fn = 0; fn < POWER_FUNCTIONS; fn++) {
			const struct vfio_slot_status *slot = &slots->slot[i];
			char key[sizeof(slot->id) + 4];

			snprintf(key, sizeof(key), "%s.%u", slot->id, fn);
			if (slot->fn[fn].exists)
				describe_numbers(json, key, &slot->fn[fn].stats);
		}
	json_end_object(json);
}

/* --- power --- */

static void describe_error(struct json *json, int error)
{
	const char *name = errno_name(error);
	char number[16];

	snprintf(number, sizeof(number), "%d", -error);
	json_string(json, "error", !error ? NULL : name ? name : number);
}

static void describe_host(struct json *json, const struct vfio_function_status *fn)
{
	if (!fn->has_host) {
		json_string(json, "host", NULL);
		return;
	}
	json_begin_object(json, "host");
	json_string(json, "power_state", fn->host.power_state);
	json_bool(json, "suspended", fn->host.suspended);
	json_number(json, "suspended_us", fn->host.suspended_us);
	json_end_object(json);
}

static void describe_function(struct json *json, const struct vfio_function_status *fn)
{
	json_begin_object(json, NULL);
	json_string(json, "name", fn->name);
	json_string(json, "state", power_state_name(fn->state));
	json_number(json, "since_us", events_time_us(fn->since));
	describe_error(json, fn->error);
	describe_host(json, fn);
	describe_numbers(json, "counters", &fn->stats);
	json_end_object(json);
}

static void describe_slot(struct json *json, const struct vfio_slot_status *slot)
{
	json_begin_object(json, NULL);
	json_string(json, "id", slot->id);
	json_string(json, "name", slot->name);
	json_begin_object(json, "policy");
	json_string(json, "power", policy_power_name(slot->policy.power));
	json_string(json, "reset", policy_reset_name(slot->policy.reset));
	json_string(json, "reasons", slot->policy.reasons);
	json_end_object(json);
	json_string(json, "guest", slot->guest_on ? "on" : "off");
	json_number(json, "hold_ms", slot->hold_ms);
	json_begin_array(json, "functions");
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++)
		if (slot->fn[i].exists)
			describe_function(json, &slot->fn[i]);
	json_end_array(json);
	json_end_object(json);
}

void api_describe_power(struct json *json, const struct api_slots *slots)
{
	json_begin_object(json, NULL);
	json_number(json, "t_us", events_now_us());
	json_bool(json, "suspended", slots->suspended);
	json_begin_array(json, "slots");
	for (unsigned int i = 0; i < slots->count; i++)
		describe_slot(json, &slots->slot[i]);
	json_end_array(json);
	json_end_object(json);
}
