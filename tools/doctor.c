/* minivmm doctor: its command line, and its exit status. */
#include "tools/doctor.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tools.h"
#include "vfio/quirks.h"
#include "vmm/base/log.h"
#include "vmm/kvm_device.h"
#include "vmm/options.h"

/* Besides 0, 1 and 2, which doctor_status() gives. */
#define STATUS_ERROR 3
#define WHY_SIZE 1024

static const char help[] =
	"Usage: minivmm doctor [OPTION]... [BDF]...\n"
	"Say whether the GPU of a guest could sleep on this machine, and what to change if not.\n"
	"\n"
	"BDF is a PCI slot: 01:00.0 or 0000:01:00.0. Without one, every slot with a display is\n"
	"looked at. Nothing is changed, and no device is woken.\n"
	"\n"
	"  --memory SIZE   of the guest that is to be run, as minivmm's; default 512M\n"
	"  --quirks FILE   rules for cards of your own, as minivmm's\n"
	"  --json          one JSON object instead of the text\n"
	"  --root DIR      test aid: where sys, proc and dev are\n"
	"  --help          print this text and end\n"
	"\n"
	"Exit status: 0 ready, 1 works with limits, 2 cannot, 3 wrong usage or no sysfs.\n"
	"It is the worst of the slots named, and the best of those found.\n"
	"Each finding is ok, unknown (not to be seen from here), limit or fail; see\n"
	"minivmm-doctor(1).\n";

struct arguments {
	bool json, help;
	char *memory;
	const char *quirks;
	struct doctor_host host;
};

static int fail(const char *why)
{
	log_err("doctor: %s", why);
	return STATUS_ERROR;
}

/* Where minivmm itself parses it, so that both take the same, and have the same default. */
static int parse_memory(char *text, uint64_t *ret_memory, char *why, size_t why_size)
{
	char name[] = "minivmm", kernel[] = "guest", memory[] = "--memory";
	char *argv[] = {name, kernel, memory, text, NULL};
	struct options options;
	int error = options_parse(text ? 4 : 2, argv, &options, why, why_size);

	*ret_memory = options.memory;
	options_finish(&options);
	return error;
}

static int parse(int argc, char *argv[], struct arguments *args, char *why, size_t why_size)
{
	static const struct option options[] = {
		{"memory", required_argument, NULL, 'm'}, {"quirks", required_argument, NULL, 'q'},
		{"json", no_argument, NULL, 'j'}, {"root", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	int id;

	opterr = 0;
	optind = 1;
	while ((id = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (id) {
		case 'm': args->memory = optarg; break;
		case 'q': args->quirks = optarg; break;
		case 'r': args->host.root = optarg; break;
		case 'j': args->json = true; break;
		case 'h': args->help = true; break;
		default:
			snprintf(why, why_size, "%s: %s; try --help", argv[optind - 1],
				 id == ':' ? "needs a value" : "no such option");
			return -EINVAL;
		}
	}
	return 0;
}

static int check(int count, char *const bdf[], struct arguments *args, char *why, size_t why_size)
{
	struct doctor_host *host = &args->host;
	int error = 0;

	if (snprintf(host->sysfs, sizeof(host->sysfs), "%s/sys", host->root) >=
	    (int)sizeof(host->sysfs) / 2) {
		snprintf(why, why_size, "--root: the name is too long");
		return -ENAMETOOLONG;
	}
	for (int i = 0; i < count && !error; i++) {
		if (host_parse_bdf(bdf[i], (char[16]){0}))
			continue;
		snprintf(why, why_size, "'%.32s' is not a PCI address: write BUS:DEVICE.FUNCTION "
			 "in hexadecimal, as in 01:00.0 or 0000:01:00.0", bdf[i]);
		error = -EINVAL;
	}
	return error ? error : parse_memory(args->memory, &host->memory, why, why_size);
}

static int say(const struct doctor_report *report, bool json)
{
	struct text out = {0};
	int status = STATUS_ERROR;

	if (json)
		doctor_print_json(report, &out);
	else
		doctor_print_text(report, &out);
	if (out.failed)
		fail("out of memory");
	else if (tool_say(out.bytes, out.len) == TOOL_OK)
		status = doctor_status(report);
	text_finish(&out);
	return status;
}

static int examine(struct arguments *args, int count, char *const bdf[])
{
	struct doctor_report report;
	struct quirks *quirks = NULL;
	char why[WHY_SIZE];
	int status;

	if (check(count, bdf, args, why, sizeof(why)) ||
	    quirks_create(args->quirks, &quirks, why, sizeof(why)))
		return fail(why);
	args->host.quirks = quirks;
	doctor_line(&args->host, "/proc/sys/kernel/osrelease", args->host.release,
		    sizeof(args->host.release));
	if (doctor_examine(&args->host, (unsigned int)count, bdf, &report, why, sizeof(why))) {
		status = fail(why);
	} else {
		status = say(&report, args->json);
		doctor_finish(&report);
	}
	quirks_destroy(quirks);
	return status;
}

int tool_doctor(int argc, char *argv[])
{
	struct arguments args = {.host = {.root = "", .open_kvm = kvm_device_open}};
	char why[WHY_SIZE];

	if (parse(argc, argv, &args, why, sizeof(why)))
		return fail(why);
	if (args.help)
		return tool_say(help, strlen(help)) == TOOL_OK ? 0 : STATUS_ERROR;
	return examine(&args, argc - optind, argv + optind);
}
