/*
 * Apart, because <linux/stat.h> and <sys/stat.h> each have a struct statx, of which only the former
 * has these fields (Linux 6.1).
 */
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/block_image.h"

#define AT_EMPTY_PATH_FLAG 0x1000 /* Linux, include/uapi/linux/fcntl.h: AT_EMPTY_PATH */

void block_dio_alignment(int fd, uint32_t *ret_memory, uint32_t *ret_offset)
{
	struct statx status = {.stx_mask = 0};

	*ret_memory = *ret_offset = 0;
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH_FLAG, STATX_DIOALIGN, &status) ||
	    !(status.stx_mask & STATX_DIOALIGN))
		return;
	*ret_memory = status.stx_dio_mem_align;
	*ret_offset = status.stx_dio_offset_align;
}
