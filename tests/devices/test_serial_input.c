#include <poll.h>
#include <pthread.h>

#include "tests/devices/serial_guest.h"

/* --- receiver --- */

static void test_serial_input_receives(void **state)
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
	struct serial_guest *f = *state;

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

static void test_serial_input_fifo_clear_drops_received(void **state)
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
	struct serial_guest *f = *state;

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
static void test_serial_input_loopback_keeps_input(void **state)
{
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;
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

static void test_serial_input_reset_makes_room(void **state)
{
	struct serial_guest *f = *state;
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
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;

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
	struct serial_guest *f = *state;

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
	struct serial_guest *f;
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

static void test_serial_input_typing_beside_reading(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERIAL_TEST(test_serial_input_receives),
		SERIAL_TEST(test_serial_input_fifo_clear_drops_received),
		SERIAL_TEST(test_serial_input_loopback_keeps_input),
		SERIAL_TEST(test_serial_input_is_bounded_and_says_when_there_is_room),
		SERIAL_TEST(test_serial_input_reset_makes_room),
		SERIAL_TEST(test_serial_interrupt_priorities),
		SERIAL_TEST(test_serial_interrupt_needs_enable_and_out2),
		SERIAL_TEST(test_serial_interrupt_when_gate_opens),
		SERIAL_TEST(test_serial_modem_deltas),
		SERIAL_TEST(test_serial_input_typing_beside_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
