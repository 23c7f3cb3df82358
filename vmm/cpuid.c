#include "vmm/cpuid.h"

#include <linux/kvm.h>
#include <stdbool.h>

#include "vmm/base/bits.h"

/* Intel SDM vol. 2A, CPUID; AMD64 APM vol. 3, Appendix E. */
#define LEAF_VENDOR 0x0U
#define   VENDOR_ECX_AMD 0x444d4163U   /* AuthenticAMD */
#define   VENDOR_ECX_HYGON 0x656e6975U /* HygonGenuine */
#define LEAF_FEATURES 0x1U
#define   FEATURES_EBX_APIC_ID BITS(31, 24)
#define   FEATURES_EBX_LOGICAL_COUNT BITS(23, 16)
#define   FEATURES_ECX_TSC_DEADLINE (1U << 24)
#define   FEATURES_ECX_HYPERVISOR (1U << 31)
#define   FEATURES_EDX_HTT (1U << 28)
#define LEAF_CACHE 0x4U
#define   CACHE_EAX_TYPE BITS(4, 0)
#define   CACHE_EAX_LEVEL BITS(7, 5)
#define   CACHE_EAX_SHARING BITS(25, 14)
#define   CACHE_EAX_CORES BITS(31, 26)
#define LEAF_TOPOLOGY 0xbU
#define LEAF_TOPOLOGY_V2 0x1fU
#define   TOPOLOGY_ECX_SMT (1U << 8)
#define   TOPOLOGY_ECX_CORE (2U << 8)
#define LEAF_AMD_FEATURES 0x80000001U
#define   AMD_FEATURES_ECX_CMP_LEGACY (1U << 1)
#define LEAF_AMD_SIZES 0x80000008U
#define   AMD_SIZES_ECX_COUNT BITS(7, 0)
#define   AMD_SIZES_ECX_ID_BITS BITS(15, 12)
#define LEAF_AMD_CACHE 0x8000001dU
#define LEAF_AMD_TOPOLOGY 0x8000001eU

struct topology {
	uint32_t apic_id;
	unsigned int cpus;
	unsigned int id_bits; /* bits of the APIC ID that number the cores */
	bool is_amd;          /* what is reserved in Intel's leaves stays as it is */
};

static void set_field(uint32_t *reg, uint64_t mask, uint32_t value)
{
	uint32_t bits = (uint32_t)mask;
	uint32_t shift = (uint32_t)__builtin_ctz(bits);

	*reg = (*reg & ~bits) | ((value << shift) & bits);
}

static unsigned int bits_for(unsigned int count)
{
	unsigned int bits = 0;

	while ((1U << bits) < count)
		bits++;
	return bits;
}

static void set_features(struct kvm_cpuid_entry2 *leaf, const struct topology *t, int tsc_deadline)
{
	set_field(&leaf->ebx, FEATURES_EBX_APIC_ID, t->apic_id);
	set_field(&leaf->ebx, FEATURES_EBX_LOGICAL_COUNT, t->cpus);
	leaf->ecx |= FEATURES_ECX_HYPERVISOR;
	if (tsc_deadline)
		leaf->ecx |= FEATURES_ECX_TSC_DEADLINE;
	if (t->cpus > 1)
		leaf->edx |= FEATURES_EDX_HTT;
	else
		leaf->edx &= ~FEATURES_EDX_HTT;
}

static void set_amd_features(struct kvm_cpuid_entry2 *leaf, const struct topology *t)
{
	if (t->is_amd && t->cpus > 1)
		leaf->ecx |= AMD_FEATURES_ECX_CMP_LEGACY;
	else
		leaf->ecx &= ~AMD_FEATURES_ECX_CMP_LEGACY;
}

/* Caches up to level 2 belong to one core, the rest to all. */
static void set_cache(struct kvm_cpuid_entry2 *leaf, const struct topology *t, bool is_amd)
{
	uint32_t level = (leaf->eax & (uint32_t)CACHE_EAX_LEVEL) >> 5;

	if (!(leaf->eax & CACHE_EAX_TYPE))
		return; /* no more caches */
	set_field(&leaf->eax, CACHE_EAX_SHARING, level < 3 ? 0 : (1U << t->id_bits) - 1);
	if (!is_amd)
		set_field(&leaf->eax, CACHE_EAX_CORES, (1U << t->id_bits) - 1);
}

static void set_extended_topology(struct kvm_cpuid_entry2 *leaf, const struct topology *t)
{
	leaf->eax = leaf->ebx = 0;
	leaf->ecx = leaf->index & 0xff;
	leaf->edx = t->apic_id;
	if (leaf->index == 0) {
		leaf->ebx = 1;
		leaf->ecx |= TOPOLOGY_ECX_SMT;
	} else if (leaf->index == 1) {
		leaf->eax = t->id_bits;
		leaf->ebx = t->cpus;
		leaf->ecx |= TOPOLOGY_ECX_CORE;
	}
}

static void set_amd_sizes(struct kvm_cpuid_entry2 *leaf, const struct topology *t)
{
	if (!t->is_amd)
		return;
	set_field(&leaf->ecx, AMD_SIZES_ECX_COUNT, t->cpus - 1);
	set_field(&leaf->ecx, AMD_SIZES_ECX_ID_BITS, t->id_bits);
}

static void set_amd_topology(struct kvm_cpuid_entry2 *leaf, const struct topology *t)
{
	leaf->eax = t->apic_id;
	leaf->ebx = t->apic_id & 0xff; /* core ID, one thread a core */
	leaf->ecx = 0;                 /* node 0 of one */
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

/* Newer KVM offers the first level alone and leaves the rest to us: without a core level guests
 * would take every CPU for a socket. */
static void add_core_level(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	if (!find(cpuid, function, 0) || find(cpuid, function, 1))
		return;
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
		.function = function, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
}

static bool is_amd(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *vendor = find(cpuid, LEAF_VENDOR, 0);

	return vendor && (vendor->ecx == VENDOR_ECX_AMD || vendor->ecx == VENDOR_ECX_HYGON);
}

void cpuid_set_topology(struct kvm_cpuid2 *cpuid, uint32_t apic_id, unsigned int cpus,
			int tsc_deadline)
{
	const struct topology t = {apic_id, cpus, bits_for(cpus), is_amd(cpuid)};

	add_core_level(cpuid, LEAF_TOPOLOGY);
	add_core_level(cpuid, LEAF_TOPOLOGY_V2);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *leaf = &cpuid->entries[i];

		switch (leaf->function) {
		case LEAF_FEATURES:
			set_features(leaf, &t, tsc_deadline);
			break;
		case LEAF_CACHE:
			set_cache(leaf, &t, false);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			set_extended_topology(leaf, &t);
			break;
		case LEAF_AMD_FEATURES:
			set_amd_features(leaf, &t);
			break;
		case LEAF_AMD_SIZES:
			set_amd_sizes(leaf, &t);
			break;
		case LEAF_AMD_CACHE:
			set_cache(leaf, &t, true);
			break;
		case LEAF_AMD_TOPOLOGY:
			set_amd_topology(leaf, &t);
			break;
		default:
			break;
		}
	}
}
