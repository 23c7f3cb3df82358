/*
 * The runtime of the bare-metal guests. A guest is one file with a function test(); it reports each
 * check by a line "PASS name" or "FAIL name: why" on COM1, and the runtime ends with a write to the
 * debug exit port: 0 when all passed, 1 when not.
 */
#ifndef GUEST_TESTS_BARE_LIB_H
#define GUEST_TESTS_BARE_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define COM1 0x3f8
#define DEBUG_EXIT 0xf4

/* The guest itself. */
void test(void);

/* --- output and result --- */

void print(const char *text);
void print_hex(uint64_t value);
void print_number(uint64_t value); /* decimal */
void report(const char *name, bool good);
void report_equal(const char *name, uint64_t got, uint64_t expected);
/* "a: b", until the next call; for names of reports. */
const char *join(const char *a, const char *b);
/* A line of what was seen, next to a report that failed, say. */
void note(const char *text, uint64_t value);
/* Ends the guest with what was reported so far. */
_Noreturn void finish(void);

/* --- the CPU's ports and memory --- */

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Memory-mapped registers: one access of the size of the type. */
#define MMIO(type, address) (*(volatile type *)(uintptr_t)(address))

/* --- strings --- */

void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
/* The number after "key=" in the command line; -1 when the key is not there. */
long option(const char *key);
/* The word after "key=" in the command line, copied; false when the key is not there. */
bool option_word(const char *key, char *word, size_t size);

/* --- boot information: Xen, xen/include/public/arch-x86/hvm/start_info.h --- */

struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp;
	uint64_t memory_map;
	uint32_t memory_map_entries, reserved;
};

struct module {
	uint64_t address, size, cmdline, reserved;
};

#define MEMORY_RAM 1
struct memory {
	uint64_t address, size;
	uint32_t type, reserved;
};

extern uint32_t start_info; /* its address */

static inline const struct start_info *boot_info(void)
{
	return (const struct start_info *)(uintptr_t)start_info;
}

static inline const char *cmdline(void)
{
	return (const char *)(uintptr_t)boot_info()->cmdline;
}

/* --- ACPI tables (lib_acpi.c) --- */

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
};
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.3, 5.2.6 System Description Table Header");

bool acpi_checksum_good(const void *bytes, size_t size);
/* Number `index` of the tables in the XSDT (or, without one, the RSDT); NULL after the last. */
const struct acpi_header *acpi_table(unsigned int index);
/* The first table of this name, or NULL. */
const struct acpi_header *acpi_find(const char *signature);
/* Fields at their offset in a table. */
uint32_t acpi_get32(const struct acpi_header *table, size_t off);
uint64_t acpi_get64(const struct acpi_header *table, size_t off);

#define SLP_TYP_SHIFT 10
#define SLP_EN (1U << 13)

/* SLP_TYP of a sleeping state, from its package in the DSDT ("_S5_"); -1: there is none. */
int acpi_slp_typ(const char name[4]);
/* Power-off as an operating system does it, which takes a while: the caller goes on. */
void acpi_power_off(void);

/* Offsets in the FADT: ACPI 6.3, 5.2.9 Fixed ACPI Description Table. */
#define FADT_FACS 36
#define FADT_DSDT 40
#define FADT_SCI 46
#define FADT_PM1A_EVT 56
#define FADT_PM1A_CNT 64
#define FADT_PM_TMR 76
#define FADT_GPE0 80
#define FADT_GPE0_LEN 92
#define FADT_FLAGS 112
#define FADT_RESET_REG 116
#define FADT_RESET_VALUE 128
#define FADT_X_DSDT 140

/* --- time: the ACPI PM timer --- */

struct stopwatch {
	uint32_t last;
	uint64_t ticks;
};

void stopwatch_start(struct stopwatch *watch);
/* Microseconds since the start; right if it is asked at least every four seconds. */
uint64_t stopwatch_us(struct stopwatch *watch);

/* --- what survives a reset: the clock's memory (lib_stage.c) --- */

/* A byte of it, or register of the clock. */
uint8_t nvram_get(uint8_t index);
void nvram_set(uint8_t index, uint8_t value);

/* The number of the last stage_set(); 0: there was none in this machine's life. */
unsigned int stage(void);
void stage_set(unsigned int number); /* up to 255 */

/* --- interrupts and CPUs --- */

#define LAPIC 0xfee00000U
#define LAPIC_ID 0x20
#define LAPIC_EOI 0xb0
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_ICR_LOW 0x300
#define LAPIC_ICR_HIGH 0x310
#define IOAPIC 0xfec00000U

#define VECTORS 64

typedef void (*interrupt_handler)(unsigned int vector);

/* Calls `handler` at `vector` (32 to 62); the runtime ends the interrupt. */
void interrupt_set(unsigned int vector, interrupt_handler handler);
/* This CPU takes exceptions and interrupts as the first one does. */
void interrupt_load(void);
/* Masks the 8259s, switches the local APIC on. */
void interrupt_init(void);
uint32_t ioapic_read(uint8_t index);
void ioapic_write(uint8_t index, uint32_t value);
/* Routes an edge-triggered GSI to `vector` of this CPU. */
void ioapic_route(unsigned int gsi, uint8_t vector);

/* Runs `function` in 64-bit mode on CPU number `index` of the MADT's others, from 0, which then
 * halts for good. False: there is no such CPU, or it did not come. */
bool cpu_run(unsigned int index, void (*function)(void));

/* Starts every other CPU of the MADT. Returns how many started, each exactly once; `ret_expected`:
 * how many there are. */
unsigned int cpus_start(unsigned int *ret_expected);

#endif
