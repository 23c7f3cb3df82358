/*
 * The input is what a guest does to the power management block and to the clock, what happens to it
 * meanwhile, and when the machine gets to it: four bytes a step, a verb, an offset and a value. A
 * sleep is asked for once, a wake once in a sleep and never outside of one; a guest that enabled
 * what waits does not sleep over it; the SCI is the registers'.
 */
#include <stdbool.h>
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/legacy.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_irq.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define SLP_EN 0x2000U
#define PM1_WAKES 0x0500U  /* button and alarm */
#define PM1_EVENTS 0x0521U

struct step {
	uint8_t verb, off;
	uint16_t value;
};

struct world {
	struct bus *port;
	struct irq_chip *irq;
	struct acpi_pm *pm;
	struct rtc *rtc;
	unsigned int sleeps, wakes; /* asked for since the last resume or reset */
};

static void on_request(void *opaque, enum machine_request request)
{
	struct world *world = opaque;

	world->sleeps += request == MACHINE_SUSPEND;
	world->wakes += request == MACHINE_WAKE;
}

static uint64_t gpe(const struct world *world, unsigned int off)
{
	return guest_in(world->port, PORT_GPE0 + off, 4) |
	       guest_in(world->port, PORT_GPE0 + off + 4, 4) << 32;
}

/* --- verbs --- */

static void write_pm(struct world *world, const struct step *step)
{
	guest_out(world->port, PORT_PM_BASE + step->off % (PORT_PM_SIZE / 2),
		  1U << (step->off >> 6) % 3, step->value);
}

static void write_clock(struct world *world, const struct step *step)
{
	guest_out(world->port, PORT_RTC_INDEX, 1, step->off);
	guest_out(world->port, PORT_RTC_INDEX + 1, 1, step->value);
}

static void enable(struct world *world, const struct step *step)
{
	guest_out(world->port, PORT_PM1A_EVT + 2, 2, step->value);
}

static void fall_asleep(struct world *world, const struct step *step)
{
	(void)step;
	guest_out(world->port, PORT_PM1A_CNT, 2, SLP_EN | ACPI_PM_SLP_TYP_S3 << 10);
	fuzz_must(acpi_pm_is_suspended(world->pm), "a sleep that is none");
}

static void press(struct world *world, const struct step *step)
{
	(void)step;
	acpi_pm_power_button(world->pm);
	fuzz_must(!acpi_pm_is_suspended(world->pm) || acpi_pm_woken_by(world->pm),
		  "a press that does not wake");
}

static void happen(struct world *world, const struct step *step)
{
	switch (step->off % 4) {
	case 0:
		acpi_pm_rtc(world->pm);
		break;
	case 1:
		acpi_pm_pcie_wake(world->pm);
		break;
	case 2:
		acpi_pm_raise_gpe(world->pm, step->value);
		break;
	case 3:
		rtc_timer(world->rtc);
		break;
	}
}

static void wake(struct world *world, const struct step *step)
{
	(void)step;
	fuzz_must(acpi_pm_wake(world->pm) == acpi_pm_is_suspended(world->pm),
		  "the user is told what is not so");
}

static void forget(struct world *world)
{
	world->sleeps = world->wakes = 0;
	fuzz_must(!acpi_pm_is_suspended(world->pm) && !acpi_pm_woken_by(world->pm),
		  "a sleep that does not end");
}

static void resume(struct world *world, const struct step *step)
{
	(void)step;
	if (!acpi_pm_woken_by(world->pm))
		return;
	acpi_pm_resume(world->pm);
	forget(world);
}

static void reset(struct world *world, const struct step *step)
{
	(void)step;
	acpi_pm_reset(world->pm);
	rtc_reset(world->rtc);
	forget(world);
}

static void (*const verbs[])(struct world *world, const struct step *step) = {
	write_pm, write_clock, enable, fall_asleep, press, happen, wake, resume, reset,
};

/* --- what must be so --- */

static void check(const struct world *world)
{
	bool suspended = acpi_pm_is_suspended(world->pm), woken = acpi_pm_woken_by(world->pm);
	uint64_t pm1 = guest_in(world->port, PORT_PM1A_EVT, 2) &
		       guest_in(world->port, PORT_PM1A_EVT + 2, 2);
	uint64_t gpes = gpe(world, 0) & gpe(world, GPE0_SIZE / 2);

	fuzz_must(world->sleeps == suspended, "sleeps that were asked for");
	fuzz_must(!suspended || woken || !(pm1 & PM1_WAKES || gpes), "a wake that is slept over");
	fuzz_must(world->wakes <= 1, "more than one wake");
	fuzz_must(suspended || (!world->wakes && !woken), "a wake of a guest that is awake");
	fuzz_must(!world->wakes || woken, "a wake without a cause");
	fuzz_must(fake_irq_level(world->irq, GSI_SCI) == (pm1 & PM1_EVENTS || gpes), "the SCI");
}

static void write_seeds(int argc, char **argv)
{
	static const struct step steps[] = {
		{2, 0, PM1_WAKES}, {3, 0, 0}, {5, 0, 0}, {7, 0, 0}, {0, 0x40, 0xffff},
		{1, 0x0b, 0x22}, {3, 0, 0}, {5, 3, 0}, {4, 0, 0}, {7, 0, 0}, {0, 0x68, 0xffff},
		{5, 2, GPE_SLOT_FIRST}, {3, 0, 0}, {5, 1, 0}, {6, 0, 0}, {8, 0, 0},
	};

	fuzz_write_seed(argc, argv, "guest", steps, sizeof(steps));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	write_seeds(*argc, *argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world = {.port = bus_create("port"), .irq = fake_irq_create()};
	struct step step;

	world.pm = acpi_pm_create(world.port, world.irq, on_request, &world);
	world.rtc = rtc_create(world.port, world.irq, world.pm);
	fuzz_must(world.pm && world.rtc, "set-up");
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		verbs[step.verb % ARRAY_SIZE(verbs)](&world, &step);
		check(&world);
	}
	rtc_destroy(world.rtc);
	acpi_pm_destroy(world.pm);
	fake_irq_destroy(world.irq);
	bus_destroy(world.port);
	return 0;
}
