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
	ENABLE_LONG_MODE
	ljmpl $SELECTOR_CODE, $ap_start_64
	.align 4
ap_gdt_pointer:
	.word GDT_SIZE - 1
	.long gdt
ap_long_end:

	.text
	.code64
ap_start_64:
	LOAD_DATA_SEGMENTS
	movq ap_stack, %rsp
	call ap_main
1:	cli
	hlt
	jmp 1b

	.section .note.GNU-stack, "", @progbits
