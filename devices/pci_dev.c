#include "devices/pci.h"

#include <linux/pci_regs.h>
#include <string.h>

#include "devices/pci_internal.h"
#include "vmm/base/bits.h"

#define HEADER_TYPE_MASK 0x7fU
#define COMMAND_RW                                                                        \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |  \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define STATUS_W1C                                                                           \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |     \
	 PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)
#define PM_VERSION 3U
#define POWER_D0 0U
#define POWER_D3 3U

/* PCIe 5.0, 7.5.1.1 Type 0/1 Common Configuration Space: Cache Line Size and Interrupt Line are
 * read-write and have no effect; the Latency Timer is 0. */
void pci_dev_init(struct pci_dev *dev, const struct pci_dev_ops *ops, uint16_t vendor,
		  uint16_t device, uint32_t class, uint8_t header_type)
{
	struct pci_cfg *cfg = &dev->cfg;

	dev->ops = ops;
	pthread_mutex_init(&dev->lock, NULL);
	pci_cfg_set(cfg, PCI_VENDOR_ID, 2, vendor);
	pci_cfg_set(cfg, PCI_DEVICE_ID, 2, device);
	pci_cfg_set(cfg, PCI_CLASS_PROG, 3, class);
	pci_cfg_set(cfg, PCI_HEADER_TYPE, 1, header_type);
	pci_cfg_set_rw(cfg, PCI_COMMAND, 2, COMMAND_RW);
	pci_cfg_set_w1c(cfg, PCI_STATUS, 2, STATUS_W1C);
	pci_cfg_set_rw(cfg, PCI_CACHE_LINE_SIZE, 1, 0xff);
	pci_cfg_set_rw(cfg, PCI_INTERRUPT_LINE, 1, 0xff);
	if (pci_dev_is_bridge(dev))
		pci_bridge_init(dev);
}

void pci_dev_finish(struct pci_dev *dev)
{
	pci_msix_finish(dev);
	pthread_mutex_destroy(&dev->lock);
}

bool pci_dev_is_bridge(const struct pci_dev *dev)
{
	return (dev->cfg.value[PCI_HEADER_TYPE] & HEADER_TYPE_MASK) == PCI_HEADER_TYPE_BRIDGE;
}

void pci_dev_add_pm(struct pci_dev *dev, uint8_t off, uint16_t pme_support, bool append)
{
	struct pci_cfg *cfg = &dev->cfg;
	uint32_t pmcsr_rw = PCI_PM_CTRL_STATE_MASK;
	uint32_t pmcsr_w1c = 0;

	if (append)
		pci_cfg_add_cap(cfg, PCI_CAP_ID_PM, off);
	if (pme_support) {
		pmcsr_rw |= PCI_PM_CTRL_PME_ENABLE;
		pmcsr_w1c |= PCI_PM_CTRL_PME_STATUS;
	}
	pci_cfg_set(cfg, off + PCI_PM_PMC, 2, PM_VERSION | pme_support);
	pci_cfg_set(cfg, off + PCI_PM_CTRL, 4, PCI_PM_CTRL_NO_SOFT_RESET);
	pci_cfg_set_rw(cfg, off, 4, 0);
	pci_cfg_set_w1c(cfg, off, 4, 0);
	pci_cfg_set_rw(cfg, off + PCI_PM_CTRL, 4, pmcsr_rw);
	pci_cfg_set_w1c(cfg, off + PCI_PM_CTRL, 4, pmcsr_w1c);
	dev->pm_cap = off;
}

unsigned int pci_dev_power_state(const struct pci_dev *dev)
{
	if (!dev->pm_cap)
		return POWER_D0;
	if (dev->presence == PCI_COLD)
		return POWER_D3;
	return pci_cfg_read(&dev->cfg, dev->pm_cap + PCI_PM_CTRL, 1) & PCI_PM_CTRL_STATE_MASK;
}

static void set_power_state(struct pci_dev *dev, unsigned int state)
{
	uint16_t off = dev->pm_cap + PCI_PM_CTRL;
	uint32_t pmcsr = pci_cfg_read(&dev->cfg, off, 1) & ~(uint32_t)PCI_PM_CTRL_STATE_MASK;

	pci_cfg_set(&dev->cfg, off, 1, pmcsr | state);
}

/* --- INTx --- */

static void update_intx(struct pci_dev *dev)
{
	uint32_t command = pci_cfg_read(&dev->cfg, PCI_COMMAND, 2);
	bool level = dev->intx_wanted && dev->presence == PCI_PRESENT &&
		     !(command & PCI_COMMAND_INTX_DISABLE) && !pci_msi_active(dev) &&
		     !pci_msix_enabled(dev);

	if (level == dev->intx_asserted || !dev->intx.gsi)
		return;
	dev->intx_asserted = level;
	irq_line_set(pci_host_irq(dev->host), &dev->intx, level);
}

/* PCIe 5.0, 7.5.1.1.4 Status Register: Interrupt Status shows what is pending, whatever Interrupt
 * Disable says. */
void pci_dev_set_intx(struct pci_dev *dev, bool level)
{
	uint32_t status = pci_cfg_read(&dev->cfg, PCI_STATUS, 2) & ~(uint32_t)PCI_STATUS_INTERRUPT;

	dev->intx_wanted = level;
	pci_cfg_set(&dev->cfg, PCI_STATUS, 2, status | (level ? PCI_STATUS_INTERRUPT : 0));
	update_intx(dev);
}

/* --- the guest's config accesses --- */

/* `off` is in the dword of PMCSR: an access does not cross dwords and capabilities are aligned. */
static bool is_pmcsr(const struct pci_dev *dev, uint16_t off)
{
	return dev->pm_cap && (off & ~3U) == dev->pm_cap + (unsigned int)PCI_PM_CTRL;
}

uint32_t pci_dev_cfg_read(struct pci_dev *dev, uint16_t off, unsigned int len)
{
	uint32_t value = (uint32_t)ones(len);

	pthread_mutex_lock(&dev->lock);
	if (dev->presence == PCI_PRESENT) {
		value = pci_cfg_read(&dev->cfg, off, len);
		if (dev->ops->cfg_read)
			dev->ops->cfg_read(dev, off, len, &value);
	} else if (dev->presence == PCI_COLD && is_pmcsr(dev, off)) {
		value = pci_cfg_read(&dev->cfg, off, len);
		if (off == dev->pm_cap + PCI_PM_CTRL)
			value |= POWER_D3;
	}
	pthread_mutex_unlock(&dev->lock);
	return value & (uint32_t)ones(len);
}

/* PCI PM 1.2, 3.2.4 PMCSR: a write of a state that is not supported completes and leaves the state
 * as it is. What is written to it while the power is off is never seen: reads show D3, and the
 * function comes up in D0. */
static void write_pmcsr(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value)
{
	uint32_t pmcsr = pci_cfg_read(&dev->cfg, dev->pm_cap + PCI_PM_CTRL, 1);
	unsigned int old = pmcsr & PCI_PM_CTRL_STATE_MASK, now;

	pci_cfg_write(&dev->cfg, off, len, value);
	pmcsr = pci_cfg_read(&dev->cfg, dev->pm_cap + PCI_PM_CTRL, 1);
	now = pmcsr & PCI_PM_CTRL_STATE_MASK;
	if (now != POWER_D0 && now != POWER_D3)
		set_power_state(dev, old);
}

static bool secondary_reset(const struct pci_dev *dev)
{
	uint32_t control = pci_cfg_read(&dev->cfg, PCI_BRIDGE_CONTROL, 2);

	return pci_dev_is_bridge(dev) && control & PCI_BRIDGE_CTL_BUS_RESET;
}

/* What a write to a bridge asks for below it, once the bridge's lock is released. */
struct below {
	bool reset, update;
};

static struct below write_locked(struct pci_dev *dev, uint16_t off, unsigned int len,
				 uint32_t value)
{
	bool in_reset = secondary_reset(dev);
	struct below below = {0};

	if (dev->presence == PCI_GONE || (dev->presence == PCI_COLD && !is_pmcsr(dev, off)))
		return below;
	if (is_pmcsr(dev, off))
		write_pmcsr(dev, off, len, value);
	else
		pci_cfg_write(&dev->cfg, off, len, value);
	pci_bar_unmap_stale_locked(dev);
	if (dev->ops->cfg_changed)
		dev->ops->cfg_changed(dev, off, len, value);
	pci_bar_map_wanted_locked(dev);
	update_intx(dev);
	if (pci_dev_is_bridge(dev)) {
		below.reset = !in_reset && secondary_reset(dev);
		below.update = pci_bridge_publish_locked(dev);
	}
	return below;
}

void pci_dev_cfg_write(struct pci_dev *dev, uint16_t off, unsigned int len, uint32_t value)
{
	struct below below;

	pthread_mutex_lock(&dev->lock);
	below = write_locked(dev, off, len, value);
	pthread_mutex_unlock(&dev->lock);
	if (below.reset)
		pci_host_reset_below(dev);
	if (below.update)
		pci_host_update_below(dev);
	pci_host_update_moved(dev->host);
}

/* --- presence and reset --- */

void pci_dev_set_presence_locked(struct pci_dev *dev, enum pci_presence presence)
{
	if (dev->presence == PCI_COLD && presence == PCI_PRESENT && dev->pm_cap)
		set_power_state(dev, POWER_D0);
	dev->presence = presence;
	pci_dev_update_mappings_locked(dev);
	update_intx(dev);
}

void pci_dev_reset_locked(struct pci_dev *dev)
{
	pci_bar_unmap_all_locked(dev);
	memcpy(dev->cfg.value, dev->reset_image, sizeof(dev->reset_image));
	pci_msix_reset(dev);
	dev->intx_wanted = false;
	update_intx(dev);
}

static bool reset_locked(struct pci_dev *dev)
{
	pci_dev_reset_locked(dev);
	if (dev->ops->reset)
		dev->ops->reset(dev);
	pci_bar_map_wanted_locked(dev);
	return pci_dev_is_bridge(dev) && pci_bridge_publish_locked(dev);
}

void pci_dev_reset(struct pci_dev *dev)
{
	bool update_below;

	pthread_mutex_lock(&dev->lock);
	update_below = reset_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	if (update_below)
		pci_host_update_below(dev);
}

/* A function without power has nothing that a reset could change, and the real device behind it
 * must not be touched. */
void pci_dev_reset_from_above(struct pci_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (dev->presence == PCI_PRESENT)
		reset_locked(dev); /* no bridge: those are on bus 0 */
	pthread_mutex_unlock(&dev->lock);
}
