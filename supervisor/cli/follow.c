#include "podvisor/cli/follow.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/field.h"
#include "podvisor/cli/interrupt.h"
#include "podvisor/cli/lines.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

enum {
	LOGS_EVERY_MS = 250,
	EVENTS_WAIT_S = 30, /* one long poll */
	MERGED_MAX = 64 << 20,
};

/* ---- logs: windows of what the supervisor remembers, compared ---- */

/* The window of each name that was asked for, of all workers when none was. */
struct windows {
	size_t n;
	struct http_call *now, *before;
	struct span *fresh; /* what of now was not in before */
};

static int windows_init(struct windows *w, const struct options *o)
{
	w->n = o->n_names ? (size_t)o->n_names : 1;
	w->now = calloc(w->n, sizeof(*w->now));
	w->before = calloc(w->n, sizeof(*w->before));
	w->fresh = calloc(w->n, sizeof(*w->fresh));
	if (w->now && w->before && w->fresh)
		return 0;
	fprintf(stderr, "podvisor %s: out of memory\n", o->verb);
	return EX_SOFTWARE;
}

static void windows_fini(struct windows *w)
{
	for (size_t i = 0; w->now && w->before && i < w->n; i++) {
		buf_fini(&w->now[i].body);
		buf_fini(&w->before[i].body);
	}
	free(w->now);
	free(w->before);
	free(w->fresh);
}

static int windows_fetch(struct windows *w, struct supervisor *s, const struct options *o, int lines)
{
	for (size_t i = 0; i < w->n; i++) {
		struct http_call *call = &w->now[i];
		supervisor_call(call, "GET", "/api/v1/logs?lines=%d%s", lines, o->n_names ? "&name=" : "");
		if (o->n_names && http_call_escape(call->target, sizeof(call->target), o->names[i]) < 0)
			call->target[0] = '\0';
	}
	int code = supervisor_ask_all(s, w->now, w->n, SUPERVISOR_PATIENCE_MS);
	for (size_t i = 0; code == 0 && i < w->n; i++) {
		if (w->now[i].status != 200) {
			supervisor_tell_refusal(s, &w->now[i]);
			code = w->now[i].status < 500 ? 1 : EX_SOFTWARE;
		}
	}
	return code;
}

static struct span body_of(const struct http_call *call)
{
	return (struct span){buf_str(&call->body), call->body.len};
}

static int windows_print(const struct windows *w, const struct options *o, size_t last)
{
	struct buf merged;
	buf_init(&merged, MERGED_MAX);
	int rc = lines_merge(&merged, w->fresh, w->n);
	struct span shown = lines_last((struct span){buf_str(&merged), merged.len}, last);
	lines_print(shown, o->given[OPTION_JSON], stdout);
	buf_fini(&merged);
	if (rc < 0)
		fprintf(stderr, "podvisor %s: out of memory\n", o->verb);
	return rc < 0 ? EX_SOFTWARE : 0;
}

static void windows_compare(struct windows *w, const struct options *o)
{
	for (size_t i = 0; i < w->n; i++) {
		struct span before = body_of(&w->before[i]), now = body_of(&w->now[i]);
		size_t seen = lines_seen(before, now);
		if (before.len && !seen)
			fprintf(stderr, "podvisor %s: lines of %s were forgotten before they could be shown\n", o->verb,
				o->n_names ? o->names[i] : "the workers");
		w->fresh[i] = (struct span){now.at + seen, now.len - seen};
	}
}

static void windows_turn(struct windows *w)
{
	struct http_call *spare = w->before;
	w->before = w->now;
	w->now = spare;
	for (size_t i = 0; i < w->n; i++)
		buf_fini(&w->now[i].body);
}

static int follow_logs(struct windows *w, struct supervisor *s, const struct options *o)
{
	int code = 0;
	while (code == 0 && fflush(stdout) == 0) {
		windows_turn(w);
		if (interrupt_wait(s->cancel_fd, LOGS_EVERY_MS))
			return 0;
		code = windows_fetch(w, s, o, OPTIONS_LINES_MAX);
		if (code)
			return code < 0 ? 0 : code;
		windows_compare(w, o);
		code = windows_print(w, o, SIZE_MAX);
	}
	return code;
}

int follow_logs_run(const struct options *o)
{
	struct supervisor s;
	struct windows w = {0};
	bool follow = o->given[OPTION_FOLLOW];
	supervisor_init(&s, o);
	if (follow)
		s.cancel_fd = interrupt_open();
	int code = windows_init(&w, o);
	if (code == 0)
		code = windows_fetch(&w, &s, o, follow ? OPTIONS_LINES_MAX : o->lines);
	for (size_t i = 0; code == 0 && i < w.n; i++)
		w.fresh[i] = body_of(&w.now[i]);
	if (code == 0)
		code = windows_print(&w, o, (size_t)o->lines);
	if (code == 0 && follow)
		code = follow_logs(&w, &s, o);
	windows_fini(&w);
	return code < 0 ? 0 : code;
}

/* ---- events ---- */

static void print_event(const json_t *e, bool coloured)
{
	char who[96];
	const char *subject = field_text(e, "subject"), *level = field_text(e, "level");
	snprintf(who, sizeof(who), "%s%s%s", field_text(e, "thing"), subject[0] ? ":" : "", subject);
	table_put_clean(stdout, field_text(e, "time"));
	fputs("  ", stdout);
	table_put_state(stdout, coloured, level, level);
	printf("%*s", 7 - (int)strnlen(level, 5), "");
	table_put_clean(stdout, who);
	printf("%*s", strlen(who) < 20 ? 22 - (int)strlen(who) : 2, "");
	table_put_clean(stdout, field_text(e, "text"));
	fputc('\n', stdout);
}

/* Returns the number to go on after. */
static json_int_t print_events(const struct options *o, const json_t *answer, bool coloured)
{
	json_int_t missed = json_integer_value(json_object_get(answer, "missed"));
	const json_t *events = json_object_get(answer, "events");
	if (missed > 0)
		fprintf(stderr, "podvisor %s: %lld events were forgotten before they could be shown\n", o->verb,
			(long long)missed);
	for (size_t i = 0; i < json_array_size(events); i++) {
		const json_t *e = json_array_get(events, i);
		if (o->given[OPTION_JSON]) {
			json_dumpf(e, stdout, JSON_COMPACT);
			fputc('\n', stdout);
		} else {
			print_event(e, coloured);
		}
	}
	return json_integer_value(json_object_get(answer, "last"));
}

static int get_events(struct supervisor *s, const struct options *o, const char *query, json_int_t *last)
{
	struct http_call call;
	json_t *answer = NULL;
	supervisor_call(&call, "GET", "/api/v1/events%s", query);
	int code = supervisor_ask(s, &call, EVENTS_WAIT_S * 1000 + SUPERVISOR_PATIENCE_MS);
	if (code == 0 && call.status == 200)
		answer = supervisor_json(&call);
	if (code == 0 && !answer) {
		supervisor_tell_refusal(s, &call);
		code = EX_SOFTWARE;
	}
	if (code == 0)
		*last = print_events(o, answer, table_wants_colour(stdout, o->color));
	json_decref(answer);
	buf_fini(&call.body);
	return code;
}

int follow_events_run(const struct options *o)
{
	struct supervisor s;
	char query[96] = "";
	json_int_t last = 0;
	supervisor_init(&s, o);
	if (o->given[OPTION_FOLLOW])
		s.cancel_fd = interrupt_open();
	if (o->given[OPTION_LINES])
		snprintf(query, sizeof(query), "?limit=%d", o->lines);
	int code = get_events(&s, o, query, &last);
	while (code == 0 && o->given[OPTION_FOLLOW] && fflush(stdout) == 0) {
		json_int_t after = last;
		snprintf(query, sizeof(query), "?after=%lld&wait=%d", (long long)after, EVENTS_WAIT_S);
		code = get_events(&s, o, query, &last);
		if (last < after)
			last = 0; /* another supervisor answers here now, which counts anew */
	}
	return code < 0 ? 0 : code;
}
