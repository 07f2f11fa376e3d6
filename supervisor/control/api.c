#include "podvisor/control/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "podvisor/base/nearest.h"
#include "podvisor/control/remembered.h"
#include "podvisor/control/shapes.h"
#include "podvisor/io/server.h"

#define CHANGES_MAX (1024 * 1024)
#define PATIENCE_MS 1000

static const char *version_of(const struct control_port *port)
{
	return port->version ? port->version : "unknown";
}

void api_status(const struct api_call *c)
{
	if (c->port->measure)
		c->port->measure(c->port->ctx);
	answer_json(c->answer, 200, shapes_status(c->s, version_of(c->port)));
}

/* ---- workers and browsers by name ---- */

/* Those that name means ("": all); runs: with their history. */
static json_t *shape_named(const struct snapshot *s, const char *name, bool runs)
{
	const struct world *w = s->world;
	json_t *workers = json_array(), *browsers = json_array();
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && (!name[0] || waits_means_worker(w, i, name)))
			json_array_append_new(workers, shapes_worker(s, i, runs));
	for (size_t i = 0; i < w->n_browsers; i++)
		if (!name[0] || (json_array_size(workers) == 0 && strcmp(w->browsers[i].config->name, name) == 0))
			json_array_append_new(browsers, shapes_browser(s, i));
	return json_pack("{s:o,s:o}", "workers", workers, "browsers", browsers);
}

static bool is_known(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (waits_means_worker(w, i, name))
			return true;
	return world_find_browser(w, name) >= 0;
}

static void refuse_unknown(const struct world *w, const char *name, struct answer *a)
{
	struct nearest near;
	nearest_init(&near, name);
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config) {
			nearest_offer(&near, w->workers[i].config->name);
			nearest_offer(&near, w->workers[i].name);
		}
	for (size_t i = 0; i < w->n_browsers; i++)
		nearest_offer(&near, w->browsers[i].config->name);
	char text[ERR_TEXT_MAX];
	snprintf(text, sizeof(text), "no worker or browser named \"%.200s\"%s%s%s", name,
		near.best ? "; did you mean \"" : "", near.best ? near.best : "", near.best ? "\"?" : "");
	answer_json(a, 404,
		json_pack("{s:o,s:o}", "error", answer_string(text), "nearest",
			near.best ? answer_string(near.best) : json_null()));
}

void api_workers(const struct api_call *c)
{
	if (c->port->measure)
		c->port->measure(c->port->ctx);
	answer_json(c->answer, 200, shape_named(c->s, "", false));
}

void api_worker(const struct api_call *c)
{
	if (!is_known(c->s->world, c->name))
		refuse_unknown(c->s->world, c->name, c->answer);
	else
		answer_json(c->answer, 200, shape_named(c->s, c->name, true));
}

void api_drain(const struct api_call *c)
{
	answer_json(c->answer, 200, shapes_drain(c->s));
}

void api_logs(const struct api_call *c)
{
	const char *names[SERVER_ARGS_MAX + 1];
	size_t n = 0;
	query_all(c->query, "name", names, SERVER_ARGS_MAX + 1);
	for (const char **name = names; *name; name++) {
		if ((*name)[0] && !is_known(c->s->world, *name)) {
			refuse_unknown(c->s->world, *name, c->answer);
			return;
		}
		if ((*name)[0])
			names[n++] = *name;
	}
	names[n] = NULL;
	remembered_answer(c->port, c->query, names, c->answer);
}

/* ---- wishes ---- */

static const struct wish {
	enum event_kind worker, browser;
	enum wait_kind wait;
} wishes[] = {
	{EVENT_ASKED_START, EVENT_ASKED_BROWSER_START, WAIT_START},
	{EVENT_ASKED_STOP, EVENT_ASKED_BROWSER_STOP, WAIT_STOP},
	{EVENT_ASKED_RESTART, EVENT_ASKED_BROWSER_RESTART, WAIT_RESTART},
};

static void post(const struct api_call *c, enum event_kind kind, size_t slot)
{
	struct event e = {.kind = kind, .slot = (uint32_t)slot};
	snprintf(e.text, sizeof(e.text), "asked for through the API");
	c->port->post(c->port->ctx, &e);
}

static void post_to_named(const struct api_call *c, const struct wish *wish)
{
	const struct world *w = c->s->world;
	bool any = false;
	for (size_t i = 0; i < w->n_workers; i++)
		if (waits_means_worker(w, i, c->name)) {
			any = true;
			post(c, wish->worker, i);
		}
	if (!any)
		post(c, wish->browser, (size_t)world_find_browser(w, c->name));
}

static json_t *shape_asked(const struct snapshot *s, const char *name, bool done)
{
	json_t *object = shape_named(s, name, false);
	json_object_set_new(object, "done", json_boolean(done));
	return object;
}

/* Returns false, and has answered, when ?wait= is wrong. */
static bool read_wait(const struct api_call *c, int64_t *wait_s)
{
	struct err err;
	if (query_number(c->query, "wait", 0, API_WAIT_MAX_S, 0, wait_s, &err) == 0)
		return true;
	answer_error(c->answer, 400, "%s", err.text);
	return false;
}

/* Runs from this number on are what the request is about. To start a job that runs already is about that run. */
static uint64_t mark_for(const struct world *w, const struct wish *wish, const char *name)
{
	int slot = world_find_worker(w, name);
	bool runs = slot >= 0 && w->workers[slot].config->kind == WORKER_JOB && worker_is_running(&w->workers[slot]);
	return runs && wish->wait == WAIT_START ? w->workers[slot].run : w->next_run;
}

static void ask(const struct api_call *c, const struct wish *wish)
{
	int64_t wait_s;
	const struct world *w = c->s->world;
	if (!is_known(w, c->name)) {
		refuse_unknown(w, c->name, c->answer);
		return;
	}
	if (!read_wait(c, &wait_s))
		return;
	if (w->drain.shutdown && wish->wait != WAIT_STOP) {
		answer_error(c->answer, 409, "podvisor is stopping: nothing is started any more");
		return;
	}
	post_to_named(c, wish);
	if (wait_s == 0) {
		answer_json(c->answer, 202, shape_asked(c->s, c->name, false));
		return;
	}
	*c->wait = (struct wait){.kind = wish->wait,
		.until = clock_after(c->s->now, wait_s * 1000),
		.mark = mark_for(w, wish, c->name),
		.patient_until = clock_after(c->s->now, PATIENCE_MS)};
	snprintf(c->wait->name, sizeof(c->wait->name), "%s", c->name);
}

void api_start(const struct api_call *c)
{
	ask(c, &wishes[0]);
}

void api_stop(const struct api_call *c)
{
	ask(c, &wishes[1]);
}

void api_restart(const struct api_call *c)
{
	ask(c, &wishes[2]);
}

void api_begin_drain(const struct api_call *c)
{
	int64_t wait_s;
	if (!read_wait(c, &wait_s))
		return;
	post(c, EVENT_ASKED_DRAIN, 0);
	if (wait_s > 0)
		*c->wait = (struct wait){.kind = WAIT_DRAINED, .until = clock_after(c->s->now, wait_s * 1000)};
	else
		answer_json(c->answer, 202, shapes_drain(c->s));
}

void api_end_drain(const struct api_call *c)
{
	if (c->s->world->drain.shutdown) {
		answer_error(c->answer, 409, "podvisor is stopping: this drain cannot be taken back");
		return;
	}
	post(c, EVENT_ASKED_UNDRAIN, 0);
	answer_json(c->answer, 202, shapes_drain(c->s));
}

void api_answer_waited(const struct snapshot *s, const struct wait *wait, bool done, struct answer *a)
{
	int status = done ? 200 : 202;
	json_t *shape = wait->kind == WAIT_DRAINED ? shapes_drain(s) : shape_asked(s, wait->name, done);
	if (waits_is_kept(wait, s))
		json_object_set_new(shape, "kept", json_true());
	answer_json(a, status, shape);
}

/* ---- reload ---- */

static json_t *lines_of(const struct buf *text)
{
	json_t *list = json_array();
	char line[ERR_TEXT_MAX];
	for (const char *at = buf_str(text); *at;) {
		size_t n = strcspn(at, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)n, at);
		if (n)
			json_array_append_new(list, answer_string(line));
		at += n + (at[n] == '\n');
	}
	return list;
}

void api_reload(const struct api_call *c)
{
	struct buf lines, warnings;
	struct err err = {0};
	bool dry_run = query_is_set(c->query, "dry_run");
	buf_init(&lines, CHANGES_MAX);
	buf_init(&warnings, CHANGES_MAX);
	int rc = c->port->reload(c->port->ctx, dry_run, &lines, &warnings, &err);
	if (rc == -EBUSY)
		answer_json(c->answer, 409, json_pack("{s:o,s:b}", "error", answer_string(err.text), "stopping", true));
	else if (rc == 0)
		answer_json(c->answer, 200,
			json_pack("{s:o,s:o,s:b}", "changes", lines_of(&lines), "warnings", lines_of(&warnings),
				"dry_run", dry_run));
	else
		answer_json(c->answer, rc == -ENOTSUP ? 409 : 422,
			json_pack("{s:o,s:o}", "error", answer_string(err.text), "mistakes", lines_of(&lines)));
	buf_fini(&lines);
	buf_fini(&warnings);
}
