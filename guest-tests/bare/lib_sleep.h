/*
 * S3 for the guests: to sleep as an operating system does it, and the ways to be woken.
 */
#ifndef GUEST_TESTS_BARE_LIB_SLEEP_H
#define GUEST_TESTS_BARE_LIB_SLEEP_H

#include "guest-tests/bare/lib.h"

/* ACPI 6.3, 4.8.3.1 PM1 Event Grouping. */
#define PM1_PWRBTN 0x0100U
#define PM1_RTC 0x0400U
#define PM1_PCIEXP_WAKE 0x4000U /* status; in the enable register it disables */
#define PM1_WAK 0x8000U

enum sleep_vector { SLEEP_REAL_MODE, SLEEP_PROTECTED_MODE };

/* PM1 status and enable. */
uint16_t pm1_status(void);
void pm1_clear(uint16_t status);
void pm1_enable(uint16_t events);

/* Sets the waking vectors of the FACS as they are given. */
void sleep_set_vectors(uint32_t vector, uint64_t x_vector);

/* Sleeps in S3 and begins again at a vector of this mode, here; with this CPU's tables and vectors,
 * but no other state, and no other CPU. False: it did not sleep, or its waking was not as it has to
 * be, which was reported. */
bool sleep_s3(enum sleep_vector mode);

/* SLP_EN for S3. Comes back only if the machine does not sleep. */
void sleep_enter(void);

/* The clock's alarm, `seconds` (1 to 59) from now, and none. */
void alarm_set(unsigned int seconds);
void alarm_clear(void);

/* The host does `request` ("model: wake 0 now", "api: PUT /api/v1/vm.wake") once the guest sleeps;
 * before sleep_s3(). Afterwards: its answer, to be read before any other is asked for. */
void sleep_then(const char *request);
void sleep_answer(char *answer, size_t size);

#endif
