#include "podvisor/runtime/browsers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/base/panic.h"
#include "podvisor/io/process.h"
#include "podvisor/io/remove_tree.h"
#include "podvisor/io/tree_usage.h"
#include "podvisor/runtime/browser_endpoint.h"
#include "podvisor/runtime/browser_launch.h"
#include "podvisor/runtime/browser_output.h"
#include "podvisor/runtime/browser_probe.h"

#define CENSUS_MS      10000
#define START_LIMIT_MS 10000 /* for the first answer of a rung; later ones have the configured limit */

/* What outlives the generations of one browser. */
struct instance {
	struct browsers *owner;
	uint32_t slot;
	struct config *source; /* held for the endpoint, which borrows from it */
	struct browser_endpoint *endpoint;
	bool wiped; /* what earlier lives of podvisor left has been removed */
	bool sandbox_refused;
};

/* One generation, from the launch until its directory is removed. */
struct run {
	struct list node;
	struct browsers *owner;
	struct instance *instance;
	uint64_t run, generation;
	struct config *source; /* held */
	const struct config_browser *config;
	char *volume_path;
	uv_work_t prepare;
	struct err failure; /* of preparing */
	struct browser_launch launch;
	struct process process;
	struct browser_probe *probe;
	struct browser_output *output;
	bool preparing, aborted, spawned, ended;
};

/* One look at the processes of a run, in a thread. */
struct census {
	uv_work_t work;
	struct browsers *owner; /* NULL: freed meanwhile */
	struct list node;
	uint32_t slot;
	pid_t shim;
	int rc;
	struct tree_usage usage;
};

struct browsers {
	const struct context *context;
	struct process_port port;
	struct remover *remover;
	struct list runs, censuses;
	struct instance *instances;
	size_t n_instances;
	uv_timer_t tick;
	uv_idle_t last;
	bool freed, closed; /* closed: what may still be in a thread holds the memory */
};

static void post(const struct run *r, struct event *e)
{
	e->slot = r->instance->slot;
	e->run = r->run;
	loop_post(r->owner->context->loop, e);
}

static struct browser_meter *meter_of(const struct browsers *b, uint32_t slot)
{
	return &b->context->meters->browsers[slot];
}

static struct run *find(const struct browsers *b, uint64_t run)
{
	LIST_EACH (at, (struct list *)&b->runs) {
		struct run *r = LIST_ENTRY(at, struct run, node);
		if (r->run == run)
			return r;
	}
	return NULL;
}

/* ---- the end of a run ---- */

static void drop_ports(struct run *r)
{
	browser_probe_free(r->probe);
	browser_output_close(r->output);
	r->probe = NULL;
	r->output = NULL;
}

static void run_free(struct run *r)
{
	drop_ports(r);
	list_remove(&r->node);
	browser_launch_fini(&r->launch);
	config_release(r->source);
	free(r->volume_path);
	free(r);
}

static void post_unstartable(struct run *r, int error, const char *text)
{
	struct event e = {.kind = EVENT_BROWSER_UNSTARTABLE, .error = error};
	snprintf(e.text, sizeof(e.text), "%.*s", EVENT_TEXT_MAX - 1, text);
	r->ended = true;
	drop_ports(r);
	post(r, &e);
}

static void clear_meter(const struct run *r)
{
	struct browser_meter *m = meter_of(r->owner, r->instance->slot);
	*m = (struct browser_meter){.sessions = m->sessions};
}

/* ---- what the process tells ---- */

static void on_started(void *ctx, struct process *p, pid_t pid)
{
	(void)ctx;
	struct run *r = p->data;
	struct event e = {.kind = EVENT_BROWSER_STARTED, .pid = pid};
	snprintf(e.text, sizeof(e.text), "%s", r->launch.remark);
	meter_of(r->owner, r->instance->slot)->sandboxed = r->launch.sandboxed;
	post(r, &e);
}

static void on_exec_failed(void *ctx, struct process *p, int error, enum shim_step step)
{
	(void)ctx;
	struct run *r = p->data;
	char text[EVENT_TEXT_MAX];
	if (step == SHIM_STEP_EXEC)
		snprintf(text, sizeof(text), "cannot execute %.80s: %s", r->launch.executable, strerror(-error));
	else
		snprintf(text, sizeof(text), "cannot %s: %s", shim_step_text(step), strerror(-error));
	post_unstartable(r, error, text);
}

static void on_exited(void *ctx, struct process *p, const struct process_exit *end)
{
	(void)ctx;
	struct run *r = p->data;
	struct event e = {.kind = EVENT_BROWSER_EXITED};
	e.exited.status = end->status;
	e.exited.cpu_us = end->cpu_us;
	e.exited.peak_bytes = end->peak_bytes;
	browser_output_drain(r->output);
	/* One that ended in order, or was killed, has not said why. */
	if (end->status != 0 && !(WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL))
		snprintf(e.text, sizeof(e.text), "%s", browser_output_last(r->output));
	if (r->launch.sandboxed && browser_output_sandbox_refused(r->output))
		r->instance->sandbox_refused = true;
	browser_endpoint_withdraw(r->instance->endpoint, r->generation);
	post(r, &e);
}

static void on_gone(void *ctx, struct process *p, int killed)
{
	(void)ctx;
	struct run *r = p->data;
	struct event e = {.kind = EVENT_BROWSER_GONE, .killed = killed};
	r->ended = true;
	browser_output_drain(r->output);
	drop_ports(r);
	clear_meter(r);
	post(r, &e);
}

/* ---- what Chrome tells ---- */

static void on_answered(void *ctx, enum rung rung, int64_t took_us, int port, const char *failure)
{
	struct event e = {.kind = EVENT_BROWSER_ANSWERED};
	e.browser.rung = rung;
	e.browser.ok = failure[0] == '\0';
	e.browser.took_us = took_us;
	e.browser.port = port;
	snprintf(e.text, sizeof(e.text), "%s", failure);
	post(ctx, &e);
}

static void on_page_lost(void *ctx, bool own, const char *text)
{
	struct event e = {.kind = EVENT_BROWSER_PAGE_LOST};
	e.browser.own = own;
	snprintf(e.text, sizeof(e.text), "%s", text);
	post(ctx, &e);
}

static void on_counted(void *ctx, int64_t attached, int64_t detached)
{
	struct run *r = ctx;
	struct browser_meter *m = meter_of(r->owner, r->instance->slot);
	m->pages_attached = attached;
	m->pages_detached = detached;
}

static const struct browser_probe_calls probe_calls = {
	.answered = on_answered, .page_lost = on_page_lost, .counted = on_counted};

/* ---- launching ---- */

static int open_ports(struct run *r, int child_fds[2], int *output_fd, struct err *err)
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
	return browser_probe_new(&r->probe, context->loop, &place, &probe_calls, r, child_fds, err);
}

static int spawn(struct run *r, struct err *err)
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
	struct run *r = work->data;
	r->failure = (struct err){0};
	int rc = browser_launch_init(
		&r->launch, r->config, r->volume_path, r->generation, r->instance->sandbox_refused, &r->failure);
	if (rc == 0)
		rc = browser_launch_make_directories(&r->launch, !r->instance->wiped, &r->failure);
	r->failure.code = rc;
}

static void release(struct browsers *b);

static void on_prepared(uv_work_t *work, int status)
{
	(void)status;
	struct run *r = work->data;
	struct err err = r->failure;
	r->preparing = false;
	if (r->owner->freed) {
		struct browsers *b = r->owner;
		run_free(r);
		release(b);
		return;
	}
	if (r->aborted)
		err_set(&err, -ECANCELED, "it was not wanted any more");
	if (err.code == 0)
		r->instance->wiped = true;
	if (err.code == 0 && spawn(r, &err) == 0)
		r->spawned = true;
	else
		post_unstartable(r, err.code, err.text);
}

/* The endpoint takes the configuration that this generation is started with. */
static int open_endpoint(struct instance *i, const struct run *r, struct err *err)
{
	struct browsers *b = i->owner;
	int rc = 0;
	if (!i->endpoint)
		rc = browser_endpoint_new(&i->endpoint, b->context->loop, r->source->instance, r->config->name,
			NULL, NULL, &meter_of(b, i->slot)->sessions, err);
	if (rc == 0)
		rc = browser_endpoint_configure(i->endpoint, r->config, err);
	if (rc == 0) {
		struct config *old = i->source;
		i->source = config_hold(r->source);
		config_release(old);
	}
	return rc;
}

static const char *volume_path(const struct config *config, const struct config_browser *browser)
{
	return browser->volume_ref.index < config->n_volumes ? config->volumes[browser->volume_ref.index].path : NULL;
}

static struct run *run_new(struct browsers *b, const struct effect *e)
{
	const struct browser *browser = &b->context->world->browsers[e->slot];
	struct run *r = calloc(1, sizeof(*r));
	if (!r)
		panic("out of memory");
	r->owner = b;
	r->instance = &b->instances[e->slot];
	r->run = e->run;
	r->generation = (uint64_t)e->value;
	r->source = config_hold(browser->source);
	r->config = browser->config;
	const char *path = volume_path(r->source, r->config);
	r->volume_path = strdup(path ? path : "");
	environment_init(&r->launch.env);
	list_append(&b->runs, &r->node);
	return r;
}

static void launch(struct browsers *b, const struct effect *e)
{
	struct run *r = run_new(b, e);
	struct err err = {0};
	if (open_endpoint(r->instance, r, &err) < 0) {
		post_unstartable(r, err.code, err.text);
		return;
	}
	r->prepare.data = r;
	r->preparing = uv_queue_work(&b->context->loop->uv, &r->prepare, prepare, on_prepared) == 0;
	if (!r->preparing)
		post_unstartable(r, -EAGAIN, "no thread to prepare its start");
}

/* ---- the other effects ---- */

static bool is_hidden(void *ctx, const char *target)
{
	return browser_probe_hides(ctx, target);
}

static void serve(struct run *r)
{
	if (!r->probe || !browser_probe_version(r->probe))
		return;
	struct browser_backend backend = {
		.generation = r->generation,
		.port = r->owner->context->world->browsers[r->instance->slot].port,
		.id = browser_probe_id(r->probe),
		.version = browser_probe_version(r->probe),
		.is_hidden = is_hidden,
		.ctx = r->probe,
	};
	browser_endpoint_offer(r->instance->endpoint, &backend);
}

/* One that is still being prepared has nothing to end: it is not started any more. */
static void end(struct run *r, const struct effect *e)
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
	struct run *r = ctx;
	struct event e = {.kind = EVENT_BROWSER_CLEANED};
	if (failure->code)
		snprintf(e.text, sizeof(e.text), "left on its disk: %.*s", EVENT_TEXT_MAX - 24, failure->text);
	post(r, &e);
	run_free(r);
}

static void clean(struct run *r)
{
	const struct err nothing = {0};
	if (!r->launch.directory[0])
		on_removed(r, &nothing);
	else if (remover_start(r->owner->remover, r->launch.directory, r->launch.trash, on_removed, r) < 0)
		panic("out of memory");
}

static void probe(struct run *r, int64_t value)
{
	if (r->probe)
		browser_probe_ask(r->probe, (enum rung)(value & ~BROWSER_PROBE_FRESH), value & BROWSER_PROBE_FRESH);
}

void browsers_do(struct browsers *b, const struct effect *e)
{
	struct run *r = e->kind == EFFECT_BROWSER_LAUNCH ? NULL : find(b, e->run);
	if (e->slot >= b->n_instances || (!r && e->kind != EFFECT_BROWSER_LAUNCH))
		return;
	switch (e->kind) {
	case EFFECT_BROWSER_LAUNCH:
		launch(b, e);
		break;
	case EFFECT_BROWSER_PROBE:
		probe(r, e->value);
		break;
	case EFFECT_BROWSER_SERVE:
		serve(r);
		break;
	case EFFECT_BROWSER_CLOSE:
	case EFFECT_BROWSER_SIGNAL:
	case EFFECT_BROWSER_KILL:
		end(r, e);
		break;
	case EFFECT_BROWSER_CLEAN:
		clean(r);
		break;
	default:
		break;
	}
}

/* ---- the census ---- */

static void look(uv_work_t *work)
{
	struct census *c = work->data;
	c->rc = tree_usage_read(&c->shim, 1, &c->usage);
}

static void on_looked(uv_work_t *work, int status)
{
	(void)status;
	struct census *c = work->data;
	struct browsers *b = c->owner;
	list_remove(&c->node);
	if (!b->freed && c->rc == 0) {
		meter_of(b, c->slot)->processes = c->usage.processes;
		meter_of(b, c->slot)->memory_bytes = c->usage.memory_bytes;
	}
	free(c);
	if (b->freed)
		release(b);
}

static bool is_counted_now(const struct browsers *b, uint32_t slot)
{
	LIST_EACH (at, (struct list *)&b->censuses)
		if (LIST_ENTRY(at, struct census, node)->slot == slot)
			return true;
	return false;
}

static void count(struct browsers *b, const struct run *r)
{
	pid_t shim = process_shim_pid(&r->process);
	struct census *c = shim && !is_counted_now(b, r->instance->slot) ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return;
	*c = (struct census){.owner = b, .slot = r->instance->slot, .shim = shim};
	c->work.data = c;
	list_append(&b->censuses, &c->node);
	if (uv_queue_work(&b->context->loop->uv, &c->work, look, on_looked) != 0) {
		list_remove(&c->node);
		free(c);
	}
}

static void on_tick(uv_timer_t *handle)
{
	struct browsers *b = handle->data;
	LIST_EACH (at, &b->runs) {
		struct run *r = LIST_ENTRY(at, struct run, node);
		if (r->ended || !r->spawned)
			continue;
		count(b, r);
		browser_probe_count(r->probe);
	}
}

/* ---- life ---- */

int browsers_new(struct browsers **out, const struct context *c, struct err *err)
{
	size_t n = c->world->n_browsers;
	struct browsers *b = calloc(1, sizeof(*b));
	struct instance *instances = calloc(n + 1, sizeof(*instances));
	struct browser_meter *meters = calloc(n + 1, sizeof(*meters));
	if (!b || !instances || !meters || remover_new(&b->remover, c->loop, err) < 0) {
		free(b);
		free(instances);
		free(meters);
		return err_set(err, -ENOMEM, "out of memory");
	}
	b->context = c;
	b->instances = instances;
	b->n_instances = n;
	for (size_t i = 0; i < n; i++)
		instances[i] = (struct instance){.owner = b, .slot = (uint32_t)i};
	c->meters->browsers = meters;
	c->meters->n_browsers = n;
	list_init(&b->runs);
	list_init(&b->censuses);
	b->port = (struct process_port){.loop = &c->loop->uv,
		.reaper = c->reaper,
		.shim_path = c->shim_path,
		.ctx = b,
		.on_started = on_started,
		.on_exec_failed = on_exec_failed,
		.on_exited = on_exited,
		.on_gone = on_gone};
	process_port_init(&b->port);
	uv_timer_init(&c->loop->uv, &b->tick);
	uv_idle_init(&c->loop->uv, &b->last);
	b->tick.data = b->last.data = b;
	if (n) /* none can be added later, and a pod without any sleeps undisturbed */
		uv_timer_start(&b->tick, on_tick, CENSUS_MS / 10, CENSUS_MS);
	*out = b;
	return 0;
}

/* Whatever is in a thread still points here; the last one to come back frees it. */
static void release(struct browsers *b)
{
	if (!b->closed || !list_empty(&b->runs) || !list_empty(&b->censuses))
		return;
	for (size_t i = 0; i < b->n_instances; i++)
		config_release(b->instances[i].source);
	free(b->instances);
	free(b);
}

static void on_last_closed(uv_handle_t *handle)
{
	struct browsers *b = handle->data;
	b->closed = true;
	LIST_EACH (at, &b->runs) {
		struct run *r = LIST_ENTRY(at, struct run, node);
		if (!r->preparing)
			run_free(r);
	}
	release(b);
}

/* One turn later the processes' handles are closed too. */
static void on_tick_closed(uv_handle_t *handle)
{
	struct browsers *b = handle->data;
	uv_close((uv_handle_t *)&b->last, on_last_closed);
}

/* Two empty directories, when nothing is left in them; else they stay. */
static void remove_home(const struct instance *i)
{
	char path[PATH_MAX];
	const struct config_browser *c = i->source ? i->owner->context->world->browsers[i->slot].config : NULL;
	const char *volume = c ? volume_path(i->source, c) : NULL;
	if (!volume || !i->wiped)
		return;
	snprintf(path, sizeof(path), "%s/chrome/%s", volume, c->name);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/chrome", volume);
	rmdir(path);
}

void browsers_free(struct browsers *b)
{
	if (!b)
		return;
	b->freed = true;
	for (size_t i = 0; i < b->n_instances; i++) {
		browser_endpoint_free(b->instances[i].endpoint);
		remove_home(&b->instances[i]);
	}
	LIST_EACH (at, &b->runs)
		drop_ports(LIST_ENTRY(at, struct run, node));
	remover_free(b->remover);
	process_port_fini(&b->port);
	free(b->context->meters->browsers);
	b->context->meters->browsers = NULL;
	b->context->meters->n_browsers = 0;
	uv_close((uv_handle_t *)&b->tick, on_tick_closed);
}

int browsers_command(
	const struct config *config, const struct config_browser *browser, struct buf *out, struct err *err)
{
	const char *path = volume_path(config, browser);
	return browser_launch_print(browser, path ? path : "", out, err);
}
