/*
 * The virtio console device: one port, whose other side is two descriptors, the person's terminal
 * or pipes. VIRTIO 1.2, 5.3 Console Device.
 *
 * Output is written by a thread of its own, which may have to wait for whoever reads it: then the
 * driver waits for its buffers, and nobody else. Input waits in a buffer, and is refused when that
 * is full.
 *
 * Not offered: VIRTIO_CONSOLE_F_MULTIPORT (several ports, with names and hot plug: sockets of vsock
 * do that), VIRTIO_CONSOLE_F_EMERG_WRITE (the serial port is there for early output).
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

struct virtio_console;
struct virtio_dev;

#define CONSOLE_INPUT_SIZE 1024U /* bytes that wait for the driver at most */

struct console_config {
	int out_fd;          /* stays the caller's */
	uint16_t cols, rows; /* both 0: nobody knows, and VIRTIO_CONSOLE_F_SIZE is not offered */
};

/* 0 or negative errno. Takes SIGRTMIN + 1 for its threads. */
int virtio_console_create(const struct console_config *config, struct virtio_console **ret_console);

/* Of a device that is stopped. Accepts NULL. */
void virtio_console_destroy(struct virtio_console *console);

struct virtio_dev *virtio_console_dev(struct virtio_console *console);

/* Offers input, which waits for a driver if there is none. Returns how many bytes were taken. Any
 * thread. */
size_t virtio_console_input(struct virtio_console *console, const uint8_t *bytes, size_t len);

/* An eventfd, to be watched and read by the loop: signalled when bytes were refused and half of the
 * buffer is free again. */
int virtio_console_room_fd(const struct virtio_console *console);

/* What waits is dropped: it was meant for the guest that was. Of a device that is stopped. */
void virtio_console_drop_input(struct virtio_console *console);

/* The terminal has this size now: the driver is told if that is new. Any thread. */
void virtio_console_set_size(struct virtio_console *console, uint16_t cols, uint16_t rows);

#endif
