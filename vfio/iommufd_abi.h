/*
 * Inside vfio/: the part of the kernel's iommufd ABI that is used here, where the installed headers
 * are older than it (Debian 12 has those of Linux 6.1). Names and layouts are those of Linux 6.12,
 * include/uapi/linux/iommufd.h (in Linux since 6.2) and include/uapi/linux/vfio.h (these two calls:
 * since 6.6).
 */
#ifndef VFIO_IOMMUFD_ABI_H
#define VFIO_IOMMUFD_ABI_H

#include <assert.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/vfio.h>

#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#else
struct iommu_ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_ioas_id;
};

enum iommufd_ioas_map_flags {
	IOMMU_IOAS_MAP_FIXED_IOVA = 1 << 0,
	IOMMU_IOAS_MAP_WRITEABLE = 1 << 1,
	IOMMU_IOAS_MAP_READABLE = 1 << 2,
};

struct iommu_ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
};

struct iommu_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length;
};

#define IOMMUFD_TYPE (';')
#define IOMMU_IOAS_ALLOC _IO(IOMMUFD_TYPE, 0x81)
#define IOMMU_IOAS_MAP _IO(IOMMUFD_TYPE, 0x85)
#define IOMMU_IOAS_UNMAP _IO(IOMMUFD_TYPE, 0x86)
#endif

#ifndef VFIO_DEVICE_BIND_IOMMUFD
struct vfio_device_bind_iommufd {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
};

struct vfio_device_attach_iommufd_pt {
	__u32 argsz;
	__u32 flags;
	__u32 pt_id;
};

#define VFIO_DEVICE_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#endif

static_assert(sizeof(struct iommu_ioas_alloc) == 12, "iommufd.h");
static_assert(sizeof(struct iommu_ioas_map) == 40, "iommufd.h");
static_assert(sizeof(struct iommu_ioas_unmap) == 24, "iommufd.h");
static_assert(sizeof(struct vfio_device_bind_iommufd) == 16, "vfio.h");

#endif
