#include "tests/fake_config.h"

#include <assert.h>
#include <libfdt.h>
#include <string.h>

#include "vmm/config.h"

const struct fake_property fake_config_whole[] = {
	{"", "compatible", FAKE_STRING(CONFIG_COMPATIBLE)},
	{"", "no-reboot", FAKE_EMPTY},
	{"", "debug-exit", FAKE_EMPTY},
	{"", "on-panic", FAKE_STRING("exit")},
	{"", "watchdog", FAKE_STRING("reboot")},
	{"", "shutdown-timeout-sec", FAKE_U32("\0\0\0\4")},
	{"chosen", "kernel", FAKE_STRING("/k")},
	{"chosen", "initrd", FAKE_STRING("/i")},
	{"chosen", "bootargs", FAKE_STRING("a, b")},
	{"firmware", "code", FAKE_STRING("uefi")},
	{"firmware", "vars", FAKE_STRING("/v")},
	{"memory", "size-mib", FAKE_U32("\0\0\4\0")},
	{"memory", "hugepages", FAKE_STRING("2M")},
	{"memory", "prefault", FAKE_EMPTY},
	{"cpus", "count", FAKE_U32("\0\0\0\3")},
	{"cpus", "halt-poll-us", FAKE_U32("\0\0\0\5")},
	{"cpus", "pin", FAKE_STRING("2-3,8")},
	{"events", "file", FAKE_STRING("-")},
	{"api", "socket", FAKE_STRING("/s")},
	{"vfio", "backend", FAKE_STRING("group")},
	{"vfio", "quirks", FAKE_STRING("/q")},
	{"vfio", "hotplug-ports", FAKE_U32("\0\0\0\4")},
	{"gpu", "slot", FAKE_STRING("0000:01:00.0")},
	{"gpu", "power", FAKE_STRING("d3hot")},
	{"gpu", "reentry", FAKE_STRING("guest")},
	{"gpu", "reset", FAKE_STRING("bus")},
	{"gpu", "min-sleep-sec", FAKE_U32("\0\0\0\5")},
	{"gpu", "max-wakes-per-hour", FAKE_U32("\0\0\0\6")},
	{"gpu", "resume-timeout-sec", FAKE_U32("\0\0\0\7")},
	{"gpu", "rom", FAKE_STRING("/r")},
	{"gpu", "x-entry-error", FAKE_STRING("EIO")},
	{"gpu-model", "slot", FAKE_STRING("vfio-user:/run/a")},
	{NULL, NULL, NULL, 0},
};

static void must(int error)
{
	assert(!error);
	(void)error;
}

static void add_row(void *blob, const struct fake_property *row, const char *before)
{
	const char *below = strchr(row->node, '/');

	if (*before && strcmp(before, row->node))
		must(fdt_end_node(blob));
	if (strcmp(before, row->node) && !below)
		must(fdt_begin_node(blob, row->node));
	if (below) {
		char name[32] = "";

		memcpy(name, row->node, (size_t)(below - row->node));
		must(fdt_begin_node(blob, name));
		must(fdt_begin_node(blob, below + 1));
	}
	if (row->name)
		must(fdt_property(blob, row->name, row->bytes, row->len));
	if (below)
		must(fdt_end_node(blob));
}

void fake_config_create(struct fake_config *config, const struct fake_property *rows)
{
	const char *before = "";

	memset(config, 0, sizeof(*config));
	must(fdt_create(config->bytes, sizeof(config->bytes)));
	must(fdt_finish_reservemap(config->bytes));
	must(fdt_begin_node(config->bytes, ""));
	for (; rows->node; before = rows++->node)
		add_row(config->bytes, rows, before);
	if (*before)
		must(fdt_end_node(config->bytes));
	must(fdt_end_node(config->bytes));
	must(fdt_finish(config->bytes));
	config->size = fdt_totalsize(config->bytes);
}
