/*
 * The input is what a driver does to the watchdog, and when the main loop and resets come: eight
 * bytes a step, a verb, a length, an offset and a value. Whatever it is, the registers show what a
 * simple model of them says.
 */
#include <string.h>

#include "devices/watchdog.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

struct model {
	bool running, fired, was_fired;
	uint32_t count, loaded; /* loaded: the most that can be left */
};

static struct bus *port;
static struct watchdog *watchdog;

static uint64_t guest_access(bool is_write, uint16_t at, unsigned int len, uint64_t value)
{
	struct bus_access access = {.len = len, .is_write = is_write, .value = value};

	bus_access(port, at, &access);
	return access.value;
}

static void model_write(struct model *model, uint64_t off, uint32_t value)
{
	bool run = value & WATCHDOG_CONTROL_RUN;

	if (off == WATCHDOG_CONTROL && run && !model->running)
		model->loaded = model->count;
	if (off == WATCHDOG_CONTROL)
		model->running = run;
	if (off == WATCHDOG_COUNT)
		model->count = !value ? 1 : value < WATCHDOG_COUNT_MAX ? value
								       : WATCHDOG_COUNT_MAX;
	if (off == WATCHDOG_CURRENT)
		model->loaded = model->count;
	if (off == WATCHDOG_STATUS && (value & WATCHDOG_STATUS_FIRED))
		model->was_fired = false;
}

static void model_reset(struct model *model)
{
	*model = (struct model){.was_fired = model->fired, .count = WATCHDOG_COUNT_DEFAULT};
}

static void model_stop(struct model *model)
{
	model->running = false;
	model->count = WATCHDOG_COUNT_DEFAULT;
}

static void check(const struct model *model)
{
	uint64_t left = guest_access(false, PORT_WATCHDOG + WATCHDOG_CURRENT, 4, 0);

	fuzz_must(guest_access(false, PORT_WATCHDOG + WATCHDOG_CONTROL, 4, 0) == model->running,
		  "it does not run, or not stand");
	fuzz_must(guest_access(false, PORT_WATCHDOG + WATCHDOG_COUNT, 4, 0) == model->count,
		  "another count");
	fuzz_must(guest_access(false, PORT_WATCHDOG + WATCHDOG_STATUS, 4, 0) == model->was_fired,
		  "another status");
	fuzz_must(model->running ? left <= model->loaded : left == model->count,
		  "more is left than there was");
}

static void step(struct model *model, struct fuzz_input *input)
{
	unsigned int verb = (unsigned int)fuzz_take(input, 1) % 9;
	unsigned int len = 1U << fuzz_take(input, 1) % 4;
	uint16_t off = (uint16_t)(fuzz_take(input, 2) % WATCHDOG_SIZE);
	uint32_t value = (uint32_t)fuzz_take(input, 4);

	if (verb < 4) {
		off &= 0xfffc;
		guest_access(true, PORT_WATCHDOG + off, 4, value);
		model_write(model, off, value);
	} else if (verb == 4 && (len < 4 || off % 4)) {
		guest_access(true, PORT_WATCHDOG + off, len < 4 ? len : 4, value);
	} else if (verb == 5) {
		guest_access(false, PORT_WATCHDOG + off, len, 0);
	} else if (verb == 6 && watchdog_timer(watchdog)) {
		fuzz_must(model->running, "it fires and does not run");
		model->running = false;
		model->fired = true;
	} else if (verb == 7) {
		watchdog_reset(watchdog);
		model_reset(model);
	} else if (verb == 8) {
		watchdog_sleep(watchdog);
		model_stop(model);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t seed[] = {
		0, 2, 4, 0, 1, 0, 0, 0, /* a count of one */
		0, 2, 0, 0, 1, 0, 0, 0, /* run */
		0, 2, 8, 0, 1, 0, 0, 0, /* feed */
		6, 0, 0, 0, 0, 0, 0, 0, /* the main loop */
		7, 0, 0, 0, 0, 0, 0, 0, /* reset */
		8, 0, 0, 0, 0, 0, 0, 0, /* S3 */
		0, 2, 12, 0, 1, 0, 0, 0, /* clear the status */
		4, 2, 2, 0, 255, 255, 255, 255,
	};

	port = bus_create("port");
	watchdog = watchdog_create(port);
	fuzz_must(watchdog, "no watchdog");
	fuzz_write_seed(*argc, *argv, "driver", seed, sizeof(seed));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct model model = {.count = WATCHDOG_COUNT_DEFAULT};

	/* The first takes what the input before left of a countdown, the second its status. */
	watchdog_reset(watchdog);
	watchdog_reset(watchdog);
	while (input.size) {
		step(&model, &input);
		check(&model);
	}
	return 0;
}
