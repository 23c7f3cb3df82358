#include "vmm/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"
#include "vmm/boot.h"
#include "vmm/bus.h"
#include "vmm/cpu_list.h"
#include "vmm/cpuid.h"
#include "vmm/kvm.h"
#include "vmm/layout.h"
#include "vmm/mem_fault.h"
#include "vmm/vcpu_state.h"

#define KICK_SIGNAL (SIGRTMIN)
#define KICK_PERIOD_NS 1000000L
#define SECOND_NS 1000000000L

struct vcpu {
	struct vcpus *all;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	struct vcpu_state *reset_state;
	unsigned int faults;  /* in a row, that nothing was done about */
	pthread_t thread;
	bool has_thread;
};

struct vcpus {
	struct kvm *kvm;
	struct bus *port, *mmio;
	struct vcpu_listener listener;
	unsigned int count;
	struct vcpu vcpu[VCPU_MAX];

	atomic_bool pause;    /* read without the lock in the run loop; written with it held */
	pthread_mutex_t lock; /* protects the next three */
	pthread_cond_t changed;
	bool quit;
	unsigned int paused;  /* threads that are parked */
};

static void on_kick(int signal)
{
	(void)signal; /* its arrival ends KVM_RUN */
}

static int create_one(struct vcpus *all, unsigned int id)
{
	struct vcpu *vcpu = &all->vcpu[id];
	size_t entry_size = sizeof(all->kvm->cpuid->entries[0]);
	size_t cpuid_size = sizeof(*all->kvm->cpuid) + all->kvm->cpuid->nent * entry_size;
	int deadline = kvm_ioctl_int(all->kvm->fd, KVM_CHECK_EXTENSION,
				     KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid2 *cpuid;
	void *run;
	int error;

	vcpu->fd = kvm_ioctl_int(all->kvm->vm_fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		return vcpu->fd;
	run = mmap(NULL, all->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vcpu->run = run;
	cpuid = malloc(cpuid_size + CPUID_ADDED_MAX * entry_size);
	if (!cpuid)
		return -ENOMEM;
	memcpy(cpuid, all->kvm->cpuid, cpuid_size);
	cpuid_set_topology(cpuid, id, all->count, deadline);
	error = kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	if (error)
		return error;
	vcpu->reset_state = vcpu_state_save(all->kvm, vcpu->fd);
	return vcpu->reset_state ? 0 : -errno;
}

/* Waits for `changed` have an end, which must not move when someone sets the host's clock. */
static void init_lock(struct vcpus *all)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&all->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&all->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int vcpus_create(struct kvm *kvm, unsigned int count, struct bus *port, struct bus *mmio,
		 const struct vcpu_listener *listener, struct vcpus **ret_vcpus, char *ret_why,
		 size_t why_size)
{
	struct vcpus *all;
	int error = 0;

	if (count > kvm->max_cpus) {
		snprintf(ret_why, why_size, "%u CPUs are asked for, this host's KVM gives up to %u",
			 count, kvm->max_cpus);
		return -EINVAL;
	}
	all = calloc(1, sizeof(*all));
	if (!all) {
		snprintf(ret_why, why_size, "out of memory");
		return -ENOMEM;
	}
	*all = (struct vcpus){.kvm = kvm, .port = port, .mmio = mmio, .listener = *listener,
			      .count = count, .pause = true};
	init_lock(all);
	for (unsigned int id = 0; id < count; id++)
		all->vcpu[id] = (struct vcpu){.all = all, .id = id, .fd = -1};
	for (unsigned int id = 0; id < count && !error; id++)
		error = create_one(all, id);
	if (error) {
		snprintf(ret_why, why_size, "cannot create CPU: %s", strerror(-error));
		vcpus_destroy(all);
		return error;
	}
	*ret_vcpus = all;
	return 0;
}

int vcpus_reset(struct vcpus *vcpus, const struct boot_entry *entry)
{
	int error = 0;

	for (unsigned int id = 0; id < vcpus->count && !error; id++)
		error = vcpu_state_restore(vcpus->vcpu[id].reset_state, vcpus->vcpu[id].fd,
					   entry, id == 0);
	return error;
}

static void handle_port(struct vcpus *all, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	/* String instructions give several items for the same port. */
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		struct bus_access access = {.len = run->io.size,
					    .is_write = run->io.direction == KVM_EXIT_IO_OUT};

		if (access.is_write)
			access.value = le_get(data, access.len);
		bus_access(all->port, run->io.port, &access);
		if (!access.is_write)
			le_set(data, access.len, access.value);
	}
}

static void handle_mmio(struct vcpus *all, struct kvm_run *run)
{
	struct bus_access access = {.len = run->mmio.len, .is_write = run->mmio.is_write};

	if (access.is_write)
		access.value = le_get(run->mmio.data, access.len);
	bus_access(all->mmio, run->mmio.phys_addr, &access);
	if (!access.is_write)
		le_set(run->mmio.data, access.len, access.value);
}

static void fail(struct vcpu *vcpu, const char *why)
{
	vcpus_request_pause(vcpu->all);
	vcpu->all->listener.failed(vcpu->all->listener.opaque, why);
}

static void report_failure(struct vcpu *vcpu, const char *what, uint64_t code)
{
	char why[128];

	snprintf(why, sizeof(why), "cpu %u: KVM cannot run it: %s 0x%llx", vcpu->id, what,
		 (unsigned long long)code);
	fail(vcpu, why);
}

static void report_unemulated(struct vcpu *vcpu)
{
	struct kvm_regs regs = {0};

	kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	log_guest("cpu %u: instruction at 0x%llx cannot be emulated (KVM suberror %u)", vcpu->id,
		  (unsigned long long)regs.rip, vcpu->run->internal.suberror);
}

static void report_fault(struct vcpu *vcpu, const char *cause)
{
	vcpus_request_pause(vcpu->all);
	vcpu->all->listener.faulted(vcpu->all->listener.opaque, cause);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_port(vcpu->all, run);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(vcpu->all, run);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		report_fault(vcpu, "triple-fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		/* The guest executed what KVM cannot emulate, from device memory for example. No
		 * hardware answer fits better than the one to a fault in the fault handler. */
		report_unemulated(vcpu);
		report_fault(vcpu, "unemulated");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		report_failure(vcpu, "entry failed, hardware reason",
			       run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		report_failure(vcpu, "unexpected exit reason", run->exit_reason);
		break;
	}
}

/* KVM could not reach memory that the guest touched. Windows onto devices can go away on the host;
 * when another CPU has just dropped them there is nothing left to do but to try again, once. */
static bool retry_fault(struct vcpu *vcpu)
{
	if (vcpu->all->listener.window_fault(vcpu->all->listener.opaque)) {
		log_guest("cpu %u: device memory faulted on the host, trapping it from now on",
			  vcpu->id);
		vcpu->faults = 0;
		return true;
	}
	return vcpu->faults++ == 0;
}

static void run_once(struct vcpu *vcpu)
{
	int error = kvm_ioctl_int(vcpu->fd, KVM_RUN, 0);

	if (error == -EFAULT && retry_fault(vcpu))
		return;
	if (error == 0) {
		vcpu->faults = 0;
		handle_exit(vcpu);
	} else if (error == -EFAULT) {
		fail(vcpu, MEM_FAULT_SENTENCE);
	} else if (error != -EINTR && error != -EAGAIN) {
		report_failure(vcpu, strerror(-error), (uint64_t)-error);
	}
}

/* The result of an access is taken in at the next KVM_RUN: let it be, without running the guest.
 * One that crosses a page comes in two parts. Who kicks may write the same. */
static void complete_access(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
	while (kvm_ioctl_int(vcpu->fd, KVM_RUN, 0) == 0 &&
	       (vcpu->run->exit_reason == KVM_EXIT_MMIO || vcpu->run->exit_reason == KVM_EXIT_IO))
		handle_exit(vcpu);
}

/* Parks the thread until it may run. False: quit. */
static bool park(struct vcpu *vcpu)
{
	struct vcpus *all = vcpu->all;
	bool quit;

	complete_access(vcpu);
	pthread_mutex_lock(&all->lock);
	all->paused++;
	pthread_cond_broadcast(&all->changed);
	while (all->pause && !all->quit)
		pthread_cond_wait(&all->changed, &all->lock);
	all->paused--;
	quit = all->quit;
	vcpu->run->immediate_exit = 0;
	pthread_mutex_unlock(&all->lock);
	return !quit;
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *vcpu = opaque;

	for (;;) {
		if (vcpu->all->pause && !park(vcpu))
			return NULL;
		run_once(vcpu);
	}
}

static int start_thread(struct vcpu *vcpu)
{
	char name[sizeof("cpu ") + 10];

	snprintf(name, sizeof(name), "cpu %u", vcpu->id);
	return thread_create_taking(&vcpu->thread, name, vcpu_thread, vcpu, KICK_SIGNAL);
}

static int pin_thread(pthread_t thread, unsigned int host_cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(host_cpu, &set);
	return -pthread_setaffinity_np(thread, sizeof(set), &set);
}

int vcpus_start(struct vcpus *vcpus, const struct cpu_list *pin)
{
	struct sigaction action = {.sa_handler = on_kick};
	int error = 0;

	sigaction(KICK_SIGNAL, &action, NULL);
	for (unsigned int id = 0; id < vcpus->count && !error; id++) {
		struct vcpu *vcpu = &vcpus->vcpu[id];

		error = start_thread(vcpu);
		vcpu->has_thread = !error;
		if (!error && pin->count)
			error = pin_thread(vcpu->thread, pin->cpu[id]);
	}
	return error;
}

void vcpus_resume(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	vcpus->pause = false;
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->lock);
}

static void kick_locked(struct vcpus *vcpus)
{
	for (unsigned int id = 0; id < vcpus->count; id++) {
		struct vcpu *vcpu = &vcpus->vcpu[id];

		if (!vcpu->run)
			continue;
		/* immediate_exit closes the gap between the test of `pause` and KVM_RUN. */
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
		if (vcpu->has_thread)
			pthread_kill(vcpu->thread, KICK_SIGNAL);
	}
}

void vcpus_request_pause(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	vcpus->pause = true;
	kick_locked(vcpus);
	pthread_mutex_unlock(&vcpus->lock);
}

bool vcpus_try_pause(struct vcpus *vcpus)
{
	unsigned int threads = 0;
	struct timespec until;
	bool paused;

	for (unsigned int id = 0; id < vcpus->count; id++)
		threads += vcpus->vcpu[id].has_thread;
	vcpus_request_pause(vcpus);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += KICK_PERIOD_NS;
	until.tv_sec += until.tv_nsec / SECOND_NS;
	until.tv_nsec %= SECOND_NS;
	pthread_mutex_lock(&vcpus->lock);
	while (vcpus->paused < threads &&
	       !pthread_cond_timedwait(&vcpus->changed, &vcpus->lock, &until))
		;
	paused = vcpus->paused == threads;
	pthread_mutex_unlock(&vcpus->lock);
	return paused;
}

/* One kick is not enough where a thread writes to a terminal or pipe that nobody reads: it may come
 * just before the write, and a string instruction writes many bytes. */
void vcpus_wait_paused(struct vcpus *vcpus)
{
	while (!vcpus_try_pause(vcpus))
		;
}

void vcpus_destroy(struct vcpus *vcpus)
{
	if (!vcpus)
		return;
	vcpus_wait_paused(vcpus);
	pthread_mutex_lock(&vcpus->lock);
	vcpus->quit = true;
	pthread_cond_broadcast(&vcpus->changed);
	pthread_mutex_unlock(&vcpus->lock);
	for (unsigned int id = 0; id < vcpus->count; id++) {
		struct vcpu *vcpu = &vcpus->vcpu[id];

		if (vcpu->has_thread)
			pthread_join(vcpu->thread, NULL);
		if (vcpu->run)
			munmap(vcpu->run, vcpus->kvm->run_size);
		if (vcpu->fd >= 0)
			close(vcpu->fd);
		vcpu_state_free(vcpu->reset_state);
	}
	pthread_cond_destroy(&vcpus->changed);
	pthread_mutex_destroy(&vcpus->lock);
	free(vcpus);
}
