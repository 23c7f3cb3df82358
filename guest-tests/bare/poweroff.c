/*
 * Power-off as an operating system does it: SLP_TYP from \_S5 in the DSDT, SLP_EN in PM1 control.
 * The VMM ends with status 0; this guest never ends by itself unless it failed.
 */
#include "guest-tests/bare/lib.h"

#define SLP_TYP_SHIFT 10
#define SLP_EN (1U << 13)
#define TIMEOUT_US 2000000

/* AML: ACPI 6.3, 20.2.3 Data Objects Encoding, 20.2.5.4 Expression Opcodes Encoding. */
#define AML_NAME 0x08
#define AML_PACKAGE 0x12
#define AML_BYTE_PREFIX 0x0a

/* The first element of Name (_S5, Package () {...}); -1 when it is not found. */
static int slp_typ_s5(const struct acpi_header *dsdt)
{
	const uint8_t *aml = (const uint8_t *)dsdt;

	for (uint32_t i = sizeof(*dsdt); i + 10 < dsdt->length; i++) {
		const uint8_t *p = aml + i;

		if (memcmp(p, "_S5_", 4) || (p[-1] != AML_NAME && p[-2] != AML_NAME) ||
		    p[4] != AML_PACKAGE)
			continue;
		p += 5;
		p += 1 + (*p >> 6); /* PkgLength */
		p++;                /* NumElements */
		return *p == AML_BYTE_PREFIX ? p[1] : *p; /* ZeroOp and OneOp are their values */
	}
	return -1;
}

void test(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");
	uint16_t control = (uint16_t)acpi_get32(fadt, FADT_PM1A_CNT);
	uint64_t dsdt = acpi_get64(fadt, FADT_X_DSDT);
	struct stopwatch watch;
	int type;

	if (!dsdt)
		dsdt = acpi_get32(fadt, FADT_DSDT);
	type = slp_typ_s5((const struct acpi_header *)(uintptr_t)dsdt);
	report("the DSDT has _S5", type >= 0);
	if (type < 0)
		return;
	outw(control, (uint16_t)((unsigned int)type << SLP_TYP_SHIFT));
	report("SLP_TYP alone does nothing", true);
	outw(control, (uint16_t)((unsigned int)type << SLP_TYP_SHIFT | SLP_EN));
	stopwatch_start(&watch);
	while (stopwatch_us(&watch) < TIMEOUT_US)
		;
	report("power-off", false);
}
