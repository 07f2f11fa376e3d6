#include "podvisor/cli/steer.h"

#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/field.h"
#include "podvisor/cli/output.h"
#include "podvisor/cli/progress.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

/* ---- reload ---- */

/* "+ worker x", "- worker y", "~ worker z: ..." */
static const char *tone_of(const char *change)
{
	return change[0] == '+' ? "new" : change[0] == '-' ? "gone" : change[0] == '~' ? "changed" : "";
}

static void tell_changes(const struct options *o, const json_t *answer)
{
	const json_t *changes = json_object_get(answer, "changes");
	bool coloured = table_wants_colour(stdout, o->color);
	for (size_t i = 0; i < json_array_size(changes); i++) {
		const char *change = field_item(changes, i);
		table_put_state(stdout, coloured, tone_of(change), change);
		fputc('\n', stdout);
	}
	if (json_array_size(changes) == 0)
		printf("nothing %s\n", o->given[OPTION_DRY_RUN] ? "would change" : "changed");
}

/* Beside the changes, as check has them beside its ok. */
static void tell_warnings(const json_t *answer)
{
	const json_t *warnings = json_object_get(answer, "warnings");
	for (size_t i = 0; i < json_array_size(warnings); i++) {
		table_put_clean(stderr, field_item(warnings, i));
		fputc('\n', stderr);
	}
}

/* Takes answer. */
static int tell_reload(const struct options *o, json_t *answer)
{
	if (o->given[OPTION_JSON])
		return output_json(o->verb, answer);
	tell_warnings(answer);
	tell_changes(o, answer);
	json_decref(answer);
	return 0;
}

/* No mistake of the file's when podvisor stops. */
static int code_of_refusal(const struct http_call *call)
{
	json_t *answer = supervisor_json(call);
	int code = json_is_true(json_object_get(answer, "stopping")) ? 1 : EX_CONFIG;
	json_decref(answer);
	return call->status == 422 || call->status == 409 ? code : EX_SOFTWARE;
}

int steer_reload_run(const struct options *o)
{
	struct supervisor s;
	struct http_call call;
	supervisor_init(&s, o);
	supervisor_call(&call, "POST", "/api/v1/reload%s", o->given[OPTION_DRY_RUN] ? "?dry_run=1" : "");
	int code = supervisor_ask(&s, &call, SUPERVISOR_PATIENCE_MS);
	if (code == 0 && call.status != 200) {
		supervisor_tell_refusal(&s, &call);
		code = code_of_refusal(&call);
	} else if (code == 0) {
		code = tell_reload(o, supervisor_json(&call));
	}
	buf_fini(&call.body);
	return code;
}

/* ---- drain, undrain ---- */

/* The state of a drain that is over is still "draining": it has not been taken back. */
static void tell_drain(const struct options *o, const json_t *drain, bool drained)
{
	const char *state = drained ? "drained" : field_text(drain, "state"), *summary = field_text(drain, "summary");
	if (o->given[OPTION_JSON]) {
		output_json(o->verb, json_deep_copy(drain));
		return;
	}
	fputs("drain: ", stdout);
	table_put_state(stdout, table_wants_colour(stdout, o->color), state, state);
	fputs(summary[0] ? "; " : "", stdout);
	table_put_clean(stdout, summary);
	fputc('\n', stdout);
}

/* Where the drain stands now: the answer to the request was made before it took effect. */
static int show_drain(const struct options *o, struct supervisor *s, bool drained)
{
	json_t *drain;
	int code = supervisor_get_json(s, "/api/v1/drain", &drain);
	if (code)
		return code;
	tell_drain(o, drain, o->given[OPTION_WAIT] && drained);
	if (strcmp(o->verb, "undrain") == 0 && json_is_true(json_object_get(drain, "shutdown"))) {
		supervisor_say(s, "podvisor is stopping: this drain cannot be taken back");
		code = 1;
	} else if (o->given[OPTION_WAIT] && !drained) {
		supervisor_say(s, "not drained after %d minutes; it goes on", SUPERVISOR_WAIT_S / 60);
		code = 1;
	}
	json_decref(drain);
	return code;
}

static void describe_drain(FILE *to, const json_t *drain, bool steady, const void *ctx)
{
	char span[TABLE_TEXT_MAX];
	const json_t *open = json_object_get(drain, "connections");
	(void)ctx;
	fprintf(to, "drain: %s", field_text(drain, "state"));
	if (steady)
		return;
	fprintf(to, " for %s", table_span(field_number(drain, "since_seconds"), span));
	if (field_number(open, "http") >= 0)
		fprintf(to, ", %.0f requests and %.0f WebSockets left", field_number(open, "http"),
			field_number(open, "websocket"));
	if (table_span(field_number(drain, "estimate_seconds"), span)[0])
		fprintf(to, ", drained in about %s", span);
	if (table_span(field_number(drain, "remaining_seconds"), span)[0])
		fprintf(to, ", at most %s to go", span);
}

static int ask_drain(struct supervisor *s, const struct options *o, struct http_call *call)
{
	struct progress progress = {.target = "/api/v1/drain", .describe = describe_drain};
	if (!o->given[OPTION_WAIT]) {
		supervisor_call(call, "POST", "/api/v1/%s", o->verb);
		return supervisor_ask(s, call, SUPERVISOR_PATIENCE_MS);
	}
	supervisor_call(call, "POST", "/api/v1/%s?wait=%d", o->verb, SUPERVISOR_WAIT_S);
	progress_begin(&progress, s);
	int code = supervisor_ask(s, call, SUPERVISOR_WAITED_MS);
	progress_end(&progress);
	return code;
}

int steer_drain_run(const struct options *o)
{
	struct supervisor s;
	struct http_call call;
	supervisor_init(&s, o);
	int code = ask_drain(&s, o, &call);
	if (code == 0 && call.status >= 300) {
		supervisor_tell_refusal(&s, &call);
		code = call.status < 500 ? 1 : EX_SOFTWARE;
	} else if (code == 0) {
		code = show_drain(o, &s, call.status == 200);
	}
	buf_fini(&call.body);
	return code;
}
