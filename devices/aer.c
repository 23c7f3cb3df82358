#include "devices/aer.h"

#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/base/bits.h"

#define UNCORRECTABLE_SHIFT 16

static const struct {
	uint32_t first, multiple; /* one of that class was received, and another one */
	uint32_t received;        /* what `enable` is about */
	uint32_t enable;
	uint32_t if_first;        /* set with it when it is the first of its class */
} errors[] = {
	[ROOT_PORT_CORRECTABLE] = {PCI_ERR_ROOT_COR_RCV, PCI_ERR_ROOT_MULTI_COR_RCV,
				   PCI_ERR_ROOT_COR_RCV, PCI_ERR_ROOT_CMD_COR_EN, 0},
	[ROOT_PORT_NONFATAL] = {PCI_ERR_ROOT_UNCOR_RCV, PCI_ERR_ROOT_MULTI_UNCOR_RCV,
				PCI_ERR_ROOT_NONFATAL_RCV, PCI_ERR_ROOT_CMD_NONFATAL_EN, 0},
	[ROOT_PORT_FATAL] = {PCI_ERR_ROOT_UNCOR_RCV, PCI_ERR_ROOT_MULTI_UNCOR_RCV,
			     PCI_ERR_ROOT_FATAL_RCV, PCI_ERR_ROOT_CMD_FATAL_EN,
			     PCI_ERR_ROOT_FIRST_FATAL},
};

void aer_reset(struct aer *aer)
{
	memset(aer, 0, sizeof(*aer));
}

void aer_message(struct aer *aer, enum root_port_error error, uint16_t requester)
{
	if (aer->status & errors[error].first) {
		aer->status |= errors[error].multiple;
	} else {
		aer->status |= errors[error].first | errors[error].if_first;
		if (error == ROOT_PORT_CORRECTABLE)
			aer->correctable = requester;
		else
			aer->uncorrectable = requester;
	}
	aer->status |= errors[error].received;
}

void aer_write(struct aer *aer, uint32_t command, uint32_t status)
{
	aer->command = command;
	aer->status &= status;
}

bool aer_asserted(const struct aer *aer)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++)
		if (aer->command & errors[i].enable && aer->status & errors[i].received)
			return true;
	return false;
}

uint32_t aer_error_source(const struct aer *aer)
{
	return (uint32_t)aer->uncorrectable << UNCORRECTABLE_SHIFT | aer->correctable;
}
