#include "guest-tests/bare/lib.h"

#define RSDP_RSDT 16
#define RSDP_REVISION 15
#define RSDP_XSDT 24
#define PM_TIMER_HZ 3579545U
#define PM_TIMER_MASK 0xffffffU

bool acpi_checksum_good(const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + p[i]);
	return !sum;
}

uint32_t acpi_get32(const struct acpi_header *table, size_t off)
{
	uint32_t value;

	memcpy(&value, (const uint8_t *)table + off, sizeof(value));
	return value;
}

uint64_t acpi_get64(const struct acpi_header *table, size_t off)
{
	return acpi_get32(table, off) | (uint64_t)acpi_get32(table, off + 4) << 32;
}

const struct acpi_header *acpi_table(unsigned int index)
{
	const void *rsdp = (const void *)(uintptr_t)boot_info()->rsdp;
	bool has_xsdt = ((const uint8_t *)rsdp)[RSDP_REVISION] >= 2;
	size_t entry = has_xsdt ? 8 : 4, off = sizeof(struct acpi_header) + index * entry;
	const struct acpi_header *root = (const struct acpi_header *)(uintptr_t)(has_xsdt ?
		acpi_get64(rsdp, RSDP_XSDT) : acpi_get32(rsdp, RSDP_RSDT));

	if (off + entry > root->length)
		return NULL;
	return (const struct acpi_header *)(uintptr_t)(has_xsdt ? acpi_get64(root, off) :
								acpi_get32(root, off));
}

const struct acpi_header *acpi_find(const char *signature)
{
	const struct acpi_header *table = NULL;

	for (unsigned int i = 0; (table = acpi_table(i)); i++)
		if (!memcmp(table->signature, signature, sizeof(table->signature)))
			break;
	return table;
}

/* --- power-off --- */

/* AML: ACPI 6.3, 20.2.3 Data Objects Encoding, 20.2.5.4 Expression Opcodes Encoding. */
#define AML_NAME 0x08
#define AML_PACKAGE 0x12
#define AML_BYTE_PREFIX 0x0a

/* The first element of Name (<name>, Package () {...}); -1 when it is not found. */
static int find_slp_typ(const struct acpi_header *dsdt, const char *name)
{
	const uint8_t *aml = (const uint8_t *)dsdt;

	for (uint32_t i = sizeof(*dsdt); i + 10 < dsdt->length; i++) {
		const uint8_t *p = aml + i;

		if (memcmp(p, name, 4) || (p[-1] != AML_NAME && p[-2] != AML_NAME) ||
		    p[4] != AML_PACKAGE)
			continue;
		p += 5;
		p += 1 + (*p >> 6); /* PkgLength */
		p++;                /* NumElements */
		return *p == AML_BYTE_PREFIX ? p[1] : *p; /* ZeroOp and OneOp are their values */
	}
	return -1;
}

int acpi_slp_typ(const char name[4])
{
	const struct acpi_header *fadt = acpi_find("FACP");
	uint64_t dsdt = acpi_get64(fadt, FADT_X_DSDT);

	if (!dsdt)
		dsdt = acpi_get32(fadt, FADT_DSDT);
	return find_slp_typ((const struct acpi_header *)(uintptr_t)dsdt, name);
}

void acpi_power_off(void)
{
	uint16_t control = (uint16_t)acpi_get32(acpi_find("FACP"), FADT_PM1A_CNT);
	unsigned int type = (unsigned int)acpi_slp_typ("_S5_") << SLP_TYP_SHIFT;

	outw(control, (uint16_t)type);
	outw(control, (uint16_t)(type | SLP_EN));
}

/* --- time --- */

static uint32_t pm_timer(void)
{
	static uint16_t port;

	if (!port)
		port = (uint16_t)acpi_get32(acpi_find("FACP"), FADT_PM_TMR);
	return inl(port) & PM_TIMER_MASK;
}

void stopwatch_start(struct stopwatch *watch)
{
	*watch = (struct stopwatch){.last = pm_timer()};
}

uint64_t stopwatch_us(struct stopwatch *watch)
{
	uint32_t now = pm_timer();

	watch->ticks += (now - watch->last) & PM_TIMER_MASK;
	watch->last = now;
	return watch->ticks * 1000000 / PM_TIMER_HZ;
}
