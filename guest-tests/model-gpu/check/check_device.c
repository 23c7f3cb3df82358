/* The device as its client finds it: information, config space, registers, interrupts. */
#include "guest-tests/model-gpu/check/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TRIGGER (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define DISABLE (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)

static void version(void)
{
	struct client client = client_connect(0);
	struct {
		struct user_version version;
		char json[64];
	} request = {{0, 7}, "{\"capabilities\":{\"max_msg_fds\":4,\"pgsizes\":4096}}"};
	struct user_version no_json = {0, 1}, other = {1, 0}, reply;
	struct user_device_info info = {.argsz = sizeof(info)};
	char bytes[512];
	ssize_t n;

	/* Nothing before it, no other major version. */
	expect_equal(client_request(&client, USER_DEVICE_GET_INFO, &info, sizeof(info), NULL, 0),
		     -EINVAL);
	expect_equal(client_request(&client, USER_VERSION, &other, sizeof(other), NULL, 0),
		     -EINVAL);
	client_send(&client, USER_VERSION, &request, sizeof(request), NULL, 0);
	n = client_receive_raw(&client, bytes, sizeof(bytes), NULL);
	expect(n > 20 && !bytes[n - 1]);
	memcpy(&reply, bytes + 16, sizeof(reply));
	expect_equal(reply.major, 0);
	expect_equal(reply.minor, 1);
	expect(!strcmp(bytes + 20, "{\"capabilities\":{\"max_msg_fds\":16,\"pgsizes\":4096}}"));
	/* Once. */
	expect_equal(client_request(&client, USER_VERSION, &no_json, sizeof(no_json), NULL, 0),
		     -EINVAL);
	client_close(&client);
	/* Without any capabilities none come back. */
	client = client_connect(0);
	expect_equal(client_request(&client, USER_VERSION, &no_json, sizeof(no_json), &reply,
				    sizeof(reply)), 0);
	client_close(&client);
}

static void device_info(void)
{
	struct client client = client_open(0);
	struct user_device_info info = {.argsz = sizeof(info)};

	expect_equal(client_request(&client, USER_DEVICE_GET_INFO, &info, sizeof(info), &info,
				    sizeof(info)), 0);
	expect_equal(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	expect_equal(info.regions, VFIO_PCI_NUM_REGIONS);
	expect_equal(info.irqs, VFIO_PCI_NUM_IRQS);
	info.argsz = 8;
	expect_equal(client_request(&client, USER_DEVICE_GET_INFO, &info, sizeof(info), NULL, 0),
		     -EINVAL);
}

static void no_reset(void)
{
	struct client client = client_open(0);
	struct user_device_info info = {.argsz = sizeof(info)};

	expect_equal(client_request(&client, USER_DEVICE_GET_INFO, &info, sizeof(info), &info,
				    sizeof(info)), 0);
	expect_equal(info.flags, VFIO_DEVICE_FLAGS_PCI);
	expect_equal(client_request(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0), -EINVAL);
	expect(!(config_read(&client, 0x64, 4) & PCI_EXP_DEVCAP_FLR));
}

static void regions(void)
{
	static const uint64_t sizes[2][VFIO_PCI_NUM_REGIONS] = {
		{64 << 10, 0, 256 << 20, 0, 16 << 10, 0, 0, 4096, 0},
		{16 << 10, 0, 0, 0, 16 << 10, 0, 0, 4096, 0},
	};

	for (unsigned int fn = 0; fn < 2; fn++) {
		struct client client = client_open(fn);

		for (uint32_t i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
			struct vfio_region_info info = {.argsz = sizeof(info), .index = i};
			uint32_t flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

			expect_equal(client_request(&client, USER_DEVICE_GET_REGION_INFO, &info,
						    sizeof(info), &info, sizeof(info)), 0);
			expect_equal(info.size, sizes[fn][i]);
			expect_equal(info.argsz, sizeof(info));
			if (!fn && i == VFIO_PCI_BAR2_REGION_INDEX)
				flags |= VFIO_REGION_INFO_FLAG_MMAP;
			expect_equal(info.flags, info.size ? flags : 0);
		}
		client_close(&client);
	}
}

static void vram(void)
{
	struct client client = client_open(0);
	struct vfio_region_info info = {.argsz = sizeof(info), .index = 2};
	uint8_t bytes[128], read[4], *map;
	int fd = -1;

	client_send(&client, USER_DEVICE_GET_REGION_INFO, &info, sizeof(info), NULL, 0);
	expect_equal(client_receive_raw(&client, bytes, sizeof(bytes), &fd), 16 + sizeof(info));
	expect(fd >= 0);
	memcpy(&info, bytes + 16, sizeof(info));
	map = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)info.offset);
	expect(map != MAP_FAILED);
	/* What is mapped and what messages reach are the same. */
	memcpy(map + info.size - 4, "abcd", 4);
	expect_equal(region_read(&client, 2, info.size - 4, read, 4), 0);
	expect(!memcmp(read, "abcd", 4));
	expect_equal(region_write(&client, 2, 0x1000, "efgh", 4), 0);
	expect(!memcmp(map + 0x1000, "efgh", 4));
	expect_equal(region_read(&client, 2, info.size - 3, read, 4), -EINVAL);
	expect_equal(region_read(&client, 2, UINT64_MAX - 1, read, 4), -EINVAL);
}

static void sparse(void)
{
	struct client client = client_open(0);
	struct {
		struct {
			uint32_t argsz, flags, index, cap_offset;
			uint64_t size, offset;
		} info;
		struct vfio_info_cap_header header;
		uint32_t nr_areas, reserved;
		struct vfio_region_sparse_mmap_area areas[2];
	} reply = {.info = {.argsz = sizeof(reply.info), .index = 2}};

	/* Too little room: how much is needed. */
	expect_equal(client_request(&client, USER_DEVICE_GET_REGION_INFO, &reply.info,
				    sizeof(reply.info), &reply.info, sizeof(reply.info)), 0);
	expect_equal(reply.info.argsz, sizeof(reply));
	expect(reply.info.flags & VFIO_REGION_INFO_FLAG_CAPS);
	expect_equal(reply.info.cap_offset, 0);
	expect_equal(client_request(&client, USER_DEVICE_GET_REGION_INFO, &reply.info,
				    sizeof(reply.info), &reply, sizeof(reply)), 0);
	expect_equal(reply.info.cap_offset, sizeof(reply.info));
	expect_equal(reply.header.id, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
	expect_equal(reply.header.next, 0);
	expect_equal(reply.nr_areas, 2);
	expect_equal(reply.areas[1].offset + reply.areas[1].size, reply.info.size);
}

/* Identity and the list of capabilities. */
static void identity(void)
{
	static const uint32_t classes[] = {0x030000, 0x040300, 0x0c0330};
	static const uint8_t ids[] = {PCI_CAP_ID_PM, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX,
				      PCI_CAP_ID_MSI};
	static const uint8_t at[] = {0x40, 0x60, 0xa0, 0xb0};

	for (unsigned int fn = 0; fn < 3; fn++) {
		struct client client = client_open(fn);
		uint32_t cap = config_read(&client, PCI_CAPABILITY_LIST, 1);

		expect_equal(config_read(&client, 0, 4), (0x00f0U + fn) << 16 | 0x1b36);
		expect_equal(config_read(&client, PCI_CLASS_REVISION, 4) >> 8, classes[fn]);
		expect_equal(config_read(&client, PCI_HEADER_TYPE, 1), 0x80);
		expect_equal(config_read(&client, PCI_INTERRUPT_PIN, 1), 1 + fn);
		for (size_t i = 0; i < sizeof(ids); i++) {
			expect_equal(cap, at[i]);
			expect_equal(config_read(&client, cap, 1), ids[i]);
			cap = config_read(&client, cap + 1, 1);
		}
		expect_equal(cap, 0);
		expect_equal(config_read(&client, 0x100, 4), 0x00020001);
		expect(config_read(&client, 0x44, 2) & PCI_PM_CTRL_NO_SOFT_RESET);
		expect(config_read(&client, 0x64, 4) & PCI_EXP_DEVCAP_FLR);
		client_close(&client);
	}
}

static void identity_nvidia(void)
{
	struct client client = client_open(0);

	expect_equal(config_read(&client, 0, 4), 0x2bf010de);
	expect_equal(config_read(&client, PCI_HEADER_TYPE, 1), 0);
}

static void bar_sizing(void)
{
	static const uint32_t masks[] = {0xffff0000, 0, 0xf000000c, 0xffffffff, 0xffffc000, 0};
	struct client client = client_open(0);

	for (unsigned int i = 0; i < 6; i++) {
		uint64_t off = PCI_BASE_ADDRESS_0 + 4 * i;

		config_write(&client, off, 0xffffffff, 4);
		expect_equal(config_read(&client, off, 4), masks[i]);
	}
	config_write(&client, 0, 0xdeadbeef, 4);
	expect_equal(config_read(&client, 0, 4), 0x00f01b36);
}

static void registers(void)
{
	struct client client = client_open(0);
	uint8_t two[2];
	uint64_t eight;

	expect_equal(reg_read(&client, 0x000), 0x5550474d);
	expect_equal(reg_read(&client, 0x004), 1);
	expect_equal(reg_read(&client, 0x00c), 1);
	expect_equal(reg_read(&client, 0x010), 8);
	reg_write(&client, 0x008, 0x12345678);
	expect_equal(reg_read(&client, 0x008), 0x12345678);
	/* Other widths: read, but not written. */
	expect_equal(region_read(&client, 0, 1, two, 2), 0);
	expect(!memcmp(two, "GP", 2));
	expect_equal(region_write(&client, 0, 0x008, two, 2), 0);
	expect_equal(reg_read(&client, 0x008), 0x12345678);
	expect_equal(region_read(&client, 0, 0, &eight, 8), 0);
	expect_equal(eight, 0x15550474d);
	/* Of eight bytes at 0x006 only those of 0x008 are a whole register. */
	eight = 0x1122334455667788;
	expect_equal(region_write(&client, 0, 0x006, &eight, 8), 0);
	expect_equal(reg_read(&client, 0x008), 0x33445566);
	/* No register, and read-only ones. */
	reg_write(&client, 0xfffc, 1);
	expect_equal(reg_read(&client, 0xfffc), 0);
	reg_write(&client, 0x000, 1);
	expect_equal(reg_read(&client, 0x000), 0x5550474d);
	expect_equal(region_read(&client, 0, 0xfffd, two, 4), -EINVAL);
}

static void memory_disabled(void)
{
	struct client client = client_open(0);
	uint32_t value;

	config_write(&client, PCI_COMMAND, 0, 2);
	expect_equal(region_read(&client, 0, 0, &value, 4), -EIO);
	expect_equal(region_write(&client, 2, 0, &value, 4), -EIO);
	config_write(&client, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	expect_equal(reg_read(&client, 0), 0x5550474d);
	config_write(&client, 0x44, 3, 2); /* D3hot */
	expect_equal(config_read(&client, 0x44, 2), 3 | PCI_PM_CTRL_NO_SOFT_RESET);
	expect_equal(region_read(&client, 0, 0, &value, 4), -EIO);
	config_write(&client, 0x44, 0, 2);
	expect_equal(reg_read(&client, 0), 0x5550474d);
}

static void reset(void)
{
	struct client client = client_open(0);

	reg_write(&client, 0x008, 5);
	config_write(&client, PCI_BASE_ADDRESS_0, 0xe0000000, 4);
	config_write(&client, 0x44, 3, 2);
	expect_equal(client_request(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0), 0);
	expect_equal(reg_read(&client, 0x008), 0);
	expect_equal(config_read(&client, PCI_BASE_ADDRESS_0, 4), 0xe0000000);
	reg_write(&client, 0x008, 5);
	config_write(&client, 0x68, PCI_EXP_DEVCTL_BCR_FLR, 2);
	expect_equal(reg_read(&client, 0x008), 0);
	expect_equal(reg_read(&client, 0x00c), 1); /* power was never lost */
	expect_equal(status(0, "resets"), 2);
}

static void irq_info(void)
{
	static const uint32_t wanted[][2] = {
		{1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED},
		{1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE},
		{8, VFIO_IRQ_INFO_EVENTFD},
		{1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE},
		{1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE},
	};
	struct client client = client_open(0);

	for (uint32_t i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		struct vfio_irq_info info = {.argsz = sizeof(info), .index = i};

		expect_equal(client_request(&client, USER_DEVICE_GET_IRQ_INFO, &info,
					    sizeof(info), &info, sizeof(info)), 0);
		expect_equal(info.count, wanted[i][0]);
		expect_equal(info.flags, wanted[i][1]);
	}
}

static void msix(void)
{
	struct client client = client_open(0);
	int fds[8], other = make_eventfd();

	for (unsigned int i = 0; i < 8; i++)
		fds[i] = make_eventfd();
	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 0, 3, fds, 3), 0);
	/* Later more of them, one at a time. */
	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 7, 1, &fds[7], 1), 0);
	reg_write(&client, 0x020, 2);
	reg_write(&client, 0x020, 7);
	reg_write(&client, 0x020, 7);
	expect_equal(drained(fds[0]), 0);
	expect_equal(drained(fds[2]), 1);
	expect_equal(drained(fds[7]), 2);
	expect_equal(reg_read(&client, 0x024), 1 << 2 | 1 << 7);
	reg_write(&client, 0x024, 1 << 2);
	expect_equal(reg_read(&client, 0x024), 1 << 7);
	/* MSI excludes MSI-X; loop-back; no descriptor takes the route away. */
	expect_equal(irqs_set(&client, VFIO_PCI_MSI_IRQ_INDEX, TRIGGER, 0, 1, &other, 1), -EINVAL);
	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, DISABLE, 1, 1, NULL, 0), 0);
	expect_equal(drained(fds[1]), 1);
	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 1, 1, NULL, 0), 0);
	reg_write(&client, 0x020, 1);
	expect_equal(drained(fds[1]), 0);
	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, DISABLE, 0, 0, NULL, 0), 0);
	reg_write(&client, 0x020, 2);
	expect_equal(drained(fds[2]), 0);
}

static void msi(void)
{
	struct client client = client_open(0);
	int fd = make_eventfd();

	expect_equal(irqs_set(&client, VFIO_PCI_MSI_IRQ_INDEX, TRIGGER, 0, 1, &fd, 1), 0);
	reg_write(&client, 0x020, 5);
	expect_equal(drained(fd), 1);
	expect_equal(reg_read(&client, 0x024), 1 << 5);
}

static void intx(void)
{
	const uint32_t unmask = VFIO_IRQ_SET_ACTION_UNMASK, none = VFIO_IRQ_SET_DATA_NONE;
	struct client client = client_open(0);
	int fd = make_eventfd(), resample = make_eventfd();

	expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX, TRIGGER, 0, 1, &fd, 1), 0);
	reg_write(&client, 0x020, 3);
	reg_write(&client, 0x020, 4);
	expect_equal(drained(fd), 1); /* automasked */
	expect(config_read(&client, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX, none | unmask, 0, 1, NULL, 0), 0);
	expect_equal(drained(fd), 1); /* the level is still there */
	expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX,
			      VFIO_IRQ_SET_DATA_EVENTFD | unmask, 0, 1, &resample, 1), 0);
	expect_equal(write(resample, &(uint64_t){1}, 8), 8);
	await(fd);
	expect_equal(drained(fd), 1);
	reg_write(&client, 0x024, UINT32_MAX);
	expect(!(config_read(&client, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT));
	expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX, none | unmask, 0, 1, NULL, 0), 0);
	expect_equal(drained(fd), 0);
	/* Masked by the client, or by Interrupt Disable. */
	expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX,
			      none | VFIO_IRQ_SET_ACTION_MASK, 0, 1, NULL, 0), 0);
	reg_write(&client, 0x020, 3);
	expect_equal(drained(fd), 0);
	config_write(&client, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE, 2);
	expect_equal(irqs_set(&client, VFIO_PCI_INTX_IRQ_INDEX, none | unmask, 0, 1, NULL, 0), 0);
	expect_equal(drained(fd), 0);
	config_write(&client, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	expect_equal(drained(fd), 1);
}

static void set_irqs_refused(void)
{
	static const struct {
		uint32_t index, flags, start, count;
		int fds, error;
	} cases[] = {
		{VFIO_PCI_NUM_IRQS, TRIGGER, 0, 1, 1, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 8, 1, 1, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 4, UINT32_MAX, 1, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 0, 2, 1, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 0, 0, 0, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 1, 0, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER | VFIO_IRQ_SET_ACTION_MASK, 0, 1, 1, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER | 1 << 9, 0, 1, 1, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX, DISABLE, 0, 1, 0, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX,
		 VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 4, 0, -EINVAL},
		{VFIO_PCI_MSIX_IRQ_INDEX,
		 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, 0, -ENOTTY},
		{VFIO_PCI_INTX_IRQ_INDEX,
		 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, 0, -EINVAL},
	};
	struct client client = client_open(0);
	int fd = make_eventfd(), ends[2];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_equal(irqs_set(&client, cases[i].index, cases[i].flags, cases[i].start,
				      cases[i].count, &fd, (unsigned int)cases[i].fds),
			     cases[i].error);
	/* Not an eventfd. */
	expect(!pipe(ends));
	expect_equal(irqs_set(&client, VFIO_PCI_MSI_IRQ_INDEX, TRIGGER, 0, 1, &ends[1], 1),
		     -EINVAL);
}

const struct test device_tests[] = {
	{"version", version, {0}},
	{"device-info", device_info, {0}},
	{"no-reset", no_reset, {"--no-reset"}},
	{"regions", regions, {"--functions", "gpu,audio"}},
	{"vram", vram, {0}},
	{"sparse", sparse, {"--sparse"}},
	{"identity", identity, {"--functions", "gpu,audio,usbc"}},
	{"identity-nvidia", identity_nvidia, {"--nvidia"}},
	{"bar-sizing", bar_sizing, {0}},
	{"registers", registers, {0}},
	{"memory-disabled", memory_disabled, {0}},
	{"reset", reset, {0}},
	{"irq-info", irq_info, {0}},
	{"msix", msix, {0}},
	{"msi", msi, {0}},
	{"intx", intx, {0}},
	{"set-irqs-refused", set_irqs_refused, {0}},
	{0},
};
