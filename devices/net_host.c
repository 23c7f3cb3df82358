#include "devices/net_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/net_vhost.h"

/* A descriptor for each pair, when vhost is wanted and there. */
static int open_vhost(const struct net_config *config, struct net_host *host, char *why,
		      size_t why_size)
{
	int fd = -ENOENT;

	if (host->kind != NET_TAP || config->vhost == NET_VHOST_OFF)
		return 0;
	for (unsigned int i = 0; i < host->pairs; i++) {
		fd = net_vhost_open();
		if (fd < 0)
			break;
		host->vhost_fd[i] = fd;
	}
	if (fd >= 0)
		return 0;
	for (unsigned int i = 0; i < host->pairs; i++) {
		if (host->vhost_fd[i] >= 0)
			close(host->vhost_fd[i]);
		host->vhost_fd[i] = -1;
	}
	if (config->vhost == NET_VHOST_AUTO)
		return 0;
	snprintf(why, why_size, "--net tap=%s: vhost=on: %s: %s; modprobe vhost_net, be let open "
		 "it, or leave vhost=auto", config->tap, NET_VHOST_PATH, strerror(-fd));
	return fd;
}

int net_host_open(const struct net_config *config, struct net_host *ret_host, char *ret_why,
		  size_t why_size)
{
	struct net_host host = {.kind = config->kind, .pairs = config->pairs};
	int error;

	for (unsigned int i = 0; i < NET_PAIRS_MAX; i++)
		host.fd[i] = host.vhost_fd[i] = -1;
	if (config->kind == NET_TAP)
		error = net_tap_open(config, &host, ret_why, why_size);
	else
		error = net_passt_open(config, &host, ret_why, why_size);
	if (!error)
		error = open_vhost(config, &host, ret_why, why_size);
	if (error)
		net_host_close(&host);
	else
		*ret_host = host;
	return error;
}

void net_host_close(struct net_host *host)
{
	for (unsigned int i = 0; i < host->pairs; i++) {
		if (host->vhost_fd[i] >= 0)
			close(host->vhost_fd[i]);
		if (host->fd[i] >= 0)
			close(host->fd[i]);
	}
	host->pairs = 0;
}
