/*
 * From the open functions of a slot to a card: what is known of them, the policy that follows, the
 * reset at the start, and the guest's view of each.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vfio/function.h"
#include "vfio/rom_file.h"
#include "vfio/slot.h"
#include "vfio/verdict.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"
#include "vmm/events.h"

void vfio_card_init(struct vfio_card *card)
{
	*card = (struct vfio_card) {.name = ""};
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		for (unsigned int kind = 0; kind < SLOT_SIGNALS; kind++)
			card->fn[i].signal_fd[kind] = -1;
	power_init(&card->power);
}

void vfio_card_clear(struct vfio_card *card)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		vfio_function_destroy(card->fn[i].function);
		for (unsigned int kind = 0; kind < SLOT_SIGNALS; kind++)
			if (card->fn[i].signal_fd[kind] >= 0)
				close(card->fn[i].signal_fd[kind]);
	}
	vfio_card_init(card);
}

void vfio_card_close(struct vfio_card *card)
{
	if (!card)
		return;
	vfio_card_clear(card);
	free(card);
}

/* --- what is known --- */

/* Ones where the device does not answer; that is found out, and said, when its view is made. */
static uint32_t read_config(struct vfio_backend *backend, uint64_t off)
{
	uint8_t bytes[4];

	if (backend->ops->region_read(backend, VFIO_PCI_CONFIG_REGION_INDEX, off, bytes,
				      sizeof(bytes)) != sizeof(bytes))
		return UINT32_MAX;
	return le32_get(bytes);
}

void vfio_slot_learn(struct vfio_backend *backend, const char *sysfs,
		     const struct verdict_lookup *power_test, struct policy_facts *ret_facts)
{
	const struct vfio_backend_ops *ops = backend->ops;
	uint32_t id = read_config(backend, PCI_VENDOR_ID);
	int leave = ops->low_power_probe(backend, VFIO_LOW_POWER_EXIT);
	int plain = ops->low_power_probe(backend, VFIO_LOW_POWER_ENTRY);
	int wakeup = ops->low_power_probe(backend, VFIO_LOW_POWER_ENTRY_WITH_WAKEUP);

	*ret_facts = (struct policy_facts) {
		.name = backend->name,
		.vendor = (uint16_t)id,
		.device = (uint16_t)(id >> 16),
		.class = read_config(backend, PCI_CLASS_REVISION) >> 8,
		.has_pm = true,
		.entry_error = plain ? plain : leave,
		.wakeup_error = wakeup ? wakeup : leave,
		.can_reset = ops->can_reset(backend),
		.can_slot_reset = ops->can_slot_reset(backend),
		.is_external = sysfs && host_is_external(sysfs, backend->name),
		.idle_d3_disabled = sysfs && host_idle_d3_disabled(sysfs),
		.power_test = power_test,
	};
}

/* Only a card of the host has been tested. */
static void find_power_test(const char *sysfs, const char *slot, struct verdict_lookup *ret_lookup)
{
	struct verdict_subject subject;

	*ret_lookup = (struct verdict_lookup){.use = VERDICT_NONE};
	if (sysfs && verdict_identify(sysfs, slot, &subject))
		verdict_read(verdict_dir(), &subject, ret_lookup);
}

static void decide(struct vfio_card *card, const struct quirks *quirks,
		   struct policy_facts facts[HOST_FUNCTIONS],
		   struct vfio_backend *const backend[HOST_FUNCTIONS])
{
	const struct policy_facts *known[HOST_FUNCTIONS] = {NULL};

	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!backend[i])
			continue;
		known[i] = &facts[i];
		if (card->fn[i].function)
			facts[i].has_pm = vfio_function_identity(card->fn[i].function).has_pm;
	}
	policy_decide(&card->config, quirks, known, &card->policy);
}

static void tell_policy(const struct vfio_card *card)
{
	const struct event event = {
		.event = "policy", .device = card->name,
		.to = policy_power_name(card->policy.power), .detail = card->policy.reasons,
	};

	events_emit(&event);
	log_info("vfio %s: power=%s reset=%s: %s", card->name, event.to,
		 policy_reset_name(card->policy.reset), card->policy.reasons);
}

/* --- functions --- */

/* The reset that the policy wants, before anything of the device is read. One without a reset of
 * its own is taken as it is; the policy's reasons say so. */
static int reset_all(const struct vfio_card *card,
		     struct vfio_backend *const backend[HOST_FUNCTIONS], char *ret_why,
		     size_t why_size)
{
	int error = 0;

	for (unsigned int i = 0; i < HOST_FUNCTIONS && !error; i++) {
		if (!backend[i])
			continue;
		if (card->policy.reset == POLICY_RESET_BUS) {
			error = backend[i]->ops->slot_reset(backend[i]);
			return error ? slot_explain(error, ret_why, why_size, card->name,
					       "the hot reset of the slot failed") : 0;
		}
		if (card->policy.reset != POLICY_RESET_FLR ||
		    !backend[i]->ops->can_reset(backend[i]))
			continue;
		error = backend[i]->ops->reset(backend[i]);
		if (error)
			slot_explain(error, ret_why, why_size, backend[i]->name,
				"the function reset failed");
	}
	return error;
}

/* Makes function `i` of `backend`, which it owns when it succeeds. */
static int add_function(struct vfio_card *card, struct vfio_slot *slot, unsigned int i,
			struct vfio_backend *backend, bool multifunction, char *ret_why,
			size_t why_size)
{
	const struct vfio_function_listener listener = {
		.opaque = slot,
		.host_error = vfio_slot_host_error,
		.pme_cleared = vfio_slot_pme_cleared,
	};
	struct slot_function *fn = &card->fn[i];

	for (unsigned int kind = 0; kind < SLOT_SIGNALS; kind++) {
		fn->signal_fd[kind] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fn->signal_fd[kind] < 0)
			return slot_explain(-errno, ret_why, why_size, backend->name, "eventfd");
	}
	return vfio_function_create(backend, i, multifunction, &listener, &fn->function, ret_why,
				    why_size);
}

static int read_rom(const struct vfio_card *card, struct rom_file *ret_rom, char *ret_why,
		    size_t why_size)
{
	char why[256];
	int error;

	*ret_rom = (struct rom_file){.bytes = NULL};
	if (!card->config.rom[0])
		return 0;
	error = rom_file_read(card->config.rom, ret_rom, why, sizeof(why));
	if (error)
		snprintf(ret_why, why_size, "--gpu %s: rom=%s", card->name, why);
	return error;
}

/* A ROM of another device is the owner's business: cards of one make are sold under several
 * numbers. */
static void give_rom(struct vfio_card *card, const struct rom_file *rom)
{
	struct vfio_function *function = card->fn[0].function;
	struct vfio_identity identity = vfio_function_identity(function);

	if (!rom_is_for(rom, identity.vendor, identity.device))
		log_warn("vfio %s: rom=%s is for other devices, %04x:%04x is not among them, "
			 "offering it", vfio_function_name(function), card->config.rom,
			 identity.vendor, identity.device);
	vfio_function_set_rom(function, rom->bytes, rom->size);
}

static void configure_power(struct vfio_card *card, const struct policy_facts facts[HOST_FUNCTIONS])
{
	static const enum power_reset resets[] = {
		[POLICY_RESET_FLR] = POWER_RESET_FUNCTION,
		[POLICY_RESET_BUS] = POWER_RESET_SLOT,
		[POLICY_RESET_NONE] = POWER_RESET_NONE,
	};
	const struct policy *policy = &card->policy;

	card->power.reset = resets[policy->reset];
	card->power.can_slot_reset = policy->recover_slot_reset;
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		struct power_function *fn = &card->power.fn[i];

		if (!card->fn[i].function)
			continue;
		fn->exists = true;
		fn->refuse_error = policy->refuse_error[i];
		fn->can_enter = policy->power == POLICY_POWER_D3COLD && !fn->refuse_error;
		fn->can_enter_wakeup = fn->can_enter && !facts[i].wakeup_error;
		fn->can_recover = policy->recover_reset && facts[i].can_reset;
		fn->reentry = policy->reentry[i];
		if (policy->power != POLICY_POWER_D3COLD && !fn->refuse_error)
			fn->refuse_error = -EPERM;
		if (policy->power == POLICY_POWER_D3HOT && facts[i].has_pm)
			vfio_function_forward_d3hot(card->fn[i].function);
		if (!policy->recover_reset && facts[i].can_reset)
			vfio_function_forbid_reset(card->fn[i].function);
	}
	power_init(&card->power);
}

static int build(struct vfio_card *card, struct vfio_slot *slot, const char *sysfs,
		 const struct quirks *quirks, struct vfio_backend *backend[HOST_FUNCTIONS],
		 char *ret_why, size_t why_size)
{
	struct vfio_backend *const *all = backend;
	struct policy_facts facts[HOST_FUNCTIONS];
	struct verdict_lookup power_test;
	struct rom_file rom;
	unsigned int count = 0;
	int error = read_rom(card, &rom, ret_why, why_size);

	if (error)
		return error;
	find_power_test(sysfs, card->name, &power_test);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		if (!backend[i])
			continue;
		count++;
		vfio_slot_learn(backend[i], sysfs, &power_test, &facts[i]);
	}
	decide(card, quirks, facts, all);
	error = reset_all(card, all, ret_why, why_size);
	for (unsigned int i = 0; i < HOST_FUNCTIONS && !error; i++)
		if (backend[i])
			error = add_function(card, slot, i, backend[i], count > 1, ret_why,
					     why_size);
	if (error || !card->fn[0].function)
		free(rom.bytes);
	else if (rom.bytes)
		give_rom(card, &rom);
	if (error)
		return error;
	/* Now it is known which have power management. */
	decide(card, quirks, facts, all);
	configure_power(card, facts);
	tell_policy(card);
	return 0;
}

/* The back ends of functions that were made are theirs. */
static void close_rest(const struct vfio_card *card,
		       struct vfio_backend *const backend[HOST_FUNCTIONS])
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++)
		if (backend[i] && !(card && card->fn[i].function))
			backend[i]->ops->close(backend[i]);
}

static int inject_faults(struct vfio_backend *backend[HOST_FUNCTIONS], int fault)
{
	for (unsigned int i = 0; i < HOST_FUNCTIONS && fault; i++) {
		struct vfio_backend *wrapped;

		if (!backend[i])
			continue;
		wrapped = vfio_fault_backend_wrap(backend[i], fault);
		if (!wrapped)
			return -ENOMEM;
		backend[i] = wrapped;
	}
	return 0;
}

static void begin_card(struct vfio_card *card, const char *name, const char *sysfs,
		       const struct vfio_slot_config *config, const struct vfio_slot *slot)
{
	vfio_card_init(card);
	card->sysfs = sysfs;
	snprintf(card->name, sizeof(card->name), "%s", name);
	card->config = *config;
	if (!config->id[0] && slot)
		snprintf(card->config.id, sizeof(card->config.id), "gpu%u", slot->index);
	governor_init(&card->governor, &config->governor);
}

int vfio_card_build(const char *name, const char *sysfs, const struct vfio_slot_config *config,
		    const struct quirks *quirks, struct vfio_slot *slot,
		    struct vfio_backend *const backend[HOST_FUNCTIONS],
		    struct vfio_card **ret_card, char *ret_why, size_t why_size)
{
	struct vfio_card *card = malloc(sizeof(*card));
	struct vfio_backend *own[HOST_FUNCTIONS];
	int error = -ENOMEM;

	memcpy(own, backend, sizeof(own));
	if (card)
		begin_card(card, name, sysfs, config, slot);
	if (card && slot)
		error = inject_faults(own, config->inject_entry_error);
	if (error)
		slot_explain(error, ret_why, why_size, name, "card");
	else
		error = build(card, slot, sysfs, quirks, own, ret_why, why_size);
	if (error) {
		close_rest(card, own);
		vfio_card_close(card);
		return error;
	}
	*ret_card = card;
	return 0;
}

int vfio_card_open(struct vfio_container *container, const struct vfio_slot_config *config,
		   const struct quirks *quirks, struct vfio_slot *slot,
		   struct vfio_card **ret_card, char *ret_why, size_t why_size)
{
	struct vfio_backend *backend[HOST_FUNCTIONS];
	char name[SLOT_NAME_MAX];
	int error = vfio_slot_open(container, config, name, backend, ret_why, why_size);

	if (error)
		return error;
	return vfio_card_build(name, vfio_slot_sysfs(config), config, quirks, slot, backend,
			       ret_card, ret_why, why_size);
}

int vfio_card_map_ram(struct vfio_card *card, const struct mem *mem, char *ret_why,
		      size_t why_size)
{
	int error = 0;

	for (unsigned int i = 0; i < HOST_FUNCTIONS && !error; i++) {
		struct vfio_backend *backend;

		if (!card->fn[i].function)
			continue;
		backend = vfio_function_backend(card->fn[i].function);
		error = backend->ops->map_ram(backend, mem, ret_why, why_size);
	}
	return error;
}
