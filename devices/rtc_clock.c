/*
 * Deviations: no periodic interrupt, no daylight saving, the day of the week follows from the date,
 * and the century, which on a PC is a byte of RAM that the firmware keeps, is part of the clock.
 */
#include "devices/rtc_clock.h"

#include <string.h>
#include <time.h>

#include "vmm/base/bits.h"

#define SECOND 1000000000LL
#define DAY 86400
#define HOUR 3600
#define MINUTE 60

/* MC146818A, Update Cycle: UIP rises 244 us before an update, which takes 1984 us. */
#define UIP_NS (244000LL + 1984000LL)

static int64_t floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

static int64_t floor_mod(int64_t value, int64_t by)
{
	return value - by * floor_div(value, by);
}

/* --- time as the registers show it --- */

static uint8_t encode(const struct rtc_clock *clock, int value)
{
	if (clock->reg[RTC_B] & RTC_B_DM)
		return (uint8_t)value;
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static int decode(const struct rtc_clock *clock, uint8_t byte)
{
	if (clock->reg[RTC_B] & RTC_B_DM)
		return byte;
	return (byte >> 4) * 10 + (byte & 0xf);
}

static uint8_t encode_hours(const struct rtc_clock *clock, int hours)
{
	if (clock->reg[RTC_B] & RTC_B_24H)
		return encode(clock, hours);
	return encode(clock, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? RTC_HOURS_PM : 0);
}

static int decode_hours(const struct rtc_clock *clock, uint8_t byte)
{
	if (clock->reg[RTC_B] & RTC_B_24H)
		return decode(clock, byte);
	return decode(clock, byte & (uint8_t)~RTC_HOURS_PM) % 12 + (byte & RTC_HOURS_PM ? 12 : 0);
}

static bool is_time(uint8_t index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
	       (index >= RTC_DAY_OF_WEEK && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static uint8_t encode_field(const struct rtc_clock *clock, uint8_t index, const struct tm *tm)
{
	int year = tm->tm_year + 1900;

	switch (index) {
	case RTC_SECONDS:
		return encode(clock, tm->tm_sec);
	case RTC_MINUTES:
		return encode(clock, tm->tm_min);
	case RTC_HOURS:
		return encode_hours(clock, tm->tm_hour);
	case RTC_DAY_OF_WEEK:
		return encode(clock, tm->tm_wday + 1);
	case RTC_DAY_OF_MONTH:
		return encode(clock, tm->tm_mday);
	case RTC_MONTH:
		return encode(clock, tm->tm_mon + 1);
	case RTC_YEAR:
		return encode(clock, (int)floor_mod(year, 100));
	default: /* RTC_CENTURY */
		return encode(clock, (int)floor_div(year, 100));
	}
}

/* --- running and stopped --- */

static bool is_divider_held(const struct rtc_clock *clock)
{
	return (clock->reg[RTC_A] & RTC_A_DV_RESET) == RTC_A_DV_RESET;
}

static bool is_running(const struct rtc_clock *clock)
{
	return !(clock->reg[RTC_B] & RTC_B_SET) && !is_divider_held(clock);
}

static int64_t guest_second(const struct rtc_clock *clock, int64_t host_ns)
{
	return floor_div(host_ns + clock->phase_ns, SECOND) + clock->offset_s;
}

/* The registers take over the time, before the clock stops. */
static void store_time(struct rtc_clock *clock, int64_t host_ns)
{
	time_t second = guest_second(clock, host_ns);
	struct tm tm;

	gmtime_r(&second, &tm);
	for (uint8_t i = 0; i < RTC_SIZE; i++)
		if (is_time(i))
			clock->reg[i] = encode_field(clock, i, &tm);
}

/* The time becomes what the registers say. What no calendar has, such as a 31st of February, is
 * carried over into the next month. */
static void load_time(struct rtc_clock *clock, int64_t host_ns)
{
	int year = decode(clock, clock->reg[RTC_CENTURY]) * 100 +
		   decode(clock, clock->reg[RTC_YEAR]);
	struct tm tm = {
		.tm_sec = decode(clock, clock->reg[RTC_SECONDS]),
		.tm_min = decode(clock, clock->reg[RTC_MINUTES]),
		.tm_hour = decode_hours(clock, clock->reg[RTC_HOURS]),
		.tm_mday = decode(clock, clock->reg[RTC_DAY_OF_MONTH]),
		.tm_mon = decode(clock, clock->reg[RTC_MONTH]) - 1,
		.tm_year = year - 1900,
	};

	clock->seen_s = timegm(&tm);
	clock->offset_s += clock->seen_s - guest_second(clock, host_ns);
}

/* MC146818A, Register A: the first update begins half a second after the divider is released. */
static void release_divider(struct rtc_clock *clock, int64_t host_ns)
{
	clock->phase_ns = floor_mod(SECOND / 2 - host_ns, SECOND);
}

/* A new value of register A or B. */
static void set_control(struct rtc_clock *clock, uint8_t index, uint8_t value, int64_t host_ns)
{
	bool was_running = is_running(clock), was_held = is_divider_held(clock);

	/* The time is kept in the format of before: changing it converts nothing. */
	if (was_running)
		store_time(clock, host_ns);
	clock->reg[index] = value;
	if (was_held && !is_divider_held(clock))
		release_divider(clock, host_ns);
	if (!was_running && is_running(clock))
		load_time(clock, host_ns);
}

/* --- flags --- */

static bool alarm_matches(const struct rtc_clock *clock, uint8_t index, uint8_t value)
{
	uint8_t alarm = clock->reg[index];

	return (alarm & RTC_ALARM_DONT_CARE) == RTC_ALARM_DONT_CARE || alarm == value;
}

/* The first second of the alarm after `after`. False: there is none, ever. */
static bool find_alarm(const struct rtc_clock *clock, int64_t after, int64_t *ret_second)
{
	int64_t second = after + 1;

	while (second <= after + DAY) {
		int time = (int)floor_mod(second, DAY);

		if (!alarm_matches(clock, RTC_HOURS_ALARM, encode_hours(clock, time / HOUR))) {
			second += HOUR - time % HOUR;
		} else if (!alarm_matches(clock, RTC_MINUTES_ALARM,
					  encode(clock, time / MINUTE % 60))) {
			second += MINUTE - time % MINUTE;
		} else if (!alarm_matches(clock, RTC_SECONDS_ALARM, encode(clock, time % 60))) {
			second++;
		} else {
			*ret_second = second;
			return true;
		}
	}
	return false;
}

void rtc_clock_advance(struct rtc_clock *clock, int64_t host_ns)
{
	int64_t now, alarm;

	if (!is_running(clock))
		return;
	now = guest_second(clock, host_ns);
	if (now > clock->seen_s) {
		clock->reg[RTC_C] |= RTC_C_UF;
		if (find_alarm(clock, clock->seen_s, &alarm) && alarm <= now)
			clock->reg[RTC_C] |= RTC_C_AF;
	}
	clock->seen_s = now; /* also when the host's clock was set back */
}

bool rtc_clock_irq(const struct rtc_clock *clock)
{
	return clock->reg[RTC_C] & clock->reg[RTC_B] & (RTC_C_PF | RTC_C_AF | RTC_C_UF);
}

int64_t rtc_clock_next_irq(const struct rtc_clock *clock)
{
	int64_t second = clock->seen_s + 1;

	if (!is_running(clock) || rtc_clock_irq(clock))
		return 0;
	if (!(clock->reg[RTC_B] & RTC_B_UIE) &&
	    (!(clock->reg[RTC_B] & RTC_B_AIE) || !find_alarm(clock, clock->seen_s, &second)))
		return 0;
	return (second - clock->offset_s) * SECOND - clock->phase_ns;
}

/* --- accesses --- */

static uint8_t read_a(const struct rtc_clock *clock, int64_t host_ns)
{
	int64_t fraction = floor_mod(host_ns + clock->phase_ns, SECOND);

	if (is_running(clock) && fraction >= SECOND - UIP_NS)
		return clock->reg[RTC_A] | RTC_A_UIP;
	return clock->reg[RTC_A];
}

static uint8_t read_c(struct rtc_clock *clock)
{
	uint8_t flags = clock->reg[RTC_C] | (rtc_clock_irq(clock) ? RTC_C_IRQF : 0);

	clock->reg[RTC_C] = 0;
	return flags;
}

uint8_t rtc_clock_read(struct rtc_clock *clock, uint8_t index, int64_t host_ns)
{
	rtc_clock_advance(clock, host_ns);
	if (index == RTC_A)
		return read_a(clock, host_ns);
	if (index == RTC_C)
		return read_c(clock);
	if (is_time(index) && is_running(clock))
		store_time(clock, host_ns);
	return clock->reg[index];
}

void rtc_clock_write(struct rtc_clock *clock, uint8_t index, uint8_t value, int64_t host_ns)
{
	rtc_clock_advance(clock, host_ns);
	switch (index) {
	case RTC_A:
		set_control(clock, index, value & (uint8_t)~RTC_A_UIP, host_ns);
		return;
	case RTC_B:
		/* MC146818A, Register B: SET going high clears UIE. */
		if (value & RTC_B_SET)
			value &= (uint8_t)~RTC_B_UIE;
		set_control(clock, index, value, host_ns);
		return;
	case RTC_C:
	case RTC_D:
		return;
	}
	if (is_time(index) && is_running(clock)) {
		store_time(clock, host_ns);
		clock->reg[index] = value;
		load_time(clock, host_ns);
	} else {
		clock->reg[index] = value;
	}
}

/* The state in which firmware leaves the control registers; there is none here that would. */
static void set_up(struct rtc_clock *clock)
{
	clock->reg[RTC_A] = RTC_A_DV_32KHZ | RTC_A_RS_1024HZ;
	clock->reg[RTC_B] = RTC_B_24H;
	clock->reg[RTC_C] = 0;
}

void rtc_clock_reset(struct rtc_clock *clock, int64_t host_ns)
{
	if (!is_running(clock))
		load_time(clock, host_ns);
	set_up(clock);
	clock->seen_s = guest_second(clock, host_ns);
}

void rtc_clock_init(struct rtc_clock *clock, int64_t host_ns)
{
	memset(clock, 0, sizeof(*clock));
	set_up(clock);
	clock->reg[RTC_D] = RTC_D_VRT;
	clock->seen_s = guest_second(clock, host_ns);
}
