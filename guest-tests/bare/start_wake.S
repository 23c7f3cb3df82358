/*
 * S3 and back: what the first CPU runs when it is handed over at the waking vector, in real mode or
 * in protected mode, until it is back in the C that went to sleep.
 */
#include "guest-tests/bare/start.h"

#define HERE(symbol) (WAKE_START + symbol - wake_real)

	.section .rodata
	.globl wake_real, wake_real_end
	.code16
/* Copied to WAKE_START, below 1 MiB. There is no stack yet: where it began is known from what
 * follows, which is relative to the code segment. */
wake_real:
	cli
	cld
	movw %cs, %bx
	xorw %ax, %ax
	movw %ax, %ds
	movw %bx, HERE(wake_segment)
	lgdtl HERE(wake_gdt_pointer)
	ENABLE_LONG_MODE
	ljmpl $SELECTOR_CODE, $wake_64
	.align 4
wake_gdt_pointer:
	.word GDT_SIZE - 1
	.long gdt
wake_segment:
	.word 0
wake_real_end:

	.text
	.globl wake_32
	.code32
wake_32:
	cli
	cld
	lgdt HERE(wake_gdt_pointer)
	ENABLE_LONG_MODE
	ljmp $SELECTOR_CODE, $wake_64

	.code64
/* bool sleep_until_woken(void (*fall_asleep)(void)): false when that came back. */
	.globl sleep_until_woken
sleep_until_woken:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, wake_stack
	subq $8, %rsp
	call *%rdi
	xorl %eax, %eax
	jmp 1f
wake_64:
	LOAD_DATA_SEGMENTS
	movl $1, %eax
1:	movq wake_stack, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	.bss
	.align 8
wake_stack:
	.skip 8

	.section .note.GNU-stack, "", @progbits
