/*
 * A 16550A on two wires: what the guest sends goes to a file descriptor as it comes, what a person
 * types waits in a buffer and moves to the receiver FIFO as that has room. The peer always listens,
 * so a transmitter is empty again as soon as the byte is written.
 *
 * PC16550D, the registers by their names. The interrupt line of a PC's serial port is INTR gated by
 * OUT2, and an edge tells the interrupt controller.
 *
 * Deviation: the character time-out comes at once, not after four character times. Input is never
 * lost to an overrun, and during loopback it waits.
 */
#include <errno.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/legacy.h"
#include "vmm/base/bits.h"
#include "vmm/bus.h"
#include "vmm/irq.h"

#define PORTS 8
#define FIFO_SIZE 16U
#define INPUT_SIZE 1024U

#define IER_BITS (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI)
#define MCR_BITS (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP)
#define IIR_FIFO_ENABLED 0xc0
#define MSR_PEER_READY (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define DIVISOR_115200 1 /* of 1.8432 MHz / 16; firmware leaves a baud rate set */

/* A queue of bytes; `size` is a power of two. The counters run freely. */
struct queue {
	unsigned int head, tail;
};

struct serial {
	struct irq_chip *irq;
	uint32_t gsi;
	int out_fd;
	int room_fd;

	pthread_mutex_t lock; /* protects everything below; not held over write(2) */
	uint8_t ier, lcr, mcr, lsr_errors, scr, fcr;
	uint8_t msr_lines, msr_deltas;
	uint8_t dll, dlm;
	bool thr_empty_pending;   /* cause of the interrupt, not the state of the register */
	unsigned int sending;     /* bytes on their way to out_fd */
	bool intr;                /* level last given to the interrupt controller */
	bool refused;             /* serial_input() took less than was offered */
	struct queue fifo, input;
	uint8_t fifo_bytes[FIFO_SIZE], input_bytes[INPUT_SIZE];
};

static unsigned int queue_used(const struct queue *queue)
{
	return queue->head - queue->tail;
}

static void queue_put(struct queue *queue, uint8_t *bytes, unsigned int size, uint8_t byte)
{
	bytes[queue->head++ % size] = byte;
}

static uint8_t queue_get(struct queue *queue, const uint8_t *bytes, unsigned int size)
{
	return bytes[queue->tail++ % size];
}

/* --- receiver --- */

static unsigned int fifo_depth(const struct serial *serial)
{
	return serial->fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;
}

static unsigned int trigger_level(const struct serial *serial)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	if (!(serial->fcr & UART_FCR_ENABLE_FIFO))
		return 1;
	return levels[UART_FCR_R_TRIG_BITS(serial->fcr)];
}

static void receive_locked(struct serial *serial, uint8_t byte)
{
	if (queue_used(&serial->fifo) >= fifo_depth(serial)) {
		serial->lsr_errors |= UART_LSR_OE;
		/* Without FIFO the new character replaces the one that was not read. */
		if (serial->fcr & UART_FCR_ENABLE_FIFO)
			return;
		serial->fifo.tail++;
	}
	queue_put(&serial->fifo, serial->fifo_bytes, FIFO_SIZE, byte);
}

/* Takes over what waits, as far as there is room. */
static void refill_locked(struct serial *serial)
{
	uint64_t one = 1;

	if (serial->mcr & UART_MCR_LOOP)
		return;
	while (queue_used(&serial->input) && queue_used(&serial->fifo) < fifo_depth(serial))
		receive_locked(serial, queue_get(&serial->input, serial->input_bytes, INPUT_SIZE));
	if (!serial->refused || queue_used(&serial->input) > INPUT_SIZE / 2)
		return;
	if (write(serial->room_fd, &one, sizeof(one)) == sizeof(one))
		serial->refused = false;
}

/* --- interrupts --- */

/* PC16550D, Interrupt Identification Register: the highest of the causes that are enabled. */
static uint8_t identify_locked(const struct serial *serial)
{
	unsigned int received = queue_used(&serial->fifo);

	if (serial->ier & UART_IER_RLSI && serial->lsr_errors)
		return UART_IIR_RLSI;
	if (serial->ier & UART_IER_RDI && received)
		return received >= trigger_level(serial) ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
	if (serial->ier & UART_IER_THRI && serial->thr_empty_pending)
		return UART_IIR_THRI;
	if (serial->ier & UART_IER_MSI && serial->msr_deltas)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

/* OUT2 is inactive in loopback mode, whatever its bit says. */
static bool is_connected(const struct serial *serial)
{
	return (serial->mcr & (UART_MCR_OUT2 | UART_MCR_LOOP)) == UART_MCR_OUT2;
}

static void update_intr_locked(struct serial *serial)
{
	bool intr = identify_locked(serial) != UART_IIR_NO_INT && is_connected(serial);

	if (intr && !serial->intr)
		irq_pulse(serial->irq, serial->gsi);
	serial->intr = intr;
}

/* --- modem lines --- */

/* PC16550D, MODEM Control Register: in loopback mode the four outputs are the four inputs. */
static uint8_t modem_lines(uint8_t mcr)
{
	static const struct {
		uint8_t output, input;
	} loop[] = {
		{UART_MCR_RTS, UART_MSR_CTS},
		{UART_MCR_DTR, UART_MSR_DSR},
		{UART_MCR_OUT1, UART_MSR_RI},
		{UART_MCR_OUT2, UART_MSR_DCD},
	};
	uint8_t lines = 0;

	if (!(mcr & UART_MCR_LOOP))
		return MSR_PEER_READY;
	for (size_t i = 0; i < ARRAY_SIZE(loop); i++)
		if (mcr & loop[i].output)
			lines |= loop[i].input;
	return lines;
}

static void write_mcr_locked(struct serial *serial, uint8_t value)
{
	uint8_t before = serial->msr_lines, changed;

	serial->mcr = value & MCR_BITS;
	serial->msr_lines = modem_lines(serial->mcr);
	changed = before ^ serial->msr_lines;
	/* Each delta bit is four below its line. The ring indicator counts when it ends. */
	changed &= (uint8_t)~(serial->msr_lines & UART_MSR_RI);
	serial->msr_deltas |= changed >> 4;
}

/* --- registers --- */

static void write_fcr_locked(struct serial *serial, uint8_t value)
{
	/* PC16550D, FIFO Control Register: changing bit 0 empties the FIFOs; without it the other
	 * bits are not programmed. The transmitter's FIFO is always empty. */
	if ((serial->fcr ^ value) & UART_FCR_ENABLE_FIFO || value & UART_FCR_CLEAR_RCVR)
		serial->fifo.tail = serial->fifo.head;
	serial->fcr = value & UART_FCR_ENABLE_FIFO
			      ? value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK)
			      : 0;
}

static void write_ier_locked(struct serial *serial, uint8_t value)
{
	/* Enabling the interrupt of an empty transmitter raises it, also when it was acknowledged
	 * before: drivers start sending by it, and Linux looks for chips that do not. */
	if (value & ~serial->ier & UART_IER_THRI && !serial->sending)
		serial->thr_empty_pending = true;
	serial->ier = value & IER_BITS;
}

static uint8_t read_iir_locked(struct serial *serial)
{
	uint8_t iir = identify_locked(serial);

	if (iir == UART_IIR_THRI)
		serial->thr_empty_pending = false;
	return iir | (serial->fcr & UART_FCR_ENABLE_FIFO ? IIR_FIFO_ENABLED : 0);
}

static uint8_t read_lsr_locked(struct serial *serial)
{
	uint8_t lsr = serial->lsr_errors;

	if (!serial->sending)
		lsr |= UART_LSR_THRE | UART_LSR_TEMT;
	if (queue_used(&serial->fifo))
		lsr |= UART_LSR_DR;
	serial->lsr_errors = 0;
	return lsr;
}

static uint8_t read_msr_locked(struct serial *serial)
{
	uint8_t msr = serial->msr_lines | serial->msr_deltas;

	serial->msr_deltas = 0;
	return msr;
}

static uint8_t read_rbr_locked(struct serial *serial)
{
	if (!queue_used(&serial->fifo))
		return 0;
	return queue_get(&serial->fifo, serial->fifo_bytes, FIFO_SIZE);
}

static uint8_t read_locked(struct serial *serial, unsigned int off)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (off) {
	case UART_RX:
		return divisor ? serial->dll : read_rbr_locked(serial);
	case UART_IER:
		return divisor ? serial->dlm : serial->ier;
	case UART_IIR:
		return read_iir_locked(serial);
	case UART_LCR:
		return serial->lcr;
	case UART_MCR:
		return serial->mcr;
	case UART_LSR:
		return read_lsr_locked(serial);
	case UART_MSR:
		return read_msr_locked(serial);
	default:
		return serial->scr;
	}
}

/* Returns true for a byte to be sent. */
static bool write_locked(struct serial *serial, unsigned int off, uint8_t value)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (off) {
	case UART_TX:
		if (!divisor)
			return true;
		serial->dll = value;
		break;
	case UART_IER:
		if (divisor)
			serial->dlm = value;
		else
			write_ier_locked(serial, value);
		break;
	case UART_FCR:
		write_fcr_locked(serial, value);
		break;
	case UART_LCR:
		serial->lcr = value;
		break;
	case UART_MCR:
		write_mcr_locked(serial, value);
		break;
	case UART_SCR:
		serial->scr = value;
		break;
	default: /* LSR and MSR */
		break;
	}
	return false;
}

/* --- transmitter --- */

static bool is_writable(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};

	return poll(&pollfd, 1, 0) == 1;
}

/* Interrupted while it waited for a reader that does not read: the byte is lost, so that a vCPU
 * that is told to pause can. */
static void put_out(int fd, uint8_t byte)
{
	ssize_t written;

	do
		written = write(fd, &byte, 1);
	while (written < 0 && errno == EINTR && is_writable(fd));
}

/* The lock is released while the byte is written: a terminal that is held must not stop those who
 * bring input, or other vCPUs. */
static void send_locked(struct serial *serial, uint8_t byte)
{
	serial->thr_empty_pending = false;
	if (serial->mcr & UART_MCR_LOOP) {
		receive_locked(serial, byte);
	} else {
		update_intr_locked(serial);
		serial->sending++;
		pthread_mutex_unlock(&serial->lock);
		put_out(serial->out_fd, byte);
		pthread_mutex_lock(&serial->lock);
		serial->sending--;
	}
	serial->thr_empty_pending = !serial->sending;
}

static void serial_access(void *opaque, struct bus_access *access)
{
	struct serial *serial = opaque;

	pthread_mutex_lock(&serial->lock);
	if (!access->is_write)
		access->value = read_locked(serial, (unsigned int)access->off);
	else if (write_locked(serial, (unsigned int)access->off, (uint8_t)access->value))
		send_locked(serial, (uint8_t)access->value);
	refill_locked(serial);
	update_intr_locked(serial);
	pthread_mutex_unlock(&serial->lock);
}

/* --- for the machine --- */

size_t serial_input(struct serial *serial, const uint8_t *bytes, size_t len)
{
	size_t taken = 0;

	pthread_mutex_lock(&serial->lock);
	while (taken < len && queue_used(&serial->input) < INPUT_SIZE)
		queue_put(&serial->input, serial->input_bytes, INPUT_SIZE, bytes[taken++]);
	serial->refused |= taken < len;
	refill_locked(serial);
	update_intr_locked(serial);
	pthread_mutex_unlock(&serial->lock);
	return taken;
}

int serial_room_fd(const struct serial *serial)
{
	return serial->room_fd;
}

void serial_reset(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->ier = serial->lcr = serial->mcr = serial->fcr = 0;
	serial->scr = 0;
	serial->lsr_errors = serial->msr_deltas = 0;
	serial->msr_lines = modem_lines(0);
	serial->dll = DIVISOR_115200;
	serial->dlm = 0;
	serial->thr_empty_pending = false;
	serial->fifo.tail = serial->fifo.head;
	serial->input.tail = serial->input.head; /* it was meant for the guest that was */
	refill_locked(serial);
	update_intr_locked(serial);
	pthread_mutex_unlock(&serial->lock);
}

struct serial *serial_create(struct bus *port, struct irq_chip *irq, uint16_t port_base,
			     uint32_t gsi, int out_fd)
{
	static const struct bus_ops ops = {1, serial_access};
	struct serial *serial = calloc(1, sizeof(*serial));

	if (!serial)
		return NULL;
	serial->irq = irq;
	serial->gsi = gsi;
	serial->out_fd = out_fd;
	pthread_mutex_init(&serial->lock, NULL);
	serial->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	serial_reset(serial);
	if (serial->room_fd < 0 || bus_add(port, (struct range){port_base, PORTS}, &ops, serial)) {
		serial_destroy(serial);
		return NULL;
	}
	return serial;
}

void serial_destroy(struct serial *serial)
{
	if (!serial)
		return;
	if (serial->room_fd >= 0)
		close(serial->room_fd);
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}
