#include "vmm/kvm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/kvm_device.h"
#include "vmm/layout.h"

#define CPUID_ENTRIES_MAX 256
/* AMD64 APM vol. 3, Appendix E.4.7: physical address bits in EAX[7:0]. */
#define CPUID_ADDRESS_SIZES 0x80000008U
#define ADDRESS_BITS_DEFAULT 36U
#define ADDRESS_BITS_MAX 52U

int kvm_ioctl(int fd, unsigned long request, const void *argument)
{
	int result = ioctl(fd, (int)request, argument);

	return result < 0 ? -errno : result;
}

int kvm_ioctl_int(int fd, unsigned long request, unsigned long argument)
{
	int result = ioctl(fd, (int)request, argument);

	return result < 0 ? -errno : result;
}

static int read_limits(struct kvm *kvm)
{
	int cpus = kvm_ioctl_int(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	int run_size = kvm_ioctl_int(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	int error;

	if (run_size < 0)
		return run_size;
	kvm->run_size = (size_t)run_size;
	kvm->max_cpus = cpus > 0 && cpus < VCPU_MAX ? (unsigned int)cpus : VCPU_MAX;
	kvm->cpuid = calloc(1, sizeof(*kvm->cpuid) +
			       CPUID_ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2));
	if (!kvm->cpuid)
		return -ENOMEM;
	kvm->cpuid->nent = CPUID_ENTRIES_MAX;
	error = kvm_ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid);
	if (error < 0)
		return error;
	kvm->address_bits = ADDRESS_BITS_DEFAULT;
	for (uint32_t i = 0; i < kvm->cpuid->nent; i++)
		if (kvm->cpuid->entries[i].function == CPUID_ADDRESS_SIZES)
			kvm->address_bits = kvm->cpuid->entries[i].eax & 0xff;
	if (kvm->address_bits > ADDRESS_BITS_MAX)
		kvm->address_bits = ADDRESS_BITS_MAX;
	return 0;
}

static int create_vm(struct kvm *kvm)
{
	uint64_t identity_map = KVM_IDENTITY_MAP_START;
	/* The PC speaker's port 0x61 shares the PIT's gate; KVM answers for it. */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int error;

	kvm->vm_fd = kvm_ioctl_int(kvm->fd, KVM_CREATE_VM, 0);
	if (kvm->vm_fd < 0)
		return kvm->vm_fd;
	error = kvm_ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	if (!error)
		error = kvm_ioctl_int(kvm->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS_START);
	if (!error)
		error = kvm_ioctl_int(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0);
	if (!error)
		error = kvm_ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit);
	return error;
}

/* Linux api.rst, KVM_CAP_HALT_POLL. */
int kvm_set_halt_poll(const struct kvm *kvm, uint32_t us, char *ret_why, size_t why_size)
{
	const struct kvm_enable_cap cap = {.cap = KVM_CAP_HALT_POLL, .args = {us * UINT64_C(1000)}};
	int error = -EOPNOTSUPP;

	if (kvm_ioctl_int(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_HALT_POLL) > 0)
		error = kvm_ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap);
	if (!error)
		return 0;
	snprintf(ret_why, why_size, "--cpus halt-poll=%u: this host's KVM %s; without it the "
		 "host's /sys/module/kvm/parameters/halt_poll_ns counts", us,
		 error == -EOPNOTSUPP ? "has no such bound for one machine" : strerror(-error));
	return error;
}

/* The group's numbers serve a device's own file too (Linux 6.6 names them so in <linux/kvm.h>). */
int kvm_set_vfio_file(struct kvm *kvm, int vfio_fd, bool on)
{
	struct kvm_create_device device = {.type = KVM_DEV_TYPE_VFIO};
	int32_t fd = vfio_fd;
	struct kvm_device_attr attribute = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = on ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL,
		.addr = (uintptr_t)&fd,
	};

	if (kvm->vfio_fd < 0 && (!on || kvm_ioctl(kvm->vm_fd, KVM_CREATE_DEVICE, &device)))
		return 0;
	if (kvm->vfio_fd < 0)
		kvm->vfio_fd = (int)device.fd;
	return kvm_ioctl(kvm->vfio_fd, KVM_SET_DEVICE_ATTR, &attribute);
}

int kvm_open(struct kvm *kvm, char *ret_why, size_t why_size)
{
	int error;

	*kvm = KVM_CLOSED;
	kvm->fd = kvm_device_open("/dev/kvm", ret_why, why_size);
	if (kvm->fd < 0)
		return kvm->fd;
	error = read_limits(kvm);
	if (!error)
		error = create_vm(kvm);
	if (error) {
		snprintf(ret_why, why_size, "/dev/kvm: cannot create a virtual machine: %s",
			 strerror(-error));
		kvm_close(kvm);
	}
	return error;
}

void kvm_close(struct kvm *kvm)
{
	free(kvm->cpuid);
	if (kvm->vfio_fd >= 0)
		close(kvm->vfio_fd);
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->fd >= 0)
		close(kvm->fd);
	*kvm = KVM_CLOSED;
}
