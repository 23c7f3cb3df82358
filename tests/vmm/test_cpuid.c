#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/cpuid.h"

/* What KVM offers on an Intel host, and on an AMD host; with the host's own topology in it, as
 * kernels up to 6.0 hand it out. */
static const struct kvm_cpuid_entry2 intel[] = {
	{.function = 0x0, .eax = 0x1f, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69},
	{.function = 0x1, .ebx = 0x55aa0800, .ecx = 0, .edx = 0x078bfbff},
	{.function = 0x4, .index = 0, .eax = 0xfc004121}, /* data, level 1 */
	{.function = 0x4, .index = 1, .eax = 0xfc01c143}, /* unified, level 2, of four cores */
	{.function = 0x4, .index = 2, .eax = 0xfc1fc163}, /* unified, level 3 */
	{.function = 0x4, .index = 3, .eax = 0},
	{.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 0x77},
	{.function = 0xb, .index = 1, .eax = 7, .ebx = 16, .ecx = 0x201, .edx = 0x77},
	{.function = 0xb, .index = 2, .ecx = 2, .edx = 0x77},
	{.function = 0x1f, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 0x77},
	{.function = 0x1f, .index = 1, .eax = 4, .ebx = 8, .ecx = 0x201, .edx = 0x77},
	{.function = 0x1f, .index = 2, .eax = 7, .ebx = 16, .ecx = 0x502, .edx = 0x77}, /* die */
	{.function = 0x80000001, .ecx = 0x121},
	{.function = 0x80000008, .eax = 0x3030, .ecx = 0},
};

static const struct kvm_cpuid_entry2 amd[] = {
	{.function = 0x0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
	{.function = 0x1, .ebx = 0x55aa0800, .ecx = 0, .edx = 0x078bfbff},
	{.function = 0x4, .index = 0},
	{.function = 0xb, .index = 0},
	{.function = 0x80000001, .ecx = 0x00400391}, /* a host of one CPU: CmpLegacy is not set */
	{.function = 0x80000008, .eax = 0x3030, .ecx = 0x1703f},
	{.function = 0x8000001d, .index = 0, .eax = 0x4121},
	{.function = 0x8000001d, .index = 1, .eax = 0x4143},
	{.function = 0x8000001d, .index = 2, .eax = 0x1c163},
	{.function = 0x8000001d, .index = 3, .eax = 0},
	{.function = 0x8000001e, .eax = 9, .ebx = 0x109, .ecx = 0x3},
};

static struct kvm_cpuid2 *make(const struct kvm_cpuid_entry2 *host, size_t size, uint32_t apic_id,
			       unsigned int cpus)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + size + CPUID_ADDED_MAX * sizeof(*host));

	assert_non_null(cpuid);
	cpuid->nent = (uint32_t)(size / sizeof(*host));
	memcpy(cpuid->entries, host, size);
	cpuid_set_topology(cpuid, apic_id, cpus, 1);
	return cpuid;
}

static struct kvm_cpuid2 *make_intel(uint32_t apic_id, unsigned int cpus)
{
	return make(intel, sizeof(intel), apic_id, cpus);
}

static struct kvm_cpuid2 *make_amd(uint32_t apic_id, unsigned int cpus)
{
	return make(amd, sizeof(amd), apic_id, cpus);
}

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *cpuid, uint32_t function,
					   uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	fail_msg("there is no leaf 0x%x.%u", function, index);
	return NULL;
}

static uint32_t sharing(const struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	return leaf(cpuid, function, index)->eax >> 14 & 0xfff;
}

static void check_levels(const struct kvm_cpuid2 *c, uint32_t function, uint32_t id,
			 unsigned int cpus)
{
	const struct kvm_cpuid_entry2 *smt = leaf(c, function, 0), *core = leaf(c, function, 1);

	assert_int_equal(smt->eax, 0);
	assert_int_equal(smt->ebx, 1);
	assert_int_equal(smt->ecx, 0x100);
	assert_int_equal(core->ebx, cpus);
	assert_int_equal(core->ecx, 0x201);
	assert_int_equal(core->edx, id);
	/* Every ID fits below the socket's bit, and no bit is wasted. */
	assert_int_equal(id >> core->eax, 0);
	assert_true(core->eax == 0 || cpus > 1U << (core->eax - 1));
}

static void check_cpu(const struct kvm_cpuid2 *c, uint32_t id, unsigned int cpus)
{
	assert_int_equal(leaf(c, 1, 0)->ebx >> 24, id);
	assert_int_equal(leaf(c, 1, 0)->ebx >> 16 & 0xff, cpus);
	assert_int_equal(leaf(c, 1, 0)->ebx & 0xffff, 0x0800);
	assert_int_equal(leaf(c, 1, 0)->edx >> 28 & 1, cpus > 1);
	check_levels(c, 0xb, id, cpus);
}

static void check_intel(uint32_t id, unsigned int cpus)
{
	struct kvm_cpuid2 *c = make_intel(id, cpus);
	uint32_t all = (1U << leaf(c, 0xb, 1)->eax) - 1;

	check_cpu(c, id, cpus);
	check_levels(c, 0x1f, id, cpus);
	assert_int_equal(leaf(c, 0xb, 2)->ecx, 2); /* no third level */
	assert_int_equal(leaf(c, 0x1f, 2)->ecx, 2);
	assert_int_equal(leaf(c, 0x1f, 2)->ebx, 0);
	assert_int_equal(sharing(c, 4, 0), 0);
	assert_int_equal(sharing(c, 4, 1), 0);
	assert_int_equal(sharing(c, 4, 2), all);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(leaf(c, 4, i)->eax >> 26, all);
	assert_int_equal(leaf(c, 4, 3)->eax, 0); /* the end of the list stays one */
	assert_int_equal(leaf(c, 0x80000001, 0)->ecx, 0x121);
	assert_int_equal(leaf(c, 0x80000008, 0)->ecx, 0); /* reserved */
	free(c);
}

static void check_amd(uint32_t id, unsigned int cpus)
{
	struct kvm_cpuid2 *c = make_amd(id, cpus);
	uint32_t bits = leaf(c, 0xb, 1)->eax;

	check_cpu(c, id, cpus);
	assert_int_equal(leaf(c, 4, 0)->eax, 0);
	assert_int_equal(leaf(c, 0x80000001, 0)->ecx, cpus > 1 ? 0x00400393 : 0x00400391);
	assert_int_equal(leaf(c, 0x80000008, 0)->ecx, 0x10000 | bits << 12 | (cpus - 1));
	assert_int_equal(sharing(c, 0x8000001d, 0), 0);
	assert_int_equal(sharing(c, 0x8000001d, 1), 0);
	assert_int_equal(sharing(c, 0x8000001d, 2), (1U << bits) - 1);
	assert_int_equal(leaf(c, 0x8000001d, 2)->eax >> 26, 0); /* reserved */
	assert_int_equal(leaf(c, 0x8000001d, 3)->eax, 0);
	assert_int_equal(leaf(c, 0x8000001e, 0)->eax, id);
	assert_int_equal(leaf(c, 0x8000001e, 0)->ebx, id); /* one thread a core */
	assert_int_equal(leaf(c, 0x8000001e, 0)->ecx, 0);
	free(c);
}

static void test_cpuid_one_socket_one_thread_a_core(void **state)
{
	(void)state;
	for (unsigned int cpus = 1; cpus <= 64; cpus++) {
		for (uint32_t id = 0; id < cpus; id++) {
			check_intel(id, cpus);
			check_amd(id, cpus);
		}
	}
}

static void test_cpuid_adds_the_core_level_that_kvm_leaves_out(void **state)
{
	static const uint32_t leaves[] = {0xb, 0x1f};
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + (ARRAY_SIZE(leaves) + CPUID_ADDED_MAX) *
							      sizeof(c->entries[0]));

	(void)state;
	assert_non_null(c);
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		c->entries[c->nent++] = (struct kvm_cpuid_entry2){
			.function = leaves[i], .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
	cpuid_set_topology(c, 2, 4, 1);
	assert_int_equal(c->nent, 4);
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		const struct kvm_cpuid_entry2 *core = &c->entries[2 + i];

		assert_int_equal(core->function, leaves[i]);
		assert_int_equal(core->index, 1);
		assert_int_equal(core->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
		assert_int_equal(core->eax, 2);
		assert_int_equal(core->ebx, 4);
		assert_int_equal(core->ecx, 0x201);
		assert_int_equal(core->edx, 2);
	}
	free(c);
}

static void test_cpuid_feature_flags(void **state)
{
	struct kvm_cpuid2 *one = make_intel(0, 1), *two = make_intel(0, 2);

	(void)state;
	assert_true(leaf(one, 1, 0)->ecx & (1U << 31)); /* a hypervisor is present */
	assert_true(leaf(one, 1, 0)->ecx & (1U << 24)); /* TSC deadline */
	assert_false(leaf(one, 1, 0)->edx & (1U << 28));
	assert_true(leaf(two, 1, 0)->edx & (1U << 28));
	free(one);
	free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpuid_one_socket_one_thread_a_core),
		cmocka_unit_test(test_cpuid_adds_the_core_level_that_kvm_leaves_out),
		cmocka_unit_test(test_cpuid_feature_flags),
	};

	return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
