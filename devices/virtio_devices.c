#include "devices/virtio_devices.h"

#include <errno.h>
#include <linux/pci.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/nocloud.h"
#include "devices/pci.h"
#include "devices/vhost_user.h"
#include "devices/virtio.h"
#include "devices/virtio_block.h"
#include "devices/virtio_entropy.h"
#include "devices/virtio_net.h"
#include "devices/virtio_vhost_user.h"
#include "devices/virtio_vsock.h"
#include "vmm/base/bits.h"
#include "vmm/base/eventfd.h"
#include "vmm/base/thread.h"
#include "vmm/layout.h"
#include "vmm/loop.h"

/* The others: cloud-init, console, sockets, entropy. */
#define TRANSPORTS_MAX (DISK_MAX + NET_MAX + VHOST_USER_MAX + 4)
#define FUNCTIONS 8U
_Static_assert(DISK_MAX <= VIRTIO_BLOCK_SLOTS * FUNCTIONS, "each disk has a place");
_Static_assert(NET_MAX <= FUNCTIONS, "each network device has a place");
_Static_assert(VHOST_USER_MAX <= FUNCTIONS, "each vhost-user device has a place");

struct plugged {
	struct virtio_pci *transport;
	const struct virtio_dev *dev;
	/* Its reset, on a thread of its own: the main thread's, but for the thread itself. */
	bool resetting;
	pthread_t thread;
	int done_fd;
};

struct virtio_devices {
	struct loop *loop;
	struct virtio_block *block[DISK_MAX];
	struct virtio_block *seed;
	struct virtio_net *net[NET_MAX];
	struct virtio_vhost_user *vhost_user[VHOST_USER_MAX];
	struct virtio_console *console;
	struct virtio_vsock *vsock;
	struct virtio_pci *vsock_transport;
	struct virtio_entropy *entropy;
	struct plugged plugged[TRANSPORTS_MAX];
	unsigned int count;
};

static void on_line(void *opaque, int fd)
{
	(void)fd;
	virtio_pci_service_line(opaque);
}

/* Under the lock: what a driver did is not held against the next one. */
static void on_vsock_error(void *opaque, int fd)
{
	struct virtio_devices *devices = opaque;
	struct pci_dev *pci = virtio_pci_dev(devices->vsock_transport);

	(void)fd;
	pthread_mutex_lock(&pci->lock);
	virtio_vsock_take_error(devices->vsock);
	pthread_mutex_unlock(&pci->lock);
}

static uint8_t place(unsigned int slot, unsigned int index)
{
	return PCI_DEVFN(slot + index / FUNCTIONS, index % FUNCTIONS);
}

uint8_t virtio_devices_disk_devfn(unsigned int index)
{
	return place(VIRTIO_BLOCK_SLOT, index);
}

/* Number `index` of `count` devices of a type whose first place is device `slot`. */
static int plug(struct virtio_devices *devices, struct virtio_dev *dev,
		const struct virtio_machine *machine, unsigned int slot, unsigned int index,
		unsigned int count)
{
	struct plugged *plugged = &devices->plugged[devices->count];
	uint8_t devfn = place(slot, index);
	bool first_of_many = index % FUNCTIONS == 0 && index + 1 < count;
	int error = virtio_pci_create(dev, machine, devfn, first_of_many, &plugged->transport);

	if (error)
		return error;
	plugged->dev = dev;
	devices->count++;
	return loop_add(devices->loop, virtio_pci_line_fd(plugged->transport), on_line,
			plugged->transport);
}

static int create_disk(struct virtio_devices *devices, const struct virtio_devices_config *config,
		       unsigned int index, const struct virtio_machine *machine, char *why,
		       size_t why_size)
{
	const struct disk_config *disk = &config->disk[index];
	struct virtio_block **block = &devices->block[index];
	struct block_image image;
	char name[16];
	int error = block_image_open(disk, &image, why, why_size);

	if (error)
		return error;
	block_image_warn(&image, disk);
	snprintf(name, sizeof(name), "disk%u", index);
	error = virtio_block_create(&image, disk, name, block);
	if (!error)
		error = plug(devices, virtio_block_dev(*block), machine, VIRTIO_BLOCK_SLOT, index,
			     config->disks);
	if (error)
		snprintf(why, why_size, "%s: %s", name, strerror(-error));
	return error;
}

/* Behind all disks, so that it moves none of them. */
static int create_seed(struct virtio_devices *devices, const struct virtio_devices_config *config,
		       const struct virtio_machine *machine, char *why, size_t why_size)
{
	static const struct disk_config disk = {.queues = 1, .serial = "cloud-init"};
	struct block_image image;
	int error = nocloud_open(config->cloud_init, &image, why, why_size);

	if (error)
		return error;
	error = virtio_block_create(&image, &disk, "cloud-init", &devices->seed);
	if (!error)
		error = plug(devices, virtio_block_dev(devices->seed), machine, VIRTIO_SEED_SLOT, 0,
			     1);
	if (error)
		snprintf(why, why_size, "cloud-init: %s", strerror(-error));
	return error;
}

static int create_net(struct virtio_devices *devices, const struct virtio_devices_config *config,
		      unsigned int index, const struct virtio_machine *machine, char *why,
		      size_t why_size)
{
	const struct net_config *net = &config->net[index];
	uint8_t mac[NET_MAC_LEN];
	struct net_host host;
	char name[16];
	int error = net_host_open(net, &host, why, why_size);

	if (error)
		return error;
	snprintf(name, sizeof(name), "net%u", index);
	memcpy(mac, net->mac, sizeof(mac));
	if (!net->has_mac)
		error = virtio_net_random_mac(mac);
	if (error)
		net_host_close(&host);
	else
		error = virtio_net_create(&host, mac, name, &devices->net[index]);
	if (!error)
		error = plug(devices, virtio_net_dev(devices->net[index]), machine,
			     VIRTIO_NET_SLOT, index, config->nets);
	if (error)
		snprintf(why, why_size, "%s: %s", name, strerror(-error));
	return error;
}

static void on_back_end(void *opaque, int fd)
{
	(void)fd;
	virtio_vhost_user_service(opaque);
}

static int create_vhost_user(struct virtio_devices *devices,
			     const struct virtio_devices_config *config, unsigned int index,
			     const struct virtio_machine *machine, char *why, size_t why_size)
{
	const struct vhost_user_config *vhost_user = &config->vhost_user[index];
	struct virtio_vhost_user *device;
	char name[16];
	int error;

	snprintf(name, sizeof(name), "%s%u", vhost_user_type_name(vhost_user->type), index);
	error = virtio_vhost_user_create(vhost_user, &vhost_user_patience, name, &device, why,
					 why_size);
	if (error)
		return error;
	devices->vhost_user[index] = device;
	error = plug(devices, virtio_vhost_user_dev(device), machine, VIRTIO_VHOST_USER_SLOT,
		     index, config->vhost_users);
	if (!error)
		error = loop_add(devices->loop, virtio_vhost_user_watch_fd(device), on_back_end,
				 device);
	if (error)
		snprintf(why, why_size, "%s: %s", name, strerror(-error));
	return error;
}

static int create_console(struct virtio_devices *devices, const struct console_config *console,
			  const struct virtio_machine *machine, char *why, size_t why_size)
{
	int error = virtio_console_create(console, &devices->console);

	if (!error)
		error = plug(devices, virtio_console_dev(devices->console), machine,
			     VIRTIO_CONSOLE_SLOT, 0, 1);
	if (error)
		snprintf(why, why_size, "console: %s", strerror(-error));
	return error;
}

static int create_vsock(struct virtio_devices *devices, uint32_t cid,
			const struct virtio_machine *machine, char *why, size_t why_size)
{
	int error = virtio_vsock_create(cid, &devices->vsock, why, why_size);

	if (error)
		return error;
	error = plug(devices, virtio_vsock_dev(devices->vsock), machine, VIRTIO_VSOCK_SLOT, 0, 1);
	if (!error) {
		devices->vsock_transport = devices->plugged[devices->count - 1].transport;
		error = loop_add(devices->loop, virtio_vsock_error_fd(devices->vsock),
				 on_vsock_error, devices);
	}
	if (error)
		snprintf(why, why_size, "--vsock %u: %s", cid, strerror(-error));
	return error;
}

static int create_entropy(struct virtio_devices *devices, const struct virtio_machine *machine,
			  char *why, size_t why_size)
{
	int error = virtio_entropy_create(&devices->entropy);

	if (!error)
		error = plug(devices, virtio_entropy_dev(devices->entropy), machine,
			     VIRTIO_ENTROPY_SLOT, 0, 1);
	if (error)
		snprintf(why, why_size, "entropy: %s", strerror(-error));
	return error;
}

int virtio_devices_create(const struct virtio_devices_config *config,
			  const struct virtio_machine *machine, struct loop *loop,
			  struct virtio_devices **ret_devices, char *ret_why, size_t why_size)
{
	struct virtio_devices *devices = calloc(1, sizeof(*devices));
	int error = 0;

	if (!devices)
		return -ENOMEM;
	devices->loop = loop;
	for (unsigned int i = 0; i < config->disks && !error; i++)
		error = create_disk(devices, config, i, machine, ret_why, why_size);
	if (!error && config->cloud_init)
		error = create_seed(devices, config, machine, ret_why, why_size);
	for (unsigned int i = 0; i < config->nets && !error; i++)
		error = create_net(devices, config, i, machine, ret_why, why_size);
	for (unsigned int i = 0; i < config->vhost_users && !error; i++)
		error = create_vhost_user(devices, config, i, machine, ret_why, why_size);
	if (!error && config->console)
		error = create_console(devices, config->console, machine, ret_why, why_size);
	if (!error && config->vsock_cid)
		error = create_vsock(devices, config->vsock_cid, machine, ret_why, why_size);
	if (!error && config->entropy)
		error = create_entropy(devices, machine, ret_why, why_size);
	if (error) {
		virtio_devices_destroy(devices);
		return error;
	}
	*ret_devices = devices;
	return 0;
}

struct virtio_console *virtio_devices_console(const struct virtio_devices *devices)
{
	return devices->console;
}

/* --- reset --- */

static void *reset_plugged(void *opaque)
{
	struct plugged *plugged = opaque;

	pci_dev_reset(virtio_pci_dev(plugged->transport));
	eventfd_signal(plugged->done_fd);
	return NULL;
}

static void end_reset(struct plugged *plugged)
{
	if (plugged->resetting)
		pthread_join(plugged->thread, NULL);
	plugged->resetting = false;
}

unsigned int virtio_devices_reset(struct virtio_devices *devices, int done_fd)
{
	unsigned int begun = 0;

	for (unsigned int i = 0; i < devices->count; i++) {
		struct plugged *plugged = &devices->plugged[i];

		end_reset(plugged);
		plugged->done_fd = done_fd;
		plugged->resetting = plugged->dev->ops->awaits_host &&
				     !thread_create(&plugged->thread, plugged->dev->name,
						    reset_plugged, plugged);
		if (plugged->resetting)
			begun++;
		else
			pci_dev_reset(virtio_pci_dev(plugged->transport));
	}
	if (devices->console)
		virtio_console_drop_input(devices->console);
	return begun;
}

/* --- the end --- */

void virtio_devices_leave(struct virtio_devices *devices)
{
	for (unsigned int i = 0; i < VHOST_USER_MAX && devices->vhost_user[i]; i++)
		virtio_vhost_user_leave(devices->vhost_user[i]);
}

void virtio_devices_destroy(struct virtio_devices *devices)
{
	if (!devices)
		return;
	virtio_devices_leave(devices);
	for (unsigned int i = 0; i < devices->count; i++) {
		struct virtio_pci *transport = devices->plugged[i].transport;

		end_reset(&devices->plugged[i]);
		loop_remove(devices->loop, virtio_pci_line_fd(transport));
		virtio_pci_destroy(transport);
	}
	for (unsigned int i = 0; i < DISK_MAX; i++)
		virtio_block_destroy(devices->block[i]);
	virtio_block_destroy(devices->seed);
	for (unsigned int i = 0; i < NET_MAX; i++)
		virtio_net_destroy(devices->net[i]);
	for (unsigned int i = 0; i < VHOST_USER_MAX && devices->vhost_user[i]; i++) {
		loop_remove(devices->loop, virtio_vhost_user_watch_fd(devices->vhost_user[i]));
		virtio_vhost_user_destroy(devices->vhost_user[i]);
	}
	virtio_console_destroy(devices->console);
	if (devices->vsock)
		loop_remove(devices->loop, virtio_vsock_error_fd(devices->vsock));
	virtio_vsock_destroy(devices->vsock);
	virtio_entropy_destroy(devices->entropy);
	free(devices);
}
