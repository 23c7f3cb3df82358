/*
 * Inside the AML builder: what acpi/aml.c offers to acpi/aml_term.c. Each does nothing after an
 * error, as those of acpi/aml.h.
 */
#ifndef ACPI_AML_EMIT_H
#define ACPI_AML_EMIT_H

#include "acpi/aml.h"

#define AML_PKG_LENGTH_MAX 4 /* bytes */

/* ACPI 6.3, Data Objects Encoding: BytePrefix, WordPrefix */
#define AML_BYTE_PREFIX 0x0a
#define AML_WORD_PREFIX 0x0b

void aml_fail(struct aml *aml, int error);

/* The low `len` bytes of `value`, little-endian. */
void aml_put(struct aml *aml, unsigned int len, uint64_t value);
void aml_put_opcode(struct aml *aml, unsigned int opcode);

/* The opcode of a term with a PkgLength; aml_end() closes it. */
void aml_open_term(struct aml *aml, unsigned int opcode);

/* Takes a segment of at most four characters from `path`; returns what follows it. */
const char *aml_put_name_seg(struct aml *aml, const char *path);
size_t aml_count_segs(const char *path);

/* How many bytes the shortest PkgLength of `value` takes, 0: it is too large; and the encoding. */
size_t aml_pkg_length_size(size_t value);
void aml_encode_pkg_length(uint8_t *bytes, size_t len, size_t value);

#endif
