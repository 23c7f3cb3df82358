/*
 * What the files of one passed-through function share: function.c (life, power, reset), config.c
 * (the guest's view of config space), caps.c (its capabilities), bars.c, bars_rom.c, interrupts.c.
 *
 * Everything here runs with the function's device lock (dev.lock) held, but for what is marked as
 * set-up: that runs before the guest can reach the function.
 */
#ifndef VFIO_FUNCTION_INTERNAL_H
#define VFIO_FUNCTION_INTERNAL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/pci.h"
#include "vfio/backend.h"
#include "vfio/function.h"
#include "vmm/base/range.h"
#include "vmm/irq.h"

struct mem;

/* Each area of the host, cut twice: by the MSI-X table and by the pending bit array. */
#define VFIO_AREAS_MAX (VFIO_SPARSE_MAX + 2)

/* A part of a BAR that the guest reaches without this program. */
struct vfio_area {
	struct range range; /* whole pages, offsets in the BAR */
	void *hva;          /* NULL: not mapped into this process */
	int window;         /* handle of the guest's window, -1: none now */
};

struct vfio_bar {
	struct vfio_region region;
	unsigned int areas;
	struct vfio_area area[VFIO_AREAS_MAX];
};

struct vfio_rom {
	uint64_t size;    /* of the host's region, or of `bytes` from a file; 0: none */
	uint8_t *bytes;   /* the device's own are read at the guest's first access, NULL before */
	bool is_file;     /* not the device's own: is never read from there */
	int window;       /* of a file: handle of the guest's window, -1: none now */
};

/* The kind of interrupt that the host delivers; it allows one at a time. */
enum vfio_irq_kind { VFIO_IRQ_NONE, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX };

/* One message of MSI or MSI-X. */
struct vfio_vector {
	int trigger;   /* eventfd that the host signals, -1: none yet */
	int route;     /* GSI of the message, -1: none yet */
	bool route_set;
	bool attached; /* the trigger reaches the guest; else signals wait in it */
	struct msi_message message; /* what `route` was last set to */
};

struct vfio_interrupts {
	enum vfio_irq_kind applied; /* what the host delivers, whatever the guest wants by now */
	unsigned int count;         /* messages enabled on the host */
	unsigned int wanted;        /* messages asked of the host, which may have granted fewer */
	unsigned int capacity;      /* elements of `vector` and `triggers` */
	struct vfio_vector *vector;
	int *triggers;              /* scratch: the argument of irq_set_triggers */
	struct irq_fd intx;         /* descriptors -1 until first used */
	bool intx_attached;
	unsigned int msi_max;       /* messages that the guest may enable, 0: no MSI */
};

struct vfio_function {
	struct pci_dev dev;
	struct vfio_backend *backend;
	unsigned int fn;
	struct vfio_function_listener listener;
	struct vfio_identity identity;
	struct mem *mem;       /* set when plugged */
	struct irq_chip *irq;

	/*
	 * From here on protected by dev.lock.
	 *
	 * `awake` is the gate of all back-end calls that the guest can cause: off before the
	 * function is plugged and between detach and attach.
	 */
	bool awake;
	bool error_told;            /* host_error() was called since the device was last well */
	bool no_reset_told;
	bool slot_resets;           /* the slot's thread is in vfio_function_reset() */
	bool forwards_d3hot;        /* PowerState is the device's too; fixed before it is plugged */
	bool forbids_reset;         /* the guest's resets are its view's alone; likewise */
	uint8_t power_state;        /* PowerState as last written to the device */

	uint8_t hw[PCI_CFG_LEN];    /* bits of config space that live in the device */
	uint16_t command;           /* Command as last written to the device */
	uint16_t pme;               /* PME_En and PME_Status as last seen */
	uint8_t af_cap;             /* Advanced Features capability, 0: none */
	bool has_flr;               /* Device Capabilities offers it */

	struct vfio_bar bar[PCI_BAR_COUNT];
	struct vfio_rom rom;
	bool windows_dropped;       /* until attach or reset every access traps */
	unsigned int late_faults;   /* vCPUs that may still report a window that is gone */

	struct vfio_interrupts irqs;
};

struct vfio_function *vfio_function_of(struct pci_dev *dev);

/* A sentence for `ret_why`, with the function's name in front. Returns `error`. */
int vfio_function_say(const struct vfio_function *function, int error, char *ret_why,
		      size_t why_size, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* --- function.c: accesses to the device --- */

/*
 * All of `len` bytes or a negative errno, which the listener is told. While the device must not be
 * touched: -EHOSTDOWN, in silence. A read of ones is followed by one of the vendor ID; when that
 * is ones too the answer is -ENODEV.
 */
int vfio_function_read(struct vfio_function *function, unsigned int region, uint64_t off,
		       void *ret_buffer, size_t len);
int vfio_function_write(struct vfio_function *function, unsigned int region, uint64_t off,
			const void *buffer, size_t len);

/* The device failed at `what`: one line in the log and one call of the listener, until the device
 * is seen well again. */
void vfio_function_failed(struct vfio_function *function, int error, const char *what);

/* Function Level Reset, asked for by the guest. */
void vfio_function_level_reset(struct vfio_function *function);

/* --- config.c --- */

/* Set-up: reads the device's config space and builds dev.cfg and `hw` from it. With a sentence. */
int vfio_config_build(struct vfio_function *function, bool multifunction, char *ret_why,
		      size_t why_size);

void vfio_config_read(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t *value);
void vfio_config_changed(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value);

/* Makes the device's Command register the guest's. Windows on memory that ceases to decode are
 * unmapped before: the host answers accesses to them with SIGBUS. */
void vfio_config_sync_command(struct vfio_function *function);

/* Makes the device's PowerState the guest's, where that is wanted; windows are gone by then, or do
 * not come before. */
void vfio_config_sync_power(struct vfio_function *function);

/* [off, off + len) of the guest's view is not the device's. */
void vfio_config_set_virtual(struct vfio_function *function, unsigned int off, unsigned int len);

/* --- caps.c, set-up --- */

/* Walks both lists of `raw` (`cfg_size` bytes), hides and replaces capabilities. BARs are known. */
int vfio_caps_build(struct vfio_function *function, const uint8_t *raw, unsigned int cfg_size,
		    char *ret_why, size_t why_size);

/* --- bars.c --- */

/* Set-up: asks for the regions and declares BARs and ROM. */
int vfio_bars_init(struct vfio_function *function, const uint8_t *raw, char *ret_why,
		   size_t why_size);
/* Set-up: maps what can be mapped into this process. What cannot traps. */
void vfio_bars_map(struct vfio_function *function);
/* Takes everything back. */
void vfio_bars_finish(struct vfio_function *function);

void vfio_bars_mapped(struct pci_dev *dev, unsigned int bar, uint64_t address, bool on);
void vfio_bars_read(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
		    uint64_t *value);
void vfio_bars_write(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
		     uint64_t value);
/* True when a window was mapped. */
bool vfio_bars_unmap_windows(struct vfio_function *function);

/* --- bars_rom.c --- */

/* Set-up: declares the device's own ROM, if it has one. */
void vfio_rom_init(struct vfio_function *function);
void vfio_rom_finish(struct vfio_function *function);

void vfio_rom_mapped(struct vfio_function *function, uint64_t address, bool on);
void vfio_rom_read(struct vfio_function *function, uint64_t off, unsigned int len,
		   uint64_t *value);

/* --- interrupts.c --- */

/* Set-up: room for `messages` of MSI or MSI-X. 0 or -ENOMEM. */
int vfio_irqs_init(struct vfio_function *function, unsigned int messages);
void vfio_irqs_finish(struct vfio_function *function);

/* Makes what the host delivers what the guest's registers say. Nothing while the device must not be
 * touched: the comparison is made again when it may. */
void vfio_irqs_sync(struct vfio_function *function);

/* Takes every interrupt from the host. The device may be touched. */
void vfio_irqs_disable(struct vfio_function *function);

/* INTx no longer reaches the guest, its line drops. No back-end call. */
void vfio_irqs_detach_intx(struct vfio_function *function);

/* pci_msix.changed and .pending. */
void vfio_irqs_msix_changed(struct pci_dev *dev, unsigned int vector);
bool vfio_irqs_pending(struct pci_dev *dev, unsigned int vector);

/* The MSI capability's Pending Bits register. */
uint32_t vfio_irqs_msi_pending(struct vfio_function *function);

#endif
