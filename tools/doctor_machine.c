/* What the doctor looks at once: the machine, its kernel, the limits of who runs it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"
#include "vmm/base/bits.h"
#include "vmm/base/number.h"

#define MODULES "modprobe -a vfio-pci vfio_iommu_type1"

static void look_kvm(const struct doctor_host *host, const struct doctor_slot *slot,
		     struct doctor_finding *finding)
{
	char path[PATH_MAX], why[256];
	int fd = -ENAMETOOLONG;

	(void)slot;
	if (snprintf(path, sizeof(path), "%s/dev/kvm", host->root) < (int)sizeof(path))
		fd = host->open_kvm(path, why, sizeof(why));
	if (fd >= 0) {
		close(fd);
		doctor_say(finding, DOCTOR_OK, "/dev/kvm has all that minivmm needs");
		return;
	}
	doctor_say(finding, DOCTOR_FAIL, "%s", why);
	if (fd == -ENOENT && doctor_cpu_is(host, "AuthenticAMD"))
		doctor_fix(finding, "modprobe kvm_amd");
	else if (fd == -ENOENT)
		doctor_fix(finding, "modprobe kvm_intel");
	else if (fd == -EACCES)
		doctor_fix(finding, "sudo usermod -aG kvm $USER    # then log in anew");
}

/* --- IOMMU --- */

/* The word of the kernel's command line that switches the IOMMU off, NULL without. */
static const char *iommu_off(const struct doctor_host *host)
{
	static const char *const words[] = {"iommu=off", "intel_iommu=off", "amd_iommu=off"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (doctor_kernel_argument(host, words[i]))
			return words[i];
	return NULL;
}

/* Linux, Documentation/admin-guide/kernel-parameters.txt (6.12), intel_iommu, amd_iommu. */
static void fix_iommu(const struct doctor_host *host, struct doctor_finding *finding)
{
	const char *off = iommu_off(host);

	if (off)
		doctor_fix(finding, "# boot the host's kernel without %s", off);
	if (doctor_cpu_is(host, "AuthenticAMD")) {
		doctor_fix(finding, "# firmware set-up: switch IOMMU (AMD-Vi) on");
		return;
	}
	doctor_fix(finding, "# firmware set-up: switch VT-d on");
	doctor_fix(finding, "# boot the host's kernel with intel_iommu=on");
}

static void look_iommu(const struct doctor_host *host, const struct doctor_slot *slot,
		       struct doctor_finding *finding)
{
	unsigned int groups = doctor_entries(host, "/sys/kernel/iommu_groups");

	(void)slot;
	if (groups) {
		doctor_say(finding, DOCTOR_OK, "on, %u groups", groups);
		return;
	}
	doctor_say(finding, DOCTOR_FAIL, "there are no IOMMU groups: the IOMMU is off");
	fix_iommu(host, finding);
}

/* --- VFIO --- */

static void look_vfio(const struct doctor_host *host, const struct doctor_slot *slot,
		      struct doctor_finding *finding)
{
	static const struct {
		const char *path, *instead, *is_missing;
	} parts[] = {
		{"/sys/bus/pci/drivers/vfio-pci", NULL, "the driver vfio-pci is not loaded"},
		{"/sys/module/vfio_iommu_type1", "/dev/iommu",
		 "the module vfio_iommu_type1 is not loaded"},
		{"/dev/vfio/vfio", "/dev/iommu", "there is no /dev/vfio/vfio"},
	};

	(void)slot;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (doctor_exists(host, parts[i].path) ||
		    (parts[i].instead && doctor_exists(host, parts[i].instead)))
			continue;
		doctor_say(finding, DOCTOR_FAIL, "%s", parts[i].is_missing);
	}
	if (finding->why.len)
		doctor_fix(finding, MODULES);
	else
		doctor_say(finding, DOCTOR_OK, "vfio-pci is loaded");
}

/* vfio-pci hands its parameter on when it is loaded and not again (Linux 6.1, vfio_pci.c,
 * vfio_pci_init() -> vfio_pci_core_set_params()). */
static void look_idle_d3(const struct doctor_host *host, const struct doctor_slot *slot,
			 struct doctor_finding *finding)
{
	char value[8];

	(void)slot;
	if (!doctor_exists(host, "/sys/module/vfio_pci"))
		return;
	if (!doctor_line(host, "/sys/module/vfio_pci/parameters/disable_idle_d3", value,
			 sizeof(value)) ||
	    (strcmp(value, "N") && strcmp(value, "Y"))) {
		doctor_say(finding, DOCTOR_UNKNOWN, "disable_idle_d3 of vfio-pci cannot be read");
		return;
	}
	if (value[0] == 'N') {
		doctor_say(finding, DOCTOR_OK, "vfio-pci lets unused cards sleep");
		return;
	}
	doctor_say(finding, DOCTOR_LIMIT, "vfio-pci is loaded with disable_idle_d3: before and "
		   "after a guest, its cards stay awake");
	doctor_fix(finding, "grep -rn disable_idle_d3 /etc/modprobe.d /proc/cmdline");
	doctor_fix(finding, "# take it out there, then boot, or with no card in use:");
	doctor_fix(finding, "modprobe -r vfio-pci && modprobe vfio-pci");
}

/* --- the kernel --- */

/* "6.12.1-amd64" to 6, 12, 1; parts that are not there are 0. */
static bool read_version(const char *release, unsigned int ret_part[3])
{
	const char *at = number_take(release, 4, &ret_part[0]);

	ret_part[1] = ret_part[2] = 0;
	at = at && *at == '.' ? number_take(at + 1, 4, &ret_part[1]) : NULL;
	if (at && *at == '.')
		number_take(at + 1, 4, &ret_part[2]);
	return at;
}

/* Distributions bring later work to older kernels; then its functions are among the kernel's
 * symbols (drivers/vfio/pci/vfio_pci_core.c). That none is found proves nothing. */
static bool has_symbols(const struct doctor_host *host)
{
	static const char name[] = " vfio_pci_runtime_pm_";
	char path[PATH_MAX], line[256];
	bool found = false;
	FILE *file = NULL;

	if (snprintf(path, sizeof(path), "%s/proc/kallsyms", host->root) < (int)sizeof(path))
		file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, name);
	if (file)
		fclose(file);
	return found;
}

/*
 * A device is not asked (VFIO_DEVICE_FEATURE_PROBE): to open it wakes it, and resets it
 * (Linux 6.1, vfio_pci_core_enable() -> pci_try_reset_function()), which not every card survives.
 */
static void look_kernel(const struct doctor_host *host, const struct doctor_slot *slot,
			struct doctor_finding *finding)
{
	unsigned int part[3];

	(void)slot;
	if (!read_version(host->release, part)) {
		doctor_say(finding, DOCTOR_UNKNOWN, "the kernel's version cannot be read: '%s'",
			   host->release);
	} else if (part[0] > 6 || (part[0] == 6 && part[1] >= 1)) {
		doctor_say(finding, DOCTOR_OK, "Linux %s has VFIO's low power, by its version "
			   "(6.1 and later); no device was asked", host->release);
	} else if (has_symbols(host)) {
		doctor_say(finding, DOCTOR_OK, "Linux %s has VFIO's low power, by its symbols; "
			   "no device was asked", host->release);
	} else {
		doctor_say(finding, DOCTOR_LIMIT, "Linux %s has no low power in VFIO, by its "
			   "version: a guest runs, and its card never sleeps meanwhile",
			   host->release);
		doctor_fix(finding, "# boot Linux 6.1 or later on the host");
	}
}

/* Releases of which somebody told that passing a card does harm. */
static const struct {
	unsigned int part[3];
	const char *says;
} bad_kernels[] = {
	/* zen-kernel/zen-kernel, issue 380 (April 2025): GTX 1080; 6.14.1 and 6.12.22 were good. */
	{{6, 14, 2}, "a card was not reset any more when its guest restarted or ended"},
	{{6, 12, 23}, "a card was not reset any more when its guest restarted or ended"},
	/* CachyOS/linux-cachyos, issue 1023 (September 2026): RX 9070, in sriov_configure(). */
	{{7, 2, 2}, "it oopsed when a card was unbound from vfio-pci"},
};

static void look_bad_kernel(const struct doctor_host *host, const struct doctor_slot *slot,
			    struct doctor_finding *finding)
{
	unsigned int part[3];

	(void)slot;
	if (!read_version(host->release, part))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(bad_kernels); i++) {
		if (memcmp(bad_kernels[i].part, part, sizeof(part)))
			continue;
		doctor_say(finding, DOCTOR_LIMIT, "reported of Linux %u.%u.%u: %s", part[0],
			   part[1], part[2], bad_kernels[i].says);
		doctor_fix(finding, "# boot a later release on the host");
		return;
	}
	doctor_say(finding, DOCTOR_OK, "nothing bad is known of this release");
}

/* Linux, Documentation/admin-guide/kernel-parameters.txt (6.12), pcie_port_pm and pcie_ports. */
static void look_ports(const struct doctor_host *host, const struct doctor_slot *slot,
		       struct doctor_finding *finding)
{
	static const char *const words[] = {"pcie_port_pm=off", "pcie_ports=compat"};

	(void)slot;
	if (!doctor_exists(host, "/proc/cmdline")) {
		doctor_say(finding, DOCTOR_UNKNOWN, "the kernel's command line cannot be read");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!doctor_kernel_argument(host, words[i]))
			continue;
		doctor_say(finding, DOCTOR_LIMIT, "the kernel was booted with %s: no PCIe port "
			   "sleeps, so none cuts the power of a card", words[i]);
		doctor_fix(finding, "# boot the host's kernel without %s", words[i]);
	}
	if (!finding->why.len)
		doctor_say(finding, DOCTOR_OK, "no kernel argument keeps PCIe ports awake");
}

/* --- memory: all of a guest's is pinned, for a device may reach it --- */

#define CAP_IPC_LOCK_BIT 14 /* linux/capability.h; VFIO and iommufd then count nothing */

static bool may_lock_all(const struct doctor_host *host)
{
	char line[32];

	return doctor_keyed_line(host, "/proc/self/status", "CapEff:", line, sizeof(line)) &&
	       strtoull(line, NULL, 16) >> CAP_IPC_LOCK_BIT & 1;
}

/* A number of /proc/self/limits, or "unlimited", which is UINT64_MAX; `*text` moves on. */
static bool take_limit(char **text, uint64_t *ret_limit)
{
	static const char unlimited[] = "unlimited";
	char *end;

	*text += strspn(*text, " ");
	*ret_limit = UINT64_MAX;
	if (!strncmp(*text, unlimited, strlen(unlimited))) {
		*text += strlen(unlimited);
		return true;
	}
	if (!isdigit((unsigned char)**text))
		return false;
	*ret_limit = strtoull(*text, &end, 10);
	*text = end;
	return true;
}

static void say_low_limit(struct doctor_finding *finding, uint64_t soft, uint64_t hard,
			  uint64_t memory)
{
	doctor_say(finding, DOCTOR_FAIL, "the limit is %llu MiB, and all of the guest's %llu MiB "
		   "are locked for DMA", (unsigned long long)(soft / MIB),
		   (unsigned long long)(memory / MIB));
	if (hard >= memory)
		doctor_fix(finding, "ulimit -l %llu", (unsigned long long)(memory / KIB));
	else
		doctor_fix(finding, "sudo prlimit --pid $$ --memlock=unlimited");
}

static void look_memlock(const struct doctor_host *host, const struct doctor_slot *slot,
			 struct doctor_finding *finding)
{
	char line[128], *text = line;
	uint64_t soft, hard;

	(void)slot;
	if (may_lock_all(host))
		doctor_say(finding, DOCTOR_OK, "no limit applies (CAP_IPC_LOCK)");
	else if (!doctor_keyed_line(host, "/proc/self/limits", "Max locked memory", line,
				    sizeof(line)) ||
		 !take_limit(&text, &soft) || !take_limit(&text, &hard))
		doctor_say(finding, DOCTOR_UNKNOWN, "the limit on locked memory cannot be read");
	else if (soft < host->memory)
		say_low_limit(finding, soft, hard, host->memory);
	else if (soft == UINT64_MAX)
		doctor_say(finding, DOCTOR_OK, "no limit on locked memory");
	else
		doctor_say(finding, DOCTOR_OK, "%llu MiB may be locked, the guest has %llu MiB",
			   (unsigned long long)(soft / MIB),
			   (unsigned long long)(host->memory / MIB));
}

static void look_memory(const struct doctor_host *host, const struct doctor_slot *slot,
			struct doctor_finding *finding)
{
	char line[64];
	unsigned long long available;

	(void)slot;
	if (!doctor_keyed_line(host, "/proc/meminfo", "MemAvailable:", line, sizeof(line)) ||
	    !isdigit((unsigned char)line[0]))
		return;
	available = strtoull(line, NULL, 10) / (MIB / KIB);
	if (available >= host->memory / MIB) {
		doctor_say(finding, DOCTOR_OK, "%llu MiB are available, the guest pins %llu MiB",
			   available, (unsigned long long)(host->memory / MIB));
		return;
	}
	doctor_say(finding, DOCTOR_FAIL, "%llu MiB are available, and the guest pins %llu MiB",
		   available, (unsigned long long)(host->memory / MIB));
	doctor_fix(finding, "# end other programs, or give the guest less --memory");
}

/* Guest memory is a memfd. Linux, Documentation/admin-guide/mm/transhuge.rst (6.12), Hugepages in
 * tmpfs/shmem: shmem_enabled is what counts for those; advise is not for us, who give no advice. */
static void look_hugepages(const struct doctor_host *host, const struct doctor_slot *slot,
			   struct doctor_finding *finding)
{
#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
	static const char *const with[] = {"[always]", "[within_size]", "[force]"};
	char line[128];

	(void)slot;
	if (!doctor_line(host, SHMEM_ENABLED, line, sizeof(line)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
		if (!strstr(line, with[i]))
			continue;
		doctor_say(finding, DOCTOR_OK, "guest memory is in huge pages where there "
			   "are some");
		return;
	}
	doctor_say(finding, DOCTOR_OK, "guest memory is in pages of 4 KiB; in huge pages, which "
		   "are optional, a large guest would start faster:");
	doctor_fix(finding, "echo within_size >" SHMEM_ENABLED);
	doctor_fix(finding, "# or, of those that are reserved: --memory %lluM,hugepages=2M",
		   (unsigned long long)(host->memory / MIB));
#undef SHMEM_ENABLED
}

const struct doctor_check doctor_machine_checks[] = {
	{"kvm", look_kvm},
	{"iommu", look_iommu},
	{"vfio", look_vfio},
	{"idle-d3", look_idle_d3},
	{"kernel", look_kernel},
	{"bad-kernel", look_bad_kernel},
	{"ports", look_ports},
	{"memlock", look_memlock},
	{"memory", look_memory},
	{"hugepages", look_hugepages},
	{NULL, NULL},
};
