/*
 * A watchdog: a countdown that the guest starts and reloads. When it ends, the guest hangs, and the
 * machine does with it what the user said.
 *
 * Four dwords at PORT_WATCHDOG. The registers are our own: a guest's driver for the ACPI table WDAT
 * (acpi/wdat.c) is told there how to use them, so that Linux and Windows need none for this device.
 */
#ifndef DEVICES_WATCHDOG_H
#define DEVICES_WATCHDOG_H

#include <stdbool.h>

struct bus;
struct watchdog;

/* A write of RUN starts the countdown, if it stands; one without stops it. */
#define WATCHDOG_CONTROL 0x0
#define   WATCHDOG_CONTROL_RUN 0x1
/* From where it counts after the next start or reload, in periods; 1 to WATCHDOG_COUNT_MAX, to
 * which other values are brought. */
#define WATCHDOG_COUNT 0x4
/* Read: the periods that are left. Any write reloads it; one that stands goes on to stand. */
#define WATCHDOG_CURRENT 0x8
/* The guest was reset because of the watchdog. Written with a one it clears. */
#define WATCHDOG_STATUS 0xc
#define   WATCHDOG_STATUS_FIRED 0x1
#define WATCHDOG_SIZE 0x10

#define WATCHDOG_PERIOD_MS 100U
#define WATCHDOG_COUNT_MAX 0xffffU
#define WATCHDOG_COUNT_DEFAULT 300U

/* NULL: out of memory or file descriptors, or its ports are taken. */
struct watchdog *watchdog_create(struct bus *port);
void watchdog_destroy(struct watchdog *watchdog); /* accepts NULL */

/* It stands. If it had fired since the last reset, the guest can see that from now on. */
void watchdog_reset(struct watchdog *watchdog);

/* The machine is in S3: it stands as after a reset, and says of the last one what it said. */
void watchdog_sleep(struct watchdog *watchdog);

/* A timer, to be watched by the loop, which then calls watchdog_timer(). It is armed while the
 * watchdog counts. */
int watchdog_timer_fd(const struct watchdog *watchdog);

/* True, once for a countdown: it has ended, and the watchdog stands. False where the guest was
 * faster. */
bool watchdog_timer(struct watchdog *watchdog);

#endif
