/* The commands for a function: what it is told to do wrong, and what it does now. */
#include "guest-tests/model-gpu/control.h"

#include <errno.h>

#define MS_MAX 86400000U

static bool parse_ms(const char *word, uint64_t *ret_us)
{
	uint64_t ms;

	if (!parse_number(word, MS_MAX, &ms))
		return false;
	*ret_us = ms * 1000;
	return true;
}

/* How often: a number, "forever", or once when it is not said. */
static bool parse_times(const char *word, uint32_t *ret_times)
{
	uint64_t times = 1;

	if (word && !strcmp(word, "forever"))
		times = FOREVER;
	else if (word && !parse_number(word, FOREVER, &times))
		return false;
	*ret_times = (uint32_t)times;
	return true;
}

static bool parse_errno(const char *word, int *ret_error)
{
	static const struct {
		const char *name;
		int error;
	} names[] = {{"EINVAL", EINVAL}, {"EIO", EIO}, {"EBUSY", EBUSY}, {"ENOTTY", ENOTTY}};

	for (size_t i = 0; word && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, word))
			continue;
		*ret_error = names[i].error;
		return true;
	}
	return false;
}

static bool cmd_wake(struct request *request)
{
	struct faults *faults = &request->fn->faults;
	const char *when = request->word[0];
	char **times_word = &request->word[1];
	enum wake_arm arm;
	uint64_t after_us = 0;
	uint32_t times;

	if (!when || !strcmp(when, "now")) {
		request->done += power_wake(request->fn);
		return true;
	}
	if (!strcmp(when, "before-answer"))
		arm = WAKE_BEFORE_ANSWER;
	else if (!strcmp(when, "in-entry"))
		arm = WAKE_IN_ENTRY;
	else if (!strcmp(when, "after") && parse_ms(*times_word++, &after_us))
		arm = WAKE_AFTER;
	else
		return fail(request, "when? now, before-answer, in-entry, after MS");
	if (!parse_times(*times_word, &times))
		return fail(request, "how many times?");
	faults->wake = arm;
	faults->wake_after_us = after_us;
	faults->wake_times = times;
	request->done++;
	return true;
}

static bool parse_refusal(struct request *request, int *error, uint32_t *times)
{
	if (!parse_errno(request->word[0], error))
		return fail(request, "which errno? EINVAL, EIO, EBUSY, ENOTTY");
	if (!parse_times(request->word[1], times))
		return fail(request, "how many times?");
	request->done++;
	return true;
}

static bool cmd_refuse_entry(struct request *request)
{
	struct faults *faults = &request->fn->faults;

	return parse_refusal(request, &faults->refuse_entry, &faults->refuse_entry_times);
}

static bool cmd_refuse_exit(struct request *request)
{
	struct faults *faults = &request->fn->faults;

	return parse_refusal(request, &faults->refuse_exit, &faults->refuse_exit_times);
}

static bool cmd_resume_delay(struct request *request)
{
	struct faults *faults = &request->fn->faults;

	if (!parse_ms(request->word[0], &faults->resume_delay_us))
		return fail(request, "how many ms?");
	faults->resume_never = false;
	if (!faults->resume_delay_us)
		server_release(request->fn);
	request->done++;
	return true;
}

static bool cmd_resume_never(struct request *request)
{
	request->fn->faults.resume_never = true;
	request->done++;
	return true;
}

static bool cmd_reset_delay(struct request *request)
{
	struct faults *faults = &request->fn->faults;

	if (!parse_ms(request->word[0], &faults->reset_delay_us))
		return fail(request, "how many ms?");
	if (!faults->reset_delay_us)
		server_release(request->fn);
	request->done++;
	return true;
}

static bool cmd_ones(struct request *request)
{
	const char *word = request->word[0];

	if (!word || (strcmp(word, "on") && strcmp(word, "off")))
		return fail(request, "on or off?");
	request->fn->faults.ones = !strcmp(word, "on");
	request->done++;
	return true;
}

static bool cmd_vanish(struct request *request)
{
	server_disconnect(request->fn, true);
	request->done++;
	return true;
}

static bool cmd_dead_after_resume(struct request *request)
{
	struct faults *faults = &request->fn->faults;
	const char *word = request->word[0];

	if (word && strcmp(word, "stubborn"))
		return fail(request, "stubborn, or nothing");
	faults->dead_armed = true;
	faults->stubborn = word;
	request->done++;
	return true;
}

static bool cmd_forgets(struct request *request)
{
	request->fn->faults.forgets_armed = true;
	request->done++;
	return true;
}

static bool cmd_signal_unslept(struct request *request)
{
	request->done += power_signal(request->fn);
	return true;
}

static bool cmd_irq_asleep(struct request *request)
{
	uint64_t vector;

	if (!parse_number(request->word[0], 31, &vector))
		return fail(request, "which vector?");
	if (request->fn->power.engaged)
		request->done += interrupts_signal_asleep(request->fn, (uint32_t)vector);
	return true;
}

static bool cmd_err(struct request *request)
{
	request->done += interrupts_signal(request->fn, VFIO_PCI_ERR_IRQ_INDEX, 0);
	return true;
}

static bool cmd_req(struct request *request)
{
	request->done += interrupts_signal(request->fn, VFIO_PCI_REQ_IRQ_INDEX, 0);
	return true;
}

static bool cmd_late(struct request *request)
{
	if (!parse_ms(request->word[0], &request->fn->faults.late_us))
		return fail(request, "how many ms?");
	if (!request->fn->faults.late_us)
		server_release(request->fn);
	request->done++;
	return true;
}

static bool cmd_garbage(struct request *request)
{
	const char *word = request->word[0];

	if (word && strcmp(word, "id") && strcmp(word, "size"))
		return fail(request, "id, size, or nothing for both");
	request->fn->faults.wrong_id = !word || !strcmp(word, "id");
	request->fn->faults.wrong_size = !word || !strcmp(word, "size");
	request->done++;
	return true;
}

static bool cmd_config(struct request *request)
{
	if (!request->word[0] || config_fault(request->fn, request->word[0]))
		return fail(request, "no such fault of config space");
	request->done++;
	return true;
}

static bool cmd_well(struct request *request)
{
	request->fn->faults = (struct faults){0};
	server_release(request->fn);
	request->done++;
	return true;
}

const struct function_command function_commands[] = {
	{"wake", cmd_wake, NULL},
	{"refuse-entry", cmd_refuse_entry, NULL},
	{"refuse-exit", cmd_refuse_exit, NULL},
	{"resume-delay", cmd_resume_delay, NULL},
	{"resume-never", cmd_resume_never, NULL},
	{"reset-delay", cmd_reset_delay, NULL},
	{"ones", cmd_ones, NULL},
	{"vanish", cmd_vanish, NULL},
	{"dead-after-resume", cmd_dead_after_resume, NULL},
	{"forgets-header", cmd_forgets, NULL},
	{"signal-unslept", cmd_signal_unslept, "no wake-up eventfd was ever given"},
	{"irq-asleep", cmd_irq_asleep, "not engaged, or no eventfd for that vector"},
	{"err", cmd_err, "not routed"},
	{"req", cmd_req, "not routed"},
	{"late", cmd_late, NULL},
	{"garbage", cmd_garbage, NULL},
	{"config", cmd_config, NULL},
	{"well", cmd_well, NULL},
	{0},
};
