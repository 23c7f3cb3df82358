/*
 * A card comes into a slot and leaves it, while the guest runs or before.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/pci.h"
#include "devices/root_port.h"
#include "vfio/function.h"
#include "vfio/slot.h"
#include "vmm/base/bits.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

/* Lets the host signal an error, or its wish to have the device back. Without them it is the same
 * machine, which learns of these things later. */
static void listen_to_host(struct slot_function *fn)
{
	static const struct {
		unsigned int index;
		enum slot_signal signal;
	} signals[] = {
		{VFIO_PCI_ERR_IRQ_INDEX, SLOT_ERROR}, {VFIO_PCI_REQ_IRQ_INDEX, SLOT_REQUEST},
	};
	struct vfio_backend *backend = vfio_function_backend(fn->function);

	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++) {
		int error;

		if (backend->ops->irq_count(backend, signals[i].index) <= 0)
			continue;
		error = backend->ops->irq_set_triggers(backend, signals[i].index, 0, 1,
						       &fn->signal_fd[signals[i].signal]);
		if (error)
			log_warn("vfio %s: the host does not signal %s: %s, ignoring",
				 backend->name,
				 signals[i].signal == SLOT_ERROR ? "errors" : "unplug requests",
				 strerror(error < 0 ? -error : EINVAL));
	}
}

/* Function 0 last: before it is there no guest looks for the others, and then they are. */
int slot_plug_card(struct vfio_slot *slot, char *ret_why, size_t why_size)
{
	const struct vfio_machine *machine = &slot->machine;
	int error = 0;

	for (unsigned int i = HOST_FUNCTIONS; i-- > 0 && !error;) {
		struct vfio_function *function = slot->card.fn[i].function;

		if (!function)
			continue;
		error = vfio_function_plug(function, machine->mem, machine->irq, machine->pci,
					   root_port_pci(slot->port), ret_why, why_size);
		if (!error)
			listen_to_host(&slot->card.fn[i]);
	}
	return error;
}

/* --- into a running guest --- */

/* Bytes in the unit that makes them a whole number, for people. */
static void format_size(char *text, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	unsigned int unit = 0;

	while (bytes && bytes % 1024 == 0 && unit < ARRAY_SIZE(units) - 1) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, size, "%llu %s", (unsigned long long)bytes, units[unit]);
}

/* A guest assigns addresses only inside the windows that its port has had since the boot. */
static int check_room(const struct vfio_slot *slot, const struct vfio_card *card, char *ret_why,
		      size_t why_size)
{
	static const char *const kinds[PCI_WINDOWS] = {
		[PCI_WINDOW_IO] = "I/O ports",
		[PCI_WINDOW_MEM] = "memory below 4 GiB",
		[PCI_WINDOW_PREFETCH] = "prefetchable 64-bit memory",
	};
	struct pci_need needs[PCI_WINDOWS] = {{0, 0}};

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (card->fn[i].function)
			pci_dev_add_needs(vfio_function_pci(card->fn[i].function), needs);
	for (enum pci_window kind = 0; kind < PCI_WINDOWS; kind++) {
		char need[32], largest[32], room[32];
		uint64_t given;

		if (pci_bridge_fits(root_port_pci(slot->port), kind, &needs[kind], &given))
			continue;
		format_size(need, sizeof(need), needs[kind].size);
		format_size(largest, sizeof(largest), needs[kind].largest);
		format_size(room, sizeof(room), given);
		snprintf(ret_why, why_size, "%s needs %s of %s (its largest BAR: %s), and port %u "
			 "of the guest has %s; fewer --hotplug-ports have more each, and --gpu at "
			 "the start gets what it needs", card->name, need, kinds[kind], largest,
			 slot->index, room);
		return -ENOSPC;
	}
	return 0;
}

static bool offers_d3cold(struct vfio_slot *slot)
{
	bool offers;

	pthread_mutex_lock(&slot->lock);
	offers = slot->offers_d3cold;
	pthread_mutex_unlock(&slot->lock);
	return offers;
}

static void tell_plugged(struct vfio_slot *slot)
{
	bool too_deep = slot->card.policy.power == POLICY_POWER_D3COLD && !offers_d3cold(slot);
	char bdf[sizeof("0000:00:00.0")];
	const struct event event = {
		.event = "plug", .device = slot->card.name, .id = slot->card.config.id,
		.bdf = bdf,
		.detail = too_deep ? "the guest's tables were made for another card: until its "
				     "next reset it is offered no D3cold" : NULL,
	};

	vfio_slot_bdf(slot, bdf);
	events_emit(&event);
	log_info("vfio %s: plugged into the guest as %s, named %s", slot->card.name, bdf,
		 slot->card.config.id);
}

int slot_insert(struct vfio_slot *slot, struct vfio_card *card, char *ret_why, size_t why_size)
{
	struct vfio_identity identity = vfio_function_identity(card->fn[0].function);
	int error = slot->card.name[0] ? -EBUSY : 0;

	if (error)
		return slot_explain(error, ret_why, why_size, card->name, "its slot");
	error = check_room(slot, card, ret_why, why_size);
	if (error)
		return error;
	pthread_mutex_lock(&slot->card_lock);
	slot->card = *card;
	error = slot_plug_card(slot, ret_why, why_size);
	if (error) {
		*card = slot->card;
		vfio_card_init(&slot->card);
	}
	pthread_mutex_unlock(&slot->card_lock);
	if (error)
		return error;
	vfio_card_init(card);
	slot_publish(slot);
	root_port_set_link(slot->port, identity.link_speed, identity.link_width);
	tell_plugged(slot);
	root_port_set_present(slot->port, true);
	return 0;
}

/* --- out of it --- */

void slot_count(const struct vfio_slot *slot)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->card.fn[i].function)
			stats_emit(vfio_function_name(slot->card.fn[i].function),
				   &slot->card.fn[i].stats);
}

/* What the functions that are gone have asked for. */
static void forget_requests(struct vfio_slot *slot)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (slot->card.fn[i].function)
			root_port_pme_forget(slot->port,
				vfio_function_pci(slot->card.fn[i].function)->devfn);
	pthread_mutex_lock(&slot->lock);
	slot->commands.host_errors = slot->commands.pme_cleared = 0;
	pthread_mutex_unlock(&slot->lock);
}

void slot_empty(struct vfio_slot *slot)
{
	char name[sizeof(slot->card.name)], id[sizeof(slot->card.config.id)];
	const struct event event = {
		.event = "unplug", .device = name, .id = id, .cause = slot->asked_by,
	};

	if (!slot->card.name[0])
		return;
	memcpy(name, slot->card.name, sizeof(name));
	memcpy(id, slot->card.config.id, sizeof(id));
	slot_count(slot);
	pthread_mutex_lock(&slot->card_lock);
	forget_requests(slot);
	vfio_card_clear(&slot->card);
	slot->hold_until = 0;
	pthread_mutex_unlock(&slot->card_lock);
	slot_publish_empty(slot);
	events_emit(&event);
	log_info("vfio %s: given back to the host, port %u is free", name, slot->index);
}
