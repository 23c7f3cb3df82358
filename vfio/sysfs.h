/*
 * Reading the host's sysfs, which wakes no device. `sysfs` is "/sys" but in tests.
 */
#ifndef VFIO_SYSFS_H
#define VFIO_SYSFS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the PCI device `name` ("0000:01:00.0") is; false: the path is too long. */
bool sysfs_device_dir(const char *sysfs, const char *name, char ret_dir[PATH_MAX]);

/* The first line of dir/name, cut at `size`, without its end; false when there is none. */
bool sysfs_read_line(const char *dir, const char *name, char *ret_line, size_t size);

/* The number in dir/name, decimal or with 0x hexadecimal; false: none, or an empty line. */
bool sysfs_read_number(const char *dir, const char *name, uint64_t *ret_number);

/* The last part of the symbolic link dir/name ("vfio-pci" of "driver"); "": there is none. */
void sysfs_link_name(const char *dir, const char *name, char *ret_name, size_t size);

#endif
