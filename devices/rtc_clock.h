/*
 * The registers of the real-time clock, pure: the host's time goes in, register values and the
 * interrupt's level come out. devices/rtc.c adds ports, lock and timer.
 *
 * MC146818A data sheet. Host times are nanoseconds of CLOCK_REALTIME. Locks: none; the owner's.
 */
#ifndef DEVICES_RTC_CLOCK_H
#define DEVICES_RTC_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* MC146818A, Address Map. */
#define RTC_SECONDS 0x00
#define RTC_SECONDS_ALARM 0x01
#define RTC_MINUTES 0x02
#define RTC_MINUTES_ALARM 0x03
#define RTC_HOURS 0x04
#define RTC_HOURS_ALARM 0x05
#define   RTC_HOURS_PM 0x80       /* in 12-hour mode */
#define   RTC_ALARM_DONT_CARE 0xc0
#define RTC_DAY_OF_WEEK 0x06      /* 1 is Sunday */
#define RTC_DAY_OF_MONTH 0x07
#define RTC_MONTH 0x08
#define RTC_YEAR 0x09
#define RTC_A 0x0a
#define   RTC_A_UIP 0x80          /* update in progress */
#define   RTC_A_DV 0x70           /* divider */
#define   RTC_A_DV_RESET 0x60     /* ... held in reset: these two bits */
#define   RTC_A_DV_32KHZ 0x20
#define   RTC_A_RS_1024HZ 0x06
#define RTC_B 0x0b
#define   RTC_B_SET 0x80          /* no updates: the guest sets the time */
#define   RTC_B_PIE 0x40
#define   RTC_B_AIE 0x20
#define   RTC_B_UIE 0x10
#define   RTC_B_SQWE 0x08
#define   RTC_B_DM 0x04           /* binary, not BCD */
#define   RTC_B_24H 0x02
#define RTC_C 0x0c
#define   RTC_C_IRQF 0x80
#define   RTC_C_PF 0x40           /* flags: the same bits as their enables in B */
#define   RTC_C_AF 0x20
#define   RTC_C_UF 0x10
#define RTC_D 0x0d
#define   RTC_D_VRT 0x80          /* valid RAM and time */
#define RTC_NVRAM 0x0e
#define RTC_CENTURY 0x32          /* in the RAM; the FADT says where */
#define RTC_SIZE 0x80

struct rtc_clock {
	uint8_t reg[RTC_SIZE]; /* the time bytes count only while the clock is stopped */
	/* The guest's time is the host's, moved: floor((host + phase_ns) / 1 s) + offset_s. */
	int64_t offset_s;
	int64_t phase_ns;      /* 0 to 999,999,999 */
	int64_t seen_s;        /* the guest's second up to which UF and AF are accounted for */
};

void rtc_clock_init(struct rtc_clock *clock, int64_t host_ns);

/* The machine was reset. The time goes on. */
void rtc_clock_reset(struct rtc_clock *clock, int64_t host_ns);

/* Accesses of the guest; `index` is below RTC_SIZE. */
uint8_t rtc_clock_read(struct rtc_clock *clock, uint8_t index, int64_t host_ns);
void rtc_clock_write(struct rtc_clock *clock, uint8_t index, uint8_t value, int64_t host_ns);

/* Sets the flags of what has happened up to `host_ns`. Reads and writes do it by themselves. */
void rtc_clock_advance(struct rtc_clock *clock, int64_t host_ns);

/* The level of the interrupt: register C, IRQF. */
bool rtc_clock_irq(const struct rtc_clock *clock);

/* The host's time at which the interrupt will rise by itself; 0: not before the next access. */
int64_t rtc_clock_next_irq(const struct rtc_clock *clock);

#endif
