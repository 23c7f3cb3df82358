#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "devices/legacy.h"
#include "devices/rtc_clock.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_irq.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define SECOND 1000000000LL
#define START (1709251198 * SECOND) /* Thursday, 2024-02-29 23:59:58 UTC */
#define BCD_24H RTC_B_24H
#define STOP_DIVIDER (RTC_A_DV_RESET | RTC_A_DV_32KHZ)
#define RUN_DIVIDER RTC_A_DV_32KHZ

/* --- the registers alone, in a time of their own --- */

static int setup(void **state)
{
	static struct rtc_clock clock;

	rtc_clock_init(&clock, START);
	*state = &clock;
	return 0;
}

static const uint8_t time_registers[] = {RTC_CENTURY, RTC_YEAR, RTC_MONTH, RTC_DAY_OF_MONTH,
					 RTC_DAY_OF_WEEK, RTC_HOURS, RTC_MINUTES, RTC_SECONDS};

/* The bytes in hexadecimal: century, year, month, day, day of the week, hours, minutes, seconds. */
static const char *show(struct rtc_clock *clock, int64_t now)
{
	static char text[3 * sizeof(time_registers) + 1];

	for (size_t i = 0; i < sizeof(time_registers); i++)
		snprintf(text + 3 * i, 4, "%02x ", rtc_clock_read(clock, time_registers[i], now));
	text[sizeof(text) - 2] = 0;
	return text;
}

static void set_time(struct rtc_clock *clock, const uint8_t bytes[sizeof(time_registers)],
		     int64_t now)
{
	for (size_t i = 0; i < sizeof(time_registers); i++)
		rtc_clock_write(clock, time_registers[i], bytes[i], now);
}

static void test_rtc_formats(void **state)
{
	static const struct {
		uint8_t b;
		int64_t seconds; /* after START */
		const char *shows;
	} cases[] = {
		{RTC_B_24H, 0, "20 24 02 29 05 23 59 58"},
		{RTC_B_24H, 1, "20 24 02 29 05 23 59 59"},
		{RTC_B_24H, 2, "20 24 03 01 06 00 00 00"},
		{RTC_B_24H | RTC_B_DM, 0, "14 18 02 1d 05 17 3b 3a"},
		{0, 0, "20 24 02 29 05 91 59 58"},          /* 11 p.m. */
		{0, 2, "20 24 03 01 06 12 00 00"},          /* midnight is 12 a.m. */
		{0, 2 + 3600, "20 24 03 01 06 01 00 00"},
		{0, 2 + 12 * 3600, "20 24 03 01 06 92 00 00"}, /* noon is 12 p.m. */
		{0, 2 + 13 * 3600, "20 24 03 01 06 81 00 00"},
		{RTC_B_DM, 0, "14 18 02 1d 05 8b 3b 3a"},
		{RTC_B_24H, 86400LL * 365 * 76, "21 00 02 10 04 23 59 58"},
	};
	struct rtc_clock *clock = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t now = START + cases[i].seconds * SECOND;

		rtc_clock_write(clock, RTC_B, cases[i].b, now);
		if (strcmp(show(clock, now), cases[i].shows))
			fail_msg("case %zu: %s", i, show(clock, now));
	}
}

/* As Linux does it: stop by SET and by the divider, write, let go. */
static void test_rtc_guest_sets_time(void **state)
{
	static const struct {
		uint8_t b;
		uint8_t bytes[sizeof(time_registers)];
		const char *shows, *a_second_later;
	} cases[] = {
		{RTC_B_24H, {0x20, 0x38, 0x01, 0x19, 0x00, 0x03, 0x14, 0x07},
		 "20 38 01 19 03 03 14 07", "20 38 01 19 03 03 14 08"},
		{RTC_B_24H, {0x19, 0x69, 0x12, 0x31, 0x00, 0x23, 0x59, 0x59},
		 "19 69 12 31 04 23 59 59", "19 70 01 01 05 00 00 00"},
		{RTC_B_24H, {0x19, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00},
		 "19 00 01 01 02 00 00 00", "19 00 01 01 02 00 00 01"},
		{RTC_B_DM, {20, 99, 12, 31, 0, 0x8b, 59, 59},
		 "14 63 0c 1f 05 8b 3b 3b", "15 00 01 01 06 0c 00 00"},
		{0, {0x20, 0x25, 0x06, 0x15, 0x00, 0x12, 0x30, 0x00},
		 "20 25 06 15 01 12 30 00", "20 25 06 15 01 12 30 01"},
		/* What no calendar has becomes what it must be. */
		{RTC_B_24H, {0x20, 0x23, 0x02, 0x31, 0x00, 0x00, 0x00, 0x00},
		 "20 23 03 03 06 00 00 00", "20 23 03 03 06 00 00 01"},
		{RTC_B_24H, {0x20, 0x23, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		 "20 22 11 30 04 00 00 00", "20 22 11 30 04 00 00 01"},
	};
	struct rtc_clock *clock = *state;
	int64_t now = START + SECOND / 3;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rtc_clock_write(clock, RTC_B, cases[i].b | RTC_B_SET, now);
		rtc_clock_write(clock, RTC_A, STOP_DIVIDER, now);
		set_time(clock, cases[i].bytes, now);
		now += 7 * SECOND; /* it takes its time, and the clock stands */
		assert_int_equal(rtc_clock_read(clock, RTC_SECONDS, now),
				 cases[i].bytes[sizeof(time_registers) - 1]);
		rtc_clock_write(clock, RTC_B, cases[i].b, now);
		rtc_clock_write(clock, RTC_A, RUN_DIVIDER, now);
		if (strcmp(show(clock, now), cases[i].shows))
			fail_msg("case %zu: %s", i, show(clock, now));
		/* The first update is half a second after the divider was let go. */
		assert_string_equal(show(clock, now + SECOND / 2 - 1), cases[i].shows);
		now += SECOND / 2;
		if (strcmp(show(clock, now), cases[i].a_second_later))
			fail_msg("case %zu: %s", i, show(clock, now));
	}
}

/* Bytes that would mean no time at all harm nobody. */
static void test_rtc_survives_garbage(void **state)
{
	struct rtc_clock *clock = *state;

	for (unsigned int b = 0; b < 0x100; b++) {
		for (unsigned int value = 0; value < 0x100; value += 0x11) {
			for (size_t i = 0; i < sizeof(time_registers); i++) {
				rtc_clock_write(clock, RTC_B, (uint8_t)b, START);
				rtc_clock_write(clock, time_registers[i], (uint8_t)value, START);
				rtc_clock_write(clock, RTC_HOURS_ALARM, (uint8_t)value, START);
			}
			rtc_clock_write(clock, RTC_B, RTC_B_24H | RTC_B_AIE, START);
			rtc_clock_advance(clock, START + 86400 * SECOND);
			assert_true(rtc_clock_read(clock, RTC_SECONDS, START) <= 0x59);
			rtc_clock_next_irq(clock);
		}
	}
}

static void test_rtc_set_freezes(void **state)
{
	struct rtc_clock *clock = *state;

	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_SET, START);
	assert_string_equal(show(clock, START + 60 * SECOND), "20 24 02 29 05 23 59 58");
	rtc_clock_write(clock, RTC_B, BCD_24H, START + 60 * SECOND);
	assert_string_equal(show(clock, START + 60 * SECOND), "20 24 02 29 05 23 59 58");
	/* The seconds go on with the divider's beat, which SET did not touch. */
	assert_string_equal(show(clock, START + 61 * SECOND), "20 24 02 29 05 23 59 59");
}

/* Without SET, one byte at a time. */
static void test_rtc_writes_while_running(void **state)
{
	struct rtc_clock *clock = *state;

	rtc_clock_write(clock, RTC_HOURS, 0x11, START);
	rtc_clock_write(clock, RTC_YEAR, 0x20, START);
	assert_string_equal(show(clock, START + SECOND), "20 20 02 29 07 11 59 59");
}

static void test_rtc_registers(void **state)
{
	static const struct {
		uint8_t index, written, read;
	} cases[] = {
		{RTC_A, 0xa6, 0x26},                /* UIP is read-only */
		{RTC_A, 0x2f, 0x2f},
		{RTC_B, 0x7f, 0x7f},
		{RTC_B, 0xff, 0xef},                /* SET clears UIE */
		{RTC_B, 0x02, 0x02},
		{RTC_C, 0xff, 0x00},
		{RTC_D, 0x00, RTC_D_VRT},
		{RTC_SECONDS_ALARM, 0xff, 0xff},
		{RTC_MINUTES_ALARM, 0x12, 0x12},
		{RTC_HOURS_ALARM, 0x23, 0x23},
	};
	struct rtc_clock *clock = *state;

	assert_int_equal(rtc_clock_read(clock, RTC_A, START), 0x26);
	assert_int_equal(rtc_clock_read(clock, RTC_B, START), 0x02);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rtc_clock_write(clock, cases[i].index, cases[i].written, START);
		if (rtc_clock_read(clock, cases[i].index, START) != cases[i].read)
			fail_msg("case %zu", i);
	}
}

static void test_rtc_nvram(void **state)
{
	struct rtc_clock *clock = *state;

	for (uint8_t i = RTC_NVRAM; i < RTC_SIZE; i++)
		if (i != RTC_CENTURY)
			rtc_clock_write(clock, i, i ^ 0xa5, START);
	rtc_clock_reset(clock, START + SECOND);
	for (uint8_t i = RTC_NVRAM; i < RTC_SIZE; i++)
		if (i != RTC_CENTURY)
			assert_int_equal(rtc_clock_read(clock, i, START), i ^ 0xa5);
}

static void test_rtc_update_in_progress(void **state)
{
	static const struct {
		int64_t ns;
		bool uip;
	} cases[] = {
		{0, false},
		{SECOND / 2, false},
		{SECOND - 2229000, false},
		{SECOND - 2228000, true},
		{SECOND - 1, true},
		{SECOND, false},
	};
	struct rtc_clock *clock = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (!!(rtc_clock_read(clock, RTC_A, START + cases[i].ns) & RTC_A_UIP) !=
		    cases[i].uip)
			fail_msg("case %zu", i);
	/* No updates, none in progress. */
	rtc_clock_write(clock, RTC_B, RTC_B_24H | RTC_B_SET, START);
	assert_false(rtc_clock_read(clock, RTC_A, START + SECOND - 1) & RTC_A_UIP);
}

/* --- flags and interrupts --- */

static void test_rtc_flags_are_cleared_by_reading(void **state)
{
	struct rtc_clock *clock = *state;

	assert_int_equal(rtc_clock_read(clock, RTC_C, START), 0);
	assert_int_equal(rtc_clock_read(clock, RTC_C, START + SECOND), RTC_C_UF);
	assert_int_equal(rtc_clock_read(clock, RTC_C, START + SECOND), 0);
	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_UIE, START + SECOND);
	assert_false(rtc_clock_irq(clock));
	rtc_clock_advance(clock, START + 2 * SECOND - 1);
	assert_false(rtc_clock_irq(clock));
	rtc_clock_advance(clock, START + 2 * SECOND);
	assert_true(rtc_clock_irq(clock));
	/* 00:00:00 is what the alarm says from the start. */
	assert_int_equal(rtc_clock_read(clock, RTC_C, START + 2 * SECOND),
			 RTC_C_IRQF | RTC_C_UF | RTC_C_AF);
	assert_false(rtc_clock_irq(clock));
}

static void test_rtc_enabling_a_flag_that_is_set_interrupts(void **state)
{
	struct rtc_clock *clock = *state;

	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_UIE, START + SECOND);
	assert_true(rtc_clock_irq(clock));
}

static void test_rtc_alarm(void **state)
{
	static const struct {
		uint8_t b, hours, minutes, seconds;
		int64_t after; /* seconds from START to the alarm; 0: never */
	} cases[] = {
		{RTC_B_24H, 0x23, 0x59, 0x59, 1},
		{RTC_B_24H, 0x00, 0x00, 0x00, 2},
		{RTC_B_24H, 0x00, 0x00, 0x10, 12},
		{RTC_B_24H, 0x07, 0x30, 0x00, 2 + 7 * 3600 + 30 * 60},
		{RTC_B_24H, 0x23, 0x59, 0x58, 86400},   /* now: tomorrow */
		{RTC_B_24H, 0x23, 0x59, 0x57, 86399},
		{RTC_B_24H, 0xff, 0xff, 0xff, 1},       /* every second */
		{RTC_B_24H, 0xc0, 0xc0, 0x30, 32},      /* every minute */
		{RTC_B_24H, 0xff, 0x15, 0x00, 2 + 15 * 60}, /* every hour */
		{RTC_B_24H, 0x05, 0xff, 0xff, 2 + 5 * 3600},
		{RTC_B_24H, 0x23, 0xff, 0x00, 86402 - 3600},
		{RTC_B_24H, 0x24, 0x00, 0x00, 0},       /* no such hour */
		{RTC_B_24H, 0x00, 0x60, 0x00, 0},
		{RTC_B_24H, 0x00, 0x00, 0x5a, 0},
		{RTC_B_24H | RTC_B_DM, 7, 30, 0, 2 + 7 * 3600 + 30 * 60},
		{0, 0x81, 0x00, 0x00, 2 + 13 * 3600},   /* 1 p.m. */
		{0, 0x12, 0x00, 0x05, 2 + 5},           /* 12 a.m. */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rtc_clock *clock = *state;
		int64_t at = START + cases[i].after * SECOND;

		rtc_clock_init(clock, START);
		rtc_clock_write(clock, RTC_HOURS_ALARM, cases[i].hours, START);
		rtc_clock_write(clock, RTC_MINUTES_ALARM, cases[i].minutes, START);
		rtc_clock_write(clock, RTC_SECONDS_ALARM, cases[i].seconds, START);
		rtc_clock_write(clock, RTC_B, cases[i].b | RTC_B_AIE, START);
		if (rtc_clock_next_irq(clock) != (cases[i].after ? at : 0))
			fail_msg("case %zu: next is %lld", i,
				 (long long)(rtc_clock_next_irq(clock) - START) / SECOND);
		if (!cases[i].after) {
			rtc_clock_advance(clock, START + 3 * 86400 * SECOND);
			assert_false(rtc_clock_irq(clock));
			continue;
		}
		rtc_clock_advance(clock, at - 1);
		assert_false(rtc_clock_irq(clock));
		rtc_clock_advance(clock, at);
		assert_true(rtc_clock_irq(clock));
		/* Nothing more comes until it is acknowledged. */
		assert_int_equal(rtc_clock_next_irq(clock), 0);
		assert_true(rtc_clock_read(clock, RTC_C, at) & RTC_C_AF);
		assert_true(rtc_clock_next_irq(clock) > at);
	}
}

/* A VM that slept over its alarm gets it on waking. */
static void test_rtc_alarm_is_not_missed(void **state)
{
	struct rtc_clock *clock = *state;

	rtc_clock_write(clock, RTC_SECONDS_ALARM, 0x10, START);
	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_AIE, START);
	rtc_clock_advance(clock, START + 5 * 86400 * SECOND);
	assert_true(rtc_clock_irq(clock));
}

static void test_rtc_next_irq(void **state)
{
	struct rtc_clock *clock = *state;
	int64_t now = START + SECOND / 4;

	assert_int_equal(rtc_clock_next_irq(clock), 0); /* nothing enabled */
	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_UIE, now);
	assert_int_equal(rtc_clock_next_irq(clock), START + SECOND);
	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_SET | RTC_B_UIE, now);
	assert_int_equal(rtc_clock_next_irq(clock), 0); /* stopped */
	/* After the divider was held, the guest's seconds begin elsewhere than the host's. */
	rtc_clock_write(clock, RTC_A, STOP_DIVIDER, now);
	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_UIE, now);
	rtc_clock_write(clock, RTC_A, RUN_DIVIDER, now);
	assert_int_equal(rtc_clock_next_irq(clock), now + SECOND / 2);
}

static void test_rtc_host_clock_set_back(void **state)
{
	struct rtc_clock *clock = *state;

	rtc_clock_advance(clock, START + 3600 * SECOND);
	rtc_clock_read(clock, RTC_C, START + 3600 * SECOND);
	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_UIE, START);
	assert_false(rtc_clock_irq(clock));
	rtc_clock_advance(clock, START + SECOND);
	assert_true(rtc_clock_irq(clock));
}

static void test_rtc_reset_keeps_time(void **state)
{
	static const uint8_t bytes[] = {0x20, 0x30, 0x01, 0x01, 0x03, 0x00, 0x00, 0x00};
	struct rtc_clock *clock = *state;

	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_SET, START);
	set_time(clock, bytes, START);
	rtc_clock_write(clock, RTC_B, RTC_B_DM | RTC_B_UIE | RTC_B_AIE | RTC_B_PIE, START);
	rtc_clock_write(clock, RTC_B, BCD_24H | RTC_B_SET, START); /* left so by a crash */
	rtc_clock_reset(clock, START + SECOND);
	assert_int_equal(rtc_clock_read(clock, RTC_B, START + SECOND), BCD_24H);
	assert_int_equal(rtc_clock_read(clock, RTC_A, START + SECOND), 0x26);
	assert_int_equal(rtc_clock_read(clock, RTC_C, START + SECOND), 0);
	assert_int_equal(rtc_clock_read(clock, RTC_YEAR, START + SECOND), 0x30);
	assert_int_equal(rtc_clock_read(clock, RTC_SECONDS, START + 3 * SECOND), 0x02);
}

/* --- the device --- */

struct fixture {
	struct bus *port;
	struct irq_chip *irq;
	struct acpi_pm *pm;
	struct rtc *rtc;
	int requests[MACHINE_WAKE + 1];
};

static void on_request(void *opaque, enum machine_request request)
{
	struct fixture *f = opaque;

	f->requests[request]++;
}

static int setup_device(void **state)
{
	static struct fixture f;

	f = (struct fixture){.port = bus_create("port"), .irq = fake_irq_create()};
	f.pm = acpi_pm_create(f.port, f.irq, on_request, &f);
	f.rtc = f.pm ? rtc_create(f.port, f.irq, f.pm) : NULL;
	*state = &f;
	return f.rtc ? 0 : -1;
}

static int teardown_device(void **state)
{
	struct fixture *f = *state;

	rtc_destroy(f->rtc);
	acpi_pm_destroy(f->pm);
	fake_irq_destroy(f->irq);
	bus_destroy(f->port);
	return 0;
}

static uint8_t in(struct fixture *f, uint8_t index)
{
	guest_out(f->port, PORT_RTC_INDEX, 1, index);
	return (uint8_t)guest_in(f->port, PORT_RTC_INDEX + 1, 1);
}

static void out(struct fixture *f, uint8_t index, uint8_t value)
{
	guest_out(f->port, PORT_RTC_INDEX, 1, index);
	guest_out(f->port, PORT_RTC_INDEX + 1, 1, value);
}

static void test_rtc_device_tells_the_time_of_the_host(void **state)
{
	struct fixture *f = *state;
	time_t before = time(NULL), guest, after;
	struct tm tm = {0};

	out(f, RTC_B, RTC_B_24H | RTC_B_DM); /* the next stop stores binary numbers */
	out(f, RTC_B, RTC_B_24H | RTC_B_DM | RTC_B_SET);
	after = time(NULL);
	tm.tm_year = in(f, RTC_CENTURY) * 100 + in(f, RTC_YEAR) - 1900;
	tm.tm_mon = in(f, RTC_MONTH) - 1;
	tm.tm_mday = in(f, RTC_DAY_OF_MONTH);
	tm.tm_hour = in(f, RTC_HOURS);
	tm.tm_min = in(f, RTC_MINUTES);
	tm.tm_sec = in(f, RTC_SECONDS);
	guest = timegm(&tm);
	/* time() may lag behind clock_gettime() by a tick. */
	assert_true(guest >= before && guest <= after + 1);
}

static void test_rtc_device_index(void **state)
{
	struct fixture *f = *state;

	out(f, 0x40, 0x5a);
	assert_int_equal(in(f, 0x40 | 0x80), 0x5a); /* bit 7 is not of the index */
	assert_int_equal(guest_in(f->port, PORT_RTC_INDEX, 1), 0xff);
	/* A word to the index port is index and value. */
	guest_out(f->port, PORT_RTC_INDEX, 2, 0xa541);
	assert_int_equal(in(f, 0x41), 0xa5);
	rtc_reset(f->rtc);
	assert_int_equal(in(f, 0x41), 0xa5);
}

/* The next second comes by the timer, one pulse for each that is acknowledged. */
static void test_rtc_device_update_interrupt(void **state)
{
	struct fixture *f = *state;
	struct pollfd pollfd = {.fd = rtc_timer_fd(f->rtc), .events = POLLIN};

	assert_int_equal(poll(&pollfd, 1, 0), 0);
	in(f, RTC_C);
	out(f, RTC_B, RTC_B_24H | RTC_B_UIE);
	for (unsigned int i = 1; i <= 2; i++) {
		while (fake_irq_pulses(f->irq, GSI_RTC) < i) {
			assert_int_equal(poll(&pollfd, 1, 10000), 1);
			rtc_timer(f->rtc);
		}
		assert_int_equal(fake_irq_pulses(f->irq, GSI_RTC), i);
		assert_int_equal(poll(&pollfd, 1, 0), 0); /* nothing until it is read */
		assert_int_equal(in(f, RTC_C) & (RTC_C_IRQF | RTC_C_UF), RTC_C_IRQF | RTC_C_UF);
	}
	out(f, RTC_B, RTC_B_24H);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
}

/* The alarm of the next second: nobody but the timer looks at the clock meanwhile. */
static void set_alarm(struct fixture *f)
{
	static const uint8_t alarms[] = {RTC_SECONDS_ALARM, RTC_MINUTES_ALARM, RTC_HOURS_ALARM};

	for (size_t i = 0; i < ARRAY_SIZE(alarms); i++)
		out(f, alarms[i], RTC_ALARM_DONT_CARE);
	in(f, RTC_C);
	out(f, RTC_B, RTC_B_24H | RTC_B_AIE);
}

static void await_alarm(struct fixture *f)
{
	struct pollfd pollfd = {.fd = rtc_timer_fd(f->rtc), .events = POLLIN};

	while (!fake_irq_pulses(f->irq, GSI_RTC)) {
		assert_int_equal(poll(&pollfd, 1, 10000), 1);
		rtc_timer(f->rtc);
	}
}

/* PM1 status, but for bit 0, TMR_STS: the PM timer may just have come round. */
static uint16_t pm1_status(const struct fixture *f)
{
	return (uint16_t)guest_in(f->port, PORT_PM1A_EVT, 2) & 0xfffe;
}

static void test_rtc_device_alarm_wakes(void **state)
{
	const uint16_t rtc_event = 0x400, sleep = 0x2000 | ACPI_PM_SLP_TYP_S3 << 10;
	struct fixture *f = *state;

	guest_out(f->port, PORT_PM1A_EVT + 2, 2, rtc_event);
	set_alarm(f);
	guest_out(f->port, PORT_PM1A_CNT, 2, sleep);
	assert_int_equal(f->requests[MACHINE_SUSPEND], 1);
	await_alarm(f);
	assert_int_equal(f->requests[MACHINE_WAKE], 1);
	assert_int_equal(acpi_pm_woken_by(f->pm), ACPI_PM_RTC);
	assert_int_equal(pm1_status(f), rtc_event);
	assert_int_equal(in(f, RTC_C) & RTC_C_AF, RTC_C_AF);
}

/* One that the guest has not made a wake leaves its status, and no more. */
static void test_rtc_device_alarm_that_is_no_wake(void **state)
{
	const uint16_t rtc_event = 0x400, sleep = 0x2000 | ACPI_PM_SLP_TYP_S3 << 10;
	struct fixture *f = *state;

	set_alarm(f);
	guest_out(f->port, PORT_PM1A_CNT, 2, sleep);
	await_alarm(f);
	assert_int_equal(f->requests[MACHINE_WAKE], 0);
	assert_int_equal(pm1_status(f), rtc_event);
}

static void test_rtc_device_refuses_taken_ports(void **state)
{
	struct fixture *f = *state;

	assert_null(rtc_create(f->port, f->irq, f->pm));
	rtc_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
#define TEST_DEVICE(name) cmocka_unit_test_setup_teardown(name, setup_device, teardown_device)
	const struct CMUnitTest tests[] = {
		TEST(test_rtc_formats),
		TEST(test_rtc_guest_sets_time),
		TEST(test_rtc_survives_garbage),
		TEST(test_rtc_set_freezes),
		TEST(test_rtc_writes_while_running),
		TEST(test_rtc_registers),
		TEST(test_rtc_nvram),
		TEST(test_rtc_update_in_progress),
		TEST(test_rtc_flags_are_cleared_by_reading),
		TEST(test_rtc_enabling_a_flag_that_is_set_interrupts),
		TEST(test_rtc_alarm),
		TEST(test_rtc_alarm_is_not_missed),
		TEST(test_rtc_next_irq),
		TEST(test_rtc_host_clock_set_back),
		TEST(test_rtc_reset_keeps_time),
		TEST_DEVICE(test_rtc_device_tells_the_time_of_the_host),
		TEST_DEVICE(test_rtc_device_index),
		TEST_DEVICE(test_rtc_device_update_interrupt),
		TEST_DEVICE(test_rtc_device_alarm_wakes),
		TEST_DEVICE(test_rtc_device_alarm_that_is_no_wake),
		TEST_DEVICE(test_rtc_device_refuses_taken_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
