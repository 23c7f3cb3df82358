#include "vmm/doorbell.h"

#include <stdlib.h>

#include "vmm/kvm.h"

struct doorbells {
	const struct kvm *kvm;
};

struct doorbells *doorbells_create(const struct kvm *kvm)
{
	struct doorbells *doorbells = malloc(sizeof(*doorbells));

	if (doorbells)
		doorbells->kvm = kvm;
	return doorbells;
}

void doorbells_destroy(struct doorbells *doorbells)
{
	free(doorbells);
}

static int set(struct doorbells *doorbells, gpa_t gpa, int fd, uint32_t flags)
{
	/* Length 0: any (KVM_CAP_IOEVENTFD_ANY_LENGTH, Linux 4.4), which KVM finds faster, too. */
	struct kvm_ioeventfd ioeventfd = {.addr = gpa, .fd = fd, .flags = flags};

	return kvm_ioctl(doorbells->kvm->vm_fd, KVM_IOEVENTFD, &ioeventfd);
}

int doorbell_add(struct doorbells *doorbells, gpa_t gpa, int fd)
{
	return set(doorbells, gpa, fd, 0);
}

void doorbell_remove(struct doorbells *doorbells, gpa_t gpa, int fd)
{
	set(doorbells, gpa, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
