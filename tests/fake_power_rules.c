#include "tests/fake_power.h"

#include <errno.h>
#include <string.h>

const char *const power_rule_names[] = {
	[RULE_TOUCH] = "only EXIT touches a device between ENTRY and EXIT",
	[RULE_DETACH] = "DETACH precedes ENTRY",
	[RULE_DRAIN] = "DRAIN precedes ENTRY and eats no real wake",
	[RULE_ENTRY] = "ENTRY of the right kind on every _OFF that nothing speaks against",
	[RULE_HOLD] = "no ENTRY where one function is known to refuse, or is held",
	[RULE_RETRY] = "a RETRY moves nothing but a slot that the hold alone kept awake",
	[RULE_ROLL_BACK] = "the slot sleeps as a whole or not at all",
	[RULE_EXIT] = "EXIT on every _ON and reset of a device that was entered",
	[RULE_ATTACH] = "ATTACH only after EXIT and a good CHECK",
	[RULE_FALSE_PME] = "PME only for a real wake of an engaged function with PME_En",
	[RULE_LOST_WAKE] = "a wake is never lost",
	[RULE_RESEND] = "PME is resent a bounded number of times, then one Notify",
	[RULE_REPORT] = "reports tell the transitions and the ladder, one for a wake",
	[RULE_DONE] = "a request is answered once, truthfully",
	[RULE_STATE] = "states agree with host and guest when the machine is idle",
	[RULE_RETURNS] = "_ON and resets end in on or lost",
	[RULE_LOST_QUIET] = "a lost function is left alone",
	[RULE_STAYS_LOST] = "a lost function comes back only by a reset",
	[RULE_TOLD] = "the guest is told before a lost device is reset",
	[RULE_LADDER] = "every step of the ladder that is possible, and none that hurts others",
	[RULE_RESET] = "resets leave low power and reset every function as the policy says",
	[RULE_REMOVED] = "removal releases every function, and nothing after that",
	[RULE_ONE_RESULT] = "one result is awaited at a time, by the last action",
	[RULE_FOREVER] = "every operation ends after a bounded number of results",
	[RULE_IGNORE] = "unexpected events change nothing",
};

/* --- rules on a step --- */

static void check_wake(struct explorer *ex, const struct world *world,
		       const struct step_info *info)
{
	unsigned int i = info->event->function;
	const struct power_function *before = &info->before.fn[i];
	const struct model_fn *fn = &info->model_before.fn[i];

	if (info->event->type != POWER_EV_WAKE)
		return;
	if (before->state != POWER_ENGAGED || !before->engaged_wakeup) {
		if (memcmp(&info->before, &world->power, sizeof(world->power)))
			model_broke(ex, world, RULE_FALSE_PME, i);
		return;
	}
	if (fn->pme_enable ? !info->pme[i] || !info->timer : info->pme[i])
		model_broke(ex, world, RULE_LOST_WAKE, i);
	if (!fn->pme_enable && ex->config->fn[i].reentry == POWER_REENTRY_GUEST && !info->notify)
		model_broke(ex, world, RULE_LOST_WAKE, i);
	if (world->power.fn[i].state != POWER_WOKEN)
		model_broke(ex, world, RULE_STATE, i);
	if (!world->model.wake_reports)
		model_broke(ex, world, RULE_REPORT, i);
}

static void check_retry(struct explorer *ex, const struct world *world,
			const struct step_info *info)
{
	if (info->event->type == POWER_EV_RETRY && !world->model.retries &&
	    memcmp(&info->before, &world->power, sizeof(world->power)))
		model_broke(ex, world, RULE_RETRY, 0);
}

/* Each wake that sends a PME has all its resends ahead. */
static void count_resends_anew(struct world *world, const struct step_info *info)
{
	if (info->event->type == POWER_EV_WAKE && info->pme[info->event->function])
		world->model.resends = world->model.resend_notifies = 0;
}

static void check_resend(struct explorer *ex, struct world *world, const struct step_info *info)
{
	struct model *model = &world->model;
	bool any_pme = false, owes = false;

	if (info->event->type != POWER_EV_RESEND)
		return;
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct model_fn *fn = &info->model_before.fn[i];
		bool pending = info->before.fn[i].state == POWER_WOKEN && fn->pme_sent &&
			       fn->pme_enable && fn->pme_status;

		any_pme |= info->pme[i];
		owes |= pending;
		if (pending && model->resends < POWER_RESENDS && !info->pme[i])
			model_broke(ex, world, RULE_RESEND, i);
	}
	if (owes && model->resends < POWER_RESENDS && !info->timer)
		model_broke(ex, world, RULE_RESEND, 0);
	if (owes && model->resends == POWER_RESENDS && !model->resend_notifies && !info->notify)
		model_broke(ex, world, RULE_RESEND, 0);
	model->resends = (uint8_t)(model->resends + any_pme);
	model->resend_notifies = (uint8_t)(model->resend_notifies + info->notify);
	if (model->resends > POWER_RESENDS || model->resend_notifies > 1)
		model_broke(ex, world, RULE_RESEND, 0);
}

/* --- rules on an operation that has ended --- */

static bool any_exit_failed(const struct explorer *ex, const struct model *model)
{
	for (unsigned int i = 0; i < ex->config->functions; i++)
		if (model->fn[i].exit_failed)
			return true;
	return false;
}

/* All are engaged, or none is but those whose EXIT failed. */
static void check_off(struct explorer *ex, const struct world *world)
{
	const struct model *model = &world->model;
	unsigned int there = 0, engaged = 0, left = 0;

	if (!model_enters(model))
		return;
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct model_fn *fn = &model->fn[i];

		if (fn->was_gone)
			continue;
		there++;
		engaged += world->power.fn[i].state == POWER_ENGAGED;
		left += fn->tried && !fn->exit_failed;
		if (world->power.fn[i].state != POWER_ENGAGED &&
		    world->power.fn[i].state != POWER_REFUSED)
			model_broke(ex, world, RULE_STATE, i);
	}
	if (engaged ? engaged != there || left != there : left)
		model_broke(ex, world, RULE_ROLL_BACK, 0);
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct model_fn *fn = &model->fn[i];

		if (fn->refused || fn->was_gone || fn->held || !ex->config->fn[i].can_enter)
			there = 0;
		if (fn->off_pme && !ex->config->fn[i].can_enter_wakeup)
			there = 0;
		if (ex->config->fn[i].reentry == POWER_REENTRY_GUEST &&
		    !ex->config->fn[i].can_enter_wakeup)
			there = 0;
	}
	if (there && !engaged)
		model_broke(ex, world, RULE_ENTRY, 0);
}

/* What could have been tried with a device that does not answer was tried. */
static void check_ladder(struct explorer *ex, const struct world *world, unsigned int i)
{
	const struct model *model = &world->model;
	const struct model_fn *fn = &model->fn[i];
	bool barred = model->slot_resets || !ex->config->can_slot_reset;

	if (!fn->unwell)
		return;
	if (ex->config->fn[i].can_recover && !fn->ladder)
		model_broke(ex, world, RULE_LADDER, i);
	for (unsigned int k = 0; k < ex->config->functions; k++) {
		barred |= model->fn[k].tried || model->fn[k].exit_failed;
		barred |= model->op == POWER_EV_HOST_ERROR && k != i &&
			  model->fn[k].view == VIEW_PRESENT;
	}
	if (!barred)
		model_broke(ex, world, RULE_LADDER, i);
}

/* Was function `i` reset as the policy says? */
static bool is_reset_by_policy(const struct explorer *ex, const struct world *world,
			       unsigned int i)
{
	const struct model *model = &world->model;
	const struct model_fn *fn = &model->fn[i];

	switch (ex->config->reset) {
	case POWER_RESET_FUNCTION:
		return fn->device_reset;
	case POWER_RESET_SLOT:
		if (!any_exit_failed(ex, model))
			return model->slot_resets && !fn->device_reset;
		return fn->device_reset == ex->config->fn[i].can_recover;
	default:
		return !fn->device_reset;
	}
}

static void check_reset(struct explorer *ex, const struct world *world, unsigned int i)
{
	const struct model *model = &world->model;
	const struct model_fn *fn = &model->fn[i];

	if (!model_resets(model) || fn->exit_failed)
		return;
	if (fn->view == VIEW_RELEASED && model->op != POWER_EV_REMOVE)
		return;
	if (fn->view == VIEW_RELEASED && fn->was_gone && fn->reported == POWER_RELEASED &&
	    !fn->view_reset)
		return; /* released before */
	if (fn->tried || fn->engaged || !fn->view_reset || (!fn->checked && !fn->unwell) ||
	    !is_reset_by_policy(ex, world, i))
		model_broke(ex, world, RULE_RESET, i);
}

static bool is_consistent(const struct power_function *machine, const struct model_fn *fn,
			  bool slot_on)
{
	switch (machine->state) {
	case POWER_ON:
		return slot_on && fn->view == VIEW_PRESENT && !fn->engaged && !fn->tried;
	case POWER_ENGAGED:
		return !slot_on && fn->view == VIEW_COLD && fn->tried &&
		       (fn->engaged || fn->real || fn->signalled);
	case POWER_WOKEN:
		return !slot_on && fn->view == VIEW_COLD && fn->tried && !fn->engaged;
	case POWER_REFUSED:
		return !slot_on && fn->view == VIEW_COLD && machine->error &&
		       (!fn->engaged || fn->tried);
	case POWER_LOST:
		return fn->view == VIEW_GONE && machine->error;
	case POWER_RELEASED:
		return fn->view == VIEW_RELEASED && !machine->exists;
	}
	return false;
}

/* After a shutdown what has failed is gone, and nothing else is shown anew. */
static bool is_at_rest(const struct power_function *machine, const struct model_fn *fn)
{
	if (machine->state == POWER_RELEASED)
		return fn->view == VIEW_RELEASED;
	if (fn->exit_failed || fn->unwell)
		return machine->state == POWER_LOST && fn->view == VIEW_GONE;
	return machine->state == POWER_ON && !fn->engaged;
}

/* How function `i` may have changed by the operation. */
static void check_end_state(struct explorer *ex, const struct world *world, unsigned int i)
{
	const struct power_function *machine = &world->power.fn[i];
	const struct model *model = &world->model;
	const struct model_fn *fn = &model->fn[i];
	bool is_back = machine->state == POWER_ON || machine->state == POWER_LOST ||
		       machine->state == POWER_RELEASED;
	bool stays_lost = (fn->was_gone && !model_resets(model)) ||
			  (model->op == POWER_EV_HOST_ERROR && fn->ever_unwell);

	if (model->op == POWER_EV_ON && model->from_off && fn->tried && !fn->exit_failed &&
	    !fn->was_gone)
		model_broke(ex, world, RULE_EXIT, i);
	if (stays_lost && machine->state != POWER_LOST && machine->state != POWER_RELEASED)
		model_broke(ex, world, RULE_STAYS_LOST, i);
	if ((model->op == POWER_EV_ON || model_resets(model)) && !is_back)
		model_broke(ex, world, RULE_RETURNS, i);
	if (model->op == POWER_EV_REMOVE &&
	    (machine->exists || machine->state != POWER_RELEASED || fn->view != VIEW_RELEASED))
		model_broke(ex, world, RULE_REMOVED, i);
	if (model->op == POWER_EV_SHUTDOWN ? !is_at_rest(machine, fn)
					   : !is_consistent(machine, fn, world->power.slot_on))
		model_broke(ex, world, RULE_STATE, i);
	if (fn->reported != machine->state &&
	    !(machine->state == POWER_WOKEN && model->wake_reports))
		model_broke(ex, world, RULE_REPORT, i);
	if (machine->state == POWER_REFUSED &&
	    (machine->error == -EAGAIN) != (fn->told == TOLD_HOLD))
		model_broke(ex, world, RULE_REPORT, i);
}

/* What no later rule asks for, so that equal states look equal. */
static void forget_operation(const struct explorer *ex, struct world *world)
{
	struct model *model = &world->model;

	model->op = OP_NONE;
	model->from_off = model->retries = model->slot_resets = model->results = 0;
	if (world->power.slot_on)
		model->resends = model->resend_notifies = model->wake_reports = 0;
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		struct model_fn *fn = &model->fn[i];

		fn->was_gone = fn->off_pme = fn->held = fn->refused = fn->exit_failed = 0;
		fn->checked = fn->unwell = fn->ever_unwell = fn->view_reset = 0;
		fn->device_reset = fn->ladder = 0;
		if (world->power.slot_on)
			fn->delivered = fn->pme_sent = 0;
	}
}

/* The machine has finished what it was doing. */
static void check_idle(struct explorer *ex, struct world *world)
{
	struct model *model = &world->model;

	check_off(ex, world);
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		check_end_state(ex, world, i);
		check_ladder(ex, world, i);
		check_reset(ex, world, i);
	}
	if (model->requested)
		model_broke(ex, world, RULE_DONE, 0);
	if (world->power.phase != (model->op == POWER_EV_SHUTDOWN ? POWER_ENDING : POWER_IDLE))
		model_broke(ex, world, RULE_STATE, 0);
	if (model->results > ex->most_results)
		ex->most_results = model->results;
	model->ended = model->op == POWER_EV_SHUTDOWN;
	forget_operation(ex, world);
}

void rules_check_step(struct explorer *ex, struct world *world, const struct step_info *info)
{
	check_wake(ex, world, info);
	check_retry(ex, world, info);
	count_resends_anew(world, info);
	check_resend(ex, world, info);
	if (world->model.results > RESULTS_MAX)
		model_broke(ex, world, RULE_FOREVER, world->model.awaited_fn);
	if (world->model.awaited == OP_NONE && !ex->broken)
		check_idle(ex, world);
}
