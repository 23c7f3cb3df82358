/*
 * Passed-through slots: the public face of vfio/. A slot is every function of one host PCI slot,
 * shown to the guest behind one virtual root port, with one power domain.
 */
#ifndef VFIO_VFIO_H
#define VFIO_VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acpi_pm;
struct bus;
struct irq_chip;
struct loop;
struct mem;
struct pci_host;
struct vfio_container;
struct vfio_slot;

/* Option --gpu, parsed. */
struct vfio_slot_config {
	char bdf[16];          /* "0000:01:00.0": any function of the slot */
	bool forbid_low_power; /* policy: refuse every entry (key low-power=off) */
	int inject_entry_error; /* test aid (key x-entry-error=NAME): negative errno, 0: none */
};

/* What the slot is plugged into. */
struct vfio_machine {
	struct mem *mem;
	struct bus *mmio;
	struct irq_chip *irq;
	struct pci_host *pci;
	struct acpi_pm *pm;
};

/* What the ACPI tables need to know of a slot. */
struct vfio_slot_info {
	uint8_t port_dev;
	uint8_t functions;
	bool d3cold;
};

/*
 * Parses "BDF[,key=value]...". On failure a sentence for the user in `ret_why`, returns -EINVAL.
 */
int vfio_slot_parse(const char *text, struct vfio_slot_config *ret_config, char *ret_why,
		    size_t why_size);

/*
 * Checks that the slot can be passed (it exists, IOMMU, drivers, groups) and opens it: container,
 * groups, device files, function reset, features probed. `container` is shared by all slots.
 * On failure a sentence in `ret_why` and negative errno; the device is left as it was found.
 */
int vfio_slot_create(struct vfio_container *container, const struct vfio_slot_config *config,
		     unsigned int index, struct vfio_slot **ret_slot, char *ret_why,
		     size_t why_size);

/* Adds root port and functions to the guest's machine and maps RAM for DMA (once a container). */
int vfio_slot_plug(struct vfio_slot *slot, const struct vfio_machine *machine, char *ret_why,
		   size_t why_size);

void vfio_slot_info(const struct vfio_slot *slot, struct vfio_slot_info *ret_info);

/* Starts the power thread; before the first vCPU runs. 0 or negative errno. */
int vfio_slot_start(struct vfio_slot *slot);

/* Guest reset, with all vCPUs stopped: leaves low power, resets the functions and the port. Returns
 * when done. */
void vfio_slot_reset(struct vfio_slot *slot);

/* A vCPU could not reach a window (KVM_RUN gave EFAULT): drop all windows of the slot, accesses
 * trap from now on. True when there were any. */
bool vfio_slot_drop_windows(struct vfio_slot *slot);

/* Leaves low power, resets, unmaps, closes. Accepts NULL and slots in any stage. No vCPU runs. */
void vfio_slot_destroy(struct vfio_slot *slot);

struct vfio_container *vfio_container_create(void);
void vfio_container_destroy(struct vfio_container *container);

/* The descriptor of the container's open group number `index`, from 0; false after the last. */
bool vfio_container_group(const struct vfio_container *container, unsigned int index,
			  int *ret_fd);

#endif
