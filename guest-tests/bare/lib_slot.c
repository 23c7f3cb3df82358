#include "guest-tests/bare/lib_slot.h"
#include "guest-tests/bare/lib_irq.h"

#define DEVICES 32
#define CLASS_BRIDGE 0x0604U
#define HEADER_TYPE_MASK 0x7fU

/* ACPI 6.3, 20.3 AML Byte Stream Byte Values. */
#define AML_ZERO 0x00
#define AML_ONE 0x01
#define AML_NAME 0x08
#define AML_BYTE 0x0a
#define AML_WORD 0x0b
#define AML_DWORD 0x0c
#define AML_QWORD 0x0e
#define AML_METHOD 0x14
#define AML_EXT 0x5b
#define AML_EXT_REGION 0x80
#define AML_EXT_FIELD 0x81
#define REGION_SYSTEM_MEMORY 0

#define NAME_SIZE 4

/* --- PCI --- */

void slot_find_functions(struct slot *slot)
{
	unsigned int bus = pci_read(slot->port, PCI_SECONDARY_BUS, 1);

	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++) {
		uint16_t bdf = BDF(bus, 0, fn);

		slot->fn[fn] = 0;
		if (pci_read(bdf, PCI_VENDOR_ID, 2) == 0xffff)
			continue;
		slot->fn[fn] = bdf;
		slot->pm[fn] = pci_cap(bdf, PCI_CAP_ID_PM);
	}
}

static void find(struct slot *slot, bool any)
{
	memset(slot, 0, sizeof(*slot));
	for (unsigned int dev = 0; dev < DEVICES; dev++) {
		slot->port = BDF(0, dev, 0);
		if (pci_read(slot->port, PCI_CLASS_DEVICE, 2) != CLASS_BRIDGE ||
		    (pci_read(slot->port, PCI_HEADER_TYPE, 1) & HEADER_TYPE_MASK) !=
			    PCI_HEADER_TYPE_BRIDGE)
			continue;
		slot_find_functions(slot);
		slot->port_pm = pci_cap(slot->port, PCI_CAP_ID_PM);
		slot->port_exp = pci_cap(slot->port, PCI_CAP_ID_EXP);
		if (any || slot->fn[0])
			return;
	}
	report(any ? "there is a root port" : "there is a root port with a function below it",
	       false);
	finish();
}

void slot_find(struct slot *slot)
{
	find(slot, false);
}

void slot_find_port(struct slot *slot)
{
	find(slot, true);
}

/* --- ACPI: the bytes are walked from one known construct to the next --- */

struct aml {
	const uint8_t *at, *end;
};

static bool aml_integer(struct aml *aml, uint64_t *ret_value)
{
	static const struct {
		uint8_t prefix, size;
	} kinds[] = {{AML_BYTE, 1}, {AML_WORD, 2}, {AML_DWORD, 4}, {AML_QWORD, 8}};
	uint8_t prefix = aml->at < aml->end ? *aml->at++ : 0xff;

	*ret_value = prefix;
	if (prefix == AML_ZERO || prefix == AML_ONE)
		return true;
	*ret_value = 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].prefix != prefix || aml->end - aml->at < kinds[i].size)
			continue;
		memcpy(ret_value, aml->at, kinds[i].size);
		aml->at += kinds[i].size;
		return true;
	}
	return false;
}

/* ACPI 6.3, 20.2.4 Package Length Encoding. */
static size_t aml_length(struct aml *aml)
{
	uint8_t lead = *aml->at++;
	size_t value = lead & 0x0f;

	if (!(lead >> 6))
		return lead & 0x3f;
	for (unsigned int i = 0; i < lead >> 6; i++)
		value |= (size_t)*aml->at++ << (4 + 8 * i);
	return value;
}

static bool name_is(const struct aml *aml, const char *name)
{
	return aml->end - aml->at >= NAME_SIZE && !memcmp(aml->at, name, NAME_SIZE);
}

/* A Field of the region at `base`: the addresses of the units that matter. */
static void read_field(struct slot *slot, struct aml aml, uint64_t base)
{
	const uint8_t *start = aml.at;
	uint64_t bit = 0;

	aml.end = start + aml_length(&aml);
	aml.at += NAME_SIZE + 1; /* the region's name, the flags */
	while (aml.end - aml.at > NAME_SIZE) {
		uint64_t address = base + bit / 8;

		if (name_is(&aml, "CTRL"))
			slot->control = address;
		else if (name_is(&aml, "STAT"))
			slot->status = address;
		else if (name_is(&aml, "WAKE"))
			slot->wake = address;
		aml.at += NAME_SIZE;
		bit += aml_length(&aml);
	}
}

static unsigned int hex_digit(uint8_t c)
{
	return c <= '9' ? c - (unsigned int)'0' : c - (unsigned int)'A' + 10;
}

/*
 * One SSDT. The _ADR before a region names the port that the region belongs to; the field after it
 * is that region's, because a slot has one; a method _Exx handles its event.
 */
static void walk_ssdt(struct slot *slot, const struct acpi_header *table)
{
	struct aml aml = {(const uint8_t *)(table + 1), (const uint8_t *)table + table->length};
	uint64_t adr = ~0ULL, base = 0, value;
	bool mine = false;

	for (const uint8_t *p = aml.at; aml.end - p > NAME_SIZE + 2; p++) {
		struct aml next = {p + 2, aml.end};

		if (p[0] == AML_NAME && !memcmp(p + 1, "_ADR", NAME_SIZE)) {
			next.at = p + 1 + NAME_SIZE;
			if (!mine && aml_integer(&next, &value))
				adr = value;
		} else if (p[0] == AML_EXT && p[1] == AML_EXT_REGION) {
			next.at = p + 2 + NAME_SIZE;
			if (*next.at++ == REGION_SYSTEM_MEMORY && aml_integer(&next, &base))
				mine = adr == (uint64_t)(slot->port >> 3 & 31) << 16;
		} else if (p[0] == AML_EXT && p[1] == AML_EXT_FIELD && mine) {
			read_field(slot, next, base);
		} else if (p[0] == AML_METHOD && mine) {
			next.at = p + 1;
			aml_length(&next);
			if (!memcmp(next.at, "_E", 2))
				slot->gpe = (uint8_t)(hex_digit(next.at[2]) << 4 |
						      hex_digit(next.at[3]));
		}
	}
}

bool slot_find_controller(struct slot *slot)
{
	const struct acpi_header *table;

	for (unsigned int i = 0; (table = acpi_table(i)); i++)
		if (!memcmp(table->signature, "SSDT", sizeof(table->signature)))
			walk_ssdt(slot, table);
	return slot->control && slot->status && slot->wake;
}

/* --- power --- */

static bool is_idle(void *opaque)
{
	const struct slot *slot = opaque;

	return !(MMIO(uint32_t, slot->status) & STATUS_BUSY);
}

uint32_t slot_await_idle(const struct slot *slot, unsigned int ms)
{
	struct slot copy = *slot;

	wait_until(is_idle, &copy, ms);
	return MMIO(uint32_t, slot->status);
}

uint32_t slot_switch(const struct slot *slot, bool on, unsigned int ms)
{
	MMIO(uint32_t, slot->control) = on;
	return slot_await_idle(slot, ms);
}

/* Writes PMCSR of the port, and a one to its PME_Status. */
static void set_port_pmcsr(const struct slot *slot, uint32_t value)
{
	pci_write(slot->port, slot->port_pm + PCI_PM_CTRL, 2, value | PCI_PM_CTRL_PME_STATUS);
}

void slot_prepare_suspend(const struct slot *slot, bool pme)
{
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		if (slot->fn[fn])
			slot_set_pmcsr(slot, fn, 3 | PCI_PM_CTRL_PME_STATUS |
					       (pme ? PCI_PM_CTRL_PME_ENABLE : 0));
	set_port_pmcsr(slot, 3 | PCI_PM_CTRL_PME_ENABLE);
}

uint32_t slot_suspend(const struct slot *slot, bool pme)
{
	slot_prepare_suspend(slot, pme);
	return slot_switch(slot, false, SLOT_TIMEOUT_MS);
}

uint32_t slot_resume(const struct slot *slot)
{
	uint32_t status = slot_switch(slot, true, SLOT_TIMEOUT_MS);

	set_port_pmcsr(slot, 0);
	for (unsigned int fn = 0; fn < SLOT_FUNCTIONS; fn++)
		if (slot->fn[fn])
			slot_set_pmcsr(slot, fn, PCI_PM_CTRL_PME_STATUS);
	return status;
}

uint32_t slot_pmcsr(const struct slot *slot, unsigned int fn)
{
	return pci_read(slot->fn[fn], slot->pm[fn] + PCI_PM_CTRL, 2);
}

void slot_set_pmcsr(const struct slot *slot, unsigned int fn, uint32_t value)
{
	pci_write(slot->fn[fn], slot->pm[fn] + PCI_PM_CTRL, 2, value);
}

uint32_t slot_root_status(const struct slot *slot)
{
	return pci_read(slot->port, slot->port_exp + PCI_EXP_RTSTA, 4);
}
