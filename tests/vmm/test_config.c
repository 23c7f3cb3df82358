#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake_config.h"
#include "vmm/base/bits.h"
#include "vmm/config.h"
#include "vmm/options.h"

#define ROWS_MAX 4
#define COMPATIBLE {"", "compatible", FAKE_STRING(CONFIG_COMPATIBLE)}

/* In memory of exactly that size, so that a byte too far is seen. A refusal is one line. */
static int apply(const void *bytes, size_t size, struct options *options, char *why,
		 size_t why_size)
{
	void *blob = malloc(size ? size : 1);
	int error;

	memcpy(blob, bytes, size);
	*options = (struct options){.memory = GIB, .cpus = 1};
	*why = '\0';
	error = config_apply(blob, size, "a/machine.dtb", options, why, why_size);
	free(blob);
	assert_true(error <= 0);
	if (error) {
		assert_true(!strncmp(why, "--config a/machine.dtb: ", 24));
		assert_null(strpbrk(why, "\n\r\033"));
	}
	return error;
}

static int apply_rows(const struct fake_property *rows, struct options *options, char *why,
		      size_t why_size)
{
	struct fake_config config;

	fake_config_create(&config, rows);
	return apply(config.bytes, config.size, options, why, why_size);
}

static void test_config_everything(void **state)
{
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(apply_rows(fake_config_whole, &options, why, sizeof(why)), 0);
	assert_true(options.no_reboot && options.debug_exit);
	assert_string_equal(options.kernel, "/k");
	assert_string_equal(options.initrd, "/i");
	assert_string_equal(options.append, "a, b");
	assert_int_equal(options.firmware.kind, FIRMWARE_UEFI);
	assert_string_equal(options.firmware.vars, "/v");
	assert_int_equal(options.memory, GIB);
	assert_int_equal(options.memory_page, 2 * MIB);
	assert_true(options.prefault);
	assert_int_equal(options.cpus, 3);
	assert_int_equal(options.on_panic, PANIC_EXIT);
	assert_int_equal(options.watchdog, WATCHDOG_REBOOT);
	assert_true(options.has_halt_poll);
	assert_int_equal(options.halt_poll_us, 5);
	assert_int_equal(options.shutdown_timeout_s, 4);
	assert_int_equal(options.pin.count, 3);
	assert_int_equal(options.pin.cpu[2], 8);
	assert_string_equal(options.events, "-");
	assert_string_equal(options.api, "/s");
	assert_int_equal(options.vfio_backend, VFIO_BACKEND_GROUP);
	assert_string_equal(options.quirks, "/q");
	assert_int_equal(options.hotplug_ports, 4);
	assert_int_equal(options.slots, 2);
	assert_string_equal(options.slot[0].bdf, "0000:01:00.0");
	assert_int_equal(options.slot[0].power, POLICY_POWER_D3HOT);
	assert_int_equal(options.slot[0].reentry, POWER_REENTRY_GUEST);
	assert_int_equal(options.slot[0].reset, POLICY_RESET_BUS);
	assert_int_equal(options.slot[0].governor.min_sleep_s, 5);
	assert_int_equal(options.slot[0].governor.max_wakes_per_hour, 6);
	assert_int_equal(options.slot[0].resume_timeout_s, 7);
	assert_string_equal(options.slot[0].rom, "/r");
	assert_true(options.slot[0].inject_entry_error < 0);
	assert_string_equal(options.slot[1].socket, "/run/a");
	assert_int_equal(options.slot[1].governor.max_wakes_per_hour, VFIO_MAX_WAKES_PER_HOUR);
	options_finish(&options);
}

static void test_config_paths_are_relative_to_it(void **state)
{
	static const struct fake_property rows[] = {
		COMPATIBLE,
		{"chosen", "kernel", FAKE_STRING("k")},
		{"chosen", "initrd", FAKE_STRING("../i")},
		{"chosen", "bootargs", FAKE_STRING("")},
		{"firmware", "code", FAKE_STRING("OVMF_CODE.fd")},
		{"firmware", "vars", FAKE_STRING("../v")},
		{"events", "file", FAKE_STRING("-")},
		{"vfio", "quirks", FAKE_STRING("/q")},
		{"gpu-0", "slot", FAKE_STRING("vfio-user:gpu.sock")},
		{"gpu-1", "slot", FAKE_STRING("01:00.0")},
		{NULL, NULL, NULL, 0},
	};
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(apply_rows(rows, &options, why, sizeof(why)), 0);
	assert_string_equal(options.kernel, "a/k");
	assert_string_equal(options.initrd, "a/../i");
	assert_null(options.append);
	assert_int_equal(options.firmware.kind, FIRMWARE_FILE);
	assert_string_equal(options.firmware.file, "a/OVMF_CODE.fd");
	assert_string_equal(options.firmware.vars, "a/../v");
	assert_string_equal(options.events, "-");
	assert_string_equal(options.quirks, "/q");
	assert_string_equal(options.slot[0].socket, "a/gpu.sock");
	assert_string_equal(options.slot[1].bdf, "0000:01:00.0");
	options_finish(&options);
}

static void test_config_memory_without_its_size(void **state)
{
	static const struct fake_property rows[] = {
		COMPATIBLE, {"memory", "prefault", FAKE_EMPTY}, {NULL, NULL, NULL, 0}};
	struct options options;
	char why[512];

	(void)state;
	assert_int_equal(apply_rows(rows, &options, why, sizeof(why)), 0);
	assert_int_equal(options.memory, GIB); /* as it was */
	assert_int_equal(options.memory_page, 0);
	assert_true(options.prefault);
	options_finish(&options);
}

static const struct refusal {
	struct fake_property rows[ROWS_MAX + 1]; /* what follows is zero: the end */
	const char *says;
} refusals[] = {
	{{{"", "no-reboot", FAKE_EMPTY}}, "/: property \"compatible\" is missing"},
	{{{"", "compatible", FAKE_STRING("minivmm,machine-v2")}},
	 "/: property \"compatible\" is not \"minivmm,machine-v1\""},
	{{{"", "compatible", "minivmm,machine-v1\0x", 21}}, "/: property \"compatible\" is not"},
	{{COMPATIBLE, {"", "model", FAKE_STRING("x")}},
	 "/: property \"model\" is unknown; there are compatible, no-reboot, debug-exit"},
	{{COMPATIBLE, {"cpus", "coutn", FAKE_U32("\0\0\0\1")}},
	 "/cpus: property \"coutn\" is unknown; there are count, halt-poll-us, pin"},
	{{COMPATIBLE, {"cpus", "count", FAKE_U32("\0\0\0\2")},
	  {"cpus", "pin", FAKE_STRING("1-3")}}, "/cpus: --cpus 2,pin=1-3: pin takes one of"},
	{{COMPATIBLE, {"cpus", "pin", FAKE_STRING("")}}, "/cpus: --cpus 1,pin=: pin takes a list"},
	{{COMPATIBLE, {"cpus", "\033[2Jx", FAKE_EMPTY}}, "/cpus: property \"?[2Jx\" is unknown"},
	{{COMPATIBLE, {"disks", NULL, NULL, 0}},
	 "node /disks is unknown; there are chosen, firmware, memory"},
	{{COMPATIBLE, {"gpu@0", "slot", FAKE_STRING("01:00.0")}},
	 "node /gpu@0 is unknown; there are chosen, firmware, memory, cpus, events, api, vfio, "
	 "gpu, gpu-NAME"},
	{{COMPATIBLE, {"gpu-", "slot", FAKE_STRING("01:00.0")}}, "node /gpu- is unknown"},
	{{COMPATIBLE, {"gpu-0@0", "slot", FAKE_STRING("01:00.0")}}, "node /gpu-0@0 is unknown"},
	{{COMPATIBLE, {"cpus-0", NULL, NULL, 0}}, "node /cpus-0 is unknown"},
	{{COMPATIBLE, {"cpu", NULL, NULL, 0}}, "node /cpu is unknown"},
	{{COMPATIBLE, {"cpus/cpu@0", NULL, NULL, 0}},
	 "node /cpus/cpu@0 is unknown; there are none below /cpus"},
	{{COMPATIBLE, {"cpus", NULL, NULL, 0}, {"memory", NULL, NULL, 0}, {"cpus", NULL, NULL, 0}},
	 "node /cpus is there twice"},
	{{COMPATIBLE, {"gpu-a", "slot", FAKE_STRING("01:00.0")}, {"cpus", NULL, NULL, 0},
	  {"gpu-a", "slot", FAKE_STRING("02:00.0")}}, "node /gpu-a is there twice"},
	{{COMPATIBLE, {"cpus", "count", FAKE_U32("\0\0\0\2")},
	  {"cpus", "count", FAKE_U32("\0\0\0\2")}}, "/cpus: property \"count\" is there twice"},
	{{COMPATIBLE, {"", "no-reboot", FAKE_U32("\0\0\0\1")}},
	 "/: property \"no-reboot\" has a value and should have none"},
	{{COMPATIBLE, {"cpus", "count", FAKE_STRING("4")}},
	 "/cpus: property \"count\" has 2 bytes and should be one 32-bit number"},
	{{COMPATIBLE, {"cpus", "count", FAKE_EMPTY}}, "/cpus: property \"count\" has 0 bytes"},
	{{COMPATIBLE, {"cpus", "count", "\0\0\0\0\0\0\0\1", 8}},
	 "/cpus: property \"count\" has 8 bytes"},
	{{COMPATIBLE, {"cpus", "count", FAKE_U32("\0\0\0\0")}},
	 "/cpus: --cpus 0: not a number from 1 to 64"},
	{{COMPATIBLE, {"cpus", "count", FAKE_U32("\377\377\377\377")}},
	 "/cpus: --cpus 4294967295: not a number from 1 to 64"},
	{{COMPATIBLE, {"memory", "size-mib", FAKE_STRING("512M")}},
	 "/memory: property \"size-mib\" has 5 bytes and should be one 32-bit number of MiB"},
	{{COMPATIBLE, {"memory", "size-mib", FAKE_U32("\0\0\0\21")}},
	 "/memory: --memory 17: not a size from 16M to 8T in steps of 2M"},
	{{COMPATIBLE, {"memory", "size-mib", FAKE_U32("\377\377\377\376")}},
	 "/memory: --memory 4294967294: not a size"},
	{{COMPATIBLE, {"memory", "reg", FAKE_U32("\0\0\0\0")}},
	 "/memory: property \"reg\" is unknown; there are size-mib, hugepages, prefault"},
	{{COMPATIBLE, {"memory", "hugepages", FAKE_STRING("4M")}},
	 "/memory: --memory 1024,hugepages=4M: hugepages takes 2M or 1G"},
	{{COMPATIBLE, {"memory", "hugepages", FAKE_STRING("2M,prefault")}},
	 "/memory: property \"hugepages\" has a comma (\"2M,prefault\"), and a value of --memory "
	 "cannot"},
	{{COMPATIBLE, {"memory", "prefault", FAKE_STRING("yes")}},
	 "/memory: property \"prefault\" has a value and should have none"},
	{{COMPATIBLE, {"memory-0", "size-mib", FAKE_U32("\0\0\4\0")}},
	 "node /memory-0 is unknown; there are chosen, firmware, memory, cpus"},
	{{COMPATIBLE, {"firmware", "vars", FAKE_STRING("v")}},
	 "/firmware: property \"code\" is missing"},
	{{COMPATIBLE, {"firmware", "code", FAKE_STRING("")}},
	 "/firmware: property \"code\" is empty and should be a path"},
	{{COMPATIBLE, {"firmware", "code", FAKE_STRING("bios")},
	  {"firmware", "vars", FAKE_STRING("v")}}, "--firmware bios,vars=a/v: a BIOS has no"},
	{{COMPATIBLE, {"chosen", "bootargs", FAKE_EMPTY}},
	 "/chosen: property \"bootargs\" should be one string"},
	{{COMPATIBLE, {"chosen", "bootargs", "quiet", 5}},
	 "/chosen: property \"bootargs\" should be one string"},
	{{COMPATIBLE, {"chosen", "bootargs", FAKE_STRING("a\0b")}},
	 "/chosen: property \"bootargs\" should be one string"},
	{{COMPATIBLE, {"chosen", "kernel", FAKE_STRING("")}},
	 "/chosen: property \"kernel\" is empty and should be a path"},
	{{COMPATIBLE, {"chosen", "kernel", FAKE_U32("\0\0\0\1")}},
	 "/chosen: property \"kernel\" should be one string"},
	{{COMPATIBLE, {"vfio", "backend", FAKE_STRING("cdev\n")}},
	 "/vfio: property \"backend\": --vfio-backend cdev?: not auto, group or iommufd"},
	{{COMPATIBLE, {"gpu", NULL, NULL, 0}}, "/gpu: property \"slot\" is missing"},
	{{COMPATIBLE, {"gpu-0", "power", FAKE_STRING("off")}},
	 "/gpu-0: property \"slot\" is missing"},
	{{COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("here")}},
	 "/gpu-0: --gpu here: \"here\" is no PCI address"},
	{{COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("01:00.0")},
	  {"gpu-0", "power", FAKE_STRING("deep")}},
	 "/gpu-0: --gpu 01:00.0,power=deep: power takes auto, d3cold, d3hot or off, not \"deep\""},
	{{COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("01:00.0,power=off")}},
	 "/gpu-0: property \"slot\" has a comma (\"01:00.0,power=off\"), and a value of --gpu "
	 "cannot"},
	{{COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("01:00.0")},
	  {"gpu-0", "power", FAKE_STRING("off,reset=none")}},
	 "/gpu-0: property \"power\" has a comma (\"off,reset=none\"), and a value of --gpu"},
	{{COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("vfio-user:a,b")}},
	 "/gpu-0: property \"slot\" has a comma"},
	{{COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("01:00.0")},
	  {"gpu-0", "min-sleep-sec", FAKE_U32("\1\0\0\0")}},
	 "min-sleep takes a number of seconds from 0 to 86400, not \"16777216\""},
	{{COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("01:00.0")},
	  {"gpu-1", "slot", FAKE_STRING("01:00.1")}},
	 "/gpu-1: --gpu 01:00.1: this slot is passed already"},
};

static void test_config_refuses_with_node_and_property(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct options options;
		char why[512];

		assert_true(apply_rows(refusals[i].rows, &options, why, sizeof(why)) < 0);
		if (!strstr(why, refusals[i].says))
			fail_msg("case %zu says '%s', not '%s'", i, why, refusals[i].says);
		options_finish(&options);
	}
}

/* A folder is no more trusted than what is in the file: "gpu,power=off" would be read as a key. */
static void test_config_folder_with_a_comma(void **state)
{
	static const struct fake_property rows[] = {
		COMPATIBLE, {"gpu-0", "slot", FAKE_STRING("vfio-user:/run/a")},
		{"gpu-1", "slot", FAKE_STRING("vfio-user:b")}, {NULL, NULL, NULL, 0}};
	struct fake_config config;
	struct options options = {.memory = GIB, .cpus = 1};
	char why[512] = "";

	(void)state;
	fake_config_create(&config, rows);
	assert_true(config_apply(config.bytes, config.size, "x,min-sleep=5,y/machine.dtb", &options,
				 why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "/gpu-1: property \"slot\" has a comma "
				    "(\"vfio-user:x,min-sleep=5,y/b\")"));
	options_finish(&options);
}

static void test_config_has_a_limit_of_slots(void **state)
{
	struct fake_property rows[SLOT_MAX + 3] = {COMPATIBLE};
	char name[SLOT_MAX + 1][8], slot[SLOT_MAX + 1][8];
	struct options options;
	char why[512];

	(void)state;
	for (unsigned int i = 0; i <= SLOT_MAX; i++) {
		int len = snprintf(slot[i], sizeof(slot[i]), "%02x:00.0", i + 1);

		snprintf(name[i], sizeof(name[i]), "gpu-%u", i);
		rows[i + 1] = (struct fake_property){name[i], "slot", slot[i], len + 1};
	}
	assert_true(apply_rows(rows, &options, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "/gpu-16: --gpu 11:00.0: no more than 16 slots"));
	options_finish(&options);
	rows[SLOT_MAX + 1].node = NULL;
	assert_int_equal(apply_rows(rows, &options, why, sizeof(why)), 0);
	assert_int_equal(options.slots, SLOT_MAX);
	options_finish(&options);
}

/* --- blobs that no dtc writes --- */

static void test_config_truncated_anywhere(void **state)
{
	struct fake_config config;

	(void)state;
	fake_config_create(&config, fake_config_whole);
	for (size_t size = 0; size < config.size; size++) {
		struct options options;
		char why[512];

		assert_true(apply(config.bytes, size, &options, why, sizeof(why)) < 0);
		options_finish(&options);
	}
}

static void test_config_with_any_bit_wrong(void **state)
{
	struct fake_config config;

	(void)state;
	fake_config_create(&config, fake_config_whole);
	for (size_t bit = 0; bit < 8 * config.size; bit++) {
		struct options options;
		char why[512];

		config.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		apply(config.bytes, config.size, &options, why, sizeof(why));
		assert_in_range(options.slots, 0, SLOT_MAX);
		options_finish(&options);
		config.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

static void refuses_blob(const void *bytes, size_t size, const char *says)
{
	struct options options;
	char why[512];

	assert_true(apply(bytes, size, &options, why, sizeof(why)) < 0);
	if (!strstr(why, says))
		fail_msg("it says '%s', not '%s'", why, says);
	options_finish(&options);
}

static void test_config_header_must_fit(void **state)
{
	static const struct {
		size_t off; /* of a header field, Devicetree Specification 0.4, 5.2 Header */
		uint32_t value;
		const char *says;
	} cases[] = {
		{0, 0xd00dfeee, "damaged"},
		{4, 0, "damaged"},
		{4, 40, "damaged"},
		{4, 0xffffffff, "damaged"},
		{4, 0x80000000, "damaged"},
		{8, 0, "damaged"},
		{8, 0xfffffff0, "damaged"},
		{8, 57, "not aligned"},
		{8, 4, "damaged"},
		{12, 0xffffffff, "damaged"},
		{16, 44, "not aligned"},
		{16, 0xfffffff8, "damaged"},
		{20, 0, "version 0; from 17 on"},
		{20, 16, "version 16; from 17 on"},
		{24, 99, "damaged"},
		{32, 0, "damaged"},
		{32, 0xffffffff, "damaged"},
		{36, 0, "damaged"},
		{36, 0xfffffffc, "damaged"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_config config;
		fdt32_t value = cpu_to_fdt32(cases[i].value);

		fake_config_create(&config, fake_config_whole);
		memcpy(config.bytes + cases[i].off, &value, sizeof(value));
		refuses_blob(config.bytes, config.size, cases[i].says);
	}
}

static void test_config_must_be_as_long_as_it_says(void **state)
{
	struct fake_config config;

	(void)state;
	fake_config_create(&config, fake_config_whole);
	refuses_blob(config.bytes, config.size + 1, "bytes and the file");
}

/* A property of 100 MB, in a blob that does not have them. */
static void test_config_property_longer_than_the_blob(void **state)
{
	static const char value[] = "minivmm,machine-v1";
	const fdt32_t huge = cpu_to_fdt32(100000000);
	struct fake_config config;
	uint8_t *found;

	(void)state;
	fake_config_create(&config, fake_config_whole);
	found = memmem(config.bytes, config.size, value, sizeof(value));
	memcpy(found - 8, &huge, sizeof(huge)); /* its length, then the offset of its name */
	refuses_blob(config.bytes, config.size, "damaged");
}

static void test_config_property_behind_a_node(void **state)
{
	static _Alignas(8) uint8_t blob[1024];

	(void)state;
	assert_int_equal(fdt_create(blob, sizeof(blob)), 0);
	assert_int_equal(fdt_finish_reservemap(blob), 0);
	assert_int_equal(fdt_begin_node(blob, ""), 0);
	assert_int_equal(fdt_property_string(blob, "compatible", CONFIG_COMPATIBLE), 0);
	assert_int_equal(fdt_begin_node(blob, "cpus"), 0);
	assert_int_equal(fdt_end_node(blob), 0);
	assert_int_equal(fdt_property(blob, "debug-exit", NULL, 0), 0);
	assert_int_equal(fdt_end_node(blob), 0);
	assert_int_equal(fdt_finish(blob), 0);
	refuses_blob(blob, fdt_totalsize(blob), "property \"debug-exit\" stands behind a node");
}

static void test_config_nested_without_end(void **state)
{
	enum { SIZE = 1 << 20, DEPTH = 60000 };
	void *blob = malloc(SIZE);

	(void)state;
	assert_int_equal(fdt_create(blob, SIZE), 0);
	assert_int_equal(fdt_finish_reservemap(blob), 0);
	assert_int_equal(fdt_begin_node(blob, ""), 0);
	assert_int_equal(fdt_property_string(blob, "compatible", CONFIG_COMPATIBLE), 0);
	for (int i = 0; i < DEPTH; i++)
		assert_int_equal(fdt_begin_node(blob, "cpus"), 0);
	for (int i = 0; i <= DEPTH; i++)
		assert_int_equal(fdt_end_node(blob), 0);
	assert_int_equal(fdt_finish(blob), 0);
	refuses_blob(blob, fdt_totalsize(blob), "node /cpus/cpus is unknown");
	free(blob);
}

static void test_config_without_one_root(void **state)
{
	static const struct {
		int roots;
		const char *name, *says;
	} cases[] = {
		{0, "", "the device tree is empty"},
		{1, "cpus", "the device tree"}, /* is damaged for libfdt, or has no root for us */
		{2, "", "the device tree"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		static _Alignas(8) uint8_t blob[1024];

		assert_int_equal(fdt_create(blob, sizeof(blob)), 0);
		assert_int_equal(fdt_finish_reservemap(blob), 0);
		for (int root = 0; root < cases[i].roots; root++) {
			assert_int_equal(fdt_begin_node(blob, cases[i].name), 0);
			assert_int_equal(fdt_property_string(blob, "compatible",
							     CONFIG_COMPATIBLE), 0);
			assert_int_equal(fdt_end_node(blob), 0);
		}
		assert_int_equal(fdt_finish(blob), 0);
		refuses_blob(blob, fdt_totalsize(blob), cases[i].says);
	}
}

static void test_config_reserves_no_memory(void **state)
{
	static _Alignas(8) uint8_t blob[1024];

	(void)state;
	assert_int_equal(fdt_create(blob, sizeof(blob)), 0);
	assert_int_equal(fdt_add_reservemap_entry(blob, 0x1000, 0x1000), 0);
	assert_int_equal(fdt_finish_reservemap(blob), 0);
	assert_int_equal(fdt_begin_node(blob, ""), 0);
	assert_int_equal(fdt_property_string(blob, "compatible", CONFIG_COMPATIBLE), 0);
	assert_int_equal(fdt_end_node(blob), 0);
	assert_int_equal(fdt_finish(blob), 0);
	refuses_blob(blob, fdt_totalsize(blob), "/memreserve/ means nothing here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_everything),
		cmocka_unit_test(test_config_memory_without_its_size),
		cmocka_unit_test(test_config_paths_are_relative_to_it),
		cmocka_unit_test(test_config_refuses_with_node_and_property),
		cmocka_unit_test(test_config_folder_with_a_comma),
		cmocka_unit_test(test_config_has_a_limit_of_slots),
		cmocka_unit_test(test_config_truncated_anywhere),
		cmocka_unit_test(test_config_with_any_bit_wrong),
		cmocka_unit_test(test_config_header_must_fit),
		cmocka_unit_test(test_config_must_be_as_long_as_it_says),
		cmocka_unit_test(test_config_property_longer_than_the_blob),
		cmocka_unit_test(test_config_property_behind_a_node),
		cmocka_unit_test(test_config_nested_without_end),
		cmocka_unit_test(test_config_without_one_root),
		cmocka_unit_test(test_config_reserves_no_memory),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
