#include <pthread.h>

#include "tests/devices/serial_guest.h"

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
	struct serial_guest *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		out(f, cases[i].reg, cases[i].written);
		if (in(f, cases[i].reg) != cases[i].read)
			fail_msg("case %zu", i);
	}
}

static void test_serial_divisor_is_behind_dlab(void **state)
{
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;

	guest_out(f->port, PORT_COM1 + UART_MCR, 4, 0x5a00000b);
	assert_int_equal(in(f, UART_MCR), 0x0b);
	assert_int_equal(in(f, UART_SCR), 0x5a);
}

static void test_serial_reset(void **state)
{
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;
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
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;

	for (const char *p = "hello\r\n"; *p; p++) {
		out(f, UART_TX, (uint8_t)*p);
		assert_int_equal(in(f, UART_LSR), IDLE_LSR);
		assert_sent(f, (const char[]){*p, 0});
	}
}

/* One edge for each byte while the interrupt is enabled: the driver sends the next from it. */
static void test_serial_sending_interrupts_again(void **state)
{
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;
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
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;
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

static void test_serial_refuses_taken_ports(void **state)
{
	struct serial_guest *f = *state;

	assert_null(serial_create(f->port, f->irq, PORT_COM1 + 7, GSI_COM1, f->out[1]));
	serial_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERIAL_TEST(test_serial_registers_keep_what_they_have_bits_for),
		SERIAL_TEST(test_serial_divisor_is_behind_dlab),
		SERIAL_TEST(test_serial_wide_access_reaches_bytes),
		SERIAL_TEST(test_serial_reset),
		SERIAL_TEST(test_serial_linux_finds_a_16550a),
		SERIAL_TEST(test_serial_loopback_fifo_size),
		SERIAL_TEST(test_serial_linux_thre_test),
		SERIAL_TEST(test_serial_sends_as_it_comes),
		SERIAL_TEST(test_serial_sending_interrupts_again),
		SERIAL_TEST(test_serial_full_output_loses_bytes_only),
		SERIAL_TEST(test_serial_closed_output_loses_bytes_only),
		SERIAL_TEST(test_serial_held_output_holds_one_thread),
		SERIAL_TEST(test_serial_refuses_taken_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
