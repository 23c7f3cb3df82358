/* What the host's files do not show, and what is good to know of it. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tools/doctor.h"
#include "vfio/verdict.h"
#include "vmm/base/bits.h"

#define VENDOR_NVIDIA 0x10de
#define VENDOR_AMD 0x1002
#define VENDOR_INTEL 0x8086

/*
 * What a guest's driver needs before it lets the card sleep: NVIDIA, README of the Linux driver,
 * PCI-Express Runtime D3 (RTD3) Power Management; Linux 6.12, amdgpu_device.c,
 * amdgpu_device_detect_runtime_pm_mode(), and xe_device_sysfs.c, vram_d3cold_threshold.
 */
static const struct {
	uint16_t vendor;
	const char *why, *fix[2];
} guests[] = {
	{VENDOR_NVIDIA, "NVIDIA's driver sleeps only when told to, in /etc/modprobe.d/nvidia.conf, "
	 "and with it the card's audio",
	 {"# in the guest: options nvidia NVreg_DynamicPowerManagement=0x02",
	  "# in the guest: echo auto | tee /sys/bus/pci/devices/*/power/control"}},
	{VENDOR_AMD, "amdgpu sleeps by itself; with a monitor on the card, only where told to, in "
	 "/etc/modprobe.d/amdgpu.conf",
	 {"# in the guest: options amdgpu runpm=-2", NULL}},
	{VENDOR_INTEL, "xe sleeps by itself, in D3cold while less memory of the card is in use "
	 "than its sysfs file vram_d3cold_threshold says (300 MB)", {NULL}},
};

static void look_guest(const struct doctor_host *host, const struct doctor_slot *slot,
		       struct doctor_finding *finding)
{
	const char *name = doctor_main_function(host, slot);
	uint64_t vendor = doctor_number(host, name, "vendor");

	if (!doctor_is_display(host, name))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		if (guests[i].vendor != vendor)
			continue;
		doctor_say(finding, DOCTOR_UNKNOWN, "%s", guests[i].why);
		for (size_t j = 0; j < ARRAY_SIZE(guests[i].fix) && guests[i].fix[j]; j++)
			doctor_fix(finding, "%s", guests[i].fix[j]);
	}
}

/* --- whether it was tried: a verdict is of this card under this kernel --- */

static void say_verdict(const struct verdict *verdict, struct doctor_finding *finding)
{
	if (!verdict->passed)
		doctor_say(finding, DOCTOR_LIMIT, "failed on %.10s: %s; power=auto does not use "
			   "D3cold", verdict->date, verdict->reason);
	else if (strcmp(verdict->state, "D3cold"))
		doctor_say(finding, DOCTOR_LIMIT, "passed %u cycles on %.10s, but the host reached "
			   "%s only", verdict->cycles, verdict->date, verdict->state);
	else
		doctor_say(finding, DOCTOR_OK, "passed %u cycles on %.10s: it came back from "
			   "D3cold", verdict->cycles, verdict->date);
}

static void look_power_test(const struct doctor_host *host, const struct doctor_slot *slot,
			    struct doctor_finding *finding)
{
	struct verdict_lookup found = {.use = VERDICT_NONE};
	struct verdict_subject subject;
	char dir[PATH_MAX];

	if (!verdict_identify(host->sysfs, slot->host.name, &subject))
		return;
	snprintf(subject.kernel, sizeof(subject.kernel), "%s", host->release);
	if (snprintf(dir, sizeof(dir), "%s%s", host->root,
		     host->root[0] ? VERDICT_DIR : verdict_dir()) < (int)sizeof(dir))
		verdict_read(dir, &subject, &found);
	if (found.use == VERDICT_CURRENT) {
		say_verdict(&found.verdict, finding);
		return;
	}
	if (found.use == VERDICT_NONE)
		doctor_say(finding, DOCTOR_UNKNOWN, "never run: whether it comes back from D3cold "
			   "is not known");
	else
		doctor_say(finding, DOCTOR_UNKNOWN, "%s: it is not used", found.why);
	doctor_fix(finding, "minivmm power-test %s", slot->host.fn[0].name);
}

const struct doctor_check doctor_advice_checks[] = {
	{"power-test", look_power_test},
	{"guest", look_guest},
	{NULL, NULL},
};
