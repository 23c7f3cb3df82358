/*
 * Prints the metrics of two slots with every kind of number in them, for tests/vmm/check-metrics.
 */
#include <errno.h>
#include <stdio.h>

#include "vfio/vfio.h"
#include "vmm/api_describe.h"
#include "vmm/base/bits.h"
#include "vmm/events.h"

static void fill(struct vfio_function_status *fn, enum power_state state)
{
	*fn = (struct vfio_function_status){
		.exists = true, .name = "0000:01:00.0", .state = state, .has_host = true,
		.host = {.power_state = "D3cold", .suspended = true, .suspended_us = 1234567}};
	for (unsigned int i = 0; i < 40; i++) {
		stats_entry(&fn->stats, 0, 1ULL << i);
		stats_exit(&fn->stats, 1000ULL * i);
	}
	for (int error = 1; error < 20; error++)
		stats_entry(&fn->stats, -error, 0);
	for (unsigned int i = 0; i < POWER_CAUSES; i++)
		stats_wake(&fn->stats, (enum power_cause)i);
	stats_slept(&fn->stats, 90061000001, 1);
	fn->stats.losses = 2;
	fn->stats.recoveries = 1;
}

int main(void)
{
	static struct vfio_slot_status slot[2] = {
		{.id = "gpu0", .guest_on = true}, {.id = "gpu1", .hold_ms = 12345}};
	const struct api_slots slots = {slot, ARRAY_SIZE(slot), true}, none = {slot, 0, false};
	struct text text = {0};

	events_open(NULL);
	fill(&slot[0].fn[0], POWER_ENGAGED);
	fill(&slot[0].fn[1], POWER_REFUSED);
	slot[1].fn[0] = (struct vfio_function_status){.exists = true, .state = POWER_ON};
	metrics_write(&text, &slots);
	printf("%s", text.bytes);
	text_finish(&text);
	/* A machine without slots has valid metrics, too; the checker reads both. */
	printf("# EOF of the first\n");
	metrics_write(&text, &none);
	printf("%s", text.bytes);
	text_finish(&text);
	return 0;
}
