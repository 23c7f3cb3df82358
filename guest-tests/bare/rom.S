/*
 * A bare-metal guest as firmware: a ROM that ends at 4 GiB, in which a CPU begins at the reset
 * vector. It copies the guest's ELF file, which is in it, to where that wants to be, and goes on
 * as a PVH boot loader would. GUEST is the file, ROM_SIZE a multiple of 4 KiB.
 */
#include "guest-tests/bare/start.h"

/* ELF-64, lower halves of 64-bit fields */
#define E_ENTRY 0x18
#define E_PHOFF 0x20
#define E_PHNUM 0x38
#define P_TYPE 0x00
#define   PT_LOAD 1
#define P_OFFSET 0x08
#define P_PADDR 0x18
#define P_FILESZ 0x20
#define P_MEMSZ 0x28
#define PH_SIZE 0x38

#define START_MAGIC 0x336ec578 /* of hvm_start_info */
#define TAIL 0x1000            /* the ROM's last page has the code */

	.text
guest:
	.incbin GUEST

	.org ROM_SIZE - TAIL
	.code32
	.globl protected
protected:
	movw $SELECTOR_DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	cld
	movl $guest, %ebp
	movzwl guest + E_PHNUM, %edx
	addl guest + E_PHOFF, %ebp
1:	cmpl $PT_LOAD, P_TYPE(%ebp)
	jne 2f
	movl P_OFFSET(%ebp), %esi
	addl $guest, %esi
	movl P_PADDR(%ebp), %edi
	movl P_FILESZ(%ebp), %ecx
	rep movsb
	movl P_MEMSZ(%ebp), %ecx
	subl P_FILESZ(%ebp), %ecx
	xorl %eax, %eax
	rep stosb
2:	addl $PH_SIZE, %ebp
	decl %edx
	jnz 1b
	movl $info, %ebx
	jmp *guest + E_ENTRY

	.code16
real:
	cli
	lgdtl %cs:gdt_pointer - segment
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $SELECTOR_CODE, $protected

	.align 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff /* 32-bit code */
	.quad 0x00cf93000000ffff /* data */
gdt_pointer:
	.word . - gdt - 1
	.long gdt

/* Version 1: no modules, an empty command line, no tables, no memory map. */
	.align 8
info:
	.long START_MAGIC, 1, 0, 0
	.quad 0, cmdline, 0, 0
	.long 0, 0
cmdline:
	.byte 0

/* Intel SDM, First Instruction Executed: CS has a base of 0xffff0000. */
	.set segment, guest + ROM_SIZE - 0x10000
	.org ROM_SIZE - 16
	.code16
	jmp real
	.org ROM_SIZE

	.section .note.GNU-stack, "", @progbits
