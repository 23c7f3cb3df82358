/* How the doctor's report looks: to a person, and as JSON. */
#include <stdio.h>
#include <string.h>

#include "tools/doctor.h"
#include "vmm/base/bits.h"
#include "vmm/base/json.h"

#define COLUMNS 100U
#define COLUMN_TEXT 26U /* where sentences begin: 2, a verdict of 7, 2, an id of 14, 1 */

static const char *const verdict_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_UNKNOWN] = "unknown",
	[DOCTOR_LIMIT] = "limit",
	[DOCTOR_FAIL] = "fail",
};

/* A sentence from COLUMN_TEXT on, on as many lines as it takes. */
static void print_sentence(struct text *out, const char *sentence)
{
	size_t column = COLUMN_TEXT;

	while (*sentence) {
		size_t len = strcspn(sentence, " ");

		if (column > COLUMN_TEXT && column + 1 + len > COLUMNS) {
			text_add(out, "\n%*s", (int)COLUMN_TEXT, "");
			column = COLUMN_TEXT;
		} else if (column > COLUMN_TEXT) {
			text_add(out, " ");
			column++;
		}
		text_add(out, "%.*s", (int)len, sentence);
		column += len;
		sentence += len + strspn(sentence + len, " ");
	}
	text_add(out, "\n");
}

static void print_finding(const struct doctor_finding *finding, struct text *out)
{
	const char *fix = finding->fix.len ? finding->fix.bytes : "";

	text_add(out, "  %-7s  %-14s ", verdict_names[finding->verdict], finding->id);
	print_sentence(out, finding->why.bytes);
	/* Whole lines: they are for copying. */
	while (*fix) {
		size_t len = strcspn(fix, "\n");

		text_add(out, "%*s%.*s\n", (int)COLUMN_TEXT + 2, "", (int)len, fix);
		fix += len + (fix[len] == '\n');
	}
}

static void print_findings(const struct doctor_findings *findings, struct text *out)
{
	for (unsigned int i = 0; i < findings->count; i++)
		print_finding(&findings->list[i], out);
}

static void print_no_slot(const struct doctor_report *report, struct text *out)
{
	struct text ids = {0};

	doctor_list(&report->machine, DOCTOR_FAIL, &ids);
	text_add(out, "cannot: %s\n", ids.len ? ids.bytes : "");
	out->failed |= ids.failed;
	text_finish(&ids);
}

void doctor_print_text(const struct doctor_report *report, struct text *out)
{
	text_add(out, "This machine, for a guest of %llu MiB:\n",
		 (unsigned long long)(report->host->memory / MIB));
	print_findings(&report->machine, out);
	for (unsigned int i = 0; i < report->slots; i++) {
		text_add(out, "\n%s:\n", report->slot[i].bdf);
		print_findings(&report->slot[i].findings, out);
	}
	text_add(out, "\n");
	for (unsigned int i = 0; i < report->slots; i++) {
		doctor_summary(report, &report->slot[i], out);
		text_add(out, "\n");
	}
	if (!report->slots)
		print_no_slot(report, out);
}

/* --- JSON --- */

static void put_fix(struct json *json, const struct text *fix)
{
	const char *at = fix->len ? fix->bytes : "";
	char line[1100];

	json_begin_array(json, "fix");
	while (*at) {
		size_t len = strcspn(at, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)len, at);
		json_string(json, NULL, line);
		at += len + (at[len] == '\n');
	}
	json_end_array(json);
}

static void put_findings(struct json *json, const struct doctor_findings *findings)
{
	json_begin_array(json, "findings");
	for (unsigned int i = 0; i < findings->count; i++) {
		const struct doctor_finding *finding = &findings->list[i];

		json_begin_object(json, NULL);
		json_string(json, "id", finding->id);
		json_string(json, "verdict", verdict_names[finding->verdict]);
		json_string(json, "why", finding->why.bytes);
		put_fix(json, &finding->fix);
		json_end_object(json);
	}
	json_end_array(json);
}

static void put_functions(struct json *json, const struct doctor_host *host,
			  const struct host_slot *slot)
{
	static const char *const attributes[] = {"vendor", "device", "class"};

	json_begin_array(json, "functions");
	for (unsigned int i = 0; i < HOST_FUNCTIONS; i++) {
		const struct host_function *fn = &slot->fn[i];

		if (!fn->exists)
			continue;
		json_begin_object(json, NULL);
		json_string(json, "name", fn->name);
		for (size_t j = 0; j < ARRAY_SIZE(attributes); j++) {
			char line[16];
			bool known = doctor_attribute(host, fn->name, attributes[j], line,
						      sizeof(line));

			json_string(json, attributes[j], known ? line : NULL);
		}
		json_string(json, "driver", fn->driver[0] ? fn->driver : NULL);
		if (fn->group >= 0)
			json_number(json, "group", (uint64_t)fn->group);
		json_end_object(json);
	}
	json_end_array(json);
}

static void put_slot(struct json *json, const struct doctor_report *report,
		     const struct doctor_slot *slot)
{
	static const char *const says[] = {
		[DOCTOR_OK] = "ready",
		[DOCTOR_UNKNOWN] = "ready",
		[DOCTOR_LIMIT] = "limits",
		[DOCTOR_FAIL] = "cannot",
	};
	struct text summary = {0};

	json_begin_object(json, NULL);
	json_string(json, "bdf", slot->bdf);
	json_string(json, "verdict", says[doctor_slot_verdict(report, slot)]);
	doctor_summary(report, slot, &summary);
	json_string(json, "summary", summary.bytes);
	json->out->failed |= summary.failed;
	text_finish(&summary);
	json_begin_array(json, "bridges");
	for (unsigned int i = 0; i < slot->bridges; i++)
		json_string(json, NULL, slot->bridge[i]);
	json_end_array(json);
	put_functions(json, report->host, &slot->host);
	put_findings(json, &slot->findings);
	json_end_object(json);
}

void doctor_print_json(const struct doctor_report *report, struct text *out)
{
	struct json json = {.out = out};

	json_begin_object(&json, NULL);
	json_string(&json, "version", MINIVMM_VERSION);
	json_string(&json, "kernel", report->host->release);
	json_number(&json, "memory", report->host->memory);
	json_number(&json, "status", (uint64_t)doctor_status(report));
	json_begin_object(&json, "machine");
	put_findings(&json, &report->machine);
	json_end_object(&json);
	json_begin_array(&json, "slots");
	for (unsigned int i = 0; i < report->slots; i++)
		put_slot(&json, report, &report->slot[i]);
	json_end_array(&json);
	json_end_object(&json);
	text_add(out, "\n");
}
