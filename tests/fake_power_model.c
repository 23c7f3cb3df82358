#include "tests/fake_power.h"

#include <errno.h>
#include <string.h>

void model_broke(struct explorer *ex, const struct world *world, enum rule rule, unsigned int fn)
{
	if (ex->broken)
		return;
	ex->broken = rule;
	ex->broken_fn = fn;
	ex->broken_in = *world;
}

bool model_resets(const struct model *model)
{
	return model->op == POWER_EV_RESET || model->op == POWER_EV_SHUTDOWN ||
	       model->op == POWER_EV_REMOVE;
}

bool model_enters(const struct model *model)
{
	return (model->op == POWER_EV_OFF && !model->from_off) || model->retries;
}

/* --- what the actions do to the model, and the rules on each --- */

static void act_detach(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->tried)
		model_broke(ex, world, RULE_TOUCH, action->function);
	if (fn->view != VIEW_PRESENT)
		model_broke(ex, world, RULE_DETACH, action->function);
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

static bool wants_wakeup(const struct power_function *can, const struct model_fn *fn)
{
	return can->reentry == POWER_REENTRY_GUEST ||
	       (can->reentry == POWER_REENTRY_AUTO && fn->off_pme);
}

/* Is it known before the host is asked that the slot cannot sleep? */
static bool is_barred(const struct explorer *ex, const struct model *model)
{
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct power_function *can = &ex->config->fn[i];
		const struct model_fn *fn = &model->fn[i];

		if (fn->was_gone)
			continue;
		if (fn->held || !can->can_enter ||
		    (wants_wakeup(can, fn) && !can->can_enter_wakeup))
			return true;
	}
	return false;
}

bool model_is_only_held(const struct explorer *ex, const struct model *model)
{
	bool any = false;

	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct power_function *can = &ex->config->fn[i];
		const struct model_fn *fn = &model->fn[i];

		if (fn->was_gone)
			continue;
		if (!fn->held || !can->can_enter ||
		    (wants_wakeup(can, fn) && !can->can_enter_wakeup))
			return false;
		any = true;
	}
	return any;
}

static void act_entry(struct explorer *ex, struct world *world, const struct power_action *action,
		      struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->tried)
		model_broke(ex, world, RULE_TOUCH, action->function);
	if (fn->view != VIEW_COLD)
		model_broke(ex, world, RULE_DETACH, action->function);
	if (!fn->drained || fn->signalled)
		model_broke(ex, world, RULE_DRAIN, action->function);
	if (!model_enters(&world->model) ||
	    action->with_wakeup != wants_wakeup(&ex->config->fn[action->function], fn))
		model_broke(ex, world, RULE_ENTRY, action->function);
	if (is_barred(ex, &world->model))
		model_broke(ex, world, RULE_HOLD, action->function);
	for (unsigned int i = 0; i < ex->config->functions; i++)
		if (world->model.fn[i].refused)
			model_broke(ex, world, RULE_ROLL_BACK, action->function);
	fn->drained = 0;
	fn->tried = 1;
}

static void act_exit(struct explorer *ex, struct world *world, const struct power_action *action,
		     struct step_info *info)
{
	bool refused = false;

	(void)info;
	for (unsigned int i = 0; i < ex->config->functions; i++)
		refused |= world->model.fn[i].refused;
	if (world->model.op != POWER_EV_ON && !model_resets(&world->model) &&
	    !(model_enters(&world->model) && refused))
		model_broke(ex, world, RULE_EXIT, action->function);
}

static void touch(struct explorer *ex, struct world *world, unsigned int i)
{
	if (world->model.fn[i].tried || world->model.fn[i].engaged)
		model_broke(ex, world, RULE_TOUCH, i);
}

static void act_check(struct explorer *ex, struct world *world, const struct power_action *action,
		      struct step_info *info)
{
	(void)info;
	touch(ex, world, action->function);
}

/* The device of `i` was reset: it must answer anew. */
static void reset_device(struct explorer *ex, struct world *world, unsigned int i, uint8_t how)
{
	struct model_fn *fn = &world->model.fn[i];

	touch(ex, world, i);
	fn->checked = 0;
	if (how != POWER_TRIED_RESET || ex->config->fn[i].can_recover)
		fn->ladder |= how;
}

static void act_reset(struct explorer *ex, struct world *world, const struct power_action *action,
		      struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	touch(ex, world, action->function);
	if (!model_resets(&world->model))
		model_broke(ex, world, RULE_RESET, action->function);
	if (action->device) {
		reset_device(ex, world, action->function, POWER_TRIED_RESET);
		fn->device_reset = 1;
	}
	fn->view_reset = 1;
	fn->pme_enable = fn->pme_status = 0;
	fn->view = VIEW_PRESENT;
}

/* Is a step of the ladder taken for `i` in its place? */
static void check_step_of_ladder(struct explorer *ex, struct world *world, unsigned int i,
				 bool possible)
{
	const struct model_fn *fn = &world->model.fn[i];

	if (!possible || !fn->unwell)
		model_broke(ex, world, RULE_LADDER, i);
	if (fn->view == VIEW_PRESENT && !model_resets(&world->model))
		model_broke(ex, world, RULE_TOLD, i);
}

static void act_recover(struct explorer *ex, struct world *world,
			const struct power_action *action, struct step_info *info)
{
	(void)info;
	check_step_of_ladder(ex, world, action->function,
			     ex->config->fn[action->function].can_recover);
	reset_device(ex, world, action->function, POWER_TRIED_RESET);
}

static void act_slot_reset(struct explorer *ex, struct world *world,
			   const struct power_action *action, struct step_info *info)
{
	struct model *model = &world->model;
	bool by_policy = model_resets(model) && ex->config->reset == POWER_RESET_SLOT;

	(void)info;
	if (!by_policy)
		check_step_of_ladder(ex, world, action->function, ex->config->can_slot_reset);
	if (model->slot_resets++)
		model_broke(ex, world, RULE_LADDER, action->function);
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct model_fn *fn = &model->fn[i];

		/* The smaller step first; and nobody else's work is disturbed. */
		if (fn->unwell && !fn->ladder && ex->config->fn[i].can_recover && !by_policy)
			model_broke(ex, world, RULE_LADDER, i);
		if (fn->view == VIEW_PRESENT && !model_resets(model))
			model_broke(ex, world, RULE_LADDER, i);
		reset_device(ex, world, i, POWER_TRIED_SLOT_RESET);
	}
}

static void act_attach(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (fn->tried || fn->engaged || !fn->checked || world->model.op == POWER_EV_SHUTDOWN ||
	    world->model.op == POWER_EV_REMOVE)
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

/* What is closed while the guest could still reach it is touched by that; one that failed must not
 * be. Closing ends what the kernel remembers. */
static void act_release(struct explorer *ex, struct world *world,
			const struct power_action *action, struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];

	(void)info;
	if (world->model.op != POWER_EV_REMOVE)
		model_broke(ex, world, RULE_REMOVED, action->function);
	if (fn->view == VIEW_PRESENT ? fn->tried || !fn->checked
				     : !fn->exit_failed && !fn->unwell)
		model_broke(ex, world, RULE_REMOVED, action->function);
	fn->view = VIEW_RELEASED;
	fn->engaged = ENGAGED_NOT;
	fn->tried = fn->signalled = fn->real = fn->delivered = 0;
	fn->pme_enable = fn->pme_status = fn->pme_sent = fn->drained = 0;
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
	fn->pme_status = fn->pme_sent = 1;
	info->pme[action->function] = true;
}

static void act_notify(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	const struct model_fn *fn = &info->model_before.fn[action->function];
	bool is_wake = info->event->type == POWER_EV_WAKE &&
		       info->event->function == action->function && fn->real &&
		       !fn->pme_enable &&
		       ex->config->fn[action->function].reentry == POWER_REENTRY_GUEST;

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

/* What the report says of the ladder. */
static bool tells_the_ladder(const struct model_fn *fn, const struct power_action *action)
{
	if (action->tried & ~fn->ladder || (action->tried && !fn->ever_unwell))
		return false;
	if (action->to == POWER_LOST && fn->ever_unwell && action->tried != fn->ladder)
		return false;
	return action->recovered == (action->tried && !fn->unwell);
}

static enum told told_by(int error)
{
	return !error ? TOLD_NONE : error == -EAGAIN ? TOLD_HOLD : TOLD_OTHER;
}

static void act_report(struct explorer *ex, struct world *world, const struct power_action *action,
		       struct step_info *info)
{
	struct model_fn *fn = &world->model.fn[action->function];
	bool is_wake = action->to == POWER_WOKEN;
	bool needs_error = action->to == POWER_REFUSED || action->to == POWER_LOST;

	if (action->from != fn->reported &&
	    !(action->from == POWER_WOKEN && fn->reported == POWER_ENGAGED))
		model_broke(ex, world, RULE_REPORT, action->function);
	if (action->to != world->power.fn[action->function].state ||
	    is_wake != (info->event->type == POWER_EV_WAKE) ||
	    (is_wake && action->cause != info->event->cause))
		model_broke(ex, world, RULE_REPORT, action->function);
	/* A reset may fail on a device that is there. */
	if (needs_error != (action->error != 0) && (needs_error || !model_resets(&world->model)))
		model_broke(ex, world, RULE_REPORT, action->function);
	if (!tells_the_ladder(fn, action) || (is_wake && world->model.wake_reports++))
		model_broke(ex, world, RULE_REPORT, action->function);
	if ((action->cause == POWER_CAUSE_GOVERNOR) != world->model.retries ||
	    (world->model.retries && told_by(action->error) == fn->told))
		model_broke(ex, world, RULE_REPORT, action->function);
	fn->reported = (uint8_t)action->to;
	fn->told = action->to == POWER_REFUSED ? told_by(action->error) : TOLD_NONE;
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
		[POWER_DO_DETACH] = act_detach,   [POWER_DO_DRAIN] = act_drain,
		[POWER_DO_ENTRY] = act_entry,     [POWER_DO_EXIT] = act_exit,
		[POWER_DO_CHECK] = act_check,     [POWER_DO_RESET] = act_reset,
		[POWER_DO_RECOVER] = act_recover, [POWER_DO_SLOT_RESET] = act_slot_reset,
		[POWER_DO_ATTACH] = act_attach,   [POWER_DO_GONE] = act_gone,
		[POWER_DO_RELEASE] = act_release, [POWER_DO_PME] = act_pme,
		[POWER_DO_NOTIFY] = act_notify,   [POWER_DO_TIMER] = act_timer,
		[POWER_DO_REPORT] = act_report,   [POWER_DO_DONE] = act_done,
	};
	const struct model_fn *fn = &world->model.fn[action->function];
	bool is_for_function = action->type != POWER_DO_TIMER && action->type != POWER_DO_DONE;

	if (world->model.op == POWER_EV_RETRY && !world->model.retries)
		model_broke(ex, world, RULE_RETRY, action->function);
	if (is_for_function && fn->was_gone && !model_resets(&world->model))
		model_broke(ex, world, RULE_LOST_QUIET, action->function);
	if (is_for_function && fn->view == VIEW_RELEASED && action->type != POWER_DO_REPORT)
		model_broke(ex, world, RULE_REMOVED, action->function);
	acts[action->type](ex, world, action, info);
}

static bool has_result(enum power_action_type type)
{
	return type == POWER_DO_ENTRY || type == POWER_DO_EXIT || type == POWER_DO_CHECK ||
	       type == POWER_DO_RESET || type == POWER_DO_RECOVER || type == POWER_DO_SLOT_RESET;
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

void model_give(struct explorer *ex, struct world *world, const struct power_event *event)
{
	struct step_info info = {.event = event, .model_before = world->model};
	struct power_actions actions;

	for (unsigned int i = 0; i < ex->config->functions; i++) {
		world->power.fn[i].pme_enable = world->model.fn[i].pme_enable;
		world->power.fn[i].pme_status = world->model.fn[i].pme_status;
		/* the governor's word counts when it is asked for, and at no other time */
		world->power.fn[i].hold = -EAGAIN;
		if (event->type == POWER_EV_OFF || event->type == POWER_EV_RETRY)
			world->power.fn[i].hold = world->model.fn[i].held ? -EAGAIN : 0;
	}
	memcpy(&info.before, &world->power, sizeof(info.before));
	ex->step(&world->power, event, &actions);
	carry_out(ex, world, &actions, &info);
	rules_check_step(ex, world, &info);
}
