#include "podvisor/cli/act.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/field.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

/* An answer that waited is late by what the network of one machine takes. */
enum { WAITED_MS = SUPERVISOR_WAIT_S * 1000 + SUPERVISOR_PATIENCE_MS };
/* Longer than any name that a configuration may give. */
enum { NAME_MAX_BYTES = 100 };

/* ---- start, stop, restart ---- */

static void free_calls(struct http_call *calls, int n)
{
	for (int i = 0; calls && i < n; i++)
		buf_fini(&calls[i].body);
	free(calls);
}

/* One request for each name, with what stands before and behind the name. */
static struct http_call *make_calls(const struct options *o, const char *method, const char *behind)
{
	struct http_call *calls = calloc((size_t)o->n_names, sizeof(*calls));
	for (int i = 0; calls && i < o->n_names; i++) {
		char name[3 * NAME_MAX_BYTES + 1] = "";
		if (http_call_escape(name, sizeof(name), o->names[i]) < 0)
			name[0] = '\0'; /* check_names kept it out */
		supervisor_call(&calls[i], method, "/api/v1/workers/%s%s", name, behind);
	}
	return calls;
}

/* Asks for all names at once: those that wait for each other are then done together. */
static int ask_names(struct supervisor *s, const struct options *o, const char *method, const char *behind,
	ms_t timeout_ms, struct http_call **out)
{
	*out = make_calls(o, method, behind);
	if (!*out) {
		fprintf(stderr, "podvisor %s: out of memory\n", o->verb);
		return EX_SOFTWARE;
	}
	int code = supervisor_ask_all(s, *out, (size_t)o->n_names, timeout_ms);
	for (int i = 0; code == 0 && i < o->n_names; i++) {
		if ((*out)[i].status >= 300) {
			supervisor_tell_refusal(s, &(*out)[i]);
			code = (*out)[i].status < 500 ? 1 : EX_SOFTWARE;
		}
	}
	return code;
}

/* One worker or browser behind the command: "api: ready, pid 123". Whether it is as it was asked for. */
static bool tell_one(const char *verb, const json_t *item, bool waited)
{
	const char *state = field_text(item, "state"), *reason = field_text(item, "reason");
	double pid = field_number(item, "pid");
	bool wants_down = strcmp(verb, "stop") == 0;
	bool good = !waited || wants_down || json_is_true(json_object_get(item, "available"));
	table_put_clean(stdout, field_text(item, "name"));
	fputs(": ", stdout);
	table_put_state(stdout, table_wants_colour(stdout), state, state);
	if (reason[0])
		fputs(", ", stdout);
	else if (pid > 0)
		printf(", pid %.0f", pid);
	table_put_clean(stdout, reason);
	fputc('\n', stdout);
	return good;
}

static bool tell_list(const char *verb, const json_t *items, bool waited)
{
	bool good = true;
	for (size_t i = 0; i < json_array_size(items); i++)
		good = tell_one(verb, json_array_get(items, i), waited) && good;
	return good;
}

static int tell_answer(const struct options *o, const struct http_call *call, const char *name)
{
	bool waited = !o->given[OPTION_NO_WAIT];
	json_t *json = supervisor_json(call);
	bool done = json_is_true(json_object_get(json, "done"));
	bool good = tell_list(o->verb, json_object_get(json, "workers"), waited && done);
	good = tell_list(o->verb, json_object_get(json, "browsers"), waited && done) && good;
	if (!json) {
		fprintf(stderr, "podvisor %s: the supervisor's answer is no JSON object\n", o->verb);
	} else if (waited && !done) {
		fprintf(stderr, "podvisor %s: %s is not done after %d minutes; it goes on\n", o->verb, name,
			SUPERVISOR_WAIT_S / 60);
		good = false;
	}
	json_decref(json);
	return !json ? EX_SOFTWARE : good ? 0 : 1;
}

static int check_names(const struct options *o)
{
	for (int i = 0; i < o->n_names; i++) {
		size_t len = strlen(o->names[i]);
		if (len > 0 && len < NAME_MAX_BYTES)
			continue;
		fprintf(stderr, "podvisor %s: \"%.*s\" is no name of a worker or browser\n", o->verb, NAME_MAX_BYTES,
			o->names[i]);
		return EX_USAGE;
	}
	return 0;
}

int act_run(const struct options *o)
{
	struct supervisor s;
	struct http_call *calls = NULL;
	char behind[48];
	bool wait = !o->given[OPTION_NO_WAIT];
	supervisor_init(&s, o);
	int code = check_names(o);
	if (code)
		return code;
	/* Nothing is done when a name is wrong. */
	code = ask_names(&s, o, "GET", "", SUPERVISOR_PATIENCE_MS, &calls);
	free_calls(calls, o->n_names);
	if (code)
		return code;
	snprintf(behind, sizeof(behind), "/%s", o->verb);
	if (wait)
		snprintf(behind, sizeof(behind), "/%s?wait=%d", o->verb, SUPERVISOR_WAIT_S);
	code = ask_names(&s, o, "POST", behind, wait ? WAITED_MS : SUPERVISOR_PATIENCE_MS, &calls);
	/* What did not wait was answered before it took effect. */
	if (code == 0 && !wait) {
		free_calls(calls, o->n_names);
		code = ask_names(&s, o, "GET", "", SUPERVISOR_PATIENCE_MS, &calls);
	}
	if (code == 0)
		for (int i = 0; i < o->n_names; i++) {
			int one = tell_answer(o, &calls[i], o->names[i]);
			code = code > one ? code : one;
		}
	free_calls(calls, o->n_names);
	return code;
}

/* ---- reload ---- */

static int tell_changes(const struct options *o, const json_t *answer)
{
	const json_t *changes = json_object_get(answer, "changes");
	for (size_t i = 0; i < json_array_size(changes); i++) {
		table_put_clean(stdout, field_item(changes, i));
		fputc('\n', stdout);
	}
	if (json_array_size(changes) == 0)
		printf("nothing %s\n", o->given[OPTION_DRY_RUN] ? "would change" : "changed");
	return 0;
}

int act_reload_run(const struct options *o)
{
	struct supervisor s;
	struct http_call call;
	supervisor_init(&s, o);
	supervisor_call(&call, "POST", "/api/v1/reload%s", o->given[OPTION_DRY_RUN] ? "?dry_run=1" : "");
	int code = supervisor_ask(&s, &call, SUPERVISOR_PATIENCE_MS);
	if (code == 0 && call.status != 200) {
		supervisor_tell_refusal(&s, &call);
		code = call.status == 422 || call.status == 409 ? EX_CONFIG : EX_SOFTWARE;
	} else if (code == 0) {
		json_t *json = supervisor_json(&call);
		code = tell_changes(o, json);
		json_decref(json);
	}
	buf_fini(&call.body);
	return code;
}

/* ---- drain, undrain ---- */

static void tell_drain(const json_t *drain)
{
	const char *state = field_text(drain, "state"), *summary = field_text(drain, "summary");
	fputs("drain: ", stdout);
	table_put_state(stdout, table_wants_colour(stdout), state, state);
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
	tell_drain(drain);
	if (strcmp(o->verb, "undrain") == 0 && json_is_true(json_object_get(drain, "shutdown"))) {
		fprintf(stderr, "podvisor %s: podvisor is stopping: this drain cannot be taken back\n", o->verb);
		code = 1;
	} else if (o->given[OPTION_WAIT] && !drained) {
		fprintf(stderr, "podvisor %s: not drained after %d minutes; it goes on\n", o->verb,
			SUPERVISOR_WAIT_S / 60);
		code = 1;
	}
	json_decref(drain);
	return code;
}

int act_drain_run(const struct options *o)
{
	struct supervisor s;
	struct http_call call;
	bool wait = o->given[OPTION_WAIT];
	supervisor_init(&s, o);
	supervisor_call(&call, "POST", "/api/v1/%s", o->verb);
	if (wait)
		supervisor_call(&call, "POST", "/api/v1/%s?wait=%d", o->verb, SUPERVISOR_WAIT_S);
	int code = supervisor_ask(&s, &call, wait ? WAITED_MS : SUPERVISOR_PATIENCE_MS);
	if (code == 0 && call.status >= 300) {
		supervisor_tell_refusal(&s, &call);
		code = call.status < 500 ? 1 : EX_SOFTWARE;
	} else if (code == 0) {
		code = show_drain(o, &s, call.status == 200);
	}
	buf_fini(&call.body);
	return code;
}
