#include "devices/pme.h"

#include <linux/pci_regs.h>
#include <string.h>

#define DEVFN_COUNT 256U

static bool is_waiting(const struct pme *pme, uint8_t devfn)
{
	return pme->waiting[devfn / 64] >> devfn % 64 & 1;
}

static bool any_waiting(const struct pme *pme)
{
	return pme->own_waiting ||
	       pme->waiting[0] | pme->waiting[1] | pme->waiting[2] | pme->waiting[3];
}

void pme_reset(struct pme *pme)
{
	memset(pme, 0, sizeof(*pme));
}

bool pme_asserted(const struct pme *pme)
{
	return pme->enable && pme->status;
}

bool pme_outstanding(const struct pme *pme, uint8_t devfn)
{
	return (pme->status && !pme->own && pme->requester == devfn) || is_waiting(pme, devfn);
}

bool pme_message(struct pme *pme, uint8_t devfn)
{
	if (pme_outstanding(pme, devfn))
		return false;
	if (pme->status) {
		pme->waiting[devfn / 64] |= 1ULL << devfn % 64;
		return false;
	}
	pme->status = true;
	pme->own = false;
	pme->requester = devfn;
	return pme->enable;
}

bool pme_own_message(struct pme *pme, uint8_t devfn)
{
	pme->own_devfn = devfn;
	if (pme->status) {
		pme->own_waiting = !pme->own;
		return false;
	}
	pme->status = true;
	pme->own = true;
	return pme->enable;
}

void pme_own_forget(struct pme *pme)
{
	pme->own_waiting = false;
}

bool pme_set_enable(struct pme *pme, bool enable)
{
	bool was_asserted = pme_asserted(pme);

	pme->enable = enable;
	return pme_asserted(pme) && !was_asserted;
}

/* The port itself, then the next one in turn after the one just served, so that none starves.
 * Status is clear for an instant in between, hence a new edge. */
bool pme_clear_status(struct pme *pme)
{
	if (!pme->status)
		return false;
	pme->status = false;
	if (pme->own_waiting) {
		pme_own_forget(pme);
		return pme_own_message(pme, pme->own_devfn);
	}
	for (unsigned int i = 1; i <= DEVFN_COUNT; i++) {
		uint8_t devfn = (uint8_t)(pme->requester + i);

		if (is_waiting(pme, devfn)) {
			pme_forget(pme, devfn);
			return pme_message(pme, devfn);
		}
	}
	return false;
}

void pme_forget(struct pme *pme, uint8_t devfn)
{
	pme->waiting[devfn / 64] &= ~(1ULL << devfn % 64);
}

uint32_t pme_root_status(const struct pme *pme, uint8_t secondary_bus)
{
	uint32_t id = pme->own ? pme->own_devfn : (uint32_t)secondary_bus << 8 | pme->requester;

	if (!pme->status)
		return 0;
	return id | PCI_EXP_RTSTA_PME | (any_waiting(pme) ? PCI_EXP_RTSTA_PENDING : 0);
}
