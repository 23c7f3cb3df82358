#include "vmm/irq.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "vmm/base/bits.h"
#include "vmm/kvm.h"
#include "vmm/layout.h"

#define ISA_IRQS 16
#define ROUTES_MAX 4096 /* GSIs; KVM_MAX_IRQ_ROUTES on x86 */
#define MSI_ROUTES_MAX (ROUTES_MAX - GSI_COUNT - ISA_IRQS)

struct irq_route {
	bool used, set;
	struct msi_message message;
};

struct irq_chip {
	struct kvm *kvm;
	struct kvm_irqchip reset_chip[3]; /* PIC master, PIC slave, IOAPIC as created */
	struct kvm_pit_state2 reset_pit;

	pthread_mutex_t lock;             /* protects everything below and each irq_line.level */
	unsigned int asserted[GSI_COUNT]; /* sources that hold the line high */
	struct irq_route *route;          /* of GSI_COUNT + index */
	struct kvm_irq_routing *table;    /* scratch for KVM_SET_GSI_ROUTING */
};

static void add_entry(struct kvm_irq_routing *table, struct kvm_irq_routing_entry entry)
{
	table->entries[table->nr++] = entry;
}

static void add_pin(struct kvm_irq_routing *table, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	add_entry(table, (struct kvm_irq_routing_entry){
				 .gsi = gsi,
				 .type = KVM_IRQ_ROUTING_IRQCHIP,
				 .u.irqchip = {.irqchip = chip, .pin = pin}});
}

/* The PC's wiring: ISA IRQs reach both PIC and IOAPIC; the timer (IRQ 0) is IOAPIC pin 2, as the
 * MADT's interrupt source override says; IRQ 2 is the cascade and reaches no pin. */
static void add_lines(struct kvm_irq_routing *table)
{
	for (uint32_t gsi = 0; gsi < GSI_COUNT; gsi++) {
		if (gsi == 2)
			continue;
		if (gsi < ISA_IRQS)
			add_pin(table, gsi,
				gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
		add_pin(table, gsi, KVM_IRQCHIP_IOAPIC, gsi ? gsi : 2);
	}
}

static int write_routes_locked(struct irq_chip *chip)
{
	struct kvm_irq_routing *table = chip->table;

	table->nr = 0;
	add_lines(table);
	for (uint32_t i = 0; i < MSI_ROUTES_MAX; i++) {
		const struct msi_message *message = &chip->route[i].message;

		if (!chip->route[i].set)
			continue;
		add_entry(table, (struct kvm_irq_routing_entry){
					 .gsi = GSI_COUNT + i,
					 .type = KVM_IRQ_ROUTING_MSI,
					 .u.msi = {.address_lo = (uint32_t)message->address,
						   .address_hi = (uint32_t)(message->address >> 32),
						   .data = message->data}});
	}
	return kvm_ioctl(chip->kvm->vm_fd, KVM_SET_GSI_ROUTING, table);
}

static int save_reset_state(struct irq_chip *chip)
{
	static const uint32_t ids[] = {KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
				       KVM_IRQCHIP_IOAPIC};
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ids) && !error; i++) {
		chip->reset_chip[i].chip_id = ids[i];
		error = kvm_ioctl(chip->kvm->vm_fd, KVM_GET_IRQCHIP, &chip->reset_chip[i]);
	}
	if (!error)
		error = kvm_ioctl(chip->kvm->vm_fd, KVM_GET_PIT2, &chip->reset_pit);
	return error;
}

struct irq_chip *irq_chip_create(struct kvm *kvm)
{
	struct irq_chip *chip = calloc(1, sizeof(*chip));

	if (!chip)
		return NULL;
	chip->kvm = kvm;
	pthread_mutex_init(&chip->lock, NULL);
	chip->route = calloc(MSI_ROUTES_MAX, sizeof(*chip->route));
	chip->table = calloc(1, sizeof(*chip->table) +
				ROUTES_MAX * sizeof(struct kvm_irq_routing_entry));
	if (!chip->route || !chip->table || write_routes_locked(chip) || save_reset_state(chip)) {
		irq_chip_destroy(chip);
		return NULL;
	}
	return chip;
}

void irq_chip_destroy(struct irq_chip *chip)
{
	if (!chip)
		return;
	free(chip->table);
	free(chip->route);
	pthread_mutex_destroy(&chip->lock);
	free(chip);
}

void irq_chip_reset(struct irq_chip *chip)
{
	for (size_t i = 0; i < ARRAY_SIZE(chip->reset_chip); i++)
		kvm_ioctl(chip->kvm->vm_fd, KVM_SET_IRQCHIP, &chip->reset_chip[i]);
	kvm_ioctl(chip->kvm->vm_fd, KVM_SET_PIT2, &chip->reset_pit);
}

static void set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};

	kvm_ioctl(chip->kvm->vm_fd, KVM_IRQ_LINE, &line);
}

void irq_chip_assert_again(struct irq_chip *chip)
{
	pthread_mutex_lock(&chip->lock);
	for (uint32_t gsi = 0; gsi < GSI_COUNT; gsi++)
		if (chip->asserted[gsi])
			set_level(chip, gsi, true);
	pthread_mutex_unlock(&chip->lock);
}

void irq_line_set(struct irq_chip *chip, struct irq_line *line, bool level)
{
	pthread_mutex_lock(&chip->lock);
	if (line->level != level && line->gsi < GSI_COUNT) {
		unsigned int before = chip->asserted[line->gsi];

		line->level = level;
		chip->asserted[line->gsi] = level ? before + 1 : before - 1;
		if (!before || !chip->asserted[line->gsi])
			set_level(chip, line->gsi, level);
	}
	pthread_mutex_unlock(&chip->lock);
}

void irq_pulse(struct irq_chip *chip, uint32_t gsi)
{
	pthread_mutex_lock(&chip->lock);
	set_level(chip, gsi, true);
	set_level(chip, gsi, false);
	pthread_mutex_unlock(&chip->lock);
}

void irq_send_msi(struct irq_chip *chip, struct msi_message message)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)message.address,
		.address_hi = (uint32_t)(message.address >> 32),
		.data = message.data,
	};

	/* A message to nowhere is refused by KVM; on the bus it would be a lost write as well. */
	kvm_ioctl(chip->kvm->vm_fd, KVM_SIGNAL_MSI, &msi);
}

int irq_route_alloc(struct irq_chip *chip)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&chip->lock);
	for (int i = 0; i < MSI_ROUTES_MAX; i++) {
		if (chip->route[i].used)
			continue;
		chip->route[i].used = true;
		gsi = GSI_COUNT + i;
		break;
	}
	pthread_mutex_unlock(&chip->lock);
	return gsi;
}

void irq_route_free(struct irq_chip *chip, int gsi)
{
	int index = gsi - GSI_COUNT;

	if (index < 0 || index >= MSI_ROUTES_MAX)
		return;
	pthread_mutex_lock(&chip->lock);
	if (chip->route[index].used) {
		chip->route[index].used = false;
		chip->route[index].set = false;
		write_routes_locked(chip);
	}
	pthread_mutex_unlock(&chip->lock);
}

int irq_route_set(struct irq_chip *chip, int gsi, struct msi_message message)
{
	int index = gsi - GSI_COUNT;
	struct irq_route before;
	int error = -EINVAL;

	if (index < 0 || index >= MSI_ROUTES_MAX)
		return error;
	pthread_mutex_lock(&chip->lock);
	if (chip->route[index].used) {
		before = chip->route[index];
		chip->route[index].set = true;
		chip->route[index].message = message;
		error = write_routes_locked(chip);
		if (error) /* KVM takes all or none: one that it refuses must not stay in the way */
			chip->route[index] = before;
	}
	pthread_mutex_unlock(&chip->lock);
	return error;
}

int irq_fd_attach(struct irq_chip *chip, const struct irq_fd *fd)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd->trigger,
		.gsi = fd->gsi,
		.flags = fd->resample >= 0 ? KVM_IRQFD_FLAG_RESAMPLE : 0,
		.resamplefd = fd->resample >= 0 ? (uint32_t)fd->resample : 0,
	};

	return kvm_ioctl(chip->kvm->vm_fd, KVM_IRQFD, &irqfd);
}

void irq_fd_detach(struct irq_chip *chip, const struct irq_fd *fd)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd->trigger,
		.gsi = fd->gsi,
		.flags = KVM_IRQFD_FLAG_DEASSIGN,
	};

	kvm_ioctl(chip->kvm->vm_fd, KVM_IRQFD, &irqfd);
}
