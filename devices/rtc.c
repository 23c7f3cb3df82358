#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/legacy.h"
#include "devices/rtc_clock.h"
#include "vmm/base/log.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/layout.h"

#define PORTS 2
#define PORT_INDEX 0 /* offsets from PORT_RTC_INDEX */
#define PORT_DATA 1
#define INDEX_BITS 0x7f /* bit 7 is the NMI gate of the PC, of which there is none */
#define SECOND 1000000000LL

struct rtc {
	struct irq_chip *irq;
	struct acpi_pm *pm;
	int timer_fd;

	pthread_mutex_t lock; /* protects everything below */
	uint8_t index;
	struct rtc_clock clock;
	bool asserted;        /* level of the interrupt when it was last looked at */
	int64_t armed_ns;     /* expiry of the timer; 0: disarmed */
};

static int64_t host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* The interrupt reaches the guest as an edge, and sets RTC_STS, as ICH9's does. The timer runs only
 * while an enabled interrupt is to come, and follows the host's clock when that is set. */
static void update_locked(struct rtc *rtc)
{
	bool asserted = rtc_clock_irq(&rtc->clock);
	int64_t next = rtc_clock_next_irq(&rtc->clock);
	struct itimerspec when = {
		.it_value = {.tv_sec = next / SECOND, .tv_nsec = next % SECOND},
	};

	if (asserted && !rtc->asserted) {
		irq_pulse(rtc->irq, GSI_RTC);
		acpi_pm_rtc(rtc->pm);
	}
	rtc->asserted = asserted;
	if (next == rtc->armed_ns)
		return;
	if (timerfd_settime(rtc->timer_fd, TFD_TIMER_ABSTIME, &when, NULL))
		log_warn("rtc: the timer cannot be set, the guest's alarm will be late");
	rtc->armed_ns = next;
}

static void rtc_access(void *opaque, struct bus_access *access)
{
	struct rtc *rtc = opaque;

	pthread_mutex_lock(&rtc->lock);
	if (access->off == PORT_INDEX) {
		if (access->is_write) /* reads: ones, the index cannot be read back on a PC */
			rtc->index = access->value & INDEX_BITS;
	} else {
		if (access->is_write)
			rtc_clock_write(&rtc->clock, rtc->index, (uint8_t)access->value, host_ns());
		else
			access->value = rtc_clock_read(&rtc->clock, rtc->index, host_ns());
		update_locked(rtc);
	}
	pthread_mutex_unlock(&rtc->lock);
}

int rtc_timer_fd(const struct rtc *rtc)
{
	return rtc->timer_fd;
}

void rtc_timer(struct rtc *rtc)
{
	uint64_t expirations;

	pthread_mutex_lock(&rtc->lock);
	if (read(rtc->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		rtc->armed_ns = 0;
	rtc_clock_advance(&rtc->clock, host_ns());
	update_locked(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

void rtc_set_memory(struct rtc *rtc, uint8_t index, uint8_t value)
{
	assert(index >= RTC_NVRAM && index < RTC_SIZE);
	pthread_mutex_lock(&rtc->lock);
	rtc_clock_write(&rtc->clock, index, value, host_ns());
	pthread_mutex_unlock(&rtc->lock);
}

void rtc_reset(struct rtc *rtc)
{
	pthread_mutex_lock(&rtc->lock);
	rtc->index = 0;
	rtc_clock_reset(&rtc->clock, host_ns());
	update_locked(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

struct rtc *rtc_create(struct bus *port, struct irq_chip *irq, struct acpi_pm *pm)
{
	static const struct bus_ops ops = {1, rtc_access};
	struct rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		return NULL;
	rtc->irq = irq;
	rtc->pm = pm;
	pthread_mutex_init(&rtc->lock, NULL);
	rtc_clock_init(&rtc->clock, host_ns());
	rtc->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (rtc->timer_fd < 0 || bus_add(port, (struct range){PORT_RTC_INDEX, PORTS}, &ops, rtc)) {
		rtc_destroy(rtc);
		return NULL;
	}
	return rtc;
}

void rtc_destroy(struct rtc *rtc)
{
	if (!rtc)
		return;
	if (rtc->timer_fd >= 0)
		close(rtc->timer_fd);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}
