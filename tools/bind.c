/*
 * minivmm bind, minivmm unbind: what a slot is, what would be done to it, and with --yes doing it.
 */
#include "tools/bind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/pci_class.h"
#include "tools/tools.h"
#include "vmm/base/log.h"

static const char bind_help[] =
	"Usage: minivmm bind BDF [--yes] [--group] [--force]\n"
	"Take every function of a PCI slot from the host's drivers and bind it to vfio-pci.\n"
	"\n"
	"Without --yes nothing is changed: it shows what would be done.\n"
	"\n"
	"  --yes     do it; what was bound before is remembered in " BIND_STATE_DIR "\n"
	"  --group   also the devices beside the slot that keep its IOMMU group from VFIO\n"
	"  --force   also what programs have open\n"
	"\n"
	"Exit status: 0 done or nothing to do, 1 refused or failed, 2 wrong usage.\n";

static const char unbind_help[] =
	"Usage: minivmm unbind BDF [--yes] [--group] [--force]\n"
	"Give every function of a PCI slot back from vfio-pci to the driver it had before.\n"
	"\n"
	"Without --yes nothing is changed: it shows what would be done.\n"
	"\n"
	"  --yes     do it\n"
	"  --group   also what bind --group took beside the slot\n"
	"  --force   also what a VM uses: it is asked to let go, and the kernel waits for it\n"
	"\n"
	"Exit status: 0 done or nothing to do, 1 refused or failed, 2 wrong usage.\n";

struct request {
	const char *bdf;
	bool yes, group, force, help;
};

/* The functions to work on. */
struct work {
	unsigned int count;
	struct bind_function *fn[BIND_FUNCTIONS];
};

static bool parse(int argc, char *argv[], struct request *ret_request)
{
	static const struct {
		const char *name;
		size_t flag;
	} flags[] = {
		{"--yes", offsetof(struct request, yes)},
		{"--group", offsetof(struct request, group)},
		{"--force", offsetof(struct request, force)},
		{"--help", offsetof(struct request, help)},
	};

	*ret_request = (struct request){.bdf = NULL};
	for (int i = 1; i < argc; i++) {
		bool known = false;

		for (size_t k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
			if (strcmp(argv[i], flags[k].name))
				continue;
			*(bool *)((char *)ret_request + flags[k].flag) = known = true;
		}
		if (known)
			continue;
		if (argv[i][0] == '-' || ret_request->bdf) {
			log_err("%s: %s: %s; try minivmm %s --help", argv[0], argv[i],
				argv[i][0] == '-' ? "unknown option" : "one address is enough",
				argv[0]);
			return false;
		}
		ret_request->bdf = argv[i];
	}
	if (ret_request->help || ret_request->bdf)
		return true;
	log_err("%s: which slot? Give the address of a function, as in 01:00.0; try minivmm %s "
		"--help", argv[0], argv[0]);
	return false;
}

static void show(const struct bind_function *fn, const char *what)
{
	printf("  %s  %s [%04x] %04x:%04x, %s%s: %s\n", fn->name, pci_class_name(fn->class),
	       fn->class >> 8, fn->vendor, fn->device, fn->driver[0] ? "driver " : "no driver",
	       fn->driver, what);
	if (fn->warning[0])
		printf("    warning: %s\n", fn->warning);
}

static void show_slot(const struct bind_slot *slot)
{
	const char *before = ", IOMMU group ";

	printf("slot %s", slot->name);
	for (unsigned int i = 0; i < slot->count && slot->fn[i].in_slot; i++) {
		if (slot->fn[i].group < 0 || (i && slot->fn[i].group == slot->fn[i - 1].group))
			continue;
		printf("%s%d", before, slot->fn[i].group);
		before = ", ";
	}
	printf("\n");
}

static bool has_peers(const struct bind_slot *slot)
{
	return slot->count && !slot->fn[slot->count - 1].in_slot;
}

/* `again` is the command line that would do it. */
static int finish(const struct request *request, const char *command, const struct work *work)
{
	if (!work->count || request->yes)
		return TOOL_OK;
	printf("Nothing was changed. To do it: sudo minivmm %s %s%s%s --yes\n", command,
	       request->bdf, request->group ? " --group" : "", request->force ? " --force" : "");
	return TOOL_OK;
}

/* --- bind --- */

static bool is_wanted(const struct bind_function *fn, const struct request *request)
{
	if (!strcmp(fn->driver, BIND_DRIVER))
		return false;
	return fn->in_slot || (request->group && !fn->harmless);
}

static const char *bind_fate(const struct bind_function *fn, const struct request *request)
{
	if (is_wanted(fn, request))
		return fn->danger[0] && !(fn->forceable && request->force) ? "must stay" :
		       fn->driver[0] ? "will be taken from it and bound to vfio-pci" :
				       "will be bound to vfio-pci";
	if (fn->in_slot)
		return "is bound already";
	return fn->harmless ? "stays, and is no obstacle" :
			      "stays, and keeps the group from VFIO";
}

/* Everything that is there, and what becomes of it; what to work on. */
static void plan_bind(struct bind_host *host, struct bind_slot *slot,
		      const struct request *request, struct work *ret_work)
{
	bool beside = false;

	ret_work->count = 0;
	show_slot(slot);
	for (unsigned int i = 0; i < slot->count; i++) {
		struct bind_function *fn = &slot->fn[i];

		if (is_wanted(fn, request)) {
			bind_check(host, fn);
			ret_work->fn[ret_work->count++] = fn;
		}
		if (!fn->in_slot && !beside)
			printf("in the same IOMMU group:\n");
		beside = !fn->in_slot;
		show(fn, bind_fate(fn, request));
	}
	if (slot->beyond)
		printf("  and %u more\n", slot->beyond);
	fflush(stdout);
}

/* Says every reason not to do it. */
static bool is_refused(const struct bind_slot *slot, const struct request *request,
		       const struct work *work)
{
	bool refused = false;

	for (unsigned int i = 0; i < work->count; i++) {
		const struct bind_function *fn = work->fn[i];

		if (!fn->danger[0] || (fn->forceable && request->force))
			continue;
		log_err("%s stays with the host: %s%s", fn->name, fn->danger,
			fn->forceable ? "; --force takes it all the same" : "");
		refused = true;
	}
	for (unsigned int i = 0; i < slot->count && work->count && !request->group; i++) {
		const struct bind_function *fn = &slot->fn[i];

		if (fn->in_slot || fn->harmless)
			continue;
		log_err("%s shares the IOMMU group, and its driver %s keeps the group from VFIO: "
			"--group takes it from the host, too; or put the card where its group is "
			"its own", fn->name, fn->driver);
		refused = true;
	}
	return refused;
}

static int bind_run(struct bind_host *host, const struct request *request)
{
	struct bind_slot slot;
	struct work work;
	char why[BIND_WHY_MAX * 2];

	if (bind_look(host, request->bdf, &slot, why, sizeof(why))) {
		log_err("%s", why);
		return TOOL_FAILED;
	}
	plan_bind(host, &slot, request, &work);
	if (is_refused(&slot, request, &work))
		return TOOL_FAILED;
	if (!work.count)
		printf("all of slot %s is bound to vfio-pci already\n", slot.name);
	if (request->yes && work.count &&
	    bind_take(host, work.fn, work.count, request->force, why, sizeof(why))) {
		log_err("%s", why);
		return TOOL_FAILED;
	}
	return finish(request, "bind", &work);
}

/* --- unbind --- */

/* What a bind that was ended half way, or could not go back, has left: our override, or no driver
 * where there was one. */
static bool is_left_over(const struct bind_function *fn, const struct bind_record *record)
{
	return (bind_record_is_ours(record, fn->override) &&
		strcmp(record->override, fn->override)) ||
	       (!fn->driver[0] && record->driver[0]);
}

static bool may_go_back(const struct bind_host *host, const struct bind_function *fn,
			const struct request *request)
{
	struct bind_record record;
	bool known = bind_record_find(host, fn, &record);

	if (strcmp(fn->driver, BIND_DRIVER) && !(known && is_left_over(fn, &record)))
		return false;
	return fn->in_slot || (request->group && known);
}

static void show_way_back(const struct bind_host *host, const struct bind_function *fn)
{
	struct bind_record record;
	char what[120];

	if (!bind_record_find(host, fn, &record))
		snprintf(what, sizeof(what), "will go to the driver that the kernel finds (nothing "
			 "is remembered of this card)");
	else if (record.driver[0])
		snprintf(what, sizeof(what), "will go back to %s", record.driver);
	else
		snprintf(what, sizeof(what), "will be without a driver, as before");
	show(fn, what);
}

static int unbind_run(struct bind_host *host, const struct request *request)
{
	struct bind_slot slot;
	struct work work = {.count = 0};
	char why[BIND_WHY_MAX * 2];

	if (bind_look(host, request->bdf, &slot, why, sizeof(why))) {
		log_err("%s", why);
		return TOOL_FAILED;
	}
	show_slot(&slot);
	for (unsigned int i = 0; i < slot.count; i++) {
		struct bind_function *fn = &slot.fn[i];

		if (may_go_back(host, fn, request)) {
			work.fn[work.count++] = fn;
			show_way_back(host, fn);
		} else if (fn->in_slot) {
			show(fn, "is not bound to vfio-pci");
		}
	}
	fflush(stdout);
	if (!work.count)
		printf("nothing of slot %s%s is bound to vfio-pci\n", slot.name,
		       request->group && has_peers(&slot) ? " and its group" : "");
	if (request->yes && work.count &&
	    bind_give_back(host, work.fn, work.count, request->force, why, sizeof(why))) {
		log_err("%s", why);
		return TOOL_FAILED;
	}
	return finish(request, "unbind", &work);
}

/* --- the commands --- */

typedef int (*command_fn)(struct bind_host *host, const struct request *request);

/* Two at a time would take what the other does for what was there before. */
static int run_alone(struct bind_host *host, const struct request *request, command_fn command)
{
	int fd = bind_record_lock(host), status;

	if (fd == -EWOULDBLOCK)
		log_err("another minivmm bind or unbind is at work, nothing was changed: try again "
			"when it has ended");
	else if (fd == -EACCES || fd == -EPERM || fd == -EROFS)
		log_err("changing drivers needs root, who can write %s: run it with sudo",
			host->state);
	else if (fd < 0)
		log_err("what was bound cannot be remembered in %s: %s", host->state,
			strerror(-fd));
	if (fd < 0)
		return TOOL_FAILED;
	status = command(host, request);
	close(fd);
	return status;
}

static int run(struct bind_host *host, int argc, char *argv[], const char *help, command_fn command)
{
	struct request request;

	if (!parse(argc, argv, &request))
		return TOOL_USAGE;
	if (request.help)
		return tool_say(help, strlen(help));
	return request.yes ? run_alone(host, &request, command) : command(host, &request);
}

int bind_run_on(struct bind_host *host, int argc, char *argv[])
{
	return run(host, argc, argv, bind_help, bind_run);
}

int unbind_run_on(struct bind_host *host, int argc, char *argv[])
{
	return run(host, argc, argv, unbind_help, unbind_run);
}

static struct bind_host this_host(void)
{
	return (struct bind_host) {
		.ops = &bind_kernel_ops, .sysfs = "/sys", .proc = "/proc",
		.state = BIND_STATE_DIR,
	};
}

int tool_bind(int argc, char *argv[])
{
	struct bind_host host = this_host();

	return bind_run_on(&host, argc, argv);
}

int tool_unbind(int argc, char *argv[])
{
	struct bind_host host = this_host();

	return unbind_run_on(&host, argc, argv);
}
