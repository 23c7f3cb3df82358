/*
 * The DSDT: the PCI host bridge and the few devices that cannot be enumerated. The same in ASL,
 * for reading: tests/acpi/golden/dsdt.asl.
 */
#include "acpi/header.h"
#include "acpi/tables.h"
#include "vmm/base/bits.h"

#define PCI_PINS 4
#define PCI_DEVICES 32
#define PCI_CONFIG_PORT 0xcf8
#define PCI_CONFIG_PORTS 8

/* PCI Firmware 3.0, _OSC Interface for PCI Host Bridge Devices */
#define OSC_UUID "33db4d5b-1ff7-401c-9657-7441c03dd766"
#define OSC_REVISION 1
#define OSC_UNRECOGNIZED_UUID 0x04
#define OSC_UNRECOGNIZED_REVISION 0x08
#define OSC_CAPABILITIES_MASKED 0x10
#define OSC_CONTROL_HOTPLUG 0x01
#define OSC_CONTROL_PME 0x04
#define OSC_CONTROL_AER 0x08
#define OSC_CONTROL_PCIE_CAPABILITY 0x10
#define OSC_GRANTED                                                      \
	(OSC_CONTROL_HOTPLUG | OSC_CONTROL_PME | OSC_CONTROL_AER | \
	 OSC_CONTROL_PCIE_CAPABILITY)

/* PCI Firmware 3.2, _DSM Definitions for PCI */
#define DSM_UUID "e5c937d0-3553-4d7a-9117-ea4d19c3434d"
#define DSM_REVISION 3 /* the first that defines the function below */
#define DSM_QUERY 0
#define DSM_RESET_DELAY 8

static void emit_host_windows(struct aml *aml, const struct acpi_machine *machine)
{
	aml_name(aml, "_CRS");
	aml_begin_resources(aml);
	aml_window_bus(aml, 0, machine->ecam.size >> 20); /* 1 MiB of ECAM a bus */
	aml_resource_io(aml, PCI_CONFIG_PORT, PCI_CONFIG_PORTS);
	if (machine->io.size)
		aml_window_io(aml, machine->io.start, machine->io.size);
	if (machine->mmio32.size)
		aml_window_memory32(aml, machine->mmio32.start, machine->mmio32.size);
	if (machine->mmio32_more.size)
		aml_window_memory32(aml, machine->mmio32_more.start, machine->mmio32_more.size);
	if (machine->mmio64.size)
		aml_window_memory64(aml, machine->mmio64.start, machine->mmio64.size);
	aml_end(aml);
}

/* ACPI 6.3, _PRT (PCI Routing Table): source 0, so the index is a GSI; function part all ones. */
static void emit_routing(struct aml *aml, const struct acpi_machine *machine)
{
	aml_name(aml, "_PRT");
	aml_begin_package(aml, PCI_DEVICES * PCI_PINS);
	for (uint64_t dev = 0; dev < PCI_DEVICES; dev++) {
		for (uint64_t pin = 0; pin < PCI_PINS; pin++) {
			aml_begin_package(aml, 4);
			aml_integer(aml, dev << 16 | 0xffff);
			aml_integer(aml, pin);
			aml_integer(aml, 0);
			aml_integer(aml, machine->prt[dev][pin]);
			aml_end(aml);
		}
	}
	aml_end(aml);
}

/* If (<arg> != <what the caller writes next>) */
static void begin_if_differs(struct aml *aml, enum aml_opcode arg)
{
	aml_begin_if(aml);
	aml_op(aml, AML_LNOT);
	aml_op(aml, AML_LEQUAL);
	aml_op(aml, arg);
}

static void emit_dword_of_arg3(struct aml *aml, uint64_t offset, const char *name)
{
	aml_op(aml, AML_CREATE_DWORD_FIELD);
	aml_op(aml, AML_ARG3);
	aml_integer(aml, offset);
	aml_name_string(aml, name);
}

/* CDW1 |= <bit> */
static void emit_osc_status(struct aml *aml, uint64_t bit)
{
	aml_op(aml, AML_OR);
	aml_name_string(aml, "CDW1");
	aml_integer(aml, bit);
	aml_name_string(aml, "CDW1");
}

static void emit_return(struct aml *aml, enum aml_opcode object)
{
	aml_op(aml, AML_RETURN);
	aml_op(aml, object);
}

/* CDW3 keeps what is granted. Linux fails a request that comes back with the masked bit, so it is
 * set only where something was taken away; its last request asks for no more than it was told. */
static void emit_osc_grant(struct aml *aml)
{
	emit_dword_of_arg3(aml, 8, "CDW3");
	aml_op(aml, AML_AND); /* Local0 = CDW3 & OSC_GRANTED */
	aml_name_string(aml, "CDW3");
	aml_integer(aml, OSC_GRANTED);
	aml_op(aml, AML_LOCAL0);
	begin_if_differs(aml, AML_LOCAL0);
	aml_name_string(aml, "CDW3");
	emit_osc_status(aml, OSC_CAPABILITIES_MASKED);
	aml_end(aml);
	aml_op(aml, AML_STORE);
	aml_op(aml, AML_LOCAL0);
	aml_name_string(aml, "CDW3");
}

/*
 * ACPI 6.3, _OSC (Operating System Capabilities). Arg0 UUID, Arg1 revision, Arg3 the capabilities
 * buffer: CDW1 query bit and status, CDW2 support, CDW3 control. Nothing is kept between calls, so
 * a query needs no path of its own. Standard hot plug, LTR and DPC are not granted: the root ports
 * do not emulate them.
 */
static void emit_osc(struct aml *aml)
{
	aml_begin_method(aml, "_OSC", 4, true);
	emit_dword_of_arg3(aml, 0, "CDW1");
	begin_if_differs(aml, AML_ARG0);
	aml_uuid(aml, OSC_UUID);
	emit_osc_status(aml, OSC_UNRECOGNIZED_UUID);
	emit_return(aml, AML_ARG3);
	aml_end(aml);
	begin_if_differs(aml, AML_ARG1);
	aml_integer(aml, OSC_REVISION);
	emit_osc_status(aml, OSC_UNRECOGNIZED_REVISION);
	emit_return(aml, AML_ARG3);
	aml_end(aml);
	emit_osc_grant(aml);
	emit_return(aml, AML_ARG3);
	aml_end(aml);
}

static void begin_if_function(struct aml *aml, uint64_t function)
{
	aml_begin_if(aml);
	aml_op(aml, AML_LEQUAL);
	aml_op(aml, AML_ARG2);
	aml_integer(aml, function);
}

/*
 * ACPI 6.3, _DSM (Device Specific Method). Arg0 UUID, Arg1 revision, Arg2 function. Function 8
 * answers one: no wait is needed after power on or reset, because the power resource's _ON and the
 * reset come back only when the function answers. An unknown UUID, revision or function gets the
 * buffer that says "no functions".
 */
static void emit_dsm(struct aml *aml)
{
	static const uint8_t none[] = {0x00};
	static const uint8_t functions[] = {1U << DSM_QUERY, 1U << (DSM_RESET_DELAY - 8)};

	aml_begin_method(aml, "_DSM", 4, false);
	aml_begin_if(aml);
	aml_op(aml, AML_LAND);
	aml_op(aml, AML_LEQUAL);
	aml_op(aml, AML_ARG0);
	aml_uuid(aml, DSM_UUID);
	aml_op(aml, AML_LNOT); /* Arg1 >= DSM_REVISION */
	aml_op(aml, AML_LLESS);
	aml_op(aml, AML_ARG1);
	aml_integer(aml, DSM_REVISION);
	begin_if_function(aml, DSM_QUERY);
	aml_op(aml, AML_RETURN);
	aml_buffer(aml, functions, sizeof(functions));
	aml_end(aml);
	begin_if_function(aml, DSM_RESET_DELAY);
	aml_op(aml, AML_RETURN);
	aml_integer(aml, 1);
	aml_end(aml);
	aml_end(aml);
	aml_op(aml, AML_RETURN);
	aml_buffer(aml, none, sizeof(none));
	aml_end(aml);
}

static void emit_host_bridge(struct aml *aml, const struct acpi_machine *machine)
{
	aml_begin_device(aml, "PCI0");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A08");
	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name_integer(aml, "_UID", 0);
	aml_name_integer(aml, "_SEG", 0);
	aml_name_integer(aml, "_BBN", 0);
	emit_host_windows(aml, machine);
	emit_routing(aml, machine);
	emit_osc(aml);
	emit_dsm(aml);
	aml_end(aml);
}

struct isa_device {
	const char *name, *id;
	uint16_t port, ports;
	uint8_t irq;
};

static void emit_isa_device(struct aml *aml, const struct isa_device *device)
{
	aml_begin_device(aml, device->name);
	aml_name(aml, "_HID");
	aml_eisa_id(aml, device->id);
	aml_name_integer(aml, "_UID", 0);
	aml_name(aml, "_CRS");
	aml_begin_resources(aml);
	aml_resource_io(aml, device->port, device->ports);
	aml_resource_irq(aml, device->irq);
	aml_end(aml);
	aml_end(aml);
}

/* What no driver claims but must stay free. Linux uses the ECAM only if it finds it reserved. */
static void emit_reserved(struct aml *aml, const struct acpi_machine *machine)
{
	aml_begin_device(aml, "RSVD");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C02");
	aml_name_integer(aml, "_UID", 0);
	aml_name(aml, "_CRS");
	aml_begin_resources(aml);
	aml_resource_io(aml, machine->pm_base, machine->pm_size);
	aml_resource_memory32(aml, machine->ecam.start, machine->ecam.size);
	for (unsigned int i = 0; i < machine->slots; i++)
		if (machine->slot[i].d3cold)
			aml_resource_memory32(aml, machine->slot[i].controller,
					      SLOT_CONTROLLER_SIZE);
	aml_end(aml);
	aml_end(aml);
}

/* ACPI 6.3, \_Sx (System States): SLP_TYP of PM1a and PM1b, two reserved. */
static void emit_sleep_type(struct aml *aml, const char *name, uint8_t slp_typ)
{
	aml_name(aml, name);
	aml_begin_package(aml, 4);
	aml_integer(aml, slp_typ);
	aml_integer(aml, slp_typ);
	aml_integer(aml, 0);
	aml_integer(aml, 0);
	aml_end(aml);
}

long acpi_build_dsdt(const struct acpi_machine *machine, uint8_t *buffer, size_t size)
{
	const struct isa_device isa[] = {
		{"COM1", "PNP0501", machine->com1_port, 8, machine->com1_irq},
		{"RTC0", "PNP0B00", machine->rtc_port, 2, machine->rtc_irq},
	};
	struct aml aml;

	acpi_block_start(&aml, buffer, size, "DSDT", ACPI_TABLE_ID_MACHINE);
	aml_begin_scope(&aml, "\\_SB");
	emit_host_bridge(&aml, machine);
	for (size_t i = 0; i < ARRAY_SIZE(isa); i++)
		emit_isa_device(&aml, &isa[i]);
	emit_reserved(&aml, machine);
	aml_end(&aml);
	emit_sleep_type(&aml, "\\_S3", machine->slp_typ_s3);
	emit_sleep_type(&aml, "\\_S5", machine->slp_typ_s5);
	return acpi_block_finish(&aml);
}
