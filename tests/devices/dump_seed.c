/*
 * Writes the volume of --cloud-init DIR to standard output, for tests/devices/check-cloud-init:
 *
 *   dump_seed DIR
 */
#include <stdio.h>
#include <unistd.h>

#include "devices/block_image.h"
#include "devices/nocloud.h"

int main(int argc, char **argv)
{
	struct block_image image;
	char why[512], bytes[4096];
	ssize_t len;

	if (argc != 2) {
		fprintf(stderr, "usage: dump_seed DIR >VOLUME\n");
		return 2;
	}
	if (nocloud_open(argv[1], &image, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	for (off_t at = 0; (len = pread(image.fd, bytes, sizeof(bytes), at)) > 0; at += len)
		if (fwrite(bytes, 1, (size_t)len, stdout) != (size_t)len)
			return 1;
	block_image_close(&image);
	return len < 0 || fflush(stdout) ? 1 : 0;
}
