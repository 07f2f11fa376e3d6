#include "podvisor/runtime/browsers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "browsers_internal.h"

static struct browser_run *find(const struct browsers *b, uint64_t run)
{
	LIST_EACH (at, (struct list *)&b->runs) {
		struct browser_run *r = LIST_ENTRY(at, struct browser_run, node);
		if (r->run == run)
			return r;
	}
	return NULL;
}

/* ---- effects ---- */

/* The endpoint takes the configuration that this generation is started with. */
static int open_endpoint(struct browser_instance *i, const struct browser_run *r, struct err *err)
{
	struct browsers *b = i->owner;
	int rc = 0;
	if (!i->endpoint)
		rc = browser_endpoint_new(&i->endpoint, b->context->loop, r->source->instance, r->config->name,
			&browser_facts_of_endpoint, i, &browser_facts_meter(b, i->slot)->sessions, err);
	if (rc == 0)
		rc = browser_endpoint_configure(i->endpoint, r->config, err);
	if (rc == 0) {
		struct config *old = i->source;
		i->source = config_hold(r->source);
		config_release(old);
	}
	return rc;
}

const char *browsers_volume_path(const struct config *config, const struct config_browser *browser)
{
	return browser->volume_ref.index < config->n_volumes ? config->volumes[browser->volume_ref.index].path : NULL;
}

static void launch(struct browsers *b, const struct effect *e)
{
	struct browser_run *r = browser_run_new(b, e);
	struct err err = {0};
	if (open_endpoint(r->instance, r, &err) < 0) {
		browser_run_give_up(r, err.code, err.text);
		return;
	}
	browser_run_start(r);
}

static bool is_hidden(void *ctx, const char *target)
{
	return browser_probe_hides(ctx, target);
}

static void serve(struct browser_run *r)
{
	if (!r->probe || !browser_probe_version(r->probe))
		return;
	struct browser_backend backend = {
		.generation = r->generation,
		.port = browser_probe_port(r->probe),
		.id = browser_probe_id(r->probe),
		.version = browser_probe_version(r->probe),
		.is_hidden = is_hidden,
		.ctx = r->probe,
	};
	r->served = true;
	r->opened_before = browser_probe_opened(r->probe);
	if (r->census)
		browser_census_trust(r->census);
	/* Without it pages stay, and Chrome works on. */
	if (!r->janitor && browser_janitor_new(&r->janitor, r->owner->context->loop, r->probe, r->config->janitor.idle,
				   r->config->janitor.spin, &browser_facts_of_janitor, r, NULL) < 0)
		r->janitor = NULL;
	browser_endpoint_offer(r->instance->endpoint, &backend);
}

static void probe(struct browser_run *r, int64_t value)
{
	if (r->probe)
		browser_probe_ask(r->probe, (enum rung)(value & ~BROWSER_PROBE_FRESH), value & BROWSER_PROBE_FRESH);
}

void browsers_do(struct browsers *b, const struct effect *e)
{
	struct browser_run *r = e->kind == EFFECT_BROWSER_LAUNCH ? NULL : find(b, e->run);
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
	case EFFECT_BROWSER_RETIRE:
		browser_endpoint_retire(r->instance->endpoint, r->generation);
		break;
	case EFFECT_BROWSER_CLOSE:
	case EFFECT_BROWSER_SIGNAL:
	case EFFECT_BROWSER_KILL:
		browser_run_end(r, e);
		break;
	case EFFECT_BROWSER_CLEAN:
		browser_run_clean(r);
		break;
	default:
		break;
	}
}

/* ---- life ---- */

int browsers_new(struct browsers **out, const struct context *c, struct err *err)
{
	size_t n = c->world->n_browsers;
	struct browsers *b = calloc(1, sizeof(*b));
	struct browser_instance *instances = calloc(n + 1, sizeof(*instances));
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
	b->has_cgroup = n && cgroup_find(&b->cgroup, NULL, NULL, NULL) == 0;
	for (size_t i = 0; i < n; i++)
		instances[i] = (struct browser_instance){.owner = b, .slot = (uint32_t)i};
	c->meters->browsers = meters;
	c->meters->n_browsers = n;
	list_init(&b->runs);
	b->port = (struct process_port){.loop = &c->loop->uv,
		.reaper = c->reaper,
		.shim_path = c->shim_path,
		.ctx = b,
		.on_started = browser_facts_on_started,
		.on_exec_failed = browser_run_on_exec_failed,
		.on_exited = browser_facts_on_exited,
		.on_gone = browser_facts_on_gone};
	process_port_init(&b->port);
	uv_idle_init(&c->loop->uv, &b->first);
	uv_idle_init(&c->loop->uv, &b->last);
	b->first.data = b->last.data = b;
	*out = b;
	return 0;
}

/* Whatever is in a thread still points here; the last one to come back frees it. */
void browsers_release(struct browsers *b)
{
	if (!b->closed || !list_empty(&b->runs))
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
		struct browser_run *r = LIST_ENTRY(at, struct browser_run, node);
		if (!r->in_thread)
			browser_run_free(r);
	}
	browsers_release(b);
}

/* One turn later the processes' handles are closed too. */
static void on_first_closed(uv_handle_t *handle)
{
	struct browsers *b = handle->data;
	uv_close((uv_handle_t *)&b->last, on_last_closed);
}

/* Two empty directories, when nothing is left in them; else they stay. */
static void remove_home(const struct browser_instance *i)
{
	char path[PATH_MAX];
	const struct config_browser *c = i->source ? i->owner->context->world->browsers[i->slot].config : NULL;
	const char *volume = c ? browsers_volume_path(i->source, c) : NULL;
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
		browser_run_drop_ports(LIST_ENTRY(at, struct browser_run, node));
	remover_free(b->remover);
	process_port_fini(&b->port);
	free(b->context->meters->browsers);
	b->context->meters->browsers = NULL;
	b->context->meters->n_browsers = 0;
	uv_close((uv_handle_t *)&b->first, on_first_closed);
}

int browsers_command(
	const struct config *config, const struct config_browser *browser, struct buf *out, struct err *err)
{
	const char *path = browsers_volume_path(config, browser);
	struct config_browser shown = *browser;
	shown.args = config_shown_strings(config, browser->args);
	if (!shown.args)
		return err_set(err, -ENOMEM, "out of memory");
	int rc = browser_launch_print(&shown, path ? path : "", out, err);
	config_strings_free(shown.args);
	return rc;
}
