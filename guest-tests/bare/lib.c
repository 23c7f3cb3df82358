#include "guest-tests/bare/lib.h"
#include "guest-tests/bare/start.h"

#define STUB_SIZE 16
#define GATE_INTERRUPT 0x8e00U /* present, ring 0, 64-bit interrupt gate */
#define LSR_EMPTY 0x20
#define VECTOR_SPURIOUS 63

struct gate {
	uint16_t offset_low, selector, attributes, offset_middle;
	uint32_t offset_high, reserved;
};

struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

extern const uint8_t interrupt_stubs[];
void interrupt(uint64_t vector, uint64_t error, uint64_t rip);
void bare_main(void);

uint32_t start_info;
static unsigned int failures;
static struct gate gates[VECTORS];
static interrupt_handler handlers[VECTORS];

/* --- strings; the compiler also calls the first three --- */

void *memset(void *to, int value, size_t size)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *text)
{
	size_t size = 0;

	while (text[size])
		size++;
	return size;
}

/* What follows "key=" in the command line; NULL when the key is not there. */
static const char *option_value(const char *key)
{
	size_t size = strlen(key);

	for (const char *at = cmdline(); *at; at++) {
		if ((at == cmdline() || at[-1] == ' ') && !memcmp(at, key, size) &&
		    at[size] == '=')
			return at + size + 1;
	}
	return NULL;
}

long option(const char *key)
{
	const char *at = option_value(key);
	long value = 0;

	if (!at)
		return -1;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (*at - '0');
	return value;
}

bool option_word(const char *key, char *word, size_t size)
{
	const char *at = option_value(key);
	size_t len = 0;

	if (!at)
		return false;
	for (; *at && *at != ' ' && len + 1 < size; at++)
		word[len++] = *at;
	word[len] = 0;
	return true;
}

/* --- output and result --- */

void print(const char *text)
{
	for (; *text; text++) {
		while (!(inb(COM1 + 5) & LSR_EMPTY))
			;
		outb(COM1, (uint8_t)*text);
	}
}

void print_hex(uint64_t value)
{
	char text[19] = "0x";
	unsigned int digits = 1, at = 2;

	while (digits < 16 && value >> (4 * digits))
		digits++;
	while (digits--)
		text[at++] = "0123456789abcdef"[value >> (4 * digits) & 15];
	text[at] = 0;
	print(text);
}

void print_number(uint64_t value)
{
	char text[21];
	unsigned int at = sizeof(text) - 1;

	text[at] = 0;
	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	print(text + at);
}

const char *join(const char *a, const char *b)
{
	static char text[160];
	const char *const parts[] = {a, ": ", b};
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		for (const char *at = parts[i]; *at && len + 1 < sizeof(text); at++)
			text[len++] = *at;
	text[len] = 0;
	return text;
}

void note(const char *text, uint64_t value)
{
	print("note: ");
	print(text);
	print(" ");
	print_hex(value);
	print("\n");
}

void report(const char *name, bool good)
{
	print(good ? "PASS " : "FAIL ");
	print(name);
	print("\n");
	failures += !good;
}

void report_equal(const char *name, uint64_t got, uint64_t expected)
{
	if (got == expected) {
		report(name, true);
		return;
	}
	failures++;
	print("FAIL ");
	print(name);
	print(": ");
	print_hex(got);
	print(", expected ");
	print_hex(expected);
	print("\n");
}

_Noreturn void finish(void)
{
	outb(DEBUG_EXIT, failures ? 1 : 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* --- interrupts --- */

void interrupt(uint64_t vector, uint64_t error, uint64_t rip)
{
	if (handlers[vector]) {
		handlers[vector]((unsigned int)vector);
		MMIO(uint32_t, LAPIC + LAPIC_EOI) = 0;
		return;
	}
	if (vector == VECTOR_SPURIOUS)
		return;
	print("FAIL exception or interrupt ");
	print_hex(vector);
	print(", error code ");
	print_hex(error);
	print(", at ");
	print_hex(rip);
	print("\n");
	failures++;
	finish();
}

void interrupt_set(unsigned int vector, interrupt_handler handler)
{
	handlers[vector] = handler;
}

void interrupt_load(void)
{
	struct table_pointer pointer = {sizeof(gates) - 1, (uintptr_t)gates};

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

static void fill_gates(void)
{
	for (unsigned int i = 0; i < VECTORS; i++) {
		uint64_t stub = (uintptr_t)interrupt_stubs + i * STUB_SIZE;

		gates[i] = (struct gate){(uint16_t)stub, SELECTOR_CODE, GATE_INTERRUPT,
					 (uint16_t)(stub >> 16), (uint32_t)(stub >> 32), 0};
	}
}

void interrupt_init(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	MMIO(uint32_t, LAPIC + LAPIC_SPURIOUS) = 0x100 | VECTOR_SPURIOUS;
}

uint32_t ioapic_read(uint8_t index)
{
	MMIO(uint32_t, IOAPIC) = index;
	return MMIO(uint32_t, IOAPIC + 0x10);
}

void ioapic_write(uint8_t index, uint32_t value)
{
	MMIO(uint32_t, IOAPIC) = index;
	MMIO(uint32_t, IOAPIC + 0x10) = value;
}

void ioapic_route(unsigned int gsi, uint8_t vector)
{
	uint8_t entry = (uint8_t)(0x10 + 2 * gsi);

	ioapic_write((uint8_t)(entry + 1), MMIO(uint32_t, LAPIC + LAPIC_ID));
	ioapic_write(entry, vector);
}

void bare_main(void)
{
	fill_gates();
	interrupt_load();
	test();
	finish();
}
