/*
 * Interrupts into the guest: level and edge lines (GSIs) of the in-kernel interrupt controllers,
 * message-signalled interrupts, and eventfds that the kernel turns into either (irqfd).
 *
 * The implementation in the product is KVM (vmm/irq.c); unit tests bring their own behind the same
 * functions (tests/fake_irq.c). All functions may be called from any thread; irq is a leaf in the
 * lock order.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct irq_chip;

/*
 * One source that drives a GSI. Several sources may share a level-triggered GSI: the line is high
 * while any of them is. Embedded in its device; zero-initialised and then given `gsi`.
 */
struct irq_line {
	uint32_t gsi;
	bool level; /* protected by the chip's lock */
};

/* Sets the level of one source. Level-triggered GSIs (PCI, SCI). */
void irq_line_set(struct irq_chip *chip, struct irq_line *line, bool level);

/* One edge on an edge-triggered GSI (ISA). */
void irq_pulse(struct irq_chip *chip, uint32_t gsi);

struct msi_message {
	uint64_t address;
	uint32_t data;
};

/* Sends one message now. Messages that no interrupt controller decodes are dropped. */
void irq_send_msi(struct irq_chip *chip, struct msi_message message);

/*
 * An eventfd that the kernel turns into interrupts without this program's help.
 * `gsi` is a line's, or one of irq_route_alloc()'s for messages.
 */
struct irq_fd {
	int trigger;   /* eventfd: each signal is one interrupt */
	int resample;  /* eventfd signalled when the guest ends a level interrupt; -1: edge */
	uint32_t gsi;
};

/* A GSI number beyond the IOAPIC's for one MSI route. Returns it, or -ENOSPC. */
int irq_route_alloc(struct irq_chip *chip);
void irq_route_free(struct irq_chip *chip, int gsi);

/* Points the route at `message`; takes effect for signals from now on. 0 or negative errno. */
int irq_route_set(struct irq_chip *chip, int gsi, struct msi_message message);

/* Connects. A trigger that is already signalled is delivered. 0 or negative errno of KVM_IRQFD. */
int irq_fd_attach(struct irq_chip *chip, const struct irq_fd *fd);

/* Disconnects; a level that the kernel holds for it drops. Does nothing when not attached. */
void irq_fd_detach(struct irq_chip *chip, const struct irq_fd *fd);

#endif
