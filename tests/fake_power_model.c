#include "tests/fake_power.h"

#include <string.h>

const char *const power_rule_names[] = {
	[RULE_TOUCH] = "only EXIT touches a device between ENTRY and EXIT",
	[RULE_DETACH] = "DETACH precedes ENTRY",
	[RULE_DRAIN] = "DRAIN precedes ENTRY and eats no real wake",
	[RULE_ENTRY] = "ENTRY is of the right kind and only after an _OFF",
	[RULE_EXIT] = "EXIT on every _ON and reset of a device that was entered",
	[RULE_ATTACH] = "ATTACH only after EXIT and a good CHECK",
	[RULE_FALSE_PME] = "PME only for a real wake of an engaged function with PME_En",
	[RULE_LOST_WAKE] = "a wake is never lost",
	[RULE_RESEND] = "PME is resent a bounded number of times, then one Notify",
	[RULE_REPORT] = "reports tell the transitions, one for a wake",
	[RULE_DONE] = "a request is answered once, truthfully",
	[RULE_STATE] = "states agree with host and guest when the machine is idle",
	[RULE_LOST_QUIET] = "a lost function is left alone",
	[RULE_SHUTDOWN] = "reset and shutdown leave low power and reset every function",
	[RULE_ONE_RESULT] = "one result is awaited at a time, by the last action",
	[RULE_IGNORE] = "unexpected events change nothing",
};

void model_broke(struct explorer *ex, const struct world *world, enum rule rule, unsigned int fn)
{
	if (ex->broken)
		return;
	ex->broken = rule;
	ex->broken_fn = fn;
	ex->broken_in = *world;
}

/* --- what the actions do to the model, and the rules --- */

struct step_info {
	const struct power_event *event;
	struct power before;       /* machine */
	struct model model_before;
	bool pme[FUNCTIONS_MAX], notify, timer;
};

static bool is_recovering(const struct model *model)
{
	return model->op == POWER_EV_RESET || model->op == POWER_EV_SHUTDOWN;
}

static void act_detach(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->tried)
		model_broke(ex, world, RULE_TOUCH, action->function);
	fn->view = VIEW_COLD;
}

static void act_drain(struct explorer *ex, struct world *world, const struct power_action *action,
		      struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->real)
		model_broke(ex, world, RULE_DRAIN, action->function);
	fn->signalled = 0;
	fn->drained = 1;
}

static void act_entry(struct explorer *ex, struct world *world, const struct power_action *action,
		      struct step_info *info)
{
	const struct power_function *can = &ex->config->fn[action->function];
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->tried)
		model_broke(ex, world, RULE_TOUCH, action->function);
	if (fn->view != VIEW_COLD)
		model_broke(ex, world, RULE_DETACH, action->function);
	if (!fn->drained || fn->signalled)
		model_broke(ex, world, RULE_DRAIN, action->function);
	if (world->model.op != POWER_EV_OFF || !can->can_enter ||
	    action->with_wakeup != (can->needs_driver || fn->off_pme) ||
	    (action->with_wakeup && !can->can_enter_wakeup))
		model_broke(ex, world, RULE_ENTRY, action->function);
	fn->drained = 0;
	fn->tried = 1;
}

static void act_exit(struct explorer *ex, struct world *world, const struct power_action *action,
		     struct step_info *info)
{
	(void)info;
	if (world->model.op != POWER_EV_ON && !is_recovering(&world->model))
		model_broke(ex, world, RULE_EXIT, action->function);
}

static void act_touch(struct explorer *ex, struct world *world, const struct power_action *action,
		      struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->tried || fn->engaged)
		model_broke(ex, world, RULE_TOUCH, action->function);
	if (action->type != POWER_DO_RESET)
		return;
	fn->was_reset = 1;
	fn->pme_enable = fn->pme_status = 0;
	fn->view = VIEW_PRESENT;
}

static void act_attach(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->tried || fn->engaged || !fn->checked || world->model.op == POWER_EV_SHUTDOWN)
		model_broke(ex, world, RULE_ATTACH, action->function);
	fn->view = VIEW_PRESENT;
}

static void act_gone(struct explorer *ex, struct world *world, const struct power_action *action,
		     struct step_info *info)
{
	(void)ex;
	(void)info;
	world->model.fn[action->function].view = VIEW_GONE;
}

static void act_pme(struct explorer *ex, struct world *world, const struct power_action *action,
		    struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];
	const struct power_function *before = &info->before.fn[action->function];
	bool is_wake = info->event->type == POWER_EV_WAKE &&
		       info->event->function == action->function &&
		       info->model_before.fn[action->function].real &&
		       before->state == POWER_ENGAGED && before->engaged_wakeup;
	bool is_resend = info->event->type == POWER_EV_RESEND && before->state == POWER_WOKEN &&
			 fn->delivered && fn->pme_status;

	if (!fn->pme_enable || (!is_wake && !is_resend))
		model_broke(ex, world, RULE_FALSE_PME, action->function);
	fn->pme_status = 1;
	info->pme[action->function] = true;
}

static void act_notify(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	const struct model_fn *fn = &info->model_before.fn[action->function];
	bool is_wake = info->event->type == POWER_EV_WAKE &&
		       info->event->function == action->function && fn->real &&
		       !fn->pme_enable && ex->config->fn[action->function].needs_driver;

	if (!is_wake && info->event->type != POWER_EV_RESEND)
		model_broke(ex, world, RULE_FALSE_PME, action->function);
	info->notify = true;
}

static void act_timer(struct explorer *ex, struct world *world, const struct power_action *action,
		      struct step_info *info)
{
	(void)ex;
	(void)action;
	world->model.timer = 1;
	info->timer = true;
}

static void act_report(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];
	bool is_wake = action->to == POWER_WOKEN;
	bool needs_error = action->to == POWER_REFUSED || action->to == POWER_LOST;

	(void)info;
	if (action->from != fn->reported &&
	    !(action->from == POWER_WOKEN && fn->reported == POWER_ENGAGED))
		model_broke(ex, world, RULE_REPORT, action->function);
	if (action->to != world->power.fn[action->function].state ||
	    is_wake != (action->cause == POWER_CAUSE_HOST))
		model_broke(ex, world, RULE_REPORT, action->function);
	/* A reset may fail on a device that is there. */
	if (needs_error != (action->error != 0) &&
	    !(action->to == POWER_ON && is_recovering(&world->model)))
		model_broke(ex, world, RULE_REPORT, action->function);
	if (is_wake && world->model.wake_reports++)
		model_broke(ex, world, RULE_REPORT, action->function);
	fn->reported = (uint8_t)action->to;
}

static void act_done(struct explorer *ex, struct world *world, const struct power_action *action,
		     struct step_info *info)
{
	bool present = false;

	(void)info;
	for (unsigned int i = 0; i < ex->config->functions; i++)
		present |= world->model.fn[i].view == VIEW_PRESENT;
	if (!world->model.requested || action->on != present ||
	    (action->on && world->model.op != POWER_EV_ON))
		model_broke(ex, world, RULE_DONE, action->function);
	world->model.requested = 0;
}

static void act(struct explorer *ex, struct world *world, const struct power_action *action,
		struct step_info *info)
{
	static void (*const acts[])(struct explorer *ex, struct world *world,
				    const struct power_action *action, struct step_info *info) = {
		[POWER_DO_DETACH] = act_detach, [POWER_DO_DRAIN] = act_drain,
		[POWER_DO_ENTRY] = act_entry,   [POWER_DO_EXIT] = act_exit,
		[POWER_DO_CHECK] = act_touch,   [POWER_DO_RESET] = act_touch,
		[POWER_DO_ATTACH] = act_attach, [POWER_DO_GONE] = act_gone,
		[POWER_DO_PME] = act_pme,       [POWER_DO_NOTIFY] = act_notify,
		[POWER_DO_TIMER] = act_timer,   [POWER_DO_REPORT] = act_report,
		[POWER_DO_DONE] = act_done,
	};
	bool is_for_function = action->type != POWER_DO_TIMER && action->type != POWER_DO_DONE;

	if (is_for_function && !is_recovering(&world->model) &&
	    info->model_before.fn[action->function].view == VIEW_GONE)
		model_broke(ex, world, RULE_LOST_QUIET, action->function);
	acts[action->type](ex, world, action, info);
}

static bool has_result(enum power_action_type type)
{
	return type == POWER_DO_ENTRY || type == POWER_DO_EXIT || type == POWER_DO_CHECK ||
	       type == POWER_DO_RESET;
}

static void carry_out(struct explorer *ex, struct world *world,
		      const struct power_actions *actions, struct step_info *info)
{
	if (actions->count > ex->most_actions)
		ex->most_actions = actions->count;
	world->model.awaited = OP_NONE;
	world->model.awaited_fn = 0;
	for (unsigned int i = 0; i < actions->count && !ex->broken; i++) {
		const struct power_action *action = &actions->action[i];

		if (action->function >= ex->config->functions ||
		    (has_result(action->type) && i + 1 < actions->count)) {
			model_broke(ex, world, RULE_ONE_RESULT, action->function);
			return;
		}
		act(ex, world, action, info);
		if (has_result(action->type)) {
			world->model.awaited = (uint8_t)action->type;
			world->model.awaited_fn = action->function;
		}
	}
	if ((world->power.waiting != 0) != (world->model.awaited != OP_NONE))
		model_broke(ex, world, RULE_ONE_RESULT, world->model.awaited_fn);
}

/* --- rules on a whole step, and on an idle machine --- */

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
	if (!fn->pme_enable && ex->config->fn[i].needs_driver && !info->notify)
		model_broke(ex, world, RULE_LOST_WAKE, i);
	if (world->power.fn[i].state != POWER_WOKEN)
		model_broke(ex, world, RULE_STATE, i);
	if (!world->model.wake_reports)
		model_broke(ex, world, RULE_REPORT, i);
}

static void check_resend(struct explorer *ex, struct world *world, const struct step_info *info)
{
	struct model *model = &world->model;
	bool any_pme = false, owes = false;

	if (info->event->type != POWER_EV_RESEND)
		return;
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct model_fn *fn = &info->model_before.fn[i];
		bool pending = info->before.fn[i].state == POWER_WOKEN && fn->pme_enable &&
			       fn->pme_status;

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
		return !slot_on && fn->view == VIEW_COLD && !fn->engaged && machine->error;
	case POWER_LOST:
		return fn->view == VIEW_GONE;
	}
	return false;
}

static bool is_rested(const struct model_fn *fn, enum power_state state)
{
	return fn->exit_failed ? state == POWER_LOST : fn->was_reset && !fn->tried && !fn->engaged;
}

/* What no later rule asks for, so that equal states look equal. */
static void forget_operation(const struct explorer *ex, struct world *world)
{
	struct model *model = &world->model;

	model->op = OP_NONE;
	model->from_off = 0;
	if (world->power.slot_on)
		model->resends = model->resend_notifies = model->wake_reports = 0;
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		struct model_fn *fn = &model->fn[i];

		fn->exit_failed = fn->checked = fn->was_reset = fn->off_pme = 0;
		if (world->power.slot_on)
			fn->delivered = 0;
	}
}

/* The machine has finished what it was doing. */
static void check_idle(struct explorer *ex, struct world *world)
{
	struct model *model = &world->model;

	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct power_function *machine = &world->power.fn[i];
		const struct model_fn *fn = &model->fn[i];
		bool back = machine->state == POWER_ON || machine->state == POWER_LOST;

		if (model->op == POWER_EV_ON && model->from_off && fn->tried && !fn->exit_failed &&
		    fn->view != VIEW_GONE)
			model_broke(ex, world, RULE_EXIT, i);
		if ((model->op == POWER_EV_ON || is_recovering(model)) && !back)
			model_broke(ex, world, RULE_STATE, i);
		if (is_recovering(model) && !is_rested(fn, machine->state))
			model_broke(ex, world, RULE_SHUTDOWN, i);
		if (model->op != POWER_EV_SHUTDOWN &&
		    !is_consistent(machine, fn, world->power.slot_on))
			model_broke(ex, world, RULE_STATE, i);
		if (fn->reported != machine->state &&
		    !(machine->state == POWER_WOKEN && model->wake_reports))
			model_broke(ex, world, RULE_REPORT, i);
	}
	if (model->requested)
		model_broke(ex, world, RULE_DONE, 0);
	if (world->power.phase != (model->op == POWER_EV_SHUTDOWN ? POWER_ENDING : POWER_IDLE))
		model_broke(ex, world, RULE_STATE, 0);
	model->ended = model->op == POWER_EV_SHUTDOWN;
	forget_operation(ex, world);
}

void model_give(struct explorer *ex, struct world *world, const struct power_event *event)
{
	struct step_info info = {.event = event, .model_before = world->model};
	struct power_actions actions;

	for (unsigned int i = 0; i < ex->config->functions; i++) {
		world->power.fn[i].pme_enable = world->model.fn[i].pme_enable;
		world->power.fn[i].pme_status = world->model.fn[i].pme_status;
	}
	memcpy(&info.before, &world->power, sizeof(info.before));
	ex->step(&world->power, event, &actions);
	carry_out(ex, world, &actions, &info);
	check_wake(ex, world, &info);
	check_resend(ex, world, &info);
	if (world->model.awaited == OP_NONE && !ex->broken)
		check_idle(ex, world);
}
