/*
 * What the start code, written in assembler, and the runtime must agree on.
 */
#ifndef GUEST_TESTS_BARE_START_H
#define GUEST_TESTS_BARE_START_H

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define GDT_SIZE 24

/* Pages below 1 MiB where other CPUs start: in real mode, counting themselves, or for C. */
#define AP_START 0x8000
#define AP_COUNTS 0x9000
#define AP_LONG_START 0xa000

#endif
