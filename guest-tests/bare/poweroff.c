/*
 * Power-off as an operating system does it: SLP_TYP from \_S5 in the DSDT, SLP_EN in PM1 control.
 * The VMM ends with status 0; this guest never ends by itself unless it failed.
 */
#include "guest-tests/bare/lib.h"

#define TIMEOUT_US 2000000

void test(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");
	uint16_t control = (uint16_t)acpi_get32(fadt, FADT_PM1A_CNT);
	struct stopwatch watch;
	int type = acpi_slp_typ("_S5_");

	report("the DSDT has _S5", type >= 0);
	if (type < 0)
		return;
	outw(control, (uint16_t)((unsigned int)type << SLP_TYP_SHIFT));
	report("SLP_TYP alone does nothing", true);
	acpi_power_off();
	stopwatch_start(&watch);
	while (stopwatch_us(&watch) < TIMEOUT_US)
		;
	report("power-off", false);
}
