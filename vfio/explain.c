#include "vfio/explain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bits.h"

/*
 * What each step's errors mean and what helps, as Linux 6.1 returns them (drivers/vfio/vfio_main.c,
 * container.c, vfio_iommu_type1.c, pci/vfio_pci_core.c) and, for iommufd, Linux 6.12
 * (drivers/vfio/device_cdev.c, drivers/iommu/iommufd/device.c). Error 0: any other, told by its
 * name.
 */
static const struct {
	enum vfio_step step;
	int error;
	const char *before, *after;
} sentences[] = {
	{VFIO_STEP_OPEN_CONTAINER, ENOENT, "",
	 " is missing: load VFIO as root, modprobe -a vfio-pci vfio_iommu_type1"},
	{VFIO_STEP_OPEN_CONTAINER, ENODEV, "",
	 " has no driver: load VFIO as root, modprobe -a vfio-pci vfio_iommu_type1"},
	{VFIO_STEP_OPEN_CONTAINER, EACCES, "no permission on ",
	 ": everybody may have it, as root chmod 0666 /dev/vfio/vfio"},
	{VFIO_STEP_OPEN_CONTAINER, 0, "cannot open ", ""},

	{VFIO_STEP_CHECK_VERSION, 0, "", " speaks another version of VFIO than Linux's first"},

	{VFIO_STEP_OPEN_GROUP, ENOENT, "",
	 " is missing although its devices are bound to vfio-pci: is devtmpfs mounted on /dev?"},
	{VFIO_STEP_OPEN_GROUP, EACCES, "no permission on ",
	 ": chown it to your user as root, or run minivmm as root"},
	{VFIO_STEP_OPEN_GROUP, EBUSY, "",
	 " is in use by another program: as root, fuser -v /dev/vfio/* names it"},
	{VFIO_STEP_OPEN_GROUP, 0, "cannot open ", ""},

	{VFIO_STEP_CHECK_VIABLE, EPERM, "the kernel says that the IOMMU group of ",
	 " is not viable: a driver of the host or another program holds one of its devices"},
	{VFIO_STEP_CHECK_VIABLE, 0, "cannot ask the status of ", ""},

	{VFIO_STEP_ADD_GROUP, EPERM, "the kernel does not give us the IOMMU group of ",
	 ": a driver of the host holds one of its devices, or it lacks interrupt remapping (see "
	 "dmesg)"},
	{VFIO_STEP_ADD_GROUP, EBUSY, "the IOMMU group of ",
	 " is attached elsewhere: another program uses one of its devices"},
	{VFIO_STEP_ADD_GROUP, 0, "cannot add to the container: ", ""},

	{VFIO_STEP_SET_IOMMU, ENODEV, "no IOMMU driver of VFIO for ",
	 ": load it as root, modprobe vfio_iommu_type1"},
	{VFIO_STEP_SET_IOMMU, EPERM, "no interrupt remapping for ",
	 ": switch it on in the firmware set-up or, where every guest is trusted, "
	 "echo Y >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"},
	{VFIO_STEP_SET_IOMMU, 0, "cannot attach the IOMMU to ", ""},

	{VFIO_STEP_OPEN_DEVICE, ENODEV, "VFIO does not have ",
	 ": it was unbound from vfio-pci a moment ago"},
	{VFIO_STEP_OPEN_DEVICE, EACCES, "VFIO does not give out ",
	 ": it is a virtual function whose token is needed, which minivmm cannot give"},
	{VFIO_STEP_OPEN_DEVICE, EAGAIN, "",
	 " cannot be reset now, something else on the host holds it: try again"},
	{VFIO_STEP_OPEN_DEVICE, EIO, "",
	 " does not wake up: it may be lost until the host's next power cycle (see dmesg)"},
	{VFIO_STEP_OPEN_DEVICE, 0, "VFIO does not give out ", ""},

	{VFIO_STEP_OPEN_IOMMUFD, ENOENT, "",
	 " is missing: iommufd needs Linux 6.6 with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV; as "
	 "root, modprobe iommufd loads it; --vfio-backend group does without"},
	{VFIO_STEP_OPEN_IOMMUFD, EACCES, "no permission on ",
	 ": chown it to your user as root, or run minivmm as root"},
	{VFIO_STEP_OPEN_IOMMUFD, 0, "cannot open ", ""},

	{VFIO_STEP_ALLOC_IOAS, 0, "cannot make an I/O address space of ", ""},

	{VFIO_STEP_OPEN_NODE, ENOENT, "",
	 " is missing: the device's own node needs Linux 6.6 with CONFIG_VFIO_DEVICE_CDEV; "
	 "--vfio-backend group does without"},
	{VFIO_STEP_OPEN_NODE, EACCES, "no permission on ",
	 ": chown it to your user as root, or run minivmm as root"},
	{VFIO_STEP_OPEN_NODE, ENODEV, "no device behind ",
	 ": it was unbound from vfio-pci a moment ago"},
	{VFIO_STEP_OPEN_NODE, 0, "cannot open ", ""},

	{VFIO_STEP_BIND, EBUSY, "",
	 " is in use: another program holds it or a device of its IOMMU group (as root, fuser -v "
	 "/dev/vfio/* /dev/vfio/devices/* names it)"},
	/* The node was opened before; or IOMMUFD asks for IOMMU_CAP_CACHE_COHERENCY. */
	{VFIO_STEP_BIND, EINVAL, "",
	 " is in use: another program holds it (as root, fuser -v /dev/vfio/devices/* names it); "
	 "or its IOMMU does not keep caches coherent, then try --vfio-backend group"},
	{VFIO_STEP_BIND, EPERM, "no interrupt remapping for ",
	 ": switch it on in the firmware set-up or, where every guest is trusted, "
	 "echo Y >/sys/module/iommufd/parameters/allow_unsafe_interrupts"},
	{VFIO_STEP_BIND, EAGAIN, "",
	 " cannot be reset now, something else on the host holds it: try again"},
	{VFIO_STEP_BIND, EIO, "",
	 " does not wake up: it may be lost until the host's next power cycle (see dmesg)"},
	{VFIO_STEP_BIND, 0, "iommufd does not take ", ""},

	{VFIO_STEP_ATTACH, EADDRINUSE, "",
	 " reserves addresses where another slot's DMA already has guest RAM: give less --memory"},
	{VFIO_STEP_ATTACH, 0, "iommufd has no address space for ", ""},

	{VFIO_STEP_READ_DEVICE, ENOTTY, "", " is not a PCI device in the eyes of VFIO"},
	{VFIO_STEP_READ_DEVICE, EIO, "",
	 " does not wake up: it may be lost until the host's next power cycle (see dmesg)"},
	{VFIO_STEP_READ_DEVICE, 0, "VFIO does not describe ", ""},
};

void vfio_explain(enum vfio_step step, const char *what, int error, char *ret_why, size_t why_size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sentences); i++) {
		if (sentences[i].step != step)
			continue;
		if (sentences[i].error && sentences[i].error != -error)
			continue;
		snprintf(ret_why, why_size, "%s%s%s%s%s", sentences[i].before, what,
			 sentences[i].after, sentences[i].error ? "" : ": ",
			 sentences[i].error ? "" : strerror(-error));
		return;
	}
}

int vfio_fail(enum vfio_step step, const char *what, int error, char *ret_why, size_t why_size)
{
	vfio_explain(step, what, error, ret_why, why_size);
	return error;
}

void vfio_explain_map(int error, uint64_t gpa, uint64_t size, uint64_t need, uint64_t limit,
		      char *ret_why, size_t why_size)
{
	unsigned long long need_kib = align_up(need, KIB) / KIB;

	if ((error == -ENOMEM || error == -EPERM) && need > limit)
		snprintf(ret_why, why_size,
			 "the limit on locked memory is %llu KiB, but DMA locks all guest RAM, "
			 "%llu KiB: run sudo prlimit --pid $$ --memlock=unlimited in this shell or "
			 "give less --memory", (unsigned long long)(limit / KIB), need_kib);
	else if (error == -ENOMEM)
		snprintf(ret_why, why_size,
			 "the host has too little free memory to lock all guest RAM for DMA, "
			 "%llu KiB: stop something else or give less --memory", need_kib);
	else
		snprintf(ret_why, why_size,
			 "the host's IOMMU does not map guest RAM at 0x%llx to 0x%llx: %s%s",
			 (unsigned long long)gpa, (unsigned long long)(gpa + size - 1),
			 strerror(-error), error == -EINVAL ?
			 " (it lacks or reserves some of these addresses: try less --memory)" : "");
}
