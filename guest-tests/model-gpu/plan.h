/*
 * What happens at an entry, as the guest has planned it: after the command "plan on" SCRATCH of a
 * function, when its high byte is PLAN_MAGIC, is not only a register but says what the function
 * does from its next entry on. So a guest that asks for thousands of wakes knows which of them to
 * expect, for one write each. Guests include this header, too.
 */
#ifndef GUEST_TESTS_MODEL_GPU_PLAN_H
#define GUEST_TESTS_MODEL_GPU_PLAN_H

#define PLAN_MAGIC 0xa5000000U
#define PLAN_MAGIC_MASK 0xff000000U

/* Bits 23:20. */
#define PLAN_KIND_SHIFT 20
#define PLAN_KIND(word) ((word) >> PLAN_KIND_SHIFT & 0xf)
enum plan_kind {
	PLAN_NOTHING,
	PLAN_WAKE_BEFORE_ANSWER,
	PLAN_WAKE_IN_ENTRY, /* before the answer, and signalled again right after it */
	PLAN_WAKE_AFTER,    /* so many microseconds after the answer */
	PLAN_REFUSE,        /* the entry is refused with this errno */
	PLAN_STALE_SIGNAL,  /* a signal that nobody waits for any more, behind the answer of EXIT */
};

/* Bits 19:16: milliseconds that the next EXIT takes. */
#define PLAN_RESUME_SHIFT 16
#define PLAN_RESUME_MS(word) ((word) >> PLAN_RESUME_SHIFT & 0xf)

/* Bits 15:0: of WAKE_AFTER and REFUSE. */
#define PLAN_VALUE(word) ((word) & 0xffff)

#endif
