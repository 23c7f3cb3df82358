#include "tests/fake_vfio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fake_must.h"
#include "vfio/iommufd_abi.h"
#include "vmm/base/bits.h"

#define IOAS 77U
#define CONFIG_SIZE 4096U

struct fake_vfio fake_vfio;

void fake_vfio_begin(void)
{
	memset(&fake_vfio, 0, sizeof(fake_vfio));
}

void fake_vfio_forget(void)
{
	fake_vfio.log[0] = '\0';
}

void fake_vfio_end(void)
{
	for (unsigned int i = 0; i < FAKE_VFIO_FILES; i++)
		must(!fake_vfio.file[i].fd, "a file is left open");
}

static __attribute__((format(printf, 1, 2))) void note(const char *fmt, ...)
{
	size_t len = strlen(fake_vfio.log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake_vfio.log + len, sizeof(fake_vfio.log) - len, fmt, ap);
	va_end(ap);
	len = strlen(fake_vfio.log);
	must(len + 3 < sizeof(fake_vfio.log), "the log is full");
	strcpy(fake_vfio.log + len, "; ");
}

/* The error that the test wants of this call, or 0. */
static int wanted_error(const char *call)
{
	if (!fake_vfio.fail || strncmp(call, fake_vfio.fail, strlen(fake_vfio.fail)))
		return 0;
	if (fake_vfio.skip) {
		fake_vfio.skip--;
		return 0;
	}
	if (fake_vfio.times && --fake_vfio.times == 0)
		fake_vfio.fail = NULL;
	return fake_vfio.error;
}

static struct fake_vfio_file *find_file(int fd)
{
	for (unsigned int i = 0; i < FAKE_VFIO_FILES; i++)
		if (fake_vfio.file[i].fd == fd)
			return &fake_vfio.file[i];
	must(false, "a descriptor that is not open");
	return NULL;
}

static int add_file(char kind, int number)
{
	struct fake_vfio_file *file = find_file(0);
	int fd = memfd_create("fake-vfio", MFD_CLOEXEC);

	must(fd > 0 && !ftruncate(fd, CONFIG_SIZE), "memfd");
	*file = (struct fake_vfio_file){.fd = fd, .kind = kind, .number = number};
	return fd;
}

/* What is at the path: its kind and number; false: nothing. */
static bool look_up(const char *path, char *ret_kind, int *ret_number)
{
	int number;

	*ret_number = 0;
	if (!strcmp(path, "/dev/vfio/vfio") || !strcmp(path, "/dev/iommu")) {
		*ret_kind = path[5] == 'v' ? 'c' : 'i';
		return *ret_kind == 'c' ? !fake_vfio.no_groups : !fake_vfio.no_iommu;
	}
	for (int i = 0; i < FAKE_VFIO_DEVICES && fake_vfio.device[i].name; i++) {
		if (sscanf(path, "/dev/vfio/%d", &number) == 1 && !fake_vfio.no_groups &&
		    fake_vfio.device[i].group == number) {
			*ret_kind = 'g';
			*ret_number = number;
			return true;
		}
		if (sscanf(path, "/dev/vfio/devices/vfio%d", &number) == 1 && !fake_vfio.no_nodes &&
		    fake_vfio.device[i].node == number) {
			*ret_kind = 'n';
			*ret_number = i;
			return true;
		}
	}
	return false;
}

static bool fake_exists(const char *path)
{
	char kind;
	int number;

	return look_up(path, &kind, &number);
}

static bool fake_may_open(const char *path)
{
	char kind;
	int number;

	return look_up(path, &kind, &number) &&
	       !(fake_vfio.forbid_iommufd && (kind == 'i' || kind == 'n'));
}

static int fake_open(const char *path)
{
	char call[64], kind;
	int number, error;

	snprintf(call, sizeof(call), "open %s", path);
	note("%s", call);
	error = wanted_error(call);
	if (error)
		return error;
	if (!look_up(path, &kind, &number))
		return -ENOENT;
	return fake_may_open(path) ? add_file(kind, number) : -EACCES;
}

static void fake_close(int fd)
{
	struct fake_vfio_file *file = find_file(fd);

	if (file->kind == 'c' || file->kind == 'i')
		note("close %s", file->kind == 'c' ? "container" : "iommufd");
	else if (file->kind == 'g')
		note("close group %d", file->number);
	else
		note("close %s", fake_vfio.device[file->number].name);
	close(fd);
	memset(file, 0, sizeof(*file));
}

static void fake_pause(void)
{
	fake_vfio.pauses++;
}

/* --- devices --- */

static int device_info(void *argument)
{
	struct vfio_device_info *info = argument;

	info->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info->num_regions = VFIO_PCI_NUM_REGIONS;
	info->num_irqs = VFIO_PCI_NUM_IRQS;
	return 0;
}

static int region_info(void *argument)
{
	struct vfio_region_info *info = argument;

	info->argsz = sizeof(*info);
	info->size = info->index == VFIO_PCI_CONFIG_REGION_INDEX ? CONFIG_SIZE : 0;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	info->offset = 0;
	return 0;
}

static int hot_reset_info(void *argument)
{
	struct vfio_pci_hot_reset_info *info = argument;
	uint32_t count = (uint32_t)fake_vfio.reset_devices;
	unsigned int segment, bus, dev, fn;

	if (fake_vfio.reset_devices < 0)
		return -ENODEV;
	info->count = count;
	if (count > (info->argsz - sizeof(*info)) / sizeof(info->devices[0]))
		return -ENOSPC;
	for (uint32_t i = 0; i < count; i++) {
		const struct fake_vfio_device *device = &fake_vfio.device[i % FAKE_VFIO_DEVICES];

		must(sscanf(device->name, "%x:%x:%x.%x", &segment, &bus, &dev, &fn) == 4, "name");
		info->devices[i].group_id = (uint32_t)device->group;
		info->devices[i].segment = (uint16_t)segment;
		info->devices[i].bus = (uint8_t)bus;
		info->devices[i].devfn = (uint8_t)(dev << 3 | fn);
	}
	return 0;
}

/* vfio_pci_core.c, vfio_pci_ioctl_pci_hot_reset(): groups prove what a group's device does; no
 * proof is given for a node, all of the set must be bound. */
static int hot_reset(const struct fake_vfio_file *file, void *argument)
{
	const struct vfio_pci_hot_reset *reset = argument;
	unsigned int owned = 0;
	char text[64] = "HOT_RESET";

	must(reset->argsz == sizeof(*reset) + reset->count * sizeof(int32_t), "argsz");
	for (uint32_t i = 0; i < reset->count; i++) {
		struct fake_vfio_file *group = find_file(reset->group_fds[i]);

		must(group->kind == 'g', "no group");
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %d", group->number);
		for (int j = 0; j < fake_vfio.reset_devices; j++)
			owned += fake_vfio.device[j].group == group->number;
	}
	note("%s", text);
	if (!!reset->count == (file->kind == 'n') ||
	    reset->count > (uint32_t)fake_vfio.reset_devices)
		return -EINVAL;
	for (unsigned int i = 0; i < FAKE_VFIO_FILES; i++)
		owned += fake_vfio.file[i].kind == 'n' && fake_vfio.file[i].attached &&
			 fake_vfio.file[i].number < fake_vfio.reset_devices;
	return owned == (unsigned int)fake_vfio.reset_devices ? wanted_error("HOT_RESET") : -EINVAL;
}

static int device_ioctl(const struct fake_vfio_file *file, unsigned long request, void *argument)
{
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		note("INFO");
		return wanted_error("INFO") ? wanted_error("INFO") : device_info(argument);
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(argument);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return hot_reset_info(argument);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return hot_reset(file, argument);
	case VFIO_DEVICE_RESET:
		note("RESET");
		return wanted_error("RESET");
	case VFIO_DEVICE_FEATURE:
		note("FEATURE %x", ((struct vfio_device_feature *)argument)->flags);
		return wanted_error("FEATURE");
	}
	must(false, "a call of a device that is not known here");
	return -ENOTTY;
}

/* --- what leads to them --- */

static int node_ioctl(struct fake_vfio_file *file, unsigned long request, void *argument)
{
	struct vfio_device_attach_iommufd_pt *attach = argument;
	struct vfio_device_bind_iommufd *bind = argument;
	int error;

	switch (request) {
	case VFIO_DEVICE_BIND_IOMMUFD:
		note("BIND");
		error = wanted_error("BIND");
		must(find_file(bind->iommufd)->kind == 'i' && bind->argsz == sizeof(*bind), "BIND");
		file->bound = !error;
		return error;
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		note("ATTACH");
		error = wanted_error("ATTACH");
		must(file->bound && attach->pt_id == IOAS, "ATTACH");
		file->attached = !error;
		return error;
	}
	return file->attached ? device_ioctl(file, request, argument) : -EINVAL;
}

static int group_ioctl(struct fake_vfio_file *file, unsigned long request, void *argument)
{
	int error;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		note("STATUS");
		((struct vfio_group_status *)argument)->flags =
			wanted_error("STATUS") ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		note("SET_CONTAINER");
		error = wanted_error("SET_CONTAINER");
		must(find_file(*(int *)argument)->kind == 'c', "SET_CONTAINER");
		file->attached = !error;
		return error;
	case VFIO_GROUP_GET_DEVICE_FD:
		note("DEVICE %s", (char *)argument);
		error = wanted_error("DEVICE");
		must(file->attached, "a device before its group has the container");
		for (int i = 0; !error && i < FAKE_VFIO_DEVICES && fake_vfio.device[i].name; i++)
			if (fake_vfio.device[i].group == file->number &&
			    !strcmp(fake_vfio.device[i].name, argument))
				return add_file('d', i);
		return error ? error : -ENODEV;
	}
	must(false, "a call of a group that is not known here");
	return -ENOTTY;
}

static int container_ioctl(unsigned long request, void *argument)
{
	const struct vfio_iommu_type1_dma_map *map = argument;
	const struct vfio_iommu_type1_dma_unmap *unmap = argument;

	switch (request) {
	case VFIO_GET_API_VERSION:
		note("VERSION");
		return wanted_error("VERSION") ? 9 : VFIO_API_VERSION;
	case VFIO_SET_IOMMU:
		note("SET_IOMMU %d", (int)(uintptr_t)argument);
		return wanted_error("SET_IOMMU");
	case VFIO_IOMMU_MAP_DMA:
		note("MAP %llx %llx", (unsigned long long)map->iova, (unsigned long long)map->size);
		return wanted_error("MAP");
	case VFIO_IOMMU_UNMAP_DMA:
		note("UNMAP %llx %llx", (unsigned long long)unmap->iova,
		     (unsigned long long)unmap->size);
		return wanted_error("UNMAP");
	}
	must(false, "a call of the container that is not known here");
	return -ENOTTY;
}

static int iommufd_ioctl(unsigned long request, void *argument)
{
	const struct iommu_ioas_map *map = argument;
	const struct iommu_ioas_unmap *unmap = argument;

	switch (request) {
	case IOMMU_IOAS_ALLOC:
		note("ALLOC");
		((struct iommu_ioas_alloc *)argument)->out_ioas_id = IOAS;
		return wanted_error("ALLOC");
	case IOMMU_IOAS_MAP:
		must(map->size == sizeof(*map) && map->ioas_id == IOAS && map->user_va, "MAP");
		note("MAP%x %llx %llx", map->flags, (unsigned long long)map->iova,
		     (unsigned long long)map->length);
		return wanted_error("MAP");
	case IOMMU_IOAS_UNMAP:
		must(unmap->size == sizeof(*unmap) && unmap->ioas_id == IOAS, "UNMAP");
		note("UNMAP %llx %llx", (unsigned long long)unmap->iova,
		     (unsigned long long)unmap->length);
		return wanted_error("UNMAP");
	}
	must(false, "a call of iommufd that is not known here");
	return -ENOTTY;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
	struct fake_vfio_file *file = find_file(fd);

	switch (file->kind) {
	case 'c':
		return container_ioctl(request, argument);
	case 'g':
		return group_ioctl(file, request, argument);
	case 'i':
		return iommufd_ioctl(request, argument);
	case 'n':
		return node_ioctl(file, request, argument);
	default:
		return device_ioctl(file, request, argument);
	}
}

const struct vfio_syscalls fake_vfio_syscalls = {
	.may_open = fake_may_open,
	.exists = fake_exists,
	.open = fake_open,
	.ioctl = fake_ioctl,
	.close = fake_close,
	.pause = fake_pause,
};
