#include "guest-tests/bare/lib_sleep.h"

#include "guest-tests/bare/start.h"

/* ACPI 6.3, 5.2.10 Firmware ACPI Control Structure (FACS). */
#define FACS_VECTOR 12
#define FACS_X_VECTOR 24

#define NOT_ASLEEP_US 3000000

#define RTC_SECONDS 0x00
#define RTC_SECONDS_ALARM 0x01
#define RTC_MINUTES_ALARM 0x03
#define RTC_HOURS_ALARM 0x05
#define RTC_DONT_CARE 0xc0
#define RTC_A 0x0a
#define   RTC_A_UIP 0x80
#define RTC_B 0x0b
#define   RTC_B_AIE 0x20
#define   RTC_B_24H 0x02
#define RTC_C 0x0c

#define SERIAL_STATUS (COM1 + 5)
#define SERIAL_READY 0x01

extern const uint8_t wake_real[], wake_real_end[];
void wake_32(void);
bool sleep_until_woken(void (*fall_asleep)(void));

static uint16_t pm1_event_port(void)
{
	return (uint16_t)acpi_get32(acpi_find("FACP"), FADT_PM1A_EVT);
}

uint16_t pm1_status(void)
{
	return inw(pm1_event_port());
}

void pm1_clear(uint16_t status)
{
	outw(pm1_event_port(), status);
}

void pm1_enable(uint16_t events)
{
	outw((uint16_t)(pm1_event_port() + 2), events);
}

/* --- to sleep and back --- */

void sleep_set_vectors(uint32_t vector, uint64_t x_vector)
{
	uint64_t facs = acpi_get32(acpi_find("FACP"), FADT_FACS);

	MMIO(uint32_t, facs + FACS_VECTOR) = vector;
	MMIO(uint64_t, facs + FACS_X_VECTOR) = x_vector;
}

void sleep_enter(void)
{
	uint16_t control = (uint16_t)acpi_get32(acpi_find("FACP"), FADT_PM1A_CNT);
	int type = acpi_slp_typ("_S3_");
	struct stopwatch watch;

	report("there is an S3", type >= 0);
	outw(control, (uint16_t)((unsigned int)type << SLP_TYP_SHIFT));
	outw(control, (uint16_t)((unsigned int)type << SLP_TYP_SHIFT | SLP_EN));
	stopwatch_start(&watch);
	while (stopwatch_us(&watch) < NOT_ASLEEP_US)
		;
}

bool sleep_s3(enum sleep_vector mode)
{
	size_t size = (size_t)(wake_real_end - wake_real);
	uint16_t segment;
	bool woken;

	memcpy((void *)(uintptr_t)WAKE_START, wake_real, size);
	if (mode == SLEEP_REAL_MODE)
		sleep_set_vectors(WAKE_START, 0);
	else
		sleep_set_vectors(1, (uintptr_t)wake_32); /* it counts, the other does not */
	woken = sleep_until_woken(sleep_enter);
	report("S3 was entered, and left by the waking vector", woken);
	if (!woken)
		return false;
	interrupt_load();
	memcpy(&segment, (uint8_t *)(uintptr_t)WAKE_START + size - sizeof(segment),
	       sizeof(segment));
	if (mode == SLEEP_REAL_MODE)
		report_equal("the segment is the vector's", segment, WAKE_START >> 4);
	return true;
}

/* --- the clock --- */

/* The clock runs in BCD. */
void alarm_set(unsigned int seconds)
{
	uint8_t now;

	while (nvram_get(RTC_A) & RTC_A_UIP)
		;
	now = nvram_get(RTC_SECONDS);
	seconds = ((now >> 4) * 10U + (now & 0xf) + seconds) % 60;
	nvram_set(RTC_SECONDS_ALARM, (uint8_t)(seconds / 10 << 4 | seconds % 10));
	nvram_set(RTC_MINUTES_ALARM, RTC_DONT_CARE);
	nvram_set(RTC_HOURS_ALARM, RTC_DONT_CARE);
	nvram_get(RTC_C);
	nvram_set(RTC_B, RTC_B_24H | RTC_B_AIE);
}

void alarm_clear(void)
{
	nvram_set(RTC_B, RTC_B_24H);
	nvram_get(RTC_C);
}

/* --- the host, at the right moment --- */

void sleep_then(const char *request)
{
	print("asleep: ");
	print(request);
	print("\n");
}

void sleep_answer(char *answer, size_t size)
{
	size_t len = 0;
	char byte;

	do {
		while (!(inb(SERIAL_STATUS) & SERIAL_READY))
			;
		byte = (char)inb(COM1);
		if (len + 1 < size && byte != '\n')
			answer[len++] = byte;
	} while (byte != '\n');
	answer[len] = 0;
}
