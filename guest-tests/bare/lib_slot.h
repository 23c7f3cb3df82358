/*
 * A passed slot as the guest finds it: the root port and functions by enumerating PCI, the slot
 * power controller by reading the AML of its SSDT, and what AML does with it.
 */
#ifndef GUEST_TESTS_BARE_LIB_SLOT_H
#define GUEST_TESTS_BARE_LIB_SLOT_H

#include "guest-tests/bare/lib_pci.h"

#define SLOT_FUNCTIONS 8

/* Field STAT of the controller. */
#define STATUS_ON 0x1U
#define STATUS_BUSY 0x2U

struct slot {
	uint16_t port;                   /* bdf of the root port */
	uint16_t fn[SLOT_FUNCTIONS];     /* bdf of each function; 0: not there */
	unsigned int port_pm, port_exp;  /* capabilities of the port */
	unsigned int pm[SLOT_FUNCTIONS]; /* capability of each function */
	/* from ACPI; 0: this slot has no power resource */
	uint64_t control, status, wake;  /* addresses of the fields */
	uint8_t gpe;                     /* number of the event of its wakes */
};

/* Fills `slot` with the first root port that has functions below it. Ends the guest with a failure
 * when there is none. */
void slot_find(struct slot *slot);

/* Likewise with the first root port, whatever is below it. */
void slot_find_port(struct slot *slot);

/* Looks again what is below slot->port. */
void slot_find_functions(struct slot *slot);

/* Finds the controller of slot->port. False: ACPI has none. */
bool slot_find_controller(struct slot *slot);

/* Evaluates _OFF or _ON: writes CONTROL, waits for BUSY to fall. Returns STATUS, with BUSY set when
 * it did not fall within `ms`. */
uint32_t slot_switch(const struct slot *slot, bool on, unsigned int ms);
uint32_t slot_await_idle(const struct slot *slot, unsigned int ms);
#define SLOT_TIMEOUT_MS 20000

/* What an operating system does around _OFF and _ON: all functions to D3hot with PME enabled as
 * asked, the port to D3hot with PME enabled, _OFF; and _ON, the port to D0, the functions to D0. */
void slot_prepare_suspend(const struct slot *slot, bool pme); /* all of it but _OFF */
uint32_t slot_suspend(const struct slot *slot, bool pme);
uint32_t slot_resume(const struct slot *slot);

/* PMCSR of a function or of the port, as it reads. */
uint32_t slot_pmcsr(const struct slot *slot, unsigned int fn);
void slot_set_pmcsr(const struct slot *slot, unsigned int fn, uint32_t value);

/* Root Status. */
uint32_t slot_root_status(const struct slot *slot);

#endif
