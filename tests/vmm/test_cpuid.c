#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "vmm/base/bits.h"
#include "vmm/cpuid.h"

static const struct kvm_cpuid_entry2 host[] = {
	{.function = 0x1, .ebx = 0x55aa0800, .ecx = 0, .edx = 0x078bfbff},
	{.function = 0x4, .index = 0, .eax = 0xfc004121}, /* data, level 1 */
	{.function = 0x4, .index = 1, .eax = 0xfc1fc163}, /* unified, level 3 */
	{.function = 0x4, .index = 2, .eax = 0},
	{.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 0x77},
	{.function = 0xb, .index = 1, .eax = 7, .ebx = 16, .ecx = 0x201, .edx = 0x77},
	{.function = 0xb, .index = 2, .ecx = 2, .edx = 0x77},
	{.function = 0x80000008, .eax = 0x3030, .ecx = 0x703f},
	{.function = 0x8000001e, .eax = 9, .ebx = 0x109, .ecx = 0x3},
};

static struct kvm_cpuid2 *topology(uint32_t apic_id, unsigned int cpus)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + sizeof(host));

	assert_non_null(cpuid);
	cpuid->nent = ARRAY_SIZE(host);
	for (size_t i = 0; i < ARRAY_SIZE(host); i++)
		cpuid->entries[i] = host[i];
	cpuid_set_topology(cpuid, apic_id, cpus, 1);
	return cpuid;
}

static void test_cpuid_numbers_cpus(void **state)
{
	(void)state;
	for (unsigned int cpus = 1; cpus <= 64; cpus++) {
		for (uint32_t id = 0; id < cpus; id++) {
			struct kvm_cpuid2 *c = topology(id, cpus);

			assert_int_equal(c->entries[0].ebx >> 24, id);
			assert_int_equal((c->entries[0].ebx >> 16) & 0xff, cpus);
			assert_int_equal(c->entries[0].ebx & 0xffff, 0x0800);
			assert_int_equal(c->entries[4].edx, id);
			assert_int_equal(c->entries[5].ebx, cpus);
			/* every ID fits below the socket's bit */
			assert_int_equal(id >> c->entries[5].eax, 0);
			assert_int_equal(c->entries[7].ecx & 0xff, cpus - 1);
			assert_int_equal(c->entries[8].eax, id);
			free(c);
		}
	}
}

static void test_cpuid_one_thread_a_core_one_socket(void **state)
{
	struct kvm_cpuid2 *c = topology(1, 3);

	(void)state;
	assert_int_equal(c->entries[4].eax, 0); /* SMT level takes no bits */
	assert_int_equal(c->entries[4].ebx, 1);
	assert_int_equal(c->entries[5].eax, 2);
	assert_int_equal(c->entries[6].ebx, 0); /* no third level */
	assert_int_equal((c->entries[1].eax >> 14) & 0xfff, 0); /* level 1 is private */
	assert_int_equal((c->entries[2].eax >> 14) & 0xfff, 3); /* level 3 is shared by all IDs */
	assert_int_equal(c->entries[1].eax >> 26, 3);
	assert_int_equal(c->entries[3].eax, 0); /* the end of the list stays one */
	free(c);
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
	struct kvm_cpuid2 *one = topology(0, 1), *two = topology(0, 2);

	(void)state;
	assert_true(one->entries[0].ecx & (1U << 31)); /* a hypervisor is present */
	assert_true(one->entries[0].ecx & (1U << 24)); /* TSC deadline */
	assert_false(one->entries[0].edx & (1U << 28));
	assert_true(two->entries[0].edx & (1U << 28));
	free(one);
	free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpuid_numbers_cpus),
		cmocka_unit_test(test_cpuid_one_thread_a_core_one_socket),
		cmocka_unit_test(test_cpuid_adds_the_core_level_that_kvm_leaves_out),
		cmocka_unit_test(test_cpuid_feature_flags),
	};

	return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
