#include "podvisor/cli/follow.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "podvisor/base/plain.h"
#include "podvisor/base/wall.h"
#include "podvisor/cli/field.h"
#include "podvisor/cli/interrupt.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"
#include "podvisor/wire/logline.h"

enum {
	LOGS_EVERY_MS = 250,
	EVENTS_WAIT_S = 30, /* one long poll */
	PLAIN_MAX = 8 << 20,
	NAMES_MAX = 60, /* the server takes 64 arguments */
};

/* ---- logs ---- */

struct lines {
	const struct options *o;
	bool coloured, for_people; /* on a terminal */
	char next[64]; /* where to go on */
	bool more; /* there is more already */
};

/* One of a few colours for each name, always the same. */
static const char *colour_of(const char *name)
{
	static const char *const colours[] = {"\033[36m", "\033[32m", "\033[33m", "\033[34m", "\033[35m", "\033[31m"};
	unsigned sum = 0;
	for (; *name; name++)
		sum = sum * 31 + (unsigned char)*name;
	return colours[sum % (sizeof(colours) / sizeof(colours[0]))];
}

/* podvisor's own line is told from a worker's: "podvisor  worker api: ready". */
static void begin_line(const struct lines *l, const json_t *line)
{
	const char *time = field_text(line, "time"), *name = field_text(line, "name");
	const char *who = field_text(line, "stream")[0] ? name : "podvisor", *end = l->coloured ? "\033[0m" : "";
	bool stamped = strlen(time) == WALL_SIZE - 1;
	printf("%s%.12s%s ", l->coloured ? "\033[2m" : "", stamped ? time + strlen("2026-11-24T") : "", end);
	fputs(l->coloured ? colour_of(who) : "", stdout);
	table_put_clean(stdout, who);
	if (field_text(line, "command")[0]) {
		fputs(" (", stdout);
		table_put_clean(stdout, field_text(line, "command"));
		putchar(')');
	}
	printf("%s  ", end);
	if (who != name && name[0]) {
		table_put_clean(stdout, field_text(line, "thing"));
		putchar(' ');
		table_put_clean(stdout, name);
		fputs(": ", stdout);
	}
}

/* A message of several lines is indented, so that it is seen as one. */
static void print_for_people(const struct lines *l, const json_t *line)
{
	const json_t *text = json_object_get(line, "line");
	struct buf plain;
	buf_init(&plain, PLAIN_MAX);
	plain_put(&plain, (struct span){field_text(line, "line"), json_string_length(text)});
	begin_line(l, line);
	for (const char *at = buf_str(&plain); *at; at++) {
		putchar(*at);
		if (*at == '\n')
			fputs("    ", stdout);
	}
	putchar('\n');
	buf_fini(&plain);
}

/* What passed through, or was logged for people, becomes an object as SPEC 9 has it. */
static void print_as_json(const json_t *line)
{
	const json_t *text = json_object_get(line, "line");
	if (logline_is_json((struct span){field_text(line, "line"), json_string_length(text)})) {
		fwrite(field_text(line, "line"), 1, json_string_length(text), stdout);
		putchar('\n');
		return;
	}
	json_t *object =
		json_pack("{s:O*,s:O*}", "ts", json_object_get(line, "time"), "level", json_object_get(line, "level"));
	if (field_text(line, "name")[0])
		json_object_set(object, field_text(line, "thing"), json_object_get(line, "name"));
	if (field_text(line, "stream")[0])
		json_object_set(object, "stream", json_object_get(line, "stream"));
	if (field_text(line, "command")[0])
		json_object_set(object, "command", json_object_get(line, "command"));
	json_object_set(object, "msg", json_object_get(line, "line"));
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static void print_line(const struct lines *l, const json_t *line)
{
	if (l->o->given[OPTION_JSON]) {
		print_as_json(line);
	} else if (l->for_people) {
		print_for_people(l, line);
	} else {
		fwrite(field_text(line, "line"), 1, json_string_length(json_object_get(line, "line")), stdout);
		putchar('\n');
	}
}

static void print_lines(struct lines *l, const json_t *answer)
{
	json_int_t missed = json_integer_value(json_object_get(answer, "missed"));
	const json_t *lines = json_object_get(answer, "lines");
	if (missed > 0)
		fprintf(stderr, "podvisor %s: %lld line%s overwritten before %s could be shown\n", l->o->verb,
			(long long)missed, missed == 1 ? " was" : "s were", missed == 1 ? "it" : "they");
	for (size_t i = 0; i < json_array_size(lines); i++)
		print_line(l, json_array_get(lines, i));
	snprintf(l->next, sizeof(l->next), "%s", field_text(answer, "next"));
	l->more = json_is_true(json_object_get(answer, "more"));
}

/* 0, or the exit code after a sentence. */
static int name_wanted(struct http_call *call, const struct options *o)
{
	int rc = 0;
	for (int i = 0; rc == 0 && i < o->n_names; i++) {
		size_t len = strlen(call->target);
		rc = (size_t)snprintf(call->target + len, sizeof(call->target) - len, "&name=") >=
				     sizeof(call->target) - len
			     ? -ENAMETOOLONG
			     : http_call_escape(call->target, sizeof(call->target), o->names[i]);
	}
	if (rc == 0 && o->n_names < NAMES_MAX)
		return 0;
	fprintf(stderr, "podvisor %s: these are too many names for one command\n", o->verb);
	return EX_USAGE;
}

static int get_lines(struct supervisor *s, struct lines *l)
{
	struct http_call call;
	json_t *answer = NULL;
	supervisor_call(&call, "GET", "/api/v1/logs?json=1%s%s%s", l->for_people ? "&plain=1" : "",
		l->next[0] ? "&after=" : "", l->next);
	if (!l->next[0])
		snprintf(call.target + strlen(call.target), sizeof(call.target) - strlen(call.target), "&lines=%d",
			l->o->lines);
	int code = name_wanted(&call, l->o);
	if (code == 0)
		code = supervisor_ask(s, &call, SUPERVISOR_PATIENCE_MS);
	if (code == 0 && call.status == 200)
		answer = supervisor_json(&call);
	if (code == 0 && !answer) {
		supervisor_tell_refusal(s, &call);
		code = call.status >= 400 && call.status < 500 ? 1 : EX_SOFTWARE;
	}
	if (code == 0)
		print_lines(l, answer);
	json_decref(answer);
	buf_fini(&call.body);
	return code;
}

int follow_logs_run(const struct options *o)
{
	struct supervisor s;
	struct lines l = {.o = o, .coloured = table_wants_colour(stdout, o->color)};
	l.for_people = !o->given[OPTION_JSON] && (l.coloured || isatty(STDOUT_FILENO));
	supervisor_init(&s, o);
	if (o->given[OPTION_FOLLOW])
		s.cancel_fd = interrupt_open();
	int code = get_lines(&s, &l);
	while (code == 0 && o->given[OPTION_FOLLOW] && fflush(stdout) == 0) {
		if (interrupt_wait(s.cancel_fd, l.more ? 0 : LOGS_EVERY_MS))
			return 0;
		code = get_lines(&s, &l);
	}
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
		fprintf(stderr, "podvisor %s: %lld event%s forgotten before %s could be shown\n", o->verb,
			(long long)missed, missed == 1 ? " was" : "s were", missed == 1 ? "it" : "they");
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
