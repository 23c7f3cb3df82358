/* A disk that BIOS boots: its first sector has read the second, which reports and ends the
 * guest. */
#include "guest-tests/bare/start_disk.h"

sector_1:
	movw $loaded, %si
	call print
	xorb %al, %al
	jmp end
loaded:
	.asciz "PASS it has read the second\r\n"
	.org 1024
disk_end:
