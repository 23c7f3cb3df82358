/*
 * For the tests of the power state machine: features of a function, in short. Included after
 * <cmocka.h>.
 */
#ifndef TESTS_VFIO_POWER_BENCH_H
#define TESTS_VFIO_POWER_BENCH_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/fake_power.h"
#include "vfio/power.h"
#include "vmm/base/bits.h"

#define FULL .exists = true, .can_enter = true, .can_enter_wakeup = true

#define PLAIN .exists = true, .can_enter = true
#define GUEST .reentry = POWER_REENTRY_GUEST
#define HOST .reentry = POWER_REENTRY_HOST
#define LADDER .can_recover = true

#endif
