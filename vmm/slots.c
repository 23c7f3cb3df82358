#include "vmm/slots.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vfio/quirks.h"
#include "vfio/vfio.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"
#include "vmm/kvm.h"
#include "vmm/layout.h"
#include "vmm/loop.h"
#include "vmm/options.h"

#define WHY_SIZE 512

/* A card on its way into a slot. The thread's until it says `ended`. */
struct arrival {
	pthread_t thread;
	machine_device_added done;
	void *opaque;
	int error;
	char why[WHY_SIZE];
	atomic_bool ended;
};

struct entry {
	struct slots *slots;
	struct vfio_slot *slot;
	struct vfio_slot_config config; /* of what is in it, or is coming */
	bool arriving;
	struct arrival arrival;
};

struct slots {
	const struct options *options;
	struct kvm *kvm;
	struct loop *loop;
	struct vfio_machine machine;
	struct vfio_container *container;
	int ended_fd; /* eventfd: an arrival has ended */
	unsigned int count;
	struct entry entry[SLOT_MAX];
};

/* --- what KVM is told; whoever opens or closes a device --- */

static void on_opened(void *opaque, int fd)
{
	struct slots *slots = opaque;
	int error = kvm_set_vfio_file(slots->kvm, fd, true);

	if (error)
		log_warn("KVM does not take a VFIO file: %s; memory types of the guest may not be "
			 "honoured, ignoring", strerror(-error));
}

static void on_closing(void *opaque, int fd)
{
	struct slots *slots = opaque;

	kvm_set_vfio_file(slots->kvm, fd, false);
}

/* --- the beginning and the end --- */

static int create_slot(struct slots *slots, unsigned int i, const struct quirks *quirks,
		       char *why, size_t why_size)
{
	struct entry *entry = &slots->entry[i];
	int error;

	entry->slots = slots;
	if (i < slots->options->slots) {
		entry->config = slots->options->slot[i];
		error = vfio_slot_create(slots->container, &entry->config, quirks, i, &entry->slot,
					 why, why_size);
		if (!entry->config.id[0])
			snprintf(entry->config.id, sizeof(entry->config.id), "gpu%u", i);
	} else {
		error = vfio_slot_create_empty(i, &entry->slot);
	}
	if (!error)
		error = vfio_slot_plug(entry->slot, &slots->machine, why, why_size);
	if (!error)
		error = vfio_slot_start(entry->slot);
	return error;
}

static int create_all(struct slots *slots, char *why, size_t why_size)
{
	const struct vfio_container_listener listener = {slots, on_opened, on_closing};
	struct quirks *quirks = NULL;
	int error = quirks_create(slots->options->quirks, &quirks, why, why_size);

	slots->container = vfio_container_create(slots->options->vfio_backend);
	if (!error && !slots->container)
		error = -ENOMEM;
	if (!error)
		vfio_container_listen(slots->container, &listener);
	slots->count = slots->options->slots + slots->options->hotplug_ports;
	for (unsigned int i = 0; i < slots->count && !error; i++)
		error = create_slot(slots, i, quirks, why, why_size);
	quirks_destroy(quirks);
	return error;
}

static void on_ended(void *opaque, int fd);

int slots_create(const struct options *options, struct kvm *kvm, struct loop *loop,
		 const struct vfio_machine *machine, struct slots **ret_slots, char *ret_why,
		 size_t why_size)
{
	struct slots *slots = calloc(1, sizeof(*slots));
	int error;

	if (!slots)
		return -ENOMEM;
	slots->options = options;
	slots->kvm = kvm;
	slots->loop = loop;
	slots->machine = *machine;
	slots->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = slots->ended_fd < 0 ? -errno : loop_add(loop, slots->ended_fd, on_ended, slots);
	if (!error)
		error = create_all(slots, ret_why, why_size);
	if (error)
		slots_destroy(slots);
	else
		*ret_slots = slots;
	return error;
}

void slots_destroy(struct slots *slots)
{
	if (!slots)
		return;
	for (unsigned int i = 0; i < slots->count; i++)
		if (slots->entry[i].arriving)
			pthread_join(slots->entry[i].arrival.thread, NULL);
	for (unsigned int i = slots->count; i-- > 0;)
		vfio_slot_destroy(slots->entry[i].slot);
	vfio_container_destroy(slots->container);
	loop_remove(slots->loop, slots->ended_fd);
	if (slots->ended_fd >= 0)
		close(slots->ended_fd);
	free(slots);
}

struct vfio_slot *slots_get(const struct slots *slots, unsigned int index)
{
	return index < slots->count ? slots->entry[index].slot : NULL;
}

/* --- a card comes --- */

static int open_card(struct entry *entry, const struct quirks *quirks)
{
	struct arrival *arrival = &entry->arrival;
	struct slots *slots = entry->slots;
	struct vfio_card *card = NULL;
	int error = vfio_card_open(slots->container, &entry->config, quirks, entry->slot, &card,
				   arrival->why, sizeof(arrival->why));

	if (!error)
		error = vfio_card_map_ram(card, slots->machine.mem, arrival->why,
					  sizeof(arrival->why));
	if (!error)
		error = vfio_slot_insert(entry->slot, card, arrival->why, sizeof(arrival->why));
	if (error)
		vfio_card_close(card);
	return error;
}

static void *arrive(void *opaque)
{
	struct entry *entry = opaque;
	struct arrival *arrival = &entry->arrival;
	struct quirks *quirks = NULL;
	uint64_t one = 1;

	arrival->error = quirks_create(entry->slots->options->quirks, &quirks, arrival->why,
				       sizeof(arrival->why));
	if (!arrival->error)
		arrival->error = open_card(entry, quirks);
	quirks_destroy(quirks);
	arrival->ended = true;
	if (write(entry->slots->ended_fd, &one, sizeof(one)) != sizeof(one))
		log_debug("an arrival before this one has not been seen to yet");
	return NULL;
}

static void finish_arrival(struct entry *entry)
{
	const struct arrival arrival = entry->arrival;
	const struct vfio_slot_config config = entry->config;
	char bdf[13] = "";

	pthread_join(arrival.thread, NULL);
	entry->arriving = false;
	if (arrival.error)
		log_warn("%s%s is not plugged in: %s", config.bdf, config.socket, arrival.why);
	else
		vfio_slot_bdf(entry->slot, bdf);
	arrival.done(arrival.opaque, arrival.error, arrival.why, config.id, bdf);
}

static void on_ended(void *opaque, int fd)
{
	struct slots *slots = opaque;

	eventfd_drain(fd);
	for (unsigned int i = 0; i < slots->count; i++)
		if (slots->entry[i].arriving && slots->entry[i].arrival.ended)
			finish_arrival(&slots->entry[i]);
}

/* --- what may come where --- */

static bool is_free(const struct entry *entry)
{
	return !entry->arriving && vfio_slot_is_empty(entry->slot);
}

static bool is_name(const char *id)
{
	size_t len = strlen(id);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && !strchr("-_.", id[i]))
			return false;
	return len && len < sizeof(((struct vfio_slot_config *)NULL)->id);
}

/* Hot-plug ports first: what the guest was told of the others fits the card that was in them. */
static struct entry *find_free(struct slots *slots)
{
	for (unsigned int i = 0; i < slots->count; i++) {
		struct entry *entry = &slots->entry[(slots->options->slots + i) % slots->count];

		if (is_free(entry))
			return entry;
	}
	return NULL;
}

static int check_unused(const struct slots *slots, const struct vfio_slot_config *config,
			char *why, size_t why_size)
{
	for (unsigned int i = 0; i < slots->count; i++) {
		const struct entry *entry = &slots->entry[i];

		if (is_free(entry))
			continue;
		if (!strcmp(entry->config.id, config->id)) {
			snprintf(why, why_size, "there is a device named %s already", config->id);
			return -EEXIST;
		}
		if (vfio_slot_config_is_same(&entry->config, config)) {
			snprintf(why, why_size, "%s%s is in the guest already, as %s", config->bdf,
				 config->socket, entry->config.id);
			return -EEXIST;
		}
	}
	return 0;
}

int slots_add(struct slots *slots, const struct vfio_slot_config *config, const char *id,
	      machine_device_added done, void *opaque, char *ret_why, size_t why_size)
{
	struct entry *entry = find_free(slots);
	struct vfio_slot_config wanted = *config;
	int error;

	if (id && !is_name(id)) {
		snprintf(ret_why, why_size, "id: 1 to %zu letters, digits, '-', '_' and '.', not "
			 "\"%.40s\"", sizeof(wanted.id) - 1, id);
		return -EINVAL;
	}
	if (!entry) {
		snprintf(ret_why, why_size, "no port is empty: of %u slots %u are for hot plug "
			 "(--hotplug-ports)", slots->count, slots->options->hotplug_ports);
		return -ENOSPC;
	}
	if (id)
		snprintf(wanted.id, sizeof(wanted.id), "%s", id);
	else
		snprintf(wanted.id, sizeof(wanted.id), "gpu%u",
			 (unsigned int)(entry - slots->entry));
	error = check_unused(slots, &wanted, ret_why, why_size);
	if (error)
		return error;
	entry->config = wanted;
	entry->arrival = (struct arrival){.done = done, .opaque = opaque};
	error = thread_create(&entry->arrival.thread, wanted.id, arrive, entry);
	if (error)
		snprintf(ret_why, why_size, "no thread for it: %s", strerror(-error));
	entry->arriving = !error;
	return error;
}

/* --- a card goes --- */

static void list_names(const struct slots *slots, char *why, size_t why_size)
{
	const char *before = "; there are ";
	size_t len = strlen(why);

	for (unsigned int i = 0; i < slots->count && len < why_size; i++) {
		if (is_free(&slots->entry[i]))
			continue;
		len += (size_t)snprintf(why + len, why_size - len, "%s%s", before,
					slots->entry[i].config.id);
		before = ", ";
	}
}

int slots_remove(struct slots *slots, const char *id, char *ret_why, size_t why_size)
{
	for (unsigned int i = 0; i < slots->count; i++) {
		struct entry *entry = &slots->entry[i];

		if (is_free(entry) || strcmp(entry->config.id, id))
			continue;
		if (entry->arriving) {
			snprintf(ret_why, why_size, "%s is still being added", id);
			return -EBUSY;
		}
		vfio_slot_request_unplug(entry->slot);
		return 0;
	}
	snprintf(ret_why, why_size, "no device named %.40s", id);
	list_names(slots, ret_why, why_size);
	return -ENOENT;
}

const char *slots_id(const struct slots *slots, unsigned int index)
{
	const struct entry *entry = &slots->entry[index < slots->count ? index : 0];

	if (index >= slots->count || vfio_slot_is_empty(entry->slot))
		return NULL;
	return entry->config.id;
}
