/*
 * The real-time clock: MC146818A, "Registers". Its time is a date, it advances, reads outside of an
 * update are consistent, and its memory holds bytes.
 */
#include "guest-tests/bare/lib.h"

#define REG_A 0x0a
#define REG_B 0x0b
#define REG_C 0x0c
#define REG_D 0x0d
#define A_UPDATE 0x80
#define B_24H 0x02
#define B_BINARY 0x04
#define D_VALID 0x80
#define CENTURY 0x32
#define NVRAM 0x40
#define TIMEOUT_US 3000000

enum { SECOND, MINUTE, HOUR, WEEKDAY, DAY, MONTH, YEAR, CENTURIES, FIELDS };

static const struct {
	uint8_t index, min, max;
	const char *name;
} fields[FIELDS] = {
	{0x00, 0, 59, "second"}, {0x02, 0, 59, "minute"}, {0x04, 0, 23, "hour"},
	{0x06, 1, 7, "day of the week"}, {0x07, 1, 31, "day"}, {0x08, 1, 12, "month"},
	{0x09, 0, 99, "year"}, {CENTURY, 20, 21, "century"},
};

static uint8_t read(uint8_t index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void write(uint8_t index, uint8_t value)
{
	outb(0x70, index);
	outb(0x71, value);
}

/* False when the update never ends. */
static bool await_no_update(void)
{
	struct stopwatch watch;

	stopwatch_start(&watch);
	while (read(REG_A) & A_UPDATE)
		if (stopwatch_us(&watch) > TIMEOUT_US)
			return false;
	return true;
}

static bool is_bcd(uint8_t value)
{
	return (value & 15) <= 9 && value >> 4 <= 9;
}

/* The same twice, each outside of an update. */
static bool read_time(uint8_t time[FIELDS])
{
	uint8_t again[FIELDS];

	for (unsigned int tries = 0; tries < 5; tries++) {
		if (!await_no_update())
			return false;
		for (unsigned int i = 0; i < FIELDS; i++)
			time[i] = read(fields[i].index);
		if (!await_no_update())
			return false;
		for (unsigned int i = 0; i < FIELDS; i++)
			again[i] = read(fields[i].index);
		if (!memcmp(time, again, FIELDS))
			return true;
	}
	return false;
}

static void check_time(void)
{
	uint8_t time[FIELDS], control = read(REG_B);
	bool is_binary = control & B_BINARY;

	report("time is the same twice", read_time(time));
	report("24-hour mode", control & B_24H);
	for (unsigned int i = 0; i < FIELDS; i++) {
		uint8_t value = is_binary ? time[i] :
					    (uint8_t)((time[i] >> 4) * 10 + (time[i] & 15));

		report(fields[i].name, (is_binary || is_bcd(time[i])) && value >= fields[i].min &&
		       value <= fields[i].max);
	}
}

static void check_advance(void)
{
	uint8_t first = read(0), now = first;
	struct stopwatch watch;

	stopwatch_start(&watch);
	while (now == first && stopwatch_us(&watch) < TIMEOUT_US)
		now = read(0);
	report("seconds advance", now != first);
}

static void check_memory(void)
{
	uint8_t saved = read(NVRAM);

	write(NVRAM, 0xa5);
	report_equal("memory holds a byte", read(NVRAM), 0xa5);
	write(NVRAM, 0x5a);
	report_equal("memory holds its complement", read(NVRAM), 0x5a);
	write(NVRAM, saved);
	report("time is valid", read(REG_D) & D_VALID);
	read(REG_C);
	report_equal("interrupt flags are cleared by reading", read(REG_C) & 0x80, 0);
}

void test(void)
{
	check_time();
	check_advance();
	check_memory();
}
