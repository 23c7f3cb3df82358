/*
 * One run of the VMM that is killed in the middle of what its guest writes and acknowledges.
 */
#ifndef GUEST_TESTS_BARE_HOST_CUT_H
#define GUEST_TESTS_BARE_HOST_CUT_H

#include <stdbool.h>
#include <stdint.h>

/* When the cuts come: the same seed, the same moments. */
void cut_seed(uint64_t seed);

/*
 * Runs `argv`, lets the guest say "acked 0xNUMBER" up to `acks_max` times, kills the VMM a moment
 * later. `*ret_acked`: the last number that was said. False: it ended by itself, or nothing was
 * acknowledged; that is told as "FAIL cut/NAME".
 */
bool cut_run(char *argv[], const char *name, unsigned int acks_max, uint64_t *ret_acked);

#endif
