/*
 * The PCI core: functions with their config space, base address registers and message-signalled
 * interrupts; the host bridge with its two ways in (ECAM and ports CF8/CFC). Owner of BAR decode,
 * MSI, the MSI-X table and INTx state; devices fill in tables and are told what changed.
 *
 * Register names come from <linux/pci_regs.h>. Numbers are as in the PCIe base specification.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/range.h"
#include "vmm/irq.h"
#include "vmm/layout.h"

#define PCI_CFG_LEN 4096U
#define PCI_BAR_COUNT 6U
#define PCI_BAR_ROM 6U /* index of the expansion ROM's register in struct pci_dev.bar */

struct bus;
struct pci_dev;
struct pci_host;

/* Config space: one value and two masks per bit. A bit in neither mask never changes by a write. */
struct pci_cfg {
	uint8_t value[PCI_CFG_LEN];
	uint8_t rw[PCI_CFG_LEN];  /* takes the written bit */
	uint8_t w1c[PCI_CFG_LEN]; /* writing one clears it */
};

/* Is the function there for the guest? Set by pci_dev_set_presence_locked() only. */
enum pci_presence {
	PCI_PRESENT, /* answers */
	PCI_COLD,    /* in D3cold: PMCSR is live, every other read is ones, every other write is
	              * dropped; no BAR decodes. PMCSR comes from the arrays with its masks, but
	              * PowerState reads D3 and its writes are ignored. cfg_read is not called,
	              * cfg_changed only for writes of PMCSR (to learn of PME_En, PME_Status) */
	PCI_GONE,    /* lost or removed: all reads are ones, all writes dropped */
};

struct pci_bar {
	uint64_t size;       /* power of two, 0: not there (or the upper half of a 64-bit one) */
	uint32_t flags;      /* PCI_BASE_ADDRESS_SPACE_IO, _MEM_TYPE_64, _MEM_PREFETCH as there */
	/* Where the guest reaches it now; meaningful while `mapped`. Written under the device's
	 * lock and the host's decode lock, so either suffices for reading. */
	uint64_t address;
	bool mapped;
};

/*
 * What a type of device does. One static const instance per type. Every op is called with the
 * device's lock held; none may take another device's lock. Optional ops may be NULL.
 */
struct pci_dev_ops {
	const char *name;
	/* Optional. The core has read `*value` from the arrays; replace the bits that live
	 * elsewhere (in a real device's config space). Not called while COLD or GONE. */
	void (*cfg_read)(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t *value);
	/* Optional. The core has applied `value`, `len` bytes at `off`, through the masks. BARs
	 * that the write stops from decoding are unmapped before the call, those that it makes
	 * decode are mapped after it: a real device is never touched while its Memory Space
	 * Enable or power state forbids it. While COLD only for PMCSR. */
	void (*cfg_changed)(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value);
	/* Mandatory where a BAR has no window over all of it. `off` and `len` (1, 2, 4 or 8) lie
	 * inside the BAR. Read: set `*value` (ones at entry). `bar` may be PCI_BAR_ROM, which is
	 * only read. */
	void (*bar_read)(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
			 uint64_t *value);
	void (*bar_write)(struct pci_dev *dev, unsigned int bar, uint64_t off, unsigned int len,
			  uint64_t value);
	/* Optional. A BAR began (`on`) or ceased to decode at `address`: map or unmap windows. */
	void (*bar_mapped)(struct pci_dev *dev, unsigned int bar, uint64_t address, bool on);
	/* Optional. The core has restored the reset image and unmapped the BARs. Presence is as it
	 * was; a reset by the port above (Secondary Bus Reset) is not told unless PCI_PRESENT. */
	void (*reset)(struct pci_dev *dev);
};

struct pci_msi {
	uint8_t cap; /* offset of the capability, 0: none */
};

/* Told when the state of a vector may have changed: enabled, masked, address or data. */
typedef void (*pci_msix_changed)(struct pci_dev *dev, unsigned int vector);

struct pci_msix {
	uint8_t cap;          /* offset of the capability, 0: none */
	uint16_t table_size;  /* number of vectors, 1 to 2048 */
	uint8_t table_bir, pba_bir;
	uint32_t table_off, pba_off;
	uint8_t *table;       /* table_size entries of 16 bytes */
	/* Optional: has a masked vector something pending? Feeds reads of the PBA. */
	bool (*pending)(struct pci_dev *dev, unsigned int vector);
	/* Optional, one vector's table entry was written. Changes of the whole function (enable,
	 * function mask) reach the device through cfg_changed. */
	pci_msix_changed changed;
};

/* A bridge has a window for each. */
enum pci_window {
	PCI_WINDOW_IO,
	PCI_WINDOW_MEM,      /* below 4 GiB */
	PCI_WINDOW_PREFETCH, /* prefetchable memory of 64-bit BARs */
	PCI_WINDOWS
};

/*
 * What a bridge lets through to its secondary bus now, from its registers. The I/O and memory
 * ranges are empty while Command or PMCSR stop it from forwarding.
 */
struct pci_forward {
	uint8_t secondary, subordinate;
	bool held_in_reset; /* Bridge Control: Secondary Bus Reset is set, nothing below answers */
	struct range mem, prefetch, io;
};

struct pci_dev {
	const struct pci_dev_ops *ops;
	struct pci_host *host;      /* set by pci_host_add(); these four do not change after it */
	struct pci_dev *parent;     /* the root port above it; NULL: on bus 0 */
	uint8_t devfn;
	struct irq_line intx;       /* for emulated devices; gsi from the swizzled pin, 0 without */

	pthread_mutex_t lock;       /* protects everything below */
	struct pci_cfg cfg;
	uint8_t reset_image[PCI_CFG_LEN];
	enum pci_presence presence;
	struct pci_bar bar[PCI_BAR_COUNT + 1];
	uint8_t pm_cap;             /* offset of the power management capability, 0: none */
	uint8_t exp_cap;            /* offset of the PCI Express capability, 0: none */
	struct pci_msi msi;
	struct pci_msix msix;
	bool intx_wanted;           /* level that the device asked for by pci_dev_set_intx() */
	bool intx_asserted;         /* level last given to `intx` */
	struct pci_forward forward; /* of a bridge; locks as for struct pci_bar.address */

	unsigned int users;         /* the host's decode lock: who is about to take `lock` */
	/* Of a bridge: the bytes that pci_host_assign() is to keep for devices that come later (a
	 * power of two or 0, set before it), and what it gave (the host's decode lock). */
	uint64_t reserve[PCI_WINDOWS];
	struct range given[PCI_WINDOWS];
};

/* --- config space (devices/pci_cfg.c) --- */

/*
 * The only write path of a guest: `value`, `len` (1, 2, 4) bytes at `off`, through the masks.
 * Pure: no device is told. `off + len` must lie inside the space.
 */
void pci_cfg_write(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t value);
uint32_t pci_cfg_read(const struct pci_cfg *cfg, uint16_t off, unsigned int len);

/* Device-side setters: change guest-visible bytes regardless of the masks; replace the masks. */
void pci_cfg_set(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t value);
void pci_cfg_set_rw(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t mask);
void pci_cfg_set_w1c(struct pci_cfg *cfg, uint16_t off, unsigned int len, uint32_t mask);

/*
 * Adds a capability at `off` (4-aligned, 0x40 to 0xfc) to the end of the list, and sets
 * Status.CapList. The bytes after ID and Next are the caller's. Extended: `off` from 0x100, the
 * first must be 0x100.
 */
void pci_cfg_add_cap(struct pci_cfg *cfg, uint8_t id, uint8_t off);
void pci_cfg_add_ext_cap(struct pci_cfg *cfg, uint16_t id, uint8_t version, uint16_t off);

/* --- devices (devices/pci_dev.c) --- */

/* Prepares a zeroed device: ops, lock, identity, writable standard header fields of a type 0 or
 * type 1 header (`header_type` PCI_HEADER_TYPE_NORMAL or _BRIDGE). `class` is 24 bits. */
void pci_dev_init(struct pci_dev *dev, const struct pci_dev_ops *ops, uint16_t vendor,
		  uint16_t device, uint32_t class, uint8_t header_type);
void pci_dev_finish(struct pci_dev *dev);

/* Declares a BAR: sets its flags and writable bits. A 64-bit one takes the next index too.
 * `bar` may be PCI_BAR_ROM. `size` a power of two >= 16 (memory, 2048 for ROM) or >= 4 (I/O). */
void pci_dev_set_bar(struct pci_dev *dev, unsigned int bar, uint64_t size, uint32_t flags);

/*
 * Power management capability that is ours, PCI PM 1.2: PMC version 3 with `pme_support`
 * (PCI_PM_CAP_PME_*), PMCSR with PowerState (D0 and D3hot take), PME_En and PME_Status (w1c),
 * No_Soft_Reset set. `append`: add to the list; else overlay an existing capability at `off`.
 */
void pci_dev_add_pm(struct pci_dev *dev, uint8_t off, uint16_t pme_support, bool append);

/* MSI, one vector, 64-bit, no per-vector mask. */
void pci_dev_add_msi(struct pci_dev *dev, uint8_t off);

/*
 * MSI-X: table and PBA answered by the core wherever the BAR traps. dev->msix is filled in by the
 * caller except `table`, which is allocated here. `append` as above. 0 or -ENOMEM.
 */
int pci_dev_add_msix(struct pci_dev *dev, bool append);

/* The state of one vector: is it enabled and unmasked (function and vector), and its message. */
bool pci_msix_active(const struct pci_dev *dev, unsigned int vector);
struct msi_message pci_msix_message(const struct pci_dev *dev, unsigned int vector);

/* Is MSI enabled, with which message? */
bool pci_msi_active(const struct pci_dev *dev);
struct msi_message pci_msi_message(const struct pci_dev *dev);

/* Emulated device: one interrupt by MSI if it is enabled and Bus Master is set; else nothing.
 * Lock, here and below: the caller holds dev->lock. */
void pci_dev_send_msi(struct pci_dev *dev);
/* Emulated device: level of INTx as far as Command.INTx Disable and MSI enable allow. */
void pci_dev_set_intx(struct pci_dev *dev, bool level);

/* PMCSR.PowerState of the guest's view, 0 (D0) to 3 (D3hot, or D3cold while PCI_COLD); 0 without
 * the capability. */
unsigned int pci_dev_power_state(const struct pci_dev *dev);

/*
 * Guest-visible presence. Leaving PCI_PRESENT unmaps every BAR before it returns; entering it maps
 * those that Command and PMCSR let decode. From PCI_COLD to PCI_PRESENT the function comes up in D0
 * with its PME bits kept and the rest of its config space as it was. Lock: the caller holds
 * dev->lock.
 */
void pci_dev_set_presence_locked(struct pci_dev *dev, enum pci_presence presence);

/* Recomputes which BARs decode where, after Command, BARs, PMCSR or the parent's windows changed.
 * Lock: the caller holds dev->lock. */
void pci_dev_update_mappings_locked(struct pci_dev *dev);

/* Conventional reset: what pci_dev_reset_locked() does, then ops->reset. Takes dev->lock. */
void pci_dev_reset(struct pci_dev *dev);

/* The core's part of a reset: BARs unmapped, reset image, MSI-X table cleared, INTx low. ops->reset
 * is not called: for a device that resets by itself. Lock: the caller holds dev->lock. */
void pci_dev_reset_locked(struct pci_dev *dev);

/* --- host bridge (devices/pci_host.c) --- */

struct pci_host_config {
	struct bus *mmio, *port;
	struct irq_chip *irq;
	struct range mmio64; /* 64-bit window; the 32-bit and I/O windows are in vmm/layout.h */
	/* The guest's firmware gives addresses, to ECAM as well, which is off until then, and
	 * pci_host_assign() is not called. */
	bool firmware;
};

/* Claims ECAM, CF8/CFC and the windows on the buses. NULL: out of memory or a range is taken. */
struct pci_host *pci_host_create(const struct pci_host_config *config);
void pci_host_destroy(struct pci_host *host);

/* Where ECAM is now; empty: nowhere. One that the 32-bit window does not hold is off. Any
 * thread. */
struct range pci_host_ecam(struct pci_host *host);
void pci_host_set_ecam(struct pci_host *host, struct range ecam);

/*
 * Puts a device at `devfn` on bus 0 (`parent` NULL) or behind the root port `parent`, and takes its
 * config space as it is now for the reset image. From now on the guest finds it there. Any thread.
 * Returns 0, -EEXIST when the place is taken, -ENOSPC.
 */
int pci_host_add(struct pci_host *host, struct pci_dev *dev, struct pci_dev *parent,
		 uint8_t devfn);

/*
 * Takes a device away that was added; its place is free. When this returns no thread is in the
 * device any more, nor will be: it may be finished. Any thread that holds no device's lock.
 */
void pci_host_remove(struct pci_dev *dev);

/* The number of the bus below `bridge` at the moment. Any thread. */
uint8_t pci_bridge_secondary(struct pci_dev *bridge);

/*
 * What firmware does after reset: gives buses, windows and BARs addresses through the guest's own
 * config write path, smallest alignment waste first. What bridges reserve they get as far as there
 * is room: all as much, then (of I/O, which comes in large units) as many as can. Devices are left
 * with I/O and memory decode off, bridges with theirs on. No vCPU runs; one that is added meanwhile
 * gets nothing. Returns 0, -ENOSPC (one line logged names the BAR) or -ENOMEM.
 */
int pci_host_assign(struct pci_host *host);

/* Addresses of one kind, for the BARs of some devices: in all, and for the largest. */
struct pci_need {
	uint64_t size, largest;
};

/* Adds what the BARs of `dev` need. */
void pci_dev_add_needs(const struct pci_dev *dev, struct pci_need needs[PCI_WINDOWS]);

/*
 * Where firmware gives addresses, not pci_host_assign(): shows it what `bridge` reserves, by QEMU's
 * capability at `off`, which takes PCI_RESERVE_LEN bytes; of I/O only with `io`, since SeaBIOS
 * stops where that does not suffice. Without firmware nothing is shown. Before pci_host_add().
 */
#define PCI_RESERVE_LEN 32U
void pci_bridge_show_reserve(struct pci_host *host, struct pci_dev *bridge, uint8_t off, bool io);

/* Fits `need` in what the last pci_host_assign() gave to `bridge` (a guest that makes its windows
 * larger may have room for more), or with firmware in the window as it is? `*ret_room` is how much
 * that is. Any thread. */
bool pci_bridge_fits(struct pci_dev *bridge, enum pci_window kind, const struct pci_need *need,
		     uint64_t *ret_room);

/* Config access as the guest makes it. `len` 1, 2 or 4, not crossing a dword. */
uint32_t pci_host_cfg_read(struct pci_host *host, uint16_t bdf, uint16_t off, unsigned int len);
void pci_host_cfg_write(struct pci_host *host, uint16_t bdf, uint16_t off, unsigned int len,
			uint32_t value);

#endif
