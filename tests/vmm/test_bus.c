#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/bus.h"

/* A device that remembers what arrives, in the order of arrival, as text: "A:w2@4=beef ". */
struct log {
	char text[512];
};

struct device {
	char name;
	struct log *log;
	uint64_t answer; /* byte n of an access reads (answer + off + n) & 0xff */
};

static void device_access(void *opaque, struct bus_access *access)
{
	struct device *device = opaque;
	size_t used = strlen(device->log->text);

	if (access->is_write) {
		snprintf(device->log->text + used, sizeof(device->log->text) - used,
			 "%c:w%u@%llx=%llx ", device->name, access->len,
			 (unsigned long long)access->off, (unsigned long long)access->value);
		return;
	}
	snprintf(device->log->text + used, sizeof(device->log->text) - used, "%c:r%u@%llx ",
		 device->name, access->len, (unsigned long long)access->off);
	assert_int_equal(access->value, ones(access->len));
	access->value = 0;
	for (unsigned int i = 0; i < access->len; i++)
		access->value |= ((device->answer + access->off + i) & 0xff) << 8 * i;
}

static const struct bus_ops ops_1 = {1, device_access};
static const struct bus_ops ops_2 = {2, device_access};
static const struct bus_ops ops_4 = {4, device_access};
static const struct bus_ops ops_8 = {8, device_access};
static const struct bus_ops ops_12 = {1 | 2, device_access};
static const struct bus_ops ops_14 = {1 | 4, device_access};
static const struct bus_ops ops_all = {1 | 2 | 4 | 8, device_access};

/* --- claims --- */

static void test_bus_add_checks_claims(void **state)
{
	static const struct bus_ops no_sizes = {0, device_access};
	static const struct bus_ops bad_sizes = {3 | 16, device_access};
	static const struct bus_ops no_access = {1, NULL};
	static const struct {
		struct range range;
		const struct bus_ops *ops;
		int result;
	} cases[] = {
		{{0x100, 0x10}, &ops_all, 0},
		{{0x110, 0x10}, &ops_all, 0},      /* right after */
		{{0xf0, 0x10}, &ops_all, 0},       /* right before */
		{{0x100, 0x10}, &ops_all, -EEXIST}, /* the same */
		{{0x10f, 1}, &ops_1, -EEXIST},
		{{0xe0, 0x11}, &ops_4, -EEXIST},
		{{0x0, 0x1000}, &ops_2, -EEXIST},  /* around all */
		{{0x200, 0}, &ops_1, -EINVAL},
		{{0x200, 1}, &no_sizes, -EINVAL},
		{{0x200, 1}, &bad_sizes, -EINVAL},
		{{0x200, 1}, &no_access, -EINVAL},
		{{UINT64_MAX, 1}, &ops_1, 0},      /* the last byte there is */
		{{UINT64_MAX - 3, 5}, &ops_2, -EINVAL},
		/* Sizes that tell them apart. */
		{{0xcf8, 4}, &ops_4, 0},
		{{0xcf9, 1}, &ops_1, 0},
		{{0xcf8, 8}, &ops_14, -EEXIST},
		{{0xcf8, 4}, &ops_2, 0},
		{{0xcf8, 4}, &ops_12, -EEXIST},
	};
	struct bus *bus = bus_create("test");
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int result = bus_add(bus, cases[i].range, cases[i].ops, NULL);

		if (result != cases[i].result)
			fail_msg("case %zu: %d", i, result);
	}
	bus_destroy(bus);
	bus_destroy(NULL);
}

/* A claim that is refused for one of its sizes is not made for the others. */
static void test_bus_add_refused_leaves_nothing(void **state)
{
	struct log log = {""};
	struct device a = {'A', &log, 0}, b = {'B', &log, 0};
	struct bus_access access = {.len = 1, .is_write = true};
	struct bus *bus = bus_create("test");
	(void)state;

	assert_int_equal(bus_add(bus, (struct range){0x10, 4}, &ops_4, &a), 0);
	assert_int_equal(bus_add(bus, (struct range){0x10, 4}, &ops_14, &b), -EEXIST);
	bus_access(bus, 0x10, &access);
	assert_string_equal(log.text, "");
	bus_destroy(bus);
}

/* --- routing and splitting --- */

static const struct {
	uint64_t start, size;
	char name;
	const struct bus_ops *ops;
} layout[] = {
	{0x300, 0x10, 'D', &ops_all}, /* out of order on purpose */
	{0x100, 8, 'A', &ops_1},
	{0x108, 8, 'B', &ops_12},
	{0x200, 0x10, 'C', &ops_4},
	{0x310, 4, 'E', &ops_1},
	{0x400, 8, 'F', &ops_8},
	{0xcf8, 4, 'G', &ops_4},
	{0xcf9, 1, 'H', &ops_1},
	{0xcfc, 4, 'I', &ops_all},
};

struct fixture {
	struct bus *bus;
	struct log log;
	struct device device[ARRAY_SIZE(layout)];
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.bus = bus_create("test");
	for (size_t i = 0; i < ARRAY_SIZE(layout); i++) {
		f.device[i] = (struct device){layout[i].name, &f.log, 0x10 * (i + 1)};
		if (bus_add(f.bus, (struct range){layout[i].start, layout[i].size}, layout[i].ops,
			    &f.device[i]))
			return -1;
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	bus_destroy(((struct fixture *)*state)->bus);
	return 0;
}

static void test_bus_access_routes_by_address_and_size(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned int len;
		uint64_t value; /* written */
		const char *arrives;
		uint64_t reads;
	} cases[] = {
		{0x100, 1, 0xab, "A:w1@0=ab ", 0x20},
		{0x107, 1, 0xab, "A:w1@7=ab ", 0x27},
		/* Wide accesses to narrow devices. */
		{0x102, 2, 0xbeef, "A:w1@2=ef A:w1@3=be ", 0x2322},
		{0x100, 4, 0x44332211, "A:w1@0=11 A:w1@1=22 A:w1@2=33 A:w1@3=44 ", 0x23222120},
		{0x108, 4, 0x44332211, "B:w2@0=2211 B:w2@2=4433 ", 0x33323130},
		{0x200, 8, 0x8877665544332211, "C:w4@0=44332211 C:w4@4=88776655 ",
		 0x4746454443424140},
		{0x300, 8, 0x8877665544332211, "D:w8@0=8877665544332211 ", 0x1716151413121110},
		/* Too narrow. */
		{0x200, 1, 0x11, "", 0xff},
		{0x206, 2, 0x2211, "", 0xffff},
		{0x400, 4, 0x44332211, "", 0xffffffff},
		/* Unaligned, inside. */
		{0x201, 4, 0x44332211, "C:w4@1=44332211 ", 0x44434241},
		/* Across two devices, and across an end: what is not claimed reads ones. */
		{0x106, 4, 0x44332211, "A:w1@6=11 A:w1@7=22 B:w2@0=4433 ", 0x31302726},
		{0x107, 2, 0x2211, "A:w1@7=11 B:w1@0=22 ", 0x3027},
		{0x10f, 2, 0x2211, "B:w1@7=11 ", 0xff37},
		{0xff, 4, 0x44332211, "A:w1@0=22 A:w1@1=33 A:w1@2=44 ", 0x222120ff},
		{0x30c, 8, 0x8877665544332211,
		 "D:w4@c=44332211 E:w1@0=55 E:w1@1=66 E:w1@2=77 E:w1@3=88 ",
		 0x535251501f1e1d1c},
		{0x20e, 4, 0x44332211, "", 0xffffffff},
		{0x312, 4, 0x44332211, "E:w1@2=11 E:w1@3=22 ", 0xffff5352},
		/* Nobody. */
		{0x0, 1, 0x11, "", 0xff},
		{0x500, 8, 0x11, "", UINT64_MAX},
		{UINT64_MAX, 8, 0x11, "", UINT64_MAX},
		/* Two registers at one place. */
		{0xcf8, 4, 0x80001000, "G:w4@0=80001000 ", 0x73727170},
		{0xcf9, 1, 0x06, "H:w1@0=6 ", 0x80},
		{0xcf8, 1, 0x06, "", 0xff},
		{0xcf8, 2, 0x0602, "H:w1@0=6 ", 0x80ff},
		{0xcf9, 4, 0x44332211, "H:w1@0=11 I:w1@0=44 ", 0x90ffff80},
		{0xcf8, 8, 0x8877665544332211, "G:w4@0=44332211 I:w4@0=88776655 ",
		 0x9392919073727170},
		/* Lengths that KVM leaves at a page boundary. */
		{0x300, 3, 0x332211, "D:w2@0=2211 D:w1@2=33 ", 0x121110},
		{0x101, 5, 0x5544332211, "A:w1@1=11 A:w1@2=22 A:w1@3=33 A:w1@4=44 A:w1@5=55 ",
		 0x2524232221},
		{0x300, 7, 0x77665544332211, "D:w4@0=44332211 D:w2@4=6655 D:w1@6=77 ",
		 0x16151413121110},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bus_access access = {.len = cases[i].len, .is_write = true,
					    .value = cases[i].value};

		f->log.text[0] = 0;
		bus_access(f->bus, cases[i].addr, &access);
		if (strcmp(f->log.text, cases[i].arrives))
			fail_msg("case %zu: arrived \"%s\"", i, f->log.text);
		access = (struct bus_access){.len = cases[i].len};
		bus_access(f->bus, cases[i].addr, &access);
		if (access.value != cases[i].reads)
			fail_msg("case %zu: read 0x%llx", i, (unsigned long long)access.value);
	}
}

/* Bits of the caller's value beyond the length never reach a device. */
static void test_bus_access_cuts_value(void **state)
{
	struct fixture *f = *state;
	struct bus_access access = {.len = 2, .is_write = true, .value = 0xdeadbeef};

	bus_access(f->bus, 0x300, &access);
	assert_string_equal(f->log.text, "D:w2@0=beef ");
}

static void test_bus_many_claims(void **state)
{
	struct log log = {""};
	struct device device[200];
	struct bus *bus = bus_create("test");
	(void)state;

	/* 37 and 200 have no common divisor: each place once, in a jumble. */
	for (unsigned int i = 0; i < ARRAY_SIZE(device); i++) {
		unsigned int place = i * 37 % ARRAY_SIZE(device);

		device[place] = (struct device){'x', &log, place};
		assert_int_equal(bus_add(bus, (struct range){0x1000 + 0x10 * place, 8}, &ops_1,
					 &device[place]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(device); i++) {
		struct bus_access access = {.len = 1};

		log.text[0] = 0;
		bus_access(bus, 0x1000 + 0x10 * i, &access);
		assert_int_equal(access.value, i);
		access.len = 1;
		bus_access(bus, 0x1008 + 0x10 * i, &access);
		assert_int_equal(access.value, 0xff);
	}
	bus_destroy(bus);
}

/* --- locks --- */

struct adder {
	struct bus *bus;
	struct device *device;
	int result;
};

static void adder_access(void *opaque, struct bus_access *access)
{
	struct adder *adder = opaque;
	struct bus_access inner = {.len = 1};

	adder->result = bus_add(adder->bus, (struct range){0x20, 1}, &ops_1, adder->device);
	bus_access(adder->bus, 0x20, &inner);
	access->value = inner.value;
}

static void test_bus_handler_may_use_bus(void **state)
{
	static const struct bus_ops adder_ops = {1, adder_access};
	struct log log = {""};
	struct device device = {'A', &log, 0x55};
	struct adder adder = {bus_create("test"), &device, -1};
	struct bus_access access = {.len = 1};
	(void)state;

	assert_int_equal(bus_add(adder.bus, (struct range){0x10, 1}, &adder_ops, &adder), 0);
	bus_access(adder.bus, 0x10, &access);
	assert_int_equal(adder.result, 0);
	assert_int_equal(access.value, 0x55);
	bus_destroy(adder.bus);
}

struct race {
	struct bus *bus;
	atomic_bool stop;
	unsigned int wrong;
};

static void constant_access(void *opaque, struct bus_access *access)
{
	(void)opaque;
	access->value = 0x5a;
}

static const struct bus_ops constant_ops = {1, constant_access};

static void *read_always(void *opaque)
{
	struct race *race = opaque;

	do {
		struct bus_access access = {.len = 1};

		bus_access(race->bus, 0x8000, &access);
		race->wrong += access.value != 0x5a;
	} while (!race->stop);
	return NULL;
}

static void test_bus_add_beside_accesses(void **state)
{
	struct race race = {.bus = bus_create("test")};
	pthread_t thread;
	(void)state;

	assert_int_equal(bus_add(race.bus, (struct range){0x8000, 1}, &constant_ops, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_always, &race), 0);
	for (uint64_t i = 0; i < 2000; i++)
		assert_int_equal(bus_add(race.bus, (struct range){2 * i, 1}, &constant_ops, NULL),
				 0);
	race.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(race.wrong, 0);
	bus_destroy(race.bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bus_add_checks_claims),
		cmocka_unit_test(test_bus_add_refused_leaves_nothing),
		cmocka_unit_test_setup_teardown(test_bus_access_routes_by_address_and_size, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_bus_access_cuts_value, setup, teardown),
		cmocka_unit_test(test_bus_many_claims),
		cmocka_unit_test(test_bus_handler_may_use_bus),
		cmocka_unit_test(test_bus_add_beside_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
