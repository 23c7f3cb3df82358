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
