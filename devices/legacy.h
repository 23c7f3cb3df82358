/*
 * The small ISA devices that an x86 guest looks for: serial port, real-time clock, the keyboard
 * controller's reset line, the test guests' exit port.
 */
#ifndef DEVICES_LEGACY_H
#define DEVICES_LEGACY_H

#include <stddef.h>
#include <stdint.h>

#include "devices/acpi_pm.h"

struct bus;
struct irq_chip;
struct rtc;
struct serial;

/* 16550A UART at `port_base` (8 ports) on edge-triggered `gsi`. Output goes to `out_fd` from the
 * vCPU's thread; a would-block or failed write loses the byte, the VM goes on. */
struct serial *serial_create(struct bus *port, struct irq_chip *irq, uint16_t port_base,
			     uint32_t gsi, int out_fd);
void serial_destroy(struct serial *serial);
void serial_reset(struct serial *serial);

/* Offers input. Returns how many bytes were taken (0 when the receive buffer of 1 KiB is full). */
size_t serial_input(struct serial *serial, const uint8_t *bytes, size_t len);

/* An eventfd, to be watched and read by the loop: signalled when bytes were refused and half of the
 * receive buffer is free again. */
int serial_room_fd(const struct serial *serial);

/* MC146818-compatible clock with 114 bytes of memory; UTC of the host plus what the guest set.
 * The alarm and the update interrupt are kept, and told to `pm`; periodic interrupts are not
 * offered. `timer_fd` of rtc_timer_fd() must be watched by the loop and given to rtc_timer(). */
struct rtc *rtc_create(struct bus *port, struct irq_chip *irq, struct acpi_pm *pm);
void rtc_destroy(struct rtc *rtc);
void rtc_reset(struct rtc *rtc);
int rtc_timer_fd(const struct rtc *rtc);
/* Sets a byte of the memory, at `index` 0x0e to 0x7f: what firmware left there, or finds. Locks:
 * takes its own. Any thread. */
void rtc_set_memory(struct rtc *rtc, uint8_t index, uint8_t value);
void rtc_timer(struct rtc *rtc);

/* Ports 0x60/0x64: no keyboard, but command 0xfe resets the machine. 0 or negative errno. There is
 * one in a program; the last one created is served. */
int i8042_create(struct bus *port, machine_request_fn request, void *opaque);

/* Port 0xf4: a write of V (its low byte counts) ends the program with (V << 1) | 1. Test guests
 * only (--debug-exit). One in a program, as above. */
typedef void (*debug_exit_fn)(void *opaque, int status);
int debug_exit_create(struct bus *port, debug_exit_fn exit, void *opaque);

#endif
