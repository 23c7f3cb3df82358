#include "vfio/iommufd.h"

#include "vfio/explain.h"
#include "vfio/iommufd_abi.h"
#include "vfio/syscalls.h"

void iommufd_init(struct iommufd *iommufd, const struct vfio_syscalls *sys)
{
	*iommufd = (struct iommufd){.sys = sys, .fd = -1};
}

int iommufd_open(struct iommufd *iommufd, char *ret_why, size_t why_size)
{
	struct iommu_ioas_alloc alloc = {.size = sizeof(alloc)};
	int fd, r;

	if (iommufd->fd >= 0)
		return 0;
	fd = iommufd->sys->open(IOMMUFD_PATH);
	if (fd < 0)
		return vfio_fail(VFIO_STEP_OPEN_IOMMUFD, IOMMUFD_PATH, fd, ret_why, why_size);
	r = iommufd->sys->ioctl(fd, IOMMU_IOAS_ALLOC, &alloc);
	if (r < 0) {
		iommufd->sys->close(fd);
		return vfio_fail(VFIO_STEP_ALLOC_IOAS, IOMMUFD_PATH, r, ret_why, why_size);
	}
	iommufd->fd = fd;
	iommufd->ioas = alloc.out_ioas_id;
	return 0;
}

void iommufd_close(struct iommufd *iommufd)
{
	if (iommufd->fd < 0)
		return;
	iommufd->sys->close(iommufd->fd);
	iommufd->fd = -1;
}

int iommufd_attach(const struct iommufd *iommufd, int fd, const char *name, char *ret_why,
		   size_t why_size)
{
	struct vfio_device_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = iommufd->fd};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach), .pt_id = iommufd->ioas,
	};
	int r = iommufd->sys->ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);

	if (r < 0)
		return vfio_fail(VFIO_STEP_BIND, name, r, ret_why, why_size);
	r = iommufd->sys->ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	if (r < 0)
		return vfio_fail(VFIO_STEP_ATTACH, name, r, ret_why, why_size);
	return 0;
}

int iommufd_map(const struct iommufd *iommufd, uint64_t iova, uint64_t size, void *hva)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_READABLE,
		.ioas_id = iommufd->ioas,
		.user_va = (uintptr_t)hva,
		.length = size,
		.iova = iova,
	};

	return iommufd->sys->ioctl(iommufd->fd, IOMMU_IOAS_MAP, &map);
}

int iommufd_unmap(const struct iommufd *iommufd, uint64_t iova, uint64_t size)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = iommufd->ioas, .iova = iova, .length = size,
	};

	return iommufd->sys->ioctl(iommufd->fd, IOMMU_IOAS_UNMAP, &unmap);
}
