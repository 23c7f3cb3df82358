/*
 * Start of a bare-metal guest: from the PVH entry (Xen, docs/misc/pvh.pandoc, "x86/HVM direct boot
 * ABI": 32-bit protected mode, no paging, ebx points at hvm_start_info) to 64-bit C, and the stubs
 * of the interrupt vectors. All of the low 4 GiB is mapped one to one; the tables are made by the
 * assembler, because guests may run on a very slow CPU.
 */
#include "guest-tests/bare/start.h"

#define STACK_SIZE 16384
#define VECTORS 64

	.section .note.Xen, "a", @note
	.align 4
	.long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad start_32

	.text
	.globl start_32
	.code32
start_32:
	cli
	cld
	movl $stack_top, %esp
	movl %ebx, start_info
	lgdt gdt_pointer
	ENABLE_LONG_MODE
	ljmp $SELECTOR_CODE, $start_64

	.code64
start_64:
	LOAD_DATA_SEGMENTS
	call bare_main
1:	hlt
	jmp 1b

/* Exceptions that push an error code: 8, 10 to 14, 17, 21. The others get a zero. */
#define ERROR_CODES 0x227d00

	.globl interrupt_stubs
	.align 16
interrupt_stubs:
	.set vector, 0
	.rept VECTORS
	.align 16
	.if vector >= 32 || ((ERROR_CODES >> (vector & 31)) & 1) == 0
	pushq $0
	.endif
	pushq $vector
	jmp interrupt_common
	.set vector, vector + 1
	.endr

interrupt_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	movq 72(%rsp), %rdi       /* vector */
	movq 80(%rsp), %rsi       /* error code */
	movq 88(%rsp), %rdx       /* rip */
	cld
	call interrupt
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	.section .rodata
	.globl ap_trampoline, ap_trampoline_end
	.code16
/* Copied to a page below 1 MiB; an AP starts here in real mode, counts itself and rests. */
ap_trampoline:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movl $1, %eax
	cpuid
	shrl $24, %ebx            /* initial APIC ID */
	lock incb AP_COUNTS(%bx)
1:	hlt
	jmp 1b
ap_trampoline_end:
	.code64

	.align 8
	.globl gdt
gdt:
	.quad 0
	.quad 0x00af9b000000ffff  /* 64-bit code */
	.quad 0x00cf93000000ffff  /* data */
gdt_pointer:
	.word GDT_SIZE - 1
	.long gdt

	.data
	.align 4096
	.globl pml4
pml4:
	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:
	.quad directories + 0x0003, directories + 0x1003, directories + 0x2003
	.quad directories + 0x3003
	.fill 508, 8, 0
directories:
	.set page, 0
	.rept 2048
	.quad page * 0x200000 + 0x83
	.set page, page + 1
	.endr

	.bss
	.align 16
	.skip STACK_SIZE
stack_top:

	.section .note.GNU-stack, "", @progbits
