/*
 * /dev/kvm itself: is it there, may we use it, is it KVM, does it have all that a machine is built
 * on? For vmm/kvm.c, and for whoever only wants to know (minivmm doctor).
 */
#ifndef VMM_KVM_DEVICE_H
#define VMM_KVM_DEVICE_H

#include <stddef.h>

/*
 * Opens `path`, which is "/dev/kvm" but in tests. Returns a file descriptor, or negative errno with
 * a sentence on /dev/kvm: what opening gave; -ENOTSUP when it is no KVM that minivmm can use.
 */
int kvm_device_open(const char *path, char *ret_why, size_t why_size);

#endif
