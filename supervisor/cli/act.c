#include "podvisor/cli/act.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/field.h"
#include "podvisor/cli/output.h"
#include "podvisor/cli/progress.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

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
static bool tell_one(const struct options *o, const json_t *item, bool waited)
{
	const char *state = field_text(item, "state"), *reason = field_text(item, "reason");
	double pid = field_number(item, "pid");
	bool wants_down = strcmp(o->verb, "stop") == 0;
	/* Standing by for a lease is all that can be asked for. */
	bool good = !waited || wants_down || json_is_true(json_object_get(item, "available")) ||
		    strcmp(field_text(item, "state"), "standby") == 0;
	if (o->given[OPTION_JSON])
		return good;
	table_put_clean(stdout, field_text(item, "name"));
	fputs(": ", stdout);
	table_put_state(stdout, table_wants_colour(stdout, o->color), state, state);
	if (reason[0])
		fputs(", ", stdout);
	else if (pid > 0)
		printf(", pid %.0f", pid);
	table_put_clean(stdout, reason);
	fputc('\n', stdout);
	return good;
}

static bool tell_list(const struct options *o, const json_t *items, bool waited)
{
	bool good = true;
	for (size_t i = 0; i < json_array_size(items); i++)
		good = tell_one(o, json_array_get(items, i), waited) && good;
	return good;
}

/* It is still to come up; a job only waits for its next time. */
static bool is_tried(const json_t *item)
{
	const char *state = field_text(item, "state");
	bool waits = strcmp(state, "waiting") == 0 || strcmp(state, "paused") == 0 || strcmp(state, "backoff") == 0;
	return waits && strcmp(field_text(item, "kind"), "job") != 0;
}

static bool any_is_tried(const json_t *items)
{
	for (size_t i = 0; i < json_array_size(items); i++)
		if (is_tried(json_array_get(items, i)))
			return true;
	return false;
}

static void tell_absence(const struct options *o, const json_t *answer, const char *name)
{
	bool tried =
		any_is_tried(json_object_get(answer, "workers")) || any_is_tried(json_object_get(answer, "browsers"));
	fprintf(stderr, "podvisor %s: %s %s\n", o->verb, name,
		tried ? "has not come up; podvisor goes on trying" : "did not come up");
}

static int tell_answer(const struct options *o, const json_t *answer, const char *name)
{
	bool waited = !o->given[OPTION_NO_WAIT], done = json_is_true(json_object_get(answer, "done"));
	bool kept = json_is_true(json_object_get(answer, "kept"));
	bool good = tell_list(o, json_object_get(answer, "workers"), waited && done);
	good = tell_list(o, json_object_get(answer, "browsers"), waited && done) && good;
	fflush(stdout); /* the sentence comes behind it, also when both go to one file */
	if (waited && !done)
		fprintf(stderr, "podvisor %s: %s is not done after %d minutes; it goes on\n", o->verb, name,
			SUPERVISOR_WAIT_S / 60);
	else if (kept)
		fprintf(stderr,
			"podvisor %s: the new %s never got ready; the old one goes on, and podvisor goes on trying\n",
			o->verb, name);
	else if (!good)
		tell_absence(o, answer, name);
	return good && !kept && (done || !waited) ? 0 : 1;
}

/* The answers for all names as one. */
static void gather(json_t *all, const json_t *answer)
{
	json_array_extend(json_object_get(all, "workers"), json_object_get(answer, "workers"));
	json_array_extend(json_object_get(all, "browsers"), json_object_get(answer, "browsers"));
	if (!json_is_true(json_object_get(answer, "done")))
		json_object_set_new(all, "done", json_false());
}

static int tell_answers(const struct options *o, const struct http_call *calls)
{
	json_t *all = json_pack("{s:b,s:[],s:[]}", "done", true, "workers", "browsers");
	int code = 0;
	for (int i = 0; i < o->n_names; i++) {
		json_t *answer = supervisor_json(&calls[i]);
		int one = answer ? tell_answer(o, answer, o->names[i]) : EX_SOFTWARE;
		if (!answer)
			fprintf(stderr, "podvisor %s: the supervisor's answer is no JSON object\n", o->verb);
		gather(all, answer);
		json_decref(answer);
		code = code > one ? code : one;
	}
	if (!o->given[OPTION_JSON])
		json_decref(all);
	else
		code = output_json(o->verb, all) ? EX_SOFTWARE : code;
	return code;
}

/* ---- while it waits ---- */

static bool is_named(const struct options *o, const json_t *item)
{
	for (int i = 0; i < o->n_names; i++)
		if (strcmp(o->names[i], field_text(item, "name")) == 0 ||
			strcmp(o->names[i], field_text(item, "worker")) == 0)
			return true;
	return false;
}

static void describe_list(FILE *to, const json_t *items, bool steady, const struct options *o, int *shown)
{
	char span[TABLE_TEXT_MAX];
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		if (!is_named(o, item))
			continue;
		const char *reason = field_text(item, "reason");
		fputs((*shown)++ ? ", " : "", to);
		table_put_clean(to, field_text(item, "name"));
		fprintf(to, " %s", field_text(item, "state"));
		if (!steady)
			fprintf(to, " for %s", table_span(field_number(item, "since_seconds"), span));
		fputs(reason[0] ? " (" : "", to);
		table_put_clean(to, reason);
		fputs(reason[0] ? ")" : "", to);
	}
}

static void describe(FILE *to, const json_t *answer, bool steady, const void *ctx)
{
	const struct options *o = ctx;
	int shown = 0;
	fprintf(to, "%s: ", o->verb);
	describe_list(to, json_object_get(answer, "workers"), steady, o, &shown);
	describe_list(to, json_object_get(answer, "browsers"), steady, o, &shown);
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

/* Whether the names are good; nothing is done when one is wrong. */
static int look_up(struct supervisor *s, const struct options *o)
{
	struct http_call *calls = NULL;
	int code = ask_names(s, o, "GET", "", SUPERVISOR_PATIENCE_MS, &calls);
	free_calls(calls, o->n_names);
	return code;
}

static int ask_and_wait(struct supervisor *s, const struct options *o, struct http_call **calls)
{
	char behind[48];
	struct progress progress = {.target = "/api/v1/workers", .describe = describe, .ctx = o};
	snprintf(behind, sizeof(behind), "/%s?wait=%d", o->verb, SUPERVISOR_WAIT_S);
	progress_begin(&progress, s);
	int code = ask_names(s, o, "POST", behind, SUPERVISOR_WAITED_MS, calls);
	progress_end(&progress);
	return code;
}

/* What did not wait was answered before it took effect: it is looked at once more. */
static int ask_and_look(struct supervisor *s, const struct options *o, struct http_call **calls)
{
	char behind[48];
	snprintf(behind, sizeof(behind), "/%s", o->verb);
	int code = ask_names(s, o, "POST", behind, SUPERVISOR_PATIENCE_MS, calls);
	if (code)
		return code;
	free_calls(*calls, o->n_names);
	return ask_names(s, o, "GET", "", SUPERVISOR_PATIENCE_MS, calls);
}

int act_run(const struct options *o)
{
	struct supervisor s;
	struct http_call *calls = NULL;
	supervisor_init(&s, o);
	int code = check_names(o);
	code = code ? code : look_up(&s, o);
	if (code)
		return code;
	code = o->given[OPTION_NO_WAIT] ? ask_and_look(&s, o, &calls) : ask_and_wait(&s, o, &calls);
	code = code ? code : tell_answers(o, calls);
	free_calls(calls, o->n_names);
	return code;
}
