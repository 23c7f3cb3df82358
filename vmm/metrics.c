/*
 * The slots in Prometheus' text format, version 0.0.4 ("Exposition formats", prometheus.io): times
 * in seconds, sizes in bytes, counters end in _total, buckets are cumulative.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio/vfio.h"
#include "vmm/api_describe.h"
#include "vmm/base/bits.h"
#include "vmm/base/errno_name.h"
#include "vmm/events.h"

#define LABELS_MAX 128

/* Where a family of metrics gets one function's samples. `labels`: slot="...",function="...". */
struct family {
	const char *name, *type, *help;
	void (*write)(struct text *out, const char *name, const char *labels,
		      const struct vfio_function_status *fn);
};

static void add_seconds(struct text *out, uint64_t us)
{
	text_add(out, "%" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
}

static void add_number(struct text *out, const char *name, const char *labels, uint64_t number)
{
	text_add(out, "%s{%s} %" PRIu64 "\n", name, labels, number);
}

/* --- of a function --- */

static void write_state(struct text *out, const char *name, const char *labels,
			const struct vfio_function_status *fn)
{
	for (unsigned int i = POWER_ON; i <= POWER_RELEASED; i++)
		text_add(out, "%s{%s,state=\"%s\"} %d\n", name, labels,
			 power_state_name((enum power_state)i), fn->state == i);
}

static void write_entries(struct text *out, const char *name, const char *labels,
			  const struct vfio_function_status *fn)
{
	add_number(out, name, labels, fn->stats.entries);
}

static void write_refusals(struct text *out, const char *name, const char *labels,
			   const struct vfio_function_status *fn)
{
	for (unsigned int i = 0; i < STATS_ERRNOS; i++) {
		int error = fn->stats.refused[i].error;
		const char *known = errno_name(error);
		char number[16];

		if (!fn->stats.refused[i].count)
			continue;
		snprintf(number, sizeof(number), "%d", -error);
		text_add(out, "%s{%s,errno=\"%s\"} %" PRIu64 "\n", name, labels,
			 i == STATS_OTHERS ? "others" : known ? known : number,
			 fn->stats.refused[i].count);
	}
}

/* Those of vfio/slot_watch.c. */
static void write_wakes(struct text *out, const char *name, const char *labels,
			const struct vfio_function_status *fn)
{
	static const enum power_cause causes[] = {
		POWER_CAUSE_HOST, POWER_CAUSE_PME, POWER_CAUSE_UNKNOWN, POWER_CAUSE_OWN};

	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		text_add(out, "%s{%s,cause=\"%s\"} %" PRIu64 "\n", name, labels,
			 power_cause_name(causes[i]), fn->stats.wakes[causes[i]]);
}

static void write_losses(struct text *out, const char *name, const char *labels,
			 const struct vfio_function_status *fn)
{
	add_number(out, name, labels, fn->stats.losses);
}

static void write_recoveries(struct text *out, const char *name, const char *labels,
			     const struct vfio_function_status *fn)
{
	add_number(out, name, labels, fn->stats.recoveries);
}

static void write_engaged(struct text *out, const char *name, const char *labels,
			  const struct vfio_function_status *fn)
{
	text_add(out, "%s{%s} ", name, labels);
	add_seconds(out, fn->stats.engaged_us);
}

static void write_suspended(struct text *out, const char *name, const char *labels,
			    const struct vfio_function_status *fn)
{
	text_add(out, "%s{%s} ", name, labels);
	add_seconds(out, fn->stats.suspended_us);
}

static void write_histogram(struct text *out, const char *name, const char *labels,
			    const struct stats_histogram *histogram)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < STATS_BUCKETS; i++) {
		uint64_t us = stats_bucket_us(i);

		count += histogram->bucket[i];
		if (i < STATS_BUCKETS - 1)
			text_add(out, "%s_bucket{%s,le=\"%" PRIu64 ".%03" PRIu64 "\"} %" PRIu64
				 "\n", name, labels, us / 1000000, us / 1000 % 1000, count);
	}
	text_add(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, count);
	text_add(out, "%s_sum{%s} ", name, labels);
	add_seconds(out, histogram->sum_us);
	text_add(out, "%s_count{%s} %" PRIu64 "\n", name, labels, count);
}

static void write_entry_times(struct text *out, const char *name, const char *labels,
			      const struct vfio_function_status *fn)
{
	write_histogram(out, name, labels, &fn->stats.entry);
}

static void write_exit_times(struct text *out, const char *name, const char *labels,
			     const struct vfio_function_status *fn)
{
	write_histogram(out, name, labels, &fn->stats.exit);
}

static void write_host_state(struct text *out, const char *name, const char *labels,
			     const struct vfio_function_status *fn)
{
	static const char *const states[] = {"D0", "D1", "D2", "D3hot", "D3cold", "unknown"};

	for (size_t i = 0; i < ARRAY_SIZE(states) && fn->has_host; i++)
		text_add(out, "%s{%s,state=\"%s\"} %d\n", name, labels, states[i],
			 !strcmp(states[i], fn->host.power_state));
}

static void write_host_suspended(struct text *out, const char *name, const char *labels,
				 const struct vfio_function_status *fn)
{
	if (fn->has_host)
		add_number(out, name, labels, fn->host.suspended);
}

static const struct family families[] = {
	{"minivmm_power_state", "gauge", "State of the function's power: 1 at the one it is in.",
	 write_state},
	{"minivmm_power_entries_total", "counter", "Low-power entries that the host accepted.",
	 write_entries},
	{"minivmm_power_refusals_total", "counter", "Low-power entries that were refused.",
	 write_refusals},
	{"minivmm_power_wakes_total", "counter",
	 "Wake-ups, by what caused them; own ones are no wakes but our own doing.", write_wakes},
	{"minivmm_power_losses_total", "counter", "Times the device did not come back.",
	 write_losses},
	{"minivmm_power_recoveries_total", "counter", "Times a reset brought it back.",
	 write_recoveries},
	{"minivmm_power_engaged_seconds_total", "counter",
	 "Time in which the host was to let it sleep, the present sleep included.", write_engaged},
	{"minivmm_power_suspended_seconds_total", "counter",
	 "Time of it in which the host really had it suspended.", write_suspended},
	{"minivmm_power_entry_seconds", "histogram", "The host's time for a low-power entry.",
	 write_entry_times},
	{"minivmm_power_exit_seconds", "histogram", "The host's time for a low-power exit.",
	 write_exit_times},
	{"minivmm_host_power_state", "gauge",
	 "The host's view of the device's power state, from sysfs: 1 at the one it is in.",
	 write_host_state},
	{"minivmm_host_suspended", "gauge", "Has the host suspended the device, from sysfs.",
	 write_host_suspended},
};

static void write_functions(struct text *out, const struct family *family,
			    const struct vfio_slot_status *slot)
{
	for (unsigned int i = 0; i < POWER_FUNCTIONS; i++) {
		char labels[LABELS_MAX];

		snprintf(labels, sizeof(labels), "slot=\"%s\",function=\"%u\"", slot->id, i);
		if (slot->fn[i].exists)
			family->write(out, family->name, labels, &slot->fn[i]);
	}
}

static void begin_family(struct text *out, const char *name, const char *type, const char *help)
{
	text_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* --- of a slot --- */

static void write_slots(struct text *out, const struct api_slots *slots)
{
	begin_family(out, "minivmm_slot_guest_on", "gauge",
		     "Does the guest want the slot's power on.");
	for (unsigned int i = 0; i < slots->count; i++)
		text_add(out, "minivmm_slot_guest_on{slot=\"%s\"} %d\n", slots->slot[i].id,
			 slots->slot[i].guest_on);
	begin_family(out, "minivmm_slot_hold_seconds", "gauge",
		     "How long the governor still refuses sleeps.");
	for (unsigned int i = 0; i < slots->count; i++) {
		text_add(out, "minivmm_slot_hold_seconds{slot=\"%s\"} ", slots->slot[i].id);
		add_seconds(out, slots->slot[i].hold_ms * 1000);
	}
}

/* --- of the process --- */

/* Number `index`, from 0, in the first line of a file of /proc/self. */
static bool read_proc(const char *path, unsigned int index, uint64_t *ret_number)
{
	char line[512] = "", *at = line;
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	while (index-- && (at = strchr(at, ' ')))
		at++;
	if (!at || *at < '0' || *at > '9')
		return false;
	*ret_number = strtoull(at, NULL, 10);
	return true;
}

static unsigned int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count > 2 ? count - 2 : 0; /* . and .. */
}

static void write_guest(struct text *out, const struct api_slots *slots)
{
	begin_family(out, "minivmm_guest_suspended", "gauge", "1 while the guest is in S3.");
	text_add(out, "minivmm_guest_suspended %d\n", slots->suspended);
}

static void write_process(struct text *out)
{
	unsigned int files = count_entries("/proc/self/fd");
	unsigned int threads = count_entries("/proc/self/task");
	uint64_t pages;

	begin_family(out, "minivmm_uptime_seconds", "gauge", "Since the program started.");
	text_add(out, "minivmm_uptime_seconds ");
	add_seconds(out, events_now_us());
	if (read_proc("/proc/self/statm", 1, &pages)) {
		begin_family(out, "process_resident_memory_bytes", "gauge",
			     "Resident memory, the guest's included.");
		text_add(out, "process_resident_memory_bytes %" PRIu64 "\n",
			 pages * (uint64_t)sysconf(_SC_PAGESIZE));
	}
	if (files) {
		begin_family(out, "process_open_fds", "gauge", "Open files.");
		text_add(out, "process_open_fds %u\n", files - 1); /* not the one that looks */
	}
	if (threads) {
		begin_family(out, "process_threads", "gauge", "Threads.");
		text_add(out, "process_threads %u\n", threads);
	}
}

void metrics_write(struct text *out, const struct api_slots *slots)
{
	begin_family(out, "minivmm_info", "gauge", "The version that runs.");
	text_add(out, "minivmm_info{version=\"%s\"} 1\n", MINIVMM_VERSION);
	write_guest(out, slots);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		begin_family(out, families[i].name, families[i].type, families[i].help);
		for (unsigned int slot = 0; slot < slots->count; slot++)
			write_functions(out, &families[i], &slots->slot[slot]);
	}
	write_slots(out, slots);
	write_process(out);
}
