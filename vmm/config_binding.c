#include "vmm/config_internal.h"

/*
 * A row is all that an option needs to be in a config and in --print-config; docs/config.md has a
 * line for each, and a unit test compares the two, and both with the table of options.
 *
 * Names follow the Devicetree Specification 0.4 where it has one: 2.2.2 Generic Names
 * Recommendation (gpu, disk, rng, ethernet), 3.4 /memory node, 3.6 /chosen Node, 3.7 /cpus Node
 * Properties. A number with a unit carries it in its name, as in dt-schema property-units.yaml.
 */
static const struct config_property in_root[] = {
	{"compatible", CONFIG_COMPAT, NULL, NULL},
	{"no-reboot", CONFIG_FLAG, "no-reboot", NULL},
	{"debug-exit", CONFIG_FLAG, "debug-exit", NULL},
	{"console", CONFIG_STRING, "console", NULL},
	{"vsock-cid", CONFIG_U32, "vsock", NULL},
	{"entropy", CONFIG_FLAG, "entropy", NULL},
	{"on-panic", CONFIG_STRING, "on-panic", NULL},
	{"watchdog", CONFIG_STRING, "watchdog", NULL},
	{"shutdown-timeout-sec", CONFIG_U32, "shutdown-timeout", "seconds"},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_chosen[] = {
	{"kernel", CONFIG_PATH, "kernel", NULL},
	{"initrd", CONFIG_PATH, "initrd", NULL},
	{"bootargs", CONFIG_STRING, "append", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_firmware[] = {
	{"code", CONFIG_FIRMWARE, NULL, NULL},
	{"vars", CONFIG_PATH, "vars", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_memory[] = {
	{"size-mib", CONFIG_U32, NULL, "MiB"},
	{"hugepages", CONFIG_STRING, "hugepages", NULL},
	{"prefault", CONFIG_FLAG, "prefault", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_cpus[] = {
	{"count", CONFIG_U32, NULL, NULL},
	{"halt-poll-us", CONFIG_U32, "halt-poll", "microseconds"},
	{"pin", CONFIG_TAIL, "pin", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_events[] = {
	{"file", CONFIG_PATH, "events", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_api[] = {
	{"socket", CONFIG_PATH, "api", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_vfio[] = {
	{"backend", CONFIG_STRING, "vfio-backend", NULL},
	{"quirks", CONFIG_PATH, "quirks", NULL},
	{"hotplug-ports", CONFIG_U32, "hotplug-ports", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_gpu[] = {
	{"slot", CONFIG_SLOT, NULL, NULL},
	{"power", CONFIG_STRING, "power", NULL},
	{"reentry", CONFIG_STRING, "reentry", NULL},
	{"reset", CONFIG_STRING, "reset", NULL},
	{"min-sleep-sec", CONFIG_U32, "min-sleep", "seconds"},
	{"max-wakes-per-hour", CONFIG_U32, "max-wakes-per-hour", NULL},
	{"resume-timeout-sec", CONFIG_U32, "resume-timeout", "seconds"},
	{"rom", CONFIG_PATH, "rom", NULL},
	{"x-entry-error", CONFIG_STRING, "x-entry-error", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_disk[] = {
	{"file", CONFIG_PATH, NULL, NULL},
	{"read-only", CONFIG_FLAG, "ro", NULL},
	{"direct", CONFIG_FLAG, "direct", NULL},
	{"queues", CONFIG_U32, "queues", NULL},
	{"serial", CONFIG_STRING, "id", NULL},
	{"io", CONFIG_STRING, "io", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_cloud_init[] = {
	{"directory", CONFIG_PATH, "cloud-init", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_ethernet[] = {
	{"link", CONFIG_STRING, NULL, NULL},
	{"mac", CONFIG_STRING, "mac", NULL},
	{"queues", CONFIG_U32, "queues", NULL},
	{"vhost", CONFIG_STRING, "vhost", NULL},
	{NULL, 0, NULL, NULL},
};

static const struct config_property in_vhost_user[] = {
	{"type", CONFIG_STRING, NULL, NULL},
	{"socket", CONFIG_PATH, "socket", NULL},
	{"tag", CONFIG_STRING, "tag", NULL},
	{"queues", CONFIG_U32, "queues", NULL},
	{NULL, 0, NULL, NULL},
};

const struct config_node config_nodes[] = {
	{"", NULL, in_root},
	{"chosen", NULL, in_chosen},
	{"firmware", "firmware", in_firmware},
	{"memory", "memory", in_memory},
	{"cpus", "cpus", in_cpus},
	{"events", NULL, in_events},
	{"api", NULL, in_api},
	{"vfio", NULL, in_vfio},
	{"gpu", "gpu", in_gpu},
	{"disk", "disk", in_disk},
	{"cloud-init", NULL, in_cloud_init},
	{"ethernet", "net", in_ethernet},
	{"vhost-user", "vhost-user", in_vhost_user},
	{NULL, NULL, NULL},
};
