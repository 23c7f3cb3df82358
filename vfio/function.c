#include "vfio/function.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfio/function_internal.h"
#include "vfio/host.h"
#include "vmm/base/bits.h"
#include "vmm/base/le.h"
#include "vmm/base/log.h"

#define WHY_MAX 256
#define MSI_MESSAGES_MAX 32U

struct vfio_function *vfio_function_of(struct pci_dev *dev)
{
	return container_of(dev, struct vfio_function, dev);
}

int vfio_function_say(const struct vfio_function *function, int error, char *ret_why,
		      size_t why_size, const char *fmt, ...)
{
	char text[WHY_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(ret_why, why_size, "%s: %s", function->backend->name, text);
	return error;
}

/* --- accesses to the device --- */

void vfio_function_failed(struct vfio_function *function, int error, const char *what)
{
	if (function->error_told)
		return;
	function->error_told = true;
	log_guest("vfio %s: %s failed: %s", function->backend->name, what, strerror(-error));
	if (function->listener.host_error && !function->slot_resets)
		function->listener.host_error(function->listener.opaque, function->fn, error);
}

static int full(ssize_t n, size_t len)
{
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EIO;
}

static bool all_ones(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0xff)
			return false;
	return true;
}

/*
 * Ones: there is nobody. Vendor ID would not tell, because VFIO answers for it, and for Device ID,
 * without asking the device (Linux 6.1, vfio_pci_config.c, init_pci_cap_basic_perm(): ALL_VIRT);
 * revision and class come from the device.
 */
static int check_present(struct vfio_backend *backend)
{
	uint8_t class[4];
	int error = full(backend->ops->region_read(backend, VFIO_PCI_CONFIG_REGION_INDEX,
						   PCI_CLASS_REVISION, class, sizeof(class)),
			 sizeof(class));

	if (error)
		return error;
	return le32_get(class) == UINT32_MAX ? -ENODEV : 0;
}

int vfio_function_read(struct vfio_function *function, unsigned int region, uint64_t off,
		       void *ret_buffer, size_t len)
{
	struct vfio_backend *backend = function->backend;
	int error;

	if (!function->awake)
		return -EHOSTDOWN;
	error = full(backend->ops->region_read(backend, region, off, ret_buffer, len), len);
	if (!error && all_ones(ret_buffer, len))
		error = check_present(backend);
	if (error)
		vfio_function_failed(function, error, "a read of the device");
	return error;
}

int vfio_function_write(struct vfio_function *function, unsigned int region, uint64_t off,
			const void *buffer, size_t len)
{
	struct vfio_backend *backend = function->backend;
	int error;

	if (!function->awake)
		return -EHOSTDOWN;
	error = full(backend->ops->region_write(backend, region, off, buffer, len), len);
	if (error)
		vfio_function_failed(function, error, "a write to the device");
	return error;
}

/* --- reset --- */

/* The guest's view is at its reset image and no window is mapped: make the device follow, with
 * `reset` by a reset of its own. Returns that one's result. */
static int reset_device(struct vfio_function *function, bool reset)
{
	struct vfio_backend *backend = function->backend;
	int error = 0;

	function->windows_dropped = false;
	if (!function->awake)
		return 0;
	vfio_config_sync_power(function);
	vfio_irqs_disable(function);
	if (reset && backend->ops->can_reset(backend)) {
		error = backend->ops->reset(backend);
	} else if (reset && !function->no_reset_told) {
		function->no_reset_told = true;
		log_warn("vfio %s: has no reset of its own, going on without", backend->name);
	}
	if (error)
		vfio_function_failed(function, error, "the reset");
	vfio_config_sync_command(function);
	vfio_irqs_sync(function);
	return error;
}

/* The guest asked for a reset of the function alone; its view has had it. */
static void reset_for_guest(struct vfio_function *function)
{
	if (function->forbids_reset && !function->no_reset_told) {
		function->no_reset_told = true;
		log_warn("vfio %s: the guest resets it, which the policy does not allow: the "
			 "device keeps its state", function->backend->name);
	}
	reset_device(function, !function->forbids_reset);
}

/* By the port above; the slot's resets are vfio_function_reset(). */
static void on_reset(struct pci_dev *dev)
{
	struct vfio_function *function = vfio_function_of(dev);
	bool cleared = function->pme;

	function->pme = 0;
	if (cleared && function->listener.pme_cleared)
		function->listener.pme_cleared(function->listener.opaque, function->fn);
	reset_for_guest(function);
}

/* PCIe 5.0, 6.6.2 Function Level Reset (FLR): all but sticky registers; PME_En and PME_Status are
 * sticky. */
void vfio_function_level_reset(struct vfio_function *function)
{
	struct pci_dev *dev = &function->dev;

	pci_dev_reset_locked(dev);
	if (dev->pm_cap)
		pci_cfg_set(&dev->cfg, dev->pm_cap + PCI_PM_CTRL, 2,
			    pci_cfg_read(&dev->cfg, dev->pm_cap + PCI_PM_CTRL, 2) | function->pme);
	reset_for_guest(function);
}

int vfio_function_reset(struct vfio_function *function, bool device)
{
	int error;

	pthread_mutex_lock(&function->dev.lock);
	function->awake = true;
	function->error_told = false;
	function->slot_resets = true;
	pci_dev_reset_locked(&function->dev);
	function->pme = 0;
	error = reset_device(function, device);
	function->slot_resets = false;
	function->error_told = error;
	pci_dev_set_presence_locked(&function->dev, PCI_PRESENT);
	pthread_mutex_unlock(&function->dev.lock);
	return error;
}

/* --- life --- */

static const struct pci_dev_ops function_ops = {
	.name = "vfio",
	.cfg_read = vfio_config_read,
	.cfg_changed = vfio_config_changed,
	.bar_read = vfio_bars_read,
	.bar_write = vfio_bars_write,
	.bar_mapped = vfio_bars_mapped,
	.reset = on_reset,
};

static void release(struct vfio_function *function)
{
	vfio_irqs_finish(function);
	vfio_bars_finish(function);
	pci_dev_finish(&function->dev);
	free(function);
}

int vfio_function_create(struct vfio_backend *backend, unsigned int fn, bool multifunction,
			 const struct vfio_function_listener *listener,
			 struct vfio_function **ret_function, char *ret_why, size_t why_size)
{
	struct vfio_function *function = calloc(1, sizeof(*function));
	unsigned int messages;
	int error;

	if (!function) {
		snprintf(ret_why, why_size, "%s: out of memory", backend->name);
		return -ENOMEM;
	}
	function->backend = backend;
	function->fn = fn;
	function->listener = *listener;
	function->irqs.intx = (struct irq_fd){.trigger = -1, .resample = -1};
	function->rom.window = -1;
	pci_dev_init(&function->dev, &function_ops, 0, 0, 0, PCI_HEADER_TYPE_NORMAL);
	error = vfio_config_build(function, multifunction, ret_why, why_size);
	if (!error) {
		messages = function->irqs.msi_max ? MSI_MESSAGES_MAX : 0;
		if (function->dev.msix.table_size > messages)
			messages = function->dev.msix.table_size;
		error = vfio_irqs_init(function, messages);
		if (error)
			vfio_function_say(function, error, ret_why, why_size, "out of memory");
	}
	if (error) {
		release(function);
		return error;
	}
	*ret_function = function;
	return 0;
}

int vfio_function_plug(struct vfio_function *function, struct mem *mem, struct irq_chip *irq,
		       struct pci_host *host, struct pci_dev *parent, char *ret_why,
		       size_t why_size)
{
	int error;

	function->mem = mem;
	function->irq = irq;
	vfio_bars_map(function);
	error = pci_host_add(host, &function->dev, parent, (uint8_t)function->fn);
	if (error)
		return vfio_function_say(function, error, ret_why, why_size,
					 "cannot be added to the guest's PCI: %s",
					 strerror(-error));
	pthread_mutex_lock(&function->dev.lock);
	if (pci_cfg_read(&function->dev.cfg, PCI_INTERRUPT_PIN, 1))
		function->irqs.intx.gsi = function->dev.intx.gsi;
	function->awake = true;
	vfio_config_sync_command(function);
	vfio_irqs_sync(function);
	pthread_mutex_unlock(&function->dev.lock);
	return 0;
}

void vfio_function_destroy(struct vfio_function *function)
{
	struct vfio_backend *backend;

	if (!function)
		return;
	backend = function->backend;
	if (function->dev.host)
		pci_host_remove(&function->dev);
	release(function);
	backend->ops->close(backend);
}

struct pci_dev *vfio_function_pci(struct vfio_function *function)
{
	return &function->dev;
}

const char *vfio_function_name(const struct vfio_function *function)
{
	return function->backend->name;
}

struct vfio_identity vfio_function_identity(const struct vfio_function *function)
{
	return function->identity;
}

struct vfio_backend *vfio_function_backend(struct vfio_function *function)
{
	return function->backend;
}

/* --- power --- */

void vfio_function_detach(struct vfio_function *function)
{
	pthread_mutex_lock(&function->dev.lock);
	pci_dev_set_presence_locked(&function->dev, PCI_COLD);
	vfio_irqs_detach_intx(function);
	function->awake = false;
	pthread_mutex_unlock(&function->dev.lock);
}

void vfio_function_attach(struct vfio_function *function)
{
	pthread_mutex_lock(&function->dev.lock);
	function->awake = true;
	function->error_told = false;
	/* It was checked since: its memory can be reached again. */
	function->windows_dropped = false;
	vfio_config_sync_power(function);
	vfio_config_sync_command(function);
	vfio_irqs_sync(function);
	/* The core also sets PowerState to D0, and maps what Command allows. */
	pci_dev_set_presence_locked(&function->dev, PCI_PRESENT);
	pthread_mutex_unlock(&function->dev.lock);
}

void vfio_function_gone(struct vfio_function *function)
{
	pthread_mutex_lock(&function->dev.lock);
	pci_dev_set_presence_locked(&function->dev, PCI_GONE);
	vfio_irqs_detach_intx(function);
	function->awake = false;
	pthread_mutex_unlock(&function->dev.lock);
}

void vfio_function_release(struct vfio_function *function)
{
	struct vfio_backend *backend = function->backend;
	struct vfio_backend *gone = vfio_gone_backend_create(backend->name);

	pthread_mutex_lock(&function->dev.lock);
	pci_dev_set_presence_locked(&function->dev, PCI_GONE);
	vfio_irqs_detach_intx(function);
	vfio_irqs_finish(function);
	vfio_bars_finish(function);
	function->awake = false;
	if (gone)
		function->backend = gone;
	pthread_mutex_unlock(&function->dev.lock);
	if (gone)
		backend->ops->close(backend);
	else
		log_err("vfio %s: no memory to give it back, it stays with this program",
			backend->name);
}

void vfio_function_forward_d3hot(struct vfio_function *function)
{
	function->forwards_d3hot = true;
}

void vfio_function_forbid_reset(struct vfio_function *function)
{
	function->forbids_reset = true;
}

/* While the function is away from the guest, the slot's thread alone calls the back end, and the
 * lock stays free for the guest's reads of PMCSR. */
int vfio_function_check(struct vfio_function *function)
{
	int error;

	pthread_mutex_lock(&function->dev.lock);
	if (!function->awake) {
		pthread_mutex_unlock(&function->dev.lock);
		return check_present(function->backend);
	}
	error = check_present(function->backend);
	if (!error)
		function->error_told = false;
	pthread_mutex_unlock(&function->dev.lock);
	return error;
}

static bool pme_bit(struct vfio_function *function, uint16_t bit)
{
	bool set;

	pthread_mutex_lock(&function->dev.lock);
	set = function->pme & bit;
	pthread_mutex_unlock(&function->dev.lock);
	return set;
}

bool vfio_function_pme_enable(struct vfio_function *function)
{
	return pme_bit(function, PCI_PM_CTRL_PME_ENABLE);
}

bool vfio_function_pme_status(struct vfio_function *function)
{
	return pme_bit(function, PCI_PM_CTRL_PME_STATUS);
}

void vfio_function_set_pme_status(struct vfio_function *function)
{
	struct pci_dev *dev = &function->dev;
	uint16_t reg = dev->pm_cap + PCI_PM_CTRL;

	if (!dev->pm_cap)
		return;
	pthread_mutex_lock(&dev->lock);
	pci_cfg_set(&dev->cfg, reg, 2,
		    pci_cfg_read(&dev->cfg, reg, 2) | PCI_PM_CTRL_PME_STATUS);
	function->pme |= PCI_PM_CTRL_PME_STATUS;
	pthread_mutex_unlock(&dev->lock);
}

/*
 * Several vCPUs may have met the window that failed, and each of them asks. So as many are told
 * that there was one as there can be; a fault with another cause still ends after that.
 */
bool vfio_function_drop_windows(struct vfio_function *function)
{
	bool any;

	pthread_mutex_lock(&function->dev.lock);
	any = vfio_bars_unmap_windows(function);
	if (any) {
		function->windows_dropped = true;
		log_warn("vfio %s: the guest cannot reach the device's memory by its windows, "
			 "trapping accesses until it sleeps or is reset",
			 function->backend->name);
	} else if (function->late_faults) {
		function->late_faults--;
		any = true;
	}
	pthread_mutex_unlock(&function->dev.lock);
	return any;
}
