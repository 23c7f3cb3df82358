/*
 * The PME logic against a model that says what a root port owes to software, through every
 * interleaving of messages and register writes up to a depth.
 */
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "devices/pme.h"
#include "vmm/base/bits.h"

#define BUS 0x5a
#define OWN_DEVFN 0x08
#define OWN 3 /* index of the port itself */
#define DEPTH 6

static const uint16_t requesters[] = {BUS << 8, BUS << 8 | 0x01, BUS << 8 | 0xff, OWN_DEVFN};

enum step {
	MESSAGE_0, MESSAGE_1, MESSAGE_2, MESSAGE_OWN,
	ENABLE, DISABLE, CLEAR, FORGET_1, FORGET_OWN,
	STEPS,
};

/* Who asked and was neither shown and cleared nor forgotten. */
struct model {
	bool owed[ARRAY_SIZE(requesters)];
	bool enable;
};

static unsigned int requester_index(uint32_t status)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(requesters); i++)
		if ((status & 0xffff) == requesters[i])
			return i;
	fail_msg("requester 0x%x never asked", status & 0xffff);
	return 0;
}

static void check(const struct pme *pme, const struct model *model)
{
	uint32_t status = pme_root_status(pme, BUS);
	unsigned int owed = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(requesters); i++) {
		owed += model->owed[i];
		if (i != OWN)
			assert_int_equal(pme_outstanding(pme, (uint8_t)requesters[i]),
					 model->owed[i]);
	}
	assert_int_equal(!!(status & PCI_EXP_RTSTA_PME), owed > 0);
	assert_int_equal(!!(status & PCI_EXP_RTSTA_PENDING), owed > 1);
	assert_int_equal(pme_asserted(pme), model->enable && owed);
	assert_int_equal(status & ~(0xffffU | PCI_EXP_RTSTA_PME | PCI_EXP_RTSTA_PENDING), 0);
	if (owed)
		assert_true(model->owed[requester_index(status)]);
}

/* What the guest sees in Root Status stays. */
static void drop_waiting(struct model *model, uint32_t status, unsigned int index)
{
	if (!(status & PCI_EXP_RTSTA_PME) || requester_index(status) != index)
		model->owed[index] = false;
}

/* One step of both. Every edge that the model expects is reported, and no other. */
static void take(struct pme *pme, struct model *model, enum step step)
{
	uint32_t before = pme_root_status(pme, BUS);
	bool was_asserted = pme_asserted(pme), edge = false, cleared = false;

	switch (step) {
	case MESSAGE_0:
	case MESSAGE_1:
	case MESSAGE_2:
		model->owed[step - MESSAGE_0] = true;
		edge = pme_message(pme, (uint8_t)requesters[step - MESSAGE_0]);
		break;
	case MESSAGE_OWN:
		model->owed[OWN] = true;
		edge = pme_own_message(pme, OWN_DEVFN);
		break;
	case ENABLE:
	case DISABLE:
		model->enable = step == ENABLE;
		edge = pme_set_enable(pme, model->enable);
		break;
	case CLEAR:
		if (before & PCI_EXP_RTSTA_PME) {
			model->owed[requester_index(before)] = false;
			cleared = true;
		}
		edge = pme_clear_status(pme);
		break;
	case FORGET_1:
		drop_waiting(model, before, 1);
		pme_forget(pme, (uint8_t)requesters[1]);
		break;
	default:
		drop_waiting(model, before, OWN);
		pme_own_forget(pme);
		break;
	}
	check(pme, model);
	assert_int_equal(edge, pme_asserted(pme) && (!was_asserted || cleared));
}

static void explore(const struct pme *pme, const struct model *model, unsigned int depth,
		    unsigned long *steps)
{
	for (enum step step = 0; step < STEPS && depth; step++) {
		struct pme next_pme = *pme;
		struct model next_model = *model;

		take(&next_pme, &next_model, step);
		(*steps)++;
		explore(&next_pme, &next_model, depth - 1, steps);
	}
}

static void test_pme_every_interleaving(void **state)
{
	struct pme pme;
	struct model model = {0};
	unsigned long steps = 0, expected = 0;

	(void)state;
	for (unsigned int i = 0, level = 1; i < DEPTH; i++)
		expected += level *= STEPS;
	pme_reset(&pme);
	check(&pme, &model);
	explore(&pme, &model, DEPTH, &steps);
	assert_int_equal(steps, expected);
}

/* Everybody asks while one is shown: each is shown once, the one served last comes last. */
static void test_pme_serves_all_in_turn(void **state)
{
	struct pme pme;

	(void)state;
	pme_reset(&pme);
	pme_set_enable(&pme, true);
	for (unsigned int i = 0; i < 256; i++)
		assert_int_equal(pme_message(&pme, (uint8_t)(0x80 + i)), i == 0);
	for (unsigned int i = 0; i < 256; i++) {
		assert_int_equal(pme_root_status(&pme, BUS) & 0xff, (0x80 + i) & 0xff);
		if (i == 0)
			assert_false(pme_message(&pme, 0x80));
		assert_int_equal(pme_clear_status(&pme), i < 255);
	}
	assert_int_equal(pme_root_status(&pme, BUS), 0);
}

static void test_pme_reset_forgets(void **state)
{
	struct pme pme;

	(void)state;
	pme_reset(&pme);
	pme_set_enable(&pme, true);
	pme_message(&pme, 1);
	pme_message(&pme, 2);
	pme_own_message(&pme, OWN_DEVFN);
	pme_reset(&pme);
	assert_false(pme_outstanding(&pme, 1) || pme_outstanding(&pme, 2));
	assert_false(pme_set_enable(&pme, true));
	assert_int_equal(pme_root_status(&pme, BUS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pme_every_interleaving),
		cmocka_unit_test(test_pme_serves_all_in_turn),
		cmocka_unit_test(test_pme_reset_forgets),
	};

	return cmocka_run_group_tests_name("pme", tests, NULL, NULL);
}
