/*
 * All CPUs that the MADT names start by INIT and SIPI, each once. Option: cpus=N is compared.
 */
#include "guest-tests/bare/lib.h"

void test(void)
{
	unsigned int expected, started = cpus_start(&expected);
	long cpus = option("cpus");

	report_equal("every CPU starts once", started, expected);
	if (cpus > 0)
		report_equal("the MADT names every CPU", expected + 1, (uint64_t)cpus);
}
