#include "vmm/vcpu_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/boot.h"
#include "vmm/kvm.h"

#define MSRS_MAX 1024
#define MSRS_PER_CALL 256U /* KVM's MAX_IO_MSRS */
/*
 * Intel SDM vol. 3A, IA32_MTRR_DEF_TYPE MSR: enabled, all memory write-back; firmware's part, less
 * the ranges of device memory, which the guest's page tables make uncached. Where the MTRRs are off
 * Linux 6.1 does without PAT, that is without write combining for a GPU's memory.
 */
#define MSR_MTRR_DEF_TYPE 0x2ffU
#define MTRR_ENABLED_WRITE_BACK 0x806U
#define MTRR_DISABLED 0U /* with firmware: all memory is uncached until that enables them */
#define MSR_TSC 0x10U /* time goes on over a reset, the same on all CPUs */

/* Intel SDM vol. 3A, 2.5 Control Registers; 3.4.5 Segment Descriptors. */
#define CR0_PE (1ULL << 0)
#define CR0_ET (1ULL << 4)
#define CR0_PG (1ULL << 31)
#define CR4_PAE (1ULL << 5)
#define EFER_LME (1ULL << 8)
#define EFER_LMA (1ULL << 10)
#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TSS 0x20
#define TYPE_CODE_EXECUTE_READ_ACCESSED 0xb
#define TYPE_DATA_READ_WRITE_ACCESSED 0x3
#define TYPE_TSS_BUSY 0xb
#define RFLAGS_RESERVED 0x2

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	struct kvm_lapic_state lapic;
	struct kvm_msrs *msrs;
	struct kvm_xsave xsave; /* last: ends in an array, of size 0 here */
};

/* Every block of state but the MSRs; in the order in which it is restored: the APIC's base is in
 * sregs and must be right before the APIC, events come last. */
static const struct {
	unsigned long get, set;
	size_t offset;
} blocks[] = {
	{KVM_GET_REGS, KVM_SET_REGS, offsetof(struct vcpu_state, regs)},
	{KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct vcpu_state, sregs)},
	{KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(struct vcpu_state, xsave)},
	{KVM_GET_XCRS, KVM_SET_XCRS, offsetof(struct vcpu_state, xcrs)},
	{KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct vcpu_state, lapic)},
	{KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, offsetof(struct vcpu_state, debugregs)},
	{KVM_GET_MP_STATE, KVM_SET_MP_STATE, offsetof(struct vcpu_state, mp_state)},
	{KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, offsetof(struct vcpu_state, events)},
};

static int msr_list(struct kvm *kvm, struct kvm_msr_list **ret_list)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MSRS_MAX * sizeof(uint32_t));
	int error;

	if (!list)
		return -ENOMEM;
	list->nmsrs = MSRS_MAX;
	error = kvm_ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, list);
	if (error)
		free(list);
	else
		*ret_list = list;
	return error;
}

/* Reads up to MSRS_PER_CALL of `list` from index `first` on. KVM stops at the first that this vCPU
 * does not have. Returns how many were read, or negative errno. */
static int read_msrs(int vcpu_fd, const struct kvm_msr_list *list, uint32_t first,
		     struct kvm_msrs *batch)
{
	uint32_t left = list->nmsrs - first;

	batch->nmsrs = left < MSRS_PER_CALL ? left : MSRS_PER_CALL;
	for (uint32_t i = 0; i < batch->nmsrs; i++)
		batch->entries[i] = (struct kvm_msr_entry){.index = list->indices[first + i]};
	return kvm_ioctl(vcpu_fd, KVM_GET_MSRS, batch);
}

static struct kvm_msrs *alloc_msrs(unsigned int count)
{
	return calloc(1, sizeof(struct kvm_msrs) + count * sizeof(struct kvm_msr_entry));
}

static int save_listed_msrs(struct kvm_msrs *saved, const struct kvm_msr_list *list, int vcpu_fd)
{
	struct kvm_msrs *batch = alloc_msrs(MSRS_PER_CALL);
	uint32_t next = 0;
	int got = batch ? 0 : -ENOMEM;

	while (got >= 0 && next < list->nmsrs) {
		got = read_msrs(vcpu_fd, list, next, batch);
		for (int i = 0; i < got; i++)
			if (batch->entries[i].index != MSR_TSC)
				saved->entries[saved->nmsrs++] = batch->entries[i];
		/* Where it stopped is one to leave out. */
		next += (uint32_t)got + (got < (int)batch->nmsrs);
	}
	free(batch);
	return got < 0 ? got : 0;
}

static int save_msrs(struct vcpu_state *state, struct kvm *kvm, int vcpu_fd)
{
	struct kvm_msr_list *list;
	int error = msr_list(kvm, &list);

	if (error)
		return error;
	state->msrs = alloc_msrs(MSRS_MAX + 1);
	error = state->msrs ? save_listed_msrs(state->msrs, list, vcpu_fd) : -ENOMEM;
	free(list);
	if (error)
		return error;
	/* Not one of the list; the last, so that it stands whatever came before. */
	state->msrs->entries[state->msrs->nmsrs++].index = MSR_MTRR_DEF_TYPE;
	return 0;
}

struct vcpu_state *vcpu_state_save(struct kvm *kvm, int vcpu_fd)
{
	struct vcpu_state *state = calloc(1, sizeof(*state));
	int error = state ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(blocks) && !error; i++)
		error = kvm_ioctl(vcpu_fd, blocks[i].get, (uint8_t *)state + blocks[i].offset);
	if (!error)
		error = save_msrs(state, kvm, vcpu_fd);
	if (error) {
		vcpu_state_free(state);
		errno = -error;
		return NULL;
	}
	return state;
}

void vcpu_state_free(struct vcpu_state *state)
{
	if (!state)
		return;
	free(state->msrs);
	free(state);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool is_long)
{
	return (struct kvm_segment){
		.limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .s = 1,
		.db = !is_long, .l = is_long, .g = 1,
	};
}

/* All but where it begins is as after a reset. An address beyond what a segment reaches is cut. */
static void set_real_entry(struct kvm_sregs *sregs, struct kvm_regs *regs,
			   const struct boot_entry *entry)
{
	sregs->cs.selector = (uint16_t)(entry->rip >> 4);
	sregs->cs.base = (uint64_t)sregs->cs.selector << 4;
	*regs = (struct kvm_regs){.rip = entry->rip & 0xf, .rflags = RFLAGS_RESERVED};
}

static void set_flat_entry(struct kvm_sregs *sregs, struct kvm_regs *regs,
			   const struct boot_entry *entry)
{
	bool is_long = entry->mode == BOOT_LONG_MODE;
	struct kvm_segment data = flat_segment(SELECTOR_DATA, TYPE_DATA_READ_WRITE_ACCESSED, false);

	sregs->cs = flat_segment(SELECTOR_CODE, TYPE_CODE_EXECUTE_READ_ACCESSED, is_long);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = (struct kvm_segment){
		.limit = 0x67, .selector = SELECTOR_TSS, .type = TYPE_TSS_BUSY, .present = 1};
	sregs->gdt = (struct kvm_dtable){.base = entry->gdt, .limit = entry->gdt_limit};
	sregs->idt = (struct kvm_dtable){0};
	sregs->cr0 = CR0_PE | CR0_ET;
	if (is_long) {
		sregs->cr0 |= CR0_PG;
		sregs->cr3 = entry->cr3;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
	*regs = (struct kvm_regs){
		.rip = entry->rip, .rsi = entry->rsi, .rbx = entry->rbx, .rsp = entry->rsp,
		.rflags = RFLAGS_RESERVED,
	};
}

/* KVM_SET_MSRS, too, stops at the first refusal: read-only ones are left out one by one. */
static void restore_msrs(const struct kvm_msrs *saved, int vcpu_fd)
{
	struct kvm_msrs *batch = alloc_msrs(MSRS_PER_CALL);
	uint32_t done = 0;

	while (batch && done < saved->nmsrs) {
		uint32_t left = saved->nmsrs - done;
		int set;

		batch->nmsrs = left < MSRS_PER_CALL ? left : MSRS_PER_CALL;
		memcpy(batch->entries, &saved->entries[done],
		       batch->nmsrs * sizeof(saved->entries[0]));
		set = kvm_ioctl(vcpu_fd, KVM_SET_MSRS, batch);
		done += set == (int)batch->nmsrs ? batch->nmsrs : (set > 0 ? (uint32_t)set : 0) + 1;
	}
	free(batch);
}

int vcpu_state_restore(const struct vcpu_state *state, int vcpu_fd, const struct boot_entry *entry,
		       bool is_boot)
{
	bool has_firmware = !entry || entry->mode == BOOT_RESET_VECTOR;
	struct vcpu_state copy = *state;
	int error = 0;

	if (is_boot && !has_firmware && entry->mode == BOOT_REAL_MODE)
		set_real_entry(&copy.sregs, &copy.regs, entry);
	else if (is_boot && !has_firmware)
		set_flat_entry(&copy.sregs, &copy.regs, entry);
	state->msrs->entries[state->msrs->nmsrs - 1].data =
		has_firmware ? MTRR_DISABLED : MTRR_ENABLED_WRITE_BACK;
	restore_msrs(state->msrs, vcpu_fd);
	for (size_t i = 0; i < ARRAY_SIZE(blocks) && !error; i++)
		error = kvm_ioctl(vcpu_fd, blocks[i].set, (uint8_t *)&copy + blocks[i].offset);
	return error;
}
