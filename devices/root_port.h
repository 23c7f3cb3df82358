/*
 * A virtual PCIe root port: the bridge above one passed slot, with power management, MSI, the PME
 * logic that tells the guest which function below asked to be woken (devices/pme.h), a native
 * hot-plug slot (devices/slot_events.h) and Advanced Error Reporting (devices/aer.h).
 *
 * Its registers answer in every state, so that a PME reaches a guest that believes the port asleep.
 * Presence and link change only when a device is really lost, given back or brought: never because
 * the slot sleeps.
 */
#ifndef DEVICES_ROOT_PORT_H
#define DEVICES_ROOT_PORT_H

#include <stdbool.h>
#include <stdint.h>

struct pci_dev;
struct pci_host;
struct root_port;

struct root_port_config {
	uint8_t slot_number; /* for diagnostics and the port number in Link Capabilities */
	/* Encodings of PCIe 5.0, 7.5.3.6 Link Capabilities Register: what is below, mirrored. */
	uint8_t link_speed;  /* Max Link Speed: 1 = 2.5 GT/s ... */
	uint8_t link_width;  /* Maximum Link Width: 1, 2, 4, 8, 16 */
	bool empty;          /* nothing is in the slot yet */
	/* The guest ejected the slot: it switched the slot's power off by Slot Control (which the
	 * power of the ACPI resource has nothing to do with). Linux does so after a surprise
	 * removal too, when the slot is empty already. Called with the port's device lock held,
	 * on a vCPU: must neither block nor call back. NULL: nobody cares. */
	void (*ejected)(void *opaque);
	void *opaque;
};

struct root_port *root_port_create(const struct root_port_config *config);
void root_port_destroy(struct root_port *port);
struct pci_dev *root_port_pci(struct root_port *port);

/* pci_bridge_show_reserve() of the port. */
void root_port_show_reserve(struct root_port *port, struct pci_host *host, bool io);

/*
 * A PME message of function `devfn` arrives from below. The requester ID is formed with the
 * secondary bus number at the time it is shown. True: the guest has PME interrupts enabled. Any
 * thread; takes the port's device lock.
 */
bool root_port_pme(struct root_port *port, uint8_t devfn);

/* Forgets what `devfn` (or, with -1, anyone) has waiting; for reset and for a cleared PME_Status.
 * What Root Status shows stays until the guest clears it. */
void root_port_pme_forget(struct root_port *port, int devfn);

/*
 * Presence Detect State and Data Link Layer Link Active follow `present`; when they change, the
 * guest is told as of a surprise removal or an insertion. A reset of the port keeps it.
 * Any thread; takes the port's device lock, as do the next five.
 */
void root_port_set_present(struct root_port *port, bool present);

/* A device that came while the guest was still busy with the slot's power (devices/slot_events.h)
 * is shown now, whether it is done or not. */
void root_port_settle(struct root_port *port);

/* Link Status shows this link (encodings as above), as far as the port can do that: what is in the
 * slot has it. Before root_port_set_present(). */
void root_port_set_link(struct root_port *port, uint8_t speed, uint8_t width);

/* The attention button is pressed: the guest is asked to eject what is in the slot. */
void root_port_press_attention(struct root_port *port);

/* The guest switched the slot's power off by Slot Control, or found it empty at its reset. */
bool root_port_slot_is_off(struct root_port *port);

enum root_port_error { ROOT_PORT_CORRECTABLE, ROOT_PORT_NONFATAL, ROOT_PORT_FATAL };

/* An error message of function `devfn` arrives from below. */
void root_port_report_error(struct root_port *port, uint8_t devfn, enum root_port_error error);

/* True while a PME of `devfn` is shown or pending. */
bool root_port_pme_outstanding(struct root_port *port, uint8_t devfn);

#endif
