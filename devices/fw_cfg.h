/*
 * The configuration device by which firmware learns of the machine it is in: QEMU's fw_cfg, with
 * items known by number, and files, which a directory lists by name. Numbers are those of
 * <linux/qemu_fw_cfg.h>; an item that there is not reads as zeros.
 *
 * What the guest reads is a copy that belongs to the device, and the guest cannot change it. Items
 * and files are set before the first CPU runs.
 */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include <linux/qemu_fw_cfg.h>
#include <stddef.h>
#include <stdint.h>

struct bus;
struct fw_cfg;
struct mem;

/* Of an x86 machine, a byte: 1, the timer's interrupt is at pin 2 of the IOAPIC. */
#define FW_CFG_IRQ0_OVERRIDE (FW_CFG_ARCH_LOCAL + 2)

/* Claims the ports. `mem` is where the guest asks for transfers to. NULL: out of memory, or a port
 * is taken. */
struct fw_cfg *fw_cfg_create(struct bus *port, struct mem *mem);
void fw_cfg_destroy(struct fw_cfg *fw_cfg); /* accepts NULL */

/* The registers as after power-on; items and files stay. No CPU runs. */
void fw_cfg_reset(struct fw_cfg *fw_cfg);

/* Makes `size` bytes, of which a copy is taken, an item with the number `key`, or a file with a
 * name shorter than FW_CFG_MAX_FILE_PATH. There is none yet. 0, -ENOMEM, or -ENOSPC: too many. */
int fw_cfg_add_item(struct fw_cfg *fw_cfg, uint16_t key, const void *data, size_t size);
int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, size_t size);

/*
 * Calls `refresh` each time that the guest selects the file `name`, which there is, before it reads
 * any of it. Only then may content be replaced, of this and of other files, by as many bytes as
 * there were: firmware has read the sizes before. Thread: the vCPU's. Lock: the device's own is
 * held, those of PCI may be taken.
 */
void fw_cfg_watch(struct fw_cfg *fw_cfg, const char *name, void (*refresh)(void *opaque),
		  void *opaque);
void fw_cfg_replace(struct fw_cfg *fw_cfg, const char *name, const void *data, size_t size);

#endif
