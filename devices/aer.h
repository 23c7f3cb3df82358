/*
 * The root half of Advanced Error Reporting, pure: Root Error Command, Root Error Status and Error
 * Source Identification.
 *
 * PCIe 5.0, 6.2.4.1 Root Complex Considerations (Advanced Error Reporting); 7.8.4.9 Root Error
 * Command Register to 7.8.4.11 Error Source Identification Register. Interrupts are one condition,
 * aer_asserted(); its rising edge is a message, its level is INTx. Status is recorded whatever is
 * enabled.
 *
 * Locks: none; the owner (devices/root_port.c) holds its device lock.
 */
#ifndef DEVICES_AER_H
#define DEVICES_AER_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/root_port.h"

struct aer {
	uint32_t command; /* Root Error Command */
	uint32_t status;  /* Root Error Status; the Interrupt Message Number is 0 */
	/* Requester IDs of the first correctable and the first uncorrectable error. */
	uint16_t correctable, uncorrectable;
};

void aer_reset(struct aer *aer);

/* An error message of `requester` (bus and devfn) arrives. Only the first of a kind is identified;
 * of those that follow before the guest clears it, one bit tells. */
void aer_message(struct aer *aer, enum root_port_error error, uint16_t requester);

/* The guest wrote: what the two registers hold now. */
void aer_write(struct aer *aer, uint32_t command, uint32_t status);

bool aer_asserted(const struct aer *aer);

/* The dword of Error Source Identification. */
uint32_t aer_error_source(const struct aer *aer);

#endif
