#include "vmm/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bits.h"
#include "vmm/config.h"
#include "vmm/options_internal.h"
#include "vmm/shutdown.h"

#define MEMORY_DEFAULT (512 * MIB)

static const char help[] =
	"Usage: minivmm [OPTION]... [GUEST]\n"
	"       minivmm COMMAND ...\n"
	"Run a guest under KVM; a GPU passed to it can really be switched off (D3cold).\n"
	"\n"
	"GUEST is recognised by its content. A kernel: a Linux bzImage, a PVH ELF image, or a\n"
	"unified kernel image, which brings its initrd and command line (--append replaces that).\n"
	"A raw disk image or disk, which becomes the first disk: booted by UEFI, or --firmware.\n"
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
	"       rom=FILE             expansion ROM that function 0 has, instead of its own\n"
	"       x-entry-error=NAME   test aid: low power fails with ENOTTY, EINVAL or EIO\n"
	"  --hotplug-ports N         empty ports for cards that come later (see docs/vfio.md);\n"
	"                            0 (default) to 16, slots of --gpu included\n"
	"  --disk FILE[,KEY]...      a raw image or block device as virtio disk; repeatable;\n"
	"                            keys: ro, direct, queues=N, id=SERIAL, io=KIND; see\n"
	"                            docs/virtio.md\n"
	"  --cloud-init DIR          DIR's user-data and so on for cloud-init in the guest, as a\n"
	"                            NoCloud volume; see docs/virtio.md\n"
	"  --net LINK[,KEY]...       a virtio network device; repeatable; LINK: tap=NAME, passt\n"
	"                            or passt=SOCKET; keys: mac=ADDRESS, of tap also queues=N,\n"
	"                            vhost=HOW; see docs/virtio.md\n"
	"  --vhost-user TYPE,PATH[,KEY]...  a virtio device that another process serves at the\n"
	"                            socket PATH; repeatable; TYPE: block, fs; keys: tag=NAME\n"
	"                            (of fs), queues=N; see docs/virtio.md\n"
	"  --console DEVICE          whose the terminal is: serial (default; the guest's ttyS0)\n"
	"                            or virtio (its hvc0); see docs/virtio.md\n"
	"  --vsock CID               sockets (AF_VSOCK) between the guest, whose address is CID,\n"
	"                            3 or more, and programs on the host; see docs/virtio.md\n"
	"  --entropy                 a virtio source of random numbers\n"
	"  --quirks FILE             rules for cards of your own, on top of those built in\n"
	"  --vfio-backend KIND       auto (default), group or iommufd\n"
	"  --kernel FILE             same as GUEST\n"
	"  --initrd FILE             initial RAM disk\n"
	"  --append STRING           kernel command line, e.g. \"console=ttyS0\"\n"
	"  --firmware uefi|bios|FILE[,vars=FILE]\n"
	"                            begin with the distribution's UEFI or BIOS, or another;\n"
	"                            vars: UEFI's variables, made if missing, else GUEST.vars\n"
	"  --memory SIZE[,hugepages=2M|1G][,prefault]\n"
	"                            guest memory: 512M (default), 2G; a plain number is MiB; in\n"
	"                            huge pages of the host's; all there before the guest begins\n"
	"  --cpus N[,halt-poll=US][,pin=LIST]\n"
	"                            number of CPUs, 1 (default) to 64; how long the host at most\n"
	"                            polls for work of one that halts, in microseconds; LIST: the\n"
	"                            host's CPU for each of them, as 2-5 or 0,2,8-11\n"
	"  --events FILE             write one JSON object per line for every power transition\n"
	"                            and machine event; - is standard error\n"
	"  --api PATH                a control socket: HTTP with JSON, and metrics (docs/api.md)\n"
	"  --shutdown-timeout SECONDS  after SIGTERM the guest's power button is pressed, and it\n"
	"                            may take so long to power off; default 30; 0: end at once\n"
	"  --on-panic ACTION         when the guest's kernel panics: ignore (default; there is an\n"
	"                            event), exit with status 1, reboot\n"
	"  --watchdog ACTION         a watchdog (ACPI WDAT), and what follows when the guest lets\n"
	"                            it expire: reboot, exit with status 1; default off: none\n"
	"  --no-reboot               end instead of rebooting when the guest resets\n"
	"  --debug-exit              a guest's write of V to I/O port 0xf4 ends with (V << 1) | 1\n"
	"  --config FILE             the machine as device tree: a .dtb, or a .dts where dtc is\n"
	"                            installed; the other options change it; docs/config.md\n"
	"  --print-config            print the machine as device-tree source, and end\n"
	"  --help, --version         print this text, or the version, and end\n"
	"\n"
	"A config's is taken back with =off (--no-reboot=off), or an empty text (--initrd \"\").\n"
	"\n"
	"Commands:\n"
	"  bind BDF, unbind BDF      take a PCI slot from the host's drivers, give it back\n"
	"  ctl SOCKET status         look at a running VM, and control it; see --api\n"
	"  doctor [BDF]...           can this machine do it, and what to change if not\n"
	"  power-test SLOT           does it always come back from D3cold? tried without a guest\n"
	"  timeline EVENTS -o FILE   draw what --events wrote as a picture (SVG)\n"
	"Each has its own --help.\n"
	"\n"
	"The terminal is the guest's first serial port (ttyS0), see --console. Ctrl-A x ends the\n"
	"guest.\n"
	"Exit status: 0 the guest ended, 1 a failure, 2 wrong usage or config.\n"
	"Devices must be bound to vfio-pci first: minivmm bind.\n";

const char *options_help(void)
{
	return help;
}

/* getopt's number of option_specs[0]; letters, which are no options here, are below it. */
#define SPEC_FIRST 256

/* A text that lives as long as the options do. */
struct options_kept {
	struct options_kept *next;
	char text[];
};

/* After getopt_long() gave `id`. In a cluster of letters `arg` is not the one meant. */
static void refuse_option(const char *arg, int id, struct why why)
{
	const char *problem = id == ':' ? "needs a value" : "unknown option";

	if (id == '?' && optopt && optopt < SPEC_FIRST)
		snprintf(why.text, why.size, "-%c: unknown option; try --help", optopt);
	else
		snprintf(why.text, why.size, "%s: %s; try --help", arg, problem);
}

static void fill_long_options(struct option ret_options[OPTIONS_MAX + 1])
{
	const struct option_spec *spec = option_specs;

	for (; spec->name; spec++)
		*ret_options++ = (struct option){
			.name = spec->name,
			.has_arg = option_is_flag(spec) ? optional_argument : required_argument,
			.val = SPEC_FIRST + (int)(spec - option_specs),
		};
	*ret_options = (struct option){.name = NULL};
}

/* Goes through the command line and sets what is to be looked at first, or the rest. */
static int parse_options(int argc, char *const argv[], bool first, struct options *options,
			 struct why why)
{
	struct option long_options[OPTIONS_MAX + 1];
	int id, error = 0;

	fill_long_options(long_options);
	opterr = 0;
	optind = 0; /* also forgets where the last call stopped, in glibc and in musl */
	/* ':' first: a missing argument is told from an unknown option. */
	while (!error && (id = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (id == ':' || id == '?') {
			refuse_option(argv[optind - 1], id, why);
			return -EINVAL;
		}
		if (option_is_first(&option_specs[id - SPEC_FIRST]) == first)
			error = option_set(&option_specs[id - SPEC_FIRST], options, optarg, why);
	}
	for (; !first && !error && optind < argc; optind++)
		error = options_set_kernel(options, argv[optind], why);
	return error;
}

/* What is set now may be replaced by the command line, once. */
static void inherit(struct options *options)
{
	options->inherited.kernel = options->kernel;
	options->inherited.slots = (1U << options->slots) - 1;
	options->inherited.disks = (1U << options->disks) - 1;
	options->inherited.nets = (1U << options->nets) - 1;
	options->inherited.vhost_users = (1U << options->vhost_users) - 1;
}

static int check_slots(const struct options *options, struct why why)
{
	if (options->slots + options->hotplug_ports <= SLOT_MAX)
		return 0;
	snprintf(why.text, why.size, "--hotplug-ports %u: with %u of --gpu these are more than the "
		 "%u slots that there can be", options->hotplug_ports, options->slots, SLOT_MAX);
	return -EINVAL;
}

int options_parse(int argc, char *const argv[], struct options *ret_options, char *ret_why,
		  size_t why_size)
{
	struct why why = {ret_why, why_size};
	int error;

	*ret_options = (struct options){
		.memory = MEMORY_DEFAULT, .cpus = 1,
		.shutdown_timeout_s = SHUTDOWN_TIMEOUT_DEFAULT_S};
	error = parse_options(argc, argv, true, ret_options, why);
	if (error || ret_options->help || ret_options->version)
		return error;
	if (ret_options->config)
		error = config_read(ret_options->config, ret_options, ret_why, why_size);
	inherit(ret_options);
	if (!error)
		error = parse_options(argc, argv, false, ret_options, why);
	if (!error)
		error = check_slots(ret_options, why);
	if (error || ret_options->print_config || ret_options->kernel ||
	    ret_options->firmware.kind != FIRMWARE_NONE)
		return error;
	snprintf(ret_why, why_size, "no guest: give a kernel or a disk image; try --help");
	return -EINVAL;
}

void options_finish(struct options *options)
{
	while (options->kept) {
		struct options_kept *kept = options->kept;

		options->kept = kept->next;
		free(kept);
	}
}

static const struct option_spec *find(const char *name)
{
	const struct option_spec *spec = option_specs;

	while (strcmp(spec->name, name)) {
		spec++;
		assert(spec->name);
	}
	return spec;
}

const char *options_name(unsigned int index)
{
	assert(index <= OPTIONS_MAX);
	return option_specs[index].name;
}

bool options_is_list(const char *name)
{
	return find(name)->kind == OPTION_LIST;
}

static const char *keep(struct options *options, const char *text)
{
	struct options_kept *kept = malloc(sizeof(*kept) + strlen(text) + 1);

	if (!kept)
		return NULL;
	kept->next = options->kept;
	options->kept = kept;
	return strcpy(kept->text, text);
}

int options_set(struct options *options, const char *name, const char *value, char *ret_why,
		size_t why_size)
{
	const char *kept = value ? keep(options, value) : NULL;

	if (value && !kept) {
		snprintf(ret_why, why_size, "--%s: out of memory", name);
		return -ENOMEM;
	}
	return option_set(find(name), options, kept, (struct why){ret_why, why_size});
}

bool options_get(const struct options *options, const char *name, unsigned int index,
		 struct text *ret_text)
{
	return option_get(find(name), options, index, ret_text);
}
