/* Every fault of the control socket, and every hostile config space. */
#include "guest-tests/model-gpu/check/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void wake_before_answer(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	control_ok("wake 0 before-answer 2");
	for (unsigned int i = 0; i < 2; i++) {
		expect_equal(entry_with_wakeup(&client, eventfd), 0);
		expect_equal(drained(eventfd), 1);
		expect_equal(status(0, "engaged"), 0);
	}
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect_equal(status(0, "engaged"), 1);
	expect_equal(drained(eventfd), 0);
}

/* Held back, the reply shows that the signal is there before it. */
static void wake_before_late_answer(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();
	struct {
		uint32_t argsz, flags;
		struct vfio_device_low_power_entry_with_wakeup wakeup;
	} request = {sizeof(request), VFIO_DEVICE_FEATURE_SET |
		     VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, {0, 0}}, reply;

	control_ok("wake 0 in-entry");
	control_ok("late 0 3600000");
	client_send(&client, USER_DEVICE_FEATURE, &request, sizeof(request), &eventfd, 1);
	await(eventfd);
	expect_equal(drained(eventfd), 1);
	expect(!readable(client.fd));
	control_ok("late 0 0");
	expect_equal(client_receive(&client, USER_DEVICE_FEATURE, &reply, sizeof(reply)), 0);
	await(eventfd); /* the second signal follows the reply */
	expect_equal(drained(eventfd), 1);
	expect_equal(status(0, "wakes"), 1);
	expect_equal(status(0, "signals"), 2);
}

static void wake_after(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	control_ok("wake 0 after 1");
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	await(eventfd);
	expect_equal(drained(eventfd), 1);
	expect_equal(status(0, "engaged"), 0);
}

/* An exit in time: that wake is void, also for the next entry. */
static void wake_too_late(void)
{
	struct client client = client_open(0), clock = client_open(1), awake = client_open(2);
	int eventfd = make_eventfd(), ticked = make_eventfd();

	control_ok("wake 0 after 20");
	control_ok("wake 1 after 40");
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect_equal(leave(&client), 0);
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect_equal(drained(eventfd), 1); /* of the exit */
	expect_equal(entry_with_wakeup(&clock, ticked), 0);
	await(ticked); /* it was armed later, for longer */
	expect_equal(drained(eventfd), 0);
	expect_equal(status(0, "engaged"), 1);
	expect_equal(reg_read(&awake, 0), 0x5550474d);
}

static void refusals(void)
{
	static const struct {
		const char *name;
		int error;
	} cases[] = {{"EINVAL", EINVAL}, {"EIO", EIO}, {"EBUSY", EBUSY}, {"ENOTTY", ENOTTY}};
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		control_ok("refuse-entry 0 %s", cases[i].name);
		control_ok("refuse-exit 0 %s 2", cases[i].name);
		expect_equal(entry_with_wakeup(&client, eventfd), -cases[i].error);
		expect_equal(status(0, "engaged"), 0);
		expect_equal(entry_with_wakeup(&client, eventfd), 0);
		for (unsigned int n = 0; n < 2; n++) {
			expect_equal(leave(&client), -cases[i].error);
			expect_equal(status(0, "engaged"), 1);
		}
		expect_equal(leave(&client), 0);
		expect_equal(drained(eventfd), 1);
	}
	expect_equal(status(0, "refusals"), 4);
	control_ok("refuse-entry 0 EIO forever");
	for (unsigned int i = 0; i < 5; i++)
		expect_equal(entry(&client), -EIO);
	control_ok("well all");
	expect_equal(entry(&client), 0);
}

static void send_exit(struct client *client)
{
	const uint32_t request[] = {8, VFIO_DEVICE_FEATURE_SET |
				    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT};

	client_send(client, USER_DEVICE_FEATURE, request, sizeof(request), NULL, 0);
}

static void resume_delay(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();
	uint32_t reply[2];

	control_ok("resume-delay 0 1");
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect_equal(leave(&client), 0);
	control_ok("resume-delay 0 3600000");
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect_equal(drained(eventfd), 1);
	send_exit(&client);
	expect_equal(status(0, "suspended"), 1); /* it is still on its way */
	expect(!readable(client.fd));
	expect_equal(drained(eventfd), 0);
	control_ok("resume-delay 0 0");
	expect_equal(client_receive(&client, USER_DEVICE_FEATURE, reply, sizeof(reply)), 0);
	expect_equal(drained(eventfd), 1);
	expect_equal(status(0, "suspended"), 0);
}

static void reset_delay(void)
{
	struct client client = client_open(0);

	control_ok("reset-delay 0 1");
	expect_equal(client_request(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0), 0);
	control_ok("reset-delay 0 3600000");
	reg_write(&client, 0x008, 7);
	client_send(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0);
	expect_equal(status(0, "resets"), 1); /* the second is still on its way */
	expect(!readable(client.fd));
	control_ok("reset-delay 0 0");
	expect_equal(client_receive(&client, USER_DEVICE_RESET, NULL, 0), 0);
	expect_equal(reg_read(&client, 0x008), 0);
	expect_equal(status(0, "resets"), 2);
}

static void resume_never(void)
{
	struct client client = client_open(0);

	control_ok("resume-never 0");
	expect_equal(entry(&client), 0);
	send_exit(&client);
	expect_equal(status(0, "suspended"), 1);
	expect(!readable(client.fd));
	/* Its client gives up; the next one finds the function. */
	client_close(&client);
	control_ok("well 0");
	client = client_open(0);
	expect_equal(reg_read(&client, 0x00c), 2);
}

static void ones(void)
{
	struct client client = client_open(0);

	control_ok("ones 0 on");
	expect_equal(config_read(&client, 0, 4), UINT32_MAX);
	expect_equal(reg_read(&client, 0), UINT32_MAX);
	reg_write(&client, 0x008, 5);
	control_ok("ones 0 off");
	expect_equal(reg_read(&client, 0x008), 0);
	expect(strstr(control("ones 0 perhaps"), "error") == control("ones 0"));
}

static void vanish(void)
{
	struct client client = client_open(0), sibling = client_open(1);
	uint8_t header[16];

	control_ok("vanish 0");
	expect_equal(client_receive_raw(&client, header, sizeof(header), NULL), -1);
	expect_equal(status(0, "connected"), 0);
	expect_equal(reg_read(&sibling, 0), 0x5550474d);
}

static void dead_after_resume(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	for (unsigned int stubborn = 0; stubborn < 2; stubborn++) {
		control_ok("dead-after-resume 0%s", stubborn ? " stubborn" : "");
		expect_equal(reg_read(&client, 0), 0x5550474d);
		expect_equal(entry_with_wakeup(&client, eventfd), 0);
		expect_equal(leave(&client), 0);
		expect_equal(config_read(&client, 0, 4), UINT32_MAX);
		expect_equal(reg_read(&client, 0), UINT32_MAX);
		expect_equal(client_request(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0), 0);
		expect_equal(reg_read(&client, 0), stubborn ? UINT32_MAX : 0x5550474d);
	}
}

static void forgets_header(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	config_write(&client, PCI_BASE_ADDRESS_0, 0xfe000000, 4);
	config_write(&client, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	control_ok("forgets-header 0");
	expect_equal(config_read(&client, PCI_BASE_ADDRESS_0, 4) & ~15U, 0xfe000000);
	for (unsigned int wakes = 0; wakes < 2; wakes++) {
		expect_equal(entry_with_wakeup(&client, eventfd), 0);
		expect_equal(leave(&client), 0);
		/* once: what is written then stays */
		expect_equal(config_read(&client, PCI_COMMAND, 2), wakes ? PCI_COMMAND_MEMORY : 0);
		expect_equal(config_read(&client, PCI_BASE_ADDRESS_0, 4) & ~15U, 0);
		config_write(&client, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	}
}

static void signal_unslept(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();

	expect(!strncmp(control("signal-unslept 0"), "error", 5));
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	control_ok("signal-unslept 0");
	expect_equal(drained(eventfd), 1);
	expect_equal(status(0, "engaged"), 1);
	expect_equal(leave(&client), 0);
	expect_equal(drained(eventfd), 1);
	control_ok("signal-unslept 0");
	expect_equal(drained(eventfd), 1);
}

static void irq_asleep(void)
{
	struct client client = client_open(0);
	int fds[2] = {make_eventfd(), make_eventfd()};

	expect_equal(irqs_set(&client, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_DATA_EVENTFD |
			      VFIO_IRQ_SET_ACTION_TRIGGER, 0, 2, fds, 2), 0);
	expect(!strncmp(control("irq-asleep 0 1"), "error", 5)); /* it is awake */
	expect_equal(entry(&client), 0);
	control_ok("irq-asleep 0 1");
	expect_equal(drained(fds[1]), 1);
	expect_equal(drained(fds[0]), 0);
	expect_equal(status(0, "suspended"), 1);
	expect(!strncmp(control("irq-asleep 0 5"), "error", 5));
}

static void err_and_req(void)
{
	struct client client = client_open(0);
	int fds[2] = {make_eventfd(), make_eventfd()};
	static const struct {
		const char *name;
		uint32_t index;
	} cases[] = {{"err", VFIO_PCI_ERR_IRQ_INDEX}, {"req", VFIO_PCI_REQ_IRQ_INDEX}};

	for (size_t i = 0; i < 2; i++) {
		expect(!strncmp(control("%s 0", cases[i].name), "error", 5));
		expect_equal(irqs_set(&client, cases[i].index, VFIO_IRQ_SET_DATA_EVENTFD |
				      VFIO_IRQ_SET_ACTION_TRIGGER, 0, 1, &fds[i], 1), 0);
		control_ok("%s 0", cases[i].name);
		expect_equal(drained(fds[i]), 1);
		expect_equal(irqs_set(&client, cases[i].index, VFIO_IRQ_SET_DATA_NONE |
				      VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL, 0), 0);
		expect(!strncmp(control("%s 0", cases[i].name), "error", 5));
	}
}

static void garbage(void)
{
	static const struct {
		const char *words;
		bool id, size;
	} cases[] = {
		{"garbage 0", true, true}, {"garbage 0 id", true, false},
		{"garbage 0 size", false, true},
	};
	struct client client = client_open(0);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct user_header header;
		uint8_t bytes[64];

		control_ok("%s", cases[i].words);
		client_send(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0);
		client_receive_raw(&client, bytes, sizeof(bytes), NULL);
		memcpy(&header, bytes, sizeof(header));
		expect_equal(header.id != client.id, cases[i].id);
		expect_equal(header.size != sizeof(header), cases[i].size);
		/* One reply only. */
		expect_equal(client_request(&client, USER_DEVICE_RESET, NULL, 0, NULL, 0), 0);
	}
}

static void random_faults(void)
{
	struct client client = client_open(0);
	int eventfd = make_eventfd();
	unsigned int refused = 0;
	uint64_t signals = 0;

	control_ok("random 42 100");
	for (unsigned int i = 0; i < 200; i++) {
		int error = entry_with_wakeup(&client, eventfd);

		if (error) {
			expect_equal(error, -EIO);
			refused++;
			continue;
		}
		await(eventfd); /* a wake is certain */
		signals += drained(eventfd);
		expect_equal(leave(&client), 0);
		signals += drained(eventfd);
	}
	expect_equal(status(0, "refusals"), refused);
	expect_equal(status(0, "wakes"), 200 - refused);
	expect_equal(status(0, "signals"), signals + drained(eventfd));
	expect(refused > 20 && refused < 100);
	control_ok("random 42 0");
	expect_equal(entry_with_wakeup(&client, eventfd), 0);
	expect_equal(status(0, "engaged"), 1);
}

static void commands_refused(void)
{
	static const char *const lines[] = {
		"", "nonsense", "wake", "wake 1 now", "wake 9 now", "wake 0 soon",
		"wake 0 after", "wake 0 after x", "wake 0 after 1 x", "wake 0 before-answer -1",
		"refuse-entry 0", "refuse-entry 0 EPERM", "resume-delay 0", "resume-delay 0 -1",
		"reset-delay 0",
		"late 0", "late 0 99999999999", "garbage 0 both", "config 0 nothing", "config 0",
		"random", "random 1", "random 1 101", "irq-asleep 0", "dead-after-resume 0 very",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (strncmp(control("%s", lines[i]), "error ", 6))
			check_failed(__FILE__, __LINE__, "\"%s\" was taken", lines[i]);
}

/* --- hostile config space --- */

static uint64_t region_size(struct client *client, uint32_t index)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

	expect_equal(client_request(client, USER_DEVICE_GET_REGION_INFO, &info, sizeof(info),
				    &info, sizeof(info)), 0);
	return info.size;
}

static void config_faults(void)
{
	static const struct {
		const char *fault;
		uint64_t off;
		uint32_t len, value;
	} cases[] = {
		{"cap-loop", 0xb1, 1, 0x40},
		{"ext-cap-loop", 0x150, 4, 0x1001000b},
		{"cap-in-header", PCI_CAPABILITY_LIST, 1, PCI_BASE_ADDRESS_0},
		{"msix-outside", 0xa4, 4, 0x8004},
		{"msix-huge", 0xa2, 2, 2047},
		{"pin-ff", PCI_INTERRUPT_PIN, 1, 0xff},
		{"cap-overlap", 0xa1, 1, 0xa8},
		{"cap-overlap", 0xa8, 1, PCI_CAP_ID_MSI},
		{"bridge", PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE},
		{"ones", 0, 4, UINT32_MAX},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client client = client_open(0);

		control_ok("config 0 %s", cases[i].fault);
		expect_equal(config_read(&client, cases[i].off, cases[i].len), cases[i].value);
		client_close(&client);
		client = client_open(0); /* it is so for every client */
		expect_equal(config_read(&client, cases[i].off, cases[i].len), cases[i].value);
		client_close(&client);
	}
}

static void bar_faults(void)
{
	static const struct {
		const char *fault;
		uint64_t size;
	} cases[] = {
		{"bar-zero", 0}, {"bar-huge", 1ULL << 62}, {"bar-odd", (256 << 20) - 0x1234},
	};
	struct client client = client_open(0);
	uint32_t value;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		control_ok("config 0 %s", cases[i].fault);
		expect_equal(region_size(&client, 2), cases[i].size);
		expect_equal(region_read(&client, 2, 1ULL << 40, &value, 4), -EINVAL);
	}
}

static void config_from_start(void)
{
	struct client client = client_open(1);

	expect_equal(config_read(&client, PCI_INTERRUPT_PIN, 1), 0xff);
	client_close(&client);
	client = client_open(0);
	expect_equal(config_read(&client, PCI_INTERRUPT_PIN, 1), 1);
}

static void script(void)
{
	struct client client = client_open(0);

	expect_equal(entry(&client), -EBUSY);
	expect_equal(entry(&client), 0);
}

const struct test fault_tests[] = {
	{"wake-before-answer", wake_before_answer, {0}},
	{"wake-in-entry", wake_before_late_answer, {0}},
	{"wake-after", wake_after, {0}},
	{"wake-too-late", wake_too_late, {"--functions", "gpu,audio,usbc"}},
	{"refusals", refusals, {0}},
	{"resume-delay", resume_delay, {0}},
	{"reset-delay", reset_delay, {0}},
	{"resume-never", resume_never, {0}},
	{"ones", ones, {0}},
	{"vanish", vanish, {"--functions", "gpu,audio"}},
	{"dead-after-resume", dead_after_resume, {0}},
	{"forgets-header", forgets_header, {0}},
	{"signal-unslept", signal_unslept, {0}},
	{"irq-asleep", irq_asleep, {0}},
	{"err-req", err_and_req, {0}},
	{"garbage", garbage, {0}},
	{"random", random_faults, {0}},
	{"commands-refused", commands_refused, {0}},
	{"config-faults", config_faults, {0}},
	{"bar-faults", bar_faults, {0}},
	{"config-from-start", config_from_start, {"--functions", "gpu,audio", "--config",
						  "1:pin-ff"}},
	{"script", script, {"--script", "guest-tests/model-gpu/check/script"}},
	{0},
};
