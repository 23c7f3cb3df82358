/*
 * The 16550A of COM1: PC16550D, "Registers". Scratch and divisor registers, FIFO identification,
 * loopback, and the transmitter's interrupt through the IOAPIC.
 */
#include "guest-tests/bare/lib.h"

#define THR (COM1 + 0)
#define IER (COM1 + 1)
#define IIR (COM1 + 2) /* FCR when written */
#define LCR (COM1 + 3)
#define MCR (COM1 + 4)
#define LSR (COM1 + 5)
#define MSR (COM1 + 6)
#define SCR (COM1 + 7)
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define MCR_LOOPBACK 0x10
#define MCR_OUT2 0x08
#define LSR_DATA 0x01
#define LSR_EMPTY 0x60
#define IIR_NONE 0xc1 /* FIFOs on, no interrupt pending */
#define IIR_THRE 0xc2
#define GSI 4
#define VECTOR 0x21
#define TIMEOUT_US 1000000

static volatile unsigned int interrupts;
static volatile uint8_t identification;

static void on_interrupt(unsigned int vector)
{
	(void)vector;
	identification = inb(IIR);
	interrupts++;
}

static void check_registers(void)
{
	uint8_t divisor, scratch_a, scratch_b, lcr = inb(LCR);

	outb(SCR, 0xa5);
	scratch_a = inb(SCR);
	outb(SCR, 0x5a);
	scratch_b = inb(SCR);
	outb(LCR, LCR_8N1 | LCR_DLAB);
	outb(THR, 0x0c);
	divisor = inb(THR);
	outb(THR, 0x01);
	outb(LCR, LCR_8N1);
	report_equal("scratch register", scratch_a << 8 | scratch_b, 0xa55a);
	report_equal("divisor latch", divisor, 0x0c);
	outb(IIR, 0x01);
	report_equal("FIFO identification", inb(IIR), IIR_NONE);
	outb(IIR, 0x00);
	report_equal("identification without FIFOs", inb(IIR), 0x01);
	outb(IIR, 0x07);
	report_equal("transmitter is empty", inb(LSR) & LSR_EMPTY, LSR_EMPTY);
	outb(LCR, lcr);
	report_equal("line control reads back", inb(LCR), lcr);
}

/* PC16550D, Modem Control Register: in loopback OUT2, OUT1, RTS, DTR are DCD, RI, CTS, DSR. */
static void check_loopback(void)
{
	static const struct {
		uint8_t mcr, msr;
	} lines[] = {{0x01, 0x20}, {0x02, 0x10}, {0x04, 0x40}, {0x08, 0x80}};
	uint8_t received[2], status[3], modem[ARRAY_SIZE(lines)], mcr = inb(MCR);

	outb(MCR, MCR_LOOPBACK);
	status[0] = inb(LSR) & LSR_DATA;
	outb(THR, 'a');
	outb(THR, 0x80);
	status[1] = inb(LSR) & LSR_DATA;
	received[0] = inb(THR);
	received[1] = inb(THR);
	status[2] = inb(LSR) & LSR_DATA;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		outb(MCR, MCR_LOOPBACK | lines[i].mcr);
		modem[i] = inb(MSR) & 0xf0;
	}
	outb(MCR, mcr);
	report_equal("loopback: nothing at first", status[0], 0);
	report_equal("loopback: data is ready", status[1], LSR_DATA);
	report_equal("loopback: first byte", received[0], 'a');
	report_equal("loopback: second byte", received[1], 0x80);
	report_equal("loopback: then nothing", status[2], 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		report_equal("loopback: modem lines", modem[i], lines[i].msr);
}

static void check_interrupt(void)
{
	struct stopwatch watch;
	unsigned int first;
	uint8_t after;

	interrupt_init();
	interrupt_set(VECTOR, on_interrupt);
	ioapic_route(GSI, VECTOR);
	outb(MCR, MCR_OUT2);
	__asm__ volatile("sti");
	outb(IER, 0x02);
	stopwatch_start(&watch);
	while (!interrupts && stopwatch_us(&watch) < TIMEOUT_US)
		;
	first = interrupts;
	after = inb(IIR); /* the handler's read took it back */
	outb(THR, '.');
	stopwatch_start(&watch);
	while (interrupts < first + 1 && stopwatch_us(&watch) < TIMEOUT_US)
		;
	__asm__ volatile("cli");
	outb(IER, 0);
	print("\n");
	report_equal("enabling the interrupt raises it", first, 1);
	report_equal("it says transmitter empty", identification, IIR_THRE);
	report_equal("reading it takes it back", after, IIR_NONE);
	report_equal("sending raises it again", interrupts, first + 1);
}

void test(void)
{
	check_registers();
	check_loopback();
	check_interrupt();
}
