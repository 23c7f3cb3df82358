/*
 * The options that give the machine devices, most of them once for each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/text.h"
#include "vmm/options_internal.h"

#define WHY_SIZE 512U

/* A slot of the config is replaced, whole, by the command line's. */
int options_add_slot(struct options *options, const char *text, struct why why)
{
	struct vfio_slot_config slot;
	unsigned int i = 0;
	char sentence[WHY_SIZE];
	int error = vfio_slot_parse(text, &slot, sentence, sizeof(sentence));

	if (error) {
		snprintf(why.text, why.size, "--gpu %s: %s", text, sentence);
		return error;
	}
	while (i < options->slots && !vfio_slot_config_is_same(&options->slot[i], &slot))
		i++;
	if (i == SLOT_MAX) {
		snprintf(why.text, why.size, "--gpu %s: no more than %u slots can be passed", text,
			 SLOT_MAX);
		return -EINVAL;
	}
	if (i < options->slots && !(options->inherited.slots & 1U << i)) {
		snprintf(why.text, why.size, "--gpu %s: this slot is passed already; one --gpu "
			 "passes all its functions", text);
		return -EINVAL;
	}
	options->slot[i] = slot;
	options->slots += i == options->slots;
	options->inherited.slots &= ~(1U << i);
	return 0;
}

bool options_get_slot(const struct options *options, unsigned int index, struct text *ret_text)
{
	if (index >= options->slots)
		return false;
	vfio_slot_format(&options->slot[index], ret_text);
	return true;
}

int options_set_hotplug_ports(struct options *options, const char *text, struct why why)
{
	char *end;
	unsigned long ports = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && ports <= SLOT_MAX) {
		options->hotplug_ports = (unsigned int)ports;
		return 0;
	}
	snprintf(why.text, why.size, "--hotplug-ports %s: not a number from 0 to %u", text,
		 SLOT_MAX);
	return -EINVAL;
}

bool options_get_hotplug_ports(const struct options *options, unsigned int index,
			       struct text *ret_text)
{
	(void)index;
	text_add(ret_text, "%u", options->hotplug_ports);
	return true;
}

/* As with a slot, a disk of the config is replaced by one of the same file. One that is given twice
 * is refused when it is opened. */
int options_add_disk(struct options *options, const char *text, struct why why)
{
	struct disk_config disk;
	unsigned int i = 0;
	int error = disk_config_parse(text, &disk, why.text, why.size);

	if (error)
		return error;
	while (i < options->disks && (!(options->inherited.disks & 1U << i) ||
				      strcmp(options->disk[i].path, disk.path)))
		i++;
	if (i == DISK_MAX) {
		snprintf(why.text, why.size, "--disk %s: no more than %u disks", text, DISK_MAX);
		return -EINVAL;
	}
	options->disk[i] = disk;
	options->disks += i == options->disks;
	options->inherited.disks &= ~(1U << i);
	return 0;
}

bool options_get_disk(const struct options *options, unsigned int index, struct text *ret_text)
{
	if (index >= options->disks)
		return false;
	disk_config_format(&options->disk[index], ret_text);
	return true;
}

/* passt that is started is another one each time. */
static bool is_same_link(const struct net_config *a, const struct net_config *b)
{
	return a->kind == b->kind && !strcmp(a->tap, b->tap) && !strcmp(a->socket, b->socket) &&
	       (a->tap[0] || a->socket[0]);
}

/* As with a slot. A tap device of several queues would give its frames to either of two users. */
int options_add_net(struct options *options, const char *text, struct why why)
{
	struct net_config net;
	unsigned int i = 0;
	int error = net_config_parse(text, &net, why.text, why.size);

	if (error)
		return error;
	while (i < options->nets && !is_same_link(&options->net[i], &net))
		i++;
	if (i == NET_MAX) {
		snprintf(why.text, why.size, "--net %s: no more than %u network devices", text,
			 NET_MAX);
		return -EINVAL;
	}
	if (i < options->nets && !(options->inherited.nets & 1U << i)) {
		snprintf(why.text, why.size, "--net %s: another device has this link", text);
		return -EINVAL;
	}
	options->net[i] = net;
	options->nets += i == options->nets;
	options->inherited.nets &= ~(1U << i);
	return 0;
}

bool options_get_net(const struct options *options, unsigned int index, struct text *ret_text)
{
	if (index >= options->nets)
		return false;
	net_config_format(&options->net[index], ret_text);
	return true;
}

/* As with a slot. A back end serves one device. */
int options_add_vhost_user(struct options *options, const char *text, struct why why)
{
	struct vhost_user_config device;
	unsigned int i = 0;
	int error = vhost_user_config_parse(text, &device, why.text, why.size);

	if (error)
		return error;
	while (i < options->vhost_users && strcmp(options->vhost_user[i].socket, device.socket))
		i++;
	if (i == VHOST_USER_MAX) {
		snprintf(why.text, why.size, "--vhost-user %s: no more than %u devices", text,
			 VHOST_USER_MAX);
		return -EINVAL;
	}
	if (i < options->vhost_users && !(options->inherited.vhost_users & 1U << i)) {
		snprintf(why.text, why.size, "--vhost-user %s: another device has this socket",
			 text);
		return -EINVAL;
	}
	options->vhost_user[i] = device;
	options->vhost_users += i == options->vhost_users;
	options->inherited.vhost_users &= ~(1U << i);
	return 0;
}

bool options_get_vhost_user(const struct options *options, unsigned int index,
			    struct text *ret_text)
{
	if (index >= options->vhost_users)
		return false;
	vhost_user_config_format(&options->vhost_user[index], ret_text);
	return true;
}

int options_set_vsock(struct options *options, const char *text, struct why why)
{
	char *end;
	unsigned long long cid = strtoull(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && cid >= VSOCK_CID_MIN &&
	    cid <= VSOCK_CID_MAX) {
		options->vsock_cid = (uint32_t)cid;
		return 0;
	}
	snprintf(why.text, why.size, "--vsock %s: not a CID of a guest, %u to %u", text,
		 VSOCK_CID_MIN, VSOCK_CID_MAX);
	return -EINVAL;
}

bool options_get_vsock(const struct options *options, unsigned int index, struct text *ret_text)
{
	(void)index;
	if (options->vsock_cid)
		text_add(ret_text, "%u", options->vsock_cid);
	return options->vsock_cid;
}
