#include "tests/fake_power.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake_must.h"
#include "vmm/base/bits.h"

#define NODES_MAX (1U << 21)

/* --- states --- */

#define KEY_MAX 128U

static size_t encode(const struct explorer *ex, const struct world *world, uint8_t *key)
{
	const struct power *power = &world->power;
	size_t len = 0;

	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct power_function *fn = &power->fn[i];

		key[len++] = (uint8_t)fn->state;
		key[len++] = (uint8_t)(fn->engaged_wakeup | fn->entry_tried << 1 | fn->failed << 2 |
				       fn->fell << 3 | fn->exists << 4 | fn->tried << 5);
		/* which one, the machine only passes on, but a hold's */
		key[len++] = (uint8_t)((fn->error != 0) + (fn->error == -EAGAIN));
	}
	key[len++] = (uint8_t)power->phase;
	key[len++] = power->recheck;
	key[len++] = (uint8_t)(power->slot_on | power->wake_reported << 1 |
			       power->slot_was_reset << 2 | power->only_held << 3);
	key[len++] = power->stage;
	key[len++] = power->waiting;
	key[len++] = (uint8_t)power->resends;
	memcpy(key + len, &world->model, sizeof(world->model));
	return len + sizeof(world->model);
}

static uint32_t hash(const uint8_t *key, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ key[i]) * 0x100000001b3ULL;
	return (uint32_t)(h ^ h >> 32);
}

static void table_put(struct explorer *ex, uint32_t node)
{
	uint8_t key[KEY_MAX];
	uint32_t at = hash(key, encode(ex, &ex->nodes[node], key)) & (ex->table_size - 1);

	while (ex->table[at])
		at = (at + 1) & (ex->table_size - 1);
	ex->table[at] = node + 1;
}

static bool known(const struct explorer *ex, const struct world *world)
{
	uint8_t key[KEY_MAX], other[KEY_MAX];
	size_t len = encode(ex, world, key);
	uint32_t at = hash(key, len) & (ex->table_size - 1);

	for (; ex->table[at]; at = (at + 1) & (ex->table_size - 1)) {
		encode(ex, &ex->nodes[ex->table[at] - 1], other);
		if (!memcmp(key, other, len))
			return true;
	}
	return false;
}

static void grow(struct explorer *ex)
{
	ex->cap *= 2;
	ex->nodes = realloc(ex->nodes, ex->cap * sizeof(*ex->nodes));
	free(ex->table);
	ex->table_size = 4 * ex->cap;
	ex->table = calloc(ex->table_size, sizeof(*ex->table));
	must(ex->cap <= NODES_MAX && ex->nodes && ex->table, "no memory, or too many states");
	for (uint32_t i = 0; i < ex->count; i++)
		table_put(ex, i);
}

static void visit(struct explorer *ex, const struct world *world)
{
	if (ex->broken || known(ex, world))
		return;
	if (ex->count == ex->cap)
		grow(ex);
	ex->nodes[ex->count] = *world;
	table_put(ex, ex->count++);
}

/* --- the moves of guest, host and kernel --- */

static struct world successor(const struct world *world, uint32_t parent, char what,
			      struct power_event event)
{
	struct world next;

	memcpy(&next, world, sizeof(next));
	next.parent = parent;
	next.what = what;
	next.event = event;
	return next;
}

/* `held`: the functions that the governor holds at an _OFF or a RETRY. */
static void begin_op(const struct explorer *ex, struct model *model, const struct power *power,
		     enum power_event_type type, unsigned int held)
{
	model->op = (uint8_t)type;
	model->from_off = !power->slot_on;
	model->requested = type == POWER_EV_OFF || type == POWER_EV_ON;
	if (type == POWER_EV_RESEND)
		model->timer = 0;
	model->retries = type == POWER_EV_RETRY && model->only_held;
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		struct model_fn *fn = &model->fn[i];

		fn->off_pme = (type == POWER_EV_OFF || model->retries) && fn->pme_enable;
		fn->was_gone = fn->view == VIEW_GONE || fn->view == VIEW_RELEASED;
		fn->held = held >> i & 1;
	}
	if (type == POWER_EV_ON || model_resets(model))
		model->only_held = 0;
	if (!model_enters(model))
		return;
	model->only_held = model_is_only_held(ex, model);
	model->resends = model->resend_notifies = model->wake_reports = 0;
	for (unsigned int i = 0; i < ex->config->functions; i++)
		model->fn[i].delivered = model->fn[i].pme_sent = 0;
}

static void move_event(struct explorer *ex, uint32_t node, struct power_event event,
		       unsigned int held)
{
	struct world next = successor(&ex->nodes[node], node, 'e', event);
	struct model_fn *fn = &next.model.fn[event.function];
	bool is_wake = event.type == POWER_EV_WAKE;

	begin_op(ex, &next.model, &next.power, event.type, held);
	if (is_wake)
		fn->signalled = 0;
	model_give(ex, &next, &event);
	if (is_wake) {
		fn->delivered |= fn->real;
		fn->real = 0;
	}
	visit(ex, &next);
}

/* Someone wakes `i`, or with `all` the whole slot: who waits for it is told, once. */
static void move_host_wake(struct explorer *ex, uint32_t node, unsigned int i, bool all)
{
	struct world next = successor(&ex->nodes[node], node, 'w',
				      (struct power_event) {.function = (uint8_t)i, .error = all});

	for (unsigned int k = 0; k < ex->config->functions; k++) {
		struct model_fn *fn = &next.model.fn[k];

		if ((k != i && !all) || fn->engaged != ENGAGED_WAKEUP)
			continue;
		fn->engaged = ENGAGED_NOT;
		fn->signalled = fn->real = 1;
	}
	visit(ex, &next);
}

static void move_pmcsr(struct explorer *ex, uint32_t node, unsigned int i, bool enable, bool status)
{
	struct world next = successor(&ex->nodes[node], node, 'p',
				      (struct power_event) {.function = (uint8_t)i});

	next.model.fn[i].pme_enable = enable;
	next.model.fn[i].pme_status = status;
	visit(ex, &next);
}

/* What the kernel does on the action awaited, when it answers `error`. */
static void answer_exit(struct explorer *ex, struct model *model, unsigned int i, int error,
			bool wakes_siblings)
{
	if (error) {
		model->fn[i].exit_failed = 1;
	} else {
		model->fn[i].engaged = ENGAGED_NOT;
		model->fn[i].tried = 0;
	}
	model->fn[i].signalled = model->fn[i].real = 0; /* drained after the call; _ON answers it */
	for (unsigned int k = 0; k < ex->config->functions && wakes_siblings; k++) {
		if (k == i || model->fn[k].engaged != ENGAGED_WAKEUP)
			continue;
		model->fn[k].engaged = ENGAGED_NOT;
		model->fn[k].signalled = 1;
	}
}

static void answer_check(struct model_fn *fn, int error)
{
	fn->checked = !error;
	fn->unwell = error != 0;
	fn->ever_unwell |= fn->unwell;
}

const enum power_event_type power_results[] = {
	[POWER_DO_ENTRY] = POWER_EV_ENTRY_DONE,
	[POWER_DO_EXIT] = POWER_EV_EXIT_DONE,
	[POWER_DO_CHECK] = POWER_EV_CHECK_DONE,
	[POWER_DO_RESET] = POWER_EV_RESET_DONE,
	[POWER_DO_RECOVER] = POWER_EV_RECOVER_DONE,
	[POWER_DO_SLOT_RESET] = POWER_EV_SLOT_RESET_DONE,
};

static void move_answer(struct explorer *ex, uint32_t node, int error, bool wakes_siblings)
{
	const struct model *now = &ex->nodes[node].model;
	unsigned int i = now->awaited_fn;
	struct power_event event = {
		.type = power_results[now->awaited], .function = (uint8_t)i, .error = error,
	};
	struct world next = successor(&ex->nodes[node], node, 'e', event);
	struct model_fn *fn = &next.model.fn[i];

	next.model.results++;
	if (now->awaited == POWER_DO_ENTRY && error)
		fn->refused = 1;
	else if (now->awaited == POWER_DO_ENTRY)
		fn->engaged = next.power.fn[i].engaged_wakeup ? ENGAGED_WAKEUP : ENGAGED_PLAIN;
	else if (now->awaited == POWER_DO_EXIT)
		answer_exit(ex, &next.model, i, error, wakes_siblings);
	else if (now->awaited == POWER_DO_CHECK)
		answer_check(fn, error);
	model_give(ex, &next, &event);
	visit(ex, &next);
}

static void moves_answer(struct explorer *ex, uint32_t node)
{
	/* A host may say of an entry what the governor says of a hold. */
	static const int errors[][4] = {
		[POWER_DO_ENTRY] = {-ENOTTY, -EAGAIN, -EIO},
		[POWER_DO_EXIT] = {-EIO},
		[POWER_DO_CHECK] = {-ENODEV},
		[POWER_DO_RESET] = {-EIO},
		[POWER_DO_RECOVER] = {-EIO},
		[POWER_DO_SLOT_RESET] = {-EBUSY},
	};
	uint8_t awaited = ex->nodes[node].model.awaited;

	move_answer(ex, node, 0, false);
	if (awaited == POWER_DO_EXIT)
		move_answer(ex, node, 0, true);
	for (unsigned int i = 0; errors[awaited][i]; i++)
		move_answer(ex, node, errors[awaited][i], false);
}

static void moves_idle(struct explorer *ex, uint32_t node)
{
	static const enum power_event_type free_events[] = {
		POWER_EV_ON, POWER_EV_RESET, POWER_EV_SHUTDOWN, POWER_EV_REMOVE,
	};
	struct power_event event = {0};

	for (unsigned int held = 0; held < 1U << ex->config->functions; held++) {
		move_event(ex, node, (struct power_event) {.type = POWER_EV_OFF}, held);
		move_event(ex, node, (struct power_event) {.type = POWER_EV_RETRY}, held);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(free_events); i++)
		move_event(ex, node, (struct power_event) {.type = free_events[i]}, 0);
	if (ex->nodes[node].model.timer && !ex->config->no_resend)
		move_event(ex, node, (struct power_event) {.type = POWER_EV_RESEND}, 0);
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		const struct world *world = &ex->nodes[node];

		event.function = (uint8_t)i;
		/* A stale signal can be about wherever the machine does not wait for one. */
		event.type = POWER_EV_WAKE;
		event.cause = i ? POWER_CAUSE_PME : POWER_CAUSE_UNKNOWN;
		if (world->model.fn[i].signalled || world->power.fn[i].state != POWER_ENGAGED)
			move_event(ex, node, event, 0);
		event.type = POWER_EV_HOST_ERROR;
		event.error = -EIO;
		move_event(ex, node, event, 0);
	}
}

/* What comes to those who do not expect it. */
static void check_ignores(struct explorer *ex, const struct world *world)
{
	for (unsigned int type = 0; type <= POWER_EV_SLOT_RESET_DONE; type++) {
		for (unsigned int i = 0; i <= FUNCTIONS_MAX; i++) {
			struct power_event event = {
				.type = (enum power_event_type)type,
				.function = (uint8_t)(i < FUNCTIONS_MAX ? i : POWER_FUNCTIONS),
			};
			bool is_result = type >= POWER_EV_ENTRY_DONE;
			struct power_actions actions;
			struct power copy;

			if (!world->model.ended && world->model.awaited == OP_NONE && !is_result)
				continue;
			if (world->model.awaited != OP_NONE && is_result &&
			    i == world->model.awaited_fn)
				continue;
			memcpy(&copy, &world->power, sizeof(copy));
			power_step(&copy, &event, &actions);
			if (actions.count || memcmp(&copy, &world->power, sizeof(copy)))
				model_broke(ex, world, RULE_IGNORE, i);
		}
	}
}

/* What others do at any time. */
static void moves_outside(struct explorer *ex, uint32_t node)
{
	for (unsigned int i = 0; i < ex->config->functions; i++) {
		struct model_fn fn = ex->nodes[node].model.fn[i];

		if (!ex->config->no_wakes) {
			move_host_wake(ex, node, i, false);
			move_host_wake(ex, node, i, true);
		}
		if (fn.view == VIEW_GONE || fn.view == VIEW_RELEASED || ex->config->no_pme)
			continue;
		move_pmcsr(ex, node, i, !fn.pme_enable, fn.pme_status);
		move_pmcsr(ex, node, i, fn.pme_enable, false);
	}
}

static void expand(struct explorer *ex, uint32_t node)
{
	if (!ex->quiet)
		check_ignores(ex, &ex->nodes[node]);
	if (ex->nodes[node].model.ended)
		return;
	if (ex->nodes[node].model.awaited != OP_NONE)
		moves_answer(ex, node);
	else
		moves_idle(ex, node);
	moves_outside(ex, node);
}

static void print_trace(const struct explorer *ex)
{
	static const char *const names[] = {
		[POWER_EV_OFF] = "OFF", [POWER_EV_ON] = "ON", [POWER_EV_WAKE] = "WAKE",
		[POWER_EV_RESET] = "RESET", [POWER_EV_SHUTDOWN] = "SHUTDOWN",
		[POWER_EV_REMOVE] = "REMOVE", [POWER_EV_HOST_ERROR] = "HOST_ERROR",
		[POWER_EV_RESEND] = "RESEND", [POWER_EV_RETRY] = "RETRY",
		[POWER_EV_ENTRY_DONE] = "ENTRY_DONE",
		[POWER_EV_EXIT_DONE] = "EXIT_DONE", [POWER_EV_CHECK_DONE] = "CHECK_DONE",
		[POWER_EV_RESET_DONE] = "RESET_DONE", [POWER_EV_RECOVER_DONE] = "RECOVER_DONE",
		[POWER_EV_SLOT_RESET_DONE] = "SLOT_RESET_DONE",
	};
	const struct world *world = &ex->broken_in;

	printf("# %s: broken: %s (function %u); backwards:\n", ex->config->name,
	       power_rule_names[ex->broken], ex->broken_fn);
	for (;; world = &ex->nodes[world->parent]) {
		if (world->what == 'e')
			printf("#   %s %u error %d\n", names[world->event.type],
			       world->event.function, world->event.error);
		else if (world->what)
			printf("#   %s %u\n", world->what == 'w' ? "host wakes" : "PMCSR written",
			       world->event.function);
		if (!world->what)
			break;
	}
}

enum rule power_explore(const struct power_config *config, power_step_fn step, bool quiet)
{
	struct explorer ex = {.config = config, .step = step, .quiet = quiet, .cap = 4096};
	struct world start;

	memset(&start, 0, sizeof(start));
	memcpy(start.power.fn, config->fn, sizeof(config->fn));
	start.power.reset = config->reset;
	start.power.can_slot_reset = config->can_slot_reset;
	power_init(&start.power);
	start.model.op = start.model.awaited = OP_NONE;
	ex.nodes = malloc(ex.cap * sizeof(*ex.nodes));
	ex.table_size = 4 * ex.cap;
	ex.table = calloc(ex.table_size, sizeof(*ex.table));
	must(ex.nodes && ex.table, "out of memory");
	visit(&ex, &start);
	for (uint32_t i = 0; i < ex.count && !ex.broken; i++)
		expand(&ex, i);
	if (!quiet)
		printf("# %s: %u states, at most %u actions in a step, %u results in an "
		       "operation\n", config->name, ex.count, ex.most_actions, ex.most_results);
	if (!quiet && ex.broken)
		print_trace(&ex);
	free(ex.nodes);
	free(ex.table);
	return ex.broken;
}
