#include "vmm/kvm_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/bits.h"

/* What we build on. All of it is older than the VFIO low-power features (Linux 6.1). */
static const struct {
	int cap;
	const char *name;
} required[] = {
	{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
	{KVM_CAP_PIT2, "KVM_CAP_PIT2"},
	{KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
	{KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
	{KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE"},
	{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
	{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

static int check_version(int fd, char *why, size_t why_size)
{
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);

	if (version == KVM_API_VERSION)
		return 0;
	snprintf(why, why_size, "/dev/kvm is not KVM of API version %d: %s", KVM_API_VERSION,
		 version < 0 ? strerror(errno) : "it has another");
	return -ENOTSUP;
}

static int check_capabilities(int fd, char *why, size_t why_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
		if (ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)required[i].cap) > 0)
			continue;
		snprintf(why, why_size, "/dev/kvm lacks %s; a kernel from 6.1 has it",
			 required[i].name);
		return -ENOTSUP;
	}
	return 0;
}

static int fail_to_open(int error, char *why, size_t why_size)
{
	const char *hint = error == -ENOENT ? "load the module kvm_intel or kvm_amd and enable "
					      "virtualisation in the firmware setup"
			 : error == -EACCES ? "add yourself to the group kvm, or run as root"
					    : "see the kernel log";

	snprintf(why, why_size, "/dev/kvm: %s; %s", strerror(-error), hint);
	return error;
}

int kvm_device_open(const char *path, char *ret_why, size_t why_size)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int error;

	if (fd < 0)
		return fail_to_open(-errno, ret_why, why_size);
	error = check_version(fd, ret_why, why_size);
	if (!error)
		error = check_capabilities(fd, ret_why, why_size);
	if (!error)
		return fd;
	close(fd);
	return error;
}
