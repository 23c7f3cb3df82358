/*
 * The kernel's virtual machine: /dev/kvm, the VM, its interrupt controllers and timer. Everything
 * that talks to KVM includes this header; nothing outside vmm/ does.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct doorbells;
struct irq_chip;
struct mem;

struct kvm {
	int fd;                     /* /dev/kvm */
	int vm_fd;
	int vfio_fd;                /* KVM's VFIO device, -1: not there */
	size_t run_size;            /* bytes of the area shared with each vCPU */
	unsigned int max_cpus;
	unsigned int address_bits;  /* physical address bits of the guest's CPUs, at most 52 */
	struct kvm_cpuid2 *cpuid;   /* what this host can give a guest */
};

/* A VM that is not open; kvm_close() accepts it. */
#define KVM_CLOSED ((struct kvm){.fd = -1, .vm_fd = -1, .vfio_fd = -1})

/*
 * Opens KVM and makes a VM with in-kernel PIC, IOAPIC, local APICs and PIT. Whether KVM works is
 * asked of KVM, never of CPU flags. On failure a sentence in `ret_why`, negative errno, nothing
 * left open.
 */
int kvm_open(struct kvm *kvm, char *ret_why, size_t why_size);
void kvm_close(struct kvm *kvm);

/*
 * Bounds how long the host polls for work of a CPU that halts before that CPU sleeps, for this VM
 * alone; 0: not at all. On failure (old kernels have no such bound) as kvm_open().
 */
int kvm_set_halt_poll(const struct kvm *kvm, uint32_t us, char *ret_why, size_t why_size);

/*
 * Tells KVM that the devices of a VFIO group, or the device of an own node, work for this VM, or
 * (`on` false, before it is closed) no longer do. KVM then honours the guest's memory types
 * where a device's DMA bypasses the caches, as GPUs' does. A kernel without the feature is no
 * error. 0 or negative errno.
 */
int kvm_set_vfio_file(struct kvm *kvm, int vfio_fd, bool on);

/* ioctl() that returns its result, or negative errno. */
int kvm_ioctl(int fd, unsigned long request, const void *argument);
int kvm_ioctl_int(int fd, unsigned long request, unsigned long argument);

struct mem_config {
	uint64_t size;   /* bytes; a multiple of 4 KiB, and of the page */
	uint64_t page;   /* bytes of a huge page, or 0: the host's usual ones */
	bool prefault;   /* all of it is there when mem_create() returns */
	uint64_t low_max; /* of it so much from address 0 on, the rest from RAM_HIGH_START */
};

/* Guest RAM: a memfd, split around the MMIO hole below 4 GiB. As kvm_open(). */
int mem_create(struct kvm *kvm, const struct mem_config *config, struct mem **ret_mem,
	       char *ret_why, size_t why_size);
void mem_destroy(struct mem *mem); /* accepts NULL */

/* NULL: out of memory, or KVM refused the routing table. */
struct irq_chip *irq_chip_create(struct kvm *kvm);
void irq_chip_destroy(struct irq_chip *chip); /* accepts NULL */
/* Back to the state at creation: PIC, IOAPIC and PIT. All vCPUs are stopped. */
void irq_chip_reset(struct irq_chip *chip);
/* Lines that are high although the controllers were reset are seen to be. */
void irq_chip_assert_again(struct irq_chip *chip);

/* NULL: out of memory. */
struct doorbells *doorbells_create(const struct kvm *kvm);
void doorbells_destroy(struct doorbells *doorbells); /* accepts NULL */

#endif
