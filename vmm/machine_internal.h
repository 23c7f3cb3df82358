/*
 * What the files of the machine share: its parts, and the calls between machine.c (built, run,
 * taken down), machine_requests.c (what the guest and people ask for), machine_guest.c (what is
 * booted), machine_reset.c (the state in which a guest begins), machine_sleep.c (S3) and
 * machine_api.c (the control socket). For these six alone.
 */
#ifndef VMM_MACHINE_INTERNAL_H
#define VMM_MACHINE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/block_image.h"
#include "devices/legacy.h"
#include "vmm/base/range.h"
#include "vmm/boot.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/terminal.h"
#include "vmm/vcpu.h"

#define EXIT_GUEST_POWERED_OFF 0
#define EXIT_FAILED 1
#define WHY_SIZE 512

struct vfio_slot;

struct machine {
	const struct options *options;
	struct kvm kvm;
	struct mem *mem;
	struct irq_chip *irq;
	struct bus *port, *mmio;
	struct loop *loop;
	struct boot *boot;       /* NULL: firmware boots a disk */
	struct firmware_files *firmware_files; /* NULL: a kernel is booted directly */
	struct firmware_boot *firmware_boot;   /* NULL: likewise */
	struct acpi_pm *pm;
	struct serial *serial;
	struct rtc *rtc;
	struct pci_host *pci;
	struct q35 *q35;
	struct doorbells *doorbells;
	unsigned int disks;
	struct disk_config disk[DISK_MAX + 1]; /* the guest's image first, if it is a disk's */
	struct virtio_devices *virtio;
	struct pvpanic *pvpanic;
	struct watchdog *watchdog; /* NULL: no --watchdog */
	struct slots *slots;
	struct vcpus *vcpus;
	struct terminal *terminal;
	struct api *api;         /* NULL: no --api */
	struct notify *notify;   /* NULL: no service manager */
	struct shutdown *shutdown;
	int signal_fd;
	int reset_fd;            /* eventfd: a reset was asked for */
	const char *reset_cause; /* of the event; NULL: the guest; main thread's */
	_Atomic(const char *) fault; /* by which a CPU has asked for it */
	unsigned int faults;     /* resets by one; main thread's, as: */
	uint64_t faults_said_us; /* of clock_us() */
	int awaited_fd;          /* eventfd: so many slots and devices are done with a step */
	uint64_t awaited;        /* how many are not, and no CPU runs; main thread's, as these: */
	void (*then)(struct machine *machine); /* what comes then */
	bool reset_waits;        /* ... or a reset that was asked for meanwhile */
	int sleep_fd;            /* eventfd: S3 begins or ends */
	bool is_suspended;       /* in S3, all is off; this and the next are the main thread's */
	uint64_t suspended_since; /* of clock_us() */
};

/* Where 64-bit BARs go: the upper half of what the host's CPU addresses; with firmware all above
 * RAM, as it is the firmware that puts them somewhere. */
struct range machine_mmio64_window(const struct machine *machine);

/* --- machine_requests.c; any thread, never blocks, but for what says otherwise --- */

/* Ends the guest; `cause` is event "exit"'s, `status` the program's. The first call counts. */
void machine_end(struct machine *machine, const char *cause, int status);

/* Resets the guest in place soon, or ends it with --no-reboot. */
void machine_ask_reset(struct machine *machine);

/* Callbacks, the machine is `opaque`: of the ACPI and i8042 registers, and of the debug exit. */
void machine_on_request(void *opaque, enum machine_request request);
void machine_on_debug_exit(void *opaque, int status);

struct vcpu_listener machine_vcpu_listener(struct machine *machine);
struct terminal_listener machine_terminal_listener(struct machine *machine);

/* Main thread. The next signal that is pending; 0: there is none. */
int machine_next_signal(const struct machine *machine);

/* Main thread. Takes what the guest's panic device has said, and does what --on-panic says. */
void machine_take_panic(struct machine *machine);

/* Puts all that main thread waits for into the loop. 0 or negative errno. */
int machine_watch(struct machine *machine);

/* --- machine_guest.c; main thread, no CPU runs --- */

/* Finds out what is booted and how; opens kernel or firmware. Before anything else. A sentence. */
int machine_open_guest(struct machine *machine, char *ret_why, size_t why_size);

/* With firmware: its ROM and what it finds besides. After all devices. A sentence. */
int machine_plug_firmware(struct machine *machine, char *ret_why, size_t why_size);

/* Memory as the boot CPU finds it, and where it begins. Again after every reset. A sentence. */
int machine_load(struct machine *machine, struct boot_entry *ret_entry, char *ret_why,
		 size_t why_size);

/* --- machine_reset.c; main thread, no CPU runs --- */

/* Addresses, tables, kernel, registers: the state in which the guest begins. With a sentence. */
int machine_load_guest(struct machine *machine, char *ret_why, size_t why_size);

/* All devices, then the guest from the start. Begins it: the host may take a minute over the cards,
 * disks and other processes half of one, for which the main thread does not wait. Another reset
 * meanwhile is the same one. Where the guest was asked to power off, this is its end. */
void machine_reset(struct machine *machine);

/* Has every slot do what takes the host its time. When these and the devices before them are done
 * comes `done`, if nothing ended before. */
void machine_await_slots(struct machine *machine, void (*ask)(struct vfio_slot *slot, int done_fd),
			 void (*done)(struct machine *machine));

/* Callback for `awaited_fd`. */
void machine_parts_are_done(void *opaque, int fd);

/* Those of a machine that lose all of their state in S3, too, but for the slots;
 * machine_await_slots() is what comes next. */
void machine_reset_devices(struct machine *machine);

/* --- machine_sleep.c --- */

/* S3 begins; or something wakes. Any thread, neither blocks. */
void machine_ask_suspend(struct machine *machine);
void machine_ask_wake(struct machine *machine);

/* Main thread; of `sleep_fd`. */
void machine_change_sleep(void *opaque, int fd);

/* --- machine_api.c; main thread --- */

/* The control socket of --api, which answers once the loop runs, and the service manager. Before
 * any device is touched: the socket's path may be taken. With a sentence. */
int machine_create_api(struct machine *machine, char *ret_why, size_t why_size);

#endif
