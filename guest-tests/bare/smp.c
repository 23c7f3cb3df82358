/*
 * All CPUs that the MADT names start by INIT and SIPI, each once; the memory types are set up.
 * Option: cpus=N is compared.
 */
#include "guest-tests/bare/lib.h"

/* Intel SDM vol. 3A, IA32_MTRR_DEF_TYPE MSR. */
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLED 0x800
#define MTRR_WRITE_BACK 6

static void check_memory_types(void)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_MTRR_DEF_TYPE));
	report_equal("memory is write-back", low & 0xcff, MTRR_ENABLED | MTRR_WRITE_BACK);
}

void test(void)
{
	unsigned int expected, started = cpus_start(&expected);
	long cpus = option("cpus");

	report_equal("every CPU starts once", started, expected);
	if (cpus > 0)
		report_equal("the MADT names every CPU", expected + 1, (uint64_t)cpus);
	check_memory_types();
}
