/*
 * What the tests of the serial port share: the chip on a bus with its output on a pipe, and what a
 * guest and a person do to it.
 */
#ifndef TESTS_DEVICES_SERIAL_GUEST_H
#define TESTS_DEVICES_SERIAL_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <signal.h>
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

struct serial_guest {
	struct bus *port;
	struct irq_chip *irq;
	struct serial *serial;
	int out[2]; /* pipe: what the guest sent is read from out[0] */
};

static inline int serial_guest_setup(void **state)
{
	static struct serial_guest f;

	signal(SIGPIPE, SIG_IGN);
	f = (struct serial_guest){.port = bus_create("port"), .irq = fake_irq_create()};
	if (pipe2(f.out, O_CLOEXEC | O_NONBLOCK))
		return -1;
	f.serial = serial_create(f.port, f.irq, PORT_COM1, GSI_COM1, f.out[1]);
	*state = &f;
	return f.serial ? 0 : -1;
}

static inline int serial_guest_teardown(void **state)
{
	struct serial_guest *f = *state;

	serial_destroy(f->serial);
	fake_irq_destroy(f->irq);
	bus_destroy(f->port);
	close(f->out[0]);
	close(f->out[1]);
	return 0;
}

static inline uint8_t in(struct serial_guest *f, unsigned int reg)
{
	return (uint8_t)guest_in(f->port, PORT_COM1 + reg, 1);
}

static inline void out(struct serial_guest *f, unsigned int reg, uint8_t value)
{
	guest_out(f->port, PORT_COM1 + reg, 1, value);
}

static inline unsigned int pulses(struct serial_guest *f)
{
	return fake_irq_pulses(f->irq, GSI_COM1);
}

static inline void type(struct serial_guest *f, const char *text)
{
	assert_int_equal(serial_input(f->serial, (const uint8_t *)text, strlen(text)),
			 strlen(text));
}

static inline void assert_sent(struct serial_guest *f, const char *text)
{
	char sent[256] = "";

	assert_true(read(f->out[0], sent, sizeof(sent) - 1) >= 0 || errno == EAGAIN);
	assert_string_equal(sent, text);
}

static inline void enable_fifo(struct serial_guest *f)
{
	out(f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
}

#define SERIAL_TEST(name)                                                                          \
	cmocka_unit_test_setup_teardown(name, serial_guest_setup, serial_guest_teardown)

#endif
