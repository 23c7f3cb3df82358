/*
 * Inside vfio/: one iommufd with one I/O address space, which all devices of the machine are
 * attached to. It is opened with the first device and closed with the last; the kernel forgets the
 * address space and its mappings at that point, and so does this.
 * Thread: one at a time; vfio/container.c, its owner, has the lock.
 */
#ifndef VFIO_IOMMUFD_H
#define VFIO_IOMMUFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vfio_syscalls;

#define IOMMUFD_PATH "/dev/iommu"

struct iommufd {
	const struct vfio_syscalls *sys;
	int fd; /* -1: closed */
	uint32_t ioas;
};

void iommufd_init(struct iommufd *iommufd, const struct vfio_syscalls *sys);

/* Opens it and makes the address space; once. With a sentence. */
int iommufd_open(struct iommufd *iommufd, char *ret_why, size_t why_size);
void iommufd_close(struct iommufd *iommufd); /* also when it is not open */

/* Binds the open node `fd` of device `name` and attaches it to the address space: from now on the
 * device answers. With a sentence. What is done ends when `fd` is closed. */
int iommufd_attach(const struct iommufd *iommufd, int fd, const char *name, char *ret_why,
		   size_t why_size);

/* DMA to [iova, iova + size) reaches `hva`. And: what was mapped by one such call is undone. */
int iommufd_map(const struct iommufd *iommufd, uint64_t iova, uint64_t size, void *hva);
int iommufd_unmap(const struct iommufd *iommufd, uint64_t iova, uint64_t size);

#endif
