/*
 * A virtual PCIe root port: the bridge above one passed slot, with power management, MSI, and the
 * PME logic that tells the guest which function below asked to be woken.
 *
 * Its registers answer in every state, so that a PME reaches a guest that believes the port asleep.
 */
#ifndef DEVICES_ROOT_PORT_H
#define DEVICES_ROOT_PORT_H

#include <stdbool.h>
#include <stdint.h>

struct pci_dev;
struct root_port;

struct root_port_config {
	uint8_t slot_number; /* for diagnostics and the port number in Link Capabilities */
	/* Encodings of PCIe 5.0, 7.5.3.6 Link Capabilities Register: what is below, mirrored. */
	uint8_t link_speed;  /* Max Link Speed: 1 = 2.5 GT/s ... */
	uint8_t link_width;  /* Maximum Link Width: 1, 2, 4, 8, 16 */
};

struct root_port *root_port_create(const struct root_port_config *config);
void root_port_destroy(struct root_port *port);
struct pci_dev *root_port_pci(struct root_port *port);

/*
 * A PME message of function `devfn` arrives from below. The requester ID is formed with the
 * secondary bus number at the time it is shown. Any thread; takes the port's device lock.
 */
void root_port_pme(struct root_port *port, uint8_t devfn);

/* Forgets what `devfn` (or, with -1, anyone) has waiting; for reset and for a cleared PME_Status.
 * What Root Status shows stays until the guest clears it. */
void root_port_pme_forget(struct root_port *port, int devfn);

/* True while a PME of `devfn` is shown or pending. */
bool root_port_pme_outstanding(struct root_port *port, uint8_t devfn);

#endif
