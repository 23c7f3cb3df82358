/*
 * The hot-plug controller against a model that says what it owes to software, through every
 * interleaving of events and register writes up to a depth.
 */
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/slot_events.h"
#include "vmm/base/bits.h"

#define DEPTH 5
#define EVENTS 3
#define ALL_ENABLES (PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_DLLSCE)

static const struct {
	uint16_t status, enable;
} events[EVENTS] = {
	{PCI_EXP_SLTSTA_ABP, PCI_EXP_SLTCTL_ABPE},
	{PCI_EXP_SLTSTA_PDC, PCI_EXP_SLTCTL_PDCE},
	{PCI_EXP_SLTSTA_DLLSC, PCI_EXP_SLTCTL_DLLSCE},
};

/* What a guest writes to Slot Control. */
static const uint16_t controls[] = {
	0,
	PCI_EXP_SLTCTL_HPIE,
	PCI_EXP_SLTCTL_ABPE, /* Linux, while the port sleeps */
	PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_DLLSCE,
	PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PDCE,
	PCI_EXP_SLTCTL_HPIE | ALL_ENABLES | PCI_EXP_SLTCTL_PCC,
	PCI_EXP_SLTCTL_HPIE | ALL_ENABLES | PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PWR_IND_OFF,
};

enum step {
	PRESS, INSERT, REMOVE, SETTLE,
	CLEAR_0, CLEAR_1, CLEAR_2, CLEAR_ALL,
	CONTROL_0,
	STEPS = CONTROL_0 + ARRAY_SIZE(controls),
};

struct model {
	bool pending[EVENTS];
	bool present;
	bool coming; /* there, but not shown */
	uint16_t control;
};

/* Switched off, and the indicator does not say so: what comes now Linux would not see. */
static bool is_deaf(const struct model *model)
{
	return model->control & PCI_EXP_SLTCTL_PCC &&
	       (model->control & PCI_EXP_SLTCTL_PIC) != PCI_EXP_SLTCTL_PWR_IND_OFF;
}

static void check(const struct slot_events *slot, const struct model *model)
{
	uint16_t status = 0;
	bool due = false;

	for (unsigned int i = 0; i < EVENTS; i++) {
		status |= model->pending[i] ? events[i].status : 0;
		due |= model->pending[i] && model->control & events[i].enable;
	}
	status |= model->present ? PCI_EXP_SLTSTA_PDS : 0;
	assert_int_equal(slot_events_status(slot), status);
	assert_int_equal(slot_events_asserted(slot), due && model->control & PCI_EXP_SLTCTL_HPIE);
	assert_int_equal(slot->control, model->control);
	assert_int_equal(slot->present, model->present);
	assert_int_equal(slot->coming, model->coming);
}

/* Events `first` to `last` happen. True: one of them wakes. */
static bool happen(struct model *model, unsigned int first, unsigned int last)
{
	bool wakes = false;

	for (unsigned int i = first; i <= last; i++) {
		wakes |= !model->pending[i] && model->control & events[i].enable;
		model->pending[i] = true;
	}
	return wakes;
}

static void take_presence(struct slot_events *slot, struct model *model, bool present)
{
	bool changed = model->present != present;

	model->coming = present && changed && is_deaf(model);
	if (model->coming)
		changed = false;
	if (changed)
		happen(model, 1, 2);
	if (!model->coming)
		model->present = present;
	assert_int_equal(slot_events_set_present(slot, present), changed);
}

/* What is coming is seen. */
static bool arrive(struct model *model)
{
	if (!model->coming)
		return false;
	model->coming = false;
	model->present = true;
	happen(model, 1, 2);
	return true;
}

static void take(struct slot_events *slot, struct model *model, unsigned int step)
{
	uint16_t written = step == CLEAR_ALL ? 0xffff : events[(step - CLEAR_0) % EVENTS].status;
	bool went_off;

	switch (step) {
	case PRESS:
		assert_int_equal(slot_events_press_attention(slot), happen(model, 0, 0));
		break;
	case INSERT:
	case REMOVE:
		take_presence(slot, model, step == INSERT);
		break;
	case SETTLE:
		assert_int_equal(slot_events_settle(slot), arrive(model));
		break;
	case CLEAR_0:
	case CLEAR_1:
	case CLEAR_2:
	case CLEAR_ALL:
		for (unsigned int i = 0; i < EVENTS; i++)
			model->pending[i] = model->pending[i] && !(written & events[i].status);
		assert_false(slot_events_write(slot, slot->control,
					       (uint16_t)(slot_events_status(slot) & ~written)));
		break;
	default:
		went_off = controls[step - CONTROL_0] & PCI_EXP_SLTCTL_PCC &&
			   !(model->control & PCI_EXP_SLTCTL_PCC);
		model->control = controls[step - CONTROL_0];
		if (!is_deaf(model))
			arrive(model);
		assert_int_equal(slot_events_write(slot, model->control, slot_events_status(slot)),
				 went_off);
		break;
	}
	check(slot, model);
}

static void explore(const struct slot_events *slot, const struct model *model, unsigned int depth)
{
	for (unsigned int step = 0; step < STEPS && depth; step++) {
		struct slot_events next = *slot;
		struct model next_model = *model;

		take(&next, &next_model, step);
		explore(&next, &next_model, depth - 1);
	}
}

static void test_slot_events_every_order(void **state)
{
	(void)state;
	for (unsigned int present = 0; present < 2; present++) {
		struct slot_events slot = {.present = present};
		struct model model = {.present = present};

		slot_events_reset(&slot);
		model.control = slot.control;
		check(&slot, &model);
		explore(&slot, &model, DEPTH);
	}
}

/* Presence stays; an occupied slot has power and says so, an empty one has none; indicators are
 * never in the reserved state. */
static void test_slot_events_reset(void **state)
{
	static const struct {
		bool present;
		uint16_t control;
	} cases[] = {
		{true, PCI_EXP_SLTCTL_ATTN_IND_OFF | PCI_EXP_SLTCTL_PWR_IND_ON |
			       PCI_EXP_SLTCTL_PWR_ON},
		{false, PCI_EXP_SLTCTL_ATTN_IND_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF |
				PCI_EXP_SLTCTL_PWR_OFF},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slot_events slot = {.present = !cases[i].present};

		slot_events_write(&slot, PCI_EXP_SLTCTL_HPIE | ALL_ENABLES, 0);
		slot_events_set_present(&slot, cases[i].present);
		slot_events_press_attention(&slot);
		assert_true(slot_events_asserted(&slot));
		slot_events_reset(&slot);
		assert_int_equal(slot.control, cases[i].control);
		assert_int_equal(slot_events_status(&slot),
				 cases[i].present ? PCI_EXP_SLTSTA_PDS : 0);
		assert_false(slot_events_asserted(&slot));
	}
}

/* A reset knows of no last user whose work must be awaited. */
static void test_slot_events_reset_shows_what_is_coming(void **state)
{
	struct slot_events slot = {.present = true};

	(void)state;
	slot_events_reset(&slot);
	slot_events_write(&slot, PCI_EXP_SLTCTL_PCC, 0);
	slot_events_set_present(&slot, false);
	slot_events_set_present(&slot, true);
	assert_int_equal(slot_events_status(&slot) & PCI_EXP_SLTSTA_PDS, 0);
	slot_events_reset(&slot);
	assert_int_equal(slot_events_status(&slot), PCI_EXP_SLTSTA_PDS);
	assert_false(slot.control & PCI_EXP_SLTCTL_PCC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_events_every_order),
		cmocka_unit_test(test_slot_events_reset),
		cmocka_unit_test(test_slot_events_reset_shows_what_is_coming),
	};

	return cmocka_run_group_tests_name("slot_events", tests, NULL, NULL);
}
