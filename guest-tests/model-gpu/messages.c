/* What each command of the protocol does. The payload is not trusted. */
#include "guest-tests/model-gpu/model.h"

#include <errno.h>
#include <stdio.h>

#define LOW_POWER_FLAGS \
	(VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | \
	 VFIO_DEVICE_FEATURE_PROBE)

static void reply(struct message *message, const void *payload, size_t size)
{
	memcpy(message->reply, payload, size);
	message->reply_size = size;
}

/* --- VERSION --- */

static const struct {
	const char *name;
	unsigned int value;
} capabilities[] = {
	{"max_msg_fds", USER_FDS_MAX},
	{"max_data_xfer_size", USER_DATA_MAX},
	{"max_dma_maps", DMA_MAPS_MAX},
	{"pgsizes", 4096},
};

/* Of our capabilities those that the client has proposed too, as the protocol asks. */
static size_t write_capabilities(char *json, size_t size, const char *proposed)
{
	size_t len = (size_t)snprintf(json, size, "{\"capabilities\":{");
	const char *comma = "";

	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		if (!strstr(proposed, capabilities[i].name))
			continue;
		len += (size_t)snprintf(json + len, size - len, "%s\"%s\":%u", comma,
					capabilities[i].name, capabilities[i].value);
		comma = ",";
	}
	return len + (size_t)snprintf(json + len, size - len, "}}") + 1;
}

static int do_version(struct function *fn, struct message *message)
{
	const char *json = (const char *)message->payload + sizeof(struct user_version);
	size_t json_size = message->size - sizeof(struct user_version);
	struct user_version version;

	memcpy(&version, message->payload, sizeof(version));
	if (fn->connection.negotiated || version.major != 0)
		return -EINVAL;
	if (json_size && json[json_size - 1])
		return -EINVAL;
	if (version.minor > 1)
		version.minor = 1;
	reply(message, &version, sizeof(version));
	if (json_size)
		message->reply_size += write_capabilities(
			(char *)message->reply + sizeof(version), 512, json);
	fn->connection.negotiated = true;
	return 0;
}

/* --- DMA --- */

static int do_dma_map(struct function *fn, struct message *message)
{
	struct user_dma_map map;

	memcpy(&map, message->payload, sizeof(map));
	if (message->fd_count != 1)
		return -EINVAL;
	return dma_map(fn, &map, message->fds[0]);
}

static int do_dma_unmap(struct function *fn, struct message *message)
{
	struct user_dma_unmap unmap;
	int error;

	memcpy(&unmap, message->payload, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap) || unmap.flags)
		return -EINVAL;
	error = dma_unmap(fn, unmap.iova, unmap.size);
	if (!error)
		reply(message, &unmap, sizeof(unmap));
	return error;
}

/* --- what there is --- */

static int do_device_info(struct function *fn, struct message *message)
{
	struct user_device_info info;

	memcpy(&info, message->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = VFIO_DEVICE_FLAGS_PCI | (fn->slot->reset ? VFIO_DEVICE_FLAGS_RESET : 0);
	info.regions = VFIO_PCI_NUM_REGIONS;
	info.irqs = VFIO_PCI_NUM_IRQS;
	reply(message, &info, sizeof(info));
	return 0;
}

#define SPARSE_AREAS 2U
struct sparse_info {
	struct vfio_region_info info;
	struct vfio_info_cap_header header; /* of struct vfio_region_info_cap_sparse_mmap */
	uint32_t nr_areas, reserved;
	struct vfio_region_sparse_mmap_area areas[SPARSE_AREAS];
};
_Static_assert(sizeof(struct sparse_info) == 32 + 16 + SPARSE_AREAS * 16, "sparse region info");

/* The quarter of the region from its second to its third is not to be mapped. */
static void fill_sparse(struct sparse_info *sparse)
{
	uint64_t quarter = sparse->info.size / 4;

	sparse->info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
	sparse->info.cap_offset = sizeof(sparse->info);
	sparse->header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	sparse->header.version = 1;
	sparse->nr_areas = SPARSE_AREAS;
	sparse->areas[0] = (struct vfio_region_sparse_mmap_area){0, quarter};
	sparse->areas[1] = (struct vfio_region_sparse_mmap_area){2 * quarter, 2 * quarter};
}

static int do_region_info(struct function *fn, struct message *message)
{
	struct sparse_info sparse = {0};
	struct vfio_region_info *info = &sparse.info;
	uint32_t size = sizeof(*info), room;

	memcpy(info, message->payload, sizeof(*info));
	if (info->argsz < sizeof(*info) || info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	room = info->argsz;
	info->flags = info->cap_offset = 0;
	info->offset = 0;
	info->size = fn->region[info->index].size;
	if (info->size)
		info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (info->size && fn->region[info->index].mappable) {
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		message->reply_fd = fn->slot->vram_fd;
		if (fn->slot->sparse) {
			fill_sparse(&sparse);
			size = sizeof(sparse);
		}
	}
	info->argsz = size;
	if (room < size) { /* the client asks again with more room */
		info->cap_offset = 0;
		size = sizeof(*info);
	}
	reply(message, &sparse, size);
	return 0;
}

static int do_irq_info(struct function *fn, struct message *message)
{
	struct vfio_irq_info info;
	int error;

	memcpy(&info, message->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info.argsz = sizeof(info);
	error = interrupts_info(fn, &info);
	if (!error)
		reply(message, &info, sizeof(info));
	return error;
}

/* --- use --- */

static int do_set_irqs(struct function *fn, struct message *message)
{
	struct vfio_irq_set set;
	size_t data_size = message->size - sizeof(set);

	memcpy(&set, message->payload, sizeof(set));
	if (set.argsz < sizeof(set) ||
	    (set.flags & VFIO_IRQ_SET_DATA_BOOL && set.count > data_size))
		return -EINVAL;
	return interrupts_set(fn, &set, message->payload + sizeof(set), message->fds,
			      message->fd_count);
}

static int check_access(const struct function *fn, const struct user_access *access)
{
	uint64_t size;

	if (access->region >= VFIO_PCI_NUM_REGIONS || access->count > USER_DATA_MAX)
		return -EINVAL;
	size = fn->region[access->region].real;
	return access->off <= size && access->count <= size - access->off ? 0 : -EINVAL;
}

static int do_region_read(struct function *fn, struct message *message)
{
	struct user_access access;
	int error;

	memcpy(&access, message->payload, sizeof(access));
	error = check_access(fn, &access);
	if (!error)
		error = region_read(fn, access.region, access.off,
				    message->reply + sizeof(access), access.count);
	if (error)
		return error;
	reply(message, &access, sizeof(access));
	message->reply_size += access.count;
	return 0;
}

static int do_region_write(struct function *fn, struct message *message)
{
	struct user_access access;
	int error;

	memcpy(&access, message->payload, sizeof(access));
	if (message->size - sizeof(access) != access.count)
		return -EINVAL;
	error = check_access(fn, &access);
	if (!error)
		error = region_write(fn, access.region, access.off,
				     message->payload + sizeof(access), access.count);
	if (!error)
		reply(message, &access, sizeof(access));
	return error;
}

static int do_reset(struct function *fn, struct message *message)
{
	(void)message;
	if (!fn->slot->reset)
		return -EINVAL;
	power_reset(fn);
	return 0;
}

/* --- DEVICE_FEATURE --- */

static bool feature_offered(const struct slot *slot, uint32_t feature)
{
	switch (feature) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return slot->low_power;
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return slot->low_power && slot->wakeup;
	default:
		return false;
	}
}

static int enter_with_wakeup(struct function *fn, struct message *message)
{
	struct vfio_device_low_power_entry_with_wakeup entry;
	int error;

	if (message->size < sizeof(struct vfio_device_feature) + sizeof(entry))
		return -EINVAL;
	memcpy(&entry, message->payload + sizeof(struct vfio_device_feature), sizeof(entry));
	/* The descriptor itself travels beside the message; the field says which of them it is. */
	if (entry.wakeup_eventfd || message->fd_count != 1 || !is_eventfd(message->fds[0]))
		return -EINVAL;
	error = power_entry(fn, message->fds[0]);
	if (!error)
		message->fds[0] = -1;
	return error;
}

static int set_feature(struct function *fn, struct message *message, uint32_t feature)
{
	switch (feature) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		return power_entry(fn, -1);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return enter_with_wakeup(fn, message);
	default:
		return power_exit(fn);
	}
}

/* The order of checks is that of the kernel's vfio_check_feature(). */
static int do_feature(struct function *fn, struct message *message)
{
	struct vfio_device_feature request;
	uint32_t feature;
	int error;

	memcpy(&request, message->payload, sizeof(request));
	feature = request.flags & VFIO_DEVICE_FEATURE_MASK;
	if (request.argsz < sizeof(request) || request.flags & ~(uint32_t)LOW_POWER_FLAGS)
		return -EINVAL;
	if (!feature_offered(fn->slot, feature))
		return -ENOTTY;
	if (request.flags & VFIO_DEVICE_FEATURE_GET)
		return -EINVAL;
	if (!(request.flags & VFIO_DEVICE_FEATURE_PROBE)) {
		if (!(request.flags & VFIO_DEVICE_FEATURE_SET))
			return -EINVAL;
		error = set_feature(fn, message, feature);
		if (error)
			return error;
	}
	reply(message, message->payload, message->size);
	return 0;
}

/* --- all of them --- */

static const struct {
	int (*handle)(struct function *fn, struct message *message);
	size_t payload_min;
	bool touches; /* vfio-pci resumes the function for what this is to the kernel */
} commands[USER_COMMANDS] = {
	[USER_VERSION] = {do_version, sizeof(struct user_version), false},
	[USER_DMA_MAP] = {do_dma_map, sizeof(struct user_dma_map), false},
	[USER_DMA_UNMAP] = {do_dma_unmap, sizeof(struct user_dma_unmap), false},
	[USER_DEVICE_GET_INFO] = {do_device_info, sizeof(struct user_device_info), true},
	[USER_DEVICE_GET_REGION_INFO] = {do_region_info, sizeof(struct vfio_region_info), true},
	[USER_DEVICE_GET_IRQ_INFO] = {do_irq_info, sizeof(struct vfio_irq_info), true},
	[USER_DEVICE_SET_IRQS] = {do_set_irqs, sizeof(struct vfio_irq_set), true},
	[USER_REGION_READ] = {do_region_read, sizeof(struct user_access), true},
	[USER_REGION_WRITE] = {do_region_write, sizeof(struct user_access), true},
	[USER_DEVICE_RESET] = {do_reset, 0, true},
	[USER_DEVICE_FEATURE] = {do_feature, sizeof(struct vfio_device_feature), true},
};

bool message_touches(uint16_t command)
{
	return command < USER_COMMANDS && commands[command].touches;
}

bool message_is_exit(uint16_t command, const uint8_t *payload, size_t size)
{
	uint32_t flags;

	if (command != USER_DEVICE_FEATURE || size < sizeof(struct vfio_device_feature))
		return false;
	flags = get_le32(payload + offsetof(struct vfio_device_feature, flags));
	return flags == (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
}

int message_handle(struct function *fn, uint16_t command, struct message *message)
{
	if (command >= USER_COMMANDS || !commands[command].handle ||
	    message->size < commands[command].payload_min)
		return -EINVAL;
	if (!fn->connection.negotiated && command != USER_VERSION)
		return -EINVAL;
	return commands[command].handle(fn, message);
}
