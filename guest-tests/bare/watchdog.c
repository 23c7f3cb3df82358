/*
 * The watchdog as a driver sees it that knows nothing but the ACPI table WDAT, whose actions it
 * carries out: it counts, is fed, stops, also in S3, and starved it resets the machine, which then
 * says so. Another reset says nothing of the kind. tests/program/check-watchdog runs it, too, and
 * has other ends of it.
 */
#include "guest-tests/bare/lib_sleep.h"

#define TIMEOUT_US 5000000
#define MOMENT_US 400000
#define LONG 1000U /* periods */
#define SHORT 15U  /* half of the time that it sleeps */
#define PORT_RESET 0xcf9
#define RESET_CPU_AND_SYSTEM 0x06

/* Microsoft WDT 1.01, Watchdog Action Table; Watchdog Instruction Entries */
#define WDAT_FLAGS 60
#define WDAT_ENTRIES 64
#define WDAT_FIRST 68
#define WDAT_ENABLED 0x1

struct entry {
	uint8_t action, instruction;
	uint16_t reserved;
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
	uint32_t value, mask;
} __attribute__((packed));

enum { READ_VALUE, READ_COUNTDOWN, WRITE_VALUE, WRITE_COUNTDOWN };
enum {
	FEED = 1, GET_LEFT = 4, GET_COUNT = 5, SET_COUNT = 6, IS_RUNNING = 8, RUN = 9,
	IS_STOPPED = 10, STOP = 11, HAS_FIRED = 32, CLEAR_FIRED = 33
};

static const struct acpi_header *wdat;

/* Carries out an action of one entry, of a register of 32 bits at a port. Returns what it reads. */
static uint32_t act(uint8_t action, uint32_t count)
{
	const struct entry *entry = (const struct entry *)((const uint8_t *)wdat + WDAT_FIRST);
	uint32_t left = acpi_get32(wdat, WDAT_ENTRIES);
	uint16_t port;

	for (; left && entry->action != action; left--)
		entry++;
	if (!left || entry->space != 1 || entry->access_size != 3 || entry->bit_offset) {
		report("the table has every action, at ports of 32 bits", false);
		finish();
	}
	port = (uint16_t)entry->address;
	switch (entry->instruction) {
	case READ_VALUE:
		return (inl(port) & entry->mask) == entry->value;
	case READ_COUNTDOWN:
		return inl(port) & entry->mask;
	case WRITE_VALUE:
		outl(port, entry->value & entry->mask);
		return 0;
	default: /* WRITE_COUNTDOWN */
		outl(port, count & entry->mask);
		return 0;
	}
}

static void pass(unsigned int us)
{
	struct stopwatch watch;

	stopwatch_start(&watch);
	while (stopwatch_us(&watch) < us)
		;
}

static bool counts_below(uint32_t count)
{
	struct stopwatch watch;

	stopwatch_start(&watch);
	while (act(GET_LEFT, 0) >= count && stopwatch_us(&watch) < TIMEOUT_US)
		;
	return act(GET_LEFT, 0) < count;
}

static void check_counting(void)
{
	uint32_t before;

	act(SET_COUNT, LONG);
	report_equal("the countdown is what was set", act(GET_COUNT, 0), LONG);
	act(RUN, 0);
	report("it runs", act(IS_RUNNING, 0) && !act(IS_STOPPED, 0));
	report("it counts", counts_below(LONG - 2));
	before = act(GET_LEFT, 0);
	act(FEED, 0);
	report("it can be fed", act(GET_LEFT, 0) > before);
	act(SET_COUNT, 1);
	act(STOP, 0);
	report("it stops", !act(IS_RUNNING, 0) && act(IS_STOPPED, 0));
	pass(MOMENT_US);
	report("stopped, it does not fire", true);
}

/* It would fire while the guest sleeps. `fired`: what it says of the last reset, before and
 * after. */
static void check_sleep(bool fired)
{
	pm1_clear(0xffff);
	pm1_enable(PM1_RTC);
	alarm_set(3);
	act(SET_COUNT, SHORT);
	act(RUN, 0);
	if (!sleep_s3(SLEEP_REAL_MODE))
		finish();
	report("S3 stops it", act(IS_STOPPED, 0));
	report_equal("it says of the reset before S3 what it said", act(HAS_FIRED, 0), fired);
	alarm_clear();
	pm1_clear(0xffff);
}

static void starve(void)
{
	stage_set(1);
	act(SET_COUNT, 1);
	act(RUN, 0);
	pass(TIMEOUT_US);
	report("starved, it resets", false);
}

static void reset(void)
{
	stage_set(2);
	outb(PORT_RESET, RESET_CPU_AND_SYSTEM);
	pass(TIMEOUT_US);
	report("another reset", false);
}

void test(void)
{
	unsigned int done = stage();

	wdat = acpi_find("WDAT");
	report("there is a WDAT", wdat);
	if (!wdat)
		return;
	report("it is enabled", ((const uint8_t *)wdat)[WDAT_FLAGS] & WDAT_ENABLED);
	report("it stands after a reset", act(IS_STOPPED, 0));
	report_equal("it says whether it reset", act(HAS_FIRED, 0), done == 1);
	if (!done) {
		check_counting();
		check_sleep(false);
		starve();
	} else if (done == 1) {
		check_sleep(true);
		act(CLEAR_FIRED, 0);
		report("what it says can be cleared", !act(HAS_FIRED, 0));
		reset();
	}
}
