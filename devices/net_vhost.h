/*
 * vhost-net: the host's kernel serves a pair of queues itself, with a tap device. The eventfds of
 * the queues and the rings in guest memory are all it needs.
 */
#ifndef DEVICES_NET_VHOST_H
#define DEVICES_NET_VHOST_H

#include "devices/virtio.h"

#define NET_VHOST_PATH "/dev/vhost-net"

/* A descriptor for one pair. Negative errno: the host has it not, or not with all that this program
 * offers (-EOPNOTSUPP). */
int net_vhost_open(void);

/*
 * Hands queues `first` and the next one of `dev` over, which are enabled; the kernel serves them
 * with the tap device `tap_fd` until net_vhost_stop(), and signals `error_fd` when the driver
 * breaks the rules. 0 or negative errno. Transport's lock, or the device's thread.
 */
int net_vhost_start(int fd, struct virtio_dev *dev, unsigned int first, int tap_fd, int error_fd);

/* Takes them back, as far as the kernel came: nothing is in flight. */
void net_vhost_stop(int fd, struct virtio_dev *dev, unsigned int first);

#endif
