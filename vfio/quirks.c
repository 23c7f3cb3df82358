#include "vfio/quirks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfio/quirks_internal.h"
#include "vmm/base/bits.h"

struct quirks {
	struct quirk_rules file;
};

#define NVIDIA .vendor = 0x10de
#define AMD .vendor = 0x1002
#define DEVICE(id) .device = (id), .device_last = (id)
#define DEVICES(first, last) .device = (first), .device_last = (last)
#define ANY_DEVICE DEVICES(0, 0xffff)
/* The two or four hexadecimal digits of the class. */
#define CLASS8(code) .class = (code) << 16, .class_mask = 0xff0000
#define CLASS16(code) .class = (code) << 8, .class_mask = 0xffff00
#define POWER(word_) .word[POLICY_KEY_POWER] = POLICY_POWER_##word_
#define REENTRY(word_) .word[POLICY_KEY_REENTRY] = POWER_REENTRY_##word_
#define RESET(word_) .word[POLICY_KEY_RESET] = POLICY_RESET_##word_

#define NEEDS_DRIVER "NVIDIA's display function needs its guest driver before each sleep"
#define AMD_RESET \
	"a bus reset breaks this card; with the module vendor-reset its function reset works"
#define FLR_HANGS "a function reset leaves this card without an answer"

/*
 * Each rule has its source above it. A later rule overrides an earlier one, key by key: what a card
 * is comes before where it is.
 */
static const struct quirk_rule built_in[] = {
	/*
	 * Linux, commit message of the low-power features in include/uapi/linux/vfio.h (A. Sahu,
	 * kvm list, July 2022), which names NVIDIA's VGA and 3D controllers: their memory keeps
	 * its contents only when the driver has prepared each sleep.
	 */
	{NVIDIA, ANY_DEVICE, CLASS16(0x0300), REENTRY(GUEST), .reason = NEEDS_DRIVER},
	{NVIDIA, ANY_DEVICE, CLASS16(0x0302), REENTRY(GUEST), .reason = NEEDS_DRIVER},

	/*
	 * euno.news, "GPU D3cold Power States: How to Brick Your Card Without Trying" (April 2026):
	 * the P40, and the like T4, stay in D3cold until the host reboots; cure: d3cold_allowed=0.
	 * That the T4 has neither FLR nor PM reset and bus reset works: Linux, revert of
	 * d5af729dc207 "PCI: Mark NVIDIA T4 GPUs to avoid bus reset" (6.6).
	 */
	{NVIDIA, DEVICE(0x1b38), POWER(D3HOT), RESET(BUS),
	 .reason = "Tesla P40: did not come back from D3cold; it has no FLR"},
	{NVIDIA, DEVICE(0x1eb8), POWER(D3HOT), RESET(BUS),
	 .reason = "Tesla T4: did not come back from D3cold; it has neither FLR nor PM reset"},

	/* docs.herro.me, incident of 2026-05-27: gone until a cold start of the host. */
	{NVIDIA, DEVICE(0x1e07), POWER(D3HOT),
	 .reason = "GeForce RTX 2080 Ti: did not come back from D3cold"},
	/* NVIDIA/open-gpu-kernel-modules, issue 1071, comment of 2026-06-11 (driver 610.43). */
	{NVIDIA, DEVICE(0x1e89), POWER(D3HOT),
	 .reason = "GeForce RTX 2060 (TU104): did not come back from D3cold"},

	/*
	 * guiahardware.es, "RTX 5090 y RTX 6000 PRO: el bug de reset en virtualizacion"; that a bus
	 * reset is what the card needs then: NVIDIA/open-gpu-kernel-modules, issue 1080. Numbers:
	 * Proxmox forum, thread 178461; akash-network/provider-configs, issue 79.
	 */
	{NVIDIA, DEVICE(0x2b85), RESET(BUS), .reason = "GeForce RTX 5090: " FLR_HANGS},
	{NVIDIA, DEVICE(0x2bb1), RESET(BUS), .reason = "RTX PRO 6000: " FLR_HANGS},
	{NVIDIA, DEVICES(0x2bb4, 0x2bb5), RESET(BUS), .reason = "RTX PRO 6000: " FLR_HANGS},

	/*
	 * gnif/vendor-reset: the families of src/device-db.h, each from its first to its last
	 * number; src/amd/common.c takes bus reset from all of them.
	 */
	{AMD, DEVICES(0x67c0, 0x67df), RESET(FLR), .reason = "Polaris 10: " AMD_RESET},
	{AMD, DEVICE(0x6fdf), RESET(FLR), .reason = "Polaris 10: " AMD_RESET},
	{AMD, DEVICES(0x67e0, 0x67ff), RESET(FLR), .reason = "Polaris 11: " AMD_RESET},
	{AMD, DEVICES(0x6980, 0x699f), RESET(FLR), .reason = "Polaris 12: " AMD_RESET},
	{AMD, DEVICES(0x6860, 0x687f), RESET(FLR), .reason = "Vega 10: " AMD_RESET},
	{AMD, DEVICES(0x66a0, 0x66af), RESET(FLR), .reason = "Vega 20: " AMD_RESET},
	{AMD, DEVICE(0x738c), RESET(FLR), .reason = "Instinct MI100: " AMD_RESET},
	{AMD, DEVICES(0x7310, 0x731f), RESET(FLR), .reason = "Navi 10: " AMD_RESET},
	{AMD, DEVICES(0x7340, 0x734f), RESET(FLR), .reason = "Navi 14: " AMD_RESET},
	{AMD, DEVICES(0x7360, 0x7362), RESET(FLR), .reason = "Navi 12: " AMD_RESET},

	/*
	 * mroboff/vm-curator, issue 60 and pull request 63: "stuck in D3" until disable_idle_d3=1
	 * kept it in D0. Number: ValveSoftware/SteamOS, issue 2503.
	 */
	{AMD, DEVICE(0x7550), POWER(OFF), .reason = "Radeon RX 9070: got stuck in D3"},

	/*
	 * Linux 6.12, amdgpu_device.c, amdgpu_device_detect_runtime_pm_mode(): none for a card
	 * behind Thunderbolt or a removable one. NVIDIA/open-gpu-kernel-modules, pull request
	 * 1228: an RTX 5090 in an enclosure fell off the bus.
	 */
	{ANY_DEVICE, CLASS8(0x03), .external = true, POWER(OFF),
	 .reason = "a card in an enclosure of its own cannot be switched off and on by its slot"},
};

int quirks_create(const char *path, struct quirks **ret_quirks, char *ret_why, size_t why_size)
{
	struct quirks *quirks = calloc(1, sizeof(*quirks));
	int error = 0;

	if (!quirks) {
		snprintf(ret_why, why_size, "--quirks: out of memory");
		return -ENOMEM;
	}
	if (path)
		error = quirks_file_read(path, &quirks->file, ret_why, why_size);
	if (error)
		quirks_destroy(quirks);
	else
		*ret_quirks = quirks;
	return error;
}

void quirks_destroy(struct quirks *quirks)
{
	if (!quirks)
		return;
	free(quirks->file.rule);
	free(quirks->file.text);
	free(quirks);
}

static bool matches(const struct quirk_rule *rule, const struct policy_facts *facts)
{
	return (!rule->vendor || rule->vendor == facts->vendor) &&
	       facts->device >= rule->device && facts->device <= rule->device_last &&
	       (facts->class & rule->class_mask) == rule->class &&
	       (!rule->external || facts->is_external);
}

/* Takes note of the keys of which `rule` says something, when it matches. */
static void consider(const struct quirk_rule *rule, const struct policy_facts *facts,
		     const struct quirk_rule *last[POLICY_KEYS])
{
	if (!matches(rule, facts))
		return;
	for (unsigned int key = 0; key < POLICY_KEYS; key++)
		if (rule->word[key])
			last[key] = rule;
}

/* The enumerator that `rule`, the last word on `key`, says; 0 for auto. */
static unsigned int word_of(const struct quirk_rule *rule, enum policy_key key,
			    const char **ret_reason)
{
	bool says = rule && rule->word[key] != QUIRK_TAKEN_BACK;

	*ret_reason = says ? rule->reason : NULL;
	return says ? (unsigned int)rule->word[key] : 0;
}

void quirks_match(const struct quirks *quirks, const struct policy_facts *facts,
		  struct quirk_verdict *ret_verdict)
{
	const struct quirk_rule *last[POLICY_KEYS] = {NULL};
	struct quirk_verdict verdict;

	for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
		consider(&built_in[i], facts, last);
	for (unsigned int i = 0; quirks && i < quirks->file.count; i++)
		consider(&quirks->file.rule[i], facts, last);
	verdict.power = word_of(last[POLICY_KEY_POWER], POLICY_KEY_POWER, &verdict.power_reason);
	verdict.reentry = word_of(last[POLICY_KEY_REENTRY], POLICY_KEY_REENTRY,
				  &verdict.reentry_reason);
	verdict.reset = word_of(last[POLICY_KEY_RESET], POLICY_KEY_RESET, &verdict.reset_reason);
	*ret_verdict = verdict;
}
