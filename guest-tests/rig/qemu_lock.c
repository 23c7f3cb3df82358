/*
 * A correction of QEMU's, loaded into it (LD_PRELOAD). In QEMU 7.2, where a guest of the emulated
 * host writes CR8 while an interrupt for it is pending, the generated code calls cpu_interrupt()
 * without the lock that tcg_handle_interrupt() asserts to be held, and QEMU aborts. edk2 writes CR8
 * at the end of every interrupt. So take the lock first.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* QEMU's own, as it exports them to its modules. */
struct CPUState;
bool qemu_mutex_iothread_locked(void);
void qemu_mutex_lock_iothread_impl(const char *file, int line);
void qemu_mutex_unlock_iothread(void);
void tcg_handle_interrupt(struct CPUState *cpu, int mask);

typedef void (*handler_fn)(struct CPUState *cpu, int mask);

/* The module's own, which this one stands before. */
static handler_fn find_handler(void)
{
	void *module = dlopen(RIG_TCG_MODULE, RTLD_NOW | RTLD_NOLOAD);
	void *symbol = module ? dlsym(module, "tcg_handle_interrupt") : NULL;

	return symbol ? (handler_fn)(size_t)symbol : NULL;
}

void tcg_handle_interrupt(struct CPUState *cpu, int mask)
{
	static handler_fn handler;
	bool locked = qemu_mutex_iothread_locked();

	if (!handler && !(handler = find_handler()))
		abort();
	if (!locked)
		qemu_mutex_lock_iothread_impl(__FILE__, __LINE__);
	handler(cpu, mask);
	if (!locked)
		qemu_mutex_unlock_iothread();
}
