/*
 * An append-only builder of ACPI Machine Language. Terms are written in the order of the grammar
 * (ACPI 6.3, AML Grammar Definition): an opcode, then its operands, each by a call of its own.
 * Terms with a PkgLength are begun and ended; the length is put in, in its shortest form, at the
 * end, so the bytes are those that iasl makes of the same ASL.
 *
 * The caller owns the buffer and the struct; nothing is allocated, there is no other state. The
 * first error sticks: later calls do nothing, aml_finish() tells. Nothing is ever written outside
 * the buffer. Paths and names are given as in ASL ("\\_SB.PCI0", "^PCI0", "_ON").
 */
#ifndef ACPI_AML_H
#define ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH_MAX 16 /* terms open at a time */

struct aml {
	uint8_t *buffer;
	size_t size, used;
	int error; /* 0 or the first negative errno */
	unsigned int depth;
	struct {
		size_t start;   /* where PkgLength goes; the term's contents follow */
		bool resources; /* a resource template: an end tag and BufferSize are due */
	} open[AML_DEPTH_MAX];
};

/* Objects and operators without a PkgLength. Above a byte: 0x5b (ExtOpPrefix), then the byte. */
enum aml_opcode {
	/* ACPI 6.3, Name Objects Encoding: NullName, the Target of a result that is not stored */
	AML_NULL_TARGET = 0x00,
	/* ACPI 6.3, Local Objects Encoding: LocalObj */
	AML_LOCAL0 = 0x60,
	/* ACPI 6.3, Arg Objects Encoding: ArgObj */
	AML_ARG0 = 0x68,
	AML_ARG1 = 0x69,
	AML_ARG2 = 0x6a,
	AML_ARG3 = 0x6b,
	/* ACPI 6.3, Expression Opcodes Encoding */
	AML_STORE = 0x70,     /* DefStore: TermArg, SuperName */
	AML_DECREMENT = 0x76, /* DefDecrement: SuperName */
	AML_AND = 0x7b,       /* DefAnd: Operand, Operand, Target */
	AML_OR = 0x7d,        /* DefOr: Operand, Operand, Target */
	AML_LAND = 0x90,      /* DefLAnd: Operand, Operand */
	AML_LNOT = 0x92,      /* DefLNot: Operand */
	AML_LEQUAL = 0x93,    /* DefLEqual: Operand, Operand */
	AML_LLESS = 0x95,     /* DefLLess: Operand, Operand */
	/* ACPI 6.3, Named Objects Encoding */
	AML_CREATE_DWORD_FIELD = 0x8a, /* DefCreateDWordField: SourceBuff, ByteIndex, NameString */
	/* ACPI 6.3, Statement Opcodes Encoding */
	AML_NOTIFY = 0x86,    /* DefNotify: NotifyObject, NotifyValue */
	AML_RETURN = 0xa4,    /* DefReturn: ArgObject */
	AML_SLEEP = 0x5b22,   /* DefSleep: MsecTime */
};

/* Appends to the `size` bytes at `buffer`. */
void aml_start(struct aml *aml, uint8_t *buffer, size_t size);

/* Returns the bytes used; or -ENOSPC: the buffer is too small, -EINVAL: a name or number that AML
 * cannot express, or begin and end calls that do not pair. */
long aml_finish(const struct aml *aml);

/* Closes what the last aml_begin_...() opened. */
void aml_end(struct aml *aml);

void aml_raw(struct aml *aml, const void *bytes, size_t len);
void aml_op(struct aml *aml, enum aml_opcode op);
void aml_name_string(struct aml *aml, const char *path);

/* Data objects. */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
void aml_buffer(struct aml *aml, const uint8_t *bytes, size_t len);
void aml_eisa_id(struct aml *aml, const char *id);  /* "PNP0A08" */
void aml_uuid(struct aml *aml, const char *uuid);   /* "33db4d5b-1ff7-401c-9657-7441c03dd766" */
void aml_begin_package(struct aml *aml, uint8_t elements);

/* Namespace. */
void aml_name(struct aml *aml, const char *name);   /* a data object follows */
void aml_name_integer(struct aml *aml, const char *name, uint64_t value);
void aml_external_device(struct aml *aml, const char *path); /* defined by another table */
void aml_begin_scope(struct aml *aml, const char *path);
void aml_begin_device(struct aml *aml, const char *name);
void aml_begin_method(struct aml *aml, const char *name, unsigned int args, bool serialized);
void aml_begin_power_resource(struct aml *aml, const char *name);

/* A region of system memory, and dword fields in it (no lock, preserve). */
void aml_memory_region(struct aml *aml, const char *name, uint64_t gpa, uint64_t size);
void aml_begin_dword_field(struct aml *aml, const char *region);
void aml_field_unit(struct aml *aml, const char *name, uint32_t bits);

/* Statements. If and While are followed by their predicate. */
void aml_begin_if(struct aml *aml);
void aml_begin_while(struct aml *aml);

/* Resource templates (acpi/aml_resource.c). */
void aml_begin_resources(struct aml *aml);
void aml_resource_io(struct aml *aml, uint16_t start, uint16_t size);
void aml_resource_irq(struct aml *aml, unsigned int irq);
void aml_resource_memory32(struct aml *aml, uint64_t start, uint64_t size);
/* Windows that a bridge passes on: bus numbers, I/O ports, 32-bit and 64-bit memory. */
void aml_window_bus(struct aml *aml, uint64_t first, uint64_t count);
void aml_window_io(struct aml *aml, uint64_t start, uint64_t size);
void aml_window_memory32(struct aml *aml, uint64_t start, uint64_t size);
void aml_window_memory64(struct aml *aml, uint64_t start, uint64_t size);

#endif
