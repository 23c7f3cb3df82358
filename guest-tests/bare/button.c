/*
 * Waits for its power button, for tests/program/check-api and check-shutdown: the fixed one of
 * ACPI, whose press is an SCI. Says "ready", then "press N" for each. The host ends it; with off=1
 * the first press does, with reset=1 it resets.
 */
#include "guest-tests/bare/lib_irq.h"

#define VECTOR_SCI VECTOR_FIRST
#define PM1_PWRBTN 0x0100U
#define FADT_PWR_BUTTON (1U << 4) /* set: there is no fixed one */
#define REDIR_LEVEL 0x8000U       /* ICH9, REDIR_TBL - Redirection Table: level, active high */
#define RESET_PORT 0xcf9
#define RESET_HARD 0x06
#define ROUND_MS 3000             /* waits are not longer than the PM timer's lap */

static uint16_t event_port;
static volatile unsigned int presses;
static unsigned int told;

static void on_sci(unsigned int vector)
{
	(void)vector;
	if (!(inw(event_port) & PM1_PWRBTN))
		return;
	outw(event_port, PM1_PWRBTN);
	presses++;
}

static bool is_pressed(void *opaque)
{
	(void)opaque;
	return presses > told;
}

void test(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");
	unsigned int sci = acpi_get32(fadt, FADT_SCI) & 0xffff;

	event_port = (uint16_t)acpi_get32(fadt, FADT_PM1A_EVT);
	irq_init();
	irq_take(VECTOR_SCI, on_sci);
	ioapic_route(sci, VECTOR_SCI);
	ioapic_write((uint8_t)(0x10 + 2 * sci), VECTOR_SCI | REDIR_LEVEL);
	outw((uint16_t)(event_port + 2), PM1_PWRBTN);
	report("the power button is a fixed one",
	       !(acpi_get32(fadt, FADT_FLAGS) & FADT_PWR_BUTTON));
	print("ready\n");
	for (;;) {
		if (!wait_until(is_pressed, NULL, ROUND_MS))
			continue;
		print("press ");
		print_number(++told);
		print("\n");
		if (option("off") > 0)
			acpi_power_off();
		if (option("reset") > 0)
			outb(RESET_PORT, RESET_HARD);
	}
}
