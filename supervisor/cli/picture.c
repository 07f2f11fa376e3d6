#include "podvisor/cli/picture.h"

#include <stdlib.h>
#include <string.h>

#include "podvisor/cli/field.h"
#include "podvisor/cli/table.h"

/* ---- cells ---- */

static void put_text(struct table *t, const json_t *object, const char *key)
{
	table_cell(t, field_text(object, key));
}

static void put_state(struct table *t, const json_t *object)
{
	table_state(t, field_text(object, "state"));
}

static void put_number(struct table *t, const json_t *object, const char *key)
{
	double value = field_number(object, key);
	if (value < 0)
		table_cell(t, "-");
	else
		table_printf(t, "%.0f", value);
}

static void put_span(struct table *t, const json_t *object, const char *key)
{
	char span[TABLE_TEXT_MAX];
	table_span(field_number(object, key), span);
	table_cell(t, span[0] ? span : "-");
}

static void put_size(struct table *t, const json_t *object, const char *key)
{
	char size[TABLE_TEXT_MAX];
	table_size(field_number(object, key), size);
	table_cell(t, size[0] ? size : "-");
}

static void put_progress(struct table *t, const json_t *progress)
{
	char span[TABLE_TEXT_MAX];
	if (field_number(progress, "value") < 0)
		table_cell(t, "");
	else
		table_printf(t, "at %.0f for %s", field_number(progress, "value"),
			table_span(field_number(progress, "age_seconds"), span));
}

/* The reason, unless it only repeats the pid; then what the worker says of itself, or how far its work is. */
static void put_reason(struct table *t, const json_t *item)
{
	char pid[TABLE_TEXT_MAX];
	const char *reason = field_text(item, "reason"), *words = field_text(item, "status_text");
	snprintf(pid, sizeof(pid), "pid %.0f", field_number(item, "pid"));
	if (reason[0] && strcmp(reason, pid) != 0)
		table_cell(t, reason);
	else if (words[0])
		table_cell(t, words);
	else
		put_progress(t, json_object_get(item, "progress"));
}

/* ---- one row of each kind ---- */

static void put_worker(struct table *t, const json_t *w)
{
	const json_t *usage = field_number(w, "pid") > 0 ? json_object_get(w, "usage") : NULL;
	put_text(t, w, "name");
	put_state(t, w);
	put_span(t, w, "since_seconds");
	put_span(t, w, "uptime_seconds");
	put_number(t, w, "pid");
	put_number(t, w, "restarts");
	put_size(t, usage, "memory_bytes");
	put_span(t, usage, "cpu_seconds");
	put_reason(t, w);
}

/* "renderer 3 210Mi, browser 1 80Mi": each type of process, how many, and the memory of them together. */
static void put_types(struct table *t, const json_t *b)
{
	char line[256] = "", size[TABLE_TEXT_MAX];
	size_t n = 0;
	const char *type;
	const json_t *count, *memory = json_object_get(b, "memory_by_type");
	json_object_foreach((json_t *)json_object_get(b, "processes_by_type"), type, count)
	{
		table_size(json_number_value(json_object_get(memory, type)), size);
		if (n < sizeof(line))
			n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s %.0f %s", n ? ", " : "", type,
				json_number_value(count), size);
	}
	table_cell(t, line[0] ? line : "-");
}

static void put_browser(struct table *t, const json_t *b)
{
	put_text(t, b, "name");
	put_state(t, b);
	put_span(t, b, "since_seconds");
	put_number(t, b, "generation");
	put_number(t, b, "pid");
	put_number(t, b, "recycles");
	put_number(t, b, "sessions");
	put_number(t, b, "pages");
	put_size(t, b, "memory_bytes");
	put_types(t, b);
	put_text(t, b, "listen");
	put_reason(t, b);
}

static void put_database(struct table *t, const json_t *d)
{
	put_text(t, d, "name");
	put_state(t, d);
	put_span(t, d, "since_seconds");
	if (field_number(d, "max_connections") < 0)
		table_cell(t, "-");
	else
		table_printf(t, "%.0f of %.0f", field_number(d, "connections"), field_number(d, "max_connections"));
	const char *reason = field_text(d, "reason"), *words = field_text(d, "text");
	table_printf(t, "%s%s%s", reason, reason[0] && words[0] ? ": " : "", words);
}

static void put_inodes(struct table *t, const json_t *v)
{
	double used = field_number(v, "used_inodes"), size = field_number(v, "size_inodes");
	if (used < 0)
		table_cell(t, "-");
	else if (size < 0)
		table_printf(t, "%.0f", used);
	else
		table_printf(t, "%.0f of %.0f", used, size);
}

/* How its last purge ended; before the first what it is. */
static void put_purge(struct table *t, const json_t *v)
{
	const json_t *purge = json_object_get(v, "purge");
	const char *text = field_text(purge, "text");
	if (json_is_true(json_object_get(purge, "running")))
		table_cell(t, "purging");
	else if (text[0])
		table_printf(t, "last purge: %s", text);
	else
		put_text(t, v, "text");
}

static void put_lease(struct table *t, const json_t *l)
{
	put_text(t, l, "name");
	put_state(t, l);
	put_span(t, l, "since_seconds");
	put_text(t, l, "holder");
	put_span(t, l, "deadline_seconds");
	put_text(t, l, field_text(l, "trouble")[0] ? "trouble" : "reason");
}

static void put_volume(struct table *t, const json_t *v)
{
	char used[TABLE_TEXT_MAX], size[TABLE_TEXT_MAX];
	put_text(t, v, "name");
	put_state(t, v);
	put_span(t, v, "since_seconds");
	if (field_number(v, "used_bytes") < 0)
		table_printf(t, "? of %s", table_size(field_number(v, "size_bytes"), size));
	else
		table_printf(t, "%s of %s", table_size(field_number(v, "used_bytes"), used),
			table_size(field_number(v, "size_bytes"), size));
	put_inodes(t, v);
	put_size(t, json_object_get(v, "purge"), "bytes_total");
	put_text(t, v, "path");
	put_purge(t, v);
}

static void put_gateway(struct table *t, const json_t *g)
{
	const json_t *connections = json_object_get(g, "connections");
	put_text(t, g, "listen");
	table_state(t, json_is_true(json_object_get(g, "listening")) ? "listening" : "closed");
	put_number(t, connections, "http");
	put_number(t, connections, "idle");
	put_number(t, connections, "websocket");
	put_number(t, g, "requests");
}

/* lesser: columns that a narrow terminal goes without, as in table.h. */
struct section {
	const char *key;
	int columns;
	const char *titles[TABLE_COLUMNS_MAX];
	void (*put)(struct table *t, const json_t *item);
	unsigned char lesser[TABLE_COLUMNS_MAX];
};

/* UP and CPU are of the process: how long it runs, and what it used. */
static const struct section sections[] = {
	{"workers", 9, {"WORKER", "STATE", "SINCE", "UP", "PID", "RESTARTS", "MEMORY", "CPU", "REASON"}, put_worker,
		{7, 3, 6, 4, 5, 2}},
	{"browsers", 12,
		{"BROWSER", "STATE", "SINCE", "GENERATION", "PID", "RECYCLES", "SESSIONS", "PAGES", "MEMORY",
			"PROCESSES", "LISTEN", "REASON"},
		put_browser, {9, 7, 4, 8, 5, 3, 10}},
	{"postgres", 5, {"DATABASE", "STATE", "SINCE", "CONNECTIONS", "REASON"}, put_database, {3}},
	{"leases", 6, {"LEASE", "STATE", "SINCE", "HOLDER", "DEADLINE", "REASON"}, put_lease, {2, 4}},
	{"volumes", 8, {"VOLUME", "STATE", "SINCE", "USED", "INODES", "PURGED", "PATH", "REASON"}, put_volume,
		{4, 2, 5, 6}},
	{"gateway", 6, {"GATEWAY", "STATE", "HTTP", "IDLE", "WEBSOCKETS", "REQUESTS"}, put_gateway, {3, 5}},
};

/* The index of each item, what is wrong first and else as they came; NULL: as they came. */
static size_t *in_order(const json_t *items, size_t n)
{
	size_t *order = calloc(n, sizeof(*order)), filled = 0;
	for (int badness = 2; order && badness >= 0; badness--)
		for (size_t i = 0; i < n; i++)
			if (table_badness(field_text(json_array_get(items, i), "state")) == badness)
				order[filled++] = i;
	return order;
}

static void put_items(struct table *t, const struct section *s, const json_t *items)
{
	size_t n = json_array_size(items), *order = in_order(items, n);
	for (size_t i = 0; i < n; i++)
		s->put(t, json_array_get(items, order ? order[i] : i));
	free(order);
}

/* A list of items, or one item by itself. */
static void print_section(FILE *to, const struct section *s, const json_t *value, bool coloured, int columns)
{
	bool single = json_is_object(value) && json_object_size(value);
	struct table t;
	if (!single && json_array_size(value) == 0)
		return;
	table_init(&t, s->columns);
	t.lesser = s->lesser;
	for (int i = 0; i < s->columns; i++)
		table_cell(&t, s->titles[i]);
	if (single)
		s->put(&t, value);
	else
		put_items(&t, s, value);
	fputc('\n', to);
	table_print(&t, to, coloured, columns);
	table_fini(&t);
}

static void print_lines(FILE *to, const json_t *lines, bool coloured, const char *state)
{
	for (size_t i = 0; i < json_array_size(lines); i++) {
		fputs("  ", to);
		table_put_state(to, coloured, state, field_item(lines, i));
		fputc('\n', to);
	}
}

static void print_head(FILE *to, const json_t *status, bool coloured)
{
	char span[TABLE_TEXT_MAX];
	bool ready = json_is_true(json_object_get(status, "ready"));
	const char *instance = field_text(status, "instance");
	table_put_clean(to, instance[0] ? instance : "podvisor");
	fputs(": ", to);
	table_put_state(to, coloured, ready ? "ready" : "failed", ready ? "ready" : "not ready");
	fprintf(to, ", up %s, pid %.0f, podvisor ", table_span(field_number(status, "uptime_seconds"), span),
		field_number(status, "pid"));
	table_put_clean(to, field_text(status, "version"));
	fputc('\n', to);
	print_lines(to, json_object_get(status, "reasons"), coloured, "failed");
	print_lines(to, json_object_get(status, "remarks"), coloured, "degraded");
}

static void print_guard(FILE *to, const json_t *guard, bool coloured)
{
	char high[TABLE_TEXT_MAX];
	const char *state = field_text(guard, "state"), *step = field_text(guard, "last_step_text");
	bool acts = strcmp(state, "high") == 0 || strcmp(state, "acting") == 0;
	if (strcmp(state, "off") == 0)
		fputs(", the guard is off", to);
	if (table_size(field_number(guard, "high_bytes"), high)[0])
		fprintf(to, ", the guard acts above %s", high);
	if (!acts)
		return;
	fputs(": ", to);
	table_put_state(to, coloured, "degraded", state);
	fputs(step[0] ? ", " : "", to);
	table_put_clean(to, step);
}

static void print_memory(FILE *to, const json_t *memory, bool coloured)
{
	char used[TABLE_TEXT_MAX], limit[TABLE_TEXT_MAX];
	table_size(field_number(memory, "used_bytes"), used);
	table_size(field_number(memory, "limit_bytes"), limit);
	if (!used[0])
		return;
	fprintf(to, "memory: %s%s%s", used, limit[0] ? " of " : "", limit);
	print_guard(to, json_object_get(memory, "guard"), coloured);
	fputc('\n', to);
}

/* Without a gateway there is nothing to tell while it serves. */
static void print_drain(FILE *to, const json_t *drain, bool coloured, bool has_gateway)
{
	char span[TABLE_TEXT_MAX];
	const char *state = field_text(drain, "state"), *why = field_text(drain, "why"),
		   *summary = field_text(drain, "summary");
	bool serving = strcmp(state, "serving") == 0;
	if (!state[0] || (serving && !summary[0] && !has_gateway))
		return;
	fputs("drain: ", to);
	table_put_state(to, coloured, state, state);
	if (!serving) {
		fprintf(to, " for %s", table_span(field_number(drain, "since_seconds"), span));
		fputs(why[0] ? ": " : "", to);
		table_put_clean(to, why);
		if (table_span(field_number(drain, "estimate_seconds"), span)[0])
			fprintf(to, ", drained in about %s", span);
		if (table_span(field_number(drain, "remaining_seconds"), span)[0])
			fprintf(to, ", at most %s to go", span);
	}
	fputs(summary[0] ? "; " : "", to);
	table_put_clean(to, summary);
	fputc('\n', to);
}

void picture_print(FILE *to, const json_t *status, bool coloured, int columns)
{
	print_head(to, status, coloured);
	print_drain(to, json_object_get(status, "drain"), coloured, json_is_object(json_object_get(status, "gateway")));
	print_memory(to, json_object_get(status, "memory"), coloured);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		print_section(to, &sections[i], json_object_get(status, sections[i].key), coloured, columns);
}

char *picture_text(const json_t *status, bool coloured, int columns)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return NULL;
	picture_print(to, status, coloured, columns);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}
