/*
 * A disk that SeaBIOS boots, beside a model GPU with 32 GiB of VRAM: where has the firmware put the
 * BAR, does the port above forward it, and is the device there, at the first and the last byte?
 */
#include "guest-tests/bare/start.h"
#include "guest-tests/bare/start_disk.h"

#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc
#define PORT(reg) (0x80000800 | (reg)) /* 00:01.0 */
#define GPU(reg) (0x80010000 | (reg))  /* 01:00.0, as SeaBIOS counts */
#define GPU_ID 0x00f01b36
#define BAR_2 0x18
#define BAR_3 0x1c
#define BAR_FLAGS 0xc   /* 64 bits, prefetchable */
#define BAR_HIGH 8      /* its size, in units of the upper half: 32 GiB */
#define PREFETCH_BASE_HIGH 0x28
#define PREFETCH_LIMIT_HIGH 0x2c

#define TABLES 0x10000  /* PML4, PDPT, then two page directories */
#define TABLES_SIZE 0x4000
#define TABLE 0x03
#define LARGE 0x83      /* a page of 2 MiB, writable */
#define WINDOW 0x40000000 /* where both ends of the BAR are seen */
#define WINDOW_END (WINDOW + 0x400000)

	/* %eax = the register's address, then its value */
	.macro pci_get address
	movl $\address, %eax
	call pci_read
	.endm

	.macro must condition, text
	movw $\text, %si
	j\condition 1f
	jmp failed
1:
	.endm

sector_1:
	pci_get GPU(0)
	cmpl $GPU_ID, %eax
	must e, no_gpu
	pci_get GPU(BAR_2)
	cmpl $BAR_FLAGS, %eax
	must e, misplaced
	pci_get GPU(BAR_3)
	movl %eax, high
	testl %eax, %eax
	must nz, misplaced
	testb $(BAR_HIGH - 1), %al
	must z, misplaced
	pci_get PORT(PREFETCH_BASE_HIGH)
	cmpl high, %eax
	must be, not_forwarded
	pci_get PORT(PREFETCH_LIMIT_HIGH)
	subl $(BAR_HIGH - 1), %eax
	cmpl high, %eax
	must ae, not_forwarded
	movw $placed, %si
	call print

	movw $(TABLES / 16), %ax
	movw %ax, %es
	xorw %di, %di
	xorl %eax, %eax
	movw $(TABLES_SIZE / 4), %cx
	rep stosl
	movl $(TABLES + 0x1000 + TABLE), %es:0
	movl $(TABLES + 0x2000 + TABLE), %es:0x1000
	movl $(TABLES + 0x3000 + TABLE), %es:0x1008
	movl $LARGE, %es:0x2000
	movl high, %eax
	movl $LARGE, %es:0x3000
	movl %eax, %es:0x3004
	addl $(BAR_HIGH - 1), %eax
	movl $(0xffe00000 + LARGE), %es:0x3008
	movl %eax, %es:0x300c
	.set pml4, TABLES
	cli
	lgdtl gdt_pointer
	ENABLE_LONG_MODE
	ljmpl $8, $long_mode

pci_read:
	movw $PCI_ADDRESS, %dx
	outl %eax, %dx
	movw $PCI_DATA, %dx
	inl %dx, %eax
	ret

failed:
	call print
	movb $1, %al
	jmp end

	.code64
long_mode:
	movl $0x11223344, WINDOW
	movl $0x55667788, WINDOW_END - 4
	cmpl $0x11223344, WINDOW
	jne 2f
	cmpl $0x55667788, WINDOW_END - 4
	jne 2f
	cmpl $0, WINDOW + 4
	jne 2f
	movl $there, %esi
	xorl %ecx, %ecx
	jmp say
2:	movl $elsewhere, %esi
	movb $1, %cl
say:	lodsb
	testb %al, %al
	jz 4f
	movb %al, %bl
	movw $COM1_LSR, %dx
3:	inb %dx, %al
	testb $LSR_THRE, %al
	jz 3b
	movw $COM1, %dx
	movb %bl, %al
	outb %al, %dx
	jmp say
4:	movb %cl, %al
	outb %al, $DEBUG_EXIT
	hlt

	.align 8
gdt:
	.quad 0, 0x00af9b000000ffff /* 64-bit code */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt
high:
	.long 0
no_gpu:
	.asciz "FAIL the GPU is not at 01:00.0\r\n"
misplaced:
	.asciz "FAIL the BAR is not at a multiple of 32 GiB\r\n"
not_forwarded:
	.asciz "FAIL the port's window does not hold the BAR\r\n"
placed:
	.asciz "PASS a BAR of 32 GiB has its place, and the port's window holds it\r\n"
there:
	.asciz "PASS its ends are the device's\r\n"
elsewhere:
	.asciz "FAIL its ends do not keep what is written\r\n"
	.org 2048
disk_end:
