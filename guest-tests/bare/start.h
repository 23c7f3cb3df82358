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
/* Where the first CPU begins after S3: not the first byte of a segment. */
#define WAKE_START 0xb005

#ifdef __ASSEMBLER__
/* To 64-bit mode, by a far jump afterwards: from protected mode, or from real mode at once. */
.macro ENABLE_LONG_MODE
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0x20, %eax          /* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx    /* EFER */
	rdmsr
	orl $0x100, %eax          /* LME */
	wrmsr
	movl $0x80000011, %eax    /* PG, ET, PE */
	movl %eax, %cr0
.endm

.macro LOAD_DATA_SEGMENTS
	movw $SELECTOR_DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
.endm
#endif

#endif
