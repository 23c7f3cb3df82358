#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/aer.h"
#include "vmm/base/bits.h"

#define COR PCI_ERR_ROOT_COR_RCV
#define MULTI_COR PCI_ERR_ROOT_MULTI_COR_RCV
#define UNCOR PCI_ERR_ROOT_UNCOR_RCV
#define MULTI_UNCOR PCI_ERR_ROOT_MULTI_UNCOR_RCV
#define FIRST PCI_ERR_ROOT_FIRST_FATAL
#define NONFATAL PCI_ERR_ROOT_NONFATAL_RCV
#define FATAL PCI_ERR_ROOT_FATAL_RCV
#define SEQUENCE_MAX 4

/* Errors in order, from requesters 0x0100, 0x0101, ... */
static const struct {
	unsigned int count;
	enum root_port_error errors[SEQUENCE_MAX];
	uint32_t status, source;
} sequences[] = {
	{0, {0}, 0, 0},
	{1, {ROOT_PORT_CORRECTABLE}, COR, 0x00000100},
	{1, {ROOT_PORT_NONFATAL}, UNCOR | NONFATAL, 0x01000000},
	{1, {ROOT_PORT_FATAL}, UNCOR | FIRST | FATAL, 0x01000000},
	{2, {ROOT_PORT_CORRECTABLE, ROOT_PORT_CORRECTABLE}, COR | MULTI_COR, 0x00000100},
	{2, {ROOT_PORT_NONFATAL, ROOT_PORT_NONFATAL}, UNCOR | MULTI_UNCOR | NONFATAL, 0x01000000},
	{2, {ROOT_PORT_FATAL, ROOT_PORT_FATAL}, UNCOR | MULTI_UNCOR | FIRST | FATAL, 0x01000000},
	{2, {ROOT_PORT_NONFATAL, ROOT_PORT_FATAL}, UNCOR | MULTI_UNCOR | NONFATAL | FATAL,
	 0x01000000},
	{2, {ROOT_PORT_FATAL, ROOT_PORT_NONFATAL},
	 UNCOR | MULTI_UNCOR | FIRST | NONFATAL | FATAL, 0x01000000},
	{2, {ROOT_PORT_CORRECTABLE, ROOT_PORT_FATAL}, COR | UNCOR | FIRST | FATAL, 0x01010100},
	{4, {ROOT_PORT_NONFATAL, ROOT_PORT_CORRECTABLE, ROOT_PORT_CORRECTABLE, ROOT_PORT_NONFATAL},
	 COR | MULTI_COR | UNCOR | MULTI_UNCOR | NONFATAL, 0x01000101},
};

static void test_aer_records(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sequences); i++) {
		struct aer aer;

		aer_reset(&aer);
		for (unsigned int j = 0; j < sequences[i].count; j++)
			aer_message(&aer, sequences[i].errors[j], (uint16_t)(0x0100 + j));
		assert_int_equal(aer.status, sequences[i].status);
		assert_int_equal(aer_error_source(&aer), sequences[i].source);
		assert_false(aer_asserted(&aer));
	}
}

/* Every combination of enables with every one of recorded errors: each enable has its own kind. */
static void test_aer_condition(void **state)
{
	(void)state;
	for (uint32_t command = 0; command < 8; command++) {
		for (unsigned int received = 0; received < 8; received++) {
			struct aer aer;

			aer_reset(&aer);
			aer_write(&aer, command, 0);
			for (unsigned int error = 0; error < 3; error++)
				if (received & 1U << error)
					aer_message(&aer, error, 0x0100);
			assert_int_equal(aer_asserted(&aer), (received & command) != 0);
			aer_write(&aer, command, 0);
			assert_false(aer_asserted(&aer));
			assert_int_equal(aer.status, 0);
		}
	}
}

/* What was cleared is told of anew, with the requester of then; the other class is untouched. */
static void test_aer_clear(void **state)
{
	const uint32_t uncorrectable = UNCOR | MULTI_UNCOR | FIRST | FATAL | NONFATAL;
	struct aer aer;

	(void)state;
	aer_reset(&aer);
	aer_message(&aer, ROOT_PORT_CORRECTABLE, 0x0500);
	aer_message(&aer, ROOT_PORT_FATAL, 0x0501);
	aer_message(&aer, ROOT_PORT_NONFATAL, 0x0502);
	aer_write(&aer, 7, aer.status & ~uncorrectable);
	assert_int_equal(aer.status, COR);
	assert_int_equal(aer_error_source(&aer), 0x05010500);
	aer_message(&aer, ROOT_PORT_NONFATAL, 0x0703);
	assert_int_equal(aer.status, COR | UNCOR | NONFATAL);
	assert_int_equal(aer_error_source(&aer), 0x07030500);
	assert_true(aer_asserted(&aer));
	aer_reset(&aer);
	assert_int_equal(aer.command, 0);
	assert_int_equal(aer.status, 0);
	assert_int_equal(aer_error_source(&aer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aer_records),
		cmocka_unit_test(test_aer_condition),
		cmocka_unit_test(test_aer_clear),
	};

	return cmocka_run_group_tests_name("aer", tests, NULL, NULL);
}
