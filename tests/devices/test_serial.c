#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "devices/legacy.h"
#include "tests/devices/guest_io.h"
#include "tests/fake_irq.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/layout.h"

#define ALL_IER (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI)
#define IDLE_LSR (UART_LSR_THRE | UART_LSR_TEMT)
#define IDLE_MSR (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define INPUT_SIZE 1024

struct fixture {
	struct bus *port;
	struct irq_chip *irq;
	struct serial *serial;
	int out[2]; /* pipe: what the guest sent is read from out[0] */
};

static int setup(void **state)
{
	static struct fixture f;

	signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){.port = bus_create("port"), .irq = fake_irq_create()};
	if (pipe2(f.out, O_CLOEXEC | O_NONBLOCK))
		return -1;
	f.serial = serial_create(f.port, f.irq, PORT_COM1, GSI_COM1, f.out[1]);
	*state = &f;
	return f.serial ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	serial_destroy(f->serial);
	fake_irq_destroy(f->irq);
	bus_destroy(f->port);
	close(f->out[0]);
	close(f->out[1]);
	return 0;
}

static uint8_t in(struct fixture *f, unsigned int reg)
{
	return (uint8_t)guest_in(f->port, PORT_COM1 + reg, 1);
}

static void out(struct fixture *f, unsigned int reg, uint8_t value)
{
	guest_out(f->port, PORT_COM1 + reg, 1, value);
}

static unsigned int pulses(struct fixture *f)
{
	return fake_irq_pulses(f->irq, GSI_COM1);
}

static void type(struct fixture *f, const char *text)
{
	assert_int_equal(serial_input(f->serial, (const uint8_t *)text, strlen(text)),
			 strlen(text));
}

static void assert_sent(struct fixture *f, const char *text)
{
	char sent[256] = "";

	assert_true(read(f->out[0], sent, sizeof(sent) - 1) >= 0 || errno == EAGAIN);
	assert_string_equal(sent, text);
}

static void enable_fifo(struct fixture *f)
{
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
}

/* --- registers --- */

static void test_serial_registers_keep_what_they_have_bits_for(void **state)
{
	static const struct {
		unsigned int reg;
		uint8_t written, read;
	} cases[] = {
		{UART_IER, 0x00, 0x00}, {UART_IER, 0xff, 0x0f}, {UART_IER, 0x05, 0x05},
		{UART_LCR, 0x7f, 0x7f}, {UART_LCR, 0x03, 0x03},
		{UART_MCR, 0xff, 0x1f}, {UART_MCR, 0x0b, 0x0b}, {UART_MCR, 0x00, 0x00},
		{UART_SCR, 0xa5, 0xa5}, {UART_SCR, 0x5a, 0x5a},
		{UART_LSR, 0x00, IDLE_LSR}, {UART_LSR, 0xff, IDLE_LSR},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		out(f, cases[i].reg, cases[i].written);
		if (in(f, cases[i].reg) != cases[i].read)
			fail_msg("case %zu", i);
	}
}

static void test_serial_divisor_is_behind_dlab(void **state)
{
	struct fixture *f = *state;

	out(f, UART_IER, 0x05);
	out(f, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	assert_int_equal(in(f, UART_DLL) | in(f, UART_DLM) << 8, 1);
	out(f, UART_DLL, 0x34);
	out(f, UART_DLM, 0x12);
	assert_int_equal(in(f, UART_DLL), 0x34);
	assert_int_equal(in(f, UART_DLM), 0x12);
	out(f, UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(f, UART_IER), 0x05);
	assert_sent(f, "");
}

static void test_serial_wide_access_reaches_bytes(void **state)
{
	struct fixture *f = *state;

	guest_out(f->port, PORT_COM1 + UART_MCR, 4, 0x5a00000b);
	assert_int_equal(in(f, UART_MCR), 0x0b);
	assert_int_equal(in(f, UART_SCR), 0x5a);
}

static void test_serial_reset(void **state)
{
	struct fixture *f = *state;

	enable_fifo(f);
	out(f, UART_IER, ALL_IER);
	out(f, UART_MCR, 0x1f);
	out(f, UART_SCR, 0x77);
	out(f, UART_LCR, 0x83);
	out(f, UART_DLL, 0x99);
	type(f, "a line that is longer than the FIFO");
	serial_reset(f->serial);
	assert_int_equal(in(f, UART_IER), 0);
	assert_int_equal(in(f, UART_IIR), UART_IIR_NO_INT);
	assert_int_equal(in(f, UART_LCR), 0);
	assert_int_equal(in(f, UART_MCR), 0);
	assert_int_equal(in(f, UART_LSR), IDLE_LSR);
	assert_int_equal(in(f, UART_MSR), IDLE_MSR);
	assert_int_equal(in(f, UART_RX), 0);
}

/* --- what Linux's 8250 driver does to find out what it has --- */

static void test_serial_linux_finds_a_16550a(void **state)
{
	struct fixture *f = *state;
	uint8_t iir_plain, iir_dlab;

	/* A chip at all: the enable bits come and go, loopback connects the modem lines. */
	out(f, UART_IER, 0);
	assert_int_equal(in(f, UART_IER), 0);
	out(f, UART_IER, 0x0f);
	assert_int_equal(in(f, UART_IER), 0x0f);
	out(f, UART_IER, 0);
	out(f, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(f, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(f, UART_MCR, 0);
	/* A 16550A: both top bits of IIR with the FIFO on. */
	out(f, UART_LCR, UART_LCR_CONF_MODE_B);
	out(f, UART_EFR, 0);
	out(f, UART_LCR, 0);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(f, UART_IIR) >> 6, 3);
	/* Not one of its successors: no EFR (it would read 0) in either configuration mode ... */
	out(f, UART_LCR, UART_LCR_CONF_MODE_A);
	assert_int_not_equal(in(f, UART_EFR), 0);
	out(f, UART_LCR, UART_LCR_CONF_MODE_B);
	assert_int_not_equal(in(f, UART_EFR), 0);
	/* ... no 64-byte FIFO as the TI16C750 ... */
	out(f, UART_LCR, 0);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	iir_plain = in(f, UART_IIR) >> 5;
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(f, UART_LCR, UART_LCR_CONF_MODE_A);
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	iir_dlab = in(f, UART_IIR) >> 5;
	assert_int_equal(iir_plain, 6);
	assert_int_equal(iir_dlab, 6);
	/* ... and no further enable bits. */
	out(f, UART_LCR, 0);
	out(f, UART_IER, 0x40);
	assert_int_equal(in(f, UART_IER), 0);
}

/* The driver counts how many of 256 bytes come back in loopback mode. */
static void test_serial_loopback_fifo_size(void **state)
{
	static const struct {
		uint8_t fcr;
		unsigned int first, count;
	} cases[] = {
		{UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR, 0, 16},
		{0, 255, 1}, /* without FIFO the last one overwrites */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int count = 0;

		out(f, UART_FCR, cases[i].fcr);
		out(f, UART_MCR, UART_MCR_LOOP);
		for (unsigned int byte = 0; byte < 256; byte++)
			out(f, UART_TX, (uint8_t)byte);
		assert_int_equal(in(f, UART_LSR), IDLE_LSR | UART_LSR_DR | UART_LSR_OE);
		for (; in(f, UART_LSR) & UART_LSR_DR; count++)
			assert_int_equal(in(f, UART_RX), cases[i].first + count);
		assert_int_equal(count, cases[i].count);
	}
	assert_sent(f, "");
}

/* Linux serial8250_do_startup(): the interrupt of an empty transmitter must come again each time
 * that it is enabled, or the driver falls back to a timer. */
static void test_serial_linux_thre_test(void **state)
{
	struct fixture *f = *state;

	enable_fifo(f);
	out(f, UART_MCR, UART_MCR_OUT2);
	for (unsigned int i = 1; i <= 3; i++) {
		out(f, UART_IER, UART_IER_THRI);
		assert_int_equal(pulses(f), i);
		assert_int_equal(in(f, UART_LSR) & UART_LSR_TEMT, UART_LSR_TEMT);
		assert_int_equal(in(f, UART_IIR), 0xc0 | UART_IIR_THRI);
		assert_int_equal(in(f, UART_IIR), 0xc0 | UART_IIR_NO_INT); /* acknowledged */
		out(f, UART_IER, 0);
	}
}

/* --- transmitter --- */

static void test_serial_sends_as_it_comes(void **state)
{
	struct fixture *f = *state;

	for (const char *p = "hello\r\n"; *p; p++) {
		out(f, UART_TX, (uint8_t)*p);
		assert_int_equal(in(f, UART_LSR), IDLE_LSR);
		assert_sent(f, (const char[]){*p, 0});
	}
}

/* One edge for each byte while the interrupt is enabled: the driver sends the next from it. */
static void test_serial_sending_interrupts_again(void **state)
{
	struct fixture *f = *state;

	out(f, UART_MCR, UART_MCR_OUT2);
	out(f, UART_IER, UART_IER_THRI);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(pulses(f), i + 1);
		assert_int_equal(in(f, UART_IIR), UART_IIR_THRI);
		out(f, UART_TX, 'x');
	}
	assert_int_equal(pulses(f), 4);
	assert_sent(f, "xxx");
}

static void test_serial_full_output_loses_bytes_only(void **state)
{
	struct fixture *f = *state;
	char buffer[4096];
	ssize_t len, total = 0;

	fcntl(f->out[1], F_SETPIPE_SZ, 4096);
	for (unsigned int i = 0; i < 5000; i++)
		out(f, UART_TX, 'x');
	assert_int_equal(in(f, UART_LSR), IDLE_LSR);
	while ((len = read(f->out[0], buffer, sizeof(buffer))) > 0)
		total += len;
	assert_int_equal(total, 4096);
	out(f, UART_TX, 'y');
	assert_sent(f, "y");
}

static void test_serial_closed_output_loses_bytes_only(void **state)
{
	struct fixture *f = *state;

	close(f->out[0]);
	out(f, UART_TX, 'x');
	assert_int_equal(in(f, UART_LSR), IDLE_LSR);
	f->out[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void *send_one(void *opaque)
{
	out(opaque, UART_TX, 'z');
	return NULL;
}

static void on_kick(int signal)
{
	(void)signal;
}

/* A terminal that does not take its output holds the vCPU that sends, nobody else, and a kick
 * frees it. */
static void test_serial_held_output_holds_one_thread(void **state)
{
	const struct sigaction action = {.sa_handler = on_kick};
	struct fixture *f = *state;
	pthread_t thread;
	char buffer[4096];

	sigaction(SIGUSR1, &action, NULL);
	fcntl(f->out[1], F_SETPIPE_SZ, 4096);
	memset(buffer, 'x', sizeof(buffer));
	assert_int_equal(write(f->out[1], buffer, sizeof(buffer)), sizeof(buffer));
	fcntl(f->out[1], F_SETFL, 0);
	assert_int_equal(pthread_create(&thread, NULL, send_one, f), 0);
	while (in(f, UART_LSR) & UART_LSR_THRE)
		sched_yield();
	type(f, "a");
	assert_int_equal(in(f, UART_RX), 'a');
	/* The thread may be about to block only: kick until it is through. */
	while (!(in(f, UART_LSR) & UART_LSR_THRE)) {
		pthread_kill(thread, SIGUSR1);
		sched_yield();
	}
	pthread_join(thread, NULL);
}

/* --- receiver --- */

static void test_serial_receives(void **state)
{
	static const struct {
		uint8_t fcr;
		const char *text;
		uint8_t iir; /* while it is there */
	} cases[] = {
		{0, "a", UART_IIR_RDI},
		{0, "abc", UART_IIR_RDI},
		{UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_1, "a", 0xc0 | UART_IIR_RDI},
		{UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_4, "abc", 0xc0 | UART_IIR_RX_TIMEOUT},
		{UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_4, "abcd", 0xc0 | UART_IIR_RDI},
		{UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8, "1234567", 0xc0 | UART_IIR_RX_TIMEOUT},
		{UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8, "12345678", 0xc0 | UART_IIR_RDI},
		{UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14, "1234567890123",
		 0xc0 | UART_IIR_RX_TIMEOUT},
		{UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14, "longer than the FIFO is by far",
		 0xc0 | UART_IIR_RDI},
	};
	struct fixture *f = *state;

	out(f, UART_MCR, UART_MCR_OUT2);
	out(f, UART_IER, UART_IER_RDI);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int before = pulses(f);

		out(f, UART_FCR, cases[i].fcr);
		type(f, cases[i].text);
		assert_int_equal(pulses(f), before + 1);
		if (in(f, UART_IIR) != cases[i].iir)
			fail_msg("case %zu: IIR 0x%x", i, in(f, UART_IIR));
		for (const char *p = cases[i].text; *p; p++) {
			assert_int_equal(in(f, UART_LSR), IDLE_LSR | UART_LSR_DR);
			assert_int_equal(in(f, UART_RX), *p);
		}
		assert_int_equal(in(f, UART_LSR), IDLE_LSR);
		assert_int_equal(in(f, UART_IIR) & 0x0f, UART_IIR_NO_INT);
	}
}

static void test_serial_fifo_clear_drops_received(void **state)
{
	static const struct {
		uint8_t first, second;
		bool kept;
	} cases[] = {
		{UART_FCR_ENABLE_FIFO, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR, false},
		{UART_FCR_ENABLE_FIFO, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_XMIT, true},
		{UART_FCR_ENABLE_FIFO, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14, true},
		{UART_FCR_ENABLE_FIFO, 0, false},
		{0, UART_FCR_ENABLE_FIFO, false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		out(f, UART_FCR, cases[i].first);
		type(f, "a");
		out(f, UART_FCR, cases[i].second);
		if (!!(in(f, UART_LSR) & UART_LSR_DR) != cases[i].kept)
			fail_msg("case %zu", i);
		in(f, UART_RX);
	}
}

/* What is typed during the driver's loopback test waits. */
static void test_serial_loopback_keeps_input(void **state)
{
	struct fixture *f = *state;

	out(f, UART_MCR, UART_MCR_LOOP);
	type(f, "a");
	assert_int_equal(in(f, UART_LSR), IDLE_LSR);
	out(f, UART_TX, 'b');
	assert_int_equal(in(f, UART_RX), 'b');
	out(f, UART_MCR, 0);
	assert_int_equal(in(f, UART_RX), 'a');
}

static bool is_readable(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	return poll(&pollfd, 1, 0) == 1;
}

static void test_serial_input_is_bounded_and_says_when_there_is_room(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[2 * INPUT_SIZE];
	unsigned int taken, received = 0;
	uint64_t signals;

	enable_fifo(f);
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	taken = (unsigned int)serial_input(f->serial, bytes, sizeof(bytes));
	assert_int_equal(taken, INPUT_SIZE);
	/* The FIFO has taken its 16. */
	assert_int_equal(serial_input(f->serial, bytes + taken, 100), 16);
	taken += 16;
	assert_int_equal(serial_input(f->serial, bytes + taken, 1), 0);
	assert_false(is_readable(serial_room_fd(f->serial)));
	while (in(f, UART_LSR) & UART_LSR_DR) {
		assert_int_equal(in(f, UART_RX), bytes[received]);
		received++;
		assert_int_equal(is_readable(serial_room_fd(f->serial)),
				 received >= INPUT_SIZE / 2);
	}
	assert_int_equal(received, taken);
	assert_int_equal(read(serial_room_fd(f->serial), &signals, sizeof(signals)),
			 sizeof(signals));
	assert_int_equal(signals, 1);
	/* Nothing was refused since: no further signal. */
	assert_int_equal(serial_input(f->serial, bytes, 100), 100);
	while (in(f, UART_LSR) & UART_LSR_DR)
		in(f, UART_RX);
	assert_false(is_readable(serial_room_fd(f->serial)));
}

static void test_serial_reset_makes_room(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[2 * INPUT_SIZE] = {0};

	serial_input(f->serial, bytes, sizeof(bytes));
	assert_false(is_readable(serial_room_fd(f->serial)));
	serial_reset(f->serial);
	assert_true(is_readable(serial_room_fd(f->serial)));
	assert_int_equal(in(f, UART_LSR), IDLE_LSR);
}

/* --- interrupts --- */

static void test_serial_interrupt_priorities(void **state)
{
	struct fixture *f = *state;

	/* All four causes, the receiver's by an overrun in loopback mode. */
	out(f, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	out(f, UART_TX, 'a');
	out(f, UART_TX, 'b');
	out(f, UART_IER, ALL_IER);
	assert_int_equal(in(f, UART_IIR), UART_IIR_RLSI);
	assert_int_equal(in(f, UART_LSR), IDLE_LSR | UART_LSR_DR | UART_LSR_OE);
	assert_int_equal(in(f, UART_IIR), UART_IIR_RDI);
	assert_int_equal(in(f, UART_IIR), UART_IIR_RDI); /* reading acknowledges THRE alone */
	assert_int_equal(in(f, UART_RX), 'b');
	assert_int_equal(in(f, UART_IIR), UART_IIR_THRI);
	assert_int_equal(in(f, UART_IIR), UART_IIR_MSI);
	in(f, UART_MSR);
	assert_int_equal(in(f, UART_IIR), UART_IIR_NO_INT);
}

static void test_serial_interrupt_needs_enable_and_out2(void **state)
{
	static const struct {
		uint8_t ier, mcr;
		unsigned int pulses;
	} cases[] = {
		{0, UART_MCR_OUT2, 0},
		{ALL_IER & ~UART_IER_RDI & ~UART_IER_THRI, UART_MCR_OUT2, 0},
		{UART_IER_RDI, 0, 0},
		{UART_IER_RDI, UART_MCR_OUT1 | UART_MCR_DTR | UART_MCR_RTS, 0},
		{UART_IER_RDI, UART_MCR_OUT2 | UART_MCR_LOOP, 0},
		{UART_IER_RDI, UART_MCR_OUT2, 1},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int before = pulses(f);

		out(f, UART_IER, cases[i].ier);
		out(f, UART_MCR, cases[i].mcr);
		type(f, "a");
		if (pulses(f) - before != cases[i].pulses)
			fail_msg("case %zu", i);
		serial_reset(f->serial);
	}
}

/* Enabling what waits gives the edge that was held back. */
static void test_serial_interrupt_when_gate_opens(void **state)
{
	struct fixture *f = *state;

	type(f, "a");
	out(f, UART_IER, UART_IER_RDI);
	assert_int_equal(pulses(f), 0);
	out(f, UART_MCR, UART_MCR_OUT2);
	assert_int_equal(pulses(f), 1);
	type(f, "b"); /* the line is high already */
	assert_int_equal(pulses(f), 1);
	in(f, UART_RX);
	in(f, UART_RX);
	type(f, "c");
	assert_int_equal(pulses(f), 2);
}

static void test_serial_modem_deltas(void **state)
{
	static const struct {
		uint8_t mcr; /* with loopback on */
		uint8_t msr;
	} cases[] = {
		/* From the ready peer to nobody. */
		{0, UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS},
		{0, 0},
		{UART_MCR_RTS, UART_MSR_CTS | UART_MSR_DCTS},
		{UART_MCR_RTS, UART_MSR_CTS},
		{UART_MCR_DTR, UART_MSR_DSR | UART_MSR_DDSR | UART_MSR_DCTS},
		{UART_MCR_OUT2, UART_MSR_DCD | UART_MSR_DDCD | UART_MSR_DDSR},
		{UART_MCR_OUT1, UART_MSR_RI | UART_MSR_DDCD}, /* ringing begins: no delta */
		{0, UART_MSR_TERI},
	};
	struct fixture *f = *state;

	assert_int_equal(in(f, UART_MSR), IDLE_MSR);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t msr;

		out(f, UART_MCR, UART_MCR_LOOP | cases[i].mcr);
		msr = in(f, UART_MSR);
		if (msr != cases[i].msr)
			fail_msg("case %zu: 0x%x", i, msr);
	}
}

/* --- threads --- */

struct typist {
	struct fixture *f;
	unsigned int count;
};

static void *type_numbers(void *opaque)
{
	struct typist *typist = opaque;

	for (unsigned int i = 0; i < typist->count;) {
		uint8_t byte = (uint8_t)i;

		if (serial_input(typist->f->serial, &byte, 1))
			i++;
		else
			sched_yield();
	}
	return NULL;
}

static void test_serial_typing_beside_reading(void **state)
{
	struct typist typist = {*state, 20000};
	pthread_t thread;

	enable_fifo(*state);
	assert_int_equal(pthread_create(&thread, NULL, type_numbers, &typist), 0);
	for (unsigned int i = 0; i < typist.count;) {
		if (!(in(*state, UART_LSR) & UART_LSR_DR)) {
			sched_yield();
			continue;
		}
		assert_int_equal(in(*state, UART_RX), (uint8_t)i);
		i++;
	}
	pthread_join(thread, NULL);
}

static void test_serial_refuses_taken_ports(void **state)
{
	struct fixture *f = *state;

	assert_null(serial_create(f->port, f->irq, PORT_COM1 + 7, GSI_COM1, f->out[1]));
	serial_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_serial_registers_keep_what_they_have_bits_for),
		TEST(test_serial_divisor_is_behind_dlab),
		TEST(test_serial_wide_access_reaches_bytes),
		TEST(test_serial_reset),
		TEST(test_serial_linux_finds_a_16550a),
		TEST(test_serial_loopback_fifo_size),
		TEST(test_serial_linux_thre_test),
		TEST(test_serial_sends_as_it_comes),
		TEST(test_serial_sending_interrupts_again),
		TEST(test_serial_full_output_loses_bytes_only),
		TEST(test_serial_closed_output_loses_bytes_only),
		TEST(test_serial_held_output_holds_one_thread),
		TEST(test_serial_receives),
		TEST(test_serial_fifo_clear_drops_received),
		TEST(test_serial_loopback_keeps_input),
		TEST(test_serial_input_is_bounded_and_says_when_there_is_room),
		TEST(test_serial_reset_makes_room),
		TEST(test_serial_interrupt_priorities),
		TEST(test_serial_interrupt_needs_enable_and_out2),
		TEST(test_serial_interrupt_when_gate_opens),
		TEST(test_serial_modem_deltas),
		TEST(test_serial_typing_beside_reading),
		TEST(test_serial_refuses_taken_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
