/*
 * The first sector of a disk that BIOS boots, in assembly: it reads the rest, from sector_1 to
 * disk_end, by INT 13h (Enhanced Disk Drive Specification, 42h Extended Read), and goes there, in
 * real mode. `end` ends the guest with the status in %al, `print` says the text at %si.
 */
#ifndef GUEST_TESTS_BARE_START_DISK_H
#define GUEST_TESTS_BARE_START_DISK_H

#define LOAD 0x7c00
#define COM1 0x3f8
#define COM1_LSR 0x3fd
#define LSR_THRE 0x20
#define DEBUG_EXIT 0xf4

	.code16
	.text
sector_0:
	ljmp $0, $start
start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $LOAD, %sp
	movb %dl, drive
	movw $booted, %si
	call print
	movw $packet, %si
	movb $0x42, %ah
	movb drive, %dl
	int $0x13
	jnc sector_1
	movw $unreadable, %si
	call print
	movb $1, %al
end:
	outb %al, $DEBUG_EXIT
	hlt
	jmp end

print:
	lodsb
	testb %al, %al
	jz 2f
	movb %al, %bl
	movw $COM1_LSR, %dx
1:	inb %dx, %al
	testb $LSR_THRE, %al
	jz 1b
	movw $COM1, %dx
	movb %bl, %al
	outb %al, %dx
	jmp print
2:	ret

	.align 4
packet:
	.byte 16, 0
	.word (disk_end - sector_1) / 512, sector_1, 0 /* how many, where to: offset, segment */
	.quad 1                    /* the first */
drive:
	.byte 0                    /* from BIOS */
booted:
	.asciz "PASS a boot sector runs\r\n"
unreadable:
	.asciz "FAIL the other sectors: they cannot be read\r\n"

	.org 510
	.word 0xaa55

#endif
