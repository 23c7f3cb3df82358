/* Carries out the checks, and what their findings amount to. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/doctor.h"
#include "vmm/base/bits.h"

/* What a file holds may be anything, and ends on a terminal. */
static void add_printable(struct text *text, const char *fmt, va_list ap)
{
	char piece[1024];

	vsnprintf(piece, sizeof(piece), fmt, ap);
	text_make_printable(piece);
	text_add(text, "%s", piece);
}

void doctor_say(struct doctor_finding *finding, enum doctor_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	if (verdict > finding->verdict)
		finding->verdict = verdict;
	if (finding->why.len)
		text_add(&finding->why, "; ");
	va_start(ap, fmt);
	add_printable(&finding->why, fmt, ap);
	va_end(ap);
}

void doctor_fix(struct doctor_finding *finding, const char *fmt, ...)
{
	va_list ap;

	if (finding->fix.len)
		text_add(&finding->fix, "\n");
	va_start(ap, fmt);
	add_printable(&finding->fix, fmt, ap);
	va_end(ap);
}

static void finish_finding(struct doctor_finding *finding)
{
	text_finish(&finding->why);
	text_finish(&finding->fix);
}

/* Carries out one check; false: memory did not suffice. */
static bool look(const struct doctor_check *check, const struct doctor_host *host,
		 const struct doctor_slot *slot, struct doctor_findings *findings)
{
	struct doctor_finding finding = {.id = check->id};

	check->look(host, slot, &finding);
	if (finding.why.failed || finding.fix.failed || findings->count == DOCTOR_FINDINGS_MAX) {
		finish_finding(&finding);
		return false;
	}
	if (finding.why.len)
		findings->list[findings->count++] = finding;
	else
		finish_finding(&finding);
	return true;
}

static bool look_all(const struct doctor_check *checks, const struct doctor_host *host,
		     const struct doctor_slot *slot, struct doctor_findings *findings)
{
	for (; checks->id; checks++)
		if (!look(checks, host, slot, findings))
			return false;
	return true;
}

enum doctor_verdict doctor_worst(const struct doctor_findings *findings)
{
	enum doctor_verdict worst = DOCTOR_OK;

	for (unsigned int i = 0; i < findings->count; i++)
		if (findings->list[i].verdict > worst)
			worst = findings->list[i].verdict;
	return worst;
}

void doctor_list(const struct doctor_findings *findings, enum doctor_verdict verdict,
		 struct text *ret_ids)
{
	for (unsigned int i = 0; i < findings->count; i++)
		if (findings->list[i].verdict == verdict)
			text_add(ret_ids, "%s%s", ret_ids->len ? ", " : "", findings->list[i].id);
}

enum doctor_verdict doctor_slot_verdict(const struct doctor_report *report,
					const struct doctor_slot *slot)
{
	enum doctor_verdict machine = doctor_worst(&report->machine);
	enum doctor_verdict own = doctor_worst(&slot->findings);

	return machine > own ? machine : own;
}

void doctor_summary(const struct doctor_report *report, const struct doctor_slot *slot,
		    struct text *ret_summary)
{
	static const char *const says[] = {
		[DOCTOR_OK] = "ready: D3cold should work",
		[DOCTOR_UNKNOWN] = "ready: D3cold should work; not known from here: ",
		[DOCTOR_LIMIT] = "works, with limits: ",
		[DOCTOR_FAIL] = "cannot: ",
	};
	enum doctor_verdict verdict = doctor_slot_verdict(report, slot);
	struct text ids = {0};

	if (verdict != DOCTOR_OK) {
		doctor_list(&report->machine, verdict, &ids);
		doctor_list(&slot->findings, verdict, &ids);
	}
	text_add(ret_summary, "%s: %s%s", slot->bdf, says[verdict], ids.len ? ids.bytes : "");
	ret_summary->failed |= ids.failed;
	text_finish(&ids);
}

static int status_of(enum doctor_verdict verdict)
{
	return verdict == DOCTOR_FAIL ? 2 : verdict == DOCTOR_LIMIT ? 1 : 0;
}

int doctor_status(const struct doctor_report *report)
{
	int status = 2;

	if (report->asked || !report->slots)
		status = status_of(doctor_worst(&report->machine));
	for (unsigned int i = 0; i < report->slots; i++) {
		int own = status_of(doctor_slot_verdict(report, &report->slot[i]));

		if (report->asked ? own > status : own < status)
			status = own;
	}
	return status;
}

static bool has_slot(const struct doctor_report *report, const char *bdf)
{
	for (unsigned int i = 0; i < report->slots; i++)
		if (!strncmp(report->slot[i].bdf, bdf, strcspn(bdf, ".")))
			return true;
	return false;
}

static void read_functions(const struct doctor_host *host, struct doctor_slot *slot)
{
	char name[16];

	snprintf(slot->host.name, sizeof(slot->host.name), "%.10s", slot->bdf);
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		snprintf(name, sizeof(name), "%.10s.%u", slot->bdf, i);
		host_function_read(host->sysfs, name, &slot->host.fn[i]);
	}
}

/* All functions of a slot go together: it is looked at once. False: no memory. */
static bool add_slot(struct doctor_report *report, const char *bdf)
{
	struct doctor_slot *slot;
	char full[16];

	if (!host_parse_bdf(bdf, full) || has_slot(report, full))
		return true;
	slot = realloc(report->slot, (report->slots + 1) * sizeof(*slot));
	if (!slot)
		return false;
	report->slot = slot;
	slot += report->slots++;
	*slot = (struct doctor_slot){0};
	memcpy(slot->bdf, full, sizeof(slot->bdf));
	read_functions(report->host, slot);
	slot->bridges = doctor_find_bridges(report->host, full, slot->bridge);
	return true;
}

/* Every slot with a display: VGA, 3D and other controllers of the class. */
static bool add_displays(struct doctor_report *report, struct dirent *const *entry, int count)
{
	bool enough = true;

	for (int i = 0; i < count && enough; i++) {
		if (doctor_is_display(report->host, entry[i]->d_name))
			enough = add_slot(report, entry[i]->d_name);
	}
	return enough;
}

static bool look_at_slot(const struct doctor_host *host, struct doctor_slot *slot)
{
	static const struct doctor_check device = {"device", doctor_look_device};

	if (!look(&device, host, slot, &slot->findings))
		return false;
	return doctor_worst(&slot->findings) == DOCTOR_FAIL ||
	       (look_all(doctor_slot_checks, host, slot, &slot->findings) &&
		look_all(doctor_power_checks, host, slot, &slot->findings) &&
		look_all(doctor_advice_checks, host, slot, &slot->findings));
}

static void look_for_displays(const struct doctor_host *host, const struct doctor_slot *slot,
			      struct doctor_finding *finding)
{
	(void)host;
	(void)slot;
	doctor_say(finding, DOCTOR_FAIL, "no display controller is here: there is no GPU to pass");
	doctor_fix(finding, "minivmm doctor BDF    # any other PCI device");
}

static bool examine(struct doctor_report *report, unsigned int count, char *const bdf[],
		    struct dirent *const *entry, int entries)
{
	static const struct doctor_check displays = {"displays", look_for_displays};
	const struct doctor_host *host = report->host;
	bool enough = look_all(doctor_machine_checks, host, NULL, &report->machine);

	for (unsigned int i = 0; i < count; i++)
		enough = enough && add_slot(report, bdf[i]);
	if (enough && !count)
		enough = add_displays(report, entry, entries);
	if (enough && !report->slots)
		enough = look(&displays, host, NULL, &report->machine);
	for (unsigned int i = 0; enough && i < report->slots; i++)
		enough = look_at_slot(host, &report->slot[i]);
	return enough;
}

int doctor_examine(const struct doctor_host *host, unsigned int count, char *const bdf[],
		   struct doctor_report *ret_report, char *ret_why, size_t why_size)
{
	struct doctor_report report = {.host = host, .asked = count};
	struct dirent **entry;
	int entries = doctor_scan(host, "/sys/bus/pci/devices", &entry);
	bool enough;

	if (entries < 0) {
		snprintf(ret_why, why_size, "cannot read %s/bus/pci/devices: %s; is sysfs mounted?",
			 host->sysfs, strerror(-entries));
		return entries;
	}
	enough = examine(&report, count, bdf, entry, entries);
	doctor_scan_finish(entry, entries);
	if (!enough) {
		doctor_finish(&report);
		snprintf(ret_why, why_size, "out of memory");
		return -ENOMEM;
	}
	*ret_report = report;
	return 0;
}

static void finish_findings(struct doctor_findings *findings)
{
	for (unsigned int i = 0; i < findings->count; i++)
		finish_finding(&findings->list[i]);
	findings->count = 0;
}

void doctor_finish(struct doctor_report *report)
{
	finish_findings(&report->machine);
	for (unsigned int i = 0; i < report->slots; i++)
		finish_findings(&report->slot[i].findings);
	free(report->slot);
	report->slot = NULL;
	report->slots = 0;
}
