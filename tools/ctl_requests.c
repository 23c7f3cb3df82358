/*
 * The commands that are one request, or two.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/ctl.h"
#include "tools/printable.h"
#include "tools/tools.h"
#include "vmm/base/clock.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define API "/api/v1/"

static int say_why(const struct api_why *why)
{
	log_err("ctl: %s", why->text);
	return TOOL_FAILED;
}

/* Writes a text that was built, and frees it. */
static int say_text(struct text *text)
{
	int status = TOOL_FAILED;

	if (text->failed)
		log_err("ctl: out of memory");
	else
		status = tool_say(text->bytes, text->len);
	text_finish(text);
	return status;
}

static int fail_odd(const struct ctl *ctl, struct api_why *why)
{
	snprintf(why->text, sizeof(why->text), "%s: the answer lacks what docs/api.md says of it",
		 ctl->path);
	return -EPROTO;
}

static int fail_memory(struct api_why *why)
{
	snprintf(why->text, sizeof(why->text), "out of memory");
	return -ENOMEM;
}

/* An answer that has a body. */
static int get(const struct ctl *ctl, const char *target, struct api_answer *ret_answer,
	       struct api_why *why)
{
	int error = api_request(ctl->path, "GET", target, NULL, API_TIMEOUT_MS, ret_answer, why);

	return !error && !ret_answer->tokens ? fail_odd(ctl, why) : error;
}

int ctl_get_power(const struct ctl *ctl, struct view_power *ret_power, struct api_why *why)
{
	struct api_answer answer;
	int error = get(ctl, API "power", &answer, why);

	if (!error && view_read_power(&answer.doc, ret_power))
		error = fail_odd(ctl, why);
	api_answer_finish(&answer);
	return error;
}

int ctl_status(const struct ctl *ctl)
{
	struct view_power *power = calloc(1, sizeof(*power));
	struct api_answer info_answer = {.tokens = NULL}, power_answer = {.tokens = NULL};
	struct text text = {.bytes = NULL};
	struct view_info info;
	struct api_why why;
	int error = power ? get(ctl, API "vm.info", &info_answer, &why) : fail_memory(&why);

	if (!error)
		error = get(ctl, API "power", &power_answer, &why);
	if (!error && (view_read_info(&info_answer.doc, &info) ||
		       view_read_power(&power_answer.doc, power)))
		error = fail_odd(ctl, &why);
	if (!error && ctl->json)
		text_add(&text, "{\"info\":%s,\"power\":%s}\n", info_answer.body.bytes,
			 power_answer.body.bytes);
	else if (!error)
		show_status(&text, &info, power);
	api_answer_finish(&info_answer);
	api_answer_finish(&power_answer);
	free(power);
	return error ? say_why(&why) : say_text(&text);
}

static int run_power_json(const struct ctl *ctl)
{
	struct text text = {.bytes = NULL};
	struct api_answer answer;
	struct api_why why;
	int error = get(ctl, API "power", &answer, &why);

	if (!error)
		text_add(&text, "%s\n", answer.body.bytes);
	api_answer_finish(&answer);
	return error ? say_why(&why) : say_text(&text);
}

int ctl_power(const struct ctl *ctl)
{
	struct view_power *power;
	struct text text = {.bytes = NULL};
	struct api_why why;
	int error;

	if (ctl->watch)
		return ctl_watch(ctl);
	if (ctl->json)
		return run_power_json(ctl);
	power = calloc(1, sizeof(*power));
	error = power ? ctl_get_power(ctl, power, &why) : fail_memory(&why);
	if (!error)
		show_power(&text, power, NULL, ctl_style());
	free(power);
	return error ? say_why(&why) : say_text(&text);
}

/* --- commands to the VM --- */

/* A descriptor that can be read once the process has ended which listens at the other end. */
static int open_listener(int fd, struct api_why *why, const char *path)
{
	struct ucred peer = {.pid = 0};
	socklen_t size = sizeof(peer);
	int process = -1;

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid > 0)
		process = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	if (process < 0)
		snprintf(why->text, sizeof(why->text), "%s: cannot wait for its end; the VM's "
			 "process is not to be seen from here", path);
	return process;
}

static int await_end(const struct ctl *ctl, int process)
{
	if (!api_await(process, clock_us() + ctl->wait_s * 1000000ULL))
		return TOOL_OK;
	log_err("ctl: %s: the VM has not ended within %u s", ctl->path, ctl->wait_s);
	return TOOL_FAILED;
}

/* PUT without a body; with --wait, until the VM has ended. */
static int put(const struct ctl *ctl, const char *target)
{
	struct api_answer answer;
	struct api_why why;
	int process = -1, status = TOOL_OK;
	int fd = api_connect(ctl->path, &why), error = fd < 0 ? fd : 0;

	if (!error && ctl->wait_s) {
		process = open_listener(fd, &why, ctl->path);
		if (process < 0) {
			close(fd);
			error = -ESRCH;
		}
	}
	if (!error) {
		error = api_request_on(fd, ctl->path, "PUT", target, NULL, API_TIMEOUT_MS, &answer,
				       &why);
		api_answer_finish(&answer);
	}
	if (error)
		status = say_why(&why);
	else if (ctl->wait_s)
		status = await_end(ctl, process);
	if (process >= 0)
		close(process);
	return status;
}

int ctl_button(const struct ctl *ctl)
{
	return put(ctl, API "vm.power-button");
}

int ctl_wake(const struct ctl *ctl)
{
	return put(ctl, API "vm.wake");
}

int ctl_reboot(const struct ctl *ctl)
{
	return put(ctl, API "vm.reboot");
}

int ctl_quit(const struct ctl *ctl)
{
	return put(ctl, API "vmm.shutdown");
}

/* PUT with {"KEY":OPERAND,"id":ID}. */
static int put_device(const struct ctl *ctl, const char *target, const char *key,
		      struct api_answer *ret_answer, struct api_why *why)
{
	struct text body = {.bytes = NULL};
	struct json json = {.out = &body};
	int error;

	json_begin_object(&json, NULL);
	json_string(&json, key, ctl->operand);
	if (ctl->id)
		json_string(&json, "id", ctl->id);
	json_end_object(&json);
	*ret_answer = (struct api_answer) {.tokens = NULL};
	error = body.failed ? fail_memory(why)
			    : api_request(ctl->path, "PUT", target, body.bytes,
					  API_TIMEOUT_ADD_MS, ret_answer, why);
	text_finish(&body);
	return error;
}

int ctl_add(const struct ctl *ctl)
{
	char id[VIEW_NAME] = "", bdf[VIEW_WORD] = "";
	struct text text = {.bytes = NULL};
	struct api_answer answer;
	struct api_why why;
	int error = put_device(ctl, API "vm.add-device", "gpu", &answer, &why);

	if (!error && (!answer.tokens ||
		       !json_get_string(&answer.doc, json_member(&answer.doc, 0, "id"), id,
					sizeof(id)) ||
		       !json_get_string(&answer.doc, json_member(&answer.doc, 0, "bdf"), bdf,
					sizeof(bdf))))
		error = fail_odd(ctl, &why);
	api_answer_finish(&answer);
	if (error)
		return say_why(&why);
	printable_add(&text, id, 0);
	text_add(&text, " is the guest's ");
	printable_add(&text, bdf, 0);
	text_add(&text, "\n");
	return say_text(&text);
}

int ctl_remove(const struct ctl *ctl)
{
	static const char asked[] = "The guest was asked to eject it.\n";
	struct api_answer answer;
	struct api_why why;
	int error = put_device(ctl, API "vm.remove-device", "id", &answer, &why);

	api_answer_finish(&answer);
	return error ? say_why(&why) : tool_say(asked, strlen(asked));
}
