/*
 * A slot of the guest's machine: a root port of its own and the power controller beside it, with a
 * card behind it (slot_build.c, slot_plug.c) or empty; and taken apart again.
 */
#include "vfio/slot.h"

#include <errno.h>
#include <linux/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "devices/slot_power.h"
#include "vfio/function.h"
#include "vmm/base/bits.h"

/* PCIe 5.0, 7.5.3.6 Link Capabilities Register: 32 GT/s, x16 */
#define LINK_SPEED_MAX 5
#define LINK_WIDTH_MAX 16

int slot_explain(int error, char *ret_why, size_t why_size, const char *name, const char *what)
{
	snprintf(ret_why, why_size, "vfio %s: %s: %s", name, what, strerror(-error));
	return error;
}

/* --- its beginning --- */

static struct vfio_slot *slot_alloc(unsigned int index)
{
	struct vfio_slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->index = index;
	vfio_card_init(&slot->card);
	slot->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	slot->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	slot->hold_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	slot->patience_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	pthread_mutex_init(&slot->card_lock, NULL);
	pthread_mutex_init(&slot->lock, NULL);
	pthread_cond_init(&slot->answered, NULL);
	if (slot->command_fd < 0 || slot->timer_fd < 0 || slot->hold_fd < 0 ||
	    slot->patience_fd < 0) {
		vfio_slot_destroy(slot);
		return NULL;
	}
	return slot;
}

int vfio_slot_create_empty(unsigned int index, struct vfio_slot **ret_slot)
{
	struct vfio_slot *slot = slot_alloc(index);

	if (!slot)
		return -ENOMEM;
	slot->any_card = true;
	*ret_slot = slot;
	return 0;
}

/* The slot with the card that came of it, or neither. */
static int fill(struct vfio_slot *slot, struct vfio_card *card, int error,
		struct vfio_slot **ret_slot)
{
	if (error) {
		vfio_slot_destroy(slot);
		return error;
	}
	slot->card = *card;
	free(card);
	slot_publish(slot);
	*ret_slot = slot;
	return 0;
}

int vfio_slot_build(const char *name, const char *sysfs, const struct vfio_slot_config *config,
		    const struct quirks *quirks, unsigned int index,
		    struct vfio_backend *const backend[HOST_FUNCTIONS],
		    struct vfio_slot **ret_slot, char *ret_why, size_t why_size)
{
	struct vfio_slot *slot = slot_alloc(index);
	struct vfio_card *card = NULL;
	int error = vfio_card_build(name, sysfs, config, quirks, slot, backend, &card, ret_why,
				    why_size);

	return fill(slot, card, error, ret_slot);
}

int vfio_slot_create(struct vfio_container *container, const struct vfio_slot_config *config,
		     const struct quirks *quirks, unsigned int index, struct vfio_slot **ret_slot,
		     char *ret_why, size_t why_size)
{
	struct vfio_slot *slot = slot_alloc(index);
	struct vfio_card *card = NULL;
	int error;

	if (!slot)
		return slot_explain(-ENOMEM, ret_why, why_size, config->bdf, "slot");
	error = vfio_card_open(container, config, quirks, slot, &card, ret_why, why_size);
	return fill(slot, card, error, ret_slot);
}

/* --- its place in the machine --- */

/* The port of a slot with a card is as fast as that. An empty one may get any, so it is as fast and
 * wide as cards come. */
static void describe_port(struct vfio_slot *slot, struct root_port_config *ret_config)
{
	struct vfio_identity identity = {.link_speed = LINK_SPEED_MAX,
					 .link_width = LINK_WIDTH_MAX};

	if (slot->card.fn[0].function)
		identity = vfio_function_identity(slot->card.fn[0].function);
	*ret_config = (struct root_port_config) {
		.slot_number = (uint8_t)(slot->index + 1),
		.link_speed = identity.link_speed,
		.link_width = identity.link_width,
		.empty = !slot->card.name[0],
		.ejected = vfio_slot_ejected,
		.opaque = slot,
	};
}

/*
 * For a large one: a GPU has its memory in a prefetchable 64-bit BAR (up to 32 GiB, with smaller
 * ones beside it), its registers below 4 GiB (16 MiB, ROM and siblings besides). 64-bit BARs that
 * are not prefetchable go there, too.
 */
void slot_reserve(struct vfio_slot *slot)
{
	struct pci_dev *port = root_port_pci(slot->port);

	if (!slot->any_card)
		return;
	port->reserve[PCI_WINDOW_IO] = 4 * KIB;
	port->reserve[PCI_WINDOW_MEM] = 32 * MIB;
	port->reserve[PCI_WINDOW_PREFETCH] = 64 * GIB;
}

/* The slots whose ports firmware is to give I/O, of which it has 40 KiB (OVMF) in units of 4. */
#define IO_SLOTS 8U

static int plug_port(struct vfio_slot *slot, char *ret_why, size_t why_size)
{
	const struct vfio_machine *machine = &slot->machine;
	struct root_port_config config;
	int error;

	describe_port(slot, &config);
	slot->port = root_port_create(&config);
	if (!slot->port)
		return slot_explain(-ENOMEM, ret_why, why_size, slot->card.name, "root port");
	slot_reserve(slot);
	root_port_show_reserve(slot->port, machine->pci, slot->index < IO_SLOTS);
	error = pci_host_add(machine->pci, root_port_pci(slot->port), NULL,
			     PCI_DEVFN(slot->index + 1, 0));
	if (error)
		return slot_explain(error, ret_why, why_size, slot->card.name, "root port");
	slot->controller = slot_power_create(machine->mmio, slot->index, vfio_slot_request_power,
					     slot);
	if (!slot->controller)
		return slot_explain(-ENOMEM, ret_why, why_size, slot->card.name,
				    "slot power controller");
	return 0;
}

int vfio_slot_plug(struct vfio_slot *slot, const struct vfio_machine *machine, char *ret_why,
		   size_t why_size)
{
	int error;

	slot->machine = *machine;
	error = plug_port(slot, ret_why, why_size);
	if (!error)
		error = vfio_card_map_ram(&slot->card, machine->mem, ret_why, why_size);
	if (!error)
		error = slot_plug_card(slot, ret_why, why_size);
	slot->plugged = !error;
	return error;
}

/* --- what others see of it --- */

void vfio_slot_info(struct vfio_slot *slot, struct vfio_slot_info *ret_info)
{
	const struct vfio_slot_status *status = &slot->published.status;

	*ret_info = (struct vfio_slot_info) {.port_dev = (uint8_t)(slot->index + 1)};
	pthread_mutex_lock(&slot->lock);
	ret_info->d3cold = slot->any_card || status->policy.power == POLICY_POWER_D3COLD;
	slot->offers_d3cold = ret_info->d3cold;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->any_card || status->fn[i].exists)
			ret_info->functions |= (uint8_t)(1U << i);
	pthread_mutex_unlock(&slot->lock);
}

void vfio_slot_bdf(struct vfio_slot *slot, char ret_bdf[13])
{
	snprintf(ret_bdf, 13, "0000:%02x:00.0",
		 pci_bridge_secondary(root_port_pci(slot->port)));
}

bool vfio_slot_drop_windows(struct vfio_slot *slot)
{
	bool dropped = false;

	pthread_mutex_lock(&slot->card_lock);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->card.fn[i].function)
			dropped |= vfio_function_drop_windows(slot->card.fn[i].function);
	pthread_mutex_unlock(&slot->card_lock);
	return dropped;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vfio_slot_destroy(struct vfio_slot *slot)
{
	if (!slot)
		return;
	vfio_slot_stop(slot);
	if (slot->port)
		slot_count(slot);
	vfio_card_clear(&slot->card);
	if (slot->controller)
		slot_power_destroy(slot->controller);
	if (slot->port)
		root_port_destroy(slot->port);
	close_fd(slot->command_fd);
	close_fd(slot->timer_fd);
	close_fd(slot->hold_fd);
	close_fd(slot->patience_fd);
	pthread_cond_destroy(&slot->answered);
	pthread_mutex_destroy(&slot->lock);
	pthread_mutex_destroy(&slot->card_lock);
	free(slot);
}
