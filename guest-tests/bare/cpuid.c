/*
 * What the CPUs say of themselves is one socket of cores with one thread each, on every leaf that
 * guests look at; and what a guest keeps time and takes interrupts with is there and works.
 */
#include "guest-tests/bare/lib_irq.h"

/* Intel SDM vol. 2A, CPUID; AMD64 APM vol. 3, Appendix E. */
#define FEATURES_ECX_X2APIC (1U << 21)
#define FEATURES_ECX_TSC_DEADLINE (1U << 24)
#define FEATURES_ECX_HYPERVISOR (1U << 31)
#define FEATURES_EDX_HTT (1U << 28)
#define LEAF_CACHE 0x4
#define LEAF_TOPOLOGY 0xb
#define LEAF_TOPOLOGY_V2 0x1f
#define LEAF_AMD_FEATURES 0x80000001
#define AMD_FEATURES_ECX_CMP_LEGACY (1U << 1)
#define AMD_FEATURES_ECX_TOPOEXT (1U << 22)
#define LEAF_SIZES 0x80000008
#define LEAF_AMD_CACHE 0x8000001d
#define LEAF_AMD_TOPOLOGY 0x8000001e
#define CACHES_MAX 8

/* Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst. */
#define LEAF_KVM 0x40000000
#define KVM_SIGNATURE 0x4b4d564b /* "KVMK" */
#define KVM_CLOCKSOURCE2 (1U << 3)
#define KVM_PV_EOI (1U << 6)
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01

/* Intel SDM vol. 3A, APIC Timer, TSC-Deadline Mode; x2APIC. */
#define VECTOR_DEADLINE VECTOR_FIRST
#define LAPIC_TIMER 0x320
#define TIMER_TSC_DEADLINE 0x40000U
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2APIC (1U << 10)
#define MSR_X2APIC_ID 0x802
#define TIMEOUT_US 2000000

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/* ABI of kvmclock, a page's part that KVM writes. */
static volatile struct {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
} clock __attribute__((aligned(64)));

static unsigned int cpus, id_bits;
static bool is_amd;
static volatile bool other_done;
static uint32_t other_ids[4];

static struct cpuid cpuid(uint32_t leaf, uint32_t index)
{
	struct cpuid c = {.eax = leaf, .ecx = index};

	__asm__ volatile("cpuid" : "+a"(c.eax), "=b"(c.ebx), "+c"(c.ecx), "=d"(c.edx));
	return c;
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (uint64_t)high << 32;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (uint64_t)high << 32;
}

/* --- who am I: the APIC's ID, from wherever it can be had --- */

static void read_ids(uint32_t ids[4])
{
	ids[0] = MMIO(uint32_t, LAPIC + LAPIC_ID) >> 24;
	ids[1] = cpuid(1, 0).ebx >> 24;
	ids[2] = cpuid(LEAF_TOPOLOGY, 1).edx;
	ids[3] = is_amd ? cpuid(LEAF_AMD_TOPOLOGY, 0).eax : ids[0];
}

static void other_cpu(void)
{
	read_ids(other_ids);
	other_done = true;
}

static void check_ids(const char *cpu, const uint32_t ids[4])
{
	static const char *const names[] = {"leaf 1", "leaf 0xb", "leaf 0x8000001e"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		report_equal(join(cpu, names[i]), ids[i + 1], ids[0]);
}

static bool is_other_done(void *opaque)
{
	(void)opaque;
	return other_done;
}

static void check_all_ids(void)
{
	uint32_t ids[4];

	read_ids(ids);
	check_ids("APIC ID of the first CPU", ids);
	if (cpus < 2)
		return;
	report("the second CPU comes", cpu_run(0, other_cpu) &&
	       wait_until(is_other_done, NULL, TIMEOUT_US / 1000));
	check_ids("APIC ID of the second CPU", other_ids);
	report("its ID is another one", ids[0] != other_ids[0]);
}

/* --- one socket, one thread a core --- */

static void check_counts(void)
{
	struct cpuid features = cpuid(1, 0), sizes = cpuid(LEAF_SIZES, 0);

	report_equal("leaf 1: number of IDs", features.ebx >> 16 & 0xff, cpus);
	report_equal("leaf 0x80000008: cores", sizes.ecx & 0xff, is_amd ? cpus - 1 : 0);
	report_equal("leaf 0x80000008: bits of the ID", sizes.ecx >> 12 & 0xf,
		     is_amd ? id_bits : 0);
	/* With one CPU they mean nothing, and not every KVM lets us clear them. */
	if (cpus < 2)
		return;
	report("leaf 1: more than one", features.edx & FEATURES_EDX_HTT);
	if (is_amd)
		report("leaf 0x80000001: CmpLegacy", cpuid(LEAF_AMD_FEATURES, 0).ecx &
		       AMD_FEATURES_ECX_CMP_LEGACY);
}

static void check_levels(uint32_t leaf)
{
	struct cpuid smt = cpuid(leaf, 0), core = cpuid(leaf, 1), end = cpuid(leaf, 2);

	if (cpuid(0, 0).eax < leaf)
		return;
	note("levels of leaf", leaf);
	report_equal("thread level: type", smt.ecx, 1U << 8);
	report_equal("thread level: bits", smt.eax, 0);
	report_equal("thread level: one", smt.ebx, 1);
	report_equal("core level: type", core.ecx, 2U << 8 | 1);
	report_equal("core level: bits", core.eax, id_bits);
	report_equal("core level: all", core.ebx, cpus);
	report_equal("no level above", end.ecx & 0xff00, 0);
}

/* Levels 1 and 2 are a core's own, what is above belongs to all. */
static void check_caches(uint32_t leaf)
{
	unsigned int caches = 0;

	for (; caches < CACHES_MAX; caches++) {
		struct cpuid cache = cpuid(leaf, caches);
		uint32_t level = cache.eax >> 5 & 7, sharing = cache.eax >> 14 & 0xfff;

		if (!(cache.eax & 0x1f))
			break;
		note("cache level", level);
		report_equal("shared by", sharing, level < 3 ? 0 : (1U << id_bits) - 1);
		if (!is_amd)
			report_equal("cores", cache.eax >> 26, (1U << id_bits) - 1);
	}
	report("the list of caches ends", caches < CACHES_MAX);
}

/* --- time and interrupts --- */

static void check_features(void)
{
	struct cpuid features = cpuid(1, 0), kvm = cpuid(LEAF_KVM, 0);
	uint32_t offered = cpuid(LEAF_KVM + 1, 0).eax;

	report("x2APIC", features.ecx & FEATURES_ECX_X2APIC);
	report("TSC deadline timer", features.ecx & FEATURES_ECX_TSC_DEADLINE);
	report("a hypervisor", features.ecx & FEATURES_ECX_HYPERVISOR);
	report_equal("it is KVM", kvm.ebx, KVM_SIGNATURE);
	report("kvmclock is offered", offered & KVM_CLOCKSOURCE2);
	report("paravirtual EOI is offered", offered & KVM_PV_EOI);
}

static void check_kvmclock(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uintptr_t)&clock | 1);
	inb(COM1 + 5); /* the CPU leaves the guest; KVM writes the page before it comes back */
	report("kvmclock has the TSC's rate", clock.tsc_to_system_mul != 0);
	report("kvmclock is consistent", !(clock.version & 1));
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, 0);
}

static void check_deadline(void)
{
	struct stopwatch watch;

	irq_take(VECTOR_DEADLINE, NULL);
	MMIO(uint32_t, LAPIC + LAPIC_TIMER) = TIMER_TSC_DEADLINE | VECTOR_DEADLINE;
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000000);
	stopwatch_start(&watch);
	while (!irq_count(VECTOR_DEADLINE) && stopwatch_us(&watch) < TIMEOUT_US)
		;
	report_equal("the TSC deadline comes, once", irq_count(VECTOR_DEADLINE), 1);
	report_equal("it is disarmed then", rdmsr(MSR_TSC_DEADLINE), 0);
}

/* Last: the APIC's registers are not in memory any more. */
static void check_x2apic(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	report_equal("x2APIC's ID", rdmsr(MSR_X2APIC_ID), cpuid(LEAF_TOPOLOGY, 1).edx);
}

void test(void)
{
	uint32_t vendor = cpuid(0, 0).ecx;

	is_amd = vendor == 0x444d4163 /* AuthenticAMD */ || vendor == 0x656e6975 /* HygonGenuine */;
	cpus = (unsigned int)option("cpus");
	while ((1U << id_bits) < cpus)
		id_bits++;
	irq_init();
	check_all_ids();
	check_counts();
	check_levels(LEAF_TOPOLOGY);
	check_levels(LEAF_TOPOLOGY_V2);
	check_caches(LEAF_CACHE);
	if (cpuid(LEAF_AMD_FEATURES, 0).ecx & AMD_FEATURES_ECX_TOPOEXT)
		check_caches(LEAF_AMD_CACHE);
	check_features();
	check_kvmclock();
	check_deadline();
	check_x2apic();
}
