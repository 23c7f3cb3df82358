/*
 * One passed-through function as the guest sees it: a config view over the host's, BARs as windows
 * or traps, interrupts by irqfd, and the virtual power management capability. Owned by its slot
 * (vfio/slot.c), which alone decides about power.
 */
#ifndef VFIO_FUNCTION_H
#define VFIO_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct irq_chip;
struct pci_dev;
struct pci_host;
struct vfio_backend;
struct vfio_function;

/* Told by the function, with its device lock held; must neither block nor call back. */
struct vfio_function_listener {
	void *opaque;
	/* An access to the device failed while the guest could see it, or it read as ones. */
	void (*host_error)(void *opaque, unsigned int fn, int error);
	/* The guest cleared PME_Status or PME_En in the virtual PMCSR. */
	void (*pme_cleared)(void *opaque, unsigned int fn);
};

/* What identifies the device, from its config space. */
struct vfio_identity {
	uint16_t vendor, device;
	uint32_t class;               /* 24 bits */
	bool has_pm;                  /* power management capability: D3cold can be offered */
	uint8_t link_speed, link_width; /* Link Status, 0 where there is no link */
};

/*
 * Reads the device through `backend` (already reset, awake) and builds the guest's view of it as
 * function number `fn`. On success owns `backend`. On failure a sentence in `ret_why`, negative
 * errno, and `backend` stays the caller's.
 */
int vfio_function_create(struct vfio_backend *backend, unsigned int fn, bool multifunction,
			 const struct vfio_function_listener *listener,
			 struct vfio_function **ret_function, char *ret_why, size_t why_size);

/* Gives the guest an expansion ROM that is not the device's own: `size` bytes, a power of two from
 * 2 KiB to 16 MiB, in memory of rom_alloc(), the function's from now on. Before plug. */
void vfio_function_set_rom(struct vfio_function *function, uint8_t *bytes, size_t size);

struct pci_dev *vfio_function_pci(struct vfio_function *function);
const char *vfio_function_name(const struct vfio_function *function); /* "0000:01:00.0" */
struct vfio_identity vfio_function_identity(const struct vfio_function *function);
struct vfio_backend *vfio_function_backend(struct vfio_function *function);

/* Maps BARs into this process, adds the device to the guest's PCI below `parent` and sets up its
 * interrupts; CPUs may run. 0 or negative errno, with a sentence. */
int vfio_function_plug(struct vfio_function *function, struct mem *mem, struct irq_chip *irq,
		       struct pci_host *host, struct pci_dev *parent, char *ret_why,
		       size_t why_size);

/*
 * Power, called by the slot's thread (design 4.2 rules 1, 2). Each takes the device lock.
 * detach: PCI_COLD, windows unmapped, INTx irqfd detached; from now until attach the function makes
 *   no back-end call at all, whatever the guest does; interrupt changes are remembered.
 * attach: PMCSR PowerState 0 with PME bits kept, remembered interrupt changes applied, INTx
 *   unmasked once, PCI_PRESENT, windows mapped where the guest's Command allows.
 * gone: PCI_GONE.
 */
void vfio_function_detach(struct vfio_function *function);
void vfio_function_attach(struct vfio_function *function);
void vfio_function_gone(struct vfio_function *function);

/* Does the device answer? 0, -ENODEV for ones, or the read's error. Slot's thread. */
int vfio_function_check(struct vfio_function *function);

/* Interrupts disabled, guest's view back to its reset image, PME bits clear, PCI_PRESENT; with
 * `device` a function reset by the back end (absence of one is not an error: logged once, 0).
 * Slot's thread. */
int vfio_function_reset(struct vfio_function *function, bool device);

/* The guest's D3hot is the device's too (it is virtual otherwise). Before plug. */
void vfio_function_forward_d3hot(struct vfio_function *function);

/* The policy does not let this function be reset alone: what the guest asks for, by Function Level
 * Reset or by its port, resets its view. Before plug. */
void vfio_function_forbid_reset(struct vfio_function *function);

/* Gives the device back: PCI_GONE, everything unmapped and disabled, the back end closed. It is
 * awake, or lost. What remains answers as a device that is not there. Slot's thread. */
void vfio_function_release(struct vfio_function *function);

/* The guest's virtual PMCSR. Any thread. */
bool vfio_function_pme_enable(struct vfio_function *function);
bool vfio_function_pme_status(struct vfio_function *function);
void vfio_function_set_pme_status(struct vfio_function *function);

/* Unmaps every window; accesses trap until the next attach or reset. True when there was one. */
bool vfio_function_drop_windows(struct vfio_function *function);

/* Takes it out of the guest's PCI if it was plugged, waits for whoever is in it, unmaps, disables
 * interrupts, closes the back end. The device is awake, or lost: then it is closed without being
 * touched. Accepts NULL. Slot's thread. */
void vfio_function_destroy(struct vfio_function *function);

#endif
