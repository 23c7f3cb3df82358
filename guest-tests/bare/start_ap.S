/*
 * Start of another CPU in 64-bit C: from the real mode of a start-up message to ap_main() on the
 * stack `ap_stack`, with the tables of the first CPU.
 */
#include "guest-tests/bare/start.h"

#define HERE(symbol) (AP_LONG_START + symbol - ap_long)

	.section .rodata
	.globl ap_long, ap_long_end
	.code16
/* Copied to AP_LONG_START, below 1 MiB. */
ap_long:
	cli
	cld
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl HERE(ap_gdt_pointer)
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0x20, %eax          /* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx    /* EFER */
	rdmsr
	orl $0x100, %eax          /* LME */
	wrmsr
	movl $0x80000011, %eax    /* PG, ET, PE: from real mode at once */
	movl %eax, %cr0
	ljmpl $SELECTOR_CODE, $ap_start_64
	.align 4
ap_gdt_pointer:
	.word GDT_SIZE - 1
	.long gdt
ap_long_end:

	.text
	.code64
ap_start_64:
	movw $SELECTOR_DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	movq ap_stack, %rsp
	call ap_main
1:	cli
	hlt
	jmp 1b

	.section .note.GNU-stack, "", @progbits
