#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "browsers_internal.h"
#include "podvisor/base/panic.h"

#define START_LIMIT_MS 10000 /* for the first answer of a rung; later ones have the configured limit */

struct browser_run *browser_run_new(struct browsers *b, const struct effect *e)
{
	const struct browser *browser = &b->context->world->browsers[e->slot];
	struct browser_run *r = calloc(1, sizeof(*r));
	if (!r)
		panic("out of memory");
	r->owner = b;
	r->instance = &b->instances[e->slot];
	r->run = e->run;
	r->generation = (uint64_t)e->value;
	r->source = config_hold(browser->source);
	r->config = browser->config;
	const char *path = browsers_volume_path(r->source, r->config);
	r->volume_path = strdup(path ? path : "");
	environment_init(&r->launch.env);
	list_append(&b->runs, &r->node);
	return r;
}

/* ---- the end of a run ---- */

void browser_run_drop_ports(struct browser_run *r)
{
	browser_census_free(r->census);
	browser_janitor_free(r->janitor);
	r->census = NULL;
	r->janitor = NULL;
	browser_probe_free(r->probe);
	browser_output_close(r->output);
	r->probe = NULL;
	r->output = NULL;
}

void browser_run_free(struct browser_run *r)
{
	browser_run_drop_ports(r);
	list_remove(&r->node);
	browser_launch_fini(&r->launch);
	config_release(r->source);
	free(r->volume_path);
	free(r);
}

void browser_run_give_up(struct browser_run *r, int error, const char *text)
{
	struct event e = {.kind = EVENT_BROWSER_UNSTARTABLE, .error = error};
	snprintf(e.text, sizeof(e.text), "%.*s", EVENT_TEXT_MAX - 1, text);
	r->ended = true;
	browser_run_drop_ports(r);
	browser_facts_post(r, &e);
}

void browser_run_on_exec_failed(void *ctx, struct process *p, int error, enum shim_step step)
{
	(void)ctx;
	struct browser_run *r = p->data;
	char text[EVENT_TEXT_MAX];
	if (step == SHIM_STEP_EXEC)
		snprintf(text, sizeof(text), "cannot execute %.80s: %s", r->launch.executable, strerror(-error));
	else
		snprintf(text, sizeof(text), "cannot %s: %s", shim_step_text(step), strerror(-error));
	browser_run_give_up(r, error, text);
}

/* ---- launching ---- */

static int open_ports(struct browser_run *r, int child_fds[2], int *output_fd, struct err *err)
{
	char profile[PATH_MAX + 16];
	snprintf(profile, sizeof(profile), "%s/profile", r->launch.directory);
	const struct config_browser *c = r->config;
	struct browser_probe_place place = {
		.profile = profile,
		.health_url = browser_endpoint_health_url(r->instance->endpoint),
		.limits = {[RUNG_BROWSER] = c->health_browser.timeout,
			[RUNG_RENDERER] = c->health_renderer.timeout,
			[RUNG_NETWORK] = c->health_network.timeout},
		.start_limit = START_LIMIT_MS,
	};
	const struct context *context = r->owner->context;
	int rc = browser_output_open(&r->output, context, c->name, r->run, output_fd, err);
	if (rc < 0)
		return rc;
	return browser_probe_new(&r->probe, context->loop, &place, &browser_facts_of_probe, r, child_fds, err);
}

static int spawn(struct browser_run *r, struct err *err)
{
	int child_fds[2] = {-1, -1}, output_fd = -1;
	int rc = open_ports(r, child_fds, &output_fd, err);
	struct process_spec spec = PROCESS_SPEC;
	const struct account *account = &r->launch.account;
	spec.name = r->config->name;
	spec.argv = r->launch.argv;
	spec.env = r->launch.env.vars;
	spec.cwd = r->launch.directory;
	spec.stdio[1] = spec.stdio[2] = output_fd;
	spec.extra_fds[0] = child_fds[0];
	spec.extra_fds[1] = child_fds[1];
	if (r->config->user) {
		spec.uid = account->uid;
		spec.gid = account->gid;
		spec.groups = account->groups;
		spec.n_groups = (size_t)account->n_groups;
	}
	r->process.data = r;
	if (rc == 0)
		rc = process_spawn(&r->owner->port, &r->process, &spec, err);
	const int ours[] = {child_fds[0], child_fds[1], output_fd};
	for (size_t i = 0; i < 3; i++)
		if (ours[i] >= 0)
			close(ours[i]);
	return rc;
}

/* In a thread: users are looked up, the disk is read and written. */
static void prepare(uv_work_t *work)
{
	struct browser_run *r = work->data;
	r->failure = (struct err){0};
	int rc = browser_launch_init(
		&r->launch, r->config, r->volume_path, r->generation, r->instance->sandbox_refused, &r->failure);
	if (rc == 0)
		rc = browser_launch_make_directories(&r->launch, !r->instance->wiped, &r->failure);
	r->failure.code = rc;
}

/* Back from the thread. False: nobody is there any more. */
static bool come_back(struct browser_run *r)
{
	struct browsers *b = r->owner;
	r->in_thread = false;
	if (!b->freed)
		return true;
	browser_run_free(r);
	browsers_release(b);
	return false;
}

static bool go_to_thread(struct browser_run *r, uv_work_cb work, uv_after_work_cb done)
{
	r->work.data = r;
	r->in_thread = uv_queue_work(&r->owner->context->loop->uv, &r->work, work, done) == 0;
	return r->in_thread;
}

static void on_prepared(uv_work_t *work, int status)
{
	(void)status;
	struct browser_run *r = work->data;
	struct err err = r->failure;
	if (!come_back(r))
		return;
	if (r->aborted)
		err_set(&err, -ECANCELED, "it was not wanted any more");
	if (err.code == 0)
		r->instance->wiped = true;
	if (err.code == 0 && spawn(r, &err) == 0)
		r->spawned = true;
	else
		browser_run_give_up(r, err.code, err.text);
}

void browser_run_start(struct browser_run *r)
{
	if (!go_to_thread(r, prepare, on_prepared))
		browser_run_give_up(r, -EAGAIN, "no thread to prepare its start");
}

/* ---- ending ---- */

/* One that is still being prepared has nothing to end: it is not started any more. */
void browser_run_end(struct browser_run *r, const struct effect *e)
{
	browser_endpoint_withdraw(r->instance->endpoint, r->generation);
	if (!r->spawned) {
		r->aborted = true;
		return;
	}
	if (e->kind == EFFECT_BROWSER_CLOSE && r->probe)
		browser_probe_end(r->probe);
	else if (e->kind == EFFECT_BROWSER_SIGNAL)
		process_signal(&r->process, (int)e->value);
	else if (e->kind == EFFECT_BROWSER_KILL)
		process_kill(&r->process);
}

static void on_removed(void *ctx, const struct err *failure)
{
	struct browser_run *r = ctx;
	struct event e = {.kind = EVENT_BROWSER_CLEANED, .killed = r->leftover};
	if (r->leftover)
		snprintf(e.text, sizeof(e.text), "%d of its processes cannot be ended", r->leftover);
	else if (failure->code)
		snprintf(e.text, sizeof(e.text), "left on its disk: %.*s", EVENT_TEXT_MAX - 24, failure->text);
	browser_facts_post(r, &e);
	browser_run_free(r);
}

/* Its shim has proven that nothing is left; this is the proof of the proof, from outside. */
static void sweep(uv_work_t *work)
{
	struct browser_run *r = work->data;
	r->leftover = chrome_tree_sweep(r->launch.directory);
}

static void on_swept(uv_work_t *work, int status)
{
	(void)status;
	struct browser_run *r = work->data;
	if (come_back(r) && remover_start(r->owner->remover, r->launch.directory, r->launch.trash, on_removed, r) < 0)
		panic("out of memory");
}

void browser_run_clean(struct browser_run *r)
{
	const struct err nothing = {0};
	if (!r->launch.directory[0])
		on_removed(r, &nothing);
	else if (!go_to_thread(r, sweep, on_swept))
		panic("no thread to look what a browser has left");
}
