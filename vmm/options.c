#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"

#define MEMORY_DEFAULT (512 * MIB)
#define MEMORY_ALIGN (2 * MIB)
#define MEMORY_MAX (8ULL << 40) /* what KVM takes as one piece */

static const char help[] =
	"Usage: minivmm [OPTION]... [GUEST]\n"
	"Run a Linux guest under KVM; a GPU passed to it can really be switched off (D3cold).\n"
	"\n"
	"GUEST is a kernel: a Linux bzImage or a PVH ELF image, recognised by its content.\n"
	"\n"
	"  --gpu SLOT[,KEY=VALUE]... pass a PCI slot, all its functions, behind a root port of\n"
	"                            its own; SLOT: 01:00.0, 0000:01:00.0 or vfio-user:PATH;\n"
	"                            repeatable; the keys are explained in docs/policy.md\n"
	"       power=LEVEL          how deep it may sleep: auto (default), d3cold, d3hot, off\n"
	"       reentry=WHO          lets it sleep again once woken: auto (default), guest, host\n"
	"       reset=HOW            auto (default), flr (each function), bus (the slot), none\n"
	"       min-sleep=SECONDS    three shorter sleeps in a row make it pause; default 0: off\n"
	"       max-wakes-per-hour=N more wakes make it pause; default 120; 0: off\n"
	"       resume-timeout=SECONDS  of a vfio-user server, then it is lost; default 120\n"
	"       x-entry-error=NAME   test aid: low power fails with ENOTTY, EINVAL or EIO\n"
	"  --quirks FILE             rules for cards of your own, on top of those built in\n"
	"  --vfio-backend KIND       auto (default), group or iommufd\n"
	"  --kernel FILE             same as GUEST\n"
	"  --initrd FILE             initial RAM disk\n"
	"  --append STRING           kernel command line, e.g. \"console=ttyS0\"\n"
	"  --memory SIZE             guest memory: 512M (default), 2G; a plain number is MiB\n"
	"  --cpus N                  number of CPUs, 1 (default) to 64\n"
	"  --events FILE             write one JSON object per line for every power transition\n"
	"                            and machine event; - is standard error\n"
	"  --no-reboot               end instead of rebooting when the guest resets\n"
	"  --debug-exit              a guest's write of V to I/O port 0xf4 ends with (V << 1) | 1\n"
	"  --help, --version         print this text, or the version, and end\n"
	"\n"
	"The terminal is the guest's first serial port (ttyS0). Ctrl-A x ends the guest.\n"
	"Exit status: 0 the guest powered off, 1 a failure, 2 wrong usage.\n"
	"Devices must be bound to vfio-pci first; see README.md.\n";

struct why {
	char *text;
	size_t size;
};

const char *options_help(void)
{
	return help;
}

/* Digits, then one of K, M, G, T or nothing (MiB). False on anything else, or overflow. */
static bool parse_size(const char *text, uint64_t *ret_size)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned int shift = 20;
	unsigned long long number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (number > MEMORY_MAX >> shift)
		return false;
	*ret_size = (uint64_t)number << shift;
	return true;
}

static int set_memory(struct options *options, const char *text, struct why why)
{
	if (parse_size(text, &options->memory) && options->memory >= RAM_MIN_SIZE &&
	    options->memory % MEMORY_ALIGN == 0)
		return 0;
	snprintf(why.text, why.size,
		 "--memory %s: not a size from 16M to 8T in steps of 2M; for example 512M or 4G",
		 text);
	return -EINVAL;
}

static int set_cpus(struct options *options, const char *text, struct why why)
{
	char *end;
	unsigned long cpus = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && cpus >= 1 && cpus <= VCPU_MAX) {
		options->cpus = (unsigned int)cpus;
		return 0;
	}
	snprintf(why.text, why.size, "--cpus %s: not a number from 1 to %u", text, VCPU_MAX);
	return -EINVAL;
}

static int set_vfio_backend(struct options *options, const char *text, struct why why)
{
	static const char *const kinds[] = {
		[VFIO_BACKEND_AUTO] = "auto",
		[VFIO_BACKEND_GROUP] = "group",
		[VFIO_BACKEND_IOMMUFD] = "iommufd",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i], text))
			continue;
		options->vfio_backend = (enum vfio_backend_kind)i;
		return 0;
	}
	snprintf(why.text, why.size, "--vfio-backend %s: not auto, group or iommufd", text);
	return -EINVAL;
}

/* All functions of a slot go together, so two of them would be the same slot twice; and VFIO lets a
 * program open its device as often as it likes. A server has one client. */
static bool is_same_slot(const struct vfio_slot_config *a, const struct vfio_slot_config *b)
{
	size_t len = strcspn(a->bdf, ".");

	if (a->socket[0] || b->socket[0])
		return !strcmp(a->socket, b->socket);
	return strcspn(b->bdf, ".") == len && !memcmp(a->bdf, b->bdf, len);
}

static int add_slot(struct options *options, const char *text, struct why why)
{
	struct vfio_slot_config *slot;
	int error;

	if (options->slots == SLOT_MAX) {
		snprintf(why.text, why.size, "--gpu %s: no more than %u slots can be passed", text,
			 SLOT_MAX);
		return -EINVAL;
	}
	slot = &options->slot[options->slots];
	error = vfio_slot_parse(text, slot, why.text, why.size);
	for (unsigned int i = 0; i < options->slots && !error; i++) {
		if (!is_same_slot(&options->slot[i], slot))
			continue;
		snprintf(why.text, why.size, "--gpu %s: this slot is passed already; one --gpu "
			 "passes all its functions", text);
		error = -EINVAL;
	}
	options->slots += !error;
	return error;
}

static int set_kernel(struct options *options, const char *path, struct why why)
{
	if (!options->kernel) {
		options->kernel = path;
		return 0;
	}
	snprintf(why.text, why.size, "two guests: '%s' and '%s'; give one, as --kernel or alone",
		 options->kernel, path);
	return -EINVAL;
}

static int set_initrd(struct options *options, const char *value, struct why why)
{
	(void)why;
	options->initrd = value;
	return 0;
}

static int set_append(struct options *options, const char *value, struct why why)
{
	(void)why;
	options->append = value;
	return 0;
}

static int set_events(struct options *options, const char *value, struct why why)
{
	(void)why;
	options->events = value;
	return 0;
}

static int set_quirks(struct options *options, const char *value, struct why why)
{
	(void)why;
	options->quirks = value;
	return 0;
}

/* Every option, once: a flag of struct options, or a setter that takes the value. */
static const struct spec {
	const char *name;
	int (*set)(struct options *options, const char *value, struct why why);
	size_t flag; /* offset of a bool, where there is no setter */
} specs[] = {
	{"gpu", add_slot, 0},
	{"kernel", set_kernel, 0},
	{"initrd", set_initrd, 0},
	{"append", set_append, 0},
	{"memory", set_memory, 0},
	{"cpus", set_cpus, 0},
	{"events", set_events, 0},
	{"quirks", set_quirks, 0},
	{"vfio-backend", set_vfio_backend, 0},
	{"no-reboot", NULL, offsetof(struct options, no_reboot)},
	{"debug-exit", NULL, offsetof(struct options, debug_exit)},
	{"help", NULL, offsetof(struct options, help)},
	{"version", NULL, offsetof(struct options, version)},
};

/* getopt's number of specs[0]; letters, which are no options here, are below it. */
#define SPEC_FIRST 256

static int set_option(struct options *options, const struct spec *spec, const char *value,
		      struct why why)
{
	if (spec->set)
		return spec->set(options, value, why);
	*((bool *)((char *)options + spec->flag)) = true;
	return 0;
}

/* After getopt_long() gave `id`. In a cluster of letters `arg` is not the one meant. */
static void refuse_option(const char *arg, int id, struct why why)
{
	const char *problem = id == ':' ? "needs a value"
			    : optopt    ? "takes no value"
					: "unknown option";

	if (id == '?' && optopt && optopt < SPEC_FIRST)
		snprintf(why.text, why.size, "-%c: unknown option; try --help", optopt);
	else
		snprintf(why.text, why.size, "%s: %s; try --help", arg, problem);
}

static void fill_long_options(struct option ret_options[ARRAY_SIZE(specs) + 1])
{
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		ret_options[i] = (struct option){
			.name = specs[i].name,
			.has_arg = specs[i].set ? required_argument : no_argument,
			.val = SPEC_FIRST + (int)i,
		};
	ret_options[ARRAY_SIZE(specs)] = (struct option){.name = NULL};
}

static int parse_options(int argc, char *const argv[], struct options *options, struct why why)
{
	struct option long_options[ARRAY_SIZE(specs) + 1];
	int id;

	fill_long_options(long_options);
	opterr = 0;
	optind = 1;
	/* ':' first: a missing argument is told from an unknown option. */
	while ((id = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (id == ':' || id == '?') {
			refuse_option(argv[optind - 1], id, why);
			return -EINVAL;
		}
		if (set_option(options, &specs[id - SPEC_FIRST], optarg, why))
			return -EINVAL;
	}
	for (; optind < argc; optind++)
		if (set_kernel(options, argv[optind], why))
			return -EINVAL;
	return 0;
}

int options_parse(int argc, char *const argv[], struct options *ret_options, char *ret_why,
		  size_t why_size)
{
	struct why why = {ret_why, why_size};

	*ret_options = (struct options){.memory = MEMORY_DEFAULT, .cpus = 1};
	if (parse_options(argc, argv, ret_options, why))
		return -EINVAL;
	if (ret_options->help || ret_options->version || ret_options->kernel)
		return 0;
	snprintf(ret_why, why_size, "no guest: give a kernel image (a bzImage or a PVH ELF); "
				    "try --help");
	return -EINVAL;
}
